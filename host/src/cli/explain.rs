//! `vestibule check --explain`: the rule that decides a request for an app.

use std::process::ExitCode;

use clap::{Args, ValueHint};

use super::{refuse, runtime};
use crate::{
    authz::{Asked, Visitor, decide},
    config::{App, Config, canonical},
    identity::{OrgId, UserId},
    store::Store,
};

/// The request whose rule is to be explained.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The app's host.
    #[arg(long = "host", id = "app_host", value_name = "HOST", requires = "explain", value_hint = ValueHint::Hostname)]
    host: Option<String>,
    /// The path, as browsers send it.
    #[arg(long, requires = "explain")]
    path: Option<String>,
    /// The method.
    #[arg(long, default_value = "GET", requires = "explain")]
    method: String,
    /// The id of the user who is logged in. Without one, nobody is.
    #[arg(long, value_name = "ID", requires = "explain")]
    user: Option<String>,
    /// A role of the user's [default: those that the database knows].
    #[arg(long = "role", value_name = "ROLE", requires = "user")]
    roles: Vec<String>,
    /// The organisation that the user acts for [default: the one that the database knows].
    #[arg(long, value_name = "ID", requires = "user")]
    org: Option<String>,
}

/// Somebody who is logged in, as far as is known.
struct Known {
    user: UserId,
    org: OrgId,
    roles: Vec<String>,
}

impl Explain {
    pub(super) fn run(&self, config: &Config) -> ExitCode {
        match self.explained(config) {
            Ok(lines) => {
                println!("{}", lines.join("\n"));
                ExitCode::SUCCESS
            }
            Err(error) => refuse(format_args!("{error:#}")),
        }
    }

    fn explained(&self, config: &Config) -> anyhow::Result<Vec<String>> {
        let host = self.host.as_deref().unwrap_or_default().to_ascii_lowercase();
        let asked_path = self.path.as_deref().unwrap_or_default();
        let path = asked_path.split('?').next().unwrap_or_default();
        let Some(app) = config.apps.iter().find(|app| app.host() == host) else {
            let known: Vec<&str> = config.apps.iter().map(App::host).collect();
            anyhow::bail!("no [[apps]] has the host {host:?}; there are {known:?}");
        };
        let known = self.user.as_deref().map(|user| self.known(config, user)).transpose()?;
        let visitor = known.as_ref().map(|known| Visitor {
            user: &known.user,
            org: &known.org,
            roles: &known.roles,
        });
        let asked = Asked { method: &self.method, path, preflight: false };
        let rule = decide(app, &asked, visitor.as_ref());
        let who = match &known {
            Some(known) => format!(
                "{} (organisation {}, roles {})",
                known.user,
                known.org,
                if known.roles.is_empty() { "none".to_owned() } else { known.roles.join(", ") }
            ),
            None => "nobody".to_owned(),
        };
        let mut lines = vec![
            format!("{} {host}{asked_path} by {who}: {}", self.method, rule.ruling()),
            format!("{}: {rule}", app.place),
        ];
        if let Err(why) = canonical(path) {
            lines.push(format!("no public path is like this one, because {why}"));
        }
        Ok(lines)
    }

    /// What the command line says of the user, and else what the database does.
    fn known(&self, config: &Config, user: &str) -> anyhow::Result<Known> {
        let user = UserId::new(user)?;
        let told = !self.roles.is_empty() && self.org.is_some();
        let found =
            if told { None } else { runtime()?.block_on(Store::find_user(config, &user))? };
        let org = match (&self.org, &found) {
            (Some(org), _) => OrgId::new(org)?,
            (None, Some(found)) => found.org.clone(),
            (None, None) => OrgId::personal(&user),
        };
        let roles = match found {
            Some(found) if self.roles.is_empty() => found.identity.roles,
            _ => self.roles.clone(),
        };
        Ok(Known { user, org, roles })
    }
}
