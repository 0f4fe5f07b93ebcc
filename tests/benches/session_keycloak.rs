//! What a request costs that mu-keycloak decides in a fresh instance: `GET
//! /auth/session` with the cookie of a session, and with an access token of Keycloak's
//! signed by RS256 and by ES256, each against native code that does the same over the
//! same store and with the same library of signatures. Keycloak is not asked.
//!
//! The servers run on one core, the threads of the database's driver among them,
//! and the load generator on another; they take turns.

#[path = "support/components.rs"]
#[expect(dead_code, reason = "no bench uses all of it")]
mod components;
#[path = "support/load.rs"]
mod load;
#[path = "support/pinned.rs"]
#[expect(dead_code, reason = "a server of several threads is not measured by one")]
mod pinned;
#[path = "support/stats.rs"]
#[expect(dead_code, reason = "no bench uses all of it")]
mod stats;

use std::{sync::Arc, time::Duration};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use axum::{Json, Router, extract::State, routing::get};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, StatusCode, header};
use pinned::{Server, pin, serve, tell};
use serde_json::{Value, json};
use stats::{Goal, Samples};
use tokio::{net::TcpListener, runtime::Builder};
use vestibule::{
    clock::Clock,
    config::{Config, Environment},
    engine::Hooks,
    host::Host,
    http as vestibule_http,
    identity::UserId,
    store::{SessionKey, Store},
};
use vestibule_tests::{
    TestApp,
    browser::Browser,
    database::{Database, SECRET},
    issuer::Key,
    keycloak::{CLIENT_ID, Keycloak, Person},
};

const ROUNDS: usize = 40;
const SPAN: Duration = Duration::from_millis(500);
const CONNECTIONS: usize = 32;

/// A way to be somebody, with what the strategy's share of the native rate should be.
struct Way {
    name: &'static str,
    request: String,
    native: Case,
    ours: Case,
    goal: f64,
}

struct Case {
    server: Server,
    rate: Samples,
    p99: Samples,
}

impl Case {
    fn new(server: Server) -> Self {
        Self { server, rate: Samples::default(), p99: Samples::default() }
    }
}

fn main() {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let mut ways = [
        runtime.block_on(by_session()),
        runtime.block_on(by_bearer("RS256", Key::rsa("bench"), 0.85)),
        runtime.block_on(by_bearer("ES256", Key::p256("bench"), 0.95)),
    ];
    pin(pinned::CLIENT_CORE);
    let clients = Builder::new_current_thread().enable_all().build().expect("a runtime");
    for round in 0..=ROUNDS {
        for Way { request, native, ours, .. } in &mut ways {
            for case in [native, ours] {
                let loading = load::load(case.server.address, request, CONNECTIONS, SPAN);
                let loaded = clients.block_on(loading);
                // The first round warms up.
                if round > 0 {
                    case.rate.push(loaded.rate);
                    case.p99.push(loaded.latency.quantile(0.99));
                }
            }
        }
    }
    stats::heading("session_keycloak: GET /auth/session on one core, 32 connections");
    for Way { name, native, ours, .. } in &ways {
        for (whose, case) in [("native", native), ("mu-keycloak", ours)] {
            stats::line(&format!("{name}, {whose}"), &case.rate, "/s");
            stats::line(&format!("{name}, {whose}, p99"), &case.p99, "µs");
        }
    }
    for Way { name, native, ours, goal, .. } in &ways {
        let ratio = ours.rate.over(&native.rate);
        stats::verdict(&format!("{name}, mu-keycloak / native"), &ratio, Goal::AtLeast(*goal));
    }
}

/// A Keycloak that goes by the system's clock and whose tokens last longer than the
/// bench.
async fn keycloak() -> Keycloak {
    let keycloak = Keycloak::start(Person::new("ada")).await;
    keycloak.keep_time(&Clock::System);
    keycloak.expire_access(3600);
    keycloak
}

async fn by_session() -> Way {
    let keycloak = keycloak().await;
    let database = Database { clock: Clock::System, ..Database::sqlite() };
    let config = config(&keycloak, &database);
    let lines =
        format!("encryption.secret = '{SECRET}'\n{}", keycloak.toml_with("offline = false"));
    let app = TestApp::start_on(&database, "mu-keycloak", &lines, &[], Hooks::default())
        .await
        .expect("the app starts");
    let mut browser = Browser::new(&app);
    let arrived = keycloak.lead(&mut browser).await;
    assert_eq!(arrived.status, 200, "{}", arrived.body);
    let cookie = format!("cookie: vestibule-session={}", browser.session().expect("a session"));
    Way {
        name: "session",
        request: presenting(&cookie),
        native: Case::new(native(config.clone(), None)),
        ours: Case::new(ours(config, keycloak, Some(database))),
        goal: 0.8,
    }
}

async fn by_bearer(algorithm: &'static str, key: Key, goal: f64) -> Way {
    let keycloak = keycloak().await;
    let database = Database { clock: Clock::System, ..Database::sqlite() };
    let person = Person::new("ada");
    let now = Clock::System.now();
    let mut claims = person.claims;
    for (name, value) in [
        ("iss", json!(keycloak.issuer())),
        ("sub", json!("ada")),
        ("aud", json!(["account", CLIENT_ID])),
        ("azp", json!("another-client")),
        ("typ", json!("Bearer")),
        ("sid", json!("5d0f8f0e-6b7f-4f65-9d6c-0a8e1f8f4c11")),
        ("scope", json!("openid email profile")),
        ("iat", json!(now)),
        ("exp", json!(now + 3600)),
    ] {
        claims[name] = value;
    }
    let token = key.token(algorithm, &claims);
    let trusted = Trusted {
        issuer: keycloak.issuer(),
        kid: key.kid.clone(),
        algorithm,
        key: parsed(algorithm, &key),
    };
    keycloak.change_key(key);
    let config = config(&keycloak, &database);
    Way {
        name: algorithm,
        request: presenting(&format!("authorization: Bearer {token}")),
        native: Case::new(native(config.clone(), Some(trusted))),
        ours: Case::new(ours(config, keycloak, Some(database))),
        goal,
    }
}

