//! A GitHub on loopback that keeps GitHub's rules, counts its calls, and answers
//! otherwise where a test says so.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
    routing::{any, delete, get, post},
};
use base64::{Engine as _, engine::general_purpose};
use http::{HeaderMap, StatusCode, Uri, header};
use secrecy::SecretString;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{net::TcpListener, sync::Semaphore};
use vestibule::{
    identity::{Identity, UserId},
    store::{Store, TokenPair},
};

pub use crate::script::Answer;
use crate::{
    run::note_secret,
    script::{Script, json_of},
};

/// The client id of the app that is registered there.
pub const CLIENT_ID: &str = "Iv1.0123456789abcdef";

/// Its client secret.
pub const CLIENT_SECRET: &str = "client-secret-0123456789abcdef";

/// What a GitHub can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// The page where a visitor says yes.
    Authorize,
    /// Where codes and refresh tokens are exchanged.
    Token,
    /// Whose token it is.
    User,
    /// Which repositories the token's owner has.
    Repositories,
    /// Where a token is ended.
    Revoke,
    /// Where no request should ever go.
    Elsewhere,
}

/// An account at GitHub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: u64,
    /// Its log-in name.
    pub login: String,
}

impl Account {
    /// An account of this id and name.
    #[must_use]
    pub fn new(id: u64, login: &str) -> Self {
        Self { id, login: login.to_owned() }
    }
}

/// What a visitor's agreement gives.
#[derive(Clone, Debug)]
pub struct Given {
    /// The access token.
    pub access: Arc<SecretString>,
    /// The token to renew it with, of a GitHub App.
    pub refresh: Option<Arc<SecretString>>,
    /// For how many seconds the access token lives.
    pub expires_in: Option<u64>,
}

/// A running GitHub.
#[derive(Clone)]
pub struct GitHub {
    address: SocketAddr,
    client: (String, String),
    desk: Arc<Mutex<Desk>>,
    script: Arc<Script<Endpoint>>,
}

/// What it knows.
#[derive(Default)]
struct Desk {
    /// Who sits at the browser; nobody declines.
    visitor: Option<Account>,
    /// The lifetime of access tokens, for a GitHub App.
    expires_in: Option<Value>,
    /// What a visitor leaves of the scopes that are asked for.
    scope: Option<String>,
    /// The secrets of the apps that are registered.
    clients: BTreeMap<String, String>,
    codes: BTreeMap<String, Grant>,
    access: BTreeMap<String, Account>,
    refresh: BTreeMap<String, Refresh>,
    /// Answers of the token endpoint wait for this.
    held: Option<Arc<Semaphore>>,
    used: BTreeSet<String>,
    reused: usize,
    made: usize,
}

/// What renews an access token.
struct Refresh {
    client: String,
    account: Account,
    access: String,
}

/// What a visitor has agreed to.
struct Grant {
    client: String,
    account: Account,
    redirect_uri: String,
    challenge: String,
    scope: String,
}

