//! The capability `jose` against an issuer that does what it should not.

use std::time::{Duration, Instant};

use secrecy::SecretString;
use serde_json::{Value, json};
use vestibule::engine::Hooks;
use vestibule_tests::{
    NOW, TestApp,
    database::Database,
    issuer::{Issuer, Key, Says, coded},
    logs::Logs,
    puppet::{play, step, verifying},
    run::{at_once, note_secret},
};

/// The access token that belongs to the ID tokens here.
const ACCESS: &str = "plaintext-canary-access-token";

/// An issuer with an RSA key, and a strategy that asks for its tokens.
struct Scene {
    issuer: Issuer,
    key: Key,
    app: TestApp,
}

async fn scene() -> Scene {
    let key = Key::rsa("rsa-1");
    let issuer = Issuer::start(&[&key]).await;
    let app = app(&issuer, "").await;
    Scene { issuer, key, app }
}

async fn app(issuer: &Issuer, toml: &str) -> TestApp {
    note_secret(&SecretString::from(ACCESS));
    let toml = format!("auth.settings.client_secret = '{ACCESS}'\n{toml}");
    verifying(&Database::sqlite(), &[&issuer.id], &[], &toml, Hooks::default()).await
}

/// What a strategy usually expects, with changes.
fn expecting(issuer: &str, changes: &Value) -> Value {
    let usual = json!({
        "do": "verify", "token": 1, "issuer": issuer, "audiences": ["us"], "algorithms": ["RS256"],
        "claims": ["/sub"],
    });
    changed(usual, changes)
}

/// An object with other members; `null` takes one away.
fn changed(mut object: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(name);
        } else {
            object[name] = value.clone();
        }
    }
    object
}

impl Scene {
    /// The usual claims with changes.
    fn claims(&self, changes: &Value) -> Value {
        let usual = json!({
            "iss": self.issuer.id, "aud": "us", "sub": "jane", "iat": NOW, "exp": NOW + 300,
        });
        changed(usual, changes)
    }

    fn token(&self, changes: &Value) -> String {
        self.key.token("RS256", &self.claims(changes))
    }

    async fn ask(&self, token: &str, changes: Value) -> String {
        verify(&self.app, &self.issuer.id, token, changes).await
    }

    /// What becomes of a token with other claims, where other things are expected.
    async fn judge(&self, claims: Value, expected: Value) -> String {
        self.ask(&self.token(&claims), expected).await
    }
}

async fn verify(app: &TestApp, issuer: &str, token: &str, changes: Value) -> String {
    note_secret(&SecretString::from(token));
    let caller = app.anonymous().with("authorization", &format!("Bearer {token}"));
    play(&caller, json!([expecting(issuer, &changes)])).await.remove(0)
}

const JANE: &str = r#"[Some(ClaimValue::Text("jane"))]"#;

fn rejected(rejection: &str) -> String {
    format!("JoseError::Rejected(Rejection::{rejection})")
}

#[tokio::test]
async fn every_algorithm_of_the_contract_is_verified() {
    let keys = [Key::rsa("r"), Key::p256("p256"), Key::p384("p384"), Key::ed25519("ed")];
    let issuer = Issuer::start(&keys.each_ref()).await;
    let app = app(&issuer, "").await;
    let claims = json!({"iss": issuer.id, "aud": "us", "sub": "jane", "exp": NOW + 300});
    for (key, algorithm) in [
        (0, "RS256"),
        (0, "RS384"),
        (0, "RS512"),
        (0, "PS256"),
        (0, "PS384"),
        (0, "PS512"),
        (1, "ES256"),
        (2, "ES384"),
        (3, "EdDSA"),
    ] {
        let token = keys[key].token(algorithm, &claims);
        let expected = json!({"algorithms": [algorithm]});
        assert_eq!(verify(&app, &issuer.id, &token, expected).await, JANE, "{algorithm}");
        // What is expected is a list of its own for each call.
        let others: Vec<_> = ["RS256", "ES256"].into_iter().filter(|a| *a != algorithm).collect();
        let told = verify(&app, &issuer.id, &token, json!({"algorithms": others})).await;
        assert_eq!(told, rejected("Algorithm"), "{algorithm}");
    }
    assert_eq!(issuer.asked(), (1, 1));
}

#[tokio::test]
async fn a_token_is_verified_without_asking_anybody_once_the_keys_are_there() {
    let scene = scene().await;
    assert_eq!(scene.judge(json!({}), json!({})).await, JANE);
    assert_eq!(scene.issuer.asked(), (1, 1));
    let before = scene.issuer.peer.seen().len();
    for _ in 0..50 {
        assert_eq!(scene.judge(json!({}), json!({})).await, JANE);
    }
    assert_eq!(scene.issuer.peer.seen().len() - before, 0);
}

