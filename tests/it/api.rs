//! The API for users' own things: by key, in person, by sandbox, by service.

use http::StatusCode;
use secrecy::SecretString;
use serde_json::{Value, json};
use vestibule::{
    context::AuthMethod,
    identity::{Identity, UserId},
    provider::{ProviderError, ProviderHandler},
    store::{NewApiKey, Scope},
};
use vestibule_tests::{
    Caller, Reply, TestApp,
    database::{member, user, user_id},
    keys::{by_key, by_narrow_key, key, sandbox},
    on_strategies,
    run::{note_secret, text},
    strategies::Strategy,
};

const SERVICE: &str = "the key of the automation service";

async fn start(strategy: &Strategy) -> (TestApp, Scope) {
    strategy.start(&format!("server.service_key = '{SERVICE}'")).await
}

on_strategies! {
    [none, named, su_github, mu_keycloak, visited]:
        secrets_are_exposed_to_a_running_sandbox_of_the_same_user_and_to_nobody_else,
        a_sandbox_reads_its_owner_s_secrets_byte_for_byte,
        secrets_are_listed_by_name_changed_in_part_and_deleted,
        settings_are_patched_and_never_shown,
        a_person_reads_what_their_key_reads,
        users_manage_their_keys_and_keys_do_not,
        a_narrow_key_does_what_it_is_for,
        a_bad_key_is_not_passed_over_for_who_presents_it,
        a_body_that_cannot_be_read_is_told_as_a_problem_that_quotes_nothing,
        a_mask_within_a_list_is_refused_rather_than_stored,
        without_a_runtime_there_are_no_sandboxes_and_it_is_said;
    // Where nobody is somebody.
    [named, su_github, mu_keycloak, visited]:
        without_a_credential_there_is_nothing,
        a_disabled_user_is_refused_at_once,
        services_get_the_same_system_key_each_time_and_sandboxes,
        work_without_a_request_needs_a_user_who_has_been_here,
        a_request_acts_for_the_organisation_that_it_names_or_not_at_all,
        whoever_has_left_an_organisation_reads_nothing_there;
    // Where there are two people.
    [named, mu_keycloak, visited]:
        one_user_s_things_are_not_another_s,
        a_presented_key_decides_who_asks,
        too_many_requests_of_one_user_are_refused_and_others_are_answered;
    // Where there is one.
    [none, su_github]:
        a_key_of_somebody_else_opens_nothing;
    // Where browsers are known by a cookie.
    [su_github, visited]:
        a_key_needs_no_log_in_of_its_owner_s,
        a_write_by_cookie_needs_the_origin_of_an_own_page;
}

fn with_session(caller: Caller, key: &SecretString) -> Caller {
    caller.with("x-session-api-key", text(key))
}

fn detail(reply: &Reply) -> (u16, String) {
    (reply.status.as_u16(), reply.json()["detail"].as_str().unwrap_or_default().to_owned())
}

const SETTINGS: &str = r#"{
    "llm_model": "openai/gpt-4o", "llm_api_key": "plaintext-canary llm", "llm_base_url": "https://llm.example",
    "llm_profiles": {"active": "fast", "profiles": {"fast": {"model": "small", "api_key": "plaintext-canary fast"}}},
    "mcp_config": {"sse_servers": [{"url": "https://mcp.example/sse", "api_key": "plaintext-canary mcp"}]}
}"#;

const EXPOSED: &str = "/api/v1/users/me?expose_secrets=true";

fn settings() -> Value {
    serde_json::from_str(SETTINGS).unwrap()
}

