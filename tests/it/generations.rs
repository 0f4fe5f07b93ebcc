//! From one generation of the strategy to the next: dropped in while requests run,
//! refused, approved, and gone back to.

mod lock;
mod quarantine;
mod reload;

use std::{
    fs,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use vestibule::{
    config::{Config, Environment},
    host::StartError,
};
use vestibule_tests::{
    TestApp, craft,
    logs::Logs,
    plugins::{Plugins, Signer, bytes_of, digest, ready},
    run::at_once,
};

const HELLO: &str = "hello-strategy";
const TEAM: &str = "auth.settings.team = 'blue'\n";

fn hello() -> Vec<u8> {
    bytes_of(HELLO)
}

fn newer(version: &str) -> Vec<u8> {
    craft::with_version(&hello(), HELLO, version)
}

/// What it would take to have a component read another header.
fn asking_for_more() -> Vec<u8> {
    craft::with_text(&newer("0.3.0"), "x-team", "x-tram")
}

fn config(plugins: &Plugins, toml: &str) -> Config {
    let text = plugins.toml(toml);
    Config::parse(None, &text, Environment::fixed(&[])).expect("it is well formed")
}

async fn serves(app: &TestApp, version: &str) -> bool {
    ready(app).await["generation"]["version"] == version
}

/// Waits for the folder's watch to have a version serve.
async fn until_serves(app: &TestApp, version: &str) {
    for _ in 0..200 {
        if serves(app, version).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{version} does not serve: {}", ready(app).await);
}

#[expect(clippy::disallowed_methods, reason = "as a server has it")]
fn watched(app: &TestApp) -> tokio::task::AbortHandle {
    tokio::spawn(app.host.clone().watch()).abort_handle()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_is_dropped_in_serves_while_requests_run() {
    let plugins = Plugins::with(HELLO);
    let app = plugins.start(TEAM).await;
    let watch = watched(&app);
    let (over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let caller = app.anonymous().with("x-team", "blue");
    let (stop, count) = (Arc::clone(&over), Arc::clone(&asked));
    let mut work: Vec<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>> = Vec::new();
    work.push(Box::pin(async move {
        while !stop.load(Ordering::Relaxed) {
            let reply = caller.get("/auth/session").await;
            assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
            count.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    }));
    let (first, second) = (digest(&hello()), plugins.put(&newer("0.2.0")));
    work.push(Box::pin({
        let app = app.clone();
        async move {
            until_serves(&app, "0.2.0").await;
            over.store(true, Ordering::Relaxed);
        }
    }));
    at_once(work).await;
    watch.abort();
    assert!(asked.load(Ordering::Relaxed) > 0);

    let told = ready(&app).await;
    assert_eq!(told["generation"]["digest"], second);
    assert_eq!(told["previous"]["digest"], first);
    let audit = app.host.store().audit(10).await.unwrap();
    let entry = audit.iter().find(|entry| entry.action == "plugin.upgrade").expect("an entry");
    assert_eq!(entry.strategy_digest.as_deref(), Some(second.as_str()));
    assert!(entry.reason.as_deref().is_some_and(|reason| reason.contains(&first)), "{entry:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_half_written_is_never_taken() {
    let plugins = Plugins::with(HELLO);
    let app = plugins.start(TEAM).await;
    let watch = watched(&app);
    let whole = newer("0.2.0");
    let mut file = fs::File::create(plugins.file()).unwrap();
    for part in whole.chunks(whole.len() / 8) {
        file.write_all(part).unwrap();
        file.flush().unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(app.anonymous().get("/auth/session").await.status, StatusCode::OK);
    }
    until_serves(&app, "0.2.0").await;
    watch.abort();
}

#[tokio::test]
async fn calls_that_run_finish_on_the_generation_that_they_began_with() {
    let plugins = Plugins::with(HELLO);
    let app = plugins.start(TEAM).await;
    let old = Arc::clone(&app.host.registry().current());
    plugins.put(&newer("0.2.0"));
    app.host.look().await.unwrap();
    assert!(serves(&app, "0.2.0").await);
    assert_eq!(old.description().version, "0.1.0");
    assert!(old.restore(None, None, vestibule::identity::RequestId::new(1)).await.is_ok());
}

/// Has a file refused, and looks at who is told what.
async fn keeps_what_runs(app: &TestApp, step: &str, reason: &str) {
    let logs = Logs::collect();
    let error = app.host.look().await.expect_err("it is refused").to_string();
    assert!(error.contains(reason), "{error}");
    let told = ready(app).await;
    assert_eq!(told["refused"]["step"], step, "{told}");
    assert!(told["refused"]["reason"].as_str().unwrap().contains(reason), "{told}");
    assert!(told["refused"]["file"].as_str().unwrap().ends_with("hello-strategy.wasm"), "{told}");
    assert!(logs.text().contains("the component is refused"), "{}", logs.text());
    assert!(serves(app, "0.1.0").await);
    let reply = app.anonymous().with("x-team", "blue").get("/auth/session").await;
    assert_eq!(reply.json()["user_id"], "blue", "{}", reply.body);
    // Nobody is told twice of the same.
    let logs = Logs::collect();
    assert!(app.host.look().await.is_err());
    assert!(!logs.text().contains("the component is refused"), "{}", logs.text());
    let audit = app.host.store().audit(20).await.unwrap();
    let noted = audit.iter().any(|entry| {
        let told = entry.reason.as_deref().is_some_and(|told| told.contains(reason));
        told && entry.action == "plugin.load" && entry.outcome == "refused"
    });
    assert!(noted, "{audit:?}");
}

#[tokio::test]
async fn a_file_that_may_not_serve_keeps_what_runs_and_is_named() {
    let plugins = Plugins::with(HELLO);
    let app = plugins.start(TEAM).await;
    plugins.put(&newer("0.2.0")[..60_000]);
    keeps_what_runs(&app, "compile", "damaged").await;
    plugins.put(b"#!/bin/sh");
    keeps_what_runs(&app, "compile", "not WebAssembly").await;
    plugins.put(&asking_for_more());
    keeps_what_runs(&app, "lock", "it reads the header x-tram").await;
    plugins.put(&newer("0.0.9"));
    keeps_what_runs(&app, "lock", "its version 0.0.9 is lower than 0.1.0").await;
    plugins.put(&bytes_of("none"));
    keeps_what_runs(&app, "lock", "it calls itself none").await;
    let spoilt = craft::dummy(|_, text| text.replace("  export login;\n", "")).unwrap();
    plugins.put(&spoilt);
    keeps_what_runs(&app, "contract", "does not export vestibule:auth/login").await;
    let reaching = craft::dummy(|name, text| match name {
        "world.wit" => {
            text.replace("  import types;", "  import types;\n  import open-socket: func();")
        }
        _ => text,
    });
    plugins.put(&reaching.unwrap());
    keeps_what_runs(&app, "contract", "it imports open-socket, which no strategy can have").await;

    // Back to what is approved, there is nothing to say any more.
    plugins.put(&hello());
    app.host.look().await.unwrap();
    assert!(ready(&app).await["refused"].is_null());
}

#[tokio::test]
async fn a_file_that_is_gone_keeps_what_runs_and_does_not_come_back_at_the_next_start() {
    let plugins = Plugins::with(HELLO);
    let app = plugins.start(TEAM).await;
    fs::remove_file(plugins.file()).unwrap();
    let error = app.host.look().await.unwrap_err().to_string();
    assert!(error.contains("no component in"), "{error}");
    assert!(serves(&app, "0.1.0").await);
    assert!(plugins.try_start(TEAM).await.is_err());
}

#[tokio::test]
async fn where_keys_are_trusted_a_component_needs_a_signature_by_one_of_them() {
    let (signer, stranger) = (Signer::number(1), Signer::number(2));
    let keys = [Signer::number(3).public_key(), signer.public_key()].map(|key| format!("'{key}'"));
    let toml = format!("{TEAM}plugins.trusted_keys = [{}]\n", keys.join(", "));
    let plugins = Plugins::with(HELLO);
    let Err(StartError::Load { source, .. }) = plugins.try_start(&toml).await else {
        panic!("it is not signed")
    };
    assert!(source.to_string().contains("it is not signed"), "{source}");

    signer.sign(&hello(), &plugins.file());
    let app = plugins.start(&toml).await;
    assert!(serves(&app, "0.1.0").await);
    // The signature beside it is still that of the one before.
    plugins.put(&newer("0.2.0"));
    keeps_what_runs(&app, "signature", "no signature of these bytes").await;
    stranger.sign(&newer("0.2.0"), &plugins.file());
    let error = app.host.look().await.unwrap_err().to_string();
    assert!(error.contains("no signature of these bytes"), "{error}");
    fs::remove_file(plugins.dir().join("hello-strategy.wasm.minisig")).unwrap();
    keeps_what_runs(&app, "signature", "it is not signed").await;
    signer.sign(&newer("0.2.0"), &plugins.file());
    app.host.look().await.unwrap();
    assert!(serves(&app, "0.2.0").await);
    // What is kept to go back to is signed as well.
    app.host.roll_back().await.unwrap();
    assert!(serves(&app, "0.1.0").await);
}

#[tokio::test]
async fn a_strategy_that_breaks_at_the_first_request_does_not_serve() {
    let plugins = Plugins::with("hostile");
    let app = plugins.start("").await;
    let broken = config(&plugins, "auth.settings.greeting = 'trap'\n");
    let error = app.host.reload(broken).await.unwrap_err().to_string();
    assert!(error.contains("gave no decision"), "{error}");
    assert_eq!(app.anonymous().get("/auth/session").await.status, StatusCode::OK);
    assert_eq!(ready(&app).await["refused"]["step"], "canary");
}

#[tokio::test]
async fn only_this_machine_is_told_what_is_loaded() {
    let plugins = Plugins::with(HELLO);
    let app = plugins.start(TEAM).await;
    let told = async |caller: vestibule_tests::Caller| {
        let reply = caller.get("/readyz?verbose").await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        reply.json()["generation"].is_object()
    };
    assert!(told(app.anonymous().at("127.0.0.1")).await);
    assert!(told(app.anonymous().at("::1")).await);
    assert!(!told(app.anonymous().at("192.0.2.1")).await);
    // A proxy on this machine passes on what strangers ask.
    let proxied = app.anonymous().at("127.0.0.1").with("x-forwarded-for", "192.0.2.1");
    assert!(!told(proxied).await);
    assert!(app.anonymous().get("/readyz").await.json()["generation"].is_null());
}
