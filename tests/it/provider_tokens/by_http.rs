//! The same for servers without Vestibule in them, by the service key, and for the
//! runtimes themselves, by the session key of a sandbox.

use http::StatusCode;
use serde_json::{Value, json};
use vestibule::{identity::UserId, store::Scope};
use vestibule_tests::{
    Caller, NOW, Reply, TestApp,
    database::user,
    forges::Forges,
    github::Answer,
    keys::sandbox,
    run::{note_secret, text},
};

use super::{KEEP_OLD, LIFETIME, ada, set_up};

const SERVICE_KEY: &str = "plaintext-canary-of-the-services";

async fn served(toml: &str) -> (Forges, TestApp) {
    note_secret(&SERVICE_KEY.into());
    set_up(&format!("server.service_key = '{SERVICE_KEY}'\n{toml}")).await
}

fn service(app: &TestApp) -> Caller {
    app.anonymous().with("x-service-api-key", SERVICE_KEY)
}

async fn ask(caller: &Caller, conversation: &str, document: Value) -> Reply {
    let path = format!("/api/service/conversations/{conversation}/provider-tokens/refresh");
    caller.send_json("POST", &path, document).await
}

async fn stored(app: &TestApp, user: &UserId, provider: &str) -> String {
    let stored = app.host.store().tokens(user).load(provider).await.unwrap().unwrap();
    text(&stored.pair.access.unwrap()).to_owned()
}

#[tokio::test]
async fn a_service_is_given_what_a_conversation_begins_with() {
    let (forges, app) = served("").await;
    let ada = ada(&forges, &app, &["github", "gitlab"]).await;
    let old = stored(&app, &ada, "gitlab").await;
    let held = json!({
        "github": {},
        "gitlab": {"token": old, "user_id": "gitlab-ada", "host": "gitlab.com"},
        "forgejo": {"token": "plaintext-canary own", "host": "git.example.com"},
    });
    let asked = json!({"user_id": "ada", "provider_tokens": held});
    app.clock.advance(LIFETIME - 400);
    let reply = ask(&service(&app), "c1", asked.clone()).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.json()["refreshed"], json!(["github"]), "the others have a while");
    assert_eq!(reply.json()["provider_tokens"]["gitlab"]["token"], old);
    assert_eq!(forges.total().calls, 0);

    app.clock.advance(390);
    let reply = ask(&service(&app), "c1", asked.clone()).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.header("cache-control"), "no-store");
    let told = reply.json();
    assert_eq!(told["refreshed"], json!(["github", "gitlab"]));
    let tokens = &told["provider_tokens"];
    assert_eq!(tokens["gitlab"]["token"], stored(&app, &ada, "gitlab").await);
    assert_ne!(tokens["gitlab"]["token"], old);
    assert_eq!(tokens["gitlab"]["user_id"], "gitlab-ada");
    assert_eq!(tokens["gitlab"]["host"], "gitlab.com");
    assert_eq!(tokens["github"]["user_id"], "github-ada");
    assert_eq!(tokens["forgejo"]["token"], "plaintext-canary own");
    assert_eq!(tokens["forgejo"]["host"], "git.example.com");
    let conversation = super::conversation();
    let written = app.host.store().conversation_tokens(&ada, &conversation).load().await.unwrap();
    assert_eq!(written.len(), 2);
    assert_eq!(forges.total().calls, 2);
}

