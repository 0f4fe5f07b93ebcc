//! Fresh provider tokens for conversations: what OpenHands does after it has started a
//! runtime, and where it has to be better.

mod by_http;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde_json::json;
use vestibule::{
    context::{
        ConversationId, ConversationSettings, HeldToken, RefreshError, RefreshFailure,
        RefreshReason, TokenError,
    },
    engine::{Hooks, Renewal},
    identity::{LOCAL_OWNER, TokenRefusal, UserId},
    store::{Settings, TokenPair, TokenState},
};
use vestibule_tests::{
    NOW, TestApp,
    database::{Database, SECRET, user, user_id},
    forges::{Forges, NAMES},
    github::Answer,
    keys::by_key,
    logs::Logs,
    on_both_databases,
    run::{at_once, canary, text},
};

const HOUR: u64 = 60 * 60;
const KEEP_OLD: &str = "provider_tokens.on_refresh_failure = 'keep-old'\n";

/// Two hours, as GitLab and Bitbucket have it.
const LIFETIME: u64 = 2 * HOUR;

async fn on(database: &Database, toml: &str) -> (Forges, TestApp) {
    let forges = Forges::start(LIFETIME).await;
    let toml = format!("encryption.secret = '{SECRET}'\n{toml}{}", forges.toml());
    let app = TestApp::start_on(database, "connected", &toml, &[], Hooks::default()).await.unwrap();
    (forges, app)
}

async fn set_up(toml: &str) -> (Forges, TestApp) {
    on(&Database::sqlite(), toml).await
}

/// Ada, with accounts at these providers.
async fn ada(forges: &Forges, app: &TestApp, providers: &[&str]) -> UserId {
    let ada = user(app.host.store(), "ada").await.user;
    for provider in providers {
        forges.connect(app.host.store(), &ada, provider, app.clock.now()).await;
    }
    ada
}

/// What a conversation has in its hands that was begun just now.
async fn held(app: &TestApp, user: &UserId, providers: &[&str]) -> Arc<ConversationSettings> {
    let mut tokens = BTreeMap::new();
    for provider in providers {
        let stored = app.host.store().tokens(user).load(provider).await.unwrap().unwrap();
        let token = HeldToken { token: stored.pair.access, ..HeldToken::default() };
        tokens.insert((*provider).to_owned(), token);
    }
    with(tokens)
}

fn with(tokens: BTreeMap<String, HeldToken>) -> Arc<ConversationSettings> {
    let document = json!({"llm_model": "m", "llm_api_key": "plaintext-canary llm"});
    let settings = Settings::split(document.as_object().unwrap().clone()).unwrap();
    Arc::new(ConversationSettings { settings, provider_tokens: Some(tokens) })
}

fn one(provider: &str, token: HeldToken) -> Arc<ConversationSettings> {
    with(BTreeMap::from([(provider.to_owned(), token)]))
}

fn conversation() -> ConversationId {
    ConversationId::new("c1").unwrap()
}

type Refreshed = Result<Arc<ConversationSettings>, RefreshError>;

async fn refresh(app: &TestApp, held: &Arc<ConversationSettings>, user: &UserId) -> Refreshed {
    app.host.refresh_provider_tokens(held, &conversation(), Some(user)).await
}

fn token<'a>(settings: &'a ConversationSettings, provider: &str) -> &'a str {
    let tokens = settings.provider_tokens.as_ref().expect("there are tokens");
    text(tokens[provider].token.as_ref().expect("there is a token"))
}

fn failures(refreshed: Refreshed) -> Vec<RefreshFailure> {
    match refreshed {
        Err(RefreshError::Tokens(failures)) => failures,
        other => panic!("{other:?}"),
    }
}

fn failure(provider: &str, reason: RefreshReason) -> RefreshFailure {
    RefreshFailure { provider: provider.to_owned(), reason }
}

#[tokio::test]
async fn settings_without_tokens_come_back_as_they_are() {
    let (forges, app) = set_up("").await;
    let ada = ada(&forges, &app, &[]).await;
    let no_conversation = Arc::new(ConversationSettings::default());
    for settings in [no_conversation, with(BTreeMap::new())] {
        let same = refresh(&app, &settings, &ada).await.unwrap();
        assert!(Arc::ptr_eq(&same, &settings));
        // Nothing is asked about the user either.
        let same = refresh(&app, &settings, &user_id("nobody")).await.unwrap();
        assert!(Arc::ptr_eq(&same, &settings));
    }
}

