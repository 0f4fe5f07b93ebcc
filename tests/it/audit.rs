//! Who did what: written down once, everywhere, or not done.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, time::Duration};

use http::StatusCode;
use serde_json::{Value, json};
use vestibule::store::{AuditEntry, Scope};
use vestibule_tests::{
    Caller, Reply, TestApp,
    browser::{Browser, back},
    database::user_id,
    operator::ADMIN,
    run::{canary, note_secret, text},
};

use crate::login::{self, PUBLIC};

async fn entries(app: &TestApp) -> Vec<AuditEntry> {
    // Some are written while the answer is on its way.
    tokio::time::sleep(Duration::from_millis(50)).await;
    app.host.store().audit(100).await.unwrap()
}

/// The entries of an action, once there are so many: some are written when the answer is
/// long on its way.
pub(crate) async fn written_down(app: &TestApp, action: &str, count: usize) -> Vec<AuditEntry> {
    for _ in 0..1000 {
        let mut entries = app.host.store().audit(200).await.unwrap();
        entries.retain(|entry| entry.action == action);
        if entries.len() >= count {
            return entries;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("less than {count} are written down: {:?}", app.host.store().audit(200).await);
}

fn of<'a>(entries: &'a [AuditEntry], action: &str) -> Vec<&'a AuditEntry> {
    entries.iter().filter(|entry| entry.action == action).collect()
}

