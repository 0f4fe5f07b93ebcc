//! Tells the component `puppet` what to do.

use serde_json::Value;
use vestibule::{
    engine::Hooks,
    identity::{Identity, RequestId, UserId},
};

use crate::{Caller, TestApp, database::Database};

/// The puppet on a database of its own, with these origins granted.
pub async fn puppet(origins: &[&str], toml: &str) -> TestApp {
    hooked(origins, toml, Hooks::default()).await
}

/// The same with somebody who looks on.
pub async fn hooked(origins: &[&str], toml: &str, hooks: Hooks) -> TestApp {
    on(&Database::sqlite(), origins, toml, hooks).await
}

/// The same on a database.
pub async fn on(database: &Database, origins: &[&str], toml: &str, hooks: Hooks) -> TestApp {
    verifying(database, &["https://nowhere.example"], origins, toml, hooks).await
}

/// The same with these issuers granted.
pub async fn verifying(
    database: &Database,
    issuers: &[&str],
    origins: &[&str],
    toml: &str,
    hooks: Hooks,
) -> TestApp {
    let origins = if origins.is_empty() { &["https://nowhere.example"][..] } else { origins };
    let toml = format!(
        "{toml}\n[auth.grants]\nhttp = {origins:?}\njose = {issuers:?}\n\
         token_store = ['github', 'offline']\n"
    );
    TestApp::start_on(database, "puppet", &toml, &[], hooks).await.expect("the app starts")
}

/// Has a script played in a request, and answers what each step found.
pub async fn play(caller: &Caller, script: Value) -> Vec<String> {
    let reply = caller.clone().with("x-script", &script.to_string()).get("/auth/session").await;
    let body = reply.json();
    let claims = body["claims"].as_array().unwrap_or_else(|| panic!("{body}"));
    claims.iter().map(|claim| claim["value"].as_str().expect("text").to_owned()).collect()
}

/// Has one step played by nobody in particular.
pub async fn step(app: &TestApp, step: Value) -> String {
    play(&app.anonymous(), Value::Array(vec![step])).await.remove(0)
}

/// Has a script played in a call about a user.
pub async fn play_for(app: &TestApp, user: Option<&UserId>, script: Value) -> Vec<String> {
    let known = Identity { display_name: Some(script.to_string()), ..Identity::default() };
    let strategy = app.host.registry().current();
    let restored = strategy.restore(user, Some(&known), RequestId::new(1)).await;
    let claims = restored.expect("an answer").expect("an identity").claims;
    claims.into_iter().map(|claim| claim.value).collect()
}
