//! What an app can check for itself.

use std::collections::BTreeSet;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;
use vestibule::{
    config::{Config, Environment},
    engine::Hooks,
};
use vestibule_tests::{
    NOW, Reply, TestApp,
    database::Database,
    gateways::{GATEWAYS, Gateway},
    logs::Logs,
    plugins::Plugins,
};

use super::{APPS, WIKI, ada, app, app_with, by_key_of};
use crate::login::PUBLIC;

const DAY: u64 = 24 * 3_600;

async fn key_set(app: &TestApp) -> Vec<Value> {
    let reply = app.anonymous().get("/.well-known/jwks.json").await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.header("cache-control"), "public, max-age=300");
    assert!(!reply.body.contains("\"d\""), "a private key");
    reply.json()["keys"].as_array().unwrap().clone()
}

fn ids(keys: &[Value]) -> Vec<String> {
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// What is asserted, where one of these keys has signed it; and which.
fn verified(token: &str, keys: &[Value]) -> Option<(String, Value)> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (head, claims) = signed.split_once('.')?;
    let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
    let head: Value = serde_json::from_slice(&decode(head)).unwrap();
    assert_eq!(head["alg"], "EdDSA");
    let key = keys.iter().find(|key| key["kid"] == head["kid"])?;
    assert_eq!(
        (&key["kty"], &key["crv"], &key["use"]),
        (&"OKP".into(), &"Ed25519".into(), &"sig".into())
    );
    let public = UnparsedPublicKey::new(&ED25519, decode(key["x"].as_str().unwrap()));
    public.verify(signed.as_bytes(), &decode(signature)).ok()?;
    let id = head["kid"].as_str().unwrap().to_owned();
    Some((id, serde_json::from_slice(&decode(claims)).unwrap()))
}

async fn assertion(app: &TestApp, url: &str) -> String {
    let client = by_key_of(app, ada()).await;
    let reply = Gateway::Nginx.asks(&client, "GET", url).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.header("remote-assertion").to_owned()
}

#[tokio::test]
async fn an_assertion_says_who_for_which_app_and_not_for_long() {
    let app = app().await;
    let client = by_key_of(&app, ada()).await;
    let keys = key_set(&app).await;
    for gateway in GATEWAYS {
        let reply = gateway.asks(&client, "GET", &format!("{WIKI}/a")).await;
        let (_, claims) = verified(reply.header("remote-assertion"), &keys).unwrap();
        assert_eq!(claims["iss"], "https://auth.example");
        assert_eq!(claims["aud"], WIKI);
        assert_eq!(claims["sub"], reply.header("remote-user"));
        assert_eq!(claims["org"], "acme");
        assert_eq!(claims["email"], "ada@acme.example");
        assert_eq!(claims["groups"], serde_json::json!(["staff", "on call, at night"]));
        assert_eq!((claims["iat"].as_u64(), claims["exp"].as_u64()), (Some(NOW), Some(NOW + 60)));
    }
    let own = assertion(&app, "https://auth.example/a").await;
    let (_, claims) = verified(&own, &keys).unwrap();
    assert_eq!(claims["aud"], "https://auth.example", "and not for the other app");
    let (rest, signature) = own.rsplit_once('.').unwrap();
    let forged = format!("{}.{signature}", rest.replace("In0", "IH0"));
    assert!(forged == own || verified(&forged, &keys).is_none());
}

#[tokio::test]
async fn one_is_given_out_again_for_half_its_time() {
    let app = app().await;
    let first = assertion(&app, WIKI_A).await;
    app.clock.advance(29);
    assert_eq!(assertion(&app, WIKI_A).await, first);
    app.clock.advance(1);
    let second = assertion(&app, WIKI_A).await;
    assert_ne!(second, first);
    let (_, claims) = verified(&second, &key_set(&app).await).unwrap();
    assert_eq!(claims["iat"], NOW + 30);
}

const WIKI_A: &str = "https://wiki.example/a";

