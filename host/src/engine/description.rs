//! What a strategy says of itself, checked before anybody relies on it.

mod proposals;
mod setting;

use std::borrow::Cow;

use serde::Serialize;

pub use self::{
    proposals::{GrantSource, ProposedGrants},
    setting::{Setting, SettingType},
};
use crate::{
    bindings::exports::vestibule::auth::plugin as wit,
    text::{cut, escape, is_treacherous},
};

/// The most headers that a strategy may ask for.
const MAX_HEADERS: usize = 16;

/// The most settings that a strategy may have.
const MAX_SETTINGS: usize = 64;

/// The longest text of a description, in bytes.
const MAX_TEXT_BYTES: usize = 1024;

/// The most aliases and proposed grants of anything.
const MAX_ALIASES: usize = 8;
const MAX_GRANTS: usize = 16;

/// Headers that carry credentials, or that a proxy may have made up: the host
/// reads those itself and hands on what it makes of them.
const WITHHELD_HEADERS: [&str; 12] = [
    "authorization",
    "cookie",
    "forwarded",
    "host",
    "proxy-authorization",
    "x-access-token",
    "x-api-key",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-service-api-key",
    "x-session-api-key",
];

/// What a strategy says of itself.
#[derive(Clone, Debug, Serialize)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// Other names that `[auth] strategy` may use for it.
    pub aliases: Vec<String>,
    /// Its own version.
    pub version: String,
    /// One line of help.
    pub summary: String,
    /// Its settings.
    pub settings: Vec<Setting>,
    /// Request headers that it needs.
    pub headers: Vec<String>,
    /// What it would like to be granted.
    pub grants: ProposedGrants,
    /// Every caller is the local owner.
    pub local_owner: bool,
    /// The label of its log-in button; `None` where there is no log-in.
    pub log_in: Option<String>,
    /// Git providers for which it can hand out tokens.
    pub providers: Vec<String>,
}

impl Description {
    /// Whether `[auth] strategy` may name this strategy so.
    #[must_use]
    pub fn answers_to(&self, name: &str) -> bool {
        self.name == name || self.aliases.iter().any(|alias| alias == name)
    }

    /// Takes over a description, or says what is wrong with it.
    pub(super) fn from_component(described: wit::Description) -> Result<Self, String> {
        let description = Self {
            name: described.name,
            aliases: described.aliases,
            version: described.version,
            summary: described.summary,
            settings: described
                .settings
                .into_iter()
                .map(Setting::from_component)
                .collect::<Result<_, _>>()?,
            headers: described.headers,
            grants: described.grants.into(),
            local_owner: described.local_owner,
            log_in: described.log_in,
            providers: described.providers,
        };
        description.check()?;
        Ok(description)
    }

    fn check(&self) -> Result<(), String> {
        name("name", &self.name)?;
        few("aliases", &self.aliases, MAX_ALIASES)?;
        self.aliases.iter().try_for_each(|alias| name("alias", alias))?;
        text("version", &self.version)?;
        semver::Version::parse(&self.version)
            .map_err(|error| format!("its version {:?} is not semver: {error}", self.version))?;
        text("summary", &self.summary)?;
        self.log_in.iter().try_for_each(|label| text("log-in label", label))?;
        few("settings", &self.settings, MAX_SETTINGS)?;
        for (index, setting) in self.settings.iter().enumerate() {
            setting.check()?;
            if self.settings[..index].iter().any(|other| other.name == setting.name) {
                return Err(format!("it has two settings {:?}", setting.name));
            }
        }
        few("headers", &self.headers, MAX_HEADERS)?;
        self.headers.iter().try_for_each(|wanted| header(wanted))?;
        for key in ["http", "browser", "jose", "token_store"] {
            few("proposed grants", self.grants.under(key), MAX_GRANTS)?;
            self.grants.under(key).iter().try_for_each(|source| self.check_grant(source))?;
        }
        few("providers", &self.providers, crate::identity::PROVIDERS.len())?;
        match self.providers.iter().find(|p| !crate::identity::PROVIDERS.contains(&p.as_str())) {
            Some(unknown) => {
                Err(format!("it names {}, which is no known provider", short(unknown)))
            }
            None => Ok(()),
        }
    }

