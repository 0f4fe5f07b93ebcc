//! The operator's settings.

use serde::Deserialize;
use vestibule_sdk::{
    Error, Secret,
    oauth::{ClientAuth, Margin, TokenEndpoint},
    provider_tokens::{GitProvider, ProviderApp},
    secrets, settings,
};

use crate::allowed::Allowed;

/// GitHub itself.
pub(crate) const BASE_URL: &str = "https://github.com";

/// The API of GitHub itself.
pub(crate) const API_URL: &str = "https://api.github.com";

/// The settings that are no secret.
#[derive(Debug, Deserialize)]
pub(crate) struct Settings {
    allowed: String,
    pub(crate) client_id: String,
    pub(crate) scopes: Vec<String>,
    base_url: String,
    api_url: String,
    renew_percent: i64,
    renew_seconds: i64,
}

impl Settings {
    pub(crate) fn read() -> Result<Self, Error> {
        settings::parse()
    }

    /// The one account that may come in.
    pub(crate) fn allowed(&self) -> Result<Allowed<'_>, Error> {
        Allowed::parse(&self.allowed).map_err(|what| Error::internal(format!("allowed {what}")))
    }

    /// A URL for browsers.
    pub(crate) fn page(&self, path: &str) -> String {
        format!("{}{path}", self.base_url.trim_end_matches('/'))
    }

    /// A URL of the API.
    pub(crate) fn api(&self, path: &str) -> String {
        format!("{}{path}", self.api_url.trim_end_matches('/'))
    }

    /// The host, which tells one GitHub from another.
    pub(crate) fn host(&self) -> &str {
        authority(&self.base_url)
    }

    /// The host of a GitHub that is not the usual one.
    pub(crate) fn other_host(&self) -> Option<&str> {
        Some(self.host()).filter(|host| *host != authority(BASE_URL))
    }

    pub(crate) fn token_endpoint<'a>(
        &'a self,
        url: &'a str,
        client_secret: &'a Secret,
    ) -> TokenEndpoint<'a> {
        let client_auth = ClientAuth::Form;
        TokenEndpoint { url, client_id: &self.client_id, client_secret, client_auth }
    }

    pub(crate) fn app<'a>(&'a self, client_secret: &'a Secret) -> ProviderApp<'a> {
        ProviderApp {
            provider: &GitProvider::GITHUB,
            base_url: Some(&self.base_url),
            client_id: &self.client_id,
            client_secret,
            host: self.other_host(),
            // It was checked at the start.
            margin: Margin::chosen(self.renew_percent, self.renew_seconds).unwrap_or_default(),
            spare: None,
        }
    }

    fn check(&self) -> Result<(), String> {
        Allowed::parse(&self.allowed).map_err(|what| {
            format!(
                "allowed {what}: write the id that https://api.github.com/users/NAME shows, or the \
                 log-in name"
            )
        })?;
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        if !plain(&self.client_id) {
            return Err("client_id is not one: copy it from the page of the app at GitHub".into());
        }
        // RFC 6749 section 3.3.
        let of_a_scope = |scope: &String| plain(scope) && !scope.contains(['"', '\\', ',']);
        if !self.scopes.iter().all(of_a_scope) {
            return Err("scopes has one that is none: write each as a text of its own, such as \
                        [\"repo\", \"read:org\"]"
                .into());
        }
        for (name, url) in [("base_url", &self.base_url), ("api_url", &self.api_url)] {
            if url.contains(['?', '#']) {
                return Err(format!("{name} has a query: write nothing after the path"));
            }
            if !is_https(url) && !is_loopback(authority(url)) {
                return Err(format!("{name} is not encrypted: write https:// before the host"));
            }
        }
        Margin::chosen(self.renew_percent, self.renew_seconds)?;
        // The token of one GitHub must not go to another.
        let is = |url: &str, usual: &str| url.trim_end_matches('/').eq_ignore_ascii_case(usual);
        if is(&self.base_url, BASE_URL) != is(&self.api_url, API_URL) {
            return Err(format!(
                "base_url and api_url are of two GitHubs: for GitHub Enterprise Server at {base} \
                 write base_url = \"{base}\" and api_url = \"{base}/api/v3\"",
                base = if is(&self.base_url, BASE_URL) {
                    "https://HOST"
                } else {
                    self.base_url.trim_end_matches('/')
                },
            ));
        }
        Ok(())
    }
}

/// Checks what the host has not checked by the description.
pub(crate) fn check() -> Result<(), String> {
    let settings = Settings::read().map_err(|error| format!("{error:?}"))?;
    settings.check()?;
    client_secret().map(drop).map_err(|error| format!("{error:?}"))
}

/// The client's secret, without which nothing can be asked of GitHub.
pub(crate) fn client_secret() -> Result<Secret, Error> {
    secrets::configured("client_secret")?
        .ok_or_else(|| Error::internal("the setting client_secret has no value"))
}

fn is_https(url: &str) -> bool {
    url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
}

/// Host and port of a URL.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

fn is_loopback(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            allowed: "octocat".into(),
            client_id: "Iv1.0123456789abcdef".into(),
            scopes: Vec::new(),
            base_url: BASE_URL.into(),
            api_url: API_URL.into(),
            renew_percent: 10,
            renew_seconds: 300,
        }
    }

    fn refusal(spoil: fn(&mut Settings)) -> String {
        let mut settings = settings();
        spoil(&mut settings);
        settings.check().expect_err("it is refused")
    }

    #[test]
    fn what_is_wrong_comes_with_its_name_and_its_mend() {
        assert_eq!(settings().check(), Ok(()));
        for (spoil, name) in [
            ((|s| s.allowed = " octocat".into()) as fn(&mut Settings), "allowed"),
            (|s| s.client_id = String::new(), "client_id"),
            (|s| s.client_id = "a b".into(), "client_id"),
            (|s| s.scopes = vec!["repo gist".into()], "scopes"),
            (|s| s.scopes = vec!["repo,gist".into()], "scopes"),
            (|s| s.base_url = "https://github.com?x=1".into(), "base_url"),
            (|s| s.base_url = "http://github.com".into(), "base_url"),
            (|s| s.api_url = "http://127.0.0.1.example".into(), "api_url"),
            (|s| s.renew_percent = 51, "renew_percent"),
            (|s| s.renew_seconds = -1, "renew_seconds"),
        ] {
            let told = refusal(spoil);
            assert!(told.starts_with(name) && told.contains(": "), "{told}");
        }
    }

    #[test]
    fn one_github_never_gets_the_token_of_another() {
        let told = refusal(|s| s.base_url = "https://ghe.example/".into());
        assert!(told.contains(r#"api_url = "https://ghe.example/api/v3""#), "{told}");
        let told = refusal(|s| s.api_url = "https://ghe.example/api/v3".into());
        assert!(told.contains(r#"base_url = "https://HOST""#), "{told}");
        let server = Settings {
            base_url: "https://ghe.example/".into(),
            api_url: "https://ghe.example/api/v3/".into(),
            ..settings()
        };
        assert_eq!(server.check(), Ok(()));
        assert_eq!(server.api("/user"), "https://ghe.example/api/v3/user");
        assert_eq!(server.page("/login"), "https://ghe.example/login");
        assert_eq!(server.other_host(), Some("ghe.example"));
        assert_eq!(settings().other_host(), None);
    }

    #[test]
    fn this_machine_needs_no_encryption() {
        for host in ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]", "[::1]:80"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example", "127.0.0.1.example:80", "", "10.0.0.1", "[::2]:1"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