#[tokio::test]
async fn a_token_that_is_good_for_a_while_is_not_asked_about() {
    let (forges, app) = set_up("").await;
    let ada = ada(&forges, &app, &NAMES).await;
    let before = held(&app, &ada, &NAMES).await;
    app.clock.advance(LIFETIME - 301);
    for _ in 0..100 {
        let same = refresh(&app, &before, &ada).await.unwrap();
        assert!(Arc::ptr_eq(&same, &before));
    }
    assert_eq!(forges.total().calls, 0);
    let written = app.host.store().conversation_tokens(&ada, &conversation()).load().await.unwrap();
    assert!(written.is_empty(), "nothing was renewed");
}

on_both_databases! {
    async fn what_is_due_is_renewed_into_a_new_value_and_written_down(database: Database) {
        let (forges, app) = on(&database, "").await;
        let ada = ada(&forges, &app, &NAMES).await;
        let before = held(&app, &ada, &NAMES).await;
        let shown = format!("{before:?}");
        let tokens = NAMES.map(|name| token(&before, name).to_owned());
        app.clock.advance(LIFETIME - 10);
        let after = refresh(&app, &before, &ada).await.unwrap();

        // What came in is as it was, to the letter.
        assert_eq!(NAMES.map(|name| token(&before, name).to_owned()), tokens);
        assert_eq!(format!("{before:?}"), shown);
        assert_eq!(after.settings.exposed(), before.settings.exposed());
        let store = app.host.store();
        let written = store.conversation_tokens(&ada, &conversation()).load().await.unwrap();
        assert_eq!(written.len(), NAMES.len());
        for (name, old) in NAMES.into_iter().zip(&tokens) {
            let new = token(&after, name);
            assert_ne!(new, old);
            let written = written.iter().find(|token| token.provider == name).unwrap();
            assert_eq!(text(&written.token), new);
            assert_eq!(written.expires_at, Some(NOW + LIFETIME - 10 + LIFETIME));
            let stored = store.tokens(&ada).load(name).await.unwrap().unwrap();
            assert_eq!(text(&stored.pair.access.unwrap()), new);
            assert!(stored.pair.refresh.is_some());
            assert_eq!(forges.counts(name).calls, 1, "{name}");
        }
        let all = format!("{after:?}");
        assert!(!NAMES.iter().any(|name| all.contains(token(&after, name))), "{all}");
        assert!(!all.contains("canary"), "{all}");

        // Another conversation, and another user's of that name, have nothing.
        let other = ConversationId::new("c2").unwrap();
        assert!(store.conversation_tokens(&ada, &other).load().await.unwrap().is_empty());
        let bob = user(store, "bob").await.user;
        assert!(store.conversation_tokens(&bob, &conversation()).load().await.unwrap().is_empty());
        // Nothing of it can be read in the database.
        let rests = database.scalar("select token from conversation_tokens limit 1").await;
        assert!(rests.starts_with("gAAAA"), "{rests}");
        // A second call has nothing to do, and whoever still holds the old ones gets
        // the new ones.
        assert!(Arc::ptr_eq(&refresh(&app, &after, &ada).await.unwrap(), &after));
        let late = refresh(&app, &before, &ada).await.unwrap();
        assert_eq!(token(&late, "gitlab"), token(&after, "gitlab"));
        assert_eq!(forges.total().calls, 5);
    }

    async fn of_twenty_conversations_at_once_one_renews(database: Database) {
        let (forges, app) = on(&database, "").await;
        let ada = ada(&forges, &app, &NAMES).await;
        let before = held(&app, &ada, &NAMES).await;
        app.clock.advance(LIFETIME - 10);
        let all = (0..20).map(|index| {
            let (app, before, ada) = (app.clone(), Arc::clone(&before), ada.clone());
            async move {
                let conversation = ConversationId::new(format!("c{index}")).unwrap();
                app.host.refresh_provider_tokens(&before, &conversation, Some(&ada)).await
            }
        });
        let answers: Vec<_> = at_once(all).await.into_iter().map(Result::unwrap).collect();
        for name in NAMES {
            let new = token(&answers[0], name);
            assert_ne!(new, token(&before, name));
            assert!(answers.iter().all(|answer| token(answer, name) == new), "{name}");
            assert_eq!(forges.counts(name).renewed, 1, "{name}");
        }
        assert_eq!(forges.total().reused, 0);
        let rows = "select cast(count(*) as text) from conversation_tokens";
        assert_eq!(database.scalar(rows).await, "100");
        assert_eq!(database.scalar("select cast(count(*) as text) from leases").await, "0");
    }
}

