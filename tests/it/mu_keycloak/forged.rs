//! ID tokens and key sets that are not what they should be, each in a log-in.

use std::sync::Arc;

use http::StatusCode;
use serde_json::{Value, json};
use vestibule_tests::{
    NOW,
    issuer::{Issuer, Key, coded},
    keycloak::{Answer, CLIENT_ID, CLIENT_SECRET, Draft, Endpoint},
};

use super::{Scene, scene_with, who};

async fn scene() -> Scene {
    scene_with("offline = false").await
}

/// The header and claims of a token, coded.
fn unsigned(draft: &Draft<'_>, algorithm: &str) -> String {
    let header = json!({"alg": algorithm, "typ": "JWT", "kid": draft.key.kid});
    let coded_claims = coded(draft.claims.to_string().as_bytes());
    format!("{}.{coded_claims}", coded(header.to_string().as_bytes()))
}

fn shared(draft: &Draft<'_>, secret: &[u8]) -> String {
    let signed = unsigned(draft, "HS256");
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
    format!("{signed}.{}", coded(aws_lc_rs::hmac::sign(&key, signed.as_bytes()).as_ref()))
}

/// What an attacker makes of an ID token.
type Forgery = Box<dyn Fn(Draft<'_>) -> String + Send + Sync>;

async fn assert_refused(scene: &Scene, told: &str, forge: Forgery) {
    scene.keycloak.forge(forge);
    let reply = scene.refused().await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{told}: {}", reply.body);
}

#[tokio::test]
async fn a_token_that_keycloak_has_not_signed_lets_nobody_in() {
    let scene = scene().await;
    let stranger = Arc::new(Key::rsa("realm-key"));
    let curve = Arc::new(Key::p256("realm-key"));
    let (other, of_curve) = (Arc::clone(&stranger), Arc::clone(&curve));
    let forgeries: Vec<(&str, Forgery)> = vec![
        ("none", Box::new(|draft| format!("{}.", unsigned(&draft, "none")))),
        ("None", Box::new(|draft| format!("{}.", unsigned(&draft, "None")))),
        ("no signature", Box::new(|draft| format!("{}.", unsigned(&draft, "RS256")))),
        ("the public key as a secret", Box::new(|draft| shared(&draft, draft.key.public()))),
        ("the client's secret", Box::new(|draft| shared(&draft, CLIENT_SECRET.as_bytes()))),
        (
            "a flipped bit",
            Box::new(|draft| {
                let token = draft.signed();
                let (signed, signature) = token.rsplit_once('.').unwrap();
                let first = if signature.starts_with('A') { "B" } else { "A" };
                format!("{signed}.{first}{}", &signature[1..])
            }),
        ),
        (
            "the signature of another token",
            Box::new(|draft| {
                let other = draft.key.token("RS256", &json!({"sub": "eve"}));
                let (_, signature) = other.rsplit_once('.').unwrap();
                format!("{}.{signature}", unsigned(&draft, "RS256"))
            }),
        ),
        (
            "another's key of the same name",
            Box::new(move |draft| other.sign("RS256", &draft.header, &draft.claims)),
        ),
        (
            "a key of another kind and the same name",
            Box::new(move |draft| {
                let header = json!({"alg": "ES256", "typ": "JWT", "kid": "realm-key"});
                of_curve.sign("ES256", &header, &draft.claims)
            }),
        ),
        (
            "a signature of zeros",
            Box::new(|draft| format!("{}.{}", unsigned(&draft, "ES256"), coded(&[0; 64]))),
        ),
    ];
    for (told, forge) in forgeries {
        assert_refused(&scene, told, forge).await;
    }
    assert_eq!(scene.calls(Endpoint::Elsewhere), 0);
}

#[tokio::test]
async fn a_key_that_the_token_brings_along_is_not_looked_at() {
    let scene = scene().await;
    let attacker = Arc::new(Key::rsa("attacker"));
    let elsewhere = Issuer::start(&[&attacker]).await;
    let url = format!("{}/keys", elsewhere.id);
    for (name, value) in [
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("jwk", attacker.jwk()),
        ("x5c", json!(["MIIB"])),
    ] {
        for kid in ["attacker", "realm-key"] {
            let (key, value) = (Arc::clone(&attacker), value.clone());
            let forge = move |draft: Draft<'_>| {
                let mut header = json!({"alg": "RS256", "typ": "JWT", "kid": kid});
                header[name] = value.clone();
                key.sign("RS256", &header, &draft.claims)
            };
            assert_refused(&scene, name, Box::new(forge)).await;
        }
    }
    assert!(elsewhere.peer.seen().is_empty(), "nobody goes there");
}