#[tokio::test]
async fn a_key_is_published_long_before_it_signs_and_a_day_after() {
    let app = app().await;
    let signs = async || {
        let keys = key_set(&app).await;
        let token = assertion(&app, WIKI_A).await;
        (verified(&token, &keys).expect("a published key").0, ids(&keys))
    };
    let (first, at_first) = signs().await;
    assert_eq!(at_first.len(), 2);
    assert_eq!(first, at_first[0]);
    let next = at_first[1].clone();
    app.clock.advance(30 * DAY - 1);
    assert_eq!(signs().await, (first.clone(), at_first.clone()));
    app.clock.advance(60);
    let (signer, keys) = signs().await;
    assert_eq!(signer, next, "it was published for a month");
    assert_eq!((keys.len(), &keys[..2]), (3, &at_first[..]));
    app.clock.advance(DAY);
    let (signer, keys) = signs().await;
    assert_eq!(signer, next);
    assert_eq!((keys.len(), keys.contains(&first)), (2, false));
    // After a long sleep, the one that was published signs.
    app.clock.advance(300 * DAY);
    let (signer, _) = signs().await;
    assert_eq!(signer, keys[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_share_their_keys() {
    let database = Database::sqlite();
    let toml = format!("server.trusted_proxies = ['127.0.0.1']\n{PUBLIC}{APPS}");
    let mut replicas = Vec::new();
    for _ in 0..3 {
        let app = TestApp::start_on(&database, "visited", &toml, &[], Hooks::default()).await;
        replicas.push(app.unwrap());
    }
    let asked = replicas.clone().into_iter().map(|app| async move { ids(&key_set(&app).await) });
    let sets: BTreeSet<_> = vestibule_tests::run::at_once(asked).await.into_iter().collect();
    assert_eq!(sets.len(), 1, "{sets:?}");
    let token = assertion(&replicas[0], WIKI_A).await;
    assert!(verified(&token, &key_set(&replicas[2]).await).is_some());
    // What rests is sealed, and sealed anew with the other secrets.
    let rests = database.scalar("select sealed from signing_keys limit 1").await;
    assert!(rests.starts_with("gAAAA"), "{rests}");
}

#[tokio::test]
async fn keys_are_sealed_anew_with_another_secret() {
    let database = Database::sqlite();
    let folder = database.folder.path().to_owned();
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (old, new) =
        (file("old", &"an old secret ".repeat(4)), file("new", &"a new secret ".repeat(4)));
    let base = format!("server.trusted_proxies = ['127.0.0.1']\n{PUBLIC}");
    let start = async |encryption: &str| {
        let toml = format!("{base}{encryption}{APPS}");
        TestApp::start_on(&database, "visited", &toml, &[], Hooks::default()).await.unwrap()
    };
    let before = start(&format!("encryption.secret_file = '{old}'\n")).await;
    let keys = ids(&key_set(&before).await);
    let both =
        format!("encryption.secret_file = '{new}'\nencryption.previous_secret_files = ['{old}']\n");
    let rotating = start(&both).await;
    let rotation = rotating.host.store().rotate(|_| {}).await.unwrap();
    assert_eq!((rotation.left, rotation.damaged.len()), (0, 0), "{rotation:?}");
    assert!(rotation.resealed >= 2, "{rotation:?}");
    let after = start(&format!("encryption.secret_file = '{new}'\n")).await;
    assert_eq!(ids(&key_set(&after).await), keys);
}

#[tokio::test]
async fn there_are_keys_although_nobody_has_asked_a_gateway() {
    let app = app_with("", "").await;
    assert_eq!(key_set(&app).await.len(), 2);
}

#[tokio::test]
async fn a_question_is_answered_by_the_configuration_that_it_began_with() {
    let plugins = Plugins::with("hostile-waiting");
    let toml = |own: &str| {
        plugins.toml(&format!(
            "auth.grants = {{ http = ['https://a.example'], jose = ['https://b.example'], \
             token_store = ['github'] }}\nauth.limits = {{ cpu = '60s', wall = '60s' }}\n\
             server.trusted_proxies = ['127.0.0.1']\nserver.public_url = '{own}'\n\
             [[apps]]\nhost = 'wiki.example'\nusers = ['visitor']\n"
        ))
    };
    let old = toml("https://old.example");
    let app = TestApp::start_text(&plugins.database, &old, &[], Hooks::default()).await.unwrap();
    let asks = |how: &str| {
        let client = app.anonymous().with("x-behave", how);
        async move { Gateway::Nginx.asks(&client, "GET", WIKI_A).await }
    };
    let logs = Logs::collect();
    #[expect(clippy::disallowed_methods, reason = "it asks while something else happens")]
    let asked = tokio::spawn(asks("linger"));
    while !logs.text().contains("lingers") {
        assert!(!asked.is_finished(), "{:?}", asked.await.unwrap().body);
        tokio::task::yield_now().await;
    }
    let new = Config::parse(None, &toml("https://new.example"), Environment::fixed(&[]));
    app.host.reload(new.unwrap()).await.unwrap();
    while !asked.is_finished() {
        app.clock.advance(2);
        tokio::task::yield_now().await;
    }
    let keys = key_set(&app).await;
    let says = |reply: &Reply| {
        assert_eq!(reply.status, 200, "{}", reply.body);
        verified(reply.header("remote-assertion"), &keys).unwrap().1["iss"].clone()
    };
    assert_eq!(says(&asked.await.unwrap()), "https://old.example");
    assert_eq!(says(&asks("ok").await), "https://new.example");
}
