//! Tokens of Git providers that Keycloak brokers: taken over at log-in, renewed at the
//! provider, and had once more by the offline token where the provider refuses one.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use vestibule::{context::TokenError, engine::Renewal, store::TokenState};
use vestibule_tests::{
    NOW, TestApp,
    browser::Browser,
    database::{Database, user_id},
    keycloak::{Answer, Endpoint, Handed, Keycloak, Person},
    keys::sandbox,
    on_both_databases,
    run::{at_once, text},
};

use super::{Scene, app, is_reconnect, is_unavailable, refresh_of, token, who};

const ALL: [&str; 3] = ["github", "gitlab", "bitbucket"];

/// When a token of eight hours is about to be over.
const NEARLY: u64 = 28_800 - 10;

/// A scene in which these providers are in use.
async fn scene(providers: &[&str]) -> Scene {
    let keycloak = Keycloak::start(Person::new("ada")).await;
    let app = app(&keycloak, &Database::sqlite(), "", &keycloak.providers(providers)).await;
    keycloak.keep_time(&app.clock);
    Scene { keycloak, app }
}

/// The same where Ada has linked them all and logged in, and the calls are forgotten.
async fn connected(providers: &[&str]) -> Scene {
    let scene = scene(providers).await;
    for provider in providers {
        scene.keycloak.link("ada", provider, Handed::Json);
    }
    scene.log_in().await;
    scene.keycloak.forget();
    scene
}

async fn asked(scene: &Scene, provider: &str) -> String {
    let token = scene.token(provider, Renewal::WhenDue).await;
    let token = token.unwrap_or_else(|error| panic!("{provider}: {error}"));
    text(&token.token).to_owned()
}

/// Where a sandbox of Ada's reads the token of a provider.
fn path(provider: &str) -> String {
    format!("/api/v1/sandboxes/s1/settings/secrets/{provider}_token")
}

async fn within_sandbox(scene: &Scene) -> vestibule_tests::Caller {
    let scope = scene.app.host.store().user(&user_id("ada")).await.unwrap().unwrap().scope();
    let session = sandbox(&scene.app, &scope, "s1").await;
    scene.app.anonymous().with("x-session-api-key", text(&session))
}

#[tokio::test]
async fn tokens_are_taken_over_at_log_in_with_their_ends_however_they_are_handed_on() {
    let scene = scene(&ALL).await;
    for (n, handed) in
        [Handed::Json, Handed::Form, Handed::FormAsJson, Handed::JsonAsText].into_iter().enumerate()
    {
        let id = format!("person-{n}");
        for provider in ALL {
            scene.keycloak.link(&id, provider, handed);
        }
        scene.keycloak.forget();
        scene.log_in_as(Person::new(&id)).await;
        assert_eq!(scene.calls(Endpoint::Broker), 3, "{handed:?}");
        scene.keycloak.forget();
        let user = scene.app.host.user_context_for(&user_id(&id)).await.unwrap();
        for provider in ALL {
            for _ in 0..3 {
                let token = user.token_provider().get(provider, Renewal::WhenDue).await;
                let token = token.unwrap_or_else(|error| panic!("{provider} {handed:?}: {error}"));
                assert_eq!(text(&token.token), scene.keycloak.linked(&id, provider));
                assert_eq!(token.expires_at, Some(NOW + 28_800), "{provider} {handed:?}");
                assert_eq!(token.host, Some(scene.keycloak.url().replace("http://", "")));
            }
        }
        assert_eq!(scene.keycloak.forget_calls(), 0, "what lasts is not asked for");
    }
}

#[tokio::test]
async fn what_was_renewed_since_is_not_undone_by_a_log_in() {
    let scene = connected(&["github"]).await;
    scene.app.clock.advance(NEARLY);
    let renewed = asked(&scene, "github").await;
    assert_ne!(renewed, scene.keycloak.linked("ada", "github"));
    scene.keycloak.forget();
    scene.keycloak.sit_down(Some(Person::new("ada")));
    scene.log_in().await;
    assert_eq!(scene.calls(Endpoint::Broker), 0);
    assert_eq!(asked(&scene, "github").await, renewed);
}