#[tokio::test]
async fn claims_are_handed_out_by_pointer_and_as_what_they_are() {
    let scene = scene().await;
    let claims = json!({
        "email_verified": true, "n": -7, "big": 18_446_744_073_709_551_615_u64, "half": 0.5,
        "realm_access": {"roles": ["a", "b"]}, "mixed": ["a", 1], "a/b~c": "escaped", "null": null,
        "none": [], "empty": "",
    });
    let mut all = scene.claims(&json!({}));
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    let token = scene.key.token("RS256", &all);
    let asked = [
        "/sub",
        "/email_verified",
        "/n",
        "/big",
        "/half",
        "/realm_access/roles",
        "/mixed",
        "/a~1b~0c",
        "/null",
        "/none",
        "/missing",
        "/realm_access/roles/1",
        "/empty",
        "/realm_access",
    ];
    let told = scene.ask(&token, json!({"claims": asked})).await;
    let expected = [
        r#"Some(ClaimValue::Text("jane"))"#,
        "Some(ClaimValue::Boolean(true))",
        "Some(ClaimValue::Integer(-7))",
        r#"Some(ClaimValue::Json("18446744073709551615"))"#,
        r#"Some(ClaimValue::Json("0.5"))"#,
        r#"Some(ClaimValue::Texts(["a", "b"]))"#,
        r#"Some(ClaimValue::Json("[\"a\",1]"))"#,
        r#"Some(ClaimValue::Text("escaped"))"#,
        r#"Some(ClaimValue::Json("null"))"#,
        "Some(ClaimValue::Texts([]))",
        "None",
        r#"Some(ClaimValue::Text("b"))"#,
        r#"Some(ClaimValue::Text(""))"#,
        r#"Some(ClaimValue::Json("{\"roles\":[\"a\",\"b\"]}"))"#,
    ];
    assert_eq!(told, format!("[{}]", expected.join(", ")));
}

#[tokio::test]
async fn what_makes_no_sense_is_not_asked() {
    let scene = scene().await;
    for changes in [
        json!({"audiences": []}),
        json!({"algorithms": []}),
        json!({"leeway": 61}),
        json!({"claims": ["sub"]}),
        json!({"claims": vec!["/sub"; 65]}),
        json!({"audiences": vec!["us"; 65]}),
        json!({"once": true, "endless": true}),
    ] {
        let told = scene.judge(json!({}), changes.clone()).await;
        assert!(told.starts_with("JoseError::InvalidRequest("), "{changes}: {told}");
    }
    assert_eq!(scene.issuer.asked(), (0, 0));
}

#[tokio::test]
async fn a_token_without_a_signature_or_with_a_shared_key_is_refused() {
    let scene = scene().await;
    let claims = scene.claims(&json!({})).to_string();
    let unsigned = |alg: &str| {
        let header = json!({"alg": alg, "kid": scene.key.kid}).to_string();
        format!("{}.{}", coded(header.as_bytes()), coded(claims.as_bytes()))
    };
    for alg in ["none", "None", "NONE", "nOnE", "HS256", "HS512", "rs256", "RS1", "ES256K", ""] {
        for signature in ["", "AAAA"] {
            let token = format!("{}.{signature}", unsigned(alg));
            assert_eq!(scene.ask(&token, json!({})).await, rejected("Algorithm"), "{alg}");
        }
    }
    // The public key as if it were a secret that is shared.
    let signed = unsigned("HS256");
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, scene.key.public());
    let tag = aws_lc_rs::hmac::sign(&key, signed.as_bytes());
    let token = format!("{signed}.{}", coded(tag.as_ref()));
    assert_eq!(scene.ask(&token, json!({})).await, rejected("Algorithm"));
    assert_eq!(scene.issuer.asked(), (0, 0));
}

#[tokio::test]
async fn a_signature_that_does_not_hold_is_refused() {
    let keys = [Key::rsa("r"), Key::p256("e"), Key::ed25519("o")];
    let issuer = Issuer::start(&keys.each_ref()).await;
    let app = app(&issuer, "").await;
    let strangers = [Key::rsa("r"), Key::p256("e"), Key::ed25519("o")];
    let claims = json!({"iss": issuer.id, "aud": "us", "sub": "jane", "exp": NOW + 300});
    for ((key, stranger), algorithm) in keys.iter().zip(&strangers).zip(["RS256", "ES256", "EdDSA"])
    {
        let expected = json!({"algorithms": [algorithm]});
        let token = key.token(algorithm, &claims);
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let other = key.token(algorithm, &json!({"iss": issuer.id, "sub": "joe"}));
        let (other_signed, _) = other.rsplit_once('.').unwrap();
        let first = if signature.starts_with('A') { "B" } else { "A" };
        for bad in [
            stranger.token(algorithm, &claims),
            format!("{other_signed}.{signature}"),
            format!("{signed}.{first}{}", &signature[1..]),
            format!("{signed}.{}", coded(&[0; 64])),
            format!("{signed}.{}", coded(&[0; 256])),
            format!("{signed}."),
        ] {
            let told = verify(&app, &issuer.id, &bad, expected.clone()).await;
            assert_eq!(told, rejected("Signature"), "{algorithm}: {bad}");
        }
    }
}

#[tokio::test]
async fn a_key_is_used_for_what_it_is_and_for_nothing_else() {
    let (rsa, ec) = (Key::rsa("same"), Key::p256("same"));
    let issuer = Issuer::start(&[&rsa]).await;
    let app = app(&issuer, "").await;
    let claims = json!({"iss": issuer.id, "aud": "us", "sub": "jane", "exp": NOW + 1_000_000});
    let both = json!({"algorithms": ["RS256", "PS256", "ES256"]});
    for (set, token, told) in [
        // A key on a curve where the issuer has an RSA key of that name.
        (json!([rsa.jwk()]), ec.token("ES256", &claims), rejected("UnknownKey")),
        // Two keys of one name and different kinds.
        (json!([rsa.jwk(), ec.jwk()]), ec.token("ES256", &claims), JANE.to_owned()),
        (
            json!([changed(rsa.jwk(), &json!({"use": "enc"}))]),
            rsa.token("RS256", &claims),
            "none of its keys can be used".to_owned(),
        ),
        (
            json!([changed(rsa.jwk(), &json!({"alg": "PS256"})), ec.jwk()]),
            rsa.token("RS256", &claims),
            rejected("UnknownKey"),
        ),
        (
            json!([changed(rsa.jwk(), &json!({"alg": "PS256"})), ec.jwk()]),
            rsa.token("PS256", &claims),
            JANE.to_owned(),
        ),
        (
            json!([changed(rsa.jwk(), &json!({"key_ops": ["encrypt"]})), ec.jwk()]),
            rsa.token("RS256", &claims),
            rejected("UnknownKey"),
        ),
    ] {
        issuer.publish_as(Says::Document(json!({"keys": &set})));
        app.clock.advance(24 * 3600);
        let found = verify(&app, &issuer.id, &token, both.clone()).await;
        assert!(found.contains(&told), "{set}: {found}");
    }
}

