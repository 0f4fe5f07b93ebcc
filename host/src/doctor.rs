//! What is set up in a way that will hurt: looked for without changing anything.
//!
//! A configuration that cannot work is refused at the start. Here is what works until
//! it does not: addresses that nobody reaches, clocks that disagree, proxies that are
//! believed too much or too little, and files that others may read.

mod clocks;
mod files;
mod machine;
mod network;

use serde::Serialize;

use crate::{clock::Clock, config::Config, host::Host};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and may not do what was meant.
    Warning,
    /// It does not work, or is not safe.
    Error,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub verdict: Verdict,
    /// What was looked at.
    pub about: &'static str,
    /// What was found.
    pub found: String,
    /// What to do about it, where there is something to do.
    pub mend: Option<String>,
}

impl Finding {
    fn ok(about: &'static str, found: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, about, found: found.into(), mend: None }
    }

    fn warning(about: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        let (found, mend) = (found.into(), Some(mend.into()));
        Self { verdict: Verdict::Warning, about, found, mend }
    }

    fn error(about: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { verdict: Verdict::Error, ..Self::warning(about, found, mend) }
    }
}

/// Looks at everything that a configuration names. The server may be running or not.
pub async fn examine(config: &Config, clock: &Clock) -> Vec<Finding> {
    let mut findings = machine::examine();
    findings.extend(files::examine(config));
    findings.extend(network::examine(config));
    match Host::check(config).await {
        Ok(strategy) => {
            let description = strategy.description();
            let found = format!("{} {} can be loaded", description.name, description.version);
            findings.push(Finding::ok("strategy", found));
            findings.extend(files::of_settings(config, description));
            for (origin, answer) in strategy.probe().await {
                findings.push(clocks::of_origin(&origin, answer, clock));
            }
        }
        Err(error) => {
            let found = error.to_string();
            findings.push(Finding::error("strategy", found, "see what it says"));
        }
    }
    findings.push(network::public_url(config, clock).await);
    findings.extend(clocks::of_database(config, clock).await);
    findings
}