#[tokio::test]
async fn a_service_is_told_who_has_to_do_what_about_a_token() {
    let (forges, app) = served("").await;
    let ada = ada(&forges, &app, &["github", "gitlab"]).await;
    let old = stored(&app, &ada, "github").await;
    app.clock.advance(LIFETIME);
    let asked =
        json!({"user_id": "ada", "provider_tokens": {"github": {"token": old}, "gitlab": {}}});
    forges.answer_once("github", Answer::Json(503, json!({})));
    let reply = ask(&service(&app), "c1", asked.clone()).await;
    insta::assert_snapshot!(reply.shown(), @r#"
    503 Service Unavailable
    {"type":"about:blank","title":"Service Unavailable","status":503,"detail":"no fresh provider token of github (unavailable)","request_id":"…"}
    "#);
    assert_eq!(reply.header("retry-after"), "1");
    forges.take_access_away("github");
    let reply = ask(&service(&app), "c1", asked.clone()).await;
    insta::assert_snapshot!(reply.shown(), @r#"
    409 Conflict
    {"type":"about:blank","title":"Conflict","status":409,"detail":"no fresh provider token of github (reconnect)","request_id":"…"}
    "#);
    let other = json!({"user_id": "ada", "provider_tokens": {"gitlab": {"user_id": "gitlab-bob"}}});
    let reply = ask(&service(&app), "c1", other).await;
    assert_eq!(reply.status, StatusCode::CONFLICT);
    assert!(reply.body.contains("gitlab (other account)"), "{}", reply.body);
}

#[tokio::test]
async fn a_service_may_have_old_tokens_kept() {
    let (forges, app) = served(KEEP_OLD).await;
    let ada = ada(&forges, &app, &["github", "gitlab"]).await;
    let old = stored(&app, &ada, "github").await;
    app.clock.advance(LIFETIME);
    forges.take_access_away("github");
    let asked =
        json!({"user_id": "ada", "provider_tokens": {"github": {"token": old}, "gitlab": {}}});
    let reply = ask(&service(&app), "c1", asked).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.json()["refreshed"], json!(["gitlab"]));
    assert_eq!(reply.json()["provider_tokens"]["github"]["token"], old);
}

#[tokio::test]
async fn what_a_service_may_not_or_cannot_ask_is_told_apart() {
    let (forges, app) = served("").await;
    let ada = ada(&forges, &app, &["github"]).await;
    let good = json!({"user_id": "ada", "provider_tokens": {"github": {}}});
    for (caller, status) in [
        (app.anonymous(), 401),
        (app.anonymous().with("x-service-api-key", "wrong"), 401),
        (app.anonymous().with("x-user", "ada"), 401),
        (service(&app), 200),
    ] {
        assert_eq!(ask(&caller, "c1", good.clone()).await.status, status);
    }
    for (conversation, document, status) in [
        ("c1", json!({"user_id": "nobody", "provider_tokens": {"github": {}}}), 404),
        ("c1", json!({"user_id": "", "provider_tokens": {"github": {}}}), 404),
        ("c1", json!({"user_id": "ada", "provider_tokens": {"sourceforge": {}}}), 422),
        ("c1", json!({"user_id": "ada", "provider_tokens": {"github": "gho_x"}}), 422),
        ("c1", json!({"user_id": "ada", "provider_tokens": {"github": {"host": "a/b"}}}), 422),
        ("c1", json!({"provider_tokens": {"github": {"user_id": "a".repeat(256)}}}), 422),
        ("c1", json!({"user_id": "ada"}), 422),
        ("c%2F1", good.clone(), 422),
        // Nothing is named, nothing is renewed, and nobody is looked for.
        ("c1", json!({"user_id": "nobody", "provider_tokens": {}}), 200),
        // Nobody is named: that is the local owner, who has nothing.
        ("c1", json!({"provider_tokens": {"github": {}}}), 200),
    ] {
        let reply = ask(&service(&app), conversation, document.clone()).await;
        assert_eq!(reply.status, status, "{conversation} {document}: {}", reply.body);
    }
    app.host.store().set_user_disabled(&ada, true).await.unwrap();
    assert_eq!(ask(&service(&app), "c1", good.clone()).await.status, 403);
    let (_, keyless) = set_up("").await;
    let caller = keyless.anonymous().with("x-service-api-key", SERVICE_KEY);
    assert_eq!(ask(&caller, "c1", good).await.status, 503);
}

async fn runtime(app: &TestApp, scope: &Scope, id: &str) -> Caller {
    let key = sandbox(app, scope, id).await;
    app.anonymous().with("x-session-api-key", text(&key))
}

#[tokio::test]
async fn a_runtime_is_given_its_owner_s_token_as_it_is_now() {
    let (forges, app) = served("").await;
    let ada = ada(&forges, &app, &["github"]).await;
    let scope = user(app.host.store(), "ada").await;
    let runtime = runtime(&app, &scope, "s1").await;
    let path = "/api/refresh-tokens?provider=github&sid=s1";
    let old = stored(&app, &ada, "github").await;
    assert_eq!(runtime.get(path).await.json(), json!({"token": old}));
    app.clock.advance(LIFETIME - 10);
    let reply = runtime.get(path).await;
    assert_eq!(reply.json(), json!({"token": stored(&app, &ada, "github").await}));
    assert_ne!(reply.json()["token"], old);
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(forges.counts("github").renewed, 1);
}

#[tokio::test]
async fn what_a_runtime_may_not_or_cannot_ask_is_told_apart() {
    let (forges, app) = served("").await;
    let ada = ada(&forges, &app, &["github"]).await;
    let scope = user(app.host.store(), "ada").await;
    let bob = user(app.host.store(), "bob").await;
    let mine = runtime(&app, &scope, "s1").await;
    let other = runtime(&app, &bob, "s2").await;
    let nobody = app.anonymous();
    let wrong = app.anonymous().with("x-session-api-key", "wrong");
    let session = app.anonymous().with("x-user", "ada");
    let of =
        |provider: &str, sid: &str| format!("/api/refresh-tokens?provider={provider}&sid={sid}");
    for (caller, path, status, detail) in [
        (&nobody, of("github", "s1"), 401, "X-Session-API-Key header is required"),
        (&session, of("github", "s1"), 401, "X-Session-API-Key header is required"),
        (&wrong, of("github", "s1"), 401, "Invalid session API key"),
        (&mine, of("github", "s2"), 403, "Session API key does not match sandbox"),
        (&mine, of("github", "S1"), 403, "Session API key does not match sandbox"),
        (&mine, of("github", ""), 403, "Session API key does not match sandbox"),
        (&other, of("github", "s1"), 403, "Session API key does not match sandbox"),
        // What there is not is not told to who may not know it.
        (&mine, of("sourceforge", "s2"), 403, "Session API key does not match sandbox"),
        (&mine, of("gitlab", "s1"), 404, "No token found for provider"),
        (&other, of("github", "s2"), 404, "No token found for provider"),
        (&mine, of("sourceforge", "s1"), 422, "is no Git provider"),
        (&mine, "/api/refresh-tokens?provider=github".to_owned(), 400, "missing"),
        (&mine, format!("{}&sid=s2", of("github", "s1")), 400, "repeated"),
    ] {
        let reply = caller.get(&path).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.body);
        assert!(reply.body.contains(detail), "{path}: {}", reply.body);
    }
    forges.take_access_away("github");
    app.clock.advance(LIFETIME);
    forges.answer_once("github", Answer::Json(503, json!({})));
    assert_eq!(mine.get(&of("github", "s1")).await.status, 503);
    assert_eq!(mine.get(&of("github", "s1")).await.status, 409);

    let paused = app.host.store().sandboxes(&scope).pause("s1").await.unwrap();
    let reply = mine.get(&of("github", "s1")).await;
    assert!(paused && reply.status == 401 && reply.body.contains("not running"), "{}", reply.body);
    let again = app.host.store().sandboxes(&scope).resume("s1").await.unwrap().unwrap();
    note_secret(&again);
    assert_eq!(mine.get(&of("github", "s1")).await.status, 401);
    let mine = app.anonymous().with("x-session-api-key", text(&again));
    forges.connect(app.host.store(), &ada, "github", NOW + LIFETIME).await;
    assert_eq!(mine.get(&of("github", "s1")).await.status, 200);
    app.host.store().set_user_disabled(&ada, true).await.unwrap();
    assert_eq!(mine.get(&of("github", "s1")).await.status, 401);
}

#[tokio::test]
async fn both_ways_are_in_the_document() {
    let (_, app) = set_up("").await;
    let document = app.anonymous().get("/openapi.json").await.json();
    let path = "/api/service/conversations/{id}/provider-tokens/refresh";
    let service = &document["paths"][path]["post"];
    assert_eq!(service["security"], json!([{"service_key": []}]));
    assert!(service["requestBody"].is_object(), "{service}");
    let runtime = &document["paths"]["/api/refresh-tokens"]["get"];
    assert_eq!(runtime["security"], json!([{"session_key": []}]));
    for status in ["200", "401", "403", "404", "409"] {
        assert!(service["responses"][status].is_object(), "{status}: {service}");
        assert!(runtime["responses"][status].is_object(), "{status}: {runtime}");
    }
    let names: Vec<_> = runtime["parameters"].as_array().unwrap().iter().collect();
    assert_eq!(names.len(), 2);
    assert!(names.iter().all(|parameter| parameter["required"] == true), "{names:?}");
}
