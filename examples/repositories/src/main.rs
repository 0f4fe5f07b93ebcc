//! Lists the repositories of a user at a GitHub that is made for this example, with a
//! token that is about to end: run it from the root of the workspace after
//! `cargo xtask plugins`, with `cargo run --package repositories`.

mod repositories;

use repositories::{Error, repositories};
use vestibule::{
    clock::Clock,
    config::{Config, Environment},
    host::Host,
    identity::UserId,
    provider::ProviderHandler,
};
use vestibule_tests::{
    component,
    github::{Account, Endpoint, GitHub},
};

/// The one person.
const OCTOCAT: u64 = 583_231;

/// How long GitHub lets a token live, in seconds.
const LIFETIME: u64 = 8 * 60 * 60;

/// A GitHub, a Vestibule that knows it, and somebody who has logged in.
struct Story {
    github: GitHub,
    clock: Clock,
    git: ProviderHandler,
    http: reqwest::Client,
}

impl Story {
    async fn begin() -> anyhow::Result<Self> {
        let github = GitHub::start(Account::new(OCTOCAT, "octocat")).await;
        github.expire_tokens(LIFETIME);
        let text = format!(
            "database.url = 'sqlite::memory:'\nauth.strategy = '{}'\n{}",
            component("su-github").display(),
            github.toml(&OCTOCAT.to_string())
        );
        let config = Config::parse(None, &text, Environment::fixed(&[]))?;
        let clock = Clock::fixed(1_800_000_000);
        let host = Host::start(config, clock.clone()).await?;
        github.connect_to(host.store(), clock.now()).await;
        // With no request at hand, as a server does that works in the background.
        let user = host.user_context_for(&UserId::new(OCTOCAT.to_string())?).await?;
        let git = ProviderHandler::new(user.token_provider());
        #[expect(clippy::disallowed_methods, reason = "the one client of this program")]
        let http = reqwest::Client::new();
        Ok(Self { github, clock, git, http })
    }

    async fn list(&self) -> Result<Vec<String>, Error> {
        repositories(&self.git, &self.http).await
    }

    fn renewals(&self) -> usize {
        self.github.calls(Endpoint::Token)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let story = Story::begin().await?;
    story.clock.advance(LIFETIME - 60);
    println!("the token ends in a minute: {}", story.list().await?.join(", "));
    println!("GitHub was asked for another one {} time(s)", story.renewals());
    story.github.take_access_away();
    match story.list().await {
        Ok(_) => anyhow::bail!("a token works that was taken away"),
        Err(error) => println!("octocat takes access away: {error}"),
    }
    println!("GitHub was asked for another one {} time(s)", story.renewals());
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use vestibule::{context::TokenError, identity::TokenRefusal, provider::ProviderError};
    use vestibule_tests::github::Answer;

    use super::*;

    const FOUND: [&str; 2] = ["octocat/hello-world", "octocat/linguist"];

    fn is_reconnect(error: &Error) -> bool {
        matches!(
            error,
            Error::Token(ProviderError::Token(TokenError::Refused(TokenRefusal::Reconnect(_))))
        )
    }

    #[tokio::test]
    async fn a_token_is_renewed_on_the_way_to_the_repositories() {
        let story = Story::begin().await.unwrap();
        assert_eq!(story.list().await.unwrap(), FOUND);
        assert_eq!(story.renewals(), 0);
        story.clock.advance(LIFETIME);
        assert_eq!(story.list().await.unwrap(), FOUND);
        assert_eq!(story.renewals(), 1);
        assert_eq!(story.github.calls(Endpoint::Repositories), 2);
    }

    #[tokio::test]
    async fn a_token_that_is_refused_before_its_end_is_renewed_once() {
        let story = Story::begin().await.unwrap();
        story.clock.advance(60);
        let refusal = Answer::Json(401, json!({"message": "Bad credentials"}));
        story.github.answer_once(Endpoint::Repositories, refusal);
        assert_eq!(story.list().await.unwrap(), FOUND);
        assert_eq!(story.renewals(), 1);
    }

    #[tokio::test]
    async fn a_token_that_is_refused_again_has_to_be_connected_again() {
        let story = Story::begin().await.unwrap();
        story.clock.advance(60);
        let refusal = Answer::Json(401, json!({"message": "Bad credentials"}));
        story.github.answer(Endpoint::Repositories, refusal);
        let error = story.list().await.unwrap_err();
        assert!(is_reconnect(&error), "{error}");
        assert_eq!(story.renewals(), 1, "one forced renewal");
        assert_eq!(story.github.calls(Endpoint::Repositories), 2);
        // From then on it is known.
        let error = story.list().await.unwrap_err();
        assert!(is_reconnect(&error), "{error}");
        assert_eq!(story.github.calls(Endpoint::Repositories), 2);
    }

    #[tokio::test]
    async fn access_that_was_taken_away_is_not_asked_for_without_end() {
        let story = Story::begin().await.unwrap();
        story.clock.advance(60);
        story.github.take_access_away();
        for _ in 0..3 {
            let error = story.list().await.unwrap_err();
            assert!(is_reconnect(&error), "{error}");
        }
        assert_eq!(story.renewals(), 1);
        assert_eq!(story.github.calls(Endpoint::Repositories), 1);
    }
}
