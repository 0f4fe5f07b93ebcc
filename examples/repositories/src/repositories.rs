//! The repositories of a user at a Git provider: what a server does that acts in a user's
//! name. It holds no token for longer than a request, and knows nothing of renewal.

use reqwest::{StatusCode, header};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use vestibule::provider::{ProviderClient, ProviderError, ProviderHandler};

/// The repositories cannot be listed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is no token, or the account has to be connected again.
    #[error(transparent)]
    Token(#[from] ProviderError),
    /// The provider cannot be asked.
    #[error("the provider cannot be asked")]
    Network(#[from] reqwest::Error),
    /// The provider's answer is no list of repositories.
    #[error("the provider answers with what is no list of repositories")]
    Answer(#[from] serde_json::Error),
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
}

/// The names of a user's repositories.
///
/// A provider that refuses a token is asked once more with another one. Should it
/// refuse that as well, the account has to be connected again, which everybody is told
/// from then on without the provider being asked.
pub(crate) async fn repositories(
    git: &ProviderHandler,
    http: &reqwest::Client,
) -> Result<Vec<String>, Error> {
    let mut client = git.for_provider("github").await?;
    loop {
        let reply = http
            .get(format!("{}/user/repos", api(&client)))
            .bearer_auth(bare(&client))
            .header(header::USER_AGENT, "vestibule-example")
            .send()
            .await?;
        if reply.status() == StatusCode::UNAUTHORIZED {
            client = git.after_refusal(&client).await?;
            continue;
        }
        let text = reply.error_for_status()?.text().await?;
        let found: Vec<Repository> = serde_json::from_str(&text)?;
        return Ok(found.into_iter().map(|repository| repository.full_name).collect());
    }
}

/// Where the API of a GitHub is; one on this machine has no certificate.
fn api(client: &ProviderClient) -> String {
    match client.host.as_str() {
        "github.com" => "https://api.github.com".to_owned(),
        host if host.starts_with("127.0.0.1:") => format!("http://{host}/api/v3"),
        host => format!("https://{host}/api/v3"),
    }
}

#[expect(clippy::disallowed_methods, reason = "the token goes to the provider that gave it")]
fn bare(client: &ProviderClient) -> &str {
    client.token.expose_secret()
}
