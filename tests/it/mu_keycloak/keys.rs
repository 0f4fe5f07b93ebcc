//! API keys, and sandboxes: automations outlive log-ins, and Keycloak.

use http::StatusCode;
use serde_json::json;
use vestibule::store::{NewApiKey, Scope};
use vestibule_tests::{
    Caller,
    browser::Browser,
    database::user_id,
    keycloak::{Endpoint, Person},
    keys::{key, sandbox},
};

use super::{Scene, scene, scene_with};

/// What an automation of Ada's holds.
struct Automation {
    key: Caller,
    system: Caller,
    sandbox: Caller,
    both: Caller,
}

async fn automation(scene: &Scene) -> Automation {
    let store = scene.app.host.store();
    let scope: Scope = store.user(&user_id("ada")).await.unwrap().expect("Ada").scope();
    let new = NewApiKey { name: "k".to_owned(), ..NewApiKey::default() };
    let own = key(&scene.app, &scope, &new).await;
    let system = store.api_keys(&scope).system("automation").await.unwrap().text;
    vestibule_tests::run::note_secret(&system);
    let of_sandbox = sandbox(&scene.app, &scope, "s1").await;
    let caller = scene.app.anonymous().with_key(&own);
    let made = caller
        .send_json(
            "POST",
            "/api/v1/secrets",
            json!({"name": "NPM", "value": "plaintext-canary npm"}),
        )
        .await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let model = json!({"llm_model": "openai/gpt-4o", "llm_api_key": "plaintext-canary llm"});
    assert_eq!(caller.send_json("PATCH", "/api/v1/settings", model).await.status, StatusCode::OK);
    let session = vestibule_tests::run::text(&of_sandbox).to_owned();
    Automation {
        both: caller.clone().with("x-session-api-key", &session),
        key: caller,
        system: scene.app.anonymous().with_key(&system),
        sandbox: scene.app.anonymous().with("x-session-api-key", &session),
    }
}

impl Automation {
    /// All that an automation needs works, and Keycloak is not asked.
    async fn assert_it_works(&self, scene: &Scene, when: &str) {
        scene.keycloak.forget();
        for caller in [&self.key, &self.system] {
            let me = caller.get("/api/v1/users/me").await;
            assert_eq!(me.status, StatusCode::OK, "{when}: {}", me.body);
            assert_eq!(me.json()["id"], "ada", "{when}");
        }
        let me = self.both.get("/api/v1/users/me?expose_secrets=true").await;
        assert_eq!(me.json()["llm_api_key"], "plaintext-canary llm", "{when}: {}", me.status);
        let value = self.sandbox.get("/api/v1/sandboxes/s1/settings/secrets/NPM").await;
        assert_eq!(value.body, "plaintext-canary npm", "{when}: {}", value.status);
        let context = scene.app.host.user_context_for(&user_id("ada")).await;
        let context = context.unwrap_or_else(|error| panic!("{when}: {error}"));
        assert_eq!(context.identity().email.as_deref(), Some("ada@corp.example"));
        assert_eq!(scene.keycloak.forget_calls(), 0, "{when}: Keycloak was asked");
    }
}

#[tokio::test]
async fn automations_go_on_whatever_becomes_of_the_log_in() {
    let scene = scene().await;
    let mut browser = scene.log_in().await;
    let automation = automation(&scene).await;
    automation.assert_it_works(&scene, "while somebody is logged in").await;

    browser.submit("/auth/logout").await;
    automation.assert_it_works(&scene, "after a log-out").await;

    let mut browser = scene.log_in().await;
    let claims = scene.keycloak.log_out_claims(Some("ada"), None);
    let form = format!("logout_token={}", scene.keycloak.log_out_token(&claims));
    let told = super::back_channel::send(&scene, &form).await;
    assert_eq!(told.status, StatusCode::OK, "{}", told.body);
    assert_eq!(browser.open("/api/v1/users/me").await.status, StatusCode::UNAUTHORIZED);
    automation.assert_it_works(&scene, "after a log-out by the back channel").await;

    scene.keycloak.end_everything_of("ada");
    scene.app.clock.advance(100_000);
    automation.assert_it_works(&scene, "when Keycloak refuses the offline token").await;

    scene.keycloak.stop();
    automation.assert_it_works(&scene, "while Keycloak is down").await;
    assert_eq!(scene.calls(Endpoint::LogOut), 0);
}