async fn secrets_are_exposed_to_a_running_sandbox_of_the_same_user_and_to_nobody_else(
    strategy: &Strategy,
) {
    let (app, ada) = start(strategy).await;
    let bob = user(app.host.store(), "bob").await;
    let caller = by_key(&app, &ada).await;
    assert_eq!(caller.send_json("PATCH", "/api/v1/settings", settings()).await.status, 200);

    let reply = caller.get(EXPOSED).await;
    assert_eq!(detail(&reply), (401, "X-Session-API-Key header is required".to_owned()));
    let reply = caller.clone().with("x-session-api-key", "unknown").get(EXPOSED).await;
    assert_eq!(detail(&reply), (401, "Invalid session API key".to_owned()));
    let his = sandbox(&app, &bob, "his").await;
    let reply = with_session(caller.clone(), &his).get(EXPOSED).await;
    assert_eq!(
        detail(&reply),
        (403, "Session API key does not belong to the authenticated user".to_owned())
    );
    let hers = sandbox(&app, &ada, "hers").await;
    let reply = with_session(caller.clone(), &hers).get(EXPOSED).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    let me = reply.json();
    assert_eq!(me["id"], ada.user.as_str());
    for name in ["llm_model", "llm_api_key", "llm_base_url", "llm_profiles", "mcp_config"] {
        assert_eq!(me[name], settings()[name], "{name}");
    }
    assert_eq!(reply.header("cache-control"), "no-store");

    app.host.store().sandboxes(&ada).pause("hers").await.unwrap();
    let reply = with_session(caller.clone(), &hers).get(EXPOSED).await;
    assert_eq!(detail(&reply), (401, "Sandbox is not running".to_owned()));
    // Without exposure the session key is not looked at, and nothing secret is shown.
    let reply = with_session(caller, &hers).get("/api/v1/users/me").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(!reply.body.contains("canary"), "{}", reply.body);
    assert_eq!(reply.json()["llm_api_key"], "**********");
    assert_eq!(
        reply.json()["mcp_config"],
        json!({"sse_servers": [{"url": "https://mcp.example/sse", "api_key": "**********"}]})
    );
}

async fn a_sandbox_reads_its_owner_s_secrets_byte_for_byte(strategy: &Strategy) {
    let (app, ada) = start(strategy).await;
    let caller = by_key(&app, &ada).await;
    for (name, value) in
        [("PLAIN", "plaintext-canary ümläut\n"), ("JSON", "{\"a\": 1}"), ("EMPTY", "")]
    {
        let secret = json!({"name": name, "value": value, "description": "what for"});
        let reply = caller.send_json("POST", "/api/v1/secrets", secret).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.body);
    }
    let tokens = json!({"provider_tokens": {
        "github": {"token": "plaintext-canary github", "host": "git.example"},
        "gitlab": {"token": "plaintext-canary gitlab"},
    }});
    assert_eq!(caller.send_json("POST", "/api/v1/secrets/git-providers", tokens).await.status, 200);

    let one = with_session(app.anonymous(), &sandbox(&app, &ada, "one").await);
    sandbox(&app, &ada, "two").await;
    let reply = one.get("/api/v1/sandboxes/one/settings/secrets").await;
    assert!(!reply.body.contains("canary"), "{}", reply.body);
    let names: Vec<_> =
        reply.json()["secrets"].as_array().unwrap().iter().map(|s| s["name"].clone()).collect();
    assert_eq!(names, ["EMPTY", "JSON", "PLAIN", "github_token", "gitlab_token"]);
    for (name, value) in [
        ("PLAIN", "plaintext-canary ümläut\n"),
        ("JSON", "{\"a\": 1}"),
        ("EMPTY", ""),
        ("github_token", "plaintext-canary github"),
    ] {
        let reply = one.get(&format!("/api/v1/sandboxes/one/settings/secrets/{name}")).await;
        assert_eq!((reply.status.as_u16(), reply.body.as_str()), (200, value), "{name}");
        assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
    }
    for (path, expected) in [
        ("/api/v1/sandboxes/one/settings/secrets/NONE", (404, "Secret not found")),
        ("/api/v1/sandboxes/one/settings/secrets/forgejo_token", (404, "Secret not found")),
        ("/api/v1/sandboxes/one/settings/secrets/%00", (404, "Secret not found")),
        ("/api/v1/sandboxes/two/settings/secrets", (403, "Session API key does not match sandbox")),
    ] {
        let reply = one.get(path).await;
        assert_eq!(detail(&reply), (expected.0, expected.1.to_owned()), "{path}");
    }
    let reply = app.anonymous().get("/api/v1/sandboxes/one/settings/secrets").await;
    assert_eq!(detail(&reply), (401, "X-Session-API-Key header is required".to_owned()));

    // One provider's new host changes neither its token nor another provider.
    let host = json!({"provider_tokens": {"github": {"token": "", "host": "new.example"}}});
    assert_eq!(caller.send_json("POST", "/api/v1/secrets/git-providers", host).await.status, 200);
    let context = app.host.user_context_for(&ada.user).await.unwrap();
    let github =
        ProviderHandler::new(context.token_provider()).for_provider("github").await.unwrap();
    assert_eq!(
        (text(&github.token), github.host.as_str()),
        ("plaintext-canary github", "new.example")
    );
    assert_eq!(caller.send("DELETE", "/api/v1/secrets/git-providers").await.status, 200);
    let error = ProviderHandler::new(context.token_provider()).for_provider("github").await;
    assert!(matches!(error, Err(ProviderError::Token(_))), "{error:?}");
    let unknown = json!({"provider_tokens": {"sourcehut": {"token": "x"}}});
    let reply = caller.send_json("POST", "/api/v1/secrets/git-providers", unknown).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
}