#[tokio::test]
async fn a_token_without_end_is_never_renewed() {
    let (forges, app) = set_up("").await;
    let ada = ada(&forges, &app, &[]).await;
    let pair = TokenPair {
        access: Some(Arc::new(canary("everlasting"))),
        refresh: Some(Arc::new(canary("refresh"))),
        ..TokenPair::default()
    };
    let store = app.host.store();
    let mut lease = store.tokens(&ada).lease("github", Duration::from_secs(1)).await.unwrap();
    lease.save(&pair).await.unwrap();
    lease.release().await.unwrap();
    let before = held(&app, &ada, &["github"]).await;
    app.clock.advance(1_000_000_000);
    assert!(Arc::ptr_eq(&refresh(&app, &before, &ada).await.unwrap(), &before));
    assert_eq!(forges.total().calls, 0);
}

#[tokio::test]
async fn one_provider_s_failure_is_that_provider_s_only() {
    let logs = Logs::collect();
    let (forges, app) = set_up(KEEP_OLD).await;
    let ada = ada(&forges, &app, &NAMES).await;
    let before = held(&app, &ada, &NAMES).await;
    app.clock.advance(LIFETIME);
    forges.take_access_away("github");
    forges.answer_once("gitlab", Answer::Json(503, json!({"error": "invalid_grant"})));
    forges.answer_once("forgejo", Answer::Text("text/html", "<!DOCTYPE html>"));
    let after = refresh(&app, &before, &ada).await.unwrap();
    for kept in ["github", "gitlab", "forgejo"] {
        assert_eq!(token(&after, kept), token(&before, kept));
    }
    for renewed in ["bitbucket", "azure_devops"] {
        assert_ne!(token(&after, renewed), token(&before, renewed));
    }
    // Both tokens are over at one of them: it is to be connected again, nothing is
    // deleted, and ada is still let in.
    let stored = app.host.store().tokens(&ada).load("github").await.unwrap().unwrap();
    assert!(matches!(stored.state, TokenState::Reconnect { .. }) && stored.pair.refresh.is_some());
    let stored = app.host.store().tokens(&ada).load("gitlab").await.unwrap().unwrap();
    assert_eq!(stored.state, TokenState::Active);
    let scope = user(app.host.store(), "ada").await;
    assert_eq!(by_key(&app, &scope).await.get("/api/v1/users/me").await.status, 200);
    let log = logs.text();
    assert!(log.contains("a conversation gets no fresh token: reconnect"), "{log}");
    assert!(log.contains("a conversation gets no fresh token: unavailable"), "{log}");
    // Who did not answer does so the next time; who refused is not asked again.
    let calls = forges.counts("github").calls;
    let later = refresh(&app, &after, &ada).await.unwrap();
    assert_ne!(token(&later, "gitlab"), token(&after, "gitlab"));
    assert_ne!(token(&later, "forgejo"), token(&after, "forgejo"));
    assert_eq!(token(&later, "github"), token(&before, "github"));
    assert_eq!(forges.counts("github").calls, calls);
}

#[tokio::test]
async fn a_conversation_does_not_begin_with_a_token_that_cannot_be_renewed() {
    let (forges, app) = set_up("").await;
    let ada = ada(&forges, &app, &["github", "gitlab", "bitbucket"]).await;
    let before = held(&app, &ada, &["github", "gitlab", "bitbucket"]).await;
    app.clock.advance(LIFETIME);
    forges.take_access_away("github");
    forges.answer_once("gitlab", Answer::Json(500, json!({})));
    let error = refresh(&app, &before, &ada).await.unwrap_err();
    let told = format!("{error} {error:?}");
    assert_eq!(
        error.to_string(),
        "no fresh provider token of github (reconnect), gitlab (unavailable)"
    );
    assert!(!told.contains("_access_") && !told.contains("_refresh_"), "{told}");
    let expected = [
        failure("github", RefreshReason::Reconnect),
        failure("gitlab", RefreshReason::Unavailable),
    ];
    assert!(matches!(&error, RefreshError::Tokens(failures) if *failures == expected));
    // What could be renewed is not lost over it.
    let store = app.host.store();
    let written = store.conversation_tokens(&ada, &conversation()).load().await.unwrap();
    assert!(matches!(&written[..], [token] if token.provider == "bitbucket"), "{written:?}");
}

