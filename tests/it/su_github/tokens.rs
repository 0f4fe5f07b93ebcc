//! The owner's GitHub token: renewed when it is due, once, and never on a request.

use std::time::Duration;

use serde_json::json;
use vestibule::{
    context::TokenError,
    engine::Renewal,
    identity::{ProviderToken, TokenRefusal},
};
use vestibule_tests::{
    NOW, TestApp,
    browser::{Browser, path_of},
    database::user_id,
    github::{Account, Answer, Endpoint, GitHub},
    keys::by_key,
    logs::Logs,
    run::{at_once, text},
};

const OWNER: &str = "583231";

async fn set_up() -> (GitHub, TestApp) {
    let github = GitHub::start(Account::new(583_231, "octocat")).await;
    let app = TestApp::start("su-github", &github.toml(OWNER)).await;
    (github, app)
}

/// Leaves the database as a log-in does.
async fn connect(github: &GitHub, app: &TestApp) {
    github.connect_to(app.host.store(), NOW).await;
}

async fn token(app: &TestApp, renewal: Renewal) -> Result<ProviderToken, TokenError> {
    let user = app.host.user_context_for(&user_id(OWNER)).await.expect("the user is known");
    user.token_provider().get("github", renewal).await
}

#[tokio::test]
async fn a_token_of_a_github_app_is_renewed_when_it_is_due_and_once() {
    let (github, app) = set_up().await;
    github.expire_tokens(28_800);
    connect(&github, &app).await;
    let first = token(&app, Renewal::WhenDue).await.unwrap();
    assert_eq!(first.expires_at, Some(NOW + 28_800));
    app.clock.advance(28_800 - 301);
    let same = token(&app, Renewal::WhenDue).await.unwrap();
    assert_eq!(text(&same.token), text(&first.token));
    assert_eq!(github.calls(Endpoint::Token), 0);

    app.clock.advance(290);
    let asked = (0..20).map(|_| {
        let app = app.clone();
        async move { token(&app, Renewal::WhenDue).await.map(|token| text(&token.token).to_owned()) }
    });
    let answers = at_once(asked).await;
    let renewed = answers[0].as_ref().expect("a token");
    assert_ne!(renewed, text(&first.token));
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|token| token == renewed)));
    assert_eq!(github.calls(Endpoint::Token), 1);
}

#[tokio::test]
async fn two_servers_with_a_user_of_one_id_renew_as_their_own_app_and_give_their_own_token() {
    let (github, one) = set_up().await;
    let other = github.registered("Iv1.fedcba9876543210", "another-secret-0123456789abcdef");
    let two = TestApp::start("su-github", &other.toml(OWNER)).await;
    github.expire_tokens(28_800);
    connect(&github, &one).await;
    connect(&other, &two).await;
    for round in 1..=10 {
        for app in [&one, &two] {
            app.clock.advance(28_800 - 10);
        }
        let asked =
            (0..20).map(|n| {
                let app = if n % 2 == 0 { one.clone() } else { two.clone() };
                async move {
                    text(&token(&app, Renewal::WhenDue).await.expect("a token").token).to_owned()
                }
            });
        let answers = at_once(asked).await;
        assert_ne!(answers[0], answers[1], "round {round}");
        for (n, answer) in answers.iter().enumerate() {
            assert_eq!(*answer, answers[n % 2], "round {round}: {n}");
        }
        // GitHub refuses a token of one app that comes from the other.
        assert_eq!((github.calls(Endpoint::Token), github.reused()), (2 * round, 0));
    }
}

#[tokio::test]
async fn a_provider_s_no_is_answered_by_one_renewal() {
    let (github, app) = set_up().await;
    github.expire_tokens(28_800);
    connect(&github, &app).await;
    let first = token(&app, Renewal::Now).await.unwrap();
    assert_eq!(github.calls(Endpoint::Token), 0, "a pair of this minute is as new as it gets");
    app.clock.advance(60);
    let second = token(&app, Renewal::Now).await.unwrap();
    assert_ne!(text(&second.token), text(&first.token));
    // Whoever held the first token and comes late is given the second.
    let third = token(&app, Renewal::Now).await.unwrap();
    assert_eq!(text(&third.token), text(&second.token));
    assert_eq!(github.calls(Endpoint::Token), 1);
}

