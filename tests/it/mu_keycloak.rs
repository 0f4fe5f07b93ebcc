//! Many people, by Keycloak: what the tests of the strategy share, and how it is
//! configured.

mod back_channel;
mod bearer;
mod flow;
mod forged;
mod keys;
mod log_out;
mod plaintext;
mod session;
mod settings;
mod tokens;

use http::StatusCode;
use secrecy::SecretString;
use vestibule::{
    context::TokenError,
    engine::{Hooks, Renewal},
    identity::{ProviderToken, TokenRefusal},
    store::{Session, SessionKey, StoredToken},
};
use vestibule_tests::{
    Reply, TestApp,
    browser::Browser,
    database::{Database, user_id},
    keycloak::{Endpoint, Keycloak, Person},
    run::text,
};

/// A Keycloak with Ada at the browser, and a server that goes by the same clock.
struct Scene {
    keycloak: Keycloak,
    app: TestApp,
}

async fn scene() -> Scene {
    scene_with("").await
}

/// The same with further settings of the strategy.
async fn scene_with(settings: &str) -> Scene {
    scene_of("", settings).await
}

/// The same with lines for the server as well.
async fn scene_of(lines: &str, settings: &str) -> Scene {
    let keycloak = Keycloak::start(Person::new("ada")).await;
    let app = app(&keycloak, &Database::sqlite(), lines, settings).await;
    keycloak.keep_time(&app.clock);
    Scene { keycloak, app }
}

/// A server of this Keycloak's people.
async fn app(keycloak: &Keycloak, database: &Database, lines: &str, settings: &str) -> TestApp {
    let toml = format!("{lines}\n{}", keycloak.toml_with(settings));
    let app = TestApp::start_on(database, "mu-keycloak", &toml, &[], Hooks::default()).await;
    app.expect("the app starts")
}

impl Scene {
    /// A browser in which whoever sits there has logged in.
    async fn log_in(&self) -> Browser {
        let mut browser = Browser::new(&self.app);
        let reply = self.keycloak.lead(&mut browser).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        browser
    }

    /// The same for somebody who sits down there.
    async fn log_in_as(&self, person: Person) -> Browser {
        self.keycloak.sit_down(Some(person));
        self.log_in().await
    }

    /// What becomes of a log-in, of which nothing may stay.
    async fn refused(&self) -> Reply {
        let mut browser = Browser::new(&self.app);
        let reply = self.keycloak.lead(&mut browser).await;
        assert_nothing_came_of_it(&self.app, &browser, &reply).await;
        reply
    }

    fn calls(&self, endpoint: Endpoint) -> usize {
        self.keycloak.script.calls(endpoint)
    }

    /// What is stored for Ada under a name.
    async fn stored(&self, name: &str) -> Option<StoredToken> {
        self.app.host.store().tokens(&user_id("ada")).load(name).await.expect("the store answers")
    }

    /// Ada's token of a provider.
    async fn token(&self, provider: &str, renewal: Renewal) -> Result<ProviderToken, TokenError> {
        token(&self.app, provider, renewal).await
    }
}

async fn token(
    app: &TestApp,
    provider: &str,
    renewal: Renewal,
) -> Result<ProviderToken, TokenError> {
    let user = app.host.user_context_for(&user_id("ada")).await.expect("the user is known");
    user.token_provider().get(provider, renewal).await
}

/// The session of a browser as it is stored.
async fn session_of(app: &TestApp, browser: &Browser) -> Session {
    let key = SessionKey::parse(browser.session().expect("a session")).expect("a key");
    app.host.store().session(&key).await.expect("the store answers").expect("a live session")
}

/// What a session keeps from everybody.
fn secrets_of(session: &Session) -> Vec<SecretString> {
    session.content.secrets.iter().map(|(_, secret)| (**secret).clone()).collect()
}

fn refresh_of(stored: &StoredToken) -> &str {
    text(stored.pair.refresh.as_ref().expect("a token to renew it with"))
}

/// The user's id, as the server takes it.
async fn who(browser: &mut Browser) -> serde_json::Value {
    browser.open("/auth/session").await.json()["user_id"].clone()
}

fn is_reconnect<T>(result: &Result<T, TokenError>) -> bool {
    matches!(result, Err(TokenError::Refused(TokenRefusal::Reconnect(_))))
}

fn is_unavailable<T>(result: &Result<T, TokenError>) -> bool {
    matches!(result, Err(TokenError::Refused(TokenRefusal::Unavailable(_))))
}

/// No session, no token, no user: nothing is left of a log-in that failed.
async fn assert_nothing_came_of_it(app: &TestApp, browser: &Browser, reply: &Reply) {
    let failed = reply.status.is_client_error() || reply.status.is_server_error();
    assert!(failed, "{} {}", reply.status, reply.body);
    assert_eq!(browser.session(), None);
    let users = app.host.store().users().await.unwrap();
    // The local owner is always there.
    assert!(users.iter().all(|user| user.identity.user_id.is_none()), "{users:?}");
    let names = app.host.store().tokens(&user_id("ada")).names().await.unwrap();
    assert_eq!(names, [""; 0]);
}
