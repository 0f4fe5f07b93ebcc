//! Access tokens of Keycloak's other clients, verified here.

use http::StatusCode;
use serde_json::{Value, json};
use vestibule_tests::{
    Caller, NOW,
    issuer::{Key, coded},
    keycloak::{Answer, CLIENT_ID, Endpoint, Person},
    run::{at_once, note_secret},
};

use super::{Scene, scene, scene_with};

/// Somebody who presents a token.
fn presenting(scene: &Scene, token: &str) -> Caller {
    note_secret(&token.into());
    scene.app.anonymous().with("authorization", &format!("Bearer {token}"))
}

/// What becomes of a token of Ada's with these changes.
async fn judged(scene: &Scene, changes: Value) -> StatusCode {
    let token = scene.keycloak.bearer(&Person::new("ada"), &changes);
    presenting(scene, &token).get("/api/v1/users/me").await.status
}

#[tokio::test]
async fn a_token_of_another_client_says_who_calls_and_keycloak_is_not_asked() {
    let scene = scene().await;
    let token = scene.keycloak.bearer(&Person::new("ada"), &json!({}));
    let caller = presenting(&scene, &token);
    let me = caller.get("/auth/session").await;
    assert_eq!(me.status, StatusCode::OK, "{}", me.body);
    let me = me.json();
    assert_eq!((&me["user_id"], &me["display_name"]), (&json!("ada"), &json!("Ada Lovelace")));
    assert_eq!(me["email"], "ada@corp.example");
    assert_eq!(me["roles"], json!(["member", "editor"]));
    assert!(scene.keycloak.forget_calls() <= 2, "the discovery document and the keys");
    for _ in 0..50 {
        assert_eq!(caller.get("/api/v1/users/me").await.status, StatusCode::OK);
    }
    scene.keycloak.stop();
    assert_eq!(caller.get("/api/v1/users/me").await.status, StatusCode::OK);
    assert_eq!(scene.keycloak.forget_calls(), 0);
    // It is no browser's.
    assert_eq!(caller.get("/api/v1/users/me").await.header("set-cookie"), "");
}