#[tokio::test]
async fn a_log_in_does_not_fail_for_want_of_a_provider_s_token() {
    let scene = scene(&["github"]).await;
    scene.keycloak.link("ada", "github", Handed::Json);
    for trouble in [
        Answer::Json(500, json!({})),
        Answer::Json(403, json!({"errorMessage": "Client [vestibule] not authorized"})),
        Answer::Json(400, json!({"errorMessage": "is not associated with identity provider"})),
        Answer::HangUp,
        Answer::Large,
        Answer::Redirect(302),
        Answer::Text("text/html", "<h1>Unicorn!</h1>"),
        Answer::Json(200, json!({"access_token": 7})),
        Answer::Json(200, json!([])),
    ] {
        scene.keycloak.script.answer(Endpoint::Broker, trouble.clone());
        scene.keycloak.sit_down(Some(Person::new("ada")));
        let mut browser = scene.log_in().await;
        assert_eq!(who(&mut browser).await, "ada", "{trouble:?}");
        assert!(scene.stored("github").await.is_none(), "{trouble:?}");
        let none = scene.token("github", Renewal::WhenDue).await;
        assert!(matches!(none, Err(TokenError::Missing(_))), "{trouble:?}: {none:?}");
    }
    assert_eq!(scene.calls(Endpoint::Elsewhere), 0);
    // The next log-in has it.
    scene.keycloak.script.recover(Endpoint::Broker);
    scene.keycloak.sit_down(Some(Person::new("ada")));
    scene.log_in().await;
    assert_eq!(asked(&scene, "github").await, scene.keycloak.linked("ada", "github"));
}

#[tokio::test]
async fn a_token_that_never_ends_is_never_renewed() {
    let scene = scene(&["github"]).await;
    for (n, end) in [Value::Null, json!(0)].into_iter().enumerate() {
        scene.keycloak.expire_provider_tokens(end.clone());
        let id = format!("person-{n}");
        scene.keycloak.link(&id, "github", Handed::Form);
        scene.log_in_as(Person::new(&id)).await;
        scene.keycloak.forget();
        scene.app.clock.advance(10_000_000);
        let user = scene.app.host.user_context_for(&user_id(&id)).await.unwrap();
        let token = user.token_provider().get("github", Renewal::WhenDue).await.unwrap();
        assert_eq!(text(&token.token), scene.keycloak.linked(&id, "github"), "{end}");
        assert_eq!(token.expires_at, None, "{end}");
        assert_eq!(scene.keycloak.forget_calls(), 0, "{end}");
    }
}

#[tokio::test]
async fn a_token_that_is_due_is_renewed_at_its_provider_and_keycloak_is_not_asked() {
    let scene = connected(&ALL).await;
    let first = [
        asked(&scene, "github").await,
        asked(&scene, "gitlab").await,
        asked(&scene, "bitbucket").await,
    ];
    scene.app.clock.advance(NEARLY);
    for (provider, first) in ALL.into_iter().zip(first) {
        scene.keycloak.forget();
        let second = asked(&scene, provider).await;
        assert_ne!(first, second, "{provider}");
        assert_eq!(scene.calls(Endpoint::Provider), 1, "{provider}");
        assert_eq!(scene.keycloak.forget_calls(), 1, "{provider}");
        let stored = scene.stored(provider).await.unwrap();
        assert_eq!(stored.pair.access_expires_at, Some(NOW + NEARLY + 28_800));
    }
    scene.app.clock.advance(NEARLY);
    for provider in ALL {
        asked(&scene, provider).await;
    }
    assert_eq!(scene.keycloak.forget_calls(), 3, "the new pairs were kept");
}

#[tokio::test]
async fn margins_are_by_lifetime_and_a_short_token_is_left_alone_for_most_of_it() {
    let scene = scene(&["gitlab"]).await;
    scene.keycloak.expire_provider_tokens(7200);
    scene.keycloak.link("ada", "gitlab", Handed::Json);
    scene.log_in().await;
    scene.keycloak.forget();
    scene.app.clock.advance(1800);
    for _ in 0..100 {
        asked(&scene, "gitlab").await;
    }
    assert_eq!(scene.keycloak.forget_calls(), 0, "with an hour and a half left");
    scene.app.clock.advance(7200 - 1800 - 60);
    for _ in 0..10 {
        asked(&scene, "gitlab").await;
    }
    assert_eq!(scene.keycloak.forget_calls(), 1, "with a minute left");
}