#[tokio::test]
async fn claims_that_do_not_belong_to_this_log_in_let_nobody_in() {
    let scene = scene().await;
    let issuer = scene.keycloak.issuer();
    let long = "a".repeat(300);
    for (name, value) in [
        ("iss", json!(format!("{issuer}/"))),
        ("iss", json!(issuer.to_uppercase())),
        ("iss", json!(issuer.replace("http:", "https:"))),
        ("iss", Value::Null),
        ("aud", Value::Null),
        ("aud", json!("another-client")),
        ("aud", json!(["another-client"])),
        ("aud", json!([])),
        ("azp", json!("another-client")),
        ("nonce", Value::Null),
        ("nonce", json!("another")),
        ("sub", Value::Null),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("sub", json!(long)),
        ("sub", json!("a\u{0}b")),
        ("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
        ("exp", json!(NOW - 31)),
        ("exp", Value::Null),
        ("exp", json!("tomorrow")),
        ("nbf", json!(NOW + 31)),
    ] {
        let told = format!("{name}: {value}");
        let forge = move |draft: Draft<'_>| draft.with(name, value.clone()).signed();
        assert_refused(&scene, &told, Box::new(forge)).await;
    }
    let others = |draft: Draft<'_>| {
        draft.with("aud", json!([CLIENT_ID, "another"])).with("azp", Value::Null).signed()
    };
    assert_refused(&scene, "several audiences and no azp", Box::new(others)).await;
    // Clocks may differ by half a minute.
    scene.keycloak.forge(|draft| draft.with("exp", NOW - 29).with("nbf", NOW + 30).signed());
    scene.log_in().await;
    let several = |draft: Draft<'_>| {
        draft.with("aud", json!([CLIENT_ID, "another"])).with("azp", CLIENT_ID).signed()
    };
    scene.keycloak.forge(several);
    scene.log_in().await;
}

#[tokio::test]
async fn a_nonce_of_an_earlier_log_in_lets_nobody_in() {
    let scene = scene().await;
    let first = Arc::new(std::sync::Mutex::new(None::<Value>));
    let kept = Arc::clone(&first);
    scene.keycloak.forge(move |draft| {
        let nonce =
            kept.lock().unwrap().get_or_insert_with(|| draft.claims["nonce"].clone()).clone();
        draft.with("nonce", nonce).signed()
    });
    let mut browser = scene.log_in().await;
    let mut other = vestibule_tests::browser::Browser::new(&scene.app);
    let reply = scene.keycloak.lead(&mut other).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{}", reply.body);
    assert!(other.session().is_none());
    assert_eq!(who(&mut browser).await, "ada");
}

#[tokio::test]
async fn what_is_no_signed_token_of_the_usual_form_lets_nobody_in() {
    let scene = scene().await;
    let headers = [
        json!({"alg": "RS256", "kid": "realm-key", "crit": ["exp"], "exp": 1}),
        json!({"alg": "RS256", "kid": "realm-key", "b64": false, "crit": ["b64"]}),
        json!({"alg": "RS256", "kid": "realm-key", "zip": "DEF", "crit": ["zip"]}),
        json!({"alg": "RS256", "kid": "no-such-key"}),
        json!({"alg": "RS256", "kid": "../../../etc/passwd"}),
        json!({"alg": "RS256", "kid": "' or 1=1 --"}),
        json!({"alg": "RS256", "kid": "a\u{0}\r\nb"}),
        json!({"alg": "RS256", "kid": "k".repeat(10_000)}),
        json!({"alg": "RS256", "kid": ["realm-key"]}),
        json!({"alg": ["RS256"], "kid": "realm-key"}),
    ];
    for header in headers {
        let told: String = header.to_string().chars().take(100).collect();
        let forge = move |draft: Draft<'_>| draft.key.sign("RS256", &header, &draft.claims);
        assert_refused(&scene, &told, Box::new(forge)).await;
    }
    let forgeries: Vec<(&str, Forgery)> = vec![
        ("five parts", Box::new(|_| "e30.e30.e30.e30.e30".to_owned())),
        ("nothing", Box::new(|_| "..".to_owned())),
        ("dots", Box::new(|_| ".".repeat(100_000))),
        ("too much", Box::new(|draft| draft.with("more", "x".repeat(200_000)).signed())),
        (
            "a token in a token",
            Box::new(|draft| {
                let inner = draft.signed();
                draft.key.sign_text("RS256", &draft.header.to_string(), inner.as_bytes())
            }),
        ),
    ];
    for (told, forge) in forgeries {
        assert_refused(&scene, told, forge).await;
    }
    assert!(scene.calls(Endpoint::Keys) <= 2, "unknown keys are not asked for again and again");
}