#[tokio::test]
async fn a_refresh_token_that_github_refuses_for_good_means_to_connect_again() {
    let (github, app) = set_up().await;
    github.expire_tokens(28_800);
    connect(&github, &app).await;
    github.take_access_away();
    app.clock.advance(28_800);
    for _ in 0..3 {
        let refused = token(&app, Renewal::WhenDue).await;
        assert!(matches!(refused, Err(TokenError::Refused(TokenRefusal::Reconnect(_)))));
    }
    assert_eq!(github.calls(Endpoint::Token), 1, "a token that is over is not asked about");
    let stored = app.host.store().tokens(&user_id("583231")).load("github").await.unwrap();
    assert!(stored.is_some_and(|stored| stored.pair.refresh.is_some()), "nothing is deleted");
}

#[tokio::test]
async fn what_says_nothing_about_the_token_changes_nothing() {
    let (github, app) = set_up().await;
    github.expire_tokens(28_800);
    connect(&github, &app).await;
    let first = token(&app, Renewal::WhenDue).await.unwrap();
    app.clock.advance(28_800 - 60);
    for trouble in [
        Answer::Json(500, json!({"error": "invalid_grant"})),
        Answer::Json(400, json!({"error": "incorrect_client_credentials"})),
        Answer::Json(200, json!({"error": "incorrect_client_credentials"})),
        Answer::Text("text/html", "bad_refresh_token"),
        Answer::HangUp,
        Answer::Large,
    ] {
        github.answer_once(Endpoint::Token, trouble.clone());
        // The old token serves to its end.
        let kept = token(&app, Renewal::WhenDue).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(text(&kept.token), text(&first.token), "{trouble:?}");
    }
    app.clock.advance(60);
    github.answer_once(Endpoint::Token, Answer::HangUp);
    let refused = token(&app, Renewal::WhenDue).await;
    assert!(matches!(refused, Err(TokenError::Refused(TokenRefusal::Unavailable(_)))));
    let renewed = token(&app, Renewal::WhenDue).await.unwrap();
    assert_ne!(text(&renewed.token), text(&first.token));
}

#[tokio::test]
async fn a_lifetime_that_makes_no_sense_makes_no_loop() {
    let renewed_at = NOW + 60;
    for (expires_in, expected) in [
        (json!("28800"), Some(renewed_at + 28_800)),
        (json!(0), None),
        (json!(-5), Some(renewed_at)),
        (json!("soon"), None),
        (json!(1_000_000_000_000_u64), None),
    ] {
        let (github, app) = set_up().await;
        github.expire_tokens(28_800);
        connect(&github, &app).await;
        github.expire_tokens(expires_in.clone());
        app.clock.advance(60);
        token(&app, Renewal::Now).await.unwrap();
        for _ in 0..10 {
            let kept = token(&app, Renewal::WhenDue).await.unwrap();
            assert_eq!(kept.expires_at, expected, "{expires_in}");
        }
        assert_eq!(github.calls(Endpoint::Token), 1, "{expires_in}");
        // Once a minute, where it is over at once.
        app.clock.advance(60);
        token(&app, Renewal::WhenDue).await.unwrap();
        token(&app, Renewal::WhenDue).await.unwrap();
        let again = usize::from(expires_in == json!(-5));
        assert_eq!(github.calls(Endpoint::Token), 1 + again, "{expires_in}");
    }
}

#[tokio::test]
async fn a_token_without_end_that_github_refuses_is_over() {
    let (github, app) = set_up().await;
    connect(&github, &app).await;
    app.clock.advance(1_000_000);
    assert!(token(&app, Renewal::WhenDue).await.is_ok());
    let refused = token(&app, Renewal::Now).await;
    assert!(matches!(refused, Err(TokenError::Refused(TokenRefusal::Reconnect(_)))));
    assert_eq!(github.calls(Endpoint::Token), 0);
}