on_both_databases! {
    async fn twenty_who_ask_at_once_at_two_servers_are_given_one_token(database: Database) {
        let keycloak = Keycloak::start(Person::new("ada")).await;
        let shared = "encryption.secret = 'plaintext-canary the encryption secret of the tests'";
        let settings = keycloak.providers(&["github"]);
        let one = app(&keycloak, &database, shared, &settings).await;
        let two = app(&keycloak, &database, shared, &settings).await;
        keycloak.keep_time(&one.clock);
        keycloak.link("ada", "github", Handed::Json);
        let mut browser = Browser::new(&one);
        assert_eq!(keycloak.lead(&mut browser).await.status, StatusCode::OK);
        one.clock.advance(28_800);
        keycloak.forget();
        keycloak.script.delay(Endpoint::Provider, Duration::from_millis(100));
        let apps: [TestApp; 2] = [one, two];
        let asked = (0..20).map(|n| {
            let app = apps[n % 2].clone();
            async move {
                let token = token(&app, "github", Renewal::WhenDue).await;
                token.map(|token| text(&token.token).to_owned()).map_err(|error| error.to_string())
            }
        });
        let answers = at_once(asked).await;
        assert!(answers[0].is_ok(), "{answers:?}");
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert_eq!(keycloak.script.calls(Endpoint::Provider), 1);
        assert_eq!(keycloak.forget_calls(), 1);
    }
}

#[tokio::test]
async fn a_token_that_was_linked_anew_is_had_by_the_offline_token_whose_successor_is_kept() {
    let scene = connected(&["github"]).await;
    let offline = refresh_of(&scene.stored("offline").await.unwrap()).to_owned();
    for round in 0..2 {
        scene.keycloak.take_access_away("github");
        scene.keycloak.link("ada", "github", Handed::Form);
        scene.app.clock.advance(28_800);
        scene.keycloak.forget();
        let token = asked(&scene, "github").await;
        assert_eq!(token, scene.keycloak.linked("ada", "github"), "{round}");
        let calls = [Endpoint::Provider, Endpoint::Token, Endpoint::Broker].map(|e| scene.calls(e));
        assert_eq!(calls, [1, 1, 1], "{round}");
    }
    let stored = scene.stored("offline").await.unwrap();
    assert_ne!(refresh_of(&stored), offline, "a token that works once has a successor");
    assert_eq!(stored.state, TokenState::Active);
}

#[tokio::test]
async fn who_has_linked_nothing_has_no_token_and_nothing_else_is_wrong() {
    let scene = scene(&["github", "gitlab"]).await;
    scene.keycloak.link("ada", "github", Handed::Json);
    scene.log_in().await;
    scene.keycloak.forget();
    assert_eq!(
        listed(&scene.app).await,
        [Ok("github".to_owned())],
        "of gitlab there is nothing to say"
    );
    let none = scene.token("gitlab", Renewal::WhenDue).await;
    assert!(matches!(none, Err(TokenError::Missing(_))), "{none:?}");
    assert_eq!(scene.stored("offline").await.unwrap().state, TokenState::Active);
    assert_eq!(scene.keycloak.forget_calls(), 0);
}

/// The providers of Ada's of which there is something to say, and what.
async fn listed(app: &TestApp) -> Vec<Result<String, String>> {
    let user = app.host.user_context_for(&user_id("ada")).await.expect("the user is known");
    let all = user.token_provider().get_all().await;
    all.into_iter()
        .map(|token| token.map(|token| token.provider).map_err(|error| error.to_string()))
        .collect()
}

