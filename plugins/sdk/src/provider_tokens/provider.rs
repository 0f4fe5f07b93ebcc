//! What is particular about each Git provider.

use crate::oauth::ClientAuth;

/// How a Git provider renews its tokens.
#[derive(Debug, PartialEq, Eq)]
pub struct GitProvider {
    /// Its name in the contract.
    pub name: &'static str,
    /// How an application proves itself.
    pub client_auth: ClientAuth,
    /// A refresh token works once: should a call die over it, it may be used up.
    pub single_use: bool,
    /// The error codes by which it refuses a refresh token, beside those that all use.
    pub refusals: &'static [&'static str],
    /// Its usual place.
    pub base_url: &'static str,
    /// Where its token endpoint is below that.
    token_path: &'static str,
}

impl GitProvider {
    /// GitHub, and GitHub Enterprise Server at another place. Tokens of OAuth
    /// apps never expire; those of GitHub Apps live for eight hours, and renewing
    /// one ends the one before.
    pub const GITHUB: Self = Self {
        name: "github",
        client_auth: ClientAuth::Form,
        single_use: true,
        refusals: &[],
        base_url: "https://github.com",
        token_path: "/login/oauth/access_token",
    };

    /// GitLab. Two hours.
    pub const GITLAB: Self = Self {
        name: "gitlab",
        client_auth: ClientAuth::Form,
        single_use: true,
        refusals: &[],
        base_url: "https://gitlab.com",
        token_path: "/oauth/token",
    };

    /// Bitbucket Cloud. Two hours; refresh tokens stay good. One that is revoked is
    /// an `invalid_request` there.
    pub const BITBUCKET: Self = Self {
        name: "bitbucket",
        client_auth: ClientAuth::Basic,
        single_use: false,
        refusals: &["invalid_request"],
        base_url: "https://bitbucket.org",
        token_path: "/site/oauth2/access_token",
    };

    /// Forgejo, of which Codeberg is the best known. One hour; whether a refresh
    /// token works once is the server's to decide, so it is treated as if. One that
    /// was used or is too old makes the client `unauthorized_client`; a client that is
    /// itself refused is `invalid_client`.
    pub const FORGEJO: Self = Self {
        name: "forgejo",
        client_auth: ClientAuth::Form,
        single_use: true,
        refusals: &["unauthorized_client"],
        base_url: "https://codeberg.org",
        token_path: "/login/oauth/access_token",
    };

    /// Azure DevOps, by way of Microsoft Entra; another tenant is another place.
    /// About an hour; refresh tokens stay good.
    pub const AZURE_DEVOPS: Self = Self {
        name: "azure_devops",
        client_auth: ClientAuth::Form,
        single_use: false,
        refusals: &[],
        base_url: "https://login.microsoftonline.com/common",
        token_path: "/oauth2/v2.0/token",
    };

    /// The URL of its token endpoint, below `base_url` where that is another.
    #[must_use]
    pub fn token_url(&self, base_url: Option<&str>) -> String {
        let base_url = base_url.unwrap_or(self.base_url).trim_end_matches('/');
        format!("{base_url}{}", self.token_path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_provider_has_its_endpoint_at_its_usual_place_and_elsewhere() {
        for (provider, usual) in [
            (GitProvider::GITHUB, "https://github.com/login/oauth/access_token"),
            (GitProvider::GITLAB, "https://gitlab.com/oauth/token"),
            (GitProvider::BITBUCKET, "https://bitbucket.org/site/oauth2/access_token"),
            (GitProvider::FORGEJO, "https://codeberg.org/login/oauth/access_token"),
            (
                GitProvider::AZURE_DEVOPS,
                "https://login.microsoftonline.com/common/oauth2/v2.0/token",
            ),
        ] {
            assert_eq!(provider.token_url(None), usual);
        }
        assert_eq!(
            GitProvider::GITLAB.token_url(Some("https://git.example/gitlab/")),
            "https://git.example/gitlab/oauth/token"
        );
    }
}
