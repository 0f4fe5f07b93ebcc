//! A browser's session: on every request, renewed, and over.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use serde_json::{Value, json};
use vestibule_tests::{
    TestApp,
    browser::Browser,
    database::{Database, user_id},
    keycloak::{Answer, CLIENT_ID, CLIENT_SECRET, Draft, Endpoint, Keycloak, Person},
    keys::by_key,
    logs::Logs,
    on_both_databases,
    operator::ADMIN,
    run::{at_once, text},
};

use super::{Scene, app, scene, scene_of, scene_with, secrets_of, session_of, who};

/// Longer than an access token lives, and shorter than what renews it.
const LATER: u64 = 600;

/// What a page of the API answers to a browser.
async fn ask(browser: &mut Browser) -> u16 {
    browser.open("/api/v1/users/me").await.status.as_u16()
}

/// A scene with Ada's browser, and Keycloak's calls so far forgotten.
async fn logged_in() -> (Scene, Browser) {
    let scene = scene_with("offline = false").await;
    let browser = scene.log_in().await;
    scene.keycloak.forget();
    (scene, browser)
}

#[tokio::test]
async fn a_request_asks_keycloak_nothing() {
    let (scene, mut browser) = logged_in().await;
    for _ in 0..10 {
        scene.app.clock.advance(10);
        assert_eq!(ask(&mut browser).await, 200);
    }
    assert_eq!(scene.keycloak.forget_calls(), 0);
}

#[tokio::test]
async fn a_keycloak_that_is_down_shows_in_the_metrics_and_not_in_readiness() {
    let scene = scene_of(ADMIN, "offline = false").await;
    let mut browser = scene.log_in().await;
    scene.keycloak.stop();
    scene.app.clock.advance(LATER);
    assert_eq!(ask(&mut browser).await, 503, "the session is due");
    let ready = scene.app.anonymous().get("/readyz").await;
    assert_eq!(ready.status, StatusCode::OK, "{}", ready.body);
    let metrics = scene.app.operator().get("/metrics").await.body;
    let failed = "vestibule_outbound_requests_total{outcome=\"failed\"} ";
    let count = metrics.lines().find_map(|line| line.strip_prefix(failed));
    assert_ne!(count.expect("a count"), "0", "{metrics}");
}

#[tokio::test]
async fn a_session_is_renewed_before_its_end_and_the_new_tokens_are_kept() {
    let (scene, mut browser) = logged_in().await;
    let before = secrets_of(&session_of(&scene.app, &browser).await);
    // Tokens of five minutes have a margin of half a minute.
    scene.app.clock.advance(299);
    assert_eq!(ask(&mut browser).await, 200);
    assert_eq!(scene.calls(Endpoint::Token), 1);
    let after = secrets_of(&session_of(&scene.app, &browser).await);
    assert_eq!(before.len(), after.len());
    for (old, new) in before.iter().zip(&after) {
        assert_ne!(text(old), text(new), "each of them is another");
    }
    let renewal = &scene.keycloak.peer.seen().into_iter().rev().find(|seen| seen.method == "POST");
    let sent = renewal.as_ref().unwrap().text().to_owned();
    assert!(sent.contains("grant_type=refresh_token"));
    // And it goes on for as long as Keycloak says.
    for _ in 0..5 {
        scene.app.clock.advance(LATER);
        assert_eq!(ask(&mut browser).await, 200);
        assert_eq!(ask(&mut browser).await, 200);
    }
    assert_eq!(scene.calls(Endpoint::Token), 6);
    assert_eq!(who(&mut browser).await, "ada");
}

#[tokio::test]
async fn a_session_whose_refresh_token_is_over_ends_without_a_call() {
    let (scene, mut browser) = logged_in().await;
    scene.app.clock.advance(1800);
    assert_eq!(ask(&mut browser).await, 401);
    assert!(browser.session().is_none(), "the cookie is deleted");
    assert_eq!(scene.keycloak.forget_calls(), 0);
}