impl GitHub {
    /// Opens on a port of its own, with an OAuth app registered and somebody at
    /// the browser.
    pub async fn start(visitor: Account) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let desk = Desk { visitor: Some(visitor), ..Desk::default() };
        let desk = Arc::new(Mutex::new(desk));
        let client = (String::new(), String::new());
        let github = Self { address, client, desk, script: Arc::default() };
        let github = github.registered(CLIENT_ID, CLIENT_SECRET);
        let api = Router::new()
            .route("/user", get(user))
            .route("/user/repos", get(repositories))
            .route("/applications/{client}/token", delete(revoke));
        let router = Router::new()
            .route("/login/oauth/authorize", get(authorize))
            .route("/login/oauth/access_token", post(token))
            .nest("/api/v3", api)
            .fallback(any(elsewhere))
            .with_state(github.clone());
        let serve = async { axum::serve(listener, router).await.expect("it serves") };
        #[expect(clippy::disallowed_methods, reason = "a server of the test's own")]
        tokio::spawn(serve);
        github
    }

    /// The same as another app of this id knows it.
    #[must_use]
    pub fn registered(&self, id: &str, secret: &str) -> Self {
        note_secret(&SecretString::from(secret));
        let client = (id.to_owned(), secret.to_owned());
        self.desk().clients.insert(client.0.clone(), client.1.clone());
        Self { client, ..self.clone() }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The lines by which Vestibule knows it and the one person who may come in.
    #[must_use]
    pub fn toml(&self, allowed: &str) -> String {
        let (url, (id, secret)) = (self.url(), &self.client);
        format!(
            "[auth.settings]\nallowed = '{allowed}'\nclient_id = '{id}'\n\
             client_secret = '{secret}'\nscopes = ['repo']\nbase_url = '{url}'\n\
             api_url = '{url}/api/v3'\n\
             [auth.grants]\nhttp = ['{url}']\ntoken_store = ['github', 'owner']\n"
        )
    }

    /// Somebody else sits down at the browser; nobody declines.
    pub fn sit_down(&self, visitor: Option<Account>) {
        self.desk().visitor = visitor;
    }

    /// Makes it a GitHub App, whose access tokens live for so many seconds.
    pub fn expire_tokens(&self, seconds: impl Into<Value>) {
        self.desk().expires_in = Some(seconds.into());
    }

    /// Gives tokens to whoever sits at the browser, without the way there.
    #[must_use]
    pub fn connect(&self) -> Given {
        let mut desk = self.desk();
        let account = desk.visitor.clone().expect("somebody sits at the browser");
        let answer = desk.pair(&self.client.0, account, "repo");
        let secret =
            |name: &str| answer[name].as_str().map(|text| Arc::new(SecretString::from(text)));
        Given {
            access: secret("access_token").expect("an access token"),
            refresh: secret("refresh_token"),
            expires_in: answer["expires_in"].as_u64(),
        }
    }

    /// Leaves the visitor's tokens in a database as a log-in does, at `now`.
    pub async fn connect_to(&self, store: &Store, now: u64) {
        self.connect_at(&self.address.ip().to_string(), store, now).await;
    }

    /// The same where Vestibule knows it by another name of this machine.
    pub async fn connect_at(&self, name: &str, store: &Store, now: u64) {
        let account = self.desk().visitor.clone().expect("somebody sits at the browser");
        let user = UserId::new(account.id.to_string()).expect("an id");
        let identity = Identity { user_id: Some(user.clone()), ..Identity::default() };
        store.establish_user(&identity).await.expect("the user is noted");
        let given = self.connect();
        let pair = TokenPair {
            access: Some(given.access),
            refresh_expires_at: given.refresh.as_ref().map(|_| now + 15_811_200),
            refresh: given.refresh,
            access_expires_at: given.expires_in.map(|seconds| now + seconds),
            host: Some(format!("{name}:{}", self.address.port())),
            account_id: Some(user.as_str().to_owned()),
        };
        let mut lease =
            store.tokens(&user).lease("github", Duration::from_secs(5)).await.expect("a lease");
        lease.save(&pair).await.expect("it is stored");
        lease.release().await.expect("it is given back");
    }

    /// The visitor takes scopes away and leaves these.
    pub fn leave_scope(&self, scope: &str) {
        self.desk().scope = Some(scope.to_owned());
    }

    /// The owner takes access away in GitHub's settings.
    pub fn take_access_away(&self) {
        let mut desk = self.desk();
        desk.access.clear();
        desk.refresh.clear();
    }

    /// The next call of an endpoint is answered like this.
    pub fn answer_once(&self, endpoint: Endpoint, answer: Answer) {
        self.script.answer_once(endpoint, answer);
    }

    /// Every call of an endpoint is answered like this.
    pub fn answer(&self, endpoint: Endpoint, answer: Answer) {
        self.script.answer(endpoint, answer);
    }

    /// The endpoint answers by GitHub's rules again.
    pub fn recover(&self, endpoint: Endpoint) {
        self.script.recover(endpoint);
    }

    /// Renews tokens from now on and keeps the answers, until they are let go.
    pub fn hold_answers(&self) {
        self.desk().held = Some(Arc::new(Semaphore::new(0)));
    }

    /// Gives the answers that were kept.
    pub fn let_answers_go(&self) {
        let held = self.desk().held.take().expect("answers are held");
        held.add_permits(Semaphore::MAX_PERMITS);
    }

    /// Whether a token gives access.
    #[must_use]
    pub fn knows(&self, access: &str) -> bool {
        self.desk().access.contains_key(access)
    }

    /// How often a refresh token came that had been used before.
    #[must_use]
    pub fn reused(&self) -> usize {
        self.desk().reused
    }

    /// How often an endpoint was called.
    #[must_use]
    pub fn calls(&self, endpoint: Endpoint) -> usize {
        self.script.calls(endpoint)
    }

    /// How often it was called other than by browsers, since it was last asked.
    #[must_use]
    pub fn forget_calls(&self) -> usize {
        let calls = self.script.forget_calls();
        calls.iter().filter(|(endpoint, _)| **endpoint != Endpoint::Authorize).map(|(_, n)| n).sum()
    }

    /// Visits the page as a browser does, and says where that sends it.
    #[must_use]
    pub fn visit(&self, location: &str) -> String {
        let uri: Uri = location.parse().expect("a URL");
        assert_eq!(uri.authority().expect("a host").as_str(), self.address.to_string());
        assert_eq!(uri.path(), "/login/oauth/authorize");
        self.agree(uri.query().unwrap_or_default())
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn enter(&self, endpoint: Endpoint) -> Result<(), Response> {
        self.script.enter(endpoint, &self.url()).await
    }

    /// What becomes of a visitor, as the query of the page says.
    fn agree(&self, query: &str) -> String {
        self.script.count(Endpoint::Authorize);
        self.desk().agree(query)
    }
}

impl Desk {
    /// What becomes of a visitor, as the query of the page says.
    fn agree(&mut self, query: &str) -> String {
        let query = fields(query.as_bytes());
        let given = |name: &str| query.get(name).cloned().unwrap_or_default();
        let mut answer = form_urlencoded::Serializer::new(String::new());
        match self.visitor.clone() {
            _ if !self.clients.contains_key(&given("client_id"))
                || given("response_type") != "code" =>
            {
                answer.append_pair("error", "application_suspended");
            }
            Some(account) => {
                assert_eq!(given("code_challenge_method"), "S256");
                let code = self.make("code");
                answer.append_pair("code", &code);
                let grant = Grant {
                    client: given("client_id"),
                    account,
                    redirect_uri: given("redirect_uri"),
                    challenge: given("code_challenge"),
                    scope: self.scope.clone().unwrap_or_else(|| given("scope").replace(' ', ",")),
                };
                self.codes.insert(code, grant);
            }
            None => {
                answer.append_pair("error", "access_denied");
                answer.append_pair("error_description", "<b>The user has denied</b>");
            }
        }
        answer.append_pair("state", &given("state"));
        format!("{}?{}", given("redirect_uri"), answer.finish())
    }

    /// Answers at the token endpoint.
    fn exchange(&mut self, form: &BTreeMap<String, String>) -> Value {
        let given = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let client = given("client_id");
        if self.clients.get(client).is_none_or(|secret| secret != given("client_secret")) {
            return json!({"error": "incorrect_client_credentials"});
        }
        if given("grant_type") == "refresh_token" {
            let presented = given("refresh_token");
            if !self.used.insert(presented.to_owned()) {
                self.reused += 1;
            }
            let Some(refresh) =
                self.refresh.remove(presented).filter(|refresh| refresh.client == client)
            else {
                return json!({"error": "bad_refresh_token"});
            };
            // Using the refresh token ends the access token as well.
            self.access.remove(&refresh.access);
            return self.pair(client, refresh.account, "");
        }
        let Some(grant) = self.codes.remove(given("code")) else {
            return json!({"error": "bad_verification_code"});
        };
        if grant.client != client {
            return json!({"error": "bad_verification_code"});
        }
        if grant.redirect_uri != given("redirect_uri") {
            return json!({"error": "redirect_uri_mismatch"});
        }
        let digest = Sha256::digest(given("code_verifier"));
        if grant.challenge != general_purpose::URL_SAFE_NO_PAD.encode(digest) {
            return json!({"error": "bad_verification_code"});
        }
        self.pair(client, grant.account, &grant.scope)
    }

    fn pair(&mut self, client: &str, account: Account, scope: &str) -> Value {
        let access = self.make("access");
        self.access.insert(access.clone(), account.clone());
        let mut answer = json!({"access_token": access, "token_type": "bearer", "scope": scope});
        if let Some(expires_in) = self.expires_in.clone() {
            let refresh = self.make("refresh");
            let client = client.to_owned();
            self.refresh.insert(refresh.clone(), Refresh { client, account, access });
            answer["scope"] = json!("");
            answer["expires_in"] = expires_in;
            answer["refresh_token"] = json!(refresh);
            answer["refresh_token_expires_in"] = json!(15_811_200);
        }
        answer
    }

    /// A secret that nobody has seen.
    fn make(&mut self, what: &str) -> String {
        self.made += 1;
        let text = format!("gh_{what}_secret_{:036}", self.made);
        note_secret(&SecretString::from(text.as_str()));
        text
    }

    /// The owner of the token that a request presents.
    fn owner(&self, headers: &HeaderMap) -> Option<&Account> {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        self.access.get(value.strip_prefix("Bearer ")?)
    }
}

async fn authorize(State(github): State<GitHub>, uri: Uri) -> Response {
    let location = github.agree(uri.query().unwrap_or_default());
    (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
}

async fn token(State(github): State<GitHub>, headers: HeaderMap, body: Bytes) -> Response {
    if let Err(answer) = github.enter(Endpoint::Token).await {
        return answer;
    }
    let answer = github.desk().exchange(&fields(&body));
    let held = github.desk().held.clone();
    if let Some(held) = held {
        let _ = held.acquire().await;
    }
    // Unless it is asked for JSON, GitHub answers with a form.
    if headers.get(header::ACCEPT).is_some_and(|accept| accept == "application/json") {
        return json_of(200, &answer);
    }
    let mut form = form_urlencoded::Serializer::new(String::new());
    for (name, value) in answer.as_object().expect("an object") {
        form.append_pair(name, value.as_str().unwrap_or(&value.to_string()));
    }
    let kind = "application/x-www-form-urlencoded; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], form.finish()).into_response()
}

async fn user(State(github): State<GitHub>, headers: HeaderMap) -> Response {
    if let Err(answer) = github.enter(Endpoint::User).await {
        return answer;
    }
    if !headers.contains_key(header::USER_AGENT) {
        return json_of(403, &json!({"message": "Request forbidden by administrative rules."}));
    }
    match github.desk().owner(&headers) {
        Some(Account { id, login }) => {
            let document = json!({"login": login, "id": id, "type": "User", "name": "Mona",
                "email": "mona@example.com", "site_admin": false});
            json_of(200, &document)
        }
        None => json_of(401, &json!({"message": "Bad credentials", "status": "401"})),
    }
}

async fn repositories(State(github): State<GitHub>, headers: HeaderMap) -> Response {
    if let Err(answer) = github.enter(Endpoint::Repositories).await {
        return answer;
    }
    match github.desk().owner(&headers) {
        Some(Account { login, .. }) => {
            let named = |name: &str| json!({"full_name": format!("{login}/{name}")});
            json_of(200, &json!([named("hello-world"), named("linguist")]))
        }
        None => json_of(401, &json!({"message": "Bad credentials", "status": "401"})),
    }
}

async fn revoke(
    State(github): State<GitHub>,
    Path(client): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(answer) = github.enter(Endpoint::Revoke).await {
        return answer;
    }
    let secret = github.desk().clients.get(&client).cloned().unwrap_or_default();
    let basic = general_purpose::STANDARD.encode(format!("{client}:{secret}"));
    let presented = headers.get(header::AUTHORIZATION).map(http::HeaderValue::as_bytes);
    if presented != Some(format!("Basic {basic}").as_bytes()) {
        return json_of(401, &json!({"message": "Bad credentials"}));
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let token = body["access_token"].as_str().unwrap_or_default();
    match github.desk().access.remove(token) {
        Some(_) => StatusCode::NO_CONTENT.into_response(),
        None => json_of(404, &json!({"message": "Not Found"})),
    }
}

async fn elsewhere(State(github): State<GitHub>) -> Response {
    match github.enter(Endpoint::Elsewhere).await {
        Ok(()) => StatusCode::NOT_FOUND.into_response(),
        Err(answer) => answer,
    }
}

fn fields(form: &[u8]) -> BTreeMap<String, String> {
    form_urlencoded::parse(form).into_owned().collect()
}
