//! A Keycloak on loopback that keeps Keycloak's rules, counts its calls, and answers
//! otherwise where a test says so. The Git providers that it brokers are beside it.

mod desk;

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};

use axum::response::Response;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Method, StatusCode, Uri};
use secrecy::SecretString;
use serde_json::{Value, json};
use vestibule::clock::Clock;

use self::desk::Desk;
pub use crate::script::Answer;
use crate::{
    NOW, Reply,
    browser::{Browser, path_of},
    issuer::Key,
    peer::{Peer, Seen, answer},
    run::note_secret,
    script::{Script, json_of},
};

/// The client that is registered there.
pub const CLIENT_ID: &str = "vestibule";

/// Its client secret.
pub const CLIENT_SECRET: &str = "keycloak-secret-0123456789abcdef";

/// The id of the application at each of the Git providers.
pub const APP_ID: &str = "the-app";

/// Its secret.
pub const APP_SECRET: &str = "the-app-secret-0123456789abcdef";

/// Below which the realm is.
const REALM: &str = "/realms/team";

/// What a Keycloak can be asked, and the Git providers beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// The discovery document.
    Discovery,
    /// The key set.
    Keys,
    /// The page where a visitor logs in.
    Authorize,
    /// Where codes and refresh tokens are exchanged.
    Token,
    /// The page where a visitor logs out, and what ends a session otherwise.
    LogOut,
    /// Where a token is ended.
    Revoke,
    /// What a Git provider gave.
    Broker,
    /// Where a Git provider renews tokens.
    Provider,
    /// Where no request should ever go.
    Elsewhere,
}

/// Every one of Keycloak's own that a server asks.
const OWN: [Endpoint; 6] = [
    Endpoint::Discovery,
    Endpoint::Keys,
    Endpoint::Token,
    Endpoint::LogOut,
    Endpoint::Revoke,
    Endpoint::Broker,
];

/// Somebody who has an account.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    /// Their `sub`.
    pub id: String,
    /// What is said of them besides.
    pub claims: Value,
}

impl Person {
    /// An account of this id, with a verified address and a role of each kind.
    #[must_use]
    pub fn new(id: &str) -> Self {
        let claims = json!({
            "name": "Ada Lovelace",
            "preferred_username": format!("{id}-by-name"),
            "email": format!("{id}@corp.example"),
            "email_verified": true,
            "realm_access": {"roles": ["member"]},
            "resource_access": {CLIENT_ID: {"roles": ["editor"]}, "other": {"roles": ["boss"]}},
        });
        Self { id: id.to_owned(), claims }
    }

    /// The same with another claim; `null` takes it away.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        change(&mut self.claims, name, &value.into());
        self
    }
}

/// How a Keycloak hands on what a Git provider gave: it keeps the provider's words,
/// and calls them what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handed {
    /// JSON that says so.
    Json,
    /// A form that says so.
    Form,
    /// A form that is called JSON.
    FormAsJson,
    /// JSON that is called text.
    JsonAsText,
}

/// An ID token before it is signed.
pub struct Draft<'a> {
    /// The realm's key.
    pub key: &'a Key,
    /// The header.
    pub header: Value,
    /// The claims.
    pub claims: Value,
}

impl Draft<'_> {
    /// The same with another claim; `null` takes it away.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        change(&mut self.claims, name, &value.into());
        self
    }

    /// Signed as its header says.
    #[must_use]
    pub fn signed(&self) -> String {
        let algorithm = self.header["alg"].as_str().expect("an algorithm");
        self.key.sign(algorithm, &self.header, &self.claims)
    }
}

/// A running Keycloak with the realm `team`.
#[derive(Clone)]
pub struct Keycloak {
    /// What it answers where a test says so, and how often it was asked.
    pub script: Arc<Script<Endpoint>>,
    /// The server.
    pub peer: Arc<Peer>,
    desk: Arc<Mutex<Desk>>,
}

impl Keycloak {
    /// Opens on a port of its own with somebody at the browser.
    pub async fn start(visitor: Person) -> Self {
        Self::start_behind(visitor, None).await
    }