async fn secrets_are_listed_by_name_changed_in_part_and_deleted(strategy: &Strategy) {
    let (app, ada) = start(strategy).await;
    let caller = by_key(&app, &ada).await;
    for name in ["A", "B", "C"] {
        let secret = json!({"name": name, "value": "plaintext-canary x", "description": "first"});
        caller.send_json("POST", "/api/v1/secrets", secret).await;
    }
    let page = caller.get("/api/v1/secrets/search?limit=2").await.json();
    assert_eq!(page["items"][1]["name"], "B");
    assert_eq!(page["next_page_id"], "B");
    let page = caller.get("/api/v1/secrets/search?limit=2&page_id=B").await;
    assert_eq!(page.json()["items"][0]["name"], "C");
    assert!(!page.body.contains("canary"));
    let reply = caller.send_json("PUT", "/api/v1/secrets/A", json!({"value": "new"})).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    let reply = caller.send_json("PUT", "/api/v1/secrets/B", json!({"name": "A"})).await;
    assert_eq!(reply.status, StatusCode::CONFLICT);
    let page = caller.get("/api/v1/secrets/search?name__contains=A").await.json();
    assert_eq!(page["items"], json!([{"name": "A", "description": "first"}]));
    assert_eq!(caller.send("DELETE", "/api/v1/secrets/A").await.status, StatusCode::OK);
    assert_eq!(caller.send("DELETE", "/api/v1/secrets/A").await.status, StatusCode::NOT_FOUND);
    for name in ["../up", "a/b", "q?z", "1A", ""] {
        let secret = json!({"name": name, "value": "x"});
        let reply = caller.send_json("POST", "/api/v1/secrets", secret).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{name}");
    }
}

async fn settings_are_patched_and_never_shown(strategy: &Strategy) {
    let (app, ada) = start(strategy).await;
    let caller = by_key(&app, &ada).await;
    caller.send_json("PATCH", "/api/v1/settings", settings()).await;
    let change = json!({"llm_model": "new", "llm_base_url": null, "llm_api_key": "**********"});
    let reply = caller.send_json("PATCH", "/api/v1/settings", change).await;
    assert!(!reply.body.contains("canary"), "{}", reply.body);
    assert_eq!(
        (&reply.json()["llm_model"], reply.json().get("llm_base_url")),
        (&json!("new"), None)
    );
    let ada = app.host.user_context_for(&ada.user).await.unwrap();
    let kept = ada.settings().await.unwrap().settings.exposed();
    assert_eq!(kept["llm_api_key"], "plaintext-canary llm");
    let reply = caller.send_json("PATCH", "/api/v1/settings", json!([])).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
}

