//! A sandbox, seen by whoever works in it.

use std::{collections::BTreeMap, fmt};

use reqwest::header::{AUTHORIZATION, HeaderName};
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use crate::{
    Error, Llm, LookupSecret, McpServer, Overrides, Patience, SESSION_KEY_VARIABLES,
    environment::{self, SANDBOX_ID},
    http::{Http, Presented},
    llm, mcp,
};

const SESSION_KEY: HeaderName = HeaderName::from_static("x-session-api-key");

/// A sandbox of somebody's, and what it inherits of theirs.
///
/// The API key says who asks, and the session key that it is for a sandbox of
/// theirs that runs: an API key that leaked opens nothing alone.
#[derive(Clone)]
pub struct Workspace {
    http: Http,
    base: Url,
    api_key: SecretString,
    sandbox: String,
    session_key: SecretString,
    /// Where the session key is to be found within the sandbox.
    variable: &'static str,
    patience: Patience,
}

impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Workspace");
        shown.field("base", &self.base.as_str()).field("sandbox", &self.sandbox);
        shown.field("patience", &self.patience).finish_non_exhaustive()
    }
}

/// A sandbox, as the server lists it.
#[derive(Deserialize)]
struct Listed {
    status: String,
    session_api_key: Option<SecretString>,
}

/// The names of the secrets that a sandbox may have.
#[derive(Deserialize)]
struct Names {
    secrets: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    description: Option<String>,
}

impl Workspace {
    /// The sandbox in which this runs, as its environment describes it: `SANDBOX_ID`,
    /// and [`SESSION_KEY_VARIABLES`] for the session key.
    pub fn within_sandbox(base: &str, api_key: SecretString) -> Result<Self, Error> {
        let missing = |names: &[&str]| {
            Error::Environment(names.iter().map(|&name| name.to_owned()).collect())
        };
        let sandbox = environment::variable(SANDBOX_ID).ok_or_else(|| missing(&[SANDBOX_ID]))?;
        let (session_key, variable) =
            environment::session_key().ok_or_else(|| missing(&SESSION_KEY_VARIABLES))?;
        Ok(Self { variable, ..Self::new(base, api_key, &sandbox, session_key)? })
    }

    /// A sandbox that runs elsewhere. The server is asked for its session key, which
    /// is another after each time that the sandbox was paused.
    pub async fn attach(base: &str, api_key: SecretString, sandbox: &str) -> Result<Self, Error> {
        let unknown = Self::new(base, api_key, sandbox, SecretString::default())?;
        let mut url = unknown.url(&["sandboxes"])?;
        url.query_pairs_mut().append_pair("id", sandbox);
        let presented = unknown.bearer()?;
        let listed: Vec<Option<Listed>> =
            unknown.http.json(url, &presented, &unknown.patience).await?;
        let (status, key) = match listed.into_iter().next().flatten() {
            Some(listed) => (listed.status, listed.session_api_key),
            None => ("MISSING".to_owned(), None),
        };
        match key.filter(|_| status == "RUNNING") {
            Some(session_key) => Ok(Self { session_key, ..unknown }),
            None => Err(Error::NotRunning { sandbox: sandbox.to_owned(), status }),
        }
    }

    /// A sandbox of which all is known.
    pub fn new(
        base: &str,
        api_key: SecretString,
        sandbox: &str,
        session_key: SecretString,
    ) -> Result<Self, Error> {
        if matches!(sandbox, "" | "." | "..") {
            return Err(Error::SandboxId(sandbox.to_owned()));
        }
        Ok(Self {
            http: Http::new()?,
            base: usable(base)?,
            api_key,
            sandbox: sandbox.to_owned(),
            session_key,
            variable: SESSION_KEY_VARIABLES[0],
            patience: Patience::default(),
        })
    }

    /// The same with another patience than a minute and three attempts.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// The model that the owner has chosen, with the key for it.
    pub async fn get_llm(&self, overrides: Overrides) -> Result<Llm, Error> {
        let url = self.exposed()?;
        let path = url.path().to_owned();
        let account: llm::Account = self.as_owner(url).await?;
        account.llm(overrides, &path)
    }

    /// The owner's MCP servers, with the keys for them.
    pub async fn get_mcp_config(&self) -> Result<BTreeMap<String, McpServer>, Error> {
        let url = self.exposed()?;
        let path = url.path().to_owned();
        let account: mcp::Account = self.as_owner(url).await?;
        account.servers(&path)
    }

    /// References to the owner's secrets and provider tokens: to all, or to those of
    /// these names that there are. No value is sent for it.
    pub async fn get_secrets(
        &self,
        names: Option<&[&str]>,
    ) -> Result<BTreeMap<String, LookupSecret>, Error> {
        let url = self.url(&["sandboxes", &self.sandbox, "settings", "secrets"])?;
        let presented = Presented::default().with(SESSION_KEY, "", &self.session_key)?;
        let listed: Names = self.http.json(url.clone(), &presented, &self.patience).await?;
        let wanted = |name: &str| names.is_none_or(|names| names.contains(&name));
        listed
            .secrets
            .into_iter()
            .filter(|secret| wanted(&secret.name))
            .map(|Named { name, description }| {
                let url = below(url.clone(), &[&name])?;
                let http = self.http.clone();
                let secret = LookupSecret::new(url, description, &SESSION_KEY, self.variable, http);
                Ok((name, secret))
            })
            .collect()
    }

    fn bearer(&self) -> Result<Presented, Error> {
        Presented::default().with(AUTHORIZATION, "Bearer ", &self.api_key)
    }

    /// Asks with both keys.
    async fn as_owner<T: serde::de::DeserializeOwned>(&self, url: Url) -> Result<T, Error> {
        let presented = self.bearer()?.with(SESSION_KEY, "", &self.session_key)?;
        self.http.json(url, &presented, &self.patience).await
    }

    /// The owner's account, with its secrets: a mask in the place of a key is of no use.
    fn exposed(&self) -> Result<Url, Error> {
        let mut url = self.url(&["users", "me"])?;
        url.set_query(Some("expose_secrets=true"));
        Ok(url)
    }

    fn url(&self, path: &[&str]) -> Result<Url, Error> {
        below(self.base.clone(), &[&["api", "v1"], path].concat())
    }
}

/// A base that says nothing but where the server is.
fn usable(base: &str) -> Result<Url, Error> {
    let url = Url::parse(base).map_err(|_| Error::Url("is no URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        Err(Error::Url("is neither http nor https"))
    } else if !url.username().is_empty() || url.password().is_some() {
        Err(Error::Url("holds a user; who asks is said by the API key"))
    } else if url.query().is_some() || url.fragment().is_some() {
        Err(Error::Url("holds more than a path"))
    } else {
        Ok(url)
    }
}

/// An address below another. A name is one step of the path, whatever it consists of.
fn below(mut url: Url, path: &[&str]) -> Result<Url, Error> {
    if path.iter().any(|step| matches!(*step, "" | "." | "..")) {
        let reason = "names something that can be no part of a path";
        return Err(Error::Answer { path: url.path().to_owned(), reason });
    }
    url.path_segments_mut()
        .map_err(|()| Error::Url("is no place for a path"))?
        .pop_if_empty()
        .extend(path);
    Ok(url)
}
