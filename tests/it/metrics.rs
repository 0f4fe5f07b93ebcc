//! What is counted, and to whom it is told.

use std::collections::BTreeSet;

use http::StatusCode;
use vestibule::{engine::Hooks, store::NewApiKey};
use vestibule_tests::{
    TestApp,
    database::{Database, user},
    keys::by_key,
    operator::ADMIN,
    run::{at_once, note_secret, text},
};

async fn app() -> TestApp {
    TestApp::start("none", ADMIN).await
}

async fn metrics(app: &TestApp) -> String {
    let reply = app.operator().get("/metrics").await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    assert!(reply.header("content-type").starts_with("application/openmetrics-text"));
    reply.body
}

/// The value of a series, as it is written.
fn written<'a>(metrics: &'a str, series: &str) -> &'a str {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {metrics}"))
}

/// The value of a series that counts.
fn value(metrics: &str, series: &str) -> u64 {
    written(metrics, series).parse().unwrap()
}

/// Every series without its value.
fn series(metrics: &str) -> BTreeSet<String> {
    let lines = metrics.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

#[tokio::test]
async fn nothing_of_the_operators_is_on_the_public_listener() {
    let app = app().await;
    for path in ["/metrics", "/admin", "/admin/", "/admin/api/figures", "/admin/console.js"] {
        let reply = app.anonymous().get(path).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{path}");
        let reply = app.operator().get(path).await;
        assert!(reply.status.is_success() || reply.status.is_redirection(), "{path}");
    }
}

#[tokio::test]
async fn wrong_tokens_are_counted_wherever_operators_ask() {
    let app = TestApp::start("none", &format!("{ADMIN}rate_limits.refused_minute = 3\n")).await;
    let wrong = app.stranger_at_admin().with("authorization", "Bearer plaintext-canary-wrong");
    for (address, path) in [("192.0.2.1", "/metrics"), ("192.0.2.2", "/admin/api/figures")] {
        let wrong = wrong.clone().at(address);
        for _ in 0..3 {
            assert_eq!(wrong.get(path).await.status, StatusCode::UNAUTHORIZED, "{path}");
        }
        assert_eq!(wrong.get(path).await.status, StatusCode::TOO_MANY_REQUESTS, "{path}");
        let right = app.operator().at(address);
        assert_eq!(right.get(path).await.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn metrics_are_for_whoever_has_the_token_unless_they_are_open() {
    let app = app().await;
    let stranger = app.stranger_at_admin();
    assert_eq!(stranger.get("/metrics").await.status, StatusCode::UNAUTHORIZED);
    let wrong = stranger.clone().with("authorization", "Bearer plaintext-canary-admin-tokem");
    assert_eq!(wrong.get("/metrics").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(wrong.get("/admin/api/figures").await.status, StatusCode::UNAUTHORIZED);

    let toml = format!("{ADMIN}server.admin_open_metrics = true\n");
    let open = TestApp::start("none", &toml).await;
    let stranger = open.stranger_at_admin();
    assert_eq!(stranger.get("/metrics").await.status, StatusCode::OK);
    assert_eq!(stranger.get("/admin/api/figures").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn decisions_answers_and_times_are_counted() {
    let app = app().await;
    // Before it serves, a component is tried.
    let before = metrics(&app).await;
    let tried = value(&before, "vestibule_strategy_seconds_count");
    let stored = value(&before, "vestibule_database_seconds_count");
    for _ in 0..3 {
        assert_eq!(app.anonymous().get("/api/v1/whoami").await.status, StatusCode::NOT_FOUND);
        assert_eq!(app.anonymous().get("/api/keys").await.status, StatusCode::OK);
    }
    let bad = app.anonymous().with("authorization", "Bearer sk-oh-nobodys");
    assert_eq!(bad.get("/api/keys").await.status, StatusCode::UNAUTHORIZED);
    let metrics = metrics(&app).await;
    let of = |series: &str| value(&metrics, series);
    let decided = |outcome: &str, credential: &str| {
        of(&format!(
            "vestibule_decisions_total{{outcome=\"{outcome}\",credential=\"{credential}\"}}"
        ))
    };
    assert_eq!(decided("authenticated", "none"), 3);
    assert_eq!(decided("unauthenticated", "api-key"), 1);
    assert_eq!(of("vestibule_http_answers_total{route=\"/api/keys\",class=\"2xx\"}"), 3);
    assert_eq!(of("vestibule_http_answers_total{route=\"/api/keys\",class=\"4xx\"}"), 1);
    assert_eq!(of("vestibule_http_answers_total{route=\"other\",class=\"4xx\"}"), 3);
    assert_eq!(of("vestibule_request_seconds_count"), 7);
    assert_eq!(of("vestibule_request_seconds_bucket{le=\"+Inf\"}"), 7);
    // A bad key is nobody's, and so the strategy is not asked.
    assert_eq!(of("vestibule_strategy_seconds_count") - tried, 3);
    // Keys are listed, and a bad one is looked for.
    assert!(of("vestibule_database_seconds_count") >= stored + 4, "{metrics}");
    let seconds = |series: &str| written(&metrics, series).parse::<f64>().unwrap();
    let host = seconds("vestibule_request_seconds_sum");
    let guest = seconds("vestibule_strategy_seconds_sum");
    let database = seconds("vestibule_database_seconds_sum");
    assert!(guest > 0.0 && database > 0.0 && host > 0.0, "{host} {guest} {database}");
    assert_eq!(of("vestibule_strategy_calls_running"), 0);
    assert_eq!(of("vestibule_strategy_calls_max"), 256);
    assert_eq!(of("vestibule_strategy_loads_total{outcome=\"loaded\"}"), 1);
    let digest = app.host.registry().current().digest().to_owned();
    assert!(metrics.contains(&format!("digest=\"{digest}\"")), "{metrics}");
    assert!(metrics.ends_with("# EOF\n"));
}

#[tokio::test]
async fn a_question_that_is_asked_again_in_another_way_is_counted_once() {
    let database = Database::sqlite();
    let app = TestApp::start_on(&database, "none", ADMIN, &[], Hooks::default()).await.unwrap();
    let caller = by_key(&app, &user(app.host.store(), "jane").await).await;
    // What a look-up cannot read the driver is asked for, which says what is wrong.
    database.execute("update api_keys set created_at = 'yesterday'").await;
    let count = async || value(&metrics(&app).await, "vestibule_database_seconds_count");
    let before = count().await;
    for _ in 0..5 {
        assert_eq!(caller.get("/api/keys").await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(count().await - before, 5);
}

#[tokio::test]
async fn there_are_as_many_series_for_many_users_as_for_few() {
    let app = app().await;
    let ask = async |numbers: std::ops::Range<usize>| {
        let asked = numbers.map(|number| {
            let app = app.clone();
            async move {
                let name = format!("user-{number}");
                let scope = user(app.host.store(), &name).await;
                let new = NewApiKey { name: "one".to_owned(), ..NewApiKey::default() };
                let key = app.host.store().api_keys(&scope).create(&new).await.unwrap().text;
                note_secret(&key);
                let caller = app.anonymous().with_key(&key);
                caller.get("/api/keys").await;
                caller.get(&format!("/{}/{name}?q={}", text(&key), text(&key))).await;
                caller.send("DELETE", &format!("/api/keys/{name}")).await;
                app.anonymous().at(&format!("10.0.0.{number}")).get("/api/keys").await;
            }
        });
        at_once(asked).await;
    };
    ask(0..2).await;
    let few = metrics(&app).await;
    ask(2..60).await;
    let many = metrics(&app).await;
    assert_eq!(series(&few), series(&many));
    for hidden in ["user-", "sk-oh-", "10.0.0."] {
        assert!(!many.contains(hidden), "{hidden}");
    }
}

#[tokio::test]
async fn limits_that_are_met_are_counted() {
    let toml = format!("{ADMIN}rate_limits.user_second = 2\nrate_limits.user_minute = 0\n");
    let app = TestApp::start("none", &toml).await;
    for _ in 0..5 {
        app.anonymous().get("/api/keys").await;
    }
    let metrics = metrics(&app).await;
    assert_eq!(value(&metrics, "vestibule_rate_limited_total{limit=\"user\"}"), 3);
}
