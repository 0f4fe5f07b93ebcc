//! What operators see and do at the listener of their own.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use http::StatusCode;
use serde_json::{Value, json};
use vestibule::{
    identity::SessionContent,
    store::{NewApiKey, Scope},
};
use vestibule_tests::{
    TestApp,
    craft::with_version,
    database::user,
    operator::{ADMIN, TOKEN},
    plugins::{Plugins, bytes_of},
    run::note_secret,
};

use crate::command_line::{Server, installed};

async fn app() -> TestApp {
    TestApp::start("none", ADMIN).await
}

async fn rows(app: &TestApp, path: &str) -> Vec<Value> {
    let reply = app.operator().get(path).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    reply.json().as_array().unwrap().clone()
}

#[tokio::test]
async fn nobody_without_the_token_learns_or_changes_anything() {
    let app = app().await;
    let stranger = app.stranger_at_admin();
    // A cookie is nothing here, and a key of a user's neither.
    let (scope, name) = (Scope::local_owner(), "own".to_owned());
    let new = NewApiKey { name, ..NewApiKey::default() };
    let key = app.host.store().api_keys(&scope).create(&new).await.unwrap().text;
    note_secret(&key);
    for caller in [stranger.clone(), stranger.clone().with_key(&key)] {
        for path in ["figures", "denials", "audit", "sessions", "keys", "strategies"] {
            let reply = caller.get(&format!("/admin/api/{path}")).await;
            assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{path}");
            assert_eq!(reply.header("content-type"), "application/problem+json");
        }
        let reply = caller.send("DELETE", "/admin/api/keys/abc").await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn the_console_holds_its_browser_to_what_this_listener_serves() {
    let app = app().await;
    let page = app.stranger_at_admin().get("/admin/").await;
    assert_eq!(page.status, StatusCode::OK);
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    for elsewhere in ["http://", "https://", "onclick=", "<style", "javascript:"] {
        assert!(!page.body.contains(elsewhere), "{elsewhere}");
    }
    for (path, kind) in [("console.css", "text/css"), ("console.js", "text/javascript")] {
        assert!(page.body.contains(path), "{path}");
        let file = app.stranger_at_admin().get(&format!("/admin/{path}")).await;
        assert!(file.header("content-type").starts_with(kind), "{path}");
        assert!(!file.body.is_empty() && !file.body.contains("innerHTML"), "{path}");
    }
}

#[tokio::test]
async fn figures_grow_with_what_is_asked() {
    let app = app().await;
    let decided = async || {
        let figures = app.operator().get("/admin/api/figures").await.json();
        let count = &figures["total"]["count"];
        (figures["decisions"]["authenticated"].as_u64().unwrap(), count.as_u64().unwrap())
    };
    assert_eq!(decided().await, (0, 0), "operators are not counted");
    app.anonymous().get("/api/keys").await;
    assert_eq!(decided().await, (1, 1));
}

#[tokio::test]
async fn a_denial_is_told_with_its_reason_and_without_what_was_presented() {
    let app = app().await;
    let bad = "sk-oh-plaintext-canary-presented";
    let reply = app.anonymous().with("authorization", &format!("Bearer {bad}"));
    let reply = reply.get("/api/keys").await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    // Nothing presented, nothing refused.
    app.anonymous().get("/nowhere").await;
    let denials = rows(&app, "/admin/api/denials").await;
    assert_eq!(denials.len(), 1, "{denials:?}");
    assert_eq!(denials[0]["reason"], "no key has this text");
    assert_eq!(denials[0]["route"], "/api/keys");
    assert_eq!(denials[0]["status"], 401);
    assert_eq!(denials[0]["request_id"], reply.header("x-request-id"));
    assert!(!format!("{denials:?}").contains("canary"), "{denials:?}");
}

#[tokio::test]
async fn a_session_that_an_operator_ends_is_over() {
    let app = app().await;
    let store = app.host.store();
    let ada = user(store, "ada").await.user;
    let bob = user(store, "bob").await.user;
    let content = SessionContent::default();
    let adas = store.begin_session(&ada, &content, &[], None).await.unwrap();
    let bobs = store.begin_session(&bob, &content, &[], None).await.unwrap();
    assert_eq!(rows(&app, "/admin/api/sessions").await.len(), 2);
    let listed = rows(&app, "/admin/api/sessions?user=ada").await;
    assert_eq!((listed.len(), &listed[0]["user"]), (1, &Value::from("ada")));
    let path = format!("/admin/api/sessions/{}", listed[0]["id"].as_str().unwrap());
    assert_eq!(app.operator().send("DELETE", &path).await.status, StatusCode::OK);
    assert_eq!(app.operator().send("DELETE", &path).await.status, StatusCode::NOT_FOUND);
    assert!(store.session(&adas.key).await.unwrap().is_none());
    assert!(store.session(&bobs.key).await.unwrap().is_some());
    let audit = rows(&app, "/admin/api/audit?limit=1").await;
    assert_eq!(audit[0]["action"], "session.end");
    assert_eq!(audit[0]["target"], "ada");
}

#[tokio::test]
async fn a_key_that_an_operator_ends_is_good_no_more() {
    let app = app().await;
    let store = app.host.store();
    let scope = Scope::local_owner();
    let new = NewApiKey { name: "nightly".to_owned(), ..NewApiKey::default() };
    let key = store.api_keys(&scope).create(&new).await.unwrap().text;
    note_secret(&key);
    let system = store.api_keys(&scope).system("automation").await.unwrap().text;
    note_secret(&system);
    let listed = rows(&app, "/admin/api/keys").await;
    assert_eq!(listed.len(), 1, "the host's own are not shown: {listed:?}");
    assert_eq!(listed[0]["name"], "nightly");
    assert!(listed[0].get("hash").is_none() && listed[0].get("key").is_none());
    let caller = app.anonymous().with_key(&key);
    assert_eq!(caller.get("/api/v1/users/me").await.status, StatusCode::OK);
    let path = format!("/admin/api/keys/{}", listed[0]["id"].as_str().unwrap());
    assert_eq!(app.operator().send("DELETE", &path).await.status, StatusCode::OK);
    assert_eq!(caller.get("/api/v1/users/me").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn an_operator_approves_what_waits_and_rolls_it_back() {
    const HELLO: &str = "hello-strategy";
    let plugins = Plugins::with(HELLO);
    let app = plugins.start(&format!("{ADMIN}auth.settings.team = 'blue'\n")).await;
    let shown = async || app.operator().get("/admin/api/strategies").await.json();
    let first = shown().await["generations"][0]["digest"].clone();
    assert_eq!(shown().await["generations"][0]["state"], "serving");

    // Lower than what serves: somebody has to say yes.
    let older = with_version(&bytes_of(HELLO), HELLO, "0.0.9");
    let digest = plugins.put(&older);
    let _ = app.host.look().await;
    let waits = shown().await;
    assert_eq!(waits["refused"]["digest"], Value::from(digest.as_str()), "{waits}");
    assert_eq!(waits["refused"]["step"], "lock");
    assert_eq!(waits["refused"]["downgrade"], true, "{waits}");
    assert_eq!(waits["generations"][0]["digest"], first);

    let approve = async |digest: &str, allow: bool| {
        let meant = json!({ "digest": digest, "allow_downgrade": allow });
        app.operator().send_json("POST", "/admin/api/strategies/approve", meant).await
    };
    let other = approve(first.as_str().unwrap(), true).await;
    assert_eq!(other.status, StatusCode::CONFLICT, "{}", other.body);
    assert_eq!(approve(&digest, false).await.status, StatusCode::CONFLICT);
    let approved = approve(&digest, true).await;
    assert_eq!(approved.status, StatusCode::OK, "{}", approved.body);
    assert_eq!(approved.json()["generations"][0]["version"], "0.0.9");
    assert_eq!(approved.json()["refused"], Value::Null);

    let back = app.operator().send("POST", "/admin/api/strategies/rollback").await;
    assert_eq!(back.status, StatusCode::OK, "{}", back.body);
    assert_eq!(back.json()["generations"][0]["digest"], first);
    // Going down again takes the same yes.
    assert_eq!(back.json()["refused"]["downgrade"], true, "{}", back.body);
    let audit = rows(&app, "/admin/api/audit").await;
    let by_operator = |action: &str| {
        let found =
            |entry: &&Value| entry["action"] == action && entry["reason"] == "by an operator";
        audit.iter().any(|entry| found(&entry))
    };
    assert!(by_operator("admin.approve") && by_operator("admin.rollback"), "{audit:?}");
}

#[test]
fn an_operator_who_has_begun_to_ask_is_answered_before_the_server_ends() {
    let folder =
        installed(&format!("{ADMIN}server.listen = '127.0.0.1:0'\nauth.strategy = 'none'"));
    let mut server = Server::start(folder.path());
    let listening = server.wait_for("listening to operators");
    let mut socket = TcpStream::connect(listening["address"].as_str().unwrap()).unwrap();
    let body = json!({"digest": "0".repeat(64)}).to_string();
    let (begun, rest) = body.split_at(10);
    write!(
        socket,
        "POST /admin/api/strategies/approve HTTP/1.1\r\nhost: localhost\r\n\
         authorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\n\
         expect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        body.len(),
    )
    .unwrap();
    // What comes first says that the body is waited for.
    let mut continued = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    socket.read_exact(&mut continued).unwrap();
    assert!(continued.starts_with(b"HTTP/1.1 100 "), "{}", continued.escape_ascii());
    socket.write_all(begun.as_bytes()).unwrap();
    server.terminate();
    server.wait_for("shutting down");
    socket.write_all(rest.as_bytes()).unwrap();
    let mut reply = String::new();
    socket.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 409 Conflict\r\n"), "{reply}");
    let rest = server.end();
    assert!(!rest.contains("cut off"), "{rest}");
}