#[tokio::test]
async fn bad_keys_are_left_out_and_good_ones_still_work() {
    let scene = scene().await;
    let point = Key::p256("off");
    let off_the_curve = changed(point.jwk(), &json!({"y": coded(&[1; 32])}));
    let bad = [
        json!({"kty": "RSA", "kid": "short", "n": coded(&[0xff; 64]), "e": "AQAB"}),
        json!({"kty": "RSA", "kid": "weak", "n": coded(&[0xff; 255]), "e": "AQAB"}),
        json!({"kty": "RSA", "kid": "unparsable", "n": "!", "e": "AQAB"}),
        json!({"kty": "RSA", "kid": "empty", "n": "", "e": ""}),
        json!({"kty": "oct", "kid": "shared", "k": coded(&[7; 32])}),
        json!({"kty": "OKP", "kid": "ed448", "crv": "Ed448", "x": coded(&[7; 57])}),
        json!({"kty": ["RSA"], "kid": 7}),
        json!("no key"),
        off_the_curve,
    ];
    let mut set = bad.to_vec();
    set.push(scene.key.jwk());
    scene.issuer.publish_as(Says::Document(json!({ "keys": set })));
    assert_eq!(scene.judge(json!({}), json!({})).await, JANE);
    let ec = json!({"algorithms": ["ES256"]});
    let token = point.token("ES256", &scene.claims(&json!({})));
    assert_eq!(scene.ask(&token, ec).await, rejected("UnknownKey"));
    for kid in ["short", "weak", "unparsable", "empty", "shared"] {
        let header = json!({"alg": "RS256", "kid": kid});
        let token = scene.key.sign("RS256", &header, &scene.claims(&json!({})));
        assert_eq!(scene.ask(&token, json!({})).await, rejected("UnknownKey"), "{kid}");
    }
}

#[tokio::test]
async fn a_key_under_which_signatures_of_nobody_hold_is_left_out() {
    let scene = scene().await;
    let with_ends = |first: u8, between: u8, last: u8| {
        let mut x = [between; 32];
        (x[0], x[31]) = (first, last);
        x
    };
    for x in [
        with_ends(0, 0, 0),
        with_ends(0, 0, 0x80),
        with_ends(1, 0, 0),
        with_ends(1, 0, 0x80),
        with_ends(0xec, 0xff, 0x7f),
        with_ends(0xed, 0xff, 0x7f),
        with_ends(0xee, 0xff, 0xff),
    ] {
        let key = json!({"kty": "OKP", "kid": "small", "crv": "Ed25519", "x": coded(&x)});
        let keys = json!({ "keys": [key, scene.key.jwk()] });
        scene.issuer.publish_as(Says::Document(keys));
        scene.app.clock.advance(24 * 3600);
        let header = coded(json!({"alg": "EdDSA", "kid": "small"}).to_string().as_bytes());
        let claims = coded(scene.claims(&json!({})).to_string().as_bytes());
        // The neutral element and a zero, which need no private key.
        let mut signature = [0; 64];
        signature[0] = 1;
        let token = format!("{header}.{claims}.{}", coded(&signature));
        let told = scene.ask(&token, json!({"algorithms": ["EdDSA"]})).await;
        assert_eq!(told, rejected("UnknownKey"), "{x:?}");
    }
}

#[tokio::test]
async fn a_key_that_the_token_brings_along_is_not_looked_at() {
    let scene = scene().await;
    let attacker = Key::rsa("attacker");
    let elsewhere = Issuer::start(&[&attacker]).await;
    let url = format!("{}/keys", elsewhere.id);
    for (name, value) in [
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("jwk", attacker.jwk()),
        ("x5c", json!([coded(attacker.public())])),
    ] {
        for kid in ["attacker", "rsa-1"] {
            let header = json!({"alg": "RS256", "kid": kid, name: value});
            let token = attacker.sign("RS256", &header, &scene.claims(&json!({})));
            let told = scene.ask(&token, json!({})).await;
            let rejection = if kid == "attacker" { "UnknownKey" } else { "Signature" };
            assert_eq!(told, rejected(rejection), "{name}");
        }
        let header = json!({"alg": "RS256", "kid": "rsa-1", name: value});
        let token = scene.key.sign("RS256", &header, &scene.claims(&json!({})));
        assert_eq!(scene.ask(&token, json!({})).await, JANE, "{name}");
    }
    assert_eq!(elsewhere.peer.seen().len(), 0);
}

