//! `vestibule check`

use std::process::ExitCode;

use clap::Args;

use super::{ConfigFile, LogFormat, explain::Explain, refuse, runtime, start_log};
use crate::host::Host;

/// Check the configuration and the component it names, and start nothing.
#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigFile,
    /// Say which rule decides a request for an app.
    #[arg(long, requires_all = ["app_host", "path"])]
    explain: bool,
    #[command(flatten)]
    asked: Explain,
}

impl Check {
    pub(super) fn run(self) -> ExitCode {
        start_log(LogFormat::Text, "warn");
        let config = match self.config.load() {
            Ok(config) => config,
            Err(error) => return refuse(error),
        };
        if self.explain {
            return self.asked.run(&config);
        }
        let checked = runtime().map(|runtime| runtime.block_on(Host::check(&config)));
        match checked {
            Ok(Ok(strategy)) => {
                let description = strategy.description();
                println!(
                    "ok: strategy {} {} (sha256 {}), listening on {}, database {}",
                    description.name,
                    description.version,
                    strategy.digest(),
                    config.server.listen,
                    config.database.url
                );
                ExitCode::SUCCESS
            }
            Ok(Err(error)) => refuse(error),
            Err(error) => refuse(error),
        }
    }
}