async fn users_manage_their_keys_and_keys_do_not(strategy: &Strategy) {
    let (app, owner) = start(strategy).await;
    let ada = strategy.in_person(&app, &owner.user).await;
    let reply = ada.send_json("POST", "/api/keys", json!({"name": "nightly"})).await;
    assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.body);
    let key = SecretString::from(reply.json()["key"].as_str().unwrap());
    note_secret(&key);
    let by_key = app.anonymous().with_key(&key);
    let current = by_key.get("/api/keys/current").await.json();
    assert_eq!(current["user_id"], owner.user.as_str());
    assert_eq!(current["auth_type"], "bearer");
    assert_eq!(ada.get("/api/keys/current").await.status, StatusCode::BAD_REQUEST);
    let listed = ada.get("/api/keys").await;
    assert!(!listed.body.contains(text(&key)), "{}", listed.body);
    for reply in [
        by_key.send_json("POST", "/api/keys", json!({"name": "child"})).await,
        by_key.get("/api/keys").await,
    ] {
        assert_eq!(detail(&reply), (403, "API keys cannot manage API keys".to_owned()));
    }
    for (body, status) in [
        (json!({"name": "__SYSTEM__:x"}), 422),
        (json!({"name": "x", "expires_at": 1}), 422),
        (json!({"name": "x", "org_id": "strangers"}), 403),
    ] {
        let reply = ada.send_json("POST", "/api/keys", body.clone()).await;
        assert_eq!(reply.status.as_u16(), status, "{body}: {}", reply.body);
    }
    let id = listed.json()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(ada.send("DELETE", &format!("/api/keys/{id}")).await.status, StatusCode::OK);
    assert_eq!(by_key.get("/api/v1/users/me").await.status, StatusCode::UNAUTHORIZED);
}

async fn a_narrow_key_does_what_it_is_for(strategy: &Strategy) {
    let (app, ada) = start(strategy).await;
    let caller = by_narrow_key(&app, &ada, &["secrets:read"]).await;
    assert_eq!(caller.get("/api/v1/secrets/search").await.status, StatusCode::OK);
    let reply = caller.get("/api/v1/users/me").await;
    assert_eq!(detail(&reply), (403, "the API key lacks the scope `settings:read`".to_owned()));
    assert!(reply.header("www-authenticate").contains("insufficient_scope"));
    let secret = json!({"name": "A", "value": "x"});
    assert_eq!(caller.send_json("POST", "/api/v1/secrets", secret).await.status, 403);
}

async fn a_person_reads_what_their_key_reads(strategy: &Strategy) {
    let (app, owner) = start(strategy).await;
    let by_key = by_key(&app, &owner).await;
    let session = sandbox(&app, &owner, "s1").await;
    let in_person = strategy.in_person(&app, &owner.user).await;
    let reply = in_person.send_json("PATCH", "/api/v1/settings", settings()).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    let secret = json!({"name": "A", "value": "plaintext-canary a"});
    assert_eq!(in_person.send_json("POST", "/api/v1/secrets", secret).await.status, 201);
    for path in ["/api/v1/users/me", "/api/v1/settings", "/api/v1/secrets/search", EXPOSED] {
        let mut read = Vec::new();
        for caller in [&by_key, &in_person] {
            let reply = with_session(caller.clone(), &session).get(path).await;
            assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.body);
            assert_eq!(reply.body.contains("canary"), path == EXPOSED, "{}", reply.body);
            read.push(reply.json());
        }
        assert_eq!(read[0], read[1], "{path}");
    }
    assert_eq!(detail(&in_person.get(EXPOSED).await).0, 401);
}

async fn without_a_credential_there_is_nothing(strategy: &Strategy) {
    let (app, owner) = start(strategy).await;
    let session = sandbox(&app, &owner, "s1").await;
    // A session key alone is nobody.
    for caller in [app.anonymous(), with_session(app.anonymous(), &session)] {
        for path in ["/api/v1/users/me", EXPOSED, "/api/v1/settings", "/api/keys"] {
            let reply = caller.get(path).await;
            assert_eq!(detail(&reply), (401, "not authenticated".to_owned()), "{path}");
        }
    }
}

