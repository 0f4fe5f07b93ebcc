//! What a component gets from each capability, and what it does not get.

use vestibule_tests::{NOW, TestApp};

/// The claims by which the hostile component tells what it found.
async fn told(app: &TestApp, how: &str) -> serde_json::Map<String, serde_json::Value> {
    let reply = app.anonymous().with("x-behave", how).get("/auth/session").await;
    let body = reply.json();
    let claims = body["claims"].as_array().unwrap_or_else(|| panic!("{body}"));
    claims
        .iter()
        .map(|claim| (claim["name"].as_str().unwrap().to_owned(), claim["value"].clone()))
        .collect()
}

#[tokio::test]
async fn the_clock_is_the_host_s() {
    let app = TestApp::start("hostile", "").await;
    assert_eq!(told(&app, "clock").await["now"], NOW.to_string());
    app.clock.advance(61);
    assert_eq!(told(&app, "clock").await["now"], (NOW + 61).to_string());
}

#[tokio::test]
async fn a_secret_that_is_not_the_strategy_s_own_cannot_be_had() {
    let app = TestApp::start("hostile", "").await;
    let told = told(&app, "secret-probe").await;
    assert!(told["undeclared"].as_str().unwrap().contains("NotDeclared"), "{told:?}");
    assert_eq!(told["token"], "none");
}

#[tokio::test]
async fn a_secret_can_be_compared_and_named_and_not_read() {
    let app = TestApp::start("hostile", "[auth.settings]\ntoken = 'hush-hush'").await;
    let told = told(&app, "secret-probe").await;
    assert_eq!(told["equals"], "true");
    let fingerprint = told["fingerprint"].as_str().unwrap();
    assert_eq!(fingerprint.len(), 12);
    assert!(!format!("{told:?}").contains("hush"), "{told:?}");
}

#[tokio::test]
async fn a_secret_has_the_same_fingerprint_on_every_shard() {
    let app = TestApp::start("hostile", "[auth.settings]\ntoken = 'hush-hush'").await;
    let here = told(&app, "secret-probe").await["fingerprint"].clone();
    for _ in 0..4 {
        // Each thread has a shard of its own.
        let app = app.clone();
        let there = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(told(&app, "secret-probe"))["fingerprint"].clone()
        });
        assert_eq!(there.join().unwrap(), here);
    }
}

#[tokio::test]
async fn tokens_that_are_not_granted_cannot_be_had() {
    let app = TestApp::start("hostile-waiting", "[auth.grants]\ntoken_store = ['github']").await;
    let told = told(&app, "token-probe").await;
    assert!(told["names"].as_str().unwrap().contains("NotGranted"), "{told:?}");
}
