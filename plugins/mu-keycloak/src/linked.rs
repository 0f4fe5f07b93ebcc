//! The Git providers through which the realm's people log in, or which they link.

use serde::Deserialize;
use vestibule_sdk::{
    Error, Secret,
    oauth::Margin,
    provider_tokens::{GitProvider, ProviderApp, Spare},
};

use crate::settings;

/// The settings of the providers, and which of them are in use.
#[derive(Debug, Deserialize)]
pub(crate) struct Linked {
    providers: Vec<String>,
    github_alias: Option<String>,
    github_url: Option<String>,
    github_client_id: Option<String>,
    gitlab_alias: Option<String>,
    gitlab_url: Option<String>,
    gitlab_client_id: Option<String>,
    bitbucket_alias: Option<String>,
    bitbucket_url: Option<String>,
    bitbucket_client_id: Option<String>,
    renew_percent: i64,
    renew_seconds: i64,
}

/// One provider with what the operator says of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct App<'a> {
    provider: &'static GitProvider,
    alias: Option<&'a str>,
    url: Option<&'a str>,
    client_id: Option<&'a str>,
    margin: Margin,
}

/// Every provider that can be in use.
pub(crate) const PROVIDERS: [&GitProvider; 3] =
    [&GitProvider::GITHUB, &GitProvider::GITLAB, &GitProvider::BITBUCKET];

impl Linked {
    /// The providers in use.
    pub(crate) fn apps(&self) -> impl Iterator<Item = App<'_>> {
        let used = |provider: &&&GitProvider| self.providers.iter().any(|p| p == provider.name);
        PROVIDERS.iter().filter(used).map(|provider| self.of(provider))
    }

    /// The provider of this name, where it is in use.
    pub(crate) fn app(&self, name: &str) -> Option<App<'_>> {
        self.apps().find(|app| app.name() == name)
    }

    fn of(&self, provider: &'static GitProvider) -> App<'_> {
        let (alias, url, client_id) = match provider.name {
            "github" => (&self.github_alias, &self.github_url, &self.github_client_id),
            "gitlab" => (&self.gitlab_alias, &self.gitlab_url, &self.gitlab_client_id),
            _ => (&self.bitbucket_alias, &self.bitbucket_url, &self.bitbucket_client_id),
        };
        App {
            provider,
            alias: alias.as_deref(),
            url: url.as_deref(),
            client_id: client_id.as_deref(),
            // It was checked at the start.
            margin: self.margin().unwrap_or_default(),
        }
    }

    fn margin(&self) -> Result<Margin, String> {
        Margin::chosen(self.renew_percent, self.renew_seconds)
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        self.margin()?;
        let known = |name: &&String| PROVIDERS.iter().any(|provider| provider.name == **name);
        if let Some(unknown) = self.providers.iter().find(|name| !known(name)) {
            return Err(format!(
                "providers has {unknown:?}: there are github, gitlab and bitbucket"
            ));
        }
        for app in self.apps() {
            let name = app.name();
            let Some(url) = app.url else {
                let usual = app.provider.base_url;
                return Err(format!(
                    "{name}_url is missing for the provider {name}: write {name}_url = \
                     \"{usual}\", or where yours is"
                ));
            };
            settings::check_url(&format!("{name}_url"), url)?;
            if app.client_id.is_none_or(str::is_empty) {
                return Err(format!(
                    "{name}_client_id is missing for the provider {name}: write the id of the app \
                     that the realm logs in with, because only it can renew tokens"
                ));
            }
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
            if app.alias().is_empty() || !app.alias().bytes().all(plain) {
                return Err(format!(
                    "{name}_alias is no alias: copy it from the realm's providers"
                ));
            }
        }
        Ok(())
    }
}

impl<'a> App<'a> {
    /// The provider, and the name of its tokens in the store.
    pub(crate) fn name(&self) -> &'static str {
        self.provider.name
    }

    /// What the realm calls it.
    pub(crate) fn alias(&self) -> &'a str {
        self.alias.unwrap_or(self.provider.name)
    }

    pub(crate) fn secret(&self) -> Result<Secret, Error> {
        settings::secret(&format!("{}_client_secret", self.name()))
    }

    /// The app that renews its tokens, with where another pair may be had.
    pub(crate) fn with<'s>(&self, secret: &'s Secret, spare: &'s Spare<'s>) -> ProviderApp<'s>
    where
        'a: 's,
    {
        ProviderApp {
            provider: self.provider,
            base_url: self.url,
            client_id: self.client_id.unwrap_or_default(),
            client_secret: secret,
            host: self.other_host(),
            margin: self.margin,
            spare: Some(spare),
        }
    }

    /// The host, where it is not the usual one.
    pub(crate) fn other_host(&self) -> Option<&'a str> {
        fn host(url: &str) -> &str {
            let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
            rest.split('/').next().unwrap_or_default()
        }
        self.url.map(host).filter(|own| *own != host(self.provider.base_url))
    }
}
