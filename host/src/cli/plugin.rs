//! `vestibule plugin`: looking at components, trying them, letting them serve, and beginning
//! new ones.

mod approve;
mod drawing;
mod examine;
mod list;
mod new;

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;

use super::{LogFormat, refuse, runtime, start_log};
use crate::engine::{Engine, EngineOptions, GrantSource, Inspection, Setting, SettingType};

/// Components: look at them, approve them and go back.
#[derive(Debug, Subcommand)]
pub(super) enum Plugin {
    /// Say which components there are, and what becomes of each.
    List(list::List),
    /// Hold a file against pin, signatures, contract, lock, grants and settings.
    Verify(list::Verify),
    /// Show what a component asks for, and approve it.
    Approve(approve::Approve),
    /// Go back to the component that was approved before.
    Rollback(approve::Rollback),
    /// Begin a strategy: a folder that builds, passes its tests and makes a component.
    New(new::New),
    /// Try a component in front of good, hostile and slow peers, and print what became of it.
    Test(examine::Examine),
    /// Say what a component is and what it could reach, without granting it anything.
    Inspect {
        /// The component file.
        file: PathBuf,
        /// Print one JSON object, for scripts.
        #[arg(long)]
        json: bool,
    },
}

impl Plugin {
    pub(super) fn run(self) -> ExitCode {
        let this = match self {
            // They begin a log of their own, or none.
            Self::New(new) => return new.run(),
            Self::Test(examine) => return examine.run(),
            other => other,
        };
        start_log(LogFormat::Text, "warn");
        let (file, json) = match this {
            Self::New(_) | Self::Test(_) => unreachable!("they have run"),
            Self::List(list) => return list.run(),
            Self::Verify(verify) => return verify.run(),
            Self::Approve(approve) => return approve.run(),
            Self::Rollback(rollback) => return rollback.run(),
            Self::Inspect { file, json } => (file, json),
        };
        let inspection = match inspect(&file) {
            Ok(inspection) => inspection,
            Err(error) => return refuse(error),
        };
        if json {
            match serde_json::to_string_pretty(&inspection) {
                Ok(text) => println!("{text}"),
                Err(error) => return refuse(error),
            }
        } else {
            print!("{}", text(&inspection));
        }
        ExitCode::SUCCESS
    }
}

fn inspect(file: &Path) -> anyhow::Result<Inspection> {
    let options = EngineOptions { shards: NonZeroUsize::MIN, concurrency: NonZeroUsize::MIN };
    let engine = Engine::new(options)?;
    runtime()?.block_on(engine.inspect(file)).map_err(|error| anyhow::anyhow!("{}", error.at(file)))
}

fn text(inspection: &Inspection) -> String {
    let Inspection { description, .. } = inspection;
    let mut lines = vec![
        format!("{} {}: {}", description.name, description.version, description.summary),
        String::new(),
        row("answers to", &list(std::iter::once(&description.name).chain(&description.aliases))),
        row("contract", &inspection.contract),
        row("sha256", &inspection.digest),
        row(
            "size",
            &format!(
                "{} bytes, {} bytes of memory at the start",
                inspection.bytes, inspection.initial_memory
            ),
        ),
        row("log-in", description.log_in.as_deref().unwrap_or("none")),
        row(
            "lets everybody in",
            if description.local_owner { "yes, as the local owner" } else { "no" },
        ),
        row("reads headers", &list(&description.headers)),
        row("provider tokens", &list(&description.providers)),
        String::new(),
        "what it can reach".to_owned(),
    ];
    lines.extend(drawing::draw(inspection));
    lines.extend([String::new(), "imports".to_owned()]);
    for import in &inspection.imports {
        let grant = match &import.grant {
            None => "always granted".to_owned(),
            Some(key) => format!("needs [auth.grants] {key}"),
        };
        lines.push(row(&import.interface, &format!("{} ({grant})", import.functions.join(", "))));
    }
    if inspection.imports.is_empty() {
        lines.push(row("nothing", ""));
    }
    lines.extend([String::new(), "proposes to be granted".to_owned()]);
    let grants = &description.grants;
    let proposals = [
        ("http", &grants.http),
        ("browser", &grants.browser),
        ("jose", &grants.jose),
        ("token_store", &grants.token_store),
    ];
    for (key, sources) in proposals {
        if !sources.is_empty() {
            lines.push(row(key, &sources.iter().map(source).collect::<Vec<_>>().join(", ")));
        }
    }
    if proposals.iter().all(|(_, sources)| sources.is_empty()) {
        lines.push(row("nothing", ""));
    }
    lines.extend([String::new(), "settings".to_owned()]);
    for setting in &description.settings {
        lines.push(row(&setting.name, &describe(setting)));
    }
    if description.settings.is_empty() {
        lines.push(row("none", ""));
    }
    lines.iter().flat_map(|line| [line.trim_end(), "\n"]).collect()
}

fn row(name: &str, value: &str) -> String {
    format!("  {name:<18} {value}")
}

fn list<'a>(items: impl IntoIterator<Item = &'a String>) -> String {
    let items: Vec<&str> = items.into_iter().map(String::as_str).collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}

fn source(source: &GrantSource) -> String {
    match source {
        GrantSource::Fixed(value) => value.clone(),
        GrantSource::Setting(name) => format!("the setting {name}"),
        GrantSource::Template(template) => template.clone(),
    }
}

fn describe(setting: &Setting) -> String {
    let kind = match &setting.kind {
        SettingType::Choice(choices) => format!("one of {}", choices.join(", ")),
        kind => format!("{kind:?}").to_lowercase(),
    };
    let mut facts = vec![kind];
    if setting.required {
        facts.push("required".to_owned());
    }
    if setting.secret {
        facts.push("secret".to_owned());
    }
    if let Some(default) = &setting.default {
        facts.push(format!("default {default}"));
    }
    if !setting.aliases.is_empty() {
        facts.push(format!("also {}", setting.aliases.join(", ")));
    }
    if !setting.environment.is_empty() {
        facts.push(format!("from {}", setting.environment.join(", ")));
    }
    format!("{} ({})", setting.help, facts.join("; "))
}