#[tokio::test]
async fn a_refusal_for_good_is_that_provider_s_alone_and_nobody_is_logged_out() {
    let scene = connected(&ALL).await;
    let mut browser = scene.log_in().await;
    let within = within_sandbox(&scene).await;
    for provider in ALL {
        assert_eq!(within.get(&path(provider)).await.status, StatusCode::OK);
    }
    // Keycloak has nothing newer either.
    scene.keycloak.take_access_away("gitlab");
    scene.app.clock.advance(28_800);
    scene.keycloak.forget();
    for _ in 0..3 {
        let reply = within.get(&path("gitlab")).await;
        assert_eq!(reply.status, StatusCode::CONFLICT, "{}", reply.body);
        assert!(reply.body.contains("provider_reconnect_required"), "{}", reply.body);
    }
    assert_eq!(scene.calls(Endpoint::Provider), 1, "what is over is not asked about");
    assert!(scene.stored("gitlab").await.unwrap().pair.refresh.is_some(), "nothing is deleted");
    for provider in ["github", "bitbucket"] {
        let reply = within.get(&path(provider)).await;
        assert_eq!(reply.status, StatusCode::OK, "{provider}: {}", reply.body);
    }
    let listed = listed(&scene.app).await;
    assert_eq!(listed.iter().filter(|token| token.is_ok()).count(), 2, "{listed:?}");
    assert_eq!(who(&mut scene.log_in().await).await, "ada");
    assert_eq!(browser.open("/auth/login").await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_offline_token_that_is_refused_or_missing_ends_in_reconnecting_and_nothing_more() {
    for missing in [false, true] {
        let scene = scene(&["github", "gitlab"]).await;
        for provider in ["github", "gitlab"] {
            scene.keycloak.link("ada", provider, Handed::Json);
        }
        if missing {
            scene.keycloak.decline("offline_access");
        }
        scene.log_in().await;
        scene.keycloak.take_access_away("github");
        scene.keycloak.link("ada", "github", Handed::Json);
        let refusal = Answer::Json(400, json!({"error": "invalid_grant"}));
        scene.keycloak.script.answer(Endpoint::Token, refusal);
        scene.app.clock.advance(28_800);
        scene.keycloak.forget();
        for _ in 0..3 {
            let refused = scene.token("github", Renewal::WhenDue).await;
            assert!(is_reconnect(&refused), "{refused:?}");
        }
        let expected = usize::from(!missing);
        assert_eq!(scene.calls(Endpoint::Token), expected, "what is over is not asked about");
        match scene.stored("offline").await {
            Some(stored) => assert!(matches!(stored.state, TokenState::Reconnect { .. })),
            None => assert!(missing, "nothing is deleted"),
        }
        asked(&scene, "gitlab").await;
        // A log-in has all of it again.
        scene.keycloak.script.recover(Endpoint::Token);
        scene.keycloak.decline("nothing");
        scene.keycloak.sit_down(Some(Person::new("ada")));
        let mut browser = scene.log_in().await;
        assert_eq!(who(&mut browser).await, "ada");
        asked(&scene, "github").await;
        assert_eq!(scene.stored("offline").await.unwrap().state, TokenState::Active);
    }
}

#[tokio::test]
async fn while_keycloak_cannot_say_whether_it_has_another_nothing_is_given_up() {
    let scene = connected(&["github"]).await;
    scene.keycloak.take_access_away("github");
    scene.app.clock.advance(28_800);
    for (endpoint, trouble) in [
        (Endpoint::Token, Answer::Json(500, json!({"error": "invalid_grant"}))),
        (Endpoint::Token, Answer::Json(429, json!({}))),
        (Endpoint::Token, Answer::Json(401, json!({"error": "invalid_client"}))),
        (Endpoint::Token, Answer::HangUp),
        (Endpoint::Token, Answer::Redirect(302)),
        (Endpoint::Broker, Answer::Json(500, json!({}))),
        (Endpoint::Broker, Answer::Json(429, json!({}))),
        (Endpoint::Broker, Answer::HangUp),
        (Endpoint::Broker, Answer::Large),
        (Endpoint::Broker, Answer::Redirect(302)),
        (Endpoint::Broker, Answer::Text("text/html", "<h1>Unicorn!</h1>")),
    ] {
        scene.keycloak.script.answer_once(endpoint, trouble.clone());
        let refused = scene.token("github", Renewal::WhenDue).await;
        assert!(is_unavailable(&refused), "{endpoint:?} {trouble:?}: {refused:?}");
        for name in ["offline", "github"] {
            let stored = scene.stored(name).await.unwrap();
            assert_eq!(stored.state, TokenState::Active, "{name}: {endpoint:?} {trouble:?}");
        }
    }
    assert_eq!(scene.calls(Endpoint::Elsewhere), 0);
    scene.keycloak.link("ada", "github", Handed::Json);
    assert_eq!(asked(&scene, "github").await, scene.keycloak.linked("ada", "github"));
}

#[tokio::test]
async fn a_provider_that_is_down_costs_nothing_until_the_old_token_is_over() {
    let scene = connected(&ALL).await;
    let within = within_sandbox(&scene).await;
    scene.app.clock.advance(NEARLY);
    for provider in ALL {
        let first = scene.keycloak.linked("ada", provider);
        for trouble in [
            Answer::Json(503, json!({})),
            Answer::Json(500, json!({"error": "invalid_grant"})),
            Answer::Json(400, json!({"error": "incorrect_client_credentials"})),
            Answer::Text("text/html", "bad_refresh_token"),
            Answer::HangUp,
            Answer::Large,
        ] {
            scene.keycloak.script.answer_once(Endpoint::Provider, trouble.clone());
            assert_eq!(asked(&scene, provider).await, first, "{provider} {trouble:?}");
        }
    }
    scene.app.clock.advance(10);
    scene.keycloak.script.answer(Endpoint::Provider, Answer::Json(503, json!({})));
    for provider in ALL {
        let reply = within.get(&path(provider)).await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{provider}: {}", reply.body);
    }
    scene.keycloak.script.recover(Endpoint::Provider);
    for provider in ALL {
        let reply = within.get(&path(provider)).await;
        assert_eq!(reply.status, StatusCode::OK, "{provider}: {}", reply.body);
        assert_ne!(reply.body, scene.keycloak.linked("ada", provider));
    }
}

#[tokio::test]
async fn a_provider_s_no_is_answered_by_one_renewal() {
    let scene = connected(&["github"]).await;
    let first = asked(&scene, "github").await;
    let same = scene.token("github", Renewal::Now).await.unwrap();
    assert_eq!(text(&same.token), first, "a pair of this minute is as new as it gets");
    scene.app.clock.advance(60);
    let second = scene.token("github", Renewal::Now).await.unwrap();
    assert_ne!(text(&second.token), first);
    let third = scene.token("github", Renewal::Now).await.unwrap();
    assert_eq!(text(&third.token), text(&second.token));
    assert_eq!(scene.keycloak.forget_calls(), 1);
}

#[tokio::test]
async fn a_lifetime_that_makes_no_sense_makes_no_loop() {
    let scene = scene(&["github"]).await;
    let odd = [json!(-5), json!("28800"), json!("soon"), json!(1_000_000_000_000_u64)];
    for (n, expires_in) in odd.into_iter().enumerate() {
        scene.keycloak.expire_provider_tokens(expires_in.clone());
        let id = format!("person-{n}");
        scene.keycloak.link(&id, "github", Handed::Json);
        scene.log_in_as(Person::new(&id)).await;
        scene.keycloak.forget();
        let user = scene.app.host.user_context_for(&user_id(&id)).await.unwrap();
        for _ in 0..10 {
            user.token_provider().get("github", Renewal::WhenDue).await.unwrap();
        }
        let calls = scene.keycloak.forget_calls();
        assert!(calls <= 1, "{expires_in}: {calls}");
    }
}

#[tokio::test]
async fn a_provider_that_is_not_in_use_is_nobody_s() {
    let scene = connected(&[]).await;
    scene.keycloak.link("ada", "github", Handed::Json);
    scene.log_in().await;
    assert_eq!(scene.calls(Endpoint::Broker), 0);
    let none = scene.token("github", Renewal::WhenDue).await;
    assert!(matches!(none, Err(TokenError::Missing(_))), "{none:?}");
}

#[tokio::test]
async fn disconnecting_forgets_every_token_and_asks_for_the_offline_token_s_end() {
    let scene = connected(&["github", "gitlab"]).await;
    let scope = scene.app.host.store().user(&user_id("ada")).await.unwrap().unwrap().scope();
    let caller = vestibule_tests::keys::by_key(&scene.app, &scope).await;
    // The providers alone.
    let reply = caller.send("DELETE", "/api/v1/secrets/git-providers").await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    assert!(scene.stored("github").await.is_none() && scene.stored("gitlab").await.is_none());
    assert!(scene.stored("offline").await.is_some());
    assert_eq!(scene.calls(Endpoint::Revoke), 0);
    // And everything.
    let reply = caller.send("POST", "/auth/disconnect").await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    assert!(scene.stored("offline").await.is_none());
    assert_eq!(scene.calls(Endpoint::Revoke), 1);
}
