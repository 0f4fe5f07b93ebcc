//! `vestibule doctor`

use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
};

use clap::Args;

use super::{ConfigFile, EXIT_USAGE, LogFormat, open::print_json, refuse, runtime, start_log};
use crate::{
    clock::Clock,
    doctor::{Finding, Verdict, examine},
};

/// Look for the usual mistakes of a set-up: public URL, clocks, proxies, file modes.
///
/// Nothing is changed, and the server may be running or not. Every granted origin and
/// the public URL are asked once.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    #[command(flatten)]
    config: ConfigFile,
    /// Print one JSON object, for scripts.
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(super) fn run(self) -> ExitCode {
        start_log(LogFormat::Text, "error");
        let config = match self.config.load() {
            Ok(config) => config,
            Err(error) => return refuse(error),
        };
        let findings =
            match runtime().map(|runtime| runtime.block_on(examine(&config, &Clock::System))) {
                Ok(findings) => findings,
                Err(error) => return refuse(error),
            };
        let worst = findings.iter().map(|finding| finding.verdict).max();
        if self.json {
            if let Err(error) = print_json(&findings) {
                return refuse(error);
            }
        } else {
            findings.iter().for_each(print);
            let count = |verdict| findings.iter().filter(|found| found.verdict == verdict).count();
            let (errors, warnings) = (count(Verdict::Error), count(Verdict::Warning));
            println!("\n{errors} to mend, {warnings} to look at");
        }
        match worst {
            Some(Verdict::Error) => ExitCode::from(EXIT_USAGE),
            _ => ExitCode::SUCCESS,
        }
    }
}

fn print(finding: &Finding) {
    let (word, colour) = match finding.verdict {
        Verdict::Ok => ("ok", "32"),
        Verdict::Warning => ("look", "33"),
        Verdict::Error => ("mend", "31"),
    };
    let word = format!("{word:<4}");
    let word =
        if io::stdout().is_terminal() { format!("\x1b[{colour}m{word}\x1b[0m") } else { word };
    println!("{word}  {:<15} {}", finding.about, finding.found);
    if let Some(mend) = &finding.mend {
        println!("      {:<15} → {mend}", "");
    }
}