    /// The same where browsers reach it elsewhere, which is also its issuer's name.
    pub async fn start_behind(visitor: Person, public: Option<&str>) -> Self {
        // To make one takes long.
        static KEY: LazyLock<Arc<Key>> = LazyLock::new(|| Arc::new(Key::rsa("realm-key")));
        for secret in [CLIENT_SECRET, APP_SECRET] {
            note_secret(&SecretString::from(secret));
        }
        let desk = Arc::new(Mutex::new(Desk::new(visitor, Arc::clone(&KEY))));
        let script = Arc::<Script<Endpoint>>::default();
        let (asked, told) = (Arc::clone(&desk), Arc::clone(&script));
        let peer = Peer::start(move |seen: Seen| {
            let (desk, script) = (Arc::clone(&asked), Arc::clone(&told));
            async move { respond(&desk, &script, &seen).await }
        })
        .await;
        let this = Self { script, peer: Arc::new(peer), desk };
        let url = this.url();
        this.desk().open(&url, public.unwrap_or(&url));
        this
    }

    /// Where servers reach it.
    #[must_use]
    pub fn url(&self) -> String {
        self.peer.origin.clone()
    }

    /// The value of `iss`.
    #[must_use]
    pub fn issuer(&self) -> String {
        self.desk().issuer()
    }

    /// The lines by which Vestibule knows it.
    #[must_use]
    pub fn toml(&self) -> String {
        self.toml_with("")
    }

    /// The same with further settings.
    #[must_use]
    pub fn toml_with(&self, settings: &str) -> String {
        let (url, public) = (self.url(), self.desk().public.clone());
        let elsewhere =
            if url == public { String::new() } else { format!("public_url = '{public}'\n") };
        format!(
            "[auth.settings]\nurl = '{url}'\n{elsewhere}realm = 'team'\nclient_id = '{CLIENT_ID}'\n\
             client_secret = '{CLIENT_SECRET}'\n{settings}\n\
             [auth.grants]\nhttp = ['{url}']\nbrowser = ['{public}']\njose = ['{}']\n\
             token_store = ['offline', 'github', 'gitlab', 'bitbucket']\n",
            self.issuer(),
        )
    }

    /// The settings of Git providers that are beside it.
    #[must_use]
    pub fn providers(&self, names: &[&str]) -> String {
        let url = self.url();
        let each = |name: &&str| {
            format!(
                "{name}_url = '{url}/{name}'\n{name}_client_id = '{APP_ID}'\n\
                 {name}_client_secret = '{APP_SECRET}'\n"
            )
        };
        let all: Vec<String> = names.iter().map(each).collect();
        format!("providers = {names:?}\n{}", all.concat())
    }

    /// Goes by this clock.
    pub fn keep_time(&self, clock: &Clock) {
        self.desk().clock = clock.clone();
    }

    /// Somebody else sits down at a new browser; nobody declines.
    pub fn sit_down(&self, visitor: Option<Person>) {
        self.desk().sit_down(visitor);
    }

    /// Visitors decline what is asked for by this scope.
    pub fn decline(&self, scope: &str) {
        self.desk().declined = Some(scope.to_owned());
    }

    /// Visitors are given everything that is asked for but this.
    pub fn withhold(&self, scope: &str) {
        self.desk().withheld = Some(scope.to_owned());
    }

    /// Access tokens say that they live for so many seconds.
    pub fn expire_access(&self, seconds: impl Into<Value>) {
        self.desk().expires_in = seconds.into();
    }

    /// Refresh tokens of browsers live for so many seconds.
    pub fn expire_refresh(&self, seconds: u64) {
        self.desk().refresh_expires_in = seconds;
    }

    /// Tokens of Git providers say that they live for so many seconds; `null` is forever.
    pub fn expire_provider_tokens(&self, seconds: impl Into<Value>) {
        self.desk().provider_expires_in = seconds.into();
    }

    /// There is one more client.
    pub fn register(&self, id: &str, secret: &str) {
        self.desk().clients.insert(id.to_owned(), secret.to_owned());
    }

    /// The client has another secret from now on.
    pub fn change_client_secret(&self, secret: &str) {
        self.register(CLIENT_ID, secret);
    }

    /// Signs with another key from now on, and publishes no other.
    pub fn change_key(&self, key: Key) {
        self.desk().key = Arc::new(key);
    }