/// Makes a key of the local owner's, and answers its text and its id.
async fn made_key(app: &TestApp) -> (secrecy::SecretString, String) {
    let reply = app
        .anonymous()
        .at("10.1.2.3")
        .send_json("POST", "/api/keys", json!({ "name": "nightly" }))
        .await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.body);
    let key = reply.json()["key"].as_str().unwrap().to_owned().into();
    note_secret(&key);
    (key, reply.json()["id"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_key_leaves_a_trail_from_its_making_to_its_end() {
    let app = TestApp::start("none", "").await;
    let (key, id) = made_key(&app).await;
    let caller = app.anonymous().with_key(&key);
    for _ in 0..3 {
        assert_eq!(caller.get("/api/v1/users/me").await.status, StatusCode::OK);
    }
    let path = format!("/api/keys/{id}");
    assert_eq!(app.anonymous().send("DELETE", &path).await.status, StatusCode::OK);
    let entries = entries(&app).await;
    let loaded = of(&entries, "plugin.load");
    assert_eq!(loaded.len(), 1);
    assert_eq!(loaded[0].strategy_digest.as_deref(), Some(app.host.registry().current().digest()));
    for action in ["key.create", "key.first-use", "key.revoke"] {
        let found = of(&entries, action);
        assert_eq!(found.len(), 1, "{action}: {entries:?}");
        let entry = found[0];
        assert_eq!(entry.target.as_deref(), Some(id.as_str()), "{action}");
        assert!(entry.actor.is_some() && entry.org.is_some() && entry.request_id.is_some());
        assert_eq!((entry.outcome.as_str(), entry.at), ("done", app.clock.now()));
    }
    assert_eq!(of(&entries, "key.create")[0].address.as_deref(), Some("10.1.2.3"));
    assert!(!format!("{entries:?}").contains(text(&key)));
}

#[tokio::test]
async fn a_secret_leaves_a_trail_when_it_is_changed_and_when_a_sandbox_reads_it() {
    let app = TestApp::start("none", "").await;
    let secret = json!({ "name": "DEPLOY", "value": text(&canary("deploy")) });
    let reply = app.anonymous().send_json("POST", "/api/v1/secrets", secret).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.body);
    let sandboxes = Scope::local_owner();
    let key = app.host.store().sandboxes(&sandboxes).register("box-1").await.unwrap();
    note_secret(&key);
    let sandbox = app.anonymous().with("x-session-api-key", text(&key));
    let path = "/api/v1/sandboxes/box-1/settings/secrets/DEPLOY";
    assert_eq!(sandbox.get(path).await.status, StatusCode::OK);
    assert_eq!(sandbox.get(path).await.status, StatusCode::OK);
    app.anonymous().send("DELETE", "/api/v1/secrets/DEPLOY").await;
    let entries = entries(&app).await;
    let count = |action| of(&entries, action).len();
    assert_eq!((count("secret.set"), count("secret.read"), count("secret.rm")), (1, 2, 1));
    let read = of(&entries, "secret.read")[0];
    assert_eq!(read.target.as_deref(), Some("DEPLOY"));
    assert_eq!(read.reason.as_deref(), Some("by the sandbox box-1"));
    assert!(!format!("{entries:?}").contains("canary"), "{entries:?}");
}

#[tokio::test]
async fn many_requests_beyond_a_limit_are_one_entry() {
    let app = TestApp::start("none", "rate_limits.user_minute = 3\nrate_limits.user_second = 0\n");
    let app = app.await;
    for _ in 0..20 {
        app.anonymous().get("/api/keys").await;
    }
    written_down(&app, "rate-limit", 1).await;
    let entries = entries(&app).await;
    let limited = of(&entries, "rate-limit");
    assert_eq!(limited.len(), 1, "{entries:?}");
    assert_eq!(limited[0].target.as_deref(), Some("user"));
    assert!(limited[0].actor.is_some());
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_done_and_decisions_go_on() {
    // Every write to it fails as on a disk that is full.
    let app = TestApp::start("none", &format!("{ADMIN}audit.file = '/dev/full'\n")).await;
    assert_eq!(app.anonymous().get("/api/keys").await.status, StatusCode::OK);
    let reply = app.anonymous().send_json("POST", "/api/keys", json!({ "name": "x" })).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(reply.body.contains("cannot be written down"), "{}", reply.body);
    assert_eq!(app.anonymous().get("/api/keys").await.body, "[]", "the key is gone");

    let store = app.host.store();
    let scope = Scope::local_owner();
    let secret = vestibule::store::Secret { value: canary("unseen"), description: None };
    store.secrets(&scope).put("DEPLOY", &secret, None).await.unwrap();
    let key = store.sandboxes(&scope).register("box-1").await.unwrap();
    note_secret(&key);
    let sandbox = app.anonymous().with("x-session-api-key", text(&key));
    let reply = sandbox.get("/api/v1/sandboxes/box-1/settings/secrets/DEPLOY").await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    let reply = sandbox.get("/api/v1/users/me?expose_secrets=true").await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{}", reply.body);

    let metrics = app.operator().get("/metrics").await.body;
    assert!(metrics.contains("vestibule_audit_failing 1"), "{metrics}");
    assert!(!metrics.contains("vestibule_audit_failures_total 0"), "{metrics}");
    assert!(store.audit(10).await.unwrap().is_empty(), "every place or none");
}

#[tokio::test]
async fn lines_are_their_owner_s_alone_and_go_on_in_a_new_file_when_the_old_is_moved_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let app = TestApp::start("none", &format!("audit.file = '{}'\n", path.display())).await;
    made_key(&app).await;
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let moved = folder.path().join("audit.jsonl.1");
    fs::rename(&path, &moved).unwrap();
    let (key, _) = made_key(&app).await;
    let lines = |path| -> Vec<Value> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (old, new) = (lines(&moved), lines(&path));
    let actions = |lines: &[Value]| {
        lines.iter().map(|line| line["action"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(actions(&old), ["plugin.load", "key.create"]);
    assert_eq!(actions(&new), ["key.create"]);
    assert_eq!(new[0]["address"], "10.1.2.3");
    assert_eq!(new[0]["at"], app.clock.now());
    assert!(!new[0].to_string().contains(text(&key)));
}

#[tokio::test]
async fn entries_stay_as_long_as_they_are_kept() {
    let app = TestApp::start("none", "audit.keep = '2d'\n").await;
    app.clock.advance(86_400);
    made_key(&app).await;
    app.clock.advance(86_400 + 1);
    assert_eq!(app.host.store().prune_audit().await.unwrap(), 1);
    let entries = entries(&app).await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].action, "key.create");
}

#[tokio::test]
async fn a_log_in_that_cannot_be_written_down_begins_no_session() {
    let app = TestApp::start("visited", &format!("{PUBLIC}audit.file = '/dev/full'\n")).await;
    let mut browser = Browser::new(&app);
    let trip = browser.begin("/auth/login/start").await;
    let arrived = browser.open(&back(&trip, "&user=ada")).await;
    assert_eq!(arrived.status, StatusCode::SERVICE_UNAVAILABLE, "{}", arrived.body);
    assert!(app.host.store().live_sessions(None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn whoever_is_shut_out_is_refused_at_the_log_in_and_written_down() {
    let app = login::app().await;
    login::sign_in(&app, "&user=ada").await;
    app.host.store().set_user_disabled(&user_id("ada"), true).await.unwrap();
    let mut browser = Browser::new(&app);
    let trip = browser.begin("/auth/login/start").await;
    browser.open(&back(&trip, "&user=ada")).await;
    let entries = entries(&app).await;
    let log_ins = of(&entries, "log-in");
    let outcomes: Vec<_> = log_ins.iter().map(|entry| entry.outcome.as_str()).collect();
    assert_eq!(outcomes, ["refused", "done"]);
    assert_eq!(log_ins[0].actor.as_deref(), Some("ada"));
    assert_eq!(log_ins[0].reason.as_deref(), Some("the user ada is disabled"));
}

const HOME: &str = "10.1.2.3";

/// A browser that comes in from home, and the answer that it got.
async fn arrive(app: &TestApp, rest: &str) -> (Browser, Reply) {
    let mut browser = Browser::new(app);
    let trip = browser.begin("/auth/login/start").await;
    let reply = browser.caller().at(HOME).get(&back(&trip, rest)).await;
    browser.keep(&reply);
    if let Some(session) = browser.session() {
        note_secret(&session.into());
    }
    (browser, reply)
}

/// The one entry that a request has left.
async fn left_by(app: &TestApp, reply: &Reply, action: &str) -> AuditEntry {
    let id = reply.header("x-request-id");
    for _ in 0..200 {
        let mut entries = app.host.store().audit(200).await.unwrap();
        entries.retain(|entry| entry.request_id.as_deref() == Some(id) && entry.action == action);
        assert!(entries.len() < 2, "{entries:?}");
        if let Some(entry) = entries.pop() {
            assert_eq!(entry.at, app.clock.now(), "{entry:?}");
            return entry;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{action}: nothing of it after {} {}", reply.status, reply.body);
}

/// The same of something that somebody did at home with what is theirs.
async fn left_by_ada(app: &TestApp, reply: &Reply, action: &str) {
    let entry = left_by(app, reply, action).await;
    assert!(reply.status.is_success(), "{action}: {}", reply.body);
    assert_eq!(entry.actor.as_deref(), Some("ada"), "{entry:?}");
    assert_eq!(entry.address.as_deref(), Some(HOME), "{entry:?}");
    assert_eq!(entry.outcome, "done", "{entry:?}");
    assert!(entry.org.is_some() || action == "log-out", "{entry:?}");
}

/// Makes a key by a request, and answers it with the reply.
async fn key_by(caller: &Caller, name: &str) -> (Reply, secrecy::SecretString, String) {
    let reply = caller.send_json("POST", "/api/keys", json!({ "name": name })).await;
    let made = reply.json();
    let key = made["key"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned().into();
    note_secret(&key);
    (reply, key, format!("/api/keys/{}", made["id"].as_str().unwrap()))
}

async fn what_breaks(app: &TestApp) {
    for (user, renewal) in [("bob", "down"), ("cy", "trap")] {
        let (browser, _) = arrive(app, &format!("&user={user}&renewal={renewal}")).await;
        app.clock.advance(301);
        let reply = browser.caller().at(HOME).get("/api/v1/users/me").await;
        let entry = left_by(app, &reply, "refresh").await;
        assert_eq!((entry.outcome.as_str(), entry.actor.as_deref()), ("failed", Some(user)));
        assert_eq!(entry.address.as_deref(), Some(HOME), "{entry:?}");
        if renewal == "trap" {
            let entry = left_by(app, &reply, "strategy.break").await;
            assert_eq!((entry.outcome.as_str(), entry.target.as_deref()), ("failed", Some("trap")));
        }
    }
    let bad = app.anonymous().with("authorization", "Bearer sk-oh-nobodys").at("192.0.2.1");
    for _ in 0..2 {
        assert_eq!(bad.get("/api/keys").await.status, StatusCode::UNAUTHORIZED);
    }
    let reply = bad.get("/api/keys").await;
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS);
    let entry = left_by(app, &reply, "rate-limit").await;
    assert_eq!(entry.address.as_deref(), Some("192.0.2.1"));
    assert_eq!((entry.target.as_deref(), entry.outcome.as_str()), (Some("refused"), "refused"));
    assert_eq!(bad.get("/api/keys").await.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn everything_that_is_told_is_told_once_with_all_that_is_known_of_it() {
    let toml = format!("{PUBLIC}{ADMIN}rate_limits.refused_minute = 2\n");
    let app = TestApp::start("visited", &toml).await;

    // Who comes, and who does not.
    let (ada, arrived) = arrive(&app, "&user=ada").await;
    left_by_ada(&app, &arrived, "log-in").await;
    let (_, refused) = arrive(&app, "&user=stranger").await;
    let entry = left_by(&app, &refused, "log-in").await;
    assert_eq!((entry.outcome.as_str(), entry.actor), ("refused", None));
    assert_eq!(entry.reason.as_deref(), Some("forbidden: a stranger"));
    assert_eq!(entry.address.as_deref(), Some(HOME));

    // What people do with what is theirs.
    let page = ada.page().at(HOME);
    let (made, key, path) = key_by(&page, "nightly").await;
    left_by_ada(&app, &made, "key.create").await;
    let by_key = app.anonymous().with_key(&key).at(HOME);
    left_by_ada(&app, &by_key.get("/api/v1/users/me").await, "key.first-use").await;
    by_key.get("/api/v1/users/me").await;
    left_by_ada(&app, &page.send("DELETE", &path).await, "key.revoke").await;
    let secret = json!({ "name": "DEPLOY", "value": text(&canary("deploy")) });
    let set = page.send_json("POST", "/api/v1/secrets", secret).await;
    left_by_ada(&app, &set, "secret.set").await;
    let scope = app.host.store().user(&user_id("ada")).await.unwrap().unwrap().scope();
    let sandbox = app.host.store().sandboxes(&scope).register("box-1").await.unwrap();
    note_secret(&sandbox);
    let sandbox = app.anonymous().with("x-session-api-key", text(&sandbox)).at(HOME);
    let read = sandbox.get("/api/v1/sandboxes/box-1/settings/secrets/DEPLOY").await;
    left_by_ada(&app, &read, "secret.read").await;
    let tokens = json!({"provider_tokens": {"gitlab": {"token": text(&canary("gitlab"))}}});
    let set = page.send_json("POST", "/api/v1/secrets/git-providers", tokens).await;
    left_by_ada(&app, &set, "token.set").await;
    let gone = page.send("DELETE", "/api/v1/secrets/DEPLOY").await;
    left_by_ada(&app, &gone, "secret.rm").await;

    // Who goes, of their own will or not.
    let (other, _) = arrive(&app, "&user=ada").await;
    let gone = other.page().at(HOME).send("POST", "/auth/logout").await;
    left_by_ada(&app, &gone, "log-out").await;
    let operator = app.operator().at(HOME);
    let (_, arrived) = arrive(&app, "&user=eve").await;
    assert_eq!(arrived.status, StatusCode::OK);
    let live = operator.get("/admin/api/sessions?user=eve").await.json();
    let ended = format!("/admin/api/sessions/{}", live[0]["id"].as_str().unwrap());
    let entry = left_by(&app, &operator.send("DELETE", &ended).await, "session.end").await;
    assert_eq!(entry.target.as_deref(), Some("eve"));
    let by_operator = |entry: AuditEntry| {
        assert_eq!(entry.address.as_deref(), Some(HOME), "{entry:?}");
        assert_eq!(entry.reason.as_deref(), Some("by an operator"), "{entry:?}");
    };
    by_operator(entry);
    let (_, _, path) = key_by(&page, "weekly").await;
    let ended = operator.send("DELETE", &format!("/admin{path}")).await;
    by_operator(left_by(&app, &ended, "key.revoke").await);

    what_breaks(&app).await;

    // What operators change.
    let config = vestibule::config::Config::clone(&app.host.config());
    app.host.reload(config.clone()).await.unwrap();
    let mut fixed = config;
    fixed.server.listen = "127.0.0.1:9".parse().unwrap();
    app.host.reload(fixed).await.unwrap_err();

    let entries = entries(&app).await;
    let mut counts = BTreeMap::new();
    for entry in &entries {
        *counts.entry(format!("{} {}", entry.action, entry.outcome)).or_insert(0) += 1;
    }
    insta::assert_debug_snapshot!(counts, @r#"
    {
        "config.reload done": 1,
        "config.reload refused": 1,
        "key.create done": 2,
        "key.first-use done": 1,
        "key.revoke done": 2,
        "log-in done": 5,
        "log-in refused": 1,
        "log-out done": 1,
        "plugin.load done": 1,
        "plugin.upgrade done": 1,
        "rate-limit refused": 1,
        "refresh failed": 2,
        "secret.read done": 1,
        "secret.rm done": 1,
        "secret.set done": 1,
        "session.end done": 1,
        "strategy.break failed": 1,
        "token.set done": 1,
    }
    "#);
    for entry in entries.iter().filter(|entry| !entry.action.starts_with("rate")) {
        assert!(entry.strategy_digest.is_some(), "{entry:?}");
    }
}
