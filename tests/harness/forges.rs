//! The five Git providers that the SDK knows, on one port of loopback, each below its
//! name and by its own rules; they count what they are asked.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
    routing::post,
};
use base64::{Engine as _, engine::general_purpose};
use http::{HeaderMap, StatusCode, header};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use vestibule::{
    identity::UserId,
    store::{Store, TokenPair},
};

use crate::{github::Answer, run::note_secret};

/// The names of the providers.
pub const NAMES: [&str; 5] = ["github", "gitlab", "bitbucket", "forgejo", "azure_devops"];

/// How the client of the strategy `connected` proves itself.
const CLIENT: (&str, &str) = ("the-app", "client-secret-of-the-app");

/// What is particular about one of them.
struct Rules {
    token_path: &'static str,
    /// The client proves itself by a header.
    basic: bool,
    /// A refresh token works once.
    single_use: bool,
    /// How it says that a refresh token is no good.
    refusal: (u16, &'static str),
}

fn rules(name: &str) -> Option<Rules> {
    let (token_path, basic, single_use, refusal) = match name {
        "github" => ("login/oauth/access_token", false, true, (200, "bad_refresh_token")),
        "gitlab" => ("oauth/token", false, true, (400, "invalid_grant")),
        "bitbucket" => ("site/oauth2/access_token", true, false, (400, "invalid_request")),
        "forgejo" => ("login/oauth/access_token", false, true, (400, "unauthorized_client")),
        "azure_devops" => ("oauth2/v2.0/token", false, false, (400, "invalid_grant")),
        _ => return None,
    };
    Some(Rules { token_path, basic, single_use, refusal })
}

/// An access token that was given out.
struct Given {
    refresh: String,
    ends: Instant,
    /// Its successor was asked for.
    replaced: bool,
}

#[derive(Default)]
struct Desk {
    lifetime: u64,
    access: BTreeMap<String, Given>,
    refresh: BTreeSet<String>,
    used: BTreeSet<String>,
    next: BTreeMap<String, VecDeque<Answer>>,
    counts: BTreeMap<String, Counts>,
    made: usize,
}

/// What a provider was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls of the token endpoint.
    pub calls: usize,
    /// Tokens that were renewed.
    pub renewed: usize,
    /// Tokens that were renewed more than a second before their end.
    pub early: usize,
    /// Refresh tokens that came twice, though they work once.
    pub reused: usize,
}

/// The running providers.
#[derive(Clone)]
pub struct Forges {
    address: SocketAddr,
    desk: Arc<Mutex<Desk>>,
}

impl Forges {
    /// Opens on a port of its own; access tokens live for so many seconds.
    pub async fn start(lifetime: u64) -> Self {
        note_secret(&SecretString::from(CLIENT.1));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let desk = Desk { lifetime, ..Desk::default() };
        let forges = Self { address, desk: Arc::new(Mutex::new(desk)) };
        let router =
            Router::new().route("/{provider}/{*path}", post(token)).with_state(forges.clone());
        let serve = async { axum::serve(listener, router).await.expect("it serves") };
        #[expect(clippy::disallowed_methods, reason = "a server of the test's own")]
        tokio::spawn(serve);
        forges
    }

    /// The lines by which the strategy `connected` knows them.
    #[must_use]
    pub fn toml(&self) -> String {
        let url = format!("http://{}", self.address);
        format!(
            "[auth.settings]\nurl = '{url}'\nclient_secret = '{}'\n\
             [auth.grants]\nhttp = ['{url}']\ntoken_store = {NAMES:?}\n",
            CLIENT.1
        )
    }

    /// Leaves a user's token in the database as a log-in does, at `now`.
    pub async fn connect(&self, store: &Store, user: &UserId, provider: &str, now: u64) {
        let (given, lifetime) = {
            let mut desk = self.desk();
            (desk.pair(provider, None), desk.lifetime)
        };
        let secret =
            |name: &str| given[name].as_str().map(|text| Arc::new(SecretString::from(text)));
        let pair = TokenPair {
            access: secret("access_token"),
            refresh: secret("refresh_token"),
            access_expires_at: Some(now + lifetime),
            account_id: Some(format!("{provider}-{}", user.as_str())),
            ..TokenPair::default()
        };
        let mut lease =
            store.tokens(user).lease(provider, Duration::from_secs(5)).await.expect("a lease");
        lease.save(&pair).await.expect("it is stored");
        lease.release().await.expect("it is given back");
    }

    /// The next call of a provider's is answered like this.
    pub fn answer_once(&self, provider: &str, answer: Answer) {
        self.desk().next.entry(provider.to_owned()).or_default().push_back(answer);
    }