#[tokio::test]
async fn an_old_token_serves_to_its_end_while_a_provider_is_down() {
    let (forges, app) = set_up("").await;
    let ada = ada(&forges, &app, &["gitlab"]).await;
    let before = held(&app, &ada, &["gitlab"]).await;
    app.clock.advance(LIFETIME - 10);
    for _ in 0..3 {
        forges.answer_once("gitlab", Answer::Json(503, json!({})));
        assert!(Arc::ptr_eq(&refresh(&app, &before, &ada).await.unwrap(), &before));
    }
    app.clock.advance(10);
    forges.answer_once("gitlab", Answer::HangUp);
    let expected = [failure("gitlab", RefreshReason::Unavailable)];
    assert_eq!(failures(refresh(&app, &before, &ada).await), expected);
}

#[tokio::test]
async fn a_token_that_nobody_has_stored_is_left_as_it_is() {
    for policy in ["", KEEP_OLD] {
        let (forges, app) = set_up(policy).await;
        let ada = ada(&forges, &app, &["github"]).await;
        let own = HeldToken { token: Some(Arc::new(canary("own"))), ..HeldToken::default() };
        let settings = with(BTreeMap::from([
            ("gitlab".to_owned(), own),
            ("forgejo".to_owned(), HeldToken::default()),
            ("enterprise_sso".to_owned(), HeldToken::default()),
        ]));
        assert!(Arc::ptr_eq(&refresh(&app, &settings, &ada).await.unwrap(), &settings));
        // Who has none yet is given the one that is stored.
        let settings = one("github", HeldToken::default());
        let given = refresh(&app, &settings, &ada).await.unwrap();
        let tokens = given.provider_tokens.as_ref().unwrap();
        assert!(token(&given, "github").starts_with("github_access_"));
        assert_eq!(tokens["github"].account_id.as_deref(), Some("github-ada"));
        assert!(settings.provider_tokens.as_ref().unwrap()["github"].token.is_none());
    }
}

#[tokio::test]
async fn account_and_host_stay_and_a_token_of_others_is_none() {
    let (forges, app) = set_up("").await;
    let ada = ada(&forges, &app, &["github"]).await;
    let of = |account: Option<&str>, host: Option<&str>| {
        let token = Some(Arc::new(canary("held")));
        let (account_id, host) = (account.map(str::to_owned), host.map(str::to_owned));
        one("github", HeldToken { token, account_id, host })
    };
    for (account, host) in [
        (Some("github-ada"), None),
        (None, Some("github.com")),
        (None, Some("GitHub.com")),
        (Some("github-ada"), Some("github.com")),
        (None, None),
    ] {
        let before = of(account, host);
        let after = refresh(&app, &before, &ada).await.unwrap();
        let held = &after.provider_tokens.as_ref().unwrap()["github"];
        assert!(token(&after, "github").starts_with("github_access_"));
        assert_eq!(held.account_id.as_deref(), Some("github-ada"));
        assert_eq!(held.host.as_deref(), host);
    }
    for (account, host) in [(Some("github-bob"), None), (None, Some("ghe.example"))] {
        let expected = [failure("github", RefreshReason::OtherAccount)];
        assert_eq!(failures(refresh(&app, &of(account, host), &ada).await), expected);
    }
}

#[tokio::test]
async fn without_a_user_the_local_owner_s_tokens_are_renewed() {
    let (forges, app) = set_up("").await;
    let owner = UserId::local_owner();
    forges.connect(app.host.store(), &owner, "github", NOW).await;
    let ada = ada(&forges, &app, &["github"]).await;
    let before = held(&app, &owner, &["github"]).await;
    app.clock.advance(LIFETIME);
    let after = app.host.refresh_provider_tokens(&before, &conversation(), None).await.unwrap();
    assert_ne!(token(&after, "github"), token(&before, "github"));
    assert_eq!(forges.counts("github").renewed, 1, "and nobody else's");
    let store = app.host.store();
    let written = store.conversation_tokens(&owner, &conversation()).load().await.unwrap();
    assert_eq!(written.len(), 1);
    assert!(store.conversation_tokens(&ada, &conversation()).load().await.unwrap().is_empty());
    assert_eq!(owner.as_str(), LOCAL_OWNER);
}