#[tokio::test]
async fn access_that_was_taken_away_shows_when_tokens_are_listed_and_not_on_a_request() {
    let (github, app) = set_up().await;
    connect(&github, &app).await;
    let user = app.host.user_context_for(&user_id(OWNER)).await.unwrap();
    let listed = user.token_provider().get_all().await;
    assert!(matches!(&listed[..], [Ok(token)] if token.provider == "github"), "{listed:?}");
    assert_eq!(github.calls(Endpoint::User), 1);

    github.take_access_away();
    let caller = by_key(&app, user.scope()).await;
    assert_eq!(caller.get("/api/v1/users/me").await.status, 200);
    assert_eq!(github.calls(Endpoint::User), 1, "no request asks");

    let listed = user.token_provider().get_all().await;
    let reconnect = |listed: &[Result<ProviderToken, TokenError>]| {
        matches!(listed, [Err(TokenError::Refused(TokenRefusal::Reconnect(_)))])
    };
    assert!(reconnect(&listed), "{listed:?}");
    // It is remembered, and GitHub is not asked again.
    let calls = github.calls(Endpoint::User);
    assert!(reconnect(&user.token_provider().get_all().await));
    assert_eq!(github.calls(Endpoint::User), calls);
}

#[tokio::test]
async fn disconnecting_revokes_the_token_and_forgets_it_whatever_github_says() {
    let down = || Answer::Json(503, json!({}));
    // What GitHub says, and how often it is asked: a token that it does not know is as good
    // as revoked (RFC 7009 section 2.2).
    for (once, always, asked) in [
        (None, None, 1),
        (None, Some(Answer::Json(404, json!({}))), 1),
        (Some(down()), None, 2),
        (None, Some(down()), 3),
        (None, Some(Answer::Json(401, json!({}))), 1),
    ] {
        let (github, app) = set_up().await;
        connect(&github, &app).await;
        let user = app.host.user_context_for(&user_id(OWNER)).await.unwrap();
        if let Some(answer) = once {
            github.answer_once(Endpoint::Revoke, answer);
        }
        if let Some(answer) = always {
            github.answer(Endpoint::Revoke, answer);
        }
        let caller = by_key(&app, user.scope()).await;
        let reply = caller.send("DELETE", "/api/v1/secrets/git-providers").await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert_eq!(github.calls(Endpoint::Revoke), asked);
        assert!(user.token_provider().get_all().await.is_empty());
        let stored = app.host.store().tokens(&user_id(OWNER)).load("github").await.unwrap();
        assert!(stored.is_none());
    }
}

#[tokio::test]
async fn a_token_that_comes_while_the_one_before_is_disconnected_stays() {
    let (github, app) = set_up().await;
    connect(&github, &app).await;
    let user = app.host.user_context_for(&user_id(OWNER)).await.unwrap();
    let caller = by_key(&app, user.scope()).await;
    github.answer(Endpoint::Revoke, Answer::Json(503, json!({})));
    let connected_again = async {
        while github.calls(Endpoint::Revoke) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let between = token(&app, Renewal::WhenDue).await;
        assert!(matches!(between, Err(TokenError::Refused(TokenRefusal::Reconnect(_)))));
        let mut browser = Browser::new(&app);
        let begun = browser.open("/auth/login/start").await;
        let back = github.visit(begun.header("location"));
        let arrived = browser.open(&path_of(&back)).await;
        assert_eq!(arrived.status, 200, "{}", arrived.body);
        text(&token(&app, Renewal::WhenDue).await.unwrap().token).to_owned()
    };
    let disconnected = caller.send("DELETE", "/api/v1/secrets/git-providers");
    let (reply, new) = tokio::join!(disconnected, connected_again);
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(text(&token(&app, Renewal::WhenDue).await.unwrap().token), new);
    assert!(github.knows(&new));
}

#[tokio::test]
async fn a_variable_that_beats_the_file_is_named_in_the_log_without_its_value() {
    let github = GitHub::start(Account::new(583_231, "octocat")).await;
    let logs = Logs::collect();
    let environment = [("SU_GITHUB_ALLOWED", OWNER), ("GITHUB_OAUTH_CLIENT_SECRET", "hush-hush")];
    TestApp::try_start("su-github", &github.toml("1"), &environment).await.unwrap();
    let log = logs.text();
    for name in ["SU_GITHUB_ALLOWED", "GITHUB_OAUTH_CLIENT_SECRET"] {
        let line = format!("the environment variable {name} has the last word over the file");
        assert!(log.contains(&line), "{log}");
    }
    assert!(!log.contains("hush-hush"));
}