async fn a_write_by_cookie_needs_the_origin_of_an_own_page(strategy: &Strategy) {
    let (app, owner) = start(strategy).await;
    let browser = strategy.log_in(&app, &owner.user).await;
    for (method, path, body) in [
        ("PATCH", "/api/v1/settings", settings()),
        ("POST", "/api/v1/secrets", json!({"name": "A", "value": "plaintext-canary a"})),
        ("POST", "/api/keys", json!({"name": "k"})),
    ] {
        let foreign = browser.caller().with("origin", "https://evil.example");
        for caller in [browser.caller(), foreign] {
            let reply = caller.send_json(method, path, body.clone()).await;
            assert_eq!(reply.status, StatusCode::FORBIDDEN, "{path}: {}", reply.body);
        }
    }
    let caller = browser.caller();
    assert_eq!(caller.get("/api/v1/settings").await.json(), json!({}));
    assert_eq!(caller.get("/api/v1/secrets/search").await.json()["items"], json!([]));
    assert_eq!(caller.get("/api/keys").await.json(), json!([]));
}

async fn a_key_needs_no_log_in_of_its_owner_s(strategy: &Strategy) {
    let (app, owner) = start(strategy).await;
    let by_key = by_key(&app, &owner).await;
    let works = async || by_key.get("/api/v1/users/me").await.status == StatusCode::OK;
    assert!(works().await, "before there was one");
    let mut browser = strategy.log_in(&app, &owner.user).await;
    assert!(works().await, "beside it");
    assert_eq!(browser.submit("/auth/logout").await.status, StatusCode::OK);
    assert!(works().await, "after it");
}

async fn one_user_s_things_are_not_another_s(strategy: &Strategy) {
    let (app, owner) = start(strategy).await;
    let ada = strategy.in_person(&app, &owner.user).await;
    ada.send_json("PATCH", "/api/v1/settings", settings()).await;
    let secret = json!({"name": "A", "value": "plaintext-canary a"});
    assert_eq!(ada.send_json("POST", "/api/v1/secrets", secret).await.status, 201);
    let made = ada.send_json("POST", "/api/keys", json!({"name": "hers"})).await.json();
    note_secret(&SecretString::from(made["key"].as_str().unwrap()));
    let id = ada.get("/api/keys").await.json()[0]["id"].as_str().unwrap().to_owned();

    let bob = user(app.host.store(), "bob").await;
    for bob in [by_key(&app, &bob).await, strategy.in_person(&app, &bob.user).await] {
        assert_eq!(bob.get("/api/v1/users/me").await.json()["id"], "bob");
        assert_eq!(bob.get("/api/v1/settings").await.json(), json!({}));
        assert_eq!(bob.get("/api/v1/secrets/search").await.json()["items"], json!([]));
        assert_eq!(bob.send("DELETE", "/api/v1/secrets/A").await.status, StatusCode::NOT_FOUND);
        let reply = bob.send("DELETE", &format!("/api/keys/{id}")).await;
        assert!(reply.status.is_client_error(), "{}", reply.body);
    }
    assert_eq!(ada.get("/api/keys").await.json()[0]["id"], id);
}

async fn a_key_of_somebody_else_opens_nothing(strategy: &Strategy) {
    let (app, _) = start(strategy).await;
    let bob = user(app.host.store(), "42").await;
    let caller = by_key(&app, &bob).await;
    for path in ["/api/v1/users/me", "/api/v1/settings", "/api/v1/secrets/search", "/auth/session"]
    {
        let reply = caller.get(path).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{path}: {}", reply.body);
    }
    let secret = json!({"name": "A", "value": "x"});
    let reply = caller.send_json("POST", "/api/v1/secrets", secret).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
}

async fn a_bad_key_is_not_passed_over_for_who_presents_it(strategy: &Strategy) {
    let (app, owner) = start(strategy).await;
    let person = strategy.in_person(&app, &owner.user).await;
    assert_eq!(person.get("/api/v1/users/me").await.status, StatusCode::OK);
    let bad = person.with("authorization", "Bearer sk-oh-bad");
    assert_eq!(bad.get("/api/v1/users/me").await.status, StatusCode::UNAUTHORIZED);
}

async fn a_presented_key_decides_who_asks(strategy: &Strategy) {
    let (app, owner) = start(strategy).await;
    let new = NewApiKey { name: "test".to_owned(), ..NewApiKey::default() };
    let key = key(&app, &owner, &new).await;
    let bob = strategy.in_person(&app, &user_id("bob")).await;
    assert_eq!(bob.get("/api/v1/users/me").await.json()["id"], "bob");
    assert_eq!(bob.with_key(&key).get("/api/v1/users/me").await.json()["id"], "ada");
}

