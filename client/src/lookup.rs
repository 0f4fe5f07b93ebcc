//! References to secrets, which hold neither the secret nor a key to it.

use std::{collections::BTreeMap, sync::OnceLock, time::Duration};

use reqwest::header::HeaderName;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    Error, SESSION_KEY_VARIABLES,
    environment::variable,
    http::{Http, Patience, Presented},
};

/// How long a value may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A secret by where it is, and by the environment variables that hold what is to
/// be presented there.
///
/// It can be kept, sent and logged: the session key is read where the value is
/// wanted, which works within the sandbox only. Whoever makes a reference decides
/// where that key goes, so take none from strangers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookupSecret {
    #[serde(default)]
    kind: Kind,
    description: Option<String>,
    url: Url,
    /// Header to variable.
    env_headers: BTreeMap<String, String>,
    #[serde(skip)]
    http: OnceLock<Http>,
}

/// How agents tell it from other sources of secrets.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
enum Kind {
    #[default]
    LookupSecret,
}

impl LookupSecret {
    pub(crate) fn new(
        url: Url,
        description: Option<String>,
        header: &HeaderName,
        variable: &str,
        http: Http,
    ) -> Self {
        let env_headers = BTreeMap::from([(header.to_string(), variable.to_owned())]);
        Self { kind: Kind::LookupSecret, description, url, env_headers, http: http.into() }
    }

    /// Where the value is.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// What it is for, in its owner's words.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// The value as it is now, byte for byte.
    pub async fn value(&self) -> Result<SecretString, Error> {
        let mut presented = Presented::default();
        for (header, name) in &self.env_headers {
            if !SESSION_KEY_VARIABLES.contains(&name.as_str()) {
                return Err(Error::Variable(name.clone()));
            }
            let key = variable(name).ok_or_else(|| Error::Environment(vec![name.clone()]))?;
            let header = header.parse().map_err(|_| Error::Key(header.clone()))?;
            presented = presented.with(header, "", &key.into())?;
        }
        let http = match self.http.get() {
            Some(http) => http,
            None => {
                let http = Http::new()?;
                self.http.get_or_init(|| http)
            }
        };
        let patience = Patience { timeout: TIMEOUT, ..Patience::default() };
        let body = http.get(self.url.clone(), &presented, &patience).await?;
        let not_text = |_| Error::Answer { path: self.url.path().to_owned(), reason: "is no text" };
        Ok(String::from_utf8(body).map_err(not_text)?.into())
    }
}