#[tokio::test]
async fn a_refusal_ends_the_session_after_exactly_one_call() {
    let (scene, mut browser) = logged_in().await;
    let twin = browser.clone();
    scene.keycloak.end_everything_of("ada");
    scene.app.clock.advance(LATER);
    assert_eq!(ask(&mut browser).await, 401);
    assert!(browser.session().is_none(), "the cookie is deleted");
    assert_eq!(scene.keycloak.forget_calls(), 1);
    for _ in 0..3 {
        assert_eq!(ask(&mut twin.clone()).await, 401);
    }
    assert_eq!(scene.keycloak.forget_calls(), 0, "nobody asks about what is over");
}

#[tokio::test]
async fn what_says_nothing_about_the_session_costs_nobody_the_session() {
    let (scene, mut browser) = logged_in().await;
    scene.app.clock.advance(LATER);
    let statuses = [408, 429, 500, 502, 503, 504];
    let refusal = json!({"error": "invalid_grant"});
    let troubles = statuses.into_iter().map(|status| Answer::Json(status, refusal.clone()));
    for trouble in troubles.chain([
        Answer::HangUp,
        Answer::Large,
        Answer::Redirect(302),
        Answer::Text("text/html", "invalid_grant"),
        Answer::Text("application/json", "invalid_grant"),
        Answer::Json(400, json!({"error": "what_is_this"})),
        Answer::Json(400, json!({"error_description": "invalid_grant"})),
        Answer::Json(400, json!({"error": ["invalid_grant"]})),
    ]) {
        scene.keycloak.script.answer_once(Endpoint::Token, trouble.clone());
        assert_eq!(ask(&mut browser).await, 503, "{trouble:?}");
        assert!(browser.session().is_some(), "{trouble:?}: the cookie is kept");
    }
    assert_eq!(scene.calls(Endpoint::Elsewhere), 0);
    scene.keycloak.forget();
    assert_eq!(ask(&mut browser).await, 200);
    assert_eq!(scene.keycloak.forget_calls(), 1);
}

#[tokio::test]
async fn a_client_that_is_refused_costs_nobody_the_session_and_alarms_the_operator() {
    let scene = scene_of(ADMIN, "offline = false").await;
    let mut browser = scene.log_in().await;
    let mut other = scene.log_in_as(Person::new("bob")).await;
    scene.app.clock.advance(LATER);
    scene.keycloak.change_client_secret("another-secret-0123456789");
    let logs = Logs::collect();
    for error in ["invalid_client", "unauthorized_client"] {
        let answer = Answer::Json(401, json!({"error": error}));
        scene.keycloak.script.answer_once(Endpoint::Token, answer);
        for browser in [&mut browser, &mut other] {
            assert_eq!(ask(browser).await, 503, "{error}");
            assert!(browser.session().is_some(), "{error}");
        }
    }
    let log = logs.text();
    assert!(log.contains("ERROR") && log.contains("invalid_client"), "{log}");
    assert!(log.contains("unauthorized_client"), "{log}");
    let metrics = scene.app.operator().get("/metrics").await.body;
    let kept = "vestibule_refreshes_total{outcome=\"session-kept\"} ";
    let count = metrics.lines().find_map(|line| line.strip_prefix(kept));
    assert_eq!(count, Some("4"), "{metrics}");
    scene.keycloak.change_client_secret(CLIENT_SECRET);
    for browser in [&mut browser, &mut other] {
        assert_eq!(ask(browser).await, 200);
    }
}

on_both_databases! {
    async fn a_hundred_requests_renew_an_expired_session_once_on_two_servers_too(database: Database) {
        let keycloak = Keycloak::start(Person::new("ada")).await;
        let one = app(&keycloak, &database, SHARED, "offline = false").await;
        let two = app(&keycloak, &database, SHARED, "offline = false").await;
        keycloak.keep_time(&one.clock);
        let mut here = Browser::new(&one);
        assert_eq!(keycloak.lead(&mut here).await.status, StatusCode::OK);
        let mut there = Browser::new(&two);
        there.plant("vestibule-session", here.session().unwrap());
        for (servers, count, delay) in [
            (vec![&here], 100, 0),
            (vec![&here, &there], 50, 0),
            (vec![&here, &there], 50, 300),
        ] {
            keycloak.script.delay(Endpoint::Token, Duration::from_millis(delay));
            one.clock.advance(LATER);
            keycloak.forget();
            let asked = (0..count).map(|n| {
                let mut browser = servers[n % servers.len()].clone();
                async move { ask(&mut browser).await }
            });
            assert_eq!(at_once(asked).await, vec![200; count]);
            // The second server asks for the discovery document and the keys as well.
            assert_eq!(keycloak.script.calls(Endpoint::Token), 1);
        }
    }
}

