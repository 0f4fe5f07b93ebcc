//! Keycloak says that sessions are over (OpenID Connect Back-Channel Logout 1.0).

use axum::body::Body;
use http::StatusCode;
use serde_json::{Value, json};
use vestibule::store::TokenState;
use vestibule_tests::{
    NOW, Reply,
    browser::Browser,
    issuer::{Key, coded},
    keycloak::{CLIENT_ID, Endpoint, Person},
};

use super::{Scene, scene_with};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Sends a form as Keycloak does.
pub(super) async fn send(scene: &Scene, form: &str) -> Reply {
    let caller = scene.app.anonymous().with("content-type", "application/x-www-form-urlencoded");
    caller.send_body("POST", "/auth/back-channel", Body::from(form.to_owned())).await
}

async fn tell(scene: &Scene, token: &str) -> Reply {
    let reply = send(scene, &format!("logout_token={token}")).await;
    assert_eq!(reply.header("cache-control"), "no-store");
    reply
}

/// Tells what these claims say, signed as usual.
async fn claim(scene: &Scene, claims: &Value) -> StatusCode {
    tell(scene, &scene.keycloak.log_out_token(claims)).await.status
}

async fn is_in(browser: &Browser) -> bool {
    browser.caller().get("/api/v1/users/me").await.status == StatusCode::OK
}

/// Ada at two browsers and Bob at one, each with the session's id at Keycloak.
struct People {
    scene: Scene,
    ada: [(Browser, String); 2],
    bob: (Browser, String),
}

async fn people() -> People {
    let scene = scene_with("offline = false").await;
    let arrive = async |id: &str| {
        let browser = scene.log_in_as(Person::new(id)).await;
        (browser, scene.keycloak.sid())
    };
    let ada = [arrive("ada").await, arrive("ada").await];
    let bob = arrive("bob").await;
    People { scene, ada, bob }
}

impl People {
    /// Who is still in: Ada at each of her browsers, and Bob.
    async fn are_in(&self) -> [bool; 3] {
        let [one, two] = &self.ada;
        [is_in(&one.0).await, is_in(&two.0).await, is_in(&self.bob.0).await]
    }
}

#[tokio::test]
async fn a_session_s_id_ends_that_session_and_no_other() {
    let people = people().await;
    let claims = people.scene.keycloak.log_out_claims(None, Some(&people.ada[0].1));
    assert_eq!(claim(&people.scene, &claims).await, StatusCode::OK);
    assert_eq!(people.are_in().await, [false, true, true]);
    let mut browser = people.ada[0].0.clone();
    browser.open("/api/v1/users/me").await;
    assert!(browser.session().is_none(), "its cookie is deleted");
}

#[tokio::test]
async fn a_person_s_id_ends_all_of_their_sessions_and_nobody_else_s() {
    let people = people().await;
    let claims = people.scene.keycloak.log_out_claims(Some("ada"), None);
    assert_eq!(claim(&people.scene, &claims).await, StatusCode::OK);
    assert_eq!(people.are_in().await, [false, false, true]);
    let forged = send(&people.scene, "logout_token=e30.e30.e30").await;
    assert_eq!(forged.status, StatusCode::BAD_REQUEST);
    let mut entries = people.scene.app.host.store().audit(100).await.unwrap();
    entries.retain(|entry| entry.action == "back-channel-log-out");
    let [refused, done] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!((refused.outcome.as_str(), &refused.actor), ("refused", &None));
    assert_eq!(refused.request_id.as_deref(), Some(forged.header("x-request-id")));
    assert_eq!((done.outcome.as_str(), done.actor.as_deref()), ("done", Some("ada")));
    assert_eq!(done.reason.as_deref(), Some("2 sessions"));
}

#[tokio::test]
async fn both_ids_end_the_session_that_has_both() {
    let people = people().await;
    let of_another = people.scene.keycloak.log_out_claims(Some("ada"), Some(&people.bob.1));
    assert_eq!(claim(&people.scene, &of_another).await, StatusCode::OK);
    assert_eq!(people.are_in().await, [true, true, true]);
    let claims = people.scene.keycloak.log_out_claims(Some("ada"), Some(&people.ada[1].1));
    assert_eq!(claim(&people.scene, &claims).await, StatusCode::OK);
    assert_eq!(people.are_in().await, [true, false, true]);
}