async fn a_disabled_user_is_refused_at_once(strategy: &Strategy) {
    let (app, owner) = start(strategy).await;
    let callers = [by_key(&app, &owner).await, strategy.in_person(&app, &owner.user).await];
    for status in [StatusCode::OK, StatusCode::UNAUTHORIZED] {
        for caller in &callers {
            for path in ["/api/v1/users/me", "/auth/session"] {
                assert_eq!(caller.get(path).await.status, status, "{path}");
            }
        }
        app.host.store().set_user_disabled(&owner.user, true).await.unwrap();
    }
    assert!(app.host.user_context_for(&owner.user).await.is_err());
}

#[tokio::test]
async fn a_strategy_cannot_give_a_key_to_another_user() {
    let app = TestApp::start("named", "").await;
    let ada = user(app.host.store(), "ada").await;
    let new = NewApiKey { name: "impersonate".to_owned(), ..NewApiKey::default() };
    let caller = app.anonymous().with_key(&key(&app, &ada, &new).await).with("x-user", "bob");
    assert_eq!(caller.get("/api/v1/users/me").await.status, StatusCode::SERVICE_UNAVAILABLE);
}

async fn services_get_the_same_system_key_each_time_and_sandboxes(strategy: &Strategy) {
    let (app, owner) = start(strategy).await;
    let id = owner.user.as_str();
    let scope = member(app.host.store(), id, "engines").await;
    let service = app.anonymous().with("x-service-api-key", SERVICE);
    let path = &format!("/api/service/users/{id}/orgs/engines/api-keys");
    let strangers = &format!("/api/service/users/{id}/orgs/strangers/api-keys");
    let named = json!({"name": "automation"});
    let first = service.send_json("POST", path, named.clone()).await.json();
    let again = service.send_json("POST", path, named.clone()).await.json();
    assert_eq!(first, again);
    assert_eq!((&first["user_id"], &first["org_id"]), (&json!(id), &json!("engines")));
    let key = SecretString::from(first["key"].as_str().unwrap());
    note_secret(&key);
    let by_key = app.anonymous().with_key(&key);
    assert_eq!(by_key.get("/api/v1/users/me").await.json()["org_id"], "engines");

    for (caller, path, body, status) in [
        (&app.anonymous(), path, &named, 401),
        (&app.anonymous().with("x-service-api-key", "wrong"), path, &named, 401),
        (&service, &"/api/service/users/nobody/orgs/engines/api-keys".to_owned(), &named, 404),
        (&service, strangers, &named, 403),
        (&service, path, &json!({"name": " "}), 422),
        (&service, path, &json!({"name": "__SYSTEM__:x"}), 422),
    ] {
        let reply = caller.send_json("POST", path, body.clone()).await;
        assert_eq!(reply.status.as_u16(), status, "{path}: {}", reply.body);
    }
    let reply = service.send("DELETE", &format!("{path}/automation")).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(by_key.get("/api/v1/users/me").await.status, StatusCode::UNAUTHORIZED);

    let new = json!({"id": "s1", "user_id": id});
    let made = service.send_json("POST", "/api/service/sandboxes", new).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let key = SecretString::from(made.json()["session_api_key"].as_str().unwrap());
    note_secret(&key);
    assert!(app.host.store().sandbox_by_key(text(&key)).await.unwrap().is_some());
    let paused = service.send("POST", "/api/service/sandboxes/s1/pause").await;
    assert_eq!(paused.json()["status"], "PAUSED");
    let resumed = service.send("POST", "/api/service/sandboxes/s1/resume").await.json();
    assert_ne!(resumed["session_api_key"], made.json()["session_api_key"]);
    assert_eq!(service.send("DELETE", "/api/service/sandboxes/s1").await.status, StatusCode::OK);
    assert_eq!(service.send("DELETE", "/api/service/sandboxes/s1").await.status, 404);
    assert!(app.host.store().sandboxes(&scope).list().await.unwrap().is_empty());
}