#[tokio::test]
async fn two_servers_of_one_keycloak_renew_sessions_of_one_user_as_their_own_client() {
    let (secret, id) = ("another-secret-0123456789abcdef", "another-vestibule");
    let keycloak = Keycloak::start(Person::new("ada")).await;
    keycloak.register(id, secret);
    let other = keycloak
        .toml_with("")
        .replace(CLIENT_SECRET, secret)
        .replace(&format!("'{CLIENT_ID}'"), &format!("'{id}'"));
    let one = app(&keycloak, &Database::sqlite(), "", "").await;
    let two = TestApp::start("mu-keycloak", &other).await;
    keycloak.keep_time(&one.clock);
    let mut browsers = [Browser::new(&one), Browser::new(&two)];
    for browser in &mut browsers {
        assert_eq!(keycloak.lead(browser).await.status, StatusCode::OK);
    }
    for _ in 0..5 {
        for app in [&one, &two] {
            app.clock.advance(LATER);
        }
        keycloak.forget();
        let asked = (0..20).map(|n| {
            let mut browser = browsers[n % 2].clone();
            async move { ask(&mut browser).await }
        });
        assert_eq!(at_once(asked).await, [200; 20]);
        // Keycloak refuses a token of one client that comes from the other.
        assert_eq!(keycloak.script.calls(Endpoint::Token), 2);
    }
    let scope = one.host.store().user(&user_id("ada")).await.unwrap().unwrap().scope();
    let reply = by_key(&one, &scope).await.send("POST", "/auth/disconnect").await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    for (app, left) in [(&one, false), (&two, true)] {
        let stored = app.host.store().tokens(&user_id("ada")).load("offline").await.unwrap();
        assert_eq!(stored.is_some(), left);
    }
}

/// Two servers of one database have one key.
const SHARED: &str = "encryption.secret = 'plaintext-canary the encryption secret of the tests'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_goes_away_does_not_take_the_new_tokens_with_it() {
    let (scene, browser) = logged_in().await;
    scene.app.clock.advance(LATER);
    scene.keycloak.script.delay(Endpoint::Token, Duration::from_millis(200));
    let caller = browser.caller();
    let asking =
        tokio::time::timeout(Duration::from_millis(100), caller.get("/auth/session")).await;
    assert!(asking.is_err(), "it was still waiting for Keycloak");
    let mut browser = browser.clone();
    assert_eq!(ask(&mut browser).await, 200);
    assert_eq!(scene.calls(Endpoint::Token), 1, "and the token that works once was sent once");
    scene.app.clock.advance(LATER);
    assert_eq!(ask(&mut browser).await, 200);
}

