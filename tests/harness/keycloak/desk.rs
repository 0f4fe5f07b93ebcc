//! What a Keycloak knows, and what it gives for what it is given.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::response::Response;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use vestibule::clock::Clock;

use super::{
    APP_ID, APP_SECRET, CLIENT_ID, CLIENT_SECRET, Draft, Handed, Person, REALM, beginning, change,
    noted,
};
use crate::{
    issuer::{Key, coded},
    peer::answer,
    script::json_of,
};

type Form = BTreeMap<String, String>;

/// What makes an ID token of a draft.
type Forge = Arc<dyn Fn(Draft<'_>) -> String + Send + Sync>;

/// What a Keycloak knows.
pub(super) struct Desk {
    pub(super) url: String,
    pub(super) public: String,
    pub(super) clock: Clock,
    pub(super) key: Arc<Key>,
    /// The secrets of the clients that are registered.
    pub(super) clients: BTreeMap<String, String>,
    pub(super) expires_in: Value,
    pub(super) refresh_expires_in: u64,
    pub(super) provider_expires_in: Value,
    pub(super) forge: Option<Forge>,
    pub(super) log_out_ends_offline: bool,
    /// What visitors decline.
    pub(super) declined: Option<String>,
    /// What they are not given, whatever they are asked.
    pub(super) withheld: Option<String>,
    /// Who sits at the browser; nobody declines everything.
    visitor: Option<Person>,
    /// The session of that browser.
    pub(super) sid: Option<String>,
    codes: BTreeMap<String, Code>,
    sessions: BTreeMap<String, Session>,
    refresh: BTreeMap<String, Refresh>,
    access: BTreeMap<String, Access>,
    /// What a Git provider gave for whom, and how it is handed on.
    linked: BTreeMap<(String, String), (Value, Handed)>,
    /// Refresh tokens of Git providers, each with its provider.
    provider_refresh: BTreeMap<String, String>,
    used: BTreeSet<String>,
    made: usize,
}

/// What a visitor has agreed to.
struct Code {
    client: String,
    sid: String,
    redirect_uri: String,
    challenge: String,
    nonce: Option<String>,
    scope: String,
}

/// Somebody's session, in a browser and beyond it.
struct Session {
    person: Person,
    online: bool,
    offline: bool,
}

struct Refresh {
    client: String,
    sid: String,
    scope: String,
    expires_at: Option<u64>,
}

struct Access {
    sid: String,
    offline: bool,
    expires_at: u64,
}

fn is_offline(scope: &str) -> bool {
    scope.split(' ').any(|scope| scope == "offline_access")
}

impl Desk {
    pub(super) fn new(visitor: Person, key: Arc<Key>) -> Self {
        Self {
            url: String::new(),
            public: String::new(),
            clock: beginning(),
            key,
            clients: BTreeMap::from([(CLIENT_ID.to_owned(), CLIENT_SECRET.to_owned())]),
            expires_in: json!(300),
            refresh_expires_in: 1800,
            provider_expires_in: json!(28_800),
            forge: None,
            log_out_ends_offline: false,
            declined: None,
            withheld: None,
            visitor: Some(visitor),
            sid: None,
            codes: BTreeMap::new(),
            sessions: BTreeMap::new(),
            refresh: BTreeMap::new(),
            access: BTreeMap::new(),
            linked: BTreeMap::new(),
            provider_refresh: BTreeMap::new(),
            used: BTreeSet::new(),
            made: 0,
        }
    }

    pub(super) fn open(&mut self, url: &str, public: &str) {
        url.clone_into(&mut self.url);
        public.clone_into(&mut self.public);
    }

    pub(super) fn issuer(&self) -> String {
        format!("{}{REALM}", self.public)
    }

    pub(super) fn discovery(&self) -> Value {
        let for_browsers = |name: &str| format!("{}/protocol/openid-connect/{name}", self.issuer());
        let own = |name: &str| format!("{}{REALM}/protocol/openid-connect/{name}", self.url);
        json!({
            "issuer": self.issuer(),
            "authorization_endpoint": for_browsers("auth"),
            "end_session_endpoint": for_browsers("logout"),
            "token_endpoint": own("token"),
            "userinfo_endpoint": own("userinfo"),
            "revocation_endpoint": own("revoke"),
            "jwks_uri": own("certs"),
            "authorization_response_iss_parameter_supported": true,
            "backchannel_logout_supported": true,
            "code_challenge_methods_supported": ["plain", "S256"],
        })
    }

    pub(super) fn keys(&self) -> Value {
        json!({"keys": [self.key.jwk()]})
    }

    pub(super) fn sit_down(&mut self, visitor: Option<Person>) {
        self.visitor = visitor;
        self.sid = None;
    }

    pub(super) fn is_logged_in(&self, sid: &str) -> bool {
        self.sessions.get(sid).is_some_and(|session| session.online)
    }

    pub(super) fn end_everything_of(&mut self, id: &str) {
        for session in self.sessions.values_mut().filter(|session| session.person.id == id) {
            (session.online, session.offline) = (false, false);
        }
        self.sid = None;
    }

    pub(super) fn change_claim(&mut self, id: &str, name: &str, value: &Value) {
        for session in self.sessions.values_mut().filter(|session| session.person.id == id) {
            change(&mut session.person.claims, name, value);
        }
    }

    /// What becomes of a visitor.
    pub(super) fn agree(&mut self, query: &Form) -> String {
        let given = |name: &str| query.get(name).cloned().unwrap_or_default();
        let client = given("client_id");
        assert!(self.clients.contains_key(&client), "{client} is no client");
        assert_eq!(given("response_type"), "code");
        assert_eq!(given("code_challenge_method"), "S256");
        let scope = given("scope");
        let asks = |declined: &String| scope.split(' ').any(|scope| scope == declined);
        let declines = self.declined.as_ref().is_some_and(asks);
        let mut answer = form_urlencoded::Serializer::new(String::new());
        match self.visitor.clone().filter(|_| !declines) {
            Some(person) => {
                let sid = self.session_of(person);
                let code = self.make("code", 0);
                answer.append_pair("session_state", &sid).append_pair("code", &code);
                let nonce = query.get("nonce").cloned();
                let (redirect_uri, challenge) = (given("redirect_uri"), given("code_challenge"));
                let left = |scope: &&str| self.withheld.as_deref() != Some(*scope);
                let scope: Vec<&str> = scope.split(' ').filter(left).collect();
                let scope = scope.join(" ");
                let given = Code { client, sid, redirect_uri, challenge, nonce, scope };
                self.codes.insert(code, given);
            }
            None => {
                answer.append_pair("error", "access_denied");
                answer.append_pair("error_description", "<b>The user has denied</b>");
            }
        }
        answer.append_pair("state", &given("state")).append_pair("iss", &self.issuer());
        format!("{}?{}", given("redirect_uri"), answer.finish())
    }

    /// The session of this browser, begun where there is none.
    fn session_of(&mut self, person: Person) -> String {
        if let Some(sid) = self.sid.clone().filter(|sid| self.is_logged_in(sid)) {
            return sid;
        }
        self.made += 1;
        let sid = format!("{:08}-sid-{}", self.made, person.id);
        self.sessions.insert(sid.clone(), Session { person, online: true, offline: false });
        self.sid = Some(sid.clone());
        sid
    }

    /// Answers at the token endpoint.
    pub(super) fn exchange(&mut self, form: &Form, client: &(String, String)) -> (u16, Value) {
        let given = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        if !self.knows(client) {
            let why = "Invalid client or Invalid client credentials";
            return (401, json!({"error": "invalid_client", "error_description": why}));
        }
        if given("grant_type") == "refresh_token" {
            return self.refresh(given("refresh_token"), &client.0);
        }
        let Some(code) = self.codes.remove(given("code")) else {
            return refused("Code not valid");
        };
        if code.client != client.0 {
            return refused("Auth error");
        }
        let digest = Sha256::digest(given("code_verifier"));
        if code.challenge != coded(&digest) {
            return refused("PKCE verification failed: Code mismatch");
        }
        if code.redirect_uri != given("redirect_uri") {
            return refused("Incorrect redirect_uri");
        }
        if is_offline(&code.scope) {
            let session = self.sessions.get_mut(&code.sid).expect("a code is of a session");
            session.offline = true;
        }
        (200, self.grant(&client.0, &code.sid, &code.scope, code.nonce.as_deref()))
    }

    fn knows(&self, (id, secret): &(String, String)) -> bool {
        self.clients.get(id) == Some(secret)
    }

    fn refresh(&mut self, token: &str, client: &str) -> (u16, Value) {
        if self.used.contains(token) {
            // Whoever uses a token again loses the whole session.
            let sid = self.refresh.get(token).map(|refresh| refresh.sid.clone());
            if let Some(session) = sid.and_then(|sid| self.sessions.get_mut(&sid)) {
                (session.online, session.offline) = (false, false);
            }
            return refused("Maximum allowed refresh token reuse exceeded");
        }
        let Some(refresh) = self.refresh.get(token) else {
            return refused("Invalid refresh token");
        };
        if refresh.client != client {
            let why = "Invalid refresh token. Token client and authorized client don't match";
            return refused(why);
        }
        let (sid, scope) = (refresh.sid.clone(), refresh.scope.clone());
        let over = refresh.expires_at.is_some_and(|at| at <= self.clock.now());
        let alive = |session: &Session| {
            if is_offline(&scope) { session.offline } else { session.online }
        };
        if over || !self.sessions.get(&sid).is_some_and(alive) {
            return refused(if is_offline(&scope) {
                "Offline user session not found"
            } else {
                "Session not active"
            });
        }
        self.used.insert(token.to_owned());
        (200, self.grant(client, &sid, &scope, None))
    }

    /// New tokens of a session.
    fn grant(&mut self, client: &str, sid: &str, scope: &str, nonce: Option<&str>) -> Value {
        let now = self.clock.now();
        let offline = is_offline(scope);
        let person = self.sessions[sid].person.clone();
        let mut claims = self.access_claims(client, &person, sid, scope);
        self.made += 1;
        claims["jti"] = json!(format!("access-{}", self.made));
        let access = noted(self.key.token("RS256", &claims));
        let expires_at = claims["exp"].as_u64().expect("an instant");
        self.access.insert(access.clone(), Access { sid: sid.to_owned(), offline, expires_at });
        // As long as Keycloak's, which are signed.
        let refresh = self.make("refresh", 700);
        let lives = (!offline).then_some(self.refresh_expires_in);
        self.refresh.insert(
            refresh.clone(),
            Refresh {
                client: client.to_owned(),
                sid: sid.to_owned(),
                scope: scope.to_owned(),
                expires_at: lives.map(|seconds| now + seconds),
            },
        );
        let mut answer = json!({
            "access_token": access, "refresh_token": refresh, "token_type": "Bearer",
            "refresh_expires_in": lives.unwrap_or(0), "not-before-policy": 0,
            "session_state": sid, "scope": scope,
            "id_token": self.id_token(client, &person, sid, nonce, &access),
        });
        change(&mut answer, "expires_in", &self.expires_in);
        answer
    }

    pub(super) fn access_claims(
        &self,
        client: &str,
        person: &Person,
        sid: &str,
        scope: &str,
    ) -> Value {
        let now = self.clock.now();
        let lives = self.expires_in.as_u64().filter(|lives| (1..100_000).contains(lives));
        let mut claims = person.claims.clone();
        for (name, value) in [
            ("iss", json!(self.issuer())),
            ("sub", json!(person.id)),
            ("aud", json!("account")),
            ("azp", json!(client)),
            ("typ", json!("Bearer")),
            ("sid", json!(sid)),
            ("scope", json!(scope)),
            ("iat", json!(now)),
            ("exp", json!(now + lives.unwrap_or(300))),
        ] {
            claims[name] = value;
        }
        claims
    }

    fn id_token(
        &self,
        client: &str,
        person: &Person,
        sid: &str,
        nonce: Option<&str>,
        access: &str,
    ) -> String {
        let digest = Sha256::digest(access);
        let mut claims = self.access_claims(client, person, sid, "");
        for (name, value) in [
            ("aud", json!(client)),
            ("typ", json!("ID")),
            ("nonce", json!(nonce)),
            ("at_hash", json!(coded(&digest[..16]))),
            ("scope", Value::Null),
            ("realm_access", Value::Null),
            ("resource_access", Value::Null),
        ] {
            change(&mut claims, name, &value);
        }
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": self.key.kid});
        let draft = Draft { key: &self.key, header, claims };
        noted(match &self.forge {
            Some(forge) => forge(draft),
            None => draft.signed(),
        })
    }

    pub(super) fn log_out_claims(&mut self, sub: Option<&str>, sid: Option<&str>) -> Value {
        let now = self.clock.now();
        self.made += 1;
        let mut claims = json!({
            "iss": self.issuer(), "aud": CLIENT_ID, "iat": now, "exp": now + 120,
            "jti": format!("log-out-{}", self.made), "typ": "Logout",
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        });
        change(&mut claims, "sub", &json!(sub));
        change(&mut claims, "sid", &json!(sid));
        claims
    }

    /// A browser at the page of log-outs.
    pub(super) fn log_out_page(&mut self, query: &Form) -> Option<String> {
        let hint = query.get("id_token_hint").expect("a hint, or Keycloak asks the visitor");
        let payload = hint.split('.').nth(1).expect("a token");
        let payload = URL_SAFE_NO_PAD.decode(payload).expect("base64");
        let claims: Value = serde_json::from_slice(&payload).expect("JSON");
        assert_eq!(claims["aud"], CLIENT_ID, "the hint is of another client");
        self.end(claims["sid"].as_str().expect("a session"));
        query.get("post_logout_redirect_uri").cloned()
    }

    /// What a server may do with a refresh token, beside the standards.
    pub(super) fn log_out(&mut self, form: &Form) -> u16 {
        let refresh = form.get("refresh_token").and_then(|token| self.refresh.get(token));
        let Some(sid) = refresh.map(|refresh| refresh.sid.clone()) else { return 400 };
        self.end(&sid);
        204
    }

    fn end(&mut self, sid: &str) {
        let everything = self.log_out_ends_offline;
        if let Some(session) = self.sessions.get_mut(sid) {
            session.online = false;
            session.offline &= !everything;
        }
    }

    pub(super) fn revoke(&mut self, form: &Form, client: &(String, String)) -> (u16, Value) {
        if !self.knows(client) {
            return (401, json!({"error": "invalid_client"}));
        }
        let token = form.get("token").map(String::as_str).unwrap_or_default();
        if let Some(refresh) = self.refresh.get(token)
            && let Some(session) = self.sessions.get_mut(&refresh.sid)
        {
            if is_offline(&refresh.scope) {
                session.offline = false;
            } else {
                session.online = false;
            }
        }
        (200, json!({}))
    }

    /// What a Git provider gave, for whoever the access token is of.
    pub(super) fn hand_on(&self, provider: &str, token: &str) -> Response {
        let now = self.clock.now();
        let alive = self.access.get(token).filter(|access| {
            let session = &self.sessions[&access.sid];
            let on = if access.offline { session.offline } else { session.online };
            on && now < access.expires_at
        });
        let Some(access) = alive else {
            return json_of(401, &json!({"error": "invalid_token"}));
        };
        let id = &self.sessions[&access.sid].person.id;
        let Some((given, handed)) = self.linked.get(&(id.clone(), provider.to_owned())) else {
            let why = format!("User [{id}] is not associated with identity provider [{provider}].");
            return json_of(400, &json!({"errorMessage": why}));
        };
        let form = || {
            let mut form = form_urlencoded::Serializer::new(String::new());
            for (name, value) in given.as_object().expect("an object") {
                form.append_pair(name, value.as_str().unwrap_or(&value.to_string()));
            }
            form.finish()
        };
        match handed {
            Handed::Json => answer(200, "application/json", given.to_string()),
            Handed::JsonAsText => answer(200, "text/plain;charset=UTF-8", given.to_string()),
            Handed::Form => answer(200, "application/x-www-form-urlencoded", form()),
            Handed::FormAsJson => answer(200, "application/json", form()),
        }
    }

    pub(super) fn link(&mut self, id: &str, provider: &str, handed: Handed) {
        let given = self.provider_pair(provider);
        self.linked.insert((id.to_owned(), provider.to_owned()), (given, handed));
    }

    pub(super) fn linked(&self, id: &str, provider: &str) -> String {
        let (given, _) = &self.linked[&(id.to_owned(), provider.to_owned())];
        given["access_token"].as_str().expect("a token").to_owned()
    }

    fn provider_pair(&mut self, provider: &str) -> Value {
        let access = self.make(&format!("{provider}_access"), 0);
        let mut given = json!({"access_token": access, "token_type": "bearer", "scope": "repo"});
        if !self.provider_expires_in.is_null() {
            let refresh = self.make(&format!("{provider}_refresh"), 0);
            self.provider_refresh.insert(refresh.clone(), provider.to_owned());
            given["refresh_token"] = json!(refresh);
            given["expires_in"] = self.provider_expires_in.clone();
        }
        given
    }

    pub(super) fn take_access_away(&mut self, provider: &str) {
        self.provider_refresh.retain(|_, of| of != provider);
    }

    /// Renews a token at a Git provider.
    pub(super) fn renew_at(
        &mut self,
        provider: &str,
        form: &Form,
        (id, secret): &(String, String),
    ) -> (u16, Value) {
        let github = provider == "github";
        if (id.as_str(), secret.as_str()) != (APP_ID, APP_SECRET) {
            let error = if github { "incorrect_client_credentials" } else { "invalid_client" };
            return (if github { 200 } else { 401 }, json!({"error": error}));
        }
        let token = form.get("refresh_token").map(String::as_str).unwrap_or_default();
        if self.provider_refresh.get(token).is_none_or(|of| of != provider) {
            return if github {
                (200, json!({"error": "bad_refresh_token"}))
            } else {
                refused("The provided authorization grant is invalid")
            };
        }
        // Bitbucket's go on.
        if provider != "bitbucket" {
            self.provider_refresh.remove(token);
        }
        (200, self.provider_pair(provider))
    }

    /// A secret that nobody has seen, with so many letters more.
    fn make(&mut self, what: &str, more: usize) -> String {
        self.made += 1;
        noted(format!("kc_{what}_secret_{:036}{}", self.made, "r".repeat(more)))
    }
}

fn refused(why: &str) -> (u16, Value) {
    (400, json!({"error": "invalid_grant", "error_description": why}))
}
