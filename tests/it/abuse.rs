//! What callers must not be able to do, by asking often, slowly or cleverly.

use std::{convert::Infallible, time::Duration};

use axum::body::{Body, Bytes};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use secrecy::SecretString;
use serde_json::{Value, json};
use vestibule::store::Scope;
use vestibule_tests::{
    TestApp,
    database::user,
    keys::{by_key, by_narrow_key, sandbox},
    on_strategies,
    run::{at_once, note_secret, text},
    strategies::Strategy,
};

const SERVICE: &str = "the key of the automation service";

async fn start(strategy: &Strategy, toml: &str) -> (TestApp, Scope) {
    strategy.start(&format!("server.service_key = '{SERVICE}'\n{toml}")).await
}

on_strategies! {
    [none, named, su_github, mu_keycloak, visited]:
        bad_keys_of_every_kind_are_counted_by_address,
        however_a_bad_key_is_written_it_counts_as_one_more,
        a_network_counts_as_one_address_and_nobody_gets_another_by_saying_so,
        a_flood_of_bad_keys_keeps_nobody_else_out_and_leaves_nothing,
        an_address_that_asks_too_often_is_refused_on_every_route_with_a_credential,
        a_body_that_does_not_arrive_is_not_waited_for,
        no_body_is_read_of_somebody_who_may_not_send_one,
        the_sandboxes_of_one_user_are_counted_together_and_apart_from_the_user,
        the_host_and_the_token_of_a_provider_are_what_they_can_be,
        a_secret_cannot_have_a_name_by_which_it_could_not_be_reached,
        a_key_that_may_write_settings_cannot_have_secrets_sent_elsewhere;
    // Where nobody is somebody.
    [named, su_github, mu_keycloak, visited]:
        a_key_of_the_local_owner_is_bad_where_there_are_users,
        the_system_key_of_a_disabled_user_can_be_revoked;
}

/// A body that never arrives.
fn never() -> Body {
    let trailers = std::future::pending::<Option<Result<HeaderMap, Infallible>>>();
    Body::new(Empty::<Bytes>::new().with_trailers(trailers))
}

async fn bad_keys_of_every_kind_are_counted_by_address(strategy: &Strategy) {
    let (app, ada) = start(strategy, "rate_limits.refused_minute = 3").await;
    let key = sandbox(&app, &ada, "one").await;
    let names = "/api/v1/sandboxes/one/settings/secrets";
    let me = "/api/v1/users/me?expose_secrets=true";
    let owner = by_key(&app, &ada).await;
    for (address, path, bad, good) in [
        (
            "192.0.2.1",
            names,
            app.anonymous().with("x-session-api-key", "guess"),
            app.anonymous().with("x-session-api-key", text(&key)),
        ),
        (
            "192.0.2.2",
            "/api/service/sandboxes/two",
            app.anonymous().with("x-service-api-key", "guess"),
            app.anonymous().with("x-service-api-key", SERVICE),
        ),
        (
            "192.0.2.3",
            me,
            owner.clone().with("x-session-api-key", "guess"),
            owner.clone().with("x-session-api-key", text(&key)),
        ),
        (
            "192.0.2.4",
            "/auth/session",
            app.anonymous().with("authorization", "Bearer sk-oh-guess"),
            owner.clone(),
        ),
        (
            "192.0.2.5",
            "/api/authenticate",
            app.anonymous().with("authorization", "Bearer sk-oh-guess"),
            owner.clone(),
        ),
    ] {
        let method = match path {
            "/api/authenticate" => "POST",
            _ if path.contains("service") => "DELETE",
            _ => "GET",
        };
        for _ in 0..3 {
            let reply = bad.clone().at(address).send(method, path).await;
            assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{path}: {}", reply.body);
        }
        let reply = bad.clone().at(address).send(method, path).await;
        assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS, "{path}");
        assert_eq!(reply.header("x-ratelimit-limit"), "3");
        // Others there are answered, and so is who presents something good.
        let reply = bad.at("192.0.2.99").send(method, path).await;
        assert_ne!(reply.status, StatusCode::OK, "{path}");
        let reply = good.at(address).send(method, path).await;
        let answered = [StatusCode::OK, StatusCode::NOT_FOUND].contains(&reply.status);
        assert!(answered, "{path}: {}", reply.body);
        app.clock.advance(60);
    }
}