#[tokio::test]
async fn a_token_that_a_user_brought_is_handed_on() {
    let app = TestApp::start("none", "").await;
    let stored = json!({"provider_tokens": {"forgejo": {
        "token": "plaintext-canary own", "host": "git.example.com"}}});
    let reply = app.anonymous().send_json("POST", "/api/v1/secrets/git-providers", stored).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let before = one("forgejo", HeldToken::default());
    let after = app.host.refresh_provider_tokens(&before, &conversation(), None).await.unwrap();
    let held = &after.provider_tokens.as_ref().unwrap()["forgejo"];
    assert_eq!(token(&after, "forgejo"), "plaintext-canary own");
    assert_eq!(held.host.as_deref(), Some("git.example.com"));
}

#[tokio::test]
async fn nobody_is_spoken_for_who_is_not_let_in() {
    let (forges, app) = set_up(KEEP_OLD).await;
    let ada = ada(&forges, &app, &["github"]).await;
    let before = held(&app, &ada, &["github"]).await;
    let unknown = refresh(&app, &before, &user_id("nobody")).await;
    assert!(matches!(unknown, Err(RefreshError::User(_))), "{unknown:?}");
    app.host.store().set_user_disabled(&ada, true).await.unwrap();
    app.clock.advance(LIFETIME);
    let disabled = refresh(&app, &before, &ada).await;
    assert!(matches!(disabled, Err(RefreshError::User(_))), "{disabled:?}");
    let settings = one("sourceforge", HeldToken::default());
    let unknown = refresh(&app, &settings, &ada).await;
    assert!(matches!(unknown, Err(RefreshError::UnknownProvider(_))), "{unknown:?}");
    assert_eq!(forges.total().calls, 0);
    assert!(ConversationId::new("../c1").is_err());
}

#[tokio::test]
async fn each_provider_says_no_in_its_own_words() {
    let (forges, app) = set_up("").await;
    let ada = ada(&forges, &app, &NAMES).await;
    let before = held(&app, &ada, &NAMES).await;
    app.clock.advance(LIFETIME);
    for name in NAMES {
        forges.take_access_away(name);
    }
    for _ in 0..3 {
        let mut expected = NAMES.map(|name| failure(name, RefreshReason::Reconnect));
        expected.sort_by(|one, other| one.provider.cmp(&other.provider));
        assert_eq!(failures(refresh(&app, &before, &ada).await), expected);
    }
    assert_eq!(forges.total().calls, 5, "a token that is over is not asked about");
}

#[tokio::test]
async fn a_client_that_is_refused_ends_nobody_s_token_and_is_told_loudly() {
    let logs = Logs::collect();
    let (forges, app) = set_up("").await;
    let ada = ada(&forges, &app, &["gitlab"]).await;
    let before = held(&app, &ada, &["gitlab"]).await;
    app.clock.advance(LIFETIME);
    forges.answer_once("gitlab", Answer::Json(401, json!({"error": "invalid_client"})));
    let expected = [failure("gitlab", RefreshReason::Unavailable)];
    assert_eq!(failures(refresh(&app, &before, &ada).await), expected);
    assert!(logs.text().contains("a provider refuses the client"), "{}", logs.text());
    assert!(refresh(&app, &before, &ada).await.is_ok());
}

