//! Writes secrets without end, and says on standard output what is done: what a
//! test kills at any instant.

use std::{collections::BTreeMap, io::Write as _, path::PathBuf};

use secrecy::SecretString;
use vestibule::{
    clock::Clock,
    config::Config,
    store::{Scope, Secret, Store},
};

/// Secrets in one set: all of them say which write they belong to.
const SET: usize = 8;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let file = std::env::args().nth(1).map(PathBuf::from).expect("a configuration file");
    let first: u64 = std::env::args().nth(2).expect("a number").parse()?;
    let store = Store::open(&Config::load(&file)?, Clock::System).await?;
    let scope = Scope::local_owner();
    for count in first.. {
        let secret = |index| {
            let value = SecretString::from(format!("plaintext-canary {count}"));
            (format!("S{index}"), Secret { value, description: None })
        };
        let set: BTreeMap<String, Secret> = (0..SET).map(secret).collect();
        store.secrets(&scope).store(&set, None).await?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{count}")?;
        out.flush()?;
    }
    Ok(())
}