async fn however_a_bad_key_is_written_it_counts_as_one_more(strategy: &Strategy) {
    let (app, _) = start(strategy, "rate_limits.refused_minute = 4").await;
    for (value, status) in [
        ("Bearer sk-oh-guess", 401),
        ("bearer sk-oh-Guess", 401),
        ("BEARER SK-OH-GUESS", 401),
        ("Bearer no-key-of-ours", 401),
        ("Bearer sk-oh-another", 429),
        ("bearer sk-oh-guess", 429),
    ] {
        let bad = app.anonymous().with("authorization", value).at("192.0.2.1");
        assert_eq!(bad.get("/auth/session").await.status, status, "{value}");
    }
}

async fn a_network_counts_as_one_address_and_nobody_gets_another_by_saying_so(strategy: &Strategy) {
    let (app, _) = start(strategy, "rate_limits.refused_minute = 2").await;
    let bad = app.anonymous().with("authorization", "Bearer sk-oh-guess");
    for (address, status) in [
        ("2001:db8:0:1::1", 401),
        ("2001:db8:0:1:ffff:ffff:ffff:ffff", 401),
        ("2001:db8:0:1::2", 429),
        ("2001:db8:0:2::1", 401),
        // One of the older kind, however it is written.
        ("192.0.2.1", 401),
        ("::ffff:192.0.2.1", 401),
        ("192.0.2.1", 429),
        ("192.0.2.2", 401),
    ] {
        assert_eq!(bad.clone().at(address).get("/auth/session").await.status, status, "{address}");
    }
    // Nobody said that whoever this is may speak for others.
    for number in 0..5 {
        let says = bad.clone().with("x-forwarded-for", &format!("203.0.113.{number}"));
        let says = says.with("x-real-ip", "203.0.113.9").with("forwarded", "for=203.0.113.9");
        assert_eq!(says.at("192.0.2.1").get("/auth/session").await.status, 429);
    }
}