    /// What is proposed is printed, so that it can come from no secret.
    fn check_grant(&self, source: &GrantSource) -> Result<(), String> {
        match source {
            GrantSource::Fixed(value) => text("proposed grant", value),
            GrantSource::Setting(name) => match self.open_setting(name) {
                Some(found) if found.kind == SettingType::Url => Ok(()),
                _ => Err(format!(
                    "it proposes a grant from {}, which is no setting of the type url",
                    short(name)
                )),
            },
            GrantSource::Template(template) => {
                text("proposed grant", template)?;
                let value = source.value(|name| {
                    let found = self.open_setting(name)?;
                    let fits = matches!(found.kind, SettingType::Url | SettingType::Text);
                    fits.then_some(Cow::Borrowed("value"))
                });
                value.map(drop).ok_or_else(|| {
                    format!(
                        "it proposes a grant from {}, which names something else than settings of \
                         the types url and text",
                        short(template)
                    )
                })
            }
        }
    }

    /// A setting that is no secret.
    fn open_setting(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.name == name && !setting.secret)
    }
}

/// Names are lower-case, so that files, aliases and settings cannot differ by
/// case alone.
fn name(what: &str, name: &str) -> Result<(), String> {
    let valid = !name.is_empty()
        && name.len() <= 64
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
    if valid {
        Ok(())
    } else {
        Err(format!(
            "its {what} {} is not 1 to 64 lower-case letters, digits, hyphens and underscores",
            short(name)
        ))
    }
}

fn text(what: &str, text: &str) -> Result<(), String> {
    if text.len() > MAX_TEXT_BYTES || text.contains(is_treacherous) {
        return Err(format!("its {what} is not one line of at most {MAX_TEXT_BYTES} bytes"));
    }
    Ok(())
}

fn few<T>(what: &str, items: &[T], most: usize) -> Result<(), String> {
    if items.len() > most {
        return Err(format!("it has more than {most} {what}"));
    }
    Ok(())
}

fn header(wanted: &str) -> Result<(), String> {
    if WITHHELD_HEADERS.contains(&wanted) {
        return Err(format!("it asks for the header {wanted:?}, which no strategy can have"));
    }
    let valid = wanted.len() <= 64
        && http::HeaderName::from_bytes(wanted.as_bytes())
            .is_ok_and(|parsed| parsed.as_str() == wanted);
    if !valid {
        return Err(format!(
            "it asks for {}, which is no header name in lower case of at most 64 bytes",
            short(wanted)
        ));
    }
    Ok(())
}

/// A name that may be anything, for an error.
fn short(name: &str) -> String {
    format!("{:?}", escape(&cut(name.to_owned(), 64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_cannot_forge_what_inspect_prints() {
        let spoil = |change: fn(&mut Description)| {
            let mut description = Description {
                name: "plain".to_owned(),
                aliases: Vec::new(),
                version: "1.0.0".to_owned(),
                summary: "Plain".to_owned(),
                settings: vec![setting::thing(true, "PLAIN_THING")],
                headers: Vec::new(),
                grants: ProposedGrants::default(),
                local_owner: false,
                log_in: None,
                providers: Vec::new(),
            };
            description.check().expect("it is fine before");
            change(&mut description);
            description.check()
        };
        let forged = "x\n  lets everybody in  no\u{1b}[31m";
        let changes: [fn(&mut Description); 9] = [
            |d| d.summary = "a\u{202e}b".to_owned(),
            |d| d.aliases = vec!["A".to_owned()],
            |d| d.aliases = vec!["a".to_owned(); 9],
            |d| d.headers = vec!["cookie".to_owned()],
            |d| d.providers = vec!["sourceforge".to_owned()],
            |d| d.settings[0].aliases = vec!["a b".to_owned()],
            |d| d.settings[0].kind = SettingType::Choice(vec!["a\nb".to_owned()]),
            |d| d.grants.http = vec![GrantSource::Fixed("a\nb".to_owned())],
            // A secret would be printed with the grant that it is proposed for.
            |d| d.grants.http = vec![GrantSource::Setting("thing".to_owned())],
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let error = spoil(change).expect_err(&format!("change {index}"));
            assert!(!error.contains(is_treacherous), "{error:?}");
        }
        assert!(text("summary", forged).is_err());
        assert!(!short(forged).contains(is_treacherous));
    }
}
