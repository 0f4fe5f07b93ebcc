//! What the peer says: as an OpenID provider, an OAuth server and a Git host would.

use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::{Map, Value, json};
use url::{Url, form_urlencoded};

use super::{
    canary::Canaries,
    mood::{Mood, Start},
};
use crate::clock::Clock;

/// Who logs in, where the author says nothing else.
const ID: u64 = 1_000_001;
const NAME: &str = "vestibule-kit";

/// The usual place of a discovery document, below the issuer.
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// A request to the peer.
pub(super) struct Asked<'a> {
    /// What the strategy asked by.
    pub(super) scheme: Option<&'a str>,
    pub(super) authority: &'a str,
    pub(super) authorization: &'a str,
    pub(super) path: &'a str,
    pub(super) is_post: bool,
    pub(super) body: &'a [u8],
}

/// What the peer knows and how it feels.
pub(super) struct Desk {
    canaries: Canaries,
    clock: Clock,
    key: Ed25519KeyPair,
    /// A key that no document names.
    other_key: Ed25519KeyPair,
    state: Mutex<State>,
}

struct State {
    mood: Mood,
    /// Requests of the call that runs.
    asked: usize,
    issuers: Vec<String>,
    nonce: String,
    person: Map<String, Value>,
}

/// A document, and which of its members are secrets.
pub(super) struct Said(Value);

/// Members of a document that hold secrets.
const SECRETS: [&str; 3] = ["access_token", "refresh_token", "id_token"];

impl Desk {
    pub(super) fn new(canaries: Canaries, clock: Clock) -> io::Result<Self> {
        let key = || Ed25519KeyPair::generate().map_err(|_| io::Error::other("no key can be made"));
        let state = State {
            mood: Mood::Good,
            asked: 0,
            issuers: Vec::new(),
            nonce: String::new(),
            person: Map::new(),
        };
        Ok(Self { canaries, clock, key: key()?, other_key: key()?, state: Mutex::new(state) })
    }

    /// Whose issuers it is, and who logs in there.
    pub(super) fn vouch_for(&self, issuers: &[String], person: &Map<String, Value>) {
        let mut state = self.state();
        state.issuers = issuers.to_vec();
        state.person.clone_from(person);
    }

    /// The next call, and how it is answered.
    pub(super) fn turn(&self, mood: Mood, nonce: Option<&str>) {
        let mut state = self.state();
        (state.mood, state.asked) = (mood, 0);
        if let Some(nonce) = nonce {
            nonce.clone_into(&mut state.nonce);
        }
    }

    /// How often the call that ran has asked.
    pub(super) fn count(&self) -> usize {
        self.state().asked
    }

    /// Counts a request, and says how it is answered.
    pub(super) fn asked(&self) -> Mood {
        let mut state = self.state();
        state.asked += 1;
        match state.mood {
            Mood::Hostile(_, Start::Later) if state.asked == 1 => Mood::Good,
            mood => mood,
        }
    }

