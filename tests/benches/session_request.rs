//! What a logged-in request costs: `GET /auth/session` with the cookie of a session,
//! decided by su-github in a fresh instance, against native code that answers the
//! same from the same store, and against an axum handler that does nothing.
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

use axum::{Json, Router, extract::State, routing::get};
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
    identity::{Claim, Identity, UserId},
    store::{SessionKey, Store},
};
use vestibule_tests::{
    TestApp,
    browser::Browser,
    database::{Database, SECRET},
    github::{Account, GitHub},
};

const ROUNDS: usize = 40;
const SPAN: Duration = Duration::from_millis(500);
const CONNECTIONS: usize = 32;
const OWNER: &str = "583231";

struct Case {
    name: &'static str,
    server: Server,
    rate: Samples,
    p99: Samples,
}

impl Case {
    fn new(name: &'static str, server: Server) -> Self {
        Self { name, server, rate: Samples::default(), p99: Samples::default() }
    }
}

fn main() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let database = Database::sqlite();
    let (config, cookie) = runtime.block_on(log_in(&database));
    let mut cases = [
        Case::new("empty handler", empty()),
        Case::new("native", native(config.clone())),
        Case::new("su-github, a fresh instance for each request", ours(config)),
    ];
    let request = load::BROWSER.replace("\r\n\r\n", &format!("\r\ncookie: {cookie}\r\n\r\n"));

    pin(pinned::CLIENT_CORE);
    for round in 0..=ROUNDS {
        for case in &mut cases {
            let loading = load::load(case.server.address, &request, CONNECTIONS, SPAN);
            let loaded = runtime.block_on(loading);
            // The first round warms up.
            if round > 0 {
                case.rate.push(loaded.rate);
                case.p99.push(loaded.latency.quantile(0.99));
            }
        }
    }

    stats::heading("session_request: GET /auth/session by cookie on one core, 32 connections");
    for Case { name, rate, p99, .. } in &cases {
        stats::line(name, rate, "/s");
        stats::line(&format!("{name}, p99"), p99, "µs");
    }
    let [empty, native, ours] = &cases;
    stats::verdict("su-github / empty", &ours.rate.over(&empty.rate), Goal::AtLeast(0.3));
    stats::verdict("su-github / native", &ours.rate.over(&native.rate), Goal::AtLeast(0.8));
}

/// Logs the owner in; what a server needs to know them, and their cookie.
async fn log_in(database: &Database) -> (Config, String) {
    let github = GitHub::start(Account::new(583_231, "octocat")).await;
    let toml = format!(
        "rate_limits.user_second = 0\nrate_limits.user_minute = 0\n\
         encryption.secret = '{SECRET}'\n{}",
        github.toml(OWNER)
    );
    let app = TestApp::start_on(database, "su-github", &toml, &[], Hooks::default())
        .await
        .expect("the app starts");
    let mut browser = Browser::new(&app);
    let begun = browser.open("/auth/login/start").await;
    let back = github.visit(begun.header("location"));
    let path = back.find("/auth/callback").expect("the way back");
    let arrived = browser.open(&back[path..]).await;
    assert_eq!(arrived.status, 200, "{}", arrived.body);
    let cookie = format!("vestibule-session={}", browser.session().expect("a session"));
    let text = format!(
        "database.url = '{}'\nauth.strategy = '{}'\n{toml}",
        database.url,
        components::path("plugins/su-github").display(),
    );
    let config = Config::parse(None, &text, Environment::fixed(&[])).expect("it is valid");
    (config, cookie)
}

fn empty() -> Server {
    serve(|started| async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        tell(&started, &listener);
        let router = Router::new().route("/auth/session", get(|| async {}));
        axum::serve(listener, router).await
    })
}

fn ours(config: Config) -> Server {
    serve(|started| async move {
        let host = Host::start(config, Clock::System).await.expect("the host starts");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        tell(&started, &listener);
        vestibule_http::serve(listener, host, std::future::pending()).await
    })
}

/// The same by hand: the cookie, the session and its user, whether they are the
/// one who may come in, and the answer.
fn native(config: Config) -> Server {
    serve(|started| async move {
        let store = Store::open(&config, Clock::System).await.expect("the store opens");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        tell(&started, &listener);
        let router = Router::new().route("/auth/session", get(whoami)).with_state(Arc::new(store));
        axum::serve(listener, router).await
    })
}

async fn whoami(
    State(store): State<Arc<Store>>,
    headers: HeaderMap,
) -> Result<Json<Value>, StatusCode> {
    let found = async {
        let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
        let cookie =
            cookies.split(';').find_map(|pair| pair.trim().strip_prefix("vestibule-session="))?;
        let session = store.session(&SessionKey::parse(cookie)?).await.ok()??;
        let identity = identity(&session.content.data)?;
        let user = store.user(&session.user).await.ok()??;
        (user.disabled_at.is_none() && session.user.as_str() == OWNER).then_some(identity)
    };
    let identity = found.await.ok_or(StatusCode::UNAUTHORIZED)?;
    Ok(Json(json!({
        "authenticated": true,
        "local_owner": false,
        "user_id": identity.user_id,
        "org_id": identity.org_id,
        "display_name": identity.display_name,
        "email": identity.email,
        "email_verified": identity.email_verified,
        "roles": identity.roles,
        "claims": identity.claims,
        "strategy": "native",
    })))
}

/// Who a session is of, as su-github remembers it: line by line.
fn identity(data: &[u8]) -> Option<Identity> {
    let mut lines = str::from_utf8(data).ok()?.split('\n');
    let _provider = lines.next()?;
    let id = lines.next()?;
    let login = lines.next()?.to_owned();
    Some(Identity {
        user_id: Some(UserId::new(id).ok()?),
        display_name: Some(login.clone()),
        claims: vec![Claim { name: "login".to_owned(), value: login }],
        ..Identity::default()
    })
}
