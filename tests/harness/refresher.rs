//! Refreshes the provider tokens of a conversation, and says on standard output how far
//! it is: what a test kills at each step.
//!
//! Its arguments are a configuration, the time, a user and where to wait for its end:
//! `before` the provider is asked, or nowhere.

use std::{
    collections::BTreeMap,
    io::Write as _,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::Arc,
};

use anyhow::Context as _;
use vestibule::{
    clock::Clock,
    config::Config,
    context::{ConversationId, ConversationSettings, HeldToken},
    engine::Hooks,
    host::Host,
    identity::UserId,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = move |what: &'static str| arguments.next().context(what);
    let config = Config::load(&PathBuf::from(argument("a configuration")?))?;
    let clock = Clock::fixed(argument("the time")?.parse()?);
    let user = UserId::new(argument("a user")?)?;
    let waits = argument("where to wait")? == "before";
    // The provider's name is looked up when its token is about to be sent.
    let look_up = move |_: &str| {
        say("before");
        if waits {
            wait();
        }
        vec![IpAddr::from(Ipv4Addr::LOCALHOST)]
    };
    let hooks = Hooks { look_up: Some(Arc::new(look_up)), ..Hooks::default() };
    let host = Host::start_hooked(config, clock, hooks).await?;
    say("ready");
    let tokens = BTreeMap::from([("github".to_owned(), HeldToken::default())]);
    let settings = ConversationSettings { provider_tokens: Some(tokens), ..Default::default() };
    let conversation = ConversationId::new("c1")?;
    let refreshed =
        host.refresh_provider_tokens(&Arc::new(settings), &conversation, Some(&user)).await;
    say(if refreshed.is_ok() { "after" } else { "refused" });
    wait()
}

/// For the end.
fn wait() -> ! {
    loop {
        std::thread::park();
    }
}

fn say(step: &str) {
    let mut out = std::io::stdout().lock();
    // Whoever listened may be gone.
    let _ = writeln!(out, "{step}");
    let _ = out.flush();
}