#[tokio::test]
async fn a_token_is_for_us_or_for_nobody_here() {
    let scene = scene().await;
    for (changes, admitted) in [
        (json!({"aud": CLIENT_ID}), true),
        (json!({"aud": ["account", CLIENT_ID]}), true),
        (json!({"aud": "account"}), false),
        (json!({"aud": null}), false),
        (json!({"aud": []}), false),
        (json!({"aud": ["Vestibule"]}), false),
    ] {
        let status = judged(&scene, changes.clone()).await;
        let expected = if admitted { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
        assert_eq!(status, expected, "{changes}");
    }
    let scene = scene_with("bearer_audiences = ['api', 'other-api']").await;
    assert_eq!(judged(&scene, json!({"aud": "api"})).await, StatusCode::OK);
    assert_eq!(judged(&scene, json!({"aud": CLIENT_ID})).await, StatusCode::UNAUTHORIZED);
    let scene = scene_with("bearer_clients = ['another-client']").await;
    assert_eq!(judged(&scene, json!({})).await, StatusCode::OK);
    assert_eq!(judged(&scene, json!({"azp": "a-third-client"})).await, StatusCode::UNAUTHORIZED);
    assert_eq!(judged(&scene, json!({"azp": null})).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn claims_that_are_wrong_or_missing_are_refused() {
    let scene = scene().await;
    let issuer = scene.keycloak.issuer();
    for changes in [
        json!({"iss": format!("{issuer}/")}),
        json!({"iss": null}),
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"sub": 7}),
        json!({"sub": "a".repeat(300)}),
        json!({"exp": null}),
        json!({"exp": NOW - 31}),
        json!({"nbf": NOW + 31}),
        // What is no access token.
        json!({"typ": "ID"}),
        json!({"typ": "ID", "nonce": "n"}),
        json!({"typ": "Refresh"}),
        json!({"typ": "Offline"}),
        json!({"typ": "Logout"}),
    ] {
        let status = judged(&scene, changes.clone()).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{changes}");
    }
    assert_eq!(judged(&scene, json!({"exp": NOW - 29})).await, StatusCode::OK);
    assert_eq!(judged(&scene, json!({"nbf": NOW + 30})).await, StatusCode::OK);
}

#[tokio::test]
async fn an_id_token_and_a_log_out_token_are_no_access_tokens() {
    let scene = scene_with("offline = false").await;
    let browser = scene.log_in().await;
    let session = super::session_of(&scene.app, &browser).await;
    // Its own client's access token is for nobody else unless it says so, the ID token
    // is for no API, and a refresh token is signed with what only Keycloak has.
    for (name, secret) in &session.content.secrets {
        let caller = presenting(&scene, vestibule_tests::run::text(secret));
        let status = caller.get("/api/v1/users/me").await.status;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{name}");
    }
    let claims = scene.keycloak.log_out_claims(Some("ada"), None);
    let token = scene.keycloak.log_out_token(&claims);
    let status = presenting(&scene, &token).get("/api/v1/users/me").await.status;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn who_may_not_come_in_does_not_come_in_by_a_token() {
    for (rule, person) in [
        ("allowed_users = ['bob']", Person::new("ada")),
        ("allowed_roles = ['chief']", Person::new("ada")),
        ("allowed_roles = ['member']", Person::new("ada").with("realm_access", Value::Null)),
        ("allowed_email_domains = ['other.example']", Person::new("ada")),
        ("", Person::new("ada").with("email_verified", false)),
    ] {
        let scene = scene_with(rule).await;
        let token = scene.keycloak.bearer(&person, &json!({}));
        let status = presenting(&scene, &token).get("/api/v1/users/me").await.status;
        assert!(matches!(status.as_u16(), 401 | 403), "{rule}: {status}");
        let users = scene.app.host.store().users().await.unwrap();
        assert!(users.iter().all(|user| user.identity.user_id.is_none()), "{rule}");
    }
}

#[tokio::test]
async fn a_token_that_is_not_signed_by_the_realm_is_refused() {
    let scene = scene().await;
    assert_eq!(judged(&scene, json!({})).await, StatusCode::OK);
    let token = scene.keycloak.bearer(&Person::new("ada"), &json!({}));
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (_, claims) = signed.split_once('.').unwrap();
    let header = |alg: &str| coded(json!({"alg": alg, "kid": "realm-key"}).to_string().as_bytes());
    let stranger = Key::rsa("realm-key");
    let eve = json!({"iss": scene.keycloak.issuer(), "aud": CLIENT_ID, "sub": "eve", "typ": "Bearer",
        "azp": CLIENT_ID, "exp": NOW + 300});
    for bad in [
        format!("{}.{claims}.", header("none")),
        format!("{}.{claims}.{signature}", header("HS256")),
        format!("{}.{claims}.{signature}", header("RS512")),
        format!("{signed}."),
        format!("{signed}.{}", coded(&[0; 256])),
        stranger.token("RS256", &eve),
        Key::p256("realm-key").token("ES256", &eve),
        format!("{token}.{signature}"),
        ".".repeat(5_000),
        "a.b".to_owned(),
    ] {
        let status = presenting(&scene, &bad).get("/api/v1/users/me").await.status;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{}", &bad[..bad.len().min(80)]);
    }
}

#[tokio::test]
async fn every_algorithm_that_keycloak_signs_with_is_known() {
    let keys = [Key::p256("es256"), Key::p384("es384"), Key::ed25519("eddsa"), Key::rsa("ps256")];
    for (key, algorithm) in keys.into_iter().zip(["ES256", "ES384", "EdDSA", "PS256"]) {
        let scene = scene_with("algorithms = ['ES256', 'ES384', 'EdDSA', 'PS256']").await;
        let claims = json!({"iss": scene.keycloak.issuer(), "aud": CLIENT_ID, "sub": "ada",
            "typ": "Bearer", "azp": "another-client", "exp": NOW + 300, "iat": NOW,
            "email": "ada@corp.example", "email_verified": true});
        let token = key.token(algorithm, &claims);
        scene.keycloak.change_key(key);
        let reply = presenting(&scene, &token).get("/api/v1/users/me").await;
        assert_eq!(reply.status, StatusCode::OK, "{algorithm}: {}", reply.body);
    }
}

#[tokio::test]
async fn a_new_key_is_found_and_an_unknown_one_is_asked_for_once_in_ten_seconds() {
    let scene = scene().await;
    assert_eq!(judged(&scene, json!({})).await, StatusCode::OK);
    scene.app.clock.advance(11);
    scene.keycloak.forget();
    let claims = json!({"iss": scene.keycloak.issuer(), "aud": CLIENT_ID, "sub": "eve",
        "typ": "Bearer", "azp": CLIENT_ID, "exp": NOW + 300});
    let stranger = Key::p256("nobody-s");
    let asked = (0..50).map(|n| {
        let header = json!({"alg": "ES256", "kid": format!("nobody-s-{n}")});
        let caller = presenting(&scene, &stranger.sign("ES256", &header, &claims));
        async move { caller.get("/api/v1/users/me").await.status }
    });
    assert_eq!(at_once(asked).await, [StatusCode::UNAUTHORIZED; 50]);
    let asked = scene.keycloak.forget_calls();
    assert!(asked <= 1, "{asked}");
    // The realm changes its key; the old one is gone.
    let old = scene.keycloak.bearer(&Person::new("ada"), &json!({}));
    scene.keycloak.change_key(Key::rsa("next"));
    scene.app.clock.advance(11);
    assert_eq!(judged(&scene, json!({})).await, StatusCode::OK);
    let status = presenting(&scene, &old).get("/api/v1/users/me").await.status;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn keys_that_cannot_be_fetched_again_go_on_and_without_any_it_is_for_later() {
    let scene = scene().await;
    scene.keycloak.stop();
    assert_eq!(judged(&scene, json!({})).await, StatusCode::SERVICE_UNAVAILABLE);
    scene.keycloak.start_again();
    scene.app.clock.advance(60);
    assert_eq!(judged(&scene, json!({})).await, StatusCode::OK);
    scene.keycloak.script.answer(Endpoint::Keys, Answer::Json(500, json!({})));
    scene.app.clock.advance(3600);
    for _ in 0..5 {
        assert_eq!(judged(&scene, json!({})).await, StatusCode::OK);
    }
}