#[tokio::test]
async fn a_session_that_nobody_knows_is_as_good_as_ended() {
    let people = people().await;
    for (sub, sid) in [(None, Some("unknown")), (Some("nobody"), None), (Some("nobody"), Some("x"))]
    {
        let claims = people.scene.keycloak.log_out_claims(sub, sid);
        assert_eq!(claim(&people.scene, &claims).await, StatusCode::OK);
    }
    assert_eq!(people.are_in().await, [true; 3]);
}

#[tokio::test]
async fn a_token_counts_once() {
    let people = people().await;
    let claims = people.scene.keycloak.log_out_claims(Some("ada"), None);
    let token = people.scene.keycloak.log_out_token(&claims);
    assert_eq!(tell(&people.scene, &token).await.status, StatusCode::OK);
    let again = people.scene.log_in_as(Person::new("ada")).await;
    assert_eq!(tell(&people.scene, &token).await.status, StatusCode::BAD_REQUEST);
    assert!(is_in(&again).await);
    // The same id in another token is a replay as well.
    let mut other = people.scene.keycloak.log_out_claims(Some("ada"), None);
    other["jti"] = claims["jti"].clone();
    assert_eq!(claim(&people.scene, &other).await, StatusCode::BAD_REQUEST);
    assert!(is_in(&again).await);
}

#[tokio::test]
async fn a_token_that_says_something_else_ends_nothing() {
    let people = people().await;
    let issuer = people.scene.keycloak.issuer();
    for (name, value) in [
        ("iss", json!(format!("{issuer}/"))),
        ("iss", json!("https://evil.example/realms/team")),
        ("iss", Value::Null),
        ("aud", json!("another-client")),
        ("aud", Value::Null),
        ("nonce", json!("n")),
        ("nonce", json!("")),
        ("events", Value::Null),
        ("events", json!({})),
        ("events", json!([EVENT])),
        ("events", json!(EVENT)),
        ("events", json!({EVENT: "yes"})),
        ("events", json!({EVENT: true})),
        ("events", json!({EVENT: null})),
        ("events", json!({EVENT: []})),
        ("events", json!({"http://schemas.openid.net/event/other": {}})),
        ("sub", Value::Null),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("sub", json!(["ada"])),
        ("jti", Value::Null),
        ("iat", Value::Null),
        ("iat", json!(NOW - 3600)),
        ("iat", json!(NOW + 3600)),
        ("exp", json!(NOW - 31)),
    ] {
        let mut claims = people.scene.keycloak.log_out_claims(Some("ada"), None);
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
        let status = claim(&people.scene, &claims).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{name}: {value}");
    }
    let mut claims = people.scene.keycloak.log_out_claims(None, Some(&people.ada[0].1));
    claims["sid"] = json!(7);
    assert_eq!(claim(&people.scene, &claims).await, StatusCode::BAD_REQUEST);
    assert_eq!(people.are_in().await, [true; 3]);
}

#[tokio::test]
async fn more_events_and_no_end_are_no_reason_to_refuse() {
    let people = people().await;
    let mut claims = people.scene.keycloak.log_out_claims(Some("ada"), None);
    claims["events"]["revoke_offline_access"] = json!(true);
    claims["aud"] = json!([CLIENT_ID]);
    claims.as_object_mut().unwrap().remove("exp");
    assert_eq!(claim(&people.scene, &claims).await, StatusCode::OK);
    assert_eq!(people.are_in().await, [false, false, true]);
}

#[tokio::test]
async fn offline_access_ends_by_back_channel_where_the_operator_says_so() {
    for (settings, ends) in [("", false), ("back_channel_revokes_offline = true", true)] {
        let scene = scene_with(settings).await;
        scene.log_in().await;
        let mut claims = scene.keycloak.log_out_claims(Some("ada"), None);
        assert_eq!(claim(&scene, &claims).await, StatusCode::OK);
        let stored = scene.stored("offline").await.expect("it is never deleted");
        assert_eq!(stored.state, TokenState::Active, "a log-out alone does not end it");
        claims = scene.keycloak.log_out_claims(Some("ada"), None);
        claims["events"]["revoke_offline_access"] = json!(true);
        assert_eq!(claim(&scene, &claims).await, StatusCode::OK);
        let stored = scene.stored("offline").await.expect("it is never deleted");
        let ended = matches!(stored.state, TokenState::Reconnect { .. });
        assert_eq!(ended, ends, "{settings}");
    }
}