#[tokio::test]
async fn a_renewed_id_token_that_is_not_this_person_s_ends_the_session() {
    for (name, value) in [
        ("sub", json!("eve")),
        ("sub", Value::Null),
        ("iss", json!("https://evil.example/realms/team")),
        ("aud", json!("another-client")),
    ] {
        let (scene, mut browser) = logged_in().await;
        scene.app.clock.advance(LATER);
        let changed = value.clone();
        scene.keycloak.forge(move |draft: Draft<'_>| draft.with(name, changed.clone()).signed());
        assert_eq!(ask(&mut browser).await, 401, "{name}: {value}");
        assert!(browser.session().is_none(), "{name}: {value}");
        assert_eq!(scene.calls(Endpoint::Token), 1);
        let audited = async || {
            let entries = scene.app.host.store().audit(100).await.unwrap();
            entries.iter().any(|entry| {
                (entry.action.as_str(), entry.actor.as_deref(), entry.outcome.as_str())
                    == ("refresh", Some("ada"), "failed")
            })
        };
        let mut looks = 0;
        while !audited().await {
            assert!(looks < 400, "{name}: {value}: nothing of it is written down");
            looks += 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn what_keycloak_says_of_a_person_counts_from_the_next_renewal_on() {
    let scene = scene_with("offline = false\nallowed_roles = ['member']").await;
    let mut browser = scene.log_in().await;
    scene.app.clock.advance(LATER);
    // Their role was taken away, and so the new tokens do not have it.
    scene.keycloak.change_claim("ada", "realm_access", json!({"roles": []}));
    let status = ask(&mut browser).await;
    assert!(matches!(status, 401 | 403), "{status}");
    assert_ne!(ask(&mut browser).await, 200);
}

#[tokio::test]
async fn a_lifetime_that_makes_no_sense_makes_no_loop() {
    for expires_in in [
        Value::Null,
        json!(0),
        json!(-5),
        json!("300"),
        json!("soon"),
        json!(1_000_000_000_000_u64),
    ] {
        let (scene, mut browser) = logged_in().await;
        scene.keycloak.expire_access(expires_in.clone());
        scene.app.clock.advance(299);
        assert_eq!(ask(&mut browser).await, 200, "{expires_in}");
        scene.keycloak.forget();
        for _ in 0..10 {
            assert_eq!(ask(&mut browser).await, 200, "{expires_in}");
        }
        let calls = scene.keycloak.forget_calls();
        assert!(calls <= 1, "{expires_in}: {calls}");
    }
}

#[tokio::test]
async fn a_disabled_user_is_out_at_once_with_keys_and_all() {
    let (scene, mut browser) = logged_in().await;
    let store = scene.app.host.store();
    let scope = store.user(&user_id("ada")).await.unwrap().unwrap().scope();
    let key = by_key(&scene.app, &scope).await;
    let bearer = scene.keycloak.bearer(&Person::new("ada"), &json!({}));
    let bearer = scene.app.anonymous().with("authorization", &format!("Bearer {bearer}"));
    assert_eq!(key.get("/api/v1/users/me").await.status, StatusCode::OK);
    assert_eq!(bearer.get("/api/v1/users/me").await.status, StatusCode::OK);
    store.set_user_disabled(&user_id("ada"), true).await.unwrap();
    assert_eq!(ask(&mut browser).await, 401);
    assert_eq!(key.get("/api/v1/users/me").await.status, StatusCode::UNAUTHORIZED);
    let refused = bearer.get("/api/v1/users/me").await.status;
    assert!(refused.is_client_error(), "{refused}");
    // Nor does a new log-in help.
    let mut again = Browser::new(&scene.app);
    let reply = scene.keycloak.lead(&mut again).await;
    assert!(reply.status.is_client_error(), "{}", reply.status);
    assert!(again.session().is_none());
}

#[tokio::test]
async fn a_cookie_that_was_changed_is_refused_and_deleted() {
    let (scene, browser) = logged_in().await;
    let live = browser.session().unwrap().to_owned();
    for value in [format!("{live}A"), live[..42].to_owned(), live.to_uppercase(), String::new()] {
        let mut changed = Browser::new(&scene.app);
        changed.plant("vestibule-session", &value);
        assert_eq!(ask(&mut changed).await, 401, "{value:?}");
        assert!(changed.session().is_none(), "{value:?}");
    }
    let nobody = scene.app.anonymous().get("/api/v1/users/me").await;
    assert_eq!((nobody.status.as_u16(), nobody.header("set-cookie")), (401, ""));
    assert_eq!(scene.keycloak.forget_calls(), 0);
}

#[tokio::test]
async fn a_bad_credential_is_not_passed_over_for_the_cookie_beside_it() {
    let (scene, browser) = logged_in().await;
    let forged = Arc::new(vestibule_tests::issuer::Key::rsa("realm-key"));
    let claims = json!({"iss": scene.keycloak.issuer(), "sub": "eve", "aud": "vestibule"});
    for bad in ["nonsense".to_owned(), "a.b.c".to_owned(), forged.token("RS256", &claims)] {
        let caller = browser.caller().with("authorization", &format!("Bearer {bad}"));
        assert_eq!(caller.get("/api/v1/users/me").await.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_session_goes_on_while_the_offline_token_is_used_and_revoked() {
    let scene = scene().await;
    let mut browser = scene.log_in().await;
    scene.app.clock.advance(LATER);
    assert_eq!(ask(&mut browser).await, 200);
    let offline = super::refresh_of(&scene.stored("offline").await.unwrap()).to_owned();
    let kept = secrets_of(&session_of(&scene.app, &browser).await);
    assert!(kept.iter().all(|secret| text(secret) != offline), "a renewal mixes nothing up");
}
