//! Logging out here, and disconnecting: two acts.

use http::StatusCode;
use serde_json::json;
use vestibule_tests::{
    Reply,
    browser::{Browser, parameters},
    database::user_id,
    keycloak::{Answer, CLIENT_ID, Endpoint, Person},
    keys::by_key,
    run::text,
};

use super::{Scene, refresh_of, scene, scene_with, session_of, who};

/// Where the page of a log-out leads on to.
pub(super) fn link_of(page: &Reply) -> String {
    let (_, rest) = page.body.split_once("url=").unwrap_or_else(|| panic!("{}", page.body));
    let (link, _) = rest.split_once('"').expect("the end of an attribute");
    link.replace("&amp;", "&")
}

#[tokio::test]
async fn a_log_out_ends_this_browser_s_session_and_leads_to_keycloak() {
    let scene = scene().await;
    let other = scene.log_in().await;
    scene.keycloak.sit_down(Some(Person::new("ada")));
    let mut browser = scene.log_in().await;
    let before = browser.clone();
    let session = session_of(&scene.app, &browser).await;
    scene.keycloak.forget();

    assert!(!browser.clone().open("/auth/logout").await.status.is_success(), "a GET does nothing");
    let page = browser.submit("/auth/logout").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    assert!(browser.session().is_none());
    assert_eq!(before.caller().get("/api/v1/users/me").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(other.caller().get("/api/v1/users/me").await.status, StatusCode::OK);
    assert_eq!(scene.keycloak.forget_calls(), 0, "only the browser goes there");

    let link = link_of(&page);
    let query = parameters(&link);
    assert_eq!(query["client_id"], CLIENT_ID);
    assert!(query["post_logout_redirect_uri"].starts_with("http://localhost:3000/"));
    let hint = &query["id_token_hint"];
    assert!(session.content.secrets.iter().any(|(_, secret)| text(secret) == hint.as_str()));
    let sid = scene.keycloak.sid();
    let back = scene.keycloak.visit_log_out(&link);
    assert!(!scene.keycloak.is_logged_in(&sid), "they are out at Keycloak");
    assert_eq!(back.as_ref(), query.get("post_logout_redirect_uri"));
}

#[tokio::test]
async fn a_log_out_leaves_the_offline_token_alone() {
    let scene = scene().await;
    let mut browser = scene.log_in().await;
    let before = refresh_of(&scene.stored("offline").await.unwrap()).to_owned();
    let page = browser.submit("/auth/logout").await;
    assert!(!page.body.contains(&before), "it comes near no browser");
    assert_eq!(refresh_of(&scene.stored("offline").await.unwrap()), before);
    assert_eq!(scene.calls(Endpoint::Revoke) + scene.calls(Endpoint::LogOut), 0);
}

#[tokio::test]
async fn a_log_out_works_while_keycloak_is_down() {
    for path in ["/auth/logout", "/api/logout"] {
        let scene = scene().await;
        let mut browser = scene.log_in().await;
        let before = browser.clone();
        scene.keycloak.stop();
        scene.app.clock.advance(100_000);
        let reply = browser.submit(path).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.body);
        assert!(browser.session().is_none(), "{path}");
        let status = before.caller().get("/api/v1/users/me").await.status;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_logs_nobody_out() {
    let scene = scene_with("offline = false").await;
    let mut browser = scene.log_in().await;
    let evil = browser.caller().with("origin", "https://evil.example");
    assert_eq!(evil.send("POST", "/auth/logout").await.status, StatusCode::FORBIDDEN);
    assert_eq!(who(&mut browser).await, "ada");
}

/// Disconnects as the user does.
async fn disconnect(scene: &Scene) {
    let scope = scene.app.host.store().user(&user_id("ada")).await.unwrap().unwrap().scope();
    let caller = by_key(&scene.app, &scope).await;
    let reply = caller.send("POST", "/auth/disconnect").await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    assert_eq!(caller.get("/api/v1/users/me").await.status, StatusCode::OK, "keys go on");
}

#[tokio::test]
async fn disconnecting_revokes_the_offline_token_and_ends_no_session() {
    let scene = scene().await;
    let mut browser = scene.log_in().await;
    let offline = refresh_of(&scene.stored("offline").await.unwrap()).to_owned();
    disconnect(&scene).await;
    assert_eq!(scene.calls(Endpoint::Revoke), 1);
    let seen = scene.keycloak.peer.seen();
    let sent = seen.iter().find(|seen| seen.target.ends_with("/revoke")).unwrap().text();
    assert!(sent.contains(&offline));
    assert!(scene.stored("offline").await.is_none());
    assert_eq!(who(&mut browser).await, "ada");
    scene.app.clock.advance(600);
    assert_eq!(browser.open("/api/v1/users/me").await.status, StatusCode::OK);
    // The next log-in asks for one again.
    let before = scene.calls(Endpoint::Authorize);
    scene.log_in().await;
    assert_eq!(scene.calls(Endpoint::Authorize), before + 2);
}

#[tokio::test]
async fn disconnecting_forgets_the_token_whatever_keycloak_says() {
    for (trouble, asked) in [
        (Answer::Json(503, json!({})), 3),
        (Answer::Json(400, json!({"error": "invalid_token"})), 1),
        (Answer::Json(401, json!({"error": "invalid_client"})), 1),
        (Answer::HangUp, 3),
    ] {
        let scene = scene().await;
        scene.log_in().await;
        scene.keycloak.script.answer(Endpoint::Revoke, trouble);
        disconnect(&scene).await;
        assert_eq!(scene.calls(Endpoint::Revoke), asked);
        assert!(scene.stored("offline").await.is_none());
    }
}

#[tokio::test]
async fn a_session_that_was_logged_out_does_not_come_back() {
    let scene = scene_with("offline = false").await;
    let mut browser = scene.log_in().await;
    let before = browser.clone();
    scene.app.clock.advance(600);
    browser.submit("/auth/logout").await;
    let mut replayed: Browser = before;
    for _ in 0..2 {
        assert_eq!(replayed.open("/api/v1/users/me").await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(scene.calls(Endpoint::Token), 1, "and is not renewed");
}