#[tokio::test]
async fn without_a_key_for_services_there_are_none() {
    let without = TestApp::start("none", "").await;
    let path = "/api/service/users/ada/orgs/engines/api-keys";
    let reply = without.anonymous().send_json("POST", path, json!({"name": "automation"})).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    let health = without.anonymous().get("/api/service/health").await.json();
    assert_eq!(health["service_auth_configured"], false);
}

#[tokio::test]
async fn work_for_the_local_owner_has_no_id_and_plain_paths() {
    let app = TestApp::start("none", "").await;
    let context = app.host.user_context_for(&UserId::local_owner()).await.unwrap();
    assert_eq!(context.auth_method(), &AuthMethod::Restored);
    assert_eq!(context.identity().user_id, None);
    assert_eq!(context.conversations().dir("c1").unwrap().to_str(), Some("sessions/c1"));
}

async fn work_without_a_request_needs_a_user_who_has_been_here(strategy: &Strategy) {
    let (app, owner) = start(strategy).await;
    assert!(app.host.user_context_for(&user_id("nobody")).await.is_err());
    let identity = Identity {
        user_id: Some(owner.user.clone()),
        email: Some("ada@example.com".to_owned()),
        ..Identity::default()
    };
    app.host.store().establish_user(&identity).await.unwrap();
    let context = app.host.user_context_for(&owner.user).await.unwrap();
    assert_eq!(context.identity(), &identity);
}

async fn too_many_requests_of_one_user_are_refused_and_others_are_answered(strategy: &Strategy) {
    let (app, owner) = strategy.start("rate_limits.user_second = 10").await;
    let ada = by_key(&app, &owner).await;
    let bob = by_key(&app, &user(app.host.store(), "bob").await).await;
    for _ in 0..10 {
        assert_eq!(ada.get("/api/v1/users/me").await.status, StatusCode::OK);
    }
    let reply = ada.get("/api/v1/users/me").await;
    assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS, "{}", reply.body);
    for (name, value) in [
        ("x-ratelimit-limit", "10"),
        ("x-ratelimit-remaining", "0"),
        ("x-ratelimit-reset", "1"),
        ("retry-after", "1"),
    ] {
        assert_eq!(reply.header(name), value, "{name}");
    }
    assert_eq!(bob.get("/api/v1/users/me").await.status, StatusCode::OK);
    app.clock.advance(1);
    assert_eq!(ada.get("/api/v1/users/me").await.status, StatusCode::OK);
}