    /// ID tokens are what this makes of them.
    pub fn forge(&self, forge: impl Fn(Draft<'_>) -> String + Send + Sync + 'static) {
        self.desk().forge = Some(Arc::new(forge));
    }

    /// Log-outs of browsers end offline grants too, as some versions did.
    pub fn end_offline_at_log_out(&self) {
        self.desk().log_out_ends_offline = true;
    }

    /// Ends every session of somebody, their offline ones too: they were disabled, or
    /// an administrator did.
    pub fn end_everything_of(&self, id: &str) {
        self.desk().end_everything_of(id);
    }

    /// Something else is said of somebody from now on; `null` is nothing.
    pub fn change_claim(&self, id: &str, name: &str, value: impl Into<Value>) {
        self.desk().change_claim(id, name, &value.into());
    }

    /// Links somebody's account at a Git provider, whose tokens it hands on like this.
    pub fn link(&self, id: &str, provider: &str, handed: Handed) {
        self.desk().link(id, provider, handed);
    }

    /// The access token that a Git provider gave for somebody.
    #[must_use]
    pub fn linked(&self, id: &str, provider: &str) -> String {
        self.desk().linked(id, provider)
    }

    /// The Git provider refuses its refresh tokens from now on.
    pub fn take_access_away(&self, provider: &str) {
        self.desk().take_access_away(provider);
    }

    /// Whether the browser's session of this id lives.
    #[must_use]
    pub fn is_logged_in(&self, sid: &str) -> bool {
        self.desk().is_logged_in(sid)
    }

    /// The id of the session of whoever sits at the browser.
    #[must_use]
    pub fn sid(&self) -> String {
        self.desk().sid.clone().expect("somebody has logged in")
    }

    /// Nothing is to be had from it.
    pub fn stop(&self) {
        for endpoint in OWN {
            self.script.answer(endpoint, Answer::HangUp);
        }
    }

    /// It is there again.
    pub fn start_again(&self) {
        for endpoint in OWN {
            self.script.recover(endpoint);
        }
    }

    /// Nothing was asked so far.
    pub fn forget(&self) {
        let _ = self.script.forget_calls();
    }

    /// How often servers have asked, since this was last asked.
    #[must_use]
    pub fn forget_calls(&self) -> usize {
        let calls = self.script.forget_calls();
        calls.iter().filter(|(endpoint, _)| **endpoint != Endpoint::Authorize).map(|(_, n)| n).sum()
    }

    /// An access token that it gave to another client of somebody, with changes.
    #[must_use]
    pub fn bearer(&self, person: &Person, changes: &Value) -> String {
        let desk = self.desk();
        let mut claims =
            desk.access_claims(CLIENT_ID, person, "the-session-of-another-client", "openid");
        claims["azp"] = json!("another-client");
        claims["aud"] = json!(CLIENT_ID);
        for (name, value) in changes.as_object().expect("an object") {
            change(&mut claims, name, value);
        }
        noted(desk.key.token("RS256", &claims))
    }

    /// What a log-out token says about a session of somebody.
    #[must_use]
    pub fn log_out_claims(&self, sub: Option<&str>, sid: Option<&str>) -> Value {
        self.desk().log_out_claims(sub, sid)
    }

    /// A log-out token that says this.
    #[must_use]
    pub fn log_out_token(&self, claims: &Value) -> String {
        let key = Arc::clone(&self.desk().key);
        let header = json!({"alg": "RS256", "typ": "logout+jwt", "kid": key.kid});
        noted(key.sign("RS256", &header, claims))
    }

    /// Visits the page of a log-in as a browser does, and says where that sends it.
    #[must_use]
    pub fn visit(&self, location: &str) -> String {
        let uri: Uri = location.parse().expect("a URL");
        let path = format!("{REALM}/protocol/openid-connect/auth");
        let found = (origin_of(&uri), uri.path());
        assert_eq!(found, (self.desk().public.clone(), path.as_str()));
        self.script.count(Endpoint::Authorize);
        self.desk().agree(&fields(uri.query().unwrap_or_default().as_bytes()))
    }

    /// Visits the page of a log-out, and says where that sends the browser.
    #[must_use]
    pub fn visit_log_out(&self, location: &str) -> Option<String> {
        let uri: Uri = location.parse().expect("a URL");
        let path = format!("{REALM}/protocol/openid-connect/logout");
        let found = (origin_of(&uri), uri.path());
        assert_eq!(found, (self.desk().public.clone(), path.as_str()));
        self.desk().log_out_page(&fields(uri.query().unwrap_or_default().as_bytes()))
    }

    /// Goes on every trip of a log-in; the page at the end of it.
    pub async fn lead(&self, browser: &mut Browser) -> Reply {
        let begun = browser.open("/auth/login/start").await;
        self.lead_on(browser, begun).await
    }

    /// Goes on with a log-in that has begun.
    pub async fn lead_on(&self, browser: &mut Browser, mut reply: Reply) -> Reply {
        let mut trips = 0;
        while reply.status == StatusCode::SEE_OTHER {
            trips += 1;
            assert!(trips < 4, "the log-in does not end");
            let callback = self.visit(reply.header("location"));
            reply = browser.open(&path_of(&callback)).await;
        }
        if let Some(session) = browser.session() {
            note_secret(&SecretString::from(session));
        }
        reply
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        lock(&self.desk)
    }
}

fn origin_of(uri: &Uri) -> String {
    let scheme = uri.scheme_str().expect("a scheme");
    format!("{scheme}://{}", uri.authority().expect("a host"))
}

fn lock(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers a request of a server.
async fn respond(desk: &Mutex<Desk>, script: &Script<Endpoint>, seen: &Seen) -> Response {
    let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
    let origin = lock(desk).url.clone();
    let below = path.strip_prefix(REALM).unwrap_or_default();
    let broker = below.strip_prefix("/broker/").and_then(|rest| rest.strip_suffix("/token"));
    let provider = provider_of(path);
    let endpoint = match (&seen.method, below) {
        (&Method::GET, "/.well-known/openid-configuration") => Endpoint::Discovery,
        (&Method::GET, "/protocol/openid-connect/certs") => Endpoint::Keys,
        (&Method::GET, "/protocol/openid-connect/auth") => Endpoint::Authorize,
        (&Method::POST, "/protocol/openid-connect/token") => Endpoint::Token,
        (_, "/protocol/openid-connect/logout") => Endpoint::LogOut,
        (&Method::POST, "/protocol/openid-connect/revoke") => Endpoint::Revoke,
        (&Method::GET, _) if broker.is_some() => Endpoint::Broker,
        (&Method::POST, _) if provider.is_some() => Endpoint::Provider,
        _ => Endpoint::Elsewhere,
    };
    if let Err(answer) = script.enter(endpoint, &origin).await {
        return answer;
    }
    let form = fields(&seen.body);
    let mut desk = lock(desk);
    let (status, document) = match endpoint {
        Endpoint::Discovery => (200, desk.discovery()),
        Endpoint::Keys => (200, desk.keys()),
        Endpoint::Authorize => return moved(&desk.agree(&fields(query.as_bytes()))),
        Endpoint::Token => desk.exchange(&form, &client(seen, &form)),
        Endpoint::LogOut => return answer(desk.log_out(&form), "text/plain", ""),
        Endpoint::Revoke => desk.revoke(&form, &client(seen, &form)),
        Endpoint::Broker => {
            let token = seen.header("authorization").strip_prefix("Bearer ").unwrap_or_default();
            return desk.hand_on(broker.unwrap_or_default(), token);
        }
        Endpoint::Provider => {
            desk.renew_at(provider.unwrap_or_default(), &form, &client(seen, &form))
        }
        Endpoint::Elsewhere => (404, json!({"error": "there is nothing here"})),
    };
    json_of(status, &document)
}

fn moved(to: &str) -> Response {
    let mut moved = answer(302, "text/plain", "");
    moved.headers_mut().insert("location", to.parse().expect("a URL"));
    moved
}

/// Whose token endpoint a path is.
fn provider_of(path: &str) -> Option<&str> {
    match path {
        "/github/login/oauth/access_token" => Some("github"),
        "/gitlab/oauth/token" => Some("gitlab"),
        "/bitbucket/site/oauth2/access_token" => Some("bitbucket"),
        _ => None,
    }
}

/// The client that a request says it is, with its secret.
fn client(seen: &Seen, form: &BTreeMap<String, String>) -> (String, String) {
    let given = |name: &str| form.get(name).cloned().unwrap_or_default();
    let Some(basic) = seen.header("authorization").strip_prefix("Basic ") else {
        return (given("client_id"), given("client_secret"));
    };
    let pair = STANDARD.decode(basic).ok().and_then(|pair| String::from_utf8(pair).ok());
    let pair = pair.unwrap_or_default();
    let (id, secret) = pair.split_once(':').unwrap_or_default();
    (id.to_owned(), secret.to_owned())
}

fn fields(form: &[u8]) -> BTreeMap<String, String> {
    form_urlencoded::parse(form).into_owned().collect()
}

/// Gives an object another member; `null` takes it away.
fn change(object: &mut Value, name: &str, value: &Value) {
    if value.is_null() {
        object.as_object_mut().expect("an object").remove(name);
    } else {
        object[name] = value.clone();
    }
}

/// A secret that the search is told of.
fn noted(text: String) -> String {
    note_secret(&SecretString::from(text.as_str()));
    text
}

/// When the tests take place, until a clock says otherwise.
fn beginning() -> Clock {
    Clock::fixed(NOW)
}