#[tokio::test]
async fn automations_of_somebody_without_an_offline_token_go_on() {
    let scene = scene_with("offline = false").await;
    let mut browser = scene.log_in().await;
    let automation = automation(&scene).await;
    browser.submit("/auth/logout").await;
    assert!(scene.stored("offline").await.is_none());
    automation.assert_it_works(&scene, "with no offline token ever").await;
}

#[tokio::test]
async fn a_version_whose_log_outs_end_offline_tokens_ends_no_automation() {
    for ends in [false, true] {
        let scene = scene().await;
        if ends {
            scene.keycloak.end_offline_at_log_out();
        }
        let mut browser = scene.log_in().await;
        let automation = automation(&scene).await;
        let page = browser.submit("/auth/logout").await;
        let sid = scene.keycloak.sid();
        let link = super::log_out::link_of(&page);
        let _ = scene.keycloak.visit_log_out(&link);
        assert!(!scene.keycloak.is_logged_in(&sid));
        scene.app.clock.advance(100_000);
        automation.assert_it_works(&scene, "after a log-out at Keycloak").await;
    }
}

#[tokio::test]
async fn a_key_request_that_fails_ends_nothing() {
    let scene = scene().await;
    scene.log_in().await;
    let automation = automation(&scene).await;
    scene.keycloak.forget();
    let bad = scene.app.anonymous().with("authorization", "Bearer sk-oh-nonsense");
    assert_eq!(bad.get("/api/v1/users/me").await.status, StatusCode::UNAUTHORIZED);
    let denied = automation.key.get("/api/v1/users/me?expose_secrets=true").await;
    assert_eq!(denied.status, StatusCode::UNAUTHORIZED);
    let unconnected = automation.sandbox.get("/api/v1/sandboxes/s1/settings/secrets/x_token").await;
    assert_eq!(unconnected.status, StatusCode::NOT_FOUND);
    assert_eq!(scene.keycloak.forget_calls(), 0, "no log-out reaches Keycloak");
    automation.assert_it_works(&scene, "after requests that failed").await;
}

#[tokio::test]
async fn a_key_beside_a_browser_s_log_out_stays_good() {
    let scene = scene().await;
    let browser = scene.log_in().await;
    let automation = automation(&scene).await;
    let store = scene.app.host.store();
    let scope = store.user(&user_id("ada")).await.unwrap().unwrap().scope();
    let new = NewApiKey { name: "beside".to_owned(), ..NewApiKey::default() };
    let own = key(&scene.app, &scope, &new).await;
    let reply = browser.page().with_key(&own).send("POST", "/api/logout").await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    let by_own = scene.app.anonymous().with_key(&own);
    assert_eq!(by_own.get("/api/v1/users/me").await.status, StatusCode::OK);
    automation.assert_it_works(&scene, "after a log-out with a key beside the cookie").await;
    assert!(scene.stored("offline").await.is_some());
    assert_eq!(scene.calls(Endpoint::Revoke), 0);
}

#[tokio::test]
async fn who_is_no_longer_allowed_is_out_with_their_keys() {
    let database = vestibule_tests::database::Database::sqlite();
    let keycloak = vestibule_tests::keycloak::Keycloak::start(Person::new("ada")).await;
    let shared = "encryption.secret = 'plaintext-canary the encryption secret of the tests'";
    let before = super::app(&keycloak, &database, shared, "").await;
    keycloak.keep_time(&before.clock);
    let mut browser = Browser::new(&before);
    assert_eq!(keycloak.lead(&mut browser).await.status, StatusCode::OK);
    let scope = before.host.store().user(&user_id("ada")).await.unwrap().unwrap().scope();
    let new = NewApiKey { name: "k".to_owned(), ..NewApiKey::default() };
    let own = key(&before, &scope, &new).await;
    for (rule, admitted) in [
        ("allowed_users = ['ada']", true),
        ("allowed_roles = ['member']", true),
        ("allowed_users = ['bob']", false),
        ("allowed_roles = ['chief']", false),
    ] {
        let after = super::app(&keycloak, &database, shared, rule).await;
        let status = after.anonymous().with_key(&own).get("/api/v1/users/me").await.status;
        assert_eq!(status == StatusCode::OK, admitted, "{rule}: {status}");
        let mut there = Browser::new(&after);
        there.plant("vestibule-session", browser.session().unwrap());
        let status = there.open("/api/v1/users/me").await.status;
        if admitted {
            assert_eq!(status, StatusCode::OK, "{rule}");
        } else {
            assert!(status.is_client_error(), "{rule}: {status}");
            break;
        }
    }
}
