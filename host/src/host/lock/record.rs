//! What a component asks for, as it is approved and compared.

use std::collections::BTreeSet;

use semver::Version;
use serde::{Deserialize, Serialize};

use super::{LockError, Standing};
use crate::engine::{GrantSource, Inspection};

/// One component and everything that it asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The SHA-256 of the component.
    pub digest: String,
    /// What it calls itself.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The contract that it is built for.
    pub contract: String,
    /// It lets everybody in.
    pub everybody: bool,
    /// It has a log-in.
    pub log_in: bool,
    /// The functions that it can call.
    pub imports: BTreeSet<String>,
    /// What it proposes to be granted.
    pub proposes: BTreeSet<String>,
    /// The request headers that it reads.
    pub headers: BTreeSet<String>,
    /// The variables that its settings can come from.
    pub variables: BTreeSet<String>,
}

impl Record {
    /// What a component asks for.
    #[must_use]
    pub fn of(inspection: &Inspection) -> Self {
        let Inspection { digest, contract, imports, description, .. } = inspection;
        let calls = imports.iter().flat_map(|import| {
            import.functions.iter().map(|function| format!("{}.{function}", import.interface))
        });
        let proposes = ["http", "browser", "jose", "token_store"].into_iter().flat_map(|key| {
            description.grants.under(key).iter().map(move |source| {
                let value = match source {
                    GrantSource::Fixed(value) | GrantSource::Template(value) => value.clone(),
                    GrantSource::Setting(name) => format!("the setting {name}"),
                };
                format!("{key} = {value}")
            })
        });
        let settings = description.settings.iter();
        Self {
            digest: digest.clone(),
            name: description.name.clone(),
            version: description.version.clone(),
            contract: contract.clone(),
            everybody: description.local_owner,
            log_in: description.log_in.is_some(),
            imports: calls.collect(),
            proposes: proposes.collect(),
            headers: description.headers.iter().cloned().collect(),
            variables: settings.flat_map(|setting| setting.environment.iter().cloned()).collect(),
        }
    }

    /// What it asks for and the other does not, one phrase each.
    #[must_use]
    pub fn asks_beyond(&self, approved: &Self) -> Vec<String> {
        let mut more = Vec::new();
        if self.name != approved.name {
            more.push(format!("it calls itself {}, and {} was approved", self.name, approved.name));
        }
        if self.everybody && !approved.everybody {
            more.push("it lets everybody in".to_owned());
        }
        if self.log_in && !approved.log_in {
            more.push("it has a log-in".to_owned());
        }
        let lists = [
            ("it calls", &self.imports, &approved.imports),
            ("it proposes to be granted", &self.proposes, &approved.proposes),
            ("it reads the header", &self.headers, &approved.headers),
            ("it reads the variable", &self.variables, &approved.variables),
        ];
        for (what, asked, known) in lists {
            more.extend(asked.difference(known).map(|item| format!("{what} {item}")));
        }
        more
    }

    /// Whether its version is lower.
    #[must_use]
    pub fn is_older_than(&self, approved: &Self) -> bool {
        let version = |record: &Self| Version::parse(&record.version).ok();
        // A description with another version than semver is refused.
        version(self).zip(version(approved)).is_some_and(|(mine, floor)| mine < floor)
    }

    /// Whether it may serve in the place of one that is approved under a name.
    pub(in crate::host) fn held_against(
        &self,
        approved: &Self,
        name: &str,
    ) -> Result<Standing, LockError> {
        if self.digest == approved.digest {
            return Ok(Standing::Approved);
        }
        let more = self.asks_beyond(approved);
        if self.is_older_than(approved) {
            return Err(LockError::Older {
                name: name.to_owned(),
                found: self.version.clone(),
                approved: approved.version.clone(),
                more,
            });
        }
        if more.is_empty() {
            Ok(Standing::Upgrade)
        } else {
            Err(LockError::AsksMore { name: name.to_owned(), more })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let one = |text: &str| BTreeSet::from([text.to_owned()]);
        Record {
            digest: "d".to_owned(),
            name: "plain".to_owned(),
            version: "1.2.0".to_owned(),
            contract: "vestibule:auth@0.1.0".to_owned(),
            everybody: false,
            log_in: false,
            imports: one("clock.now"),
            proposes: one("http = https://a.example"),
            headers: one("x-a"),
            variables: one("A"),
        }
    }

    #[test]
    fn everything_that_is_asked_for_beyond_what_was_approved_is_named() {
        assert_eq!(record().asks_beyond(&record()), [""; 0]);
        let with = |item: &str| BTreeSet::from([item.to_owned()]);
        for (asking, told) in [
            (
                Record { name: "other".to_owned(), ..record() },
                "it calls itself other, and plain was approved",
            ),
            (Record { everybody: true, ..record() }, "it lets everybody in"),
            (Record { log_in: true, ..record() }, "it has a log-in"),
            (Record { imports: with("x.y"), ..record() }, "it calls x.y"),
            (
                Record { proposes: with("jose = z"), ..record() },
                "it proposes to be granted jose = z",
            ),
            (Record { headers: with("x-b"), ..record() }, "it reads the header x-b"),
            (Record { variables: with("B"), ..record() }, "it reads the variable B"),
        ] {
            assert_eq!(asking.asks_beyond(&record()), [told]);
        }
        let less = Record { imports: BTreeSet::new(), headers: BTreeSet::new(), ..record() };
        assert_eq!(less.asks_beyond(&record()), [""; 0]);
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        let of = |version: &str| Record { version: version.to_owned(), ..record() };
        assert!(of("1.2.0").is_older_than(&of("1.10.0")));
        assert!(of("1.2.0-rc.1").is_older_than(&of("1.2.0")));
        assert!(!of("1.2.0").is_older_than(&of("1.2.0")));
        assert!(!of("2.0.0").is_older_than(&of("1.10.0")));
    }
}
