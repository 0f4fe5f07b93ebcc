//! Values that people write with a unit.

use std::{fmt, net::IpAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Deserializer, de::Error as _};

/// A time such as `25ms` or `10s`.
pub(super) struct Span(pub(super) Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text).map(Self).map_err(|_| {
            D::Error::custom(format!("{text:?} is no time, write one such as \"25ms\" or \"10s\""))
        })
    }
}

/// A size such as `32MiB`.
pub(super) struct Bytes(pub(super) usize);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse::<bytesize::ByteSize>()
            .ok()
            .and_then(|size| usize::try_from(size.as_u64()).ok())
            .map(Self)
            .ok_or_else(|| {
                D::Error::custom(format!("{text:?} is no size, write one such as \"32MiB\""))
            })
    }
}

/// An address such as `10.0.0.7`, or a network such as `10.0.0.0/8`.
pub(super) struct Network(pub(super) IpNet);

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let address = |text: &str| text.parse::<IpAddr>().ok().map(IpNet::from);
        let network = || text.parse::<IpNet>().ok();
        address(&text).or_else(network).map(Self).ok_or_else(|| {
            D::Error::custom(format!(
                "{text:?} is no address such as \"10.0.0.7\", and no network such as \"10.0.0.0/8\""
            ))
        })
    }
}

/// Whether a URL is an origin: scheme, host and port, and nothing else.
pub(super) fn is_origin(url: &url::Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
}

/// Where a database is. It may hold a password, so that it shows without one.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// Takes a URL as the operator wrote it.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// Whether this is a database that is known here.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.0.starts_with("sqlite:") || self.is_postgres()
    }

    /// Whether it is a PostgreSQL server.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        self.0.starts_with("postgres:") || self.0.starts_with("postgresql:")
    }

    /// Whether the database ends with the process.
    #[must_use]
    pub fn is_in_memory(&self) -> bool {
        self.0.starts_with("sqlite:") && self.0.contains(":memory:")
    }

    /// The file of an SQLite database.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        if self.is_in_memory() {
            return None;
        }
        let path = self.0.strip_prefix("sqlite:")?;
        let path = path.strip_prefix("//").unwrap_or(path);
        let path = path.split('?').next()?;
        Some(PathBuf::from(percent_decode_str(path).decode_utf8().ok()?.into_owned()))
    }

    /// A parameter that the driver does not know: it would go to the log, with
    /// whatever was meant to be its value.
    #[must_use]
    pub fn unknown_parameter(&self) -> Option<&str> {
        const KNOWN: [&str; 20] = [
            "application_name",
            "cache",
            "dbname",
            "host",
            "hostaddr",
            "immutable",
            "mode",
            "options",
            "password",
            "port",
            "sslcert",
            "ssl-cert",
            "sslkey",
            "ssl-key",
            "sslmode",
            "ssl-mode",
            "sslrootcert",
            "ssl-root-cert",
            "statement-cache-capacity",
            "user",
        ];
        let (_, query) = self.0.rsplit_once('?')?;
        let names = query.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
        names.into_iter().find(|name| !KNOWN.contains(name))
    }

    /// The URL with its password, for the driver.
    #[must_use]
    pub fn with_password(&self) -> &str {
        &self.0
    }
}

/// Scheme, host and path, without who and how.
impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once(':') else { return f.write_str("…") };
        // First the `@`: a password written carelessly may hold any character.
        let (who, place) = rest.rsplit_once('@').map_or(("", rest), |(_, place)| ("//…@", place));
        let place = place.split(['?', '#']).next().unwrap_or_default();
        write!(f, "{scheme}:{who}{place}")
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_database_shows_without_its_password() {
        for (url, shown) in [
            ("sqlite://vestibule.db", "sqlite://vestibule.db"),
            ("sqlite::memory:", "sqlite::memory:"),
            ("postgres://me:hush@db.example/v?sslmode=require", "postgres://…@db.example/v"),
            ("postgres://me:h@sh@db.example/v?password=hush", "postgres://…@db.example/v"),
            ("postgres://me:hu?sh#@db.example/v", "postgres://…@db.example/v"),
            ("hush", "…"),
        ] {
            assert_eq!(DatabaseUrl::new(url).to_string(), shown);
            assert_eq!(format!("{:?}", DatabaseUrl::new(url)), shown);
        }
    }
}