    /// The answer to a request, from somebody who is not the issuer where so asked.
    pub(super) fn said(&self, asked: &Asked<'_>, is_impostor: bool) -> Said {
        if let Some(below) = asked.path.strip_suffix(DISCOVERY) {
            return Said(self.discovery(asked, below, is_impostor));
        }
        if asked.path.ends_with("/certs") || asked.path.contains("jwks") {
            return Said(self.keys());
        }
        let form: Vec<(String, String)> = form_urlencoded::parse(asked.body).into_owned().collect();
        let field = |name: &str| {
            form.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone())
        };
        let takes_tokens = field("grant_type").is_some() || field("code").is_some();
        if asked.is_post && takes_tokens {
            let client = field("client_id").or_else(|| client_of(asked.authorization));
            return Said(self.tokens(client.as_deref().unwrap_or(NAME), is_impostor));
        }
        if asked.is_post {
            return Said(json!({}));
        }
        if asked.path.contains("/broker/") {
            let access = self.canaries.make("provider token");
            return Said(json!({"access_token": access, "expires_in": 3600, "scope": "repo"}));
        }
        let mut person = self.person();
        if is_impostor {
            let somebody = json!({"id": 666, "sub": "somebody-else", "login": "somebody-else"});
            person.extend(somebody.as_object().cloned().unwrap_or_default());
        }
        Said(person.into())
    }

    fn person(&self) -> Map<String, Value> {
        let person = json!({
            "id": ID, "sub": ID.to_string(), "login": NAME, "username": NAME,
            "preferred_username": NAME, "name": "Kit", "email": "kit@example.com",
            "email_verified": true,
        });
        let mut person = person.as_object().cloned().unwrap_or_default();
        person.extend(self.state().person.clone());
        person
    }

    fn discovery(&self, asked: &Asked<'_>, below: &str, is_impostor: bool) -> Value {
        let base = format!("{}://{}{below}", asked.scheme.unwrap_or("https"), asked.authority);
        let state = self.state();
        let is_it = |issuer: &&String| {
            let trimmed = issuer.trim_end_matches('/');
            trimmed == base || Url::parse(trimmed).is_ok_and(|url| url.path() == below)
        };
        let issuer = state.issuers.iter().find(is_it).map_or(base.as_str(), String::as_str);
        let issuer = if is_impostor { "https://impostor.example" } else { issuer };
        json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{base}/authorize"),
            "token_endpoint": format!("{base}/token"),
            "userinfo_endpoint": format!("{base}/userinfo"),
            "end_session_endpoint": format!("{base}/logout"),
            "revocation_endpoint": format!("{base}/revoke"),
            "jwks_uri": format!("{base}/certs"),
            "id_token_signing_alg_values_supported": ["EdDSA"],
        })
    }

    fn keys(&self) -> Value {
        let x = BASE64_URL_SAFE_NO_PAD.encode(self.key.public_key());
        json!({"keys": [{
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "kit", "x": x,
        }]})
    }

    fn tokens(&self, client: &str, is_impostor: bool) -> Value {
        let now = self.clock.now();
        let (issuer, nonce) = {
            let state = self.state();
            (state.issuers.first().cloned().unwrap_or_default(), state.nonce.clone())
        };
        let mut claims = self.person();
        let (audience, nonce) =
            if is_impostor { ("somebody-else", "another") } else { (client, nonce.as_str()) };
        let said = json!({
            "iss": issuer, "aud": audience, "azp": audience, "iat": now, "auth_time": now,
            "exp": now + 3600, "nonce": nonce, "sid": "kit-session", "typ": "ID",
        });
        claims.extend(said.as_object().cloned().unwrap_or_default());
        let key = if is_impostor { &self.other_key } else { &self.key };
        let id = self.signed("JWT", &claims.into(), key);
        json!({
            "access_token": self.canaries.make("access token"),
            "refresh_token": self.canaries.make("refresh token"),
            "id_token": id,
            "token_type": "Bearer", "expires_in": 3600, "refresh_expires_in": 7200,
            "scope": "openid email profile offline_access",
        })
    }

    /// A log-out token of the issuer (OpenID Connect Back-Channel Logout 1.0).
    pub(super) fn log_out_token(&self, client: &str) -> String {
        let now = self.clock.now();
        let issuer = self.state().issuers.first().cloned().unwrap_or_default();
        let claims = json!({
            "iss": issuer, "aud": client, "iat": now, "exp": now + 120, "sid": "kit-session",
            "sub": ID.to_string(), "jti": self.canaries.make("jti"),
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        });
        self.signed("logout+jwt", &claims, &self.key)
    }

    fn signed(&self, kind: &str, claims: &Value, key: &Ed25519KeyPair) -> String {
        let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let head = encode(&json!({"alg": "EdDSA", "kid": "kit", "typ": kind}));
        let signed = format!("{head}.{}", encode(claims));
        let signature = BASE64_URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
        self.canaries.note("signed token", &signature);
        format!("{signed}.{signature}")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The client that proves itself by a header.
fn client_of(authorization: &str) -> Option<String> {
    let basic = BASE64_STANDARD.decode(authorization.strip_prefix("Basic ")?).ok()?;
    let basic = String::from_utf8(basic).ok()?;
    let name = basic.split_once(':')?.0.to_owned();
    form_urlencoded::parse(name.as_bytes()).next().map(|(name, _)| name.into_owned())
}

impl Said {
    pub(super) fn text(&self) -> String {
        self.0.to_string()
    }

    /// For answers out of which nothing can be taken.
    pub(super) fn without_secrets(mut self) -> String {
        if let Value::Object(members) = &mut self.0 {
            for (_, value) in
                members.iter_mut().filter(|(name, _)| SECRETS.contains(&name.as_str()))
            {
                *value = "none".into();
            }
        }
        self.text()
    }

    pub(super) fn changed(mut self, change: impl Fn(&Value) -> Value) -> String {
        if let Value::Object(members) = &mut self.0 {
            members.values_mut().for_each(|value| *value = change(value));
        }
        self.text()
    }

    pub(super) fn of_wrong_types(self) -> String {
        self.changed(|value| match value {
            Value::String(_) => json!([{"a": 1}]),
            Value::Number(number) => number.to_string().into(),
            Value::Bool(_) => json!("maybe"),
            _ => json!(-1),
        })
    }

    pub(super) fn of_wrong_numbers(self) -> String {
        let text = self.changed(|value| match value {
            Value::Number(_) => json!(i64::MIN),
            other => other.clone(),
        });
        // Beyond any integer type.
        text.replacen(&i64::MIN.to_string(), "184467440737095516160", 1)
    }

    pub(super) fn of_long_texts(mut self) -> String {
        if let Value::Object(members) = &mut self.0 {
            let texts = members.iter_mut().filter(|(name, _)| !SECRETS.contains(&name.as_str()));
            for (_, value) in texts.filter(|(_, value)| value.is_string()) {
                *value = format!("\u{202e}\u{1b}[31m\n{}", "name ".repeat(20_000)).into();
            }
        }
        self.text()
    }
}