#[tokio::test]
async fn hostile_names_of_keys_are_names_of_no_key() {
    let scene = scene().await;
    let claims = scene.claims(&json!({}));
    let long = "k".repeat(20_000);
    for kid in ["", "RSA-1", "rsa-1 ", "../../etc/passwd", "' or 1=1 --", "rsa-1\0", &long] {
        let header = json!({"alg": "RS256", "kid": kid});
        let told = scene.ask(&scene.key.sign("RS256", &header, &claims), json!({})).await;
        assert_eq!(told, rejected("UnknownKey"), "{kid:.30}");
    }
    for kid in [json!(7), json!(null), json!(["rsa-1"]), json!({"kid": "rsa-1"})] {
        let header = json!({"alg": "RS256", "kid": kid});
        let told = scene.ask(&scene.key.sign("RS256", &header, &claims), json!({})).await;
        assert_eq!(told, rejected("Malformed"), "{kid}");
    }
    let twice = r#"{"alg":"RS256","kid":"other","kid":"rsa-1"}"#;
    let token = scene.key.sign_text("RS256", twice, claims.to_string().as_bytes());
    assert_eq!(scene.ask(&token, json!({})).await, rejected("Malformed"));
    // All of them together had the keys read once.
    assert_eq!(scene.issuer.asked(), (1, 1));
}

#[tokio::test]
async fn a_token_without_the_name_of_a_key_is_verified_where_there_is_one_key_only() {
    let (one, other, ec) = (Key::rsa("one"), Key::rsa("other"), Key::p256("ec"));
    let issuer = Issuer::start(&[&one, &ec]).await;
    let app = app(&issuer, "").await;
    let claims = json!({"iss": issuer.id, "aud": "us", "sub": "jane", "exp": NOW + 300});
    let token = one.sign("RS256", &json!({"alg": "RS256"}), &claims);
    assert_eq!(verify(&app, &issuer.id, &token, json!({})).await, JANE);
    issuer.publish(&[&one, &other]);
    let later = json!({"iss": issuer.id, "aud": "us", "sub": "jane", "exp": NOW + 200_000});
    app.clock.advance(24 * 3600);
    let token = one.sign("RS256", &json!({"alg": "RS256"}), &later);
    assert_eq!(verify(&app, &issuer.id, &token, json!({})).await, rejected("UnknownKey"));
}

