//! What a component gets from each capability, and what it does not get.

use std::sync::Arc;

use http::StatusCode;
use vestibule::engine::Hooks;
use vestibule_tests::{
    Caller, NOW, TestApp, component,
    database::Database,
    logs::Logs,
    memory::Search,
    run::{canary, text},
};

type Claims = serde_json::Map<String, serde_json::Value>;

/// The grants without which `hostile-waiting` does not load.
const GRANTS: &str = "[auth.grants]\nhttp = ['https://a.example']\njose = ['https://b.example']\n\
                      token_store = ['github']\n";

/// The claims by which the hostile component tells what it found.
async fn told(app: &TestApp, how: &str) -> Claims {
    told_to(&app.anonymous(), how).await
}

async fn told_to(caller: &Caller, how: &str) -> Claims {
    let reply = caller.clone().with("x-behave", how).get("/auth/session").await;
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
    let secret = canary("hush");
    let search = Search::default().looking_for(&[&secret]);
    let toml = format!("auth.settings.token = '{}'", text(&secret));
    let database = Database::sqlite();
    let app = TestApp::start_on(&database, "hostile", &toml, &[], search.hooks()).await.unwrap();
    let told = told(&app, "secret-probe").await;
    assert_eq!(told["equals"], "true");
    let fingerprint = told["fingerprint"].as_str().unwrap();
    assert_eq!(fingerprint.len(), 12);
    assert!(!format!("{told:?}").contains("hush"), "{told:?}");
    assert_eq!(search.found(), [""; 0]);
}

#[tokio::test]
async fn a_secret_has_the_same_fingerprint_on_every_shard() {
    let app = TestApp::start("hostile", "[auth.settings]\ntoken = 'hush-hush'").await;
    let here = told(&app, "secret-probe").await["fingerprint"].clone();
    for _ in 0..4 {
        // Each thread has a shard of its own.
        let app = app.clone();
        let there = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(told(&app, "secret-probe"))["fingerprint"].clone()
        });
        assert_eq!(there.join().unwrap(), here);
    }
}

#[tokio::test]
async fn randomness_differs_from_draw_to_draw() {
    let app = TestApp::start("hostile", "").await;
    let (first, second) = (told(&app, "random").await, told(&app, "random").await);
    for draw in ["bytes", "number"] {
        assert_ne!(first[draw], second[draw], "{draw}");
    }
    assert_eq!(first["most"], "4096");
    assert_eq!(first["none"], "0");
}

#[tokio::test]
async fn more_randomness_at_once_than_the_contract_allows_is_a_trap() {
    for (name, toml) in [("hostile", ""), ("hostile-waiting", GRANTS)] {
        let app = TestApp::start(name, toml).await;
        let logs = Logs::collect();
        let reply = app.anonymous().with("x-behave", "random-too-much").get("/auth/session").await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{}", reply.body);
        let text = logs.text();
        assert!(text.contains("random.bytes gives at most 4096 bytes, not 4097"), "{text}");
    }
}

#[tokio::test]
async fn the_crate_getrandom_draws_from_the_host() {
    let app = TestApp::start("hostile", "").await;
    let (first, second) = (told(&app, "getrandom").await, told(&app, "getrandom").await);
    assert_eq!(first["drawn"], "Ok(())");
    assert_ne!(first["bytes"], second["bytes"]);
    // Filled to the end: three draws of a number, the last of them cut.
    let bytes = first["bytes"].as_str().unwrap();
    assert_eq!(bytes.matches(", ").count(), 20, "{bytes}");
    assert!(!bytes.ends_with("00, 00, 00, 00, 00]"), "{bytes}");
}

#[tokio::test]
async fn a_usual_call_grows_no_memory_and_a_large_one_may() {
    let app = TestApp::start("hostile", "").await;
    let told = told(&app, "memory").await;
    let pages = |when: &str| told[when].as_str().unwrap().parse::<u64>().unwrap();
    // The request was taken in without growing,
    assert_eq!(pages("at-first"), initial_pages("hostile"));
    // and so is what a call needs beside it.
    assert_eq!(pages("after-small-pieces"), pages("at-first"));
    assert_eq!(pages("after-60-kib"), pages("at-first"));
    assert!(pages("after-1-mib") >= pages("at-first") + 16, "{told:?}");
    assert_eq!(told["sum"], (1 << 20).to_string(), "every byte of it can be used");
}

/// With how many pages of memory an instance begins.
fn initial_pages(name: &str) -> u64 {
    let engine = wasmtime::Engine::default();
    let component =
        wasmtime::component::Component::from_file(&engine, component(name)).expect("it compiles");
    let required = component.resources_required().expect("it says what it requires");
    required.max_initial_memory_size.expect("it has a memory")
}

#[tokio::test]
async fn tokens_that_are_not_granted_cannot_be_had() {
    let app = TestApp::start("hostile-waiting", GRANTS).await;
    let told = told(&app, "token-probe").await;
    assert_eq!(told["names"], "Ok([])");
    for answer in ["load", "lease"] {
        assert!(told[answer].as_str().unwrap().contains("NotGranted"), "{answer}: {told:?}");
    }
}

#[tokio::test]
async fn an_origin_that_is_not_granted_cannot_be_reached() {
    let app = TestApp::start("hostile-waiting", GRANTS).await;
    let told = told(&app, "http-probe").await;
    assert_eq!(told["foreign"], r#"Err(HttpError::NotGranted("https://elsewhere.example"))"#);
}

#[tokio::test]
async fn an_issuer_that_is_not_granted_cannot_be_asked() {
    // The one that is granted has no address.
    let hooks = Hooks { look_up: Some(Arc::new(|_| Vec::new())), ..Hooks::default() };
    let database = Database::sqlite();
    let app = TestApp::start_on(&database, "hostile-waiting", GRANTS, &[], hooks).await.unwrap();
    let caller = app.anonymous().with("authorization", "Bearer a.b.c");
    let told = told_to(&caller, "jose-probe").await;
    for claim in ["foreign", "foreign-verify"] {
        let refused = r#"Err(JoseError::NotGranted("https://elsewhere.example"))"#;
        assert_eq!(told[claim], refused, "{claim}");
    }
    let granted = told["granted"].as_str().unwrap();
    assert!(granted.starts_with("Err(JoseError::Unavailable("), "{granted}");
    assert_eq!(told["granted-verify"], "Err(JoseError::Rejected(Rejection::Malformed))");
}
