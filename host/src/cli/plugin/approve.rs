//! `vestibule plugin approve` and `vestibule plugin rollback`

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use clap::Args;

use crate::{
    cli::{ConfigFile, refuse, runtime},
    clock::Clock,
    host::Proposal,
};

const APPROVE_EXAMPLES: &str = "Examples:
  vestibule plugin approve hello
  vestibule plugin approve hello --yes
  vestibule plugin approve hello --allow-downgrade

A server that runs takes the component at once.

Exit status: 0 approved or nothing to approve, 2 declined, something given is wrong, or it
cannot serve as things are configured.";

const ROLLBACK_EXAMPLES: &str = "Examples:
  vestibule plugin rollback hello

A server that runs follows at once. The file that is left stays where it is, and is not
taken again without approval.

Exit status: 0 done, 2 there is nothing to go back to, or it cannot serve as things are
configured, and nothing is changed.";

/// Show what a component asks for, and approve it.
#[derive(Debug, Args)]
#[command(after_help = APPROVE_EXAMPLES)]
pub(in crate::cli) struct Approve {
    /// The strategy, as `[auth] strategy` names it.
    name: String,
    #[command(flatten)]
    config: ConfigFile,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Approve even a version that is lower than the approved one.
    #[arg(long)]
    allow_downgrade: bool,
}

impl Approve {
    pub(super) fn run(&self) -> ExitCode {
        match self.approved() {
            Ok(told) => {
                println!("{told}");
                ExitCode::SUCCESS
            }
            Err(error) => refuse(format_args!("{error:#}")),
        }
    }

    fn approved(&self) -> anyhow::Result<String> {
        let config = self.config.load()?;
        let runtime = runtime()?;
        let proposal = runtime.block_on(Proposal::of(&config, &self.name))?;
        let record = &proposal.record;
        let what = format!("{} {} (sha256 {})", record.name, record.version, record.digest);
        let Some(why) = &proposal.needs else {
            let known = proposal.approved.as_ref();
            let is_known = known.is_some_and(|known| known.digest == record.digest);
            // A server takes one again that it took out of service.
            runtime.block_on(proposal.approve(&Clock::System))?;
            return Ok(if is_known {
                format!("{what} is approved already, and is so anew")
            } else {
                format!("approved {what}, which asks for nothing more")
            });
        };
        if proposal.is_downgrade() && !self.allow_downgrade {
            anyhow::bail!("{why}");
        }
        show(&proposal);
        if !self.yes && !says_yes()? {
            anyhow::bail!("nothing is approved");
        }
        runtime.block_on(proposal.approve(&Clock::System))?;
        Ok(format!("approved {what}"))
    }
}

/// Go back to the component that was approved before.
#[derive(Debug, Args)]
#[command(after_help = ROLLBACK_EXAMPLES)]
pub(in crate::cli) struct Rollback {
    /// The strategy, as `[auth] strategy` names it.
    name: String,
    #[command(flatten)]
    config: ConfigFile,
}

impl Rollback {
    pub(super) fn run(&self) -> ExitCode {
        let gone_back = self.config.load().map_err(anyhow::Error::from).and_then(|config| {
            let going_back = Proposal::roll_back(&config, &self.name, &Clock::System);
            Ok(runtime()?.block_on(going_back)?)
        });
        match gone_back {
            Ok(record) => {
                let (name, version, digest) = (record.name, record.version, record.digest);
                println!("went back to {name} {version} (sha256 {digest})");
                ExitCode::SUCCESS
            }
            Err(error) => refuse(format_args!("{error:#}")),
        }
    }
}

fn show(proposal: &Proposal) {
    let record = &proposal.record;
    println!("{} {} (sha256 {})", record.name, record.version, record.digest);
    match &proposal.approved {
        Some(approved) => {
            println!(
                "approved is {} {} (sha256 {})",
                approved.name, approved.version, approved.digest
            );
            let lines = [("+", proposal.asks_for()), ("-", approved.asks_beyond(record))];
            for (sign, lines) in lines {
                for line in lines {
                    println!("  {sign} {line}");
                }
            }
            if proposal.is_downgrade() {
                println!("  ! its version is lower than the approved one");
            }
        }
        None => {
            println!("nothing of this name is approved; it asks for:");
            let lists = [&record.imports, &record.proposes, &record.headers, &record.variables];
            for (what, list) in ["calls", "grants", "headers", "variables"].iter().zip(lists) {
                if !list.is_empty() {
                    let list: Vec<&str> = list.iter().map(String::as_str).collect();
                    println!("  + {what}: {}", list.join(", "));
                }
            }
        }
    }
}

fn says_yes() -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        anyhow::bail!("there is nobody to ask; look at what is above, and say --yes");
    }
    print!("Approve? [y/N] ");
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