#[tokio::test]
async fn a_token_that_the_realm_has_not_signed_for_this_ends_nothing() {
    let people = people().await;
    let scene = &people.scene;
    let claims = scene.keycloak.log_out_claims(Some("ada"), None);
    let good = scene.keycloak.log_out_token(&claims);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let (_, payload) = signed.split_once('.').unwrap();
    let header = |header: Value| coded(header.to_string().as_bytes());
    let none = header(json!({"alg": "none", "typ": "logout+jwt"}));
    let stranger = Key::rsa("realm-key");
    let typed = json!({"alg": "RS256", "typ": "logout+jwt", "kid": "realm-key"});
    let public = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, stranger.public());
    let shared = format!("{}.{payload}", header(json!({"alg": "HS256", "kid": "realm-key"})));
    let tag = aws_lc_rs::hmac::sign(&public, shared.as_bytes());
    let of_session = super::session_of(&scene.app, &people.ada[0].0).await;
    let mut bad = vec![
        format!("{none}.{payload}."),
        format!("{none}.{payload}.{signature}"),
        format!("{signed}."),
        format!("{signed}.{}", coded(&[0; 256])),
        stranger.sign("RS256", &typed, &claims),
        format!("{shared}.{}", coded(tag.as_ref())),
        scene.keycloak.bearer(&Person::new("ada"), &json!({})),
        "..".to_owned(),
        String::new(),
    ];
    // ID and access tokens of the very session.
    for (_, secret) in &of_session.content.secrets {
        bad.push(vestibule_tests::run::text(secret).to_owned());
    }
    for token in bad {
        let reply = tell(scene, &token).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{token}");
    }
    assert_eq!(people.are_in().await, [true; 3]);
    assert_eq!(tell(scene, &good).await.status, StatusCode::OK, "what was refused is not used up");
}

#[tokio::test]
async fn what_is_no_form_with_one_token_is_refused() {
    let people = people().await;
    let scene = &people.scene;
    let claims = scene.keycloak.log_out_claims(Some("ada"), None);
    let token = scene.keycloak.log_out_token(&claims);
    for form in [
        String::new(),
        "logout_token=".to_owned(),
        format!("token={token}"),
        format!("logout_token={token}&logout_token={token}"),
        format!("logout_token={}", "x".repeat(1 << 20)),
    ] {
        let status = send(scene, &form).await.status;
        assert!(status.is_client_error(), "{status}: {}", &form[..form.len().min(60)]);
    }
    let path = format!("/auth/back-channel?logout_token={token}");
    let anybody = scene.app.anonymous();
    assert!(anybody.send("POST", &path).await.status.is_client_error());
    assert_eq!(anybody.get(&path).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(people.are_in().await, [true; 3]);
}

#[tokio::test]
async fn the_browser_s_cookie_has_no_part_in_it() {
    let people = people().await;
    let claims = people.scene.keycloak.log_out_claims(Some("bob"), None);
    let form = format!("logout_token={}", people.scene.keycloak.log_out_token(&claims));
    let caller = people.ada[0].0.caller().with("content-type", "application/x-www-form-urlencoded");
    let reply = caller.send_body("POST", "/auth/back-channel", Body::from(form)).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    assert_eq!(reply.header("set-cookie"), "");
    assert_eq!(people.are_in().await, [true, true, false]);
}

#[tokio::test]
async fn a_flood_of_bad_tokens_makes_no_storm_at_keycloak() {
    let people = people().await;
    people.scene.app.clock.advance(11);
    people.scene.keycloak.forget();
    let stranger = Key::p256("nobody-s");
    let claims = people.scene.keycloak.log_out_claims(Some("ada"), None);
    for n in 0..500 {
        let header = json!({"alg": "ES256", "typ": "logout+jwt", "kid": format!("k{n}")});
        let token = stranger.sign("ES256", &header, &claims);
        let status = send(&people.scene, &format!("logout_token={token}")).await.status;
        assert!(status.is_client_error(), "{status}");
    }
    let calls = people.scene.calls(Endpoint::Keys);
    assert!(calls <= 1, "{calls}");
    assert!(is_in(&people.bob.0).await);
}

#[tokio::test]
async fn a_log_out_while_the_keys_cannot_be_had_is_for_later() {
    let scene = scene_with("offline = false").await;
    let claims = scene.keycloak.log_out_claims(Some("ada"), None);
    let token = scene.keycloak.log_out_token(&claims);
    scene.keycloak.stop();
    let status = tell(&scene, &token).await.status;
    assert!(matches!(status.as_u16(), 400 | 503), "{status}");
    scene.keycloak.start_again();
    scene.app.clock.advance(60);
    assert_eq!(tell(&scene, &token).await.status, StatusCode::OK);
}