async fn a_body_that_cannot_be_read_is_told_as_a_problem_that_quotes_nothing(strategy: &Strategy) {
    let (app, ada) = start(strategy).await;
    let caller = by_key(&app, &ada).await;
    let bad = json!({"name": "A", "value": {"plaintext-canary": 1}});
    let reply = caller.send_json("POST", "/api/v1/secrets", bad).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(reply.header("content-type"), "application/problem+json");
    assert!(!reply.body.contains("canary"), "{}", reply.body);
    // A list of values is no object, whatever their order.
    for (path, list) in [
        ("/api/v1/secrets", json!(["A", "plaintext-canary"])),
        ("/api/v1/secrets/git-providers", json!({"provider_tokens": {"github": ["x"]}})),
    ] {
        let reply = caller.send_json("POST", path, list).await;
        assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
    }
    let reply = caller.send("POST", "/api/v1/secrets").await;
    assert_eq!(reply.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(reply.header("content-type"), "application/problem+json");
}

async fn a_request_acts_for_the_organisation_that_it_names_or_not_at_all(strategy: &Strategy) {
    let (app, own) = start(strategy).await;
    let id = own.user.as_str();
    let bound = by_key(&app, &own).await;
    let new = NewApiKey { name: "free".to_owned(), unbound: true, ..NewApiKey::default() };
    let free = app.anonymous().with_key(&key(&app, &own, &new).await);
    member(app.host.store(), id, "engines").await;
    let named = |caller: &Caller, org: &str| caller.clone().with("x-org-id", org);
    let me = "/api/v1/users/me";
    assert_eq!(named(&bound, id).get(me).await.json()["org_id"], id);
    let reply = named(&bound, "engines").get(me).await;
    assert_eq!(detail(&reply), (403, "API key is not authorized for this organization".to_owned()));
    assert_eq!(named(&free, "engines").get(me).await.json()["org_id"], "engines");
    assert_eq!(named(&free, id).get(me).await.json()["org_id"], id);
    let reply = named(&free, "strangers").get(me).await;
    assert_eq!(
        detail(&reply),
        (403, "User is not a member of the requested organization".to_owned())
    );
}

async fn whoever_has_left_an_organisation_reads_nothing_there(strategy: &Strategy) {
    let (app, owner) = start(strategy).await;
    let shared = member(app.host.store(), owner.user.as_str(), "engines").await;
    let key = sandbox(&app, &shared, "s1").await;
    let ada = strategy.in_person(&app, &owner.user).await;
    assert_eq!(ada.get("/api/v1/secrets/search").await.status, StatusCode::OK);
    app.host.store().remove_member(&shared).await.unwrap();
    assert_eq!(ada.get("/api/v1/secrets/search").await.status, StatusCode::FORBIDDEN);
    assert!(app.host.user_context_for(&shared.user).await.is_err());
    let reply =
        with_session(app.anonymous(), &key).get("/api/v1/sandboxes/s1/settings/secrets").await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn another_site_cannot_write_in_the_name_of_whoever_looks_at_it() {
    let app = TestApp::start("none", "").await;
    let secret = json!({"name": "A", "value": "x"});
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        let page = app.anonymous().with(name, value);
        let reply = page.send_json("POST", "/api/v1/secrets", secret.clone()).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{name}: {value}");
        assert_eq!(page.get("/api/v1/users/me").await.status, StatusCode::OK, "{name}: {value}");
    }
    let own = app.anonymous().with("origin", "http://localhost");
    assert_eq!(own.send_json("POST", "/api/v1/secrets", secret.clone()).await.status, 201);
    // A key is shown on purpose.
    let caller = by_key(&app, &Scope::local_owner()).await.with("origin", "https://app.example");
    assert_eq!(caller.send_json("POST", "/api/v1/secrets", secret).await.status, 201);
}

async fn a_mask_within_a_list_is_refused_rather_than_stored(strategy: &Strategy) {
    let (app, ada) = start(strategy).await;
    let caller = by_key(&app, &ada).await;
    caller.send_json("PATCH", "/api/v1/settings", settings()).await;
    let shown = caller.get("/api/v1/settings").await.json();
    let reply = caller.send_json("PATCH", "/api/v1/settings", shown).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    let ada = app.host.user_context_for(&ada.user).await.unwrap();
    let kept = ada.settings().await.unwrap().settings.exposed();
    assert_eq!(kept["mcp_config"], settings()["mcp_config"]);
}

async fn without_a_runtime_there_are_no_sandboxes_and_it_is_said(strategy: &Strategy) {
    let (app, owner) = start(strategy).await;
    let caller = by_key(&app, &owner).await;
    for (method, path) in [
        ("POST", "/api/v1/sandboxes"),
        ("GET", "/api/v1/sandboxes?id=a"),
        ("GET", "/api/v1/sandboxes/search"),
        ("DELETE", "/api/v1/sandboxes/a?sandbox_id=a"),
    ] {
        let reply = caller.send(method, path).await;
        assert_eq!(reply.status, StatusCode::NOT_IMPLEMENTED, "{method} {path}");
        assert!(reply.body.contains("has to provide a runtime"), "{}", reply.body);
    }
}

#[tokio::test]
async fn a_key_of_services_that_anybody_could_guess_is_refused_at_the_start() {
    let parse = |text: &str| {
        let text = format!("auth.strategy = 'none'\n{text}");
        let environment = vestibule::config::Environment::fixed(&[]);
        vestibule::config::Config::parse(None, &text, environment).unwrap_err().to_string()
    };
    for weak in ["", "short"] {
        let error = parse(&format!("server.service_key = '{weak}'"));
        assert!(error.contains("fewer than 16 bytes"), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, "\n").unwrap();
    let error = parse(&format!("server.service_key_file = '{}'", file.display()));
    assert!(error.contains("service_key_file: it has fewer than 16 bytes"), "{error}");
}