    /// A provider forgets every refresh token of its users.
    pub fn take_access_away(&self, provider: &str) {
        self.desk().refresh.retain(|token| !token.starts_with(&prefix(provider)));
    }

    /// What a provider was asked.
    #[must_use]
    pub fn counts(&self, provider: &str) -> Counts {
        self.desk().counts.get(provider).copied().unwrap_or_default()
    }

    /// What all of them were asked together.
    #[must_use]
    pub fn total(&self) -> Counts {
        NAMES.iter().map(|name| self.counts(name)).fold(Counts::default(), |sum, one| Counts {
            calls: sum.calls + one.calls,
            renewed: sum.renewed + one.renewed,
            early: sum.early + one.early,
            reused: sum.reused + one.reused,
        })
    }

    /// How many access tokens have ended whose successor was asked for, and how many
    /// had ended so long before an instant whose successor was not.
    #[must_use]
    pub fn ended(&self, by: Instant, before: Duration) -> (usize, usize) {
        let desk = self.desk();
        let replaced = desk.access.values().filter(|given| given.replaced).count();
        let left = desk
            .access
            .values()
            .filter(|given| !given.replaced && given.ends + before < by)
            .count();
        (replaced, left)
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn prefix(provider: &str) -> String {
    format!("{provider}_refresh_")
}

impl Desk {
    fn make(&mut self, begins: &str) -> String {
        self.made += 1;
        let text = format!("{begins}{:036}", self.made);
        note_secret(&SecretString::from(text.as_str()));
        text
    }

    /// A new access token, with a new refresh token unless the old one goes on.
    fn pair(&mut self, provider: &str, kept: Option<&str>) -> Value {
        let access = self.make(&format!("{provider}_access_"));
        let mut answer =
            json!({"access_token": access, "token_type": "bearer", "expires_in": self.lifetime});
        let refresh = match kept {
            Some(kept) => kept.to_owned(),
            None => {
                let refresh = self.make(&prefix(provider));
                self.refresh.insert(refresh.clone());
                answer["refresh_token"] = json!(refresh);
                refresh
            }
        };
        let ends = Instant::now() + Duration::from_secs(self.lifetime);
        self.access.insert(access, Given { refresh, ends, replaced: false });
        answer
    }

    fn renew(&mut self, provider: &str, rules: &Rules, presented: &str) -> (u16, Value) {
        let refuse = (rules.refusal.0, json!({"error": rules.refusal.1}));
        let counts = self.counts.entry(provider.to_owned()).or_default();
        if rules.single_use && !self.used.insert(presented.to_owned()) {
            counts.reused += 1;
        }
        if !self.refresh.contains(presented) {
            return refuse;
        }
        counts.renewed += 1;
        let soon = Instant::now() + Duration::from_secs(1);
        let held = |given: &&mut Given| given.refresh == presented && !given.replaced;
        if let Some(before) = self.access.values_mut().find(held) {
            before.replaced = true;
            counts.early += usize::from(before.ends > soon);
        }
        if rules.single_use {
            self.refresh.remove(presented);
        }
        let kept = Some(presented).filter(|_| !rules.single_use);
        (200, self.pair(provider, kept))
    }
}

async fn token(
    State(forges): State<Forges>,
    Path((provider, path)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(rules) = rules(&provider).filter(|rules| rules.token_path == path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let answer = {
        let mut desk = forges.desk();
        desk.counts.entry(provider.clone()).or_default().calls += 1;
        desk.next.get_mut(&provider).and_then(VecDeque::pop_front)
    };
    if let Some(answer) = answer {
        return answer.give(&format!("http://{}", forges.address)).await;
    }
    let form: BTreeMap<String, String> = form_urlencoded::parse(&body).into_owned().collect();
    let given = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let header = headers.get(header::AUTHORIZATION).map(http::HeaderValue::as_bytes);
    let basic = general_purpose::STANDARD.encode(format!("{}:{}", CLIENT.0, CLIENT.1));
    let proves = if rules.basic {
        header == Some(format!("Basic {basic}").as_bytes())
    } else {
        (given("client_id"), given("client_secret")) == CLIENT
    };
    if !proves || given("grant_type") != "refresh_token" {
        return (StatusCode::UNAUTHORIZED, Json(json!({"error": "invalid_client"})))
            .into_response();
    }
    let (status, answer) = forges.desk().renew(&provider, &rules, given("refresh_token"));
    (StatusCode::from_u16(status).expect("a status"), Json(answer)).into_response()
}