#[tokio::test]
async fn what_is_no_signed_token_of_the_compact_form_is_refused() {
    let scene = scene().await;
    let good = scene.token(&json!({}));
    let (header, rest) = good.split_once('.').unwrap();
    let claims = scene.claims(&json!({}));
    let text = claims.to_string();
    let with = |members: Value| {
        let header = changed(json!({"alg": "RS256", "kid": "rsa-1"}), &members);
        scene.key.sign("RS256", &header, &claims)
    };
    let payload = |text: &str| {
        scene.key.sign_text("RS256", r#"{"alg":"RS256","kid":"rsa-1"}"#, text.as_bytes())
    };
    let twice = format!(r#"{{"iss":"https://elsewhere.example",{}"#, &text[1..]);
    let huge = scene.token(&json!({"pad": "x".repeat(40_000)}));
    for (what, token) in [
        ("nothing", "-".to_owned()),
        ("one part", header.to_owned()),
        ("two parts", format!("{header}.{header}")),
        ("four parts", format!("{good}.{header}")),
        ("an encrypted token", format!("{header}.a.b.c.d")),
        ("dots", ".".repeat(100_000)),
        ("too much", huge),
        ("200 kB", "a".repeat(200_000)),
        ("padding", format!("{header}=.{rest}")),
        ("another alphabet", good.replacen('.', "+.", 1)),
        ("extensions", with(json!({"crit": ["exp"], "exp": NOW}))),
        ("no extensions", with(json!({"crit": []}))),
        ("the payload as it is", with(json!({"b64": false}))),
        ("compression", with(json!({"zip": "DEF"}))),
        ("encryption", with(json!({"enc": "A128GCM"}))),
        ("a token in a token", payload(&good)),
        ("a list", payload("[]")),
        ("two readings", payload(&twice)),
        ("two documents", payload(&format!("{text}{text}"))),
        ("depth", payload(&format!("{{\"a\":{}", "[".repeat(10_000)))),
    ] {
        assert_eq!(scene.ask(&token, json!({})).await, rejected("Malformed"), "{what}");
    }
    assert_eq!(scene.ask(&good, json!({})).await, JANE);
}

#[tokio::test]
async fn the_type_of_a_token_is_one_of_those_expected() {
    let scene = scene().await;
    let claims = scene.claims(&json!({}));
    let of = |typ: Value| {
        let header = changed(json!({"alg": "RS256", "kid": "rsa-1"}), &json!({"typ": typ}));
        scene.key.sign("RS256", &header, &claims)
    };
    let logout = json!({"types": ["logout+jwt", "at+jwt"]});
    for (typ, told) in [
        (json!("logout+jwt"), JANE.to_owned()),
        (json!("application/logout+jwt"), JANE.to_owned()),
        (json!("AT+JWT"), JANE.to_owned()),
        (json!("JWT"), rejected("WrongType")),
        (json!(null), rejected("WrongType")),
        (json!(["logout+jwt"]), rejected("WrongType")),
    ] {
        assert_eq!(scene.ask(&of(typ.clone()), logout.clone()).await, told, "{typ}");
    }
    assert_eq!(scene.ask(&of(json!("anything")), json!({})).await, JANE);
}

#[tokio::test]
async fn another_issuer_is_another_issuer_however_little_it_differs() {
    let scene = scene().await;
    let id = scene.issuer.id.clone();
    for other in [
        format!("{id}/"),
        id.to_uppercase(),
        id.replace("http:", "https:"),
        id.replace("127.0.0.1", "localhost"),
        "https://elsewhere.example".to_owned(),
        String::new(),
    ] {
        let told = scene.judge(json!({"iss": other}), json!({})).await;
        assert_eq!(told, rejected("Issuer"), "{other}");
    }
    for wrong in [json!(null), json!(7), json!([id])] {
        let told = scene.judge(json!({"iss": wrong}), json!({})).await;
        assert_eq!(told, rejected("Claims"), "{wrong}");
    }
}

#[tokio::test]
async fn a_token_for_somebody_else_is_refused() {
    let scene = scene().await;
    let parties = json!({"parties": ["us"]});
    let no_audience = json!({"audiences": [], "parties": ["us"]});
    for (claims, expected, told) in [
        (json!({"aud": ["us"]}), json!({}), JANE.to_owned()),
        (json!({"aud": ["them", "us"]}), json!({}), JANE.to_owned()),
        (json!({"aud": "them"}), json!({}), rejected("Audience")),
        (json!({"aud": ["them"]}), json!({}), rejected("Audience")),
        (json!({"aud": "us "}), json!({}), rejected("Audience")),
        (json!({"aud": []}), json!({}), rejected("Audience")),
        (json!({"aud": null}), json!({}), rejected("Claims")),
        (json!({"aud": ["us", 7]}), json!({}), rejected("Claims")),
        (json!({"aud": {"us": true}}), json!({}), rejected("Claims")),
        (json!({"azp": "us"}), parties.clone(), JANE.to_owned()),
        (json!({}), parties.clone(), JANE.to_owned()),
        (json!({"azp": "them"}), parties.clone(), rejected("AuthorizedParty")),
        (json!({"aud": ["us", "them"]}), parties.clone(), rejected("AuthorizedParty")),
        (json!({"aud": ["us", "them"], "azp": "us"}), parties.clone(), JANE.to_owned()),
        (json!({"azp": 7}), parties, rejected("Claims")),
        (json!({"azp": "them"}), json!({}), JANE.to_owned()),
        (json!({"aud": null, "azp": "us"}), no_audience.clone(), JANE.to_owned()),
        (json!({"aud": null, "azp": "them"}), no_audience.clone(), rejected("AuthorizedParty")),
        (json!({"aud": null}), no_audience, rejected("AuthorizedParty")),
    ] {
        let found = scene.judge(claims.clone(), expected.clone()).await;
        assert_eq!(found, told, "{claims} {expected}");
    }
}

#[tokio::test]
async fn a_token_holds_in_its_time_and_by_as_much_leeway_as_is_given() {
    let scene = scene().await;
    let endless = json!({"endless": true});
    let leeway = json!({"leeway": 30});
    let aged = json!({"max_age": 60, "leeway": 30});
    for (claims, expected, told) in [
        (json!({"exp": NOW + 1}), json!({}), JANE.to_owned()),
        (json!({"exp": NOW}), json!({}), rejected("Expired")),
        (json!({"exp": NOW - 29}), leeway.clone(), JANE.to_owned()),
        (json!({"exp": NOW - 30}), leeway.clone(), rejected("Expired")),
        (json!({"exp": -1}), json!({}), rejected("Expired")),
        (json!({"exp": NOW - 1}), endless.clone(), rejected("Expired")),
        (json!({"exp": null}), endless, JANE.to_owned()),
        (json!({"exp": null}), json!({}), rejected("Claims")),
        (json!({"exp": (NOW + 300).to_string()}), json!({}), rejected("Claims")),
        (json!({"exp": true}), json!({}), rejected("Claims")),
        (json!({"exp": 1e300}), leeway.clone(), JANE.to_owned()),
        (json!({"exp": 1_800_000_000.9}), json!({}), rejected("Expired")),
        (json!({"nbf": NOW}), json!({}), JANE.to_owned()),
        (json!({"nbf": NOW + 1}), json!({}), rejected("NotYetValid")),
        (json!({"nbf": NOW + 30}), leeway.clone(), JANE.to_owned()),
        (json!({"nbf": NOW + 31}), leeway.clone(), rejected("NotYetValid")),
        (json!({"nbf": "soon"}), json!({}), rejected("Claims")),
        (json!({"iat": NOW + 31}), leeway, rejected("NotYetValid")),
        (json!({"iat": [NOW]}), json!({}), rejected("Claims")),
        (json!({"iat": null}), json!({}), JANE.to_owned()),
        (json!({"iat": NOW - 90}), aged.clone(), JANE.to_owned()),
        (json!({"iat": NOW - 91}), aged.clone(), rejected("TooOld")),
        (json!({"iat": null}), aged, rejected("Claims")),
    ] {
        let found = scene.judge(claims.clone(), expected.clone()).await;
        assert_eq!(found, told, "{claims} {expected}");
    }
}

#[tokio::test]
async fn the_nonce_is_the_one_of_this_log_in() {
    let scene = scene().await;
    let expected = json!({"nonce": "n-1"});
    for (claims, told) in [
        (json!({"nonce": "n-1"}), JANE.to_owned()),
        (json!({"nonce": "n-0"}), rejected("Nonce")),
        (json!({"nonce": ""}), rejected("Nonce")),
        (json!({}), rejected("Nonce")),
        (json!({"nonce": ["n-1"]}), rejected("Claims")),
    ] {
        assert_eq!(scene.judge(claims.clone(), expected.clone()).await, told, "{claims}");
    }
}

#[tokio::test]
async fn an_id_token_belongs_to_its_access_token() {
    let keys = [Key::rsa("r"), Key::p384("e"), Key::ed25519("o")];
    let issuer = Issuer::start(&keys.each_ref()).await;
    let app = app(&issuer, "").await;
    let half = |by, token: &str| {
        let digest = aws_lc_rs::digest::digest(by, token.as_bytes());
        coded(&digest.as_ref()[..digest.as_ref().len() / 2])
    };
    let base = json!({"iss": issuer.id, "aud": "us", "sub": "jane", "exp": NOW + 300});
    for (key, algorithm, by) in [
        (&keys[0], "RS256", &aws_lc_rs::digest::SHA256),
        (&keys[1], "ES384", &aws_lc_rs::digest::SHA384),
        (&keys[2], "EdDSA", &aws_lc_rs::digest::SHA512),
    ] {
        for (hash, told) in [
            (json!(half(by, ACCESS)), JANE.to_owned()),
            (json!(null), JANE.to_owned()),
            (json!(half(by, "another")), rejected("AccessToken")),
            (json!(half(by, ACCESS)[..10]), rejected("AccessToken")),
            (json!(""), rejected("AccessToken")),
            (json!(7), rejected("Claims")),
        ] {
            let token = key.token(algorithm, &changed(base.clone(), &json!({"at_hash": hash})));
            let expected = json!({"algorithms": [algorithm], "access_token": 0});
            let found = verify(&app, &issuer.id, &token, expected).await;
            assert_eq!(found, told, "{algorithm} {hash}");
        }
    }
}

#[tokio::test]
async fn a_token_is_used_once_and_by_one_of_the_replicas() {
    let key = Key::rsa("r");
    let issuer = Issuer::start(&[&key]).await;
    let database = Database::sqlite();
    let toml = format!("auth.settings.client_secret = '{ACCESS}'");
    let issuers = [issuer.id.as_str()];
    let start = || verifying(&database, &issuers, &[], &toml, Hooks::default());
    let replicas = [start().await, start().await];
    let base = json!({"iss": issuer.id, "aud": "us", "sub": "jane", "exp": NOW + 300, "iat": NOW});
    let token = |changes: Value| key.token("RS256", &changed(base.clone(), &changes));
    let once = json!({"once": true});
    let first = token(json!({"jti": "1"}));
    // What is refused for another reason is not used up.
    let other = json!({"once": true, "nonce": "n"});
    assert_eq!(verify(&replicas[0], &issuer.id, &first, other).await, rejected("Nonce"));
    let both = replicas.clone().map(|app| {
        let (id, first, once) = (issuer.id.clone(), first.clone(), once.clone());
        async move { verify(&app, &id, &first, once).await }
    });
    let mut told = at_once(both).await;
    told.sort();
    assert_eq!(told, [rejected("Replayed"), JANE.to_owned()]);
    assert_eq!(verify(&replicas[0], &issuer.id, &first, once.clone()).await, rejected("Replayed"));
    // The same words in a token of its own are the same token.
    let again = token(json!({"jti": "1", "sub": "joe"}));
    assert_eq!(verify(&replicas[1], &issuer.id, &again, once.clone()).await, rejected("Replayed"));
    let second = token(json!({"jti": "2"}));
    assert_eq!(verify(&replicas[1], &issuer.id, &second, once.clone()).await, JANE);
    for jti in [json!(null), json!(""), json!(7)] {
        let told =
            verify(&replicas[0], &issuer.id, &token(json!({"jti": jti})), once.clone()).await;
        assert_eq!(told, rejected("Claims"), "{jti}");
    }
    // It is remembered for as long as it would be believed, and no longer.
    let leeway = json!({"once": true, "leeway": 60});
    let third = token(json!({"jti": "3"}));
    assert_eq!(verify(&replicas[0], &issuer.id, &third, leeway.clone()).await, JANE);
    database.clock.advance(359);
    let last = token(json!({"jti": "4", "exp": NOW + 1000}));
    assert_eq!(verify(&replicas[0], &issuer.id, &last, leeway.clone()).await, JANE);
    assert_eq!(verify(&replicas[1], &issuer.id, &third, leeway).await, rejected("Replayed"));
}

#[tokio::test]
async fn a_log_out_token_is_verified_without_an_expiry_and_once() {
    let scene = scene().await;
    let events = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    let claims = scene.claims(&json!({"exp": null, "jti": "j", "sid": "s", "events": events}));
    let token = scene.key.sign(
        "RS256",
        &json!({"alg": "RS256", "typ": "logout+jwt", "kid": "rsa-1"}),
        &claims,
    );
    let expected = json!({
        "types": ["logout+jwt"], "once": true, "endless": true, "max_age": 120,
        "claims": ["/sub", "/sid", "/nonce",
            "/events/http:~1~1schemas.openid.net~1event~1backchannel-logout"],
    });
    assert_eq!(
        scene.ask(&token, expected.clone()).await,
        r#"[Some(ClaimValue::Text("jane")), Some(ClaimValue::Text("s")), None, Some(ClaimValue::Json("{}"))]"#
    );
    assert_eq!(scene.ask(&token, expected).await, rejected("Replayed"));
}

#[tokio::test]
async fn only_granted_issuers_are_asked_and_only_to_the_letter() {
    let scene = scene().await;
    let other = Issuer::start(&[&scene.key]).await;
    let logs = Logs::collect();
    let token = scene.token(&json!({}));
    for id in [other.id.clone(), format!("{}/", scene.issuer.id), scene.issuer.id.to_uppercase()] {
        let told = scene.ask(&token, json!({"issuer": id})).await;
        assert_eq!(told, format!("JoseError::NotGranted({id:?})"));
        let told = step(&scene.app, json!({"do": "discover", "issuer": id})).await;
        assert_eq!(told, format!("JoseError::NotGranted({id:?})"));
    }
    assert!(logs.text().contains("an issuer that is not granted"));
    assert_eq!((scene.issuer.asked(), other.peer.seen().len()), ((0, 0), 0));
}

#[tokio::test]
async fn a_discovery_document_is_that_of_the_issuer_and_is_kept() {
    let scene = scene().await;
    let id = &scene.issuer.id;
    let ask = || step(&scene.app, json!({"do": "discover", "issuer": id}));
    let told = ask().await;
    assert!(told.contains(&format!("authorization-endpoint: Some(\"{id}/authorize\")")), "{told}");
    assert!(told.contains(&format!("end-session-endpoint: Some(\"{id}/logout\")")), "{told}");
    assert!(told.contains("userinfo-endpoint: None"), "{told}");
    assert!(told.contains("issuer-in-callback: true"), "{told}");
    assert_eq!(ask().await, told);
    assert_eq!(scene.issuer.asked(), (1, 0));
}

#[tokio::test]
async fn a_discovery_document_that_cannot_be_believed_is_not() {
    let scene = scene().await;
    let id = scene.issuer.id.clone();
    let document = scene.issuer.document();
    let with = |changes: Value| Says::Document(changed(document.clone(), &changes));
    let elsewhere = Issuer::start(&[&scene.key]).await;
    let twice = document.to_string().replacen('{', r#"{"issuer":"https://a.example","#, 1);
    for (says, why) in [
        (with(json!({"issuer": format!("{id}/")})), "another issuer"),
        (with(json!({"issuer": null})), "no issuer"),
        (with(json!({"jwks_uri": null})), "names no key set"),
        (with(json!({"jwks_uri": "http://idp.example/keys"})), "not https"),
        (with(json!({"jwks_uri": format!("{}/keys", elsewhere.id)})), "not https"),
        (with(json!({"jwks_uri": "http://169.254.169.254/keys"})), "not https"),
        (with(json!({"jwks_uri": "https://169.254.169.254/keys"})), "grant its origin"),
        (with(json!({"jwks_uri": "https://[::ffff:127.0.0.1]/keys"})), "grant its origin"),
        (with(json!({"jwks_uri": "https://2130706433/keys"})), "grant its origin"),
        (with(json!({"jwks_uri": "https://localhost/keys"})), "grant its origin"),
        (with(json!({"jwks_uri": "https://a.localhost./keys"})), "grant its origin"),
        (with(json!({"jwks_uri": "file:///etc/passwd"})), "not https"),
        (with(json!({"token_endpoint": "http://idp.example/token"})), "not https"),
        (Says::Text(twice), "has a member twice"),
        (Says::Text("<html>".to_owned()), "no JSON object"),
        (Says::Status(500), "the answer is 500"),
        (Says::Moved(format!("{}/.well-known/openid-configuration", elsewhere.id)), "is 302"),
        (Says::TooMuch, "TooLarge"),
    ] {
        scene.issuer.discover(says);
        let told = scene.judge(json!({}), json!({})).await;
        assert!(told.starts_with("JoseError::Unavailable(") && told.contains(why), "{told}");
        scene.app.clock.advance(10);
    }
    assert_eq!((scene.issuer.asked().1, elsewhere.peer.seen().len()), (0, 0));
    scene.issuer.discover(Says::Document(document.clone()));
    assert_eq!(scene.judge(json!({}), json!({})).await, JANE);
}

#[tokio::test]
async fn a_strategy_names_other_places_only_where_they_are_granted_or_the_issuers() {
    let scene = scene().await;
    let id = scene.issuer.id.clone();
    let elsewhere = Issuer::start(&[&scene.key]).await;
    let token = scene.token(&json!({}));
    // The key set alone: nobody asks for a discovery document.
    let own = json!({"jwks_url": format!("{id}/keys")});
    assert_eq!(scene.ask(&token, own).await, JANE);
    assert_eq!(scene.issuer.asked(), (0, 1));
    let origin = &elsewhere.peer.origin;
    for member in ["jwks_url", "metadata_url"] {
        let told = scene.ask(&token, json!({member: format!("{}/keys", elsewhere.id)})).await;
        assert_eq!(told, format!("JoseError::NotGranted({origin:?})"), "{member}");
    }
    assert_eq!(elsewhere.peer.seen().len(), 0);
    let granted =
        verifying(&Database::sqlite(), &[&id], &[origin], &secret(), Hooks::default()).await;
    let other = json!({"jwks_url": format!("{}/keys", elsewhere.id)});
    assert_eq!(verify(&granted, &id, &token, other).await, JANE);
    assert_eq!(elsewhere.asked(), (0, 1));
    // Nor can it have the host remember any number of places.
    let mut told = String::new();
    for n in 0..40 {
        told = scene.ask(&token, json!({"jwks_url": format!("{id}/keys?{n}")})).await;
    }
    assert!(told.starts_with("JoseError::InvalidRequest("), "{told}");
}

fn secret() -> String {
    format!("auth.settings.client_secret = '{ACCESS}'")
}

#[tokio::test]
async fn a_key_set_that_cannot_be_used_is_not() {
    let scene = scene().await;
    let elsewhere = Issuer::start(&[&scene.key]).await;
    let many = vec![scene.key.jwk(); 101];
    for (says, why) in [
        (Says::Status(500), "the answer is 500"),
        (Says::Moved(format!("{}/keys", elsewhere.id)), "the answer is 302"),
        (Says::TooMuch, "TooLarge"),
        (Says::Text("{".to_owned()), "no JSON object"),
        (Says::Document(json!({"keys": []})), "none of its keys"),
        (Says::Document(json!({"keys": many})), "101 keys"),
        (Says::Document(json!({})), "no list of keys"),
    ] {
        scene.issuer.publish_as(says);
        let told = scene.judge(json!({}), json!({})).await;
        assert!(told.starts_with("JoseError::Unavailable(") && told.contains(why), "{told}");
        scene.app.clock.advance(10);
    }
    assert_eq!(elsewhere.peer.seen().len(), 0);
}

#[tokio::test]
async fn a_silent_issuer_costs_a_call_no_more_than_its_time() {
    let key = Key::rsa("r");
    let issuer = Issuer::start(&[&key]).await;
    issuer.publish_as(Says::Nothing);
    let app = app(&issuer, "auth.limits.wall = '3s'").await;
    let claims = json!({"iss": issuer.id, "aud": "us", "sub": "jane", "exp": NOW + 300});
    let token = key.token("RS256", &claims);
    let began = Instant::now();
    let told = verify(&app, &issuer.id, &token, json!({})).await;
    assert!(told.starts_with("JoseError::Unavailable("), "{told}");
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    // Who comes next waits for the same answer, and asks for no other.
    let told = verify(&app, &issuer.id, &token, json!({})).await;
    assert!(told.starts_with("JoseError::Unavailable("), "{told}");
    assert_eq!(issuer.asked(), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_at_once_ask_once() {
    let scene = scene().await;
    let token = scene.token(&json!({}));
    let calls = (0..50).map(|_| {
        let (app, id, token) = (scene.app.clone(), scene.issuer.id.clone(), token.clone());
        async move { verify(&app, &id, &token, json!({})).await }
    });
    assert!(at_once(calls).await.iter().all(|told| told == JANE));
    assert_eq!(scene.issuer.asked(), (1, 1));
}

#[tokio::test]
async fn many_callers_of_one_read_that_fails_are_all_told_and_the_next_one_works() {
    let scene = scene().await;
    scene.issuer.publish_as(Says::Status(500));
    let token = scene.token(&json!({}));
    let calls = (0..50).map(|_| {
        let (app, id, token) = (scene.app.clone(), scene.issuer.id.clone(), token.clone());
        async move { verify(&app, &id, &token, json!({})).await }
    });
    let told = tokio::time::timeout(Duration::from_mins(1), at_once(calls)).await;
    let told = told.expect("nobody is left waiting");
    assert!(told.iter().all(|told| told.starts_with("JoseError::Unavailable")), "{told:?}");
    assert_eq!(scene.issuer.asked(), (1, 1));
    scene.issuer.publish(&[&scene.key]);
    scene.app.clock.advance(10);
    assert_eq!(scene.ask(&token, json!({})).await, JANE);
}

#[tokio::test]
async fn a_new_key_is_found_and_unknown_ones_cause_no_storm() {
    let scene = scene().await;
    let long = json!({"exp": NOW + 100_000});
    assert_eq!(scene.judge(long.clone(), json!({})).await, JANE);
    let new = Key::rsa("rsa-2");
    scene.issuer.publish(&[&new]);
    let token = new.token("RS256", &scene.claims(&long));
    for _ in 0..20 {
        assert_eq!(scene.ask(&token, json!({})).await, rejected("UnknownKey"));
    }
    assert_eq!(scene.issuer.asked(), (1, 1));
    scene.app.clock.advance(10);
    assert_eq!(scene.ask(&token, json!({})).await, JANE);
    assert_eq!(scene.issuer.asked(), (1, 2));
    // A key that the issuer has withdrawn is gone with the set that it was in.
    scene.app.clock.advance(9);
    for _ in 0..20 {
        assert_eq!(scene.judge(long.clone(), json!({})).await, rejected("UnknownKey"));
    }
    assert_eq!(scene.issuer.asked(), (1, 2));
}

#[tokio::test]
async fn known_keys_outlast_a_day_without_the_issuer_and_no_more() {
    let scene = scene().await;
    let long = json!({"exp": NOW + 1_000_000});
    assert_eq!(scene.judge(long.clone(), json!({})).await, JANE);
    scene.app.clock.advance(3599);
    assert_eq!(scene.judge(long.clone(), json!({})).await, JANE);
    assert_eq!(scene.issuer.asked(), (1, 1));
    scene.issuer.publish_as(Says::Status(500));
    scene.issuer.discover(Says::Status(500));
    // Nobody waits for the answer that is sought meanwhile.
    scene.app.clock.advance(1);
    assert_eq!(scene.judge(long.clone(), json!({})).await, JANE);
    asked_for_keys(&scene.issuer, 2).await;
    scene.app.clock.advance(24 * 3600 - 3600 - 1);
    assert_eq!(scene.judge(long.clone(), json!({})).await, JANE);
    asked_for_keys(&scene.issuer, 3).await;
    scene.app.clock.advance(1);
    let told = scene.judge(long.clone(), json!({})).await;
    assert!(told.starts_with("JoseError::Unavailable("), "{told}");
    // And it is back as soon as the issuer is.
    scene.issuer.publish(&[&scene.key]);
    scene.issuer.discover(Says::Document(scene.issuer.document()));
    scene.app.clock.advance(10);
    assert_eq!(scene.judge(long, json!({})).await, JANE);
}

/// Waits for the task that reads them.
async fn asked_for_keys(issuer: &Issuer, times: usize) {
    let began = Instant::now();
    while issuer.asked().1 < times {
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", issuer.asked());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The answer is taken in as well.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(issuer.asked().1, times);
}

#[tokio::test]
async fn nothing_of_a_token_reaches_a_log() {
    let scene = scene().await;
    let logs = Logs::collect();
    let token = scene.token(&json!({"sub": "plaintext-canary-subject"}));
    scene.ask(&token, json!({})).await;
    scene.ask(&token, json!({"nonce": "n"})).await;
    scene.issuer.publish_as(Says::Status(500));
    scene.app.clock.advance(3600);
    scene.ask(&token, json!({})).await;
    let text = logs.text();
    assert!(!text.contains(&token[..30]) && !text.contains("canary-subject"), "{text}");
}