#[tokio::test]
async fn who_goes_away_takes_no_renewal_with_them() {
    let (forges, app) = set_up("").await;
    let ada = ada(&forges, &app, &["github"]).await;
    let before = held(&app, &ada, &["github"]).await;
    app.clock.advance(LIFETIME);
    // Somebody asks, waits for the lease, and does not wait long.
    let store = app.host.store();
    let lease = store.tokens(&ada).lease("github", Duration::from_secs(1)).await.unwrap();
    let call = refresh(&app, &before, &ada);
    assert!(tokio::time::timeout(Duration::from_millis(100), call).await.is_err());
    lease.release().await.unwrap();
    // The renewal happens without them.
    let patience = std::time::Instant::now() + Duration::from_secs(20);
    while forges.counts("github").renewed == 0 {
        assert!(std::time::Instant::now() < patience, "nobody renews it");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let after = refresh(&app, &before, &ada).await.unwrap();
    assert_ne!(token(&after, "github"), token(&before, "github"));
    assert_eq!(forges.counts("github").calls, 1);
    let stored = store.tokens(&ada).load("github").await.unwrap().unwrap();
    assert_eq!(stored.state, TokenState::Active);
}

#[tokio::test]
async fn the_margin_is_the_operator_s_to_choose() {
    let forges = Forges::start(LIFETIME).await;
    let chosen = forges.toml().replacen(
        "[auth.settings]",
        "[auth.settings]\nrenew_percent = 50\nrenew_seconds = 3600",
        1,
    );
    let app = TestApp::start("connected", &chosen).await;
    let ada = ada(&forges, &app, &["github"]).await;
    let before = held(&app, &ada, &["github"]).await;
    // Up to a quarter of the margin is left to chance.
    app.clock.advance(HOUR - 1);
    assert!(Arc::ptr_eq(&refresh(&app, &before, &ada).await.unwrap(), &before));
    app.clock.advance(HOUR / 4 + 1);
    assert_ne!(
        token(&refresh(&app, &before, &ada).await.unwrap(), "github"),
        token(&before, "github")
    );
    let silly = chosen.replacen("renew_percent = 50", "renew_percent = 80", 1);
    let Err(error) = TestApp::try_start("connected", &silly, &[]).await else {
        panic!("it started")
    };
    assert!(error.to_string().contains("renew_percent"), "{error}");
}

#[tokio::test]
async fn a_token_of_two_hours_is_read_a_thousand_times_and_renewed_once() {
    let (forges, app) = set_up("").await;
    let ada = ada(&forges, &app, &["gitlab"]).await;
    let tokens = app.host.user_context_for(&ada).await.unwrap().token_provider();
    app.clock.advance(HOUR / 2);
    for _ in 0..1000 {
        tokens.get("gitlab", Renewal::WhenDue).await.unwrap();
    }
    assert_eq!(forges.counts("gitlab").calls, 0);
    app.clock.advance(LIFETIME - HOUR / 2 - 60);
    for _ in 0..100 {
        tokens.get("gitlab", Renewal::WhenDue).await.unwrap();
    }
    assert_eq!(forges.counts("gitlab").calls, 1);
}

#[tokio::test]
async fn a_token_of_another_place_is_never_sent_here() {
    let (forges, app) = set_up("").await;
    let ada = ada(&forges, &app, &["github"]).await;
    let store = app.host.store();
    let mut lease = store.tokens(&ada).lease("github", Duration::from_secs(1)).await.unwrap();
    let before = lease.current().await.unwrap().unwrap().pair;
    lease.save(&TokenPair { host: Some("ghe.example".to_owned()), ..before }).await.unwrap();
    lease.release().await.unwrap();
    app.clock.advance(LIFETIME);
    let tokens = app.host.user_context_for(&ada).await.unwrap().token_provider();
    for renewal in [Renewal::WhenDue, Renewal::Now] {
        let answer = tokens.get("github", renewal).await;
        assert!(matches!(answer, Err(TokenError::Missing(_))), "{answer:?}");
    }
    assert_eq!(forges.total().calls, 0);
}

#[tokio::test]
async fn a_token_that_is_refused_though_it_is_new_is_over() {
    let (forges, app) = set_up("").await;
    let ada = ada(&forges, &app, &["gitlab"]).await;
    let tokens = app.host.user_context_for(&ada).await.unwrap().token_provider();
    let first = tokens.get("gitlab", Renewal::WhenDue).await.unwrap();
    app.clock.advance(60);
    let second = tokens.refused("gitlab", &first.token).await.unwrap();
    assert_ne!(text(&second.token), text(&first.token));
    // Who is late with the first one gets the second.
    let late = tokens.refused("gitlab", &first.token).await.unwrap();
    assert_eq!(text(&late.token), text(&second.token));
    for _ in 0..2 {
        let over = tokens.refused("gitlab", &second.token).await;
        assert!(matches!(over, Err(TokenError::Refused(TokenRefusal::Reconnect(_)))), "{over:?}");
    }
    assert_eq!(forges.counts("gitlab").calls, 1);
    let known = tokens.get("gitlab", Renewal::WhenDue).await;
    assert!(matches!(known, Err(TokenError::Refused(TokenRefusal::Reconnect(_)))), "{known:?}");
}

#[tokio::test]
async fn disconnecting_forgets_what_conversations_were_handed() {
    let (forges, app) = set_up("").await;
    let ada = ada(&forges, &app, &["github"]).await;
    let before = held(&app, &ada, &["github"]).await;
    app.clock.advance(LIFETIME);
    refresh(&app, &before, &ada).await.unwrap();
    let scope = user(app.host.store(), "ada").await;
    let caller = by_key(&app, &scope).await;
    let reply = caller.send("DELETE", "/api/v1/secrets/git-providers").await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let store = app.host.store();
    assert!(store.conversation_tokens(&ada, &conversation()).load().await.unwrap().is_empty());
}