fn presenting(line: &str) -> String {
    load::BROWSER.replace("\r\n\r\n", &format!("\r\n{line}\r\n\r\n"))
}

fn config(keycloak: &Keycloak, database: &Database) -> Config {
    let text = format!(
        "database.url = '{}'\nauth.strategy = '{}'\nrate_limits.user_second = 0\n\
         rate_limits.user_minute = 0\nencryption.secret = '{SECRET}'\n{}",
        database.url,
        components::path("plugins/mu-keycloak").display(),
        keycloak.toml_with("offline = false"),
    );
    Config::parse(None, &text, Environment::fixed(&[])).expect("it is valid")
}

/// What the server needs stays with it: Keycloak for its keys, and the database's folder.
fn ours(config: Config, keycloak: Keycloak, database: Option<Database>) -> Server {
    serve(|started| async move {
        let _kept = (keycloak, database);
        let host = Host::start(config, Clock::System).await.expect("the host starts");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        tell(&started, &listener);
        vestibule_http::serve(listener, host, std::future::pending()).await
    })
}

/// Whose tokens native code believes.
struct Trusted {
    issuer: String,
    kid: String,
    algorithm: &'static str,
    key: ParsedPublicKey,
}

fn parsed(algorithm: &str, key: &Key) -> ParsedPublicKey {
    let algorithm: &'static dyn VerificationAlgorithm = match algorithm {
        "RS256" => &RSA_PKCS1_2048_8192_SHA256,
        _ => &ECDSA_P256_SHA256_FIXED,
    };
    ParsedPublicKey::new(algorithm, key.public()).expect("a key")
}

struct Native {
    store: Store,
    trusted: Option<Trusted>,
}

/// The same by hand.
fn native(config: Config, trusted: Option<Trusted>) -> Server {
    serve(|started| async move {
        let store = Store::open(&config, Clock::System).await.expect("the store opens");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        tell(&started, &listener);
        let state = Arc::new(Native { store, trusted });
        let router = Router::new().route("/auth/session", get(whoami)).with_state(state);
        axum::serve(listener, router).await
    })
}

/// Who a caller is found to be.
struct Found {
    id: UserId,
    name: Option<String>,
    email: Option<String>,
    email_verified: bool,
    roles: Vec<String>,
}

async fn whoami(
    State(native): State<Arc<Native>>,
    headers: HeaderMap,
) -> Result<Json<Value>, StatusCode> {
    let found = async {
        let found = match headers.get(header::AUTHORIZATION) {
            Some(value) => {
                let token = value.to_str().ok()?.strip_prefix("Bearer ")?;
                of_token(native.trusted.as_ref()?, token)?
            }
            None => of_session(&native.store, &headers).await?,
        };
        let user = native.store.user(&found.id).await.ok()?;
        user.is_none_or(|user| user.disabled_at.is_none()).then_some(found)
    };
    let found = found.await.ok_or(StatusCode::UNAUTHORIZED)?;
    Ok(Json(json!({
        "authenticated": true,
        "local_owner": false,
        "user_id": found.id,
        "org_id": null,
        "display_name": found.name,
        "email": found.email,
        "email_verified": found.email_verified,
        "roles": found.roles,
        "claims": [],
        "strategy": "native",
    })))
}

/// Whose session it is. What the strategy keeps in it is of a form of its own; native
/// code takes the identity from the user's row, which it reads all the same.
async fn of_session(store: &Store, headers: &HeaderMap) -> Option<Found> {
    let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
    let cookie =
        cookies.split(';').find_map(|pair| pair.trim().strip_prefix("vestibule-session="))?;
    let session = store.session(&SessionKey::parse(cookie)?).await.ok()??;
    let now = Clock::System.now();
    let due = session.content.refresh_at.is_some_and(|at| at <= now);
    let identity = store.user(&session.user).await.ok()??.identity;
    (!due).then_some(Found {
        id: session.user,
        name: identity.display_name,
        email: identity.email,
        email_verified: identity.email_verified,
        roles: identity.roles,
    })
}

/// Who a token says calls (RFC 9068 section 4).
fn of_token(trusted: &Trusted, token: &str) -> Option<Found> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (head, payload) = signed.split_once('.')?;
    let head: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).ok()?).ok()?;
    if head["alg"] != trusted.algorithm || head["kid"] != trusted.kid.as_str() {
        return None;
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    trusted.key.verify_sig(signed.as_bytes(), &signature).ok()?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let now = Clock::System.now();
    let for_us = match &claims["aud"] {
        Value::String(one) => one == CLIENT_ID,
        Value::Array(all) => all.iter().any(|one| one == CLIENT_ID),
        _ => false,
    };
    let good = for_us
        && claims["iss"] == trusted.issuer.as_str()
        && claims["typ"] == "Bearer"
        && claims["exp"].as_u64()? + 30 > now
        && claims["nbf"].as_u64().is_none_or(|nbf| nbf <= now + 30)
        && claims["email_verified"] == true;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let roles = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(text).collect()
    };
    let mut all = roles(&claims["realm_access"]["roles"]);
    all.extend(roles(&claims["resource_access"][CLIENT_ID]["roles"]));
    good.then_some(Found {
        id: UserId::new(claims["sub"].as_str()?).ok()?,
        name: text(&claims["name"]),
        email: text(&claims["email"]),
        email_verified: true,
        roles: all,
    })
}