async fn a_flood_of_bad_keys_keeps_nobody_else_out_and_leaves_nothing(strategy: &Strategy) {
    let (app, owner) = start(strategy, "rate_limits.refused_minute = 30").await;
    let good = by_key(&app, &owner).await.at("192.0.2.2");
    assert_eq!(good.get("/auth/session").await.status, StatusCode::OK);
    let before = app.host.store().audit(100).await.unwrap().len();
    let flood = (0..1_000).map(|number| {
        let key = format!("Bearer sk-oh-{number:032}");
        let bad = app.anonymous().with("authorization", &key).at("192.0.2.1");
        async move { bad.get("/auth/session").await.status.as_u16() }
    });
    let others = (0..100).map(|_| {
        let good = good.clone();
        async move { good.get("/auth/session").await.status.as_u16() }
    });
    let (refused, answered) = tokio::join!(at_once(flood), at_once(others));
    let count = |status: u16| refused.iter().filter(|told| **told == status).count();
    assert_eq!((count(401), count(429)), (30, 970));
    assert!(answered.iter().all(|status| *status == 200), "{answered:?}");
    // One entry, of the limit; it is written while answers are on their way.
    let mut noted = 0;
    for _ in 0..200 {
        noted = app.host.store().audit(100).await.unwrap().len() - before;
        if noted > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(noted, 1);
}

async fn an_address_that_asks_too_often_is_refused_on_every_route_with_a_credential(
    strategy: &Strategy,
) {
    let (app, owner) = start(strategy, "rate_limits.address_minute = 2").await;
    let key = sandbox(&app, &owner, "one").await;
    let by_key = by_key(&app, &owner).await;
    for (address, path) in [
        ("192.0.2.1", "/auth/session"),
        ("192.0.2.5", "/auth/login"),
        ("192.0.2.2", "/api/v1/settings"),
        ("192.0.2.3", "/api/v1/sandboxes/one/settings/secrets"),
    ] {
        let caller = by_key.clone().with("x-session-api-key", text(&key)).at(address);
        for _ in 0..2 {
            assert_eq!(caller.get(path).await.status, StatusCode::OK, "{path}");
        }
        assert_eq!(caller.get(path).await.status, StatusCode::TOO_MANY_REQUESTS, "{path}");
    }
    let service = app.anonymous().with("x-service-api-key", SERVICE).at("192.0.2.4");
    for status in [404, 404, 429] {
        let reply = service.send("DELETE", "/api/service/sandboxes/two").await;
        assert_eq!(reply.status.as_u16(), status);
    }
}

async fn the_sandboxes_of_one_user_are_counted_together_and_apart_from_the_user(
    strategy: &Strategy,
) {
    let limits = "rate_limits.sandbox_minute = 3\nrate_limits.user_minute = 1";
    let (app, ada) = start(strategy, limits).await;
    let bob = user(app.host.store(), "bob").await;
    let mut sandboxes = Vec::new();
    for (scope, id) in [(&ada, "one"), (&ada, "two"), (&bob, "his")] {
        let key = sandbox(&app, scope, id).await;
        let path = format!("/api/v1/sandboxes/{id}/settings/secrets");
        sandboxes.push((app.anonymous().with("x-session-api-key", text(&key)), path));
    }
    for (which, status) in [(0, 200), (1, 200), (0, 200), (1, 429), (0, 429), (2, 200)] {
        let (caller, path) = &sandboxes[which];
        assert_eq!(caller.get(path).await.status.as_u16(), status, "{path}");
    }
    let owner = by_key(&app, &ada).await;
    assert_eq!(owner.get("/api/v1/users/me").await.status, StatusCode::OK);
    app.clock.advance(60);
    assert_eq!(sandboxes[0].0.get(&sandboxes[0].1).await.status, StatusCode::OK);
}

async fn a_body_that_does_not_arrive_is_not_waited_for(strategy: &Strategy) {
    let (app, owner) = start(strategy, "server.body_timeout = '20ms'").await;
    let caller = by_key(&app, &owner).await.with("content-type", "application/json");
    let reply = caller.send_body("POST", "/api/v1/secrets", never()).await;
    insta::allow_duplicates! {
        insta::assert_snapshot!(reply.shown(), @r#"
        408 Request Timeout
        {"type":"about:blank","title":"Request Timeout","status":408,"detail":"the body did not arrive in time","request_id":"…"}
        "#);
    }
    assert_eq!(reply.header("connection"), "close");
}

async fn no_body_is_read_of_somebody_who_may_not_send_one(strategy: &Strategy) {
    // Would it be waited for, the test would not end.
    let (app, _) = start(strategy, "server.body_timeout = '1h'").await;
    for (path, credential) in [
        ("/api/service/sandboxes", "x-service-api-key"),
        ("/api/service/users/ada/orgs/ada/api-keys", "x-service-api-key"),
        ("/api/v1/secrets", "authorization"),
    ] {
        let caller = app.anonymous().with("content-type", "application/json");
        let reply = caller.with(credential, "wrong").send_body("POST", path, never()).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{path}");
    }
}

async fn the_host_and_the_token_of_a_provider_are_what_they_can_be(strategy: &Strategy) {
    let (app, owner) = start(strategy, "").await;
    let caller = by_key(&app, &owner).await;
    let stored = async |token: &str, host: Value| {
        let tokens = json!({"provider_tokens": {"gitlab": {"token": token, "host": host}}});
        caller.send_json("POST", "/api/v1/secrets/git-providers", tokens).await.status
    };
    for host in [
        json!(null),
        json!(""),
        json!("git.example"),
        json!("git.example:8443"),
        json!("192.0.2.1:80"),
        json!("[2001:db8::1]:443"),
    ] {
        assert_eq!(stored("plaintext-canary", host.clone()).await, StatusCode::OK, "{host}");
    }
    for host in [
        "a\0b",
        "https://git.example",
        "git.example/path",
        "user@git.example",
        "git.example:",
        "git.example:0",
        "git.example:99999",
        "git.example:x",
        "a b",
        "[::1",
        &"a".repeat(256),
    ] {
        assert_eq!(stored("x", json!(host)).await, StatusCode::UNPROCESSABLE_ENTITY, "{host}");
    }
    for token in ["a\0b", "a\nb", "\u{e9}", &"x".repeat((16 << 10) + 1)] {
        assert_eq!(stored(token, json!(null)).await, StatusCode::UNPROCESSABLE_ENTITY);
    }
    // One that is bad leaves all of them as they were.
    let tokens = json!({"provider_tokens": {
        "github": {"token": "plaintext-canary new"}, "gitlab": {"token": "x", "host": "a b"},
    }});
    let reply = caller.send_json("POST", "/api/v1/secrets/git-providers", tokens).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    let context = app.host.user_context_for(&owner.user).await.unwrap();
    let renewal = vestibule::engine::Renewal::WhenDue;
    assert!(context.token_provider().get("github", renewal).await.is_err());
}

async fn a_secret_cannot_have_a_name_by_which_it_could_not_be_reached(strategy: &Strategy) {
    let (app, owner) = start(strategy, "").await;
    let caller = by_key(&app, &owner).await;
    let secret = |name: &str| json!({"name": name, "value": "plaintext-canary"});
    let reply = caller.send_json("POST", "/api/v1/secrets", secret("search")).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(reply.body.contains("is not `search`"), "{}", reply.body);
    caller.send_json("POST", "/api/v1/secrets", secret("found")).await;
    let reply = caller.send_json("PUT", "/api/v1/secrets/found", json!({"name": "search"})).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
    let reply = caller.send_json("POST", "/api/v1/secrets", secret("git-providers")).await;
    assert_eq!(reply.status, StatusCode::UNPROCESSABLE_ENTITY);
}

async fn a_key_that_may_write_settings_cannot_have_secrets_sent_elsewhere(strategy: &Strategy) {
    let (app, ada) = start(strategy, "").await;
    let narrow = by_narrow_key(&app, &ada, &["settings:read", "settings:write"]).await;
    let full = by_key(&app, &ada).await;
    let path = "/api/v1/settings";
    let first = json!({"llm_base_url": "https://a.example", "llm_api_key": "plaintext-canary a"});
    assert_eq!(narrow.send_json("PATCH", path, first).await.status, StatusCode::OK);
    let elsewhere = json!({"llm_base_url": "https://evil.example"});
    let masked = json!({"llm_base_url": "https://evil.example", "llm_api_key": "**********"});
    for change in [&elsewhere, &masked] {
        let reply = narrow.send_json("PATCH", path, change.clone()).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{change}");
        assert!(reply.body.contains("llm_api_key"), "{}", reply.body);
        assert!(reply.header("www-authenticate").contains("insufficient_scope"));
    }
    let other = json!({"llm_model": "other"});
    assert_eq!(narrow.send_json("PATCH", path, other).await.status, StatusCode::OK);
    let shown = narrow.get(path).await.json();
    assert_eq!(shown["llm_base_url"], "https://a.example");
    let own = json!({"llm_base_url": "https://b.example", "llm_api_key": "plaintext-canary b"});
    assert_eq!(narrow.send_json("PATCH", path, own).await.status, StatusCode::OK);
    // Their owner can read them anyway.
    assert_eq!(full.send_json("PATCH", path, elsewhere).await.status, StatusCode::OK);
}

async fn a_key_of_the_local_owner_is_bad_where_there_are_users(strategy: &Strategy) {
    let (app, _) = start(strategy, "").await;
    let caller = by_key(&app, &Scope::local_owner()).await;
    for path in ["/api/v1/users/me", "/auth/session"] {
        let reply = caller.get(path).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{path}: {}", reply.body);
    }
}

async fn the_system_key_of_a_disabled_user_can_be_revoked(strategy: &Strategy) {
    let (app, ada) = start(strategy, "").await;
    let service = app.anonymous().with("x-service-api-key", SERVICE);
    let path = &format!("/api/service/users/{0}/orgs/{0}/api-keys", ada.user.as_str());
    let named = json!({"name": "automation"});
    let made = service.send_json("POST", path, named.clone()).await.json();
    note_secret(&SecretString::from(made["key"].as_str().unwrap()));
    app.host.store().set_user_disabled(&ada.user, true).await.unwrap();
    assert_eq!(service.send_json("POST", path, named).await.status, StatusCode::FORBIDDEN);
    let one = format!("{path}/automation");
    assert_eq!(service.send("DELETE", &one).await.status, StatusCode::OK);
    app.host.store().set_user_disabled(&ada.user, false).await.unwrap();
    assert_eq!(service.send("DELETE", &one).await.status, StatusCode::NOT_FOUND);
}