#[tokio::test]
async fn of_two_keys_of_one_name_the_right_one_counts() {
    let scene = scene().await;
    let (old, curve) = (Key::rsa("realm-key"), Key::p256("realm-key"));
    let own = Arc::new(std::sync::Mutex::new(None::<Value>));
    let kept = Arc::clone(&own);
    scene.keycloak.forge(move |draft| {
        *kept.lock().unwrap() = Some(draft.key.jwk());
        draft.signed()
    });
    scene.log_in().await;
    let own = own.lock().unwrap().clone().unwrap();
    // The keys are fetched anew after a day.
    for keys in [json!([curve.jwk(), own]), json!([own, curve.jwk()])] {
        scene.app.clock.advance(24 * 3600);
        scene.keycloak.script.answer(Endpoint::Keys, Answer::Json(200, json!({"keys": keys})));
        scene.log_in().await;
    }
    scene.app.clock.advance(24 * 3600);
    let keys = json!({"keys": [old.jwk()]});
    scene.keycloak.script.answer(Endpoint::Keys, Answer::Json(200, keys));
    let mut browser = vestibule_tests::browser::Browser::new(&scene.app);
    let reply = scene.keycloak.lead(&mut browser).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{}", reply.body);
    assert!(browser.session().is_none());
}

#[tokio::test]
async fn keys_that_cannot_be_had_are_for_later_and_bad_ones_are_left_out() {
    let weak = json!({"kty": "RSA", "kid": "realm-key", "n": coded(&[0xff; 64]), "e": "AQAB"});
    let shared = json!({"kty": "oct", "kid": "realm-key", "k": coded(&[7; 32])});
    let off_the_curve = {
        let mut key = Key::p256("realm-key").jwk();
        key["y"] = json!(coded(&[1; 32]));
        key
    };
    for trouble in [
        Answer::Json(500, json!({})),
        Answer::Json(200, json!({"keys": []})),
        Answer::Json(200, json!({"keys": [weak, shared, off_the_curve]})),
        Answer::Json(200, json!({})),
        Answer::Text("text/html", "<h1>Unicorn!</h1>"),
        Answer::Large,
        Answer::HangUp,
        Answer::Redirect(302),
    ] {
        let scene = scene().await;
        scene.keycloak.script.answer(Endpoint::Keys, trouble.clone());
        let reply = scene.refused().await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{trouble:?}: {}", reply.body);
        scene.keycloak.script.recover(Endpoint::Keys);
        scene.app.clock.advance(60);
        scene.log_in().await;
        assert_eq!(scene.calls(Endpoint::Elsewhere), 0);
    }
    let scene = scene().await;
    let own = Arc::new(std::sync::Mutex::new(None::<Value>));
    let kept = Arc::clone(&own);
    scene.keycloak.forge(move |draft| {
        *kept.lock().unwrap() = Some(draft.key.jwk());
        draft.signed()
    });
    scene.log_in().await;
    scene.app.clock.advance(24 * 3600);
    let own = own.lock().unwrap().clone().unwrap();
    let keys = json!({"keys": [weak, shared, off_the_curve, "no key", own]});
    scene.keycloak.script.answer(Endpoint::Keys, Answer::Json(200, keys));
    scene.log_in().await;
}
