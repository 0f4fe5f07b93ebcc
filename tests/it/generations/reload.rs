//! The configuration, read again while requests run.

use http::StatusCode;
use vestibule::host::ReloadError;
use vestibule_tests::{
    TestApp,
    plugins::{Plugins, ready},
};

use super::{HELLO, TEAM, config, newer, serves};

async fn status(app: &TestApp, team: &str) -> StatusCode {
    app.anonymous().with("x-team", team).get("/auth/session").await.status
}

#[tokio::test]
async fn settings_and_bounds_change_at_once_and_together() {
    let plugins = Plugins::with(HELLO);
    let app = plugins.start(TEAM).await;
    assert_eq!(status(&app, "blue").await, StatusCode::OK);
    assert_eq!(status(&app, "red").await, StatusCode::UNAUTHORIZED);
    let toml = "auth.settings.team = 'red'\nsecrets.max_count = 1\nserver.drain = '7s'\n";
    app.host.reload(config(&plugins, toml)).await.unwrap();
    // Nothing of the old decisions is left.
    assert_eq!(status(&app, "blue").await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&app, "red").await, StatusCode::OK);
    assert_eq!(app.host.config().server.drain.as_secs(), 7);
    let red = app.anonymous().with("x-team", "red");
    let put = async |name: &str| {
        let document = serde_json::json!({ "name": name, "value": "v" });
        red.send_json("POST", "/api/v1/secrets", document).await.status
    };
    assert_eq!(put("ONE").await, StatusCode::CREATED);
    assert_ne!(put("TWO").await, StatusCode::CREATED);
    let audit = app.host.store().audit(10).await.unwrap();
    let reloaded = audit.iter().find(|entry| entry.action == "config.reload");
    assert_eq!(reloaded.expect("an entry").outcome, "done");
}

#[tokio::test]
async fn what_cannot_change_is_named_and_nothing_changes() {
    let plugins = Plugins::with(HELLO);
    let app = plugins.start(TEAM).await;
    let toml = "auth.settings.team = 'red'\nserver.listen = '127.0.0.1:1'\n\
                auth.limits.concurrency = 300\n";
    let error = app.host.reload(config(&plugins, toml)).await.unwrap_err();
    let ReloadError::Restart(lines) = &error else { panic!("{error}") };
    assert_eq!(lines.len(), 2, "{error}");
    assert!(lines[0].contains("[server] listen: it cannot change so"), "{error}");
    assert!(lines[1].contains("[auth.limits] concurrency: "), "{error}");
    assert!(lines.iter().all(|line| line.contains("restart")), "{error}");
    assert_eq!(status(&app, "blue").await, StatusCode::OK);
    let audit = app.host.store().audit(10).await.unwrap();
    let refused = audit.iter().find(|entry| entry.action == "config.reload");
    assert_eq!(refused.expect("an entry").outcome, "refused");
}

#[tokio::test]
async fn a_configuration_that_the_strategy_refuses_changes_nothing() {
    let plugins = Plugins::with(HELLO);
    let app = plugins.start(TEAM).await;
    let error = app.host.reload(config(&plugins, "server.drain = '7s'\n")).await.unwrap_err();
    assert!(error.to_string().contains("\"team\" is missing"), "{error}");
    assert_eq!(status(&app, "blue").await, StatusCode::OK);
    assert_ne!(app.host.config().server.drain.as_secs(), 7);
}

#[tokio::test]
async fn a_reload_reaches_what_serves_in_the_place_of_a_refused_file_and_what_is_behind_it() {
    let plugins = Plugins::with(HELLO);
    let app = plugins.start(TEAM).await;
    plugins.put(&newer("0.2.0"));
    app.host.look().await.unwrap();
    plugins.put(b"garbage");
    assert!(app.host.look().await.is_err());
    app.host.reload(config(&plugins, "auth.settings.team = 'red'\n")).await.unwrap();
    assert_eq!(status(&app, "red").await, StatusCode::OK);
    assert!(serves(&app, "0.2.0").await);
    let told = ready(&app).await;
    assert_eq!(told["refused"]["step"], "compile", "{told}");
    assert_eq!(told["previous"]["version"], "0.1.0", "{told}");
}

#[tokio::test]
async fn another_strategy_or_another_trust_leaves_nothing_to_fall_back_on() {
    let plugins = Plugins::with(HELLO);
    let app = plugins.start(TEAM).await;
    let second = plugins.put(&newer("0.2.0"));
    app.host.look().await.unwrap();
    assert!(ready(&app).await["previous"].is_object());
    let pinned = format!("{TEAM}auth.sha256 = '{second}'\n");
    app.host.reload(config(&plugins, &pinned)).await.unwrap();
    assert!(ready(&app).await["previous"].is_null());

    let app = Plugins::with("hostile").start("").await;
    app.host.replace(&vestibule_tests::component("none")).await.unwrap();
    let told = ready(&app).await;
    assert_eq!(told["generation"]["name"], "none", "{told}");
    assert!(told["previous"].is_null(), "{told}");
}
