//! A browser's session: on every request, renewed, and over.

use std::{future::poll_fn, pin::Pin, sync::Arc, task::Poll, time::Duration};

use secrecy::SecretString;
use vestibule::{engine::Hooks, identity::UserId};
use vestibule_tests::{
    TestApp,
    browser::{Browser, back},
    database::Database,
    run::{at_once, note_secret},
};

use crate::login::{PUBLIC, app, sign_in};

/// When the sessions of the test strategy are renewed, in seconds.
const DUE: u64 = 301;

async fn name(browser: &Browser) -> String {
    let reply = browser.caller().get("/auth/session").await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()["display_name"].as_str().unwrap_or("nobody").to_owned()
}

/// A text in the other case.
fn swapped(text: &str) -> String {
    let swap =
        |c: char| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
    text.chars().map(swap).collect()
}

/// Lets a request go on until it has waited so often.
async fn begin(request: &mut Pin<Box<impl Future>>, waits: u32) {
    let mut polls = 0;
    poll_fn(|context| {
        polls += 1;
        let enough = request.as_mut().poll(context).is_ready() || polls > waits;
        if enough { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[tokio::test]
async fn a_cookie_that_is_no_live_session_s_is_refused_and_deleted() {
    let app = app().await;
    let live = sign_in(&app, "&user=ada").await;
    let mut over = sign_in(&app, "&user=ada").await;
    let ended = over.session().unwrap().to_owned();
    over.submit("/auth/logout").await;
    let text = live.session().unwrap();
    let flipped = format!("{}{}", &text[..42], if text.ends_with('A') { 'E' } else { 'A' });
    let (longer, quoted) = (format!("{text}A"), format!("\"{text}\""));
    let (encoded, case) = (format!("%{:X}{}", text.as_bytes()[0], &text[1..]), swapped(text));
    let spoiled = [&longer, &quoted, &encoded, &case, &flipped].map(String::as_str);
    for value in [&ended, "", "x", &text[..42], "%00", "null"].into_iter().chain(spoiled) {
        let mut browser = Browser::new(&app);
        browser.plant("__Host-vestibule-session", value);
        let reply = browser.open("/api/v1/users/me").await;
        assert_eq!(reply.status, 401, "{value:?}");
        assert!(browser.cookies().is_empty(), "{value:?} is deleted");
    }
    assert_eq!(live.caller().get("/api/v1/users/me").await.status, 200);
    let nobody = app.anonymous().get("/api/v1/users/me").await;
    assert_eq!((nobody.status.as_u16(), nobody.header("set-cookie")), (401, ""));
    // Without the prefix it is no cookie of ours here, and nobody's session.
    let live = sign_in(&app, "&user=ada").await;
    let mut browser = Browser::new(&app);
    browser.plant("vestibule-session", live.session().unwrap());
    assert_eq!(browser.open("/auth/session").await.json()["authenticated"], false);
}

#[tokio::test]
async fn a_session_has_a_new_id_at_every_log_in_and_the_old_one_ends() {
    let app = app().await;
    let mut browser = sign_in(&app, "&user=ada").await;
    let before = browser.clone();
    let trip = browser.begin("/auth/login/start").await;
    assert_eq!(browser.open(&back(&trip, "&user=ada")).await.status, 200);
    note_secret(&SecretString::from(browser.session().unwrap()));
    assert_ne!(browser.session(), before.session());
    assert_eq!(before.caller().get("/api/v1/users/me").await.status, 401);
    assert_eq!(browser.open("/api/v1/users/me").await.status, 200);
}

#[tokio::test]
async fn a_write_with_a_cookie_needs_the_origin_of_a_known_page() {
    let app = app().await;
    let browser = sign_in(&app, "&user=ada").await;
    let body = || serde_json::json!({"name": "TOKEN", "value": "v"});
    for origin in ["https://auth.example", "https://app.example"] {
        let caller = browser.caller().with("origin", origin);
        let reply = caller.send_json("POST", "/api/v1/secrets", body()).await;
        assert_eq!(reply.status, 201, "{origin}: {}", reply.body);
    }
    let foreign =
        ["https://evil.example", "null", "http://auth.example", "https://auth.example:8443"];
    for origin in foreign {
        let caller = browser.caller().with("origin", origin);
        let reply = caller.send_json("POST", "/api/v1/secrets", body()).await;
        assert_eq!(reply.status, 403, "{origin}");
        let reply = browser.caller().with("origin", origin).send("POST", "/auth/logout").await;
        assert_eq!(reply.status, 403, "{origin}");
    }
    // Without the cookie as well: the answer could delete it.
    for path in ["/auth/logout", "/api/logout"] {
        let reply = app.anonymous().with("origin", "https://evil.example").send("POST", path).await;
        assert_eq!(reply.status, 403, "{path}");
        assert_eq!(reply.header("set-cookie"), "", "{path}");
    }
    let silent = browser.caller().send_json("POST", "/api/v1/secrets", body()).await;
    assert_eq!(silent.status, 403, "{}", silent.body);
    assert_eq!(browser.caller().get("/api/v1/users/me").await.status, 200, "nobody was logged out");
}

#[tokio::test]
async fn a_header_decides_and_the_cookie_beside_it_is_ignored() {
    let app = app().await;
    let browser = sign_in(&app, "&user=ada").await;
    let caller = browser.caller().with("origin", "https://auth.example");
    let made = caller.send_json("POST", "/api/keys", serde_json::json!({"name": "k"})).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let key = SecretString::from(made.json()["key"].as_str().unwrap());
    note_secret(&key);
    let mut planted = Browser::new(&app);
    planted.plant("__Host-vestibule-session", "nonsense");
    assert_eq!(planted.caller().with_key(&key).get("/api/v1/users/me").await.status, 200);
    let bad = browser.caller().with("authorization", "Bearer nonsense");
    assert_eq!(bad.get("/api/v1/users/me").await.status, 401);
    // And the key outlives the log-in.
    browser.clone().submit("/auth/logout").await;
    assert_eq!(app.anonymous().with_key(&key).get("/api/v1/users/me").await.status, 200);
}

#[tokio::test]
async fn a_log_out_ends_the_session_whatever_the_provider_says() {
    let app = app().await;
    for user in ["ada", "unlucky"] {
        let mut browser = sign_in(&app, &format!("&user={user}")).await;
        let before = browser.clone();
        let page = browser.submit("/auth/logout").await;
        assert_eq!(page.status, 200, "{user}");
        assert!(page.body.contains("You are signed out"), "{}", page.body);
        assert!(browser.session().is_none());
        assert_eq!(before.caller().get("/api/v1/users/me").await.status, 401, "{user}");
    }
    let mut browser = sign_in(&app, "&user=visitor").await;
    let page = browser.submit("/auth/logout").await;
    let next = "https://idp.example/logout?back=https://auth.example/auth/login&amp;code=the-code";
    assert!(page.body.contains(next), "{}", page.body);

    let mut browser = sign_in(&app, "&user=ada").await;
    let reply = browser.submit("/api/logout").await;
    assert_eq!(
        (reply.status.as_u16(), reply.body.as_str()),
        (200, r#"{"message":"User logged out"}"#)
    );
    assert!(browser.session().is_none());
    // Nobody to log out is as good.
    assert_eq!(browser.submit("/api/logout").await.status, 200);
    assert_eq!(browser.submit("/auth/logout").await.status, 200);
}

#[tokio::test]
async fn clients_of_the_older_api_ask_whether_they_are_logged_in() {
    let app = app().await;
    let mut browser = sign_in(&app, "&user=ada").await;
    let reply = browser.submit("/api/authenticate").await;
    assert_eq!(
        (reply.status.as_u16(), reply.body.as_str()),
        (200, r#"{"message":"User authenticated"}"#)
    );
    browser.plant("__Host-vestibule-session", "over");
    let reply = browser.submit("/api/authenticate").await;
    let not = r#"{"error":"User is not authenticated"}"#;
    assert_eq!((reply.status.as_u16(), reply.body.as_str()), (401, not));
    assert!(browser.session().is_none());
    let reply = app.anonymous().send("POST", "/api/authenticate").await;
    assert_eq!((reply.status.as_u16(), reply.body.as_str()), (401, not));
    let down = sign_in(&app, "&user=ada&renewal=down").await;
    app.clock.advance(DUE);
    let reply = down.caller().send("POST", "/api/authenticate").await;
    assert_eq!(reply.status, 503);
}

#[tokio::test]
async fn a_disabled_user_s_session_is_over_at_once() {
    let app = app().await;
    let browser = sign_in(&app, "&user=ada").await;
    app.host.store().set_user_disabled(&UserId::new("ada").unwrap(), true).await.unwrap();
    for path in ["/api/v1/users/me", "/auth/session"] {
        assert_eq!(browser.caller().get(path).await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn a_strategy_cannot_give_a_session_to_another_user() {
    let app = app().await;
    let browser = sign_in(&app, "&user=ada&renewal=impersonate").await;
    assert_eq!(browser.caller().get("/api/v1/users/me").await.status, 503);
}

#[tokio::test]
async fn a_session_is_renewed_when_it_is_due_and_goes_on() {
    for renewal in ["replace", "save"] {
        let app = app().await;
        let browser = sign_in(&app, &format!("&user=ada&renewal={renewal}")).await;
        assert_eq!(name(&browser).await, "ada renewed 0 times");
        app.clock.advance(DUE);
        assert_eq!(name(&browser).await, "ada renewed 1 times", "{renewal}");
        assert_eq!(name(&browser).await, "ada renewed 1 times", "{renewal}");
        app.clock.advance(DUE);
        assert_eq!(name(&browser).await, "ada renewed 2 times", "{renewal}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_requests_on_a_session_that_is_due_renew_it_once() {
    let app = app().await;
    let browser = Arc::new(sign_in(&app, "&user=ada&renewal=save").await);
    app.clock.advance(DUE);
    let mut asked = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let browser = Arc::clone(&browser);
        asked.spawn(async move { name(&browser).await });
    }
    while let Some(answer) = asked.join_next().await {
        assert_eq!(answer.unwrap(), "ada renewed 1 times");
    }
}

#[tokio::test]
async fn a_provider_that_is_down_costs_nobody_the_session() {
    let app = app().await;
    let mut browser = sign_in(&app, "&user=ada&renewal=down").await;
    app.clock.advance(DUE);
    for _ in 0..3 {
        let reply = browser.open("/api/v1/users/me").await;
        assert_eq!(reply.status, 503);
        assert!(browser.session().is_some(), "the cookie is kept");
    }
}

#[tokio::test]
async fn a_renewal_that_is_refused_or_cut_short_ends_the_session() {
    for (renewal, first) in [("refused", 401), ("trap", 503), ("clear", 200)] {
        let app = app().await;
        let mut browser = sign_in(&app, &format!("&user=ada&renewal={renewal}")).await;
        app.clock.advance(DUE);
        let reply = browser.open("/api/v1/users/me").await;
        assert_eq!(reply.status, first, "{renewal}: {}", reply.body);
        let reply = browser.open("/api/v1/users/me").await;
        assert_eq!(reply.status, 401, "{renewal}");
        assert!(browser.session().is_none(), "{renewal}: the cookie is deleted");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_for_a_renewal_that_breaks_is_told_so_and_the_next_one_works() {
    let app = app().await;
    for renewal in ["trap", "refused"] {
        let browser = sign_in(&app, &format!("&user=ada&renewal={renewal}")).await;
        let other = sign_in(&app, "&user=bob&renewal=save").await;
        app.clock.advance(DUE);
        let asked = (0..50).map(|_| {
            let caller = browser.caller();
            async move { caller.get("/auth/session").await.status.as_u16() }
        });
        let answers = tokio::time::timeout(Duration::from_mins(1), at_once(asked)).await;
        let answers = answers.expect("nobody is left waiting");
        // Whoever comes when the session is over already is told that.
        assert!(answers.iter().all(|status| matches!(status, 503 | 401)), "{answers:?}");
        let broken = answers.iter().filter(|status| **status == 503).count();
        assert_eq!(broken, usize::from(renewal == "trap"), "{answers:?}");
        assert_eq!(name(&other).await, "bob renewed 1 times");
        let again = sign_in(&app, "&user=ada&renewal=save").await;
        app.clock.advance(DUE);
        assert_eq!(name(&again).await, "ada renewed 1 times");
    }
}

#[tokio::test]
async fn what_was_saved_stays_whatever_becomes_of_the_call() {
    let app = app().await;
    let mut browser = sign_in(&app, "&user=ada&renewal=save-then-trap").await;
    app.clock.advance(DUE);
    assert_eq!(browser.open("/auth/session").await.status, 503);
    assert_eq!(name(&browser).await, "ada renewed 1 times");
}

#[tokio::test]
async fn a_database_that_fails_while_a_renewed_session_is_stored_costs_nobody_the_session() {
    for (renewal, answered) in [("replace", 200), ("save", 503), ("save-then-trap", 503)] {
        let database = Database::sqlite();
        let app =
            TestApp::start_on(&database, "visited", PUBLIC, &[], Hooks::default()).await.unwrap();
        let browser = sign_in(&app, &format!("&user=ada&renewal={renewal}")).await;
        app.clock.advance(DUE);
        let full = "create trigger full before update of sealed on sessions
                    begin select raise(abort, 'the disk is full'); end";
        database.execute(full).await;
        let caller = browser.caller();
        let roomy = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            database.execute("drop trigger full").await;
        };
        let (reply, ()) = tokio::join!(caller.get("/auth/session"), roomy);
        assert_eq!(reply.status, answered, "{renewal}: {}", reply.body);
        assert_eq!(name(&browser).await, "ada renewed 1 times", "{renewal}");
    }
}

#[tokio::test]
async fn a_request_that_goes_away_does_not_take_its_renewal_with_it() {
    let app: TestApp = app().await;
    let browser = sign_in(&app, "&user=ada&renewal=save").await;
    app.clock.advance(DUE);
    let caller = browser.caller();
    let mut asking = Box::pin(caller.get("/auth/session"));
    // Far enough that the renewal has begun, and no further.
    begin(&mut asking, 6).await;
    drop(asking);
    assert_eq!(name(&browser).await, "ada renewed 1 times");
}

#[tokio::test]
async fn what_was_decided_on_an_older_session_does_not_undo_a_renewal() {
    let app = TestApp::start("visited", &format!("auth.limits.cpu = '9s'\n{PUBLIC}")).await;
    let browser = sign_in(&app, "&user=ada&renewal=touch").await;
    let caller = browser.caller();
    let mut early = Box::pin(caller.get("/auth/session"));
    // While the strategy thinks about it; later on, the database would be waited for.
    begin(&mut early, 1).await;
    app.clock.advance(DUE);
    assert_eq!(name(&browser).await, "ada renewed 1 times");
    early.await;
    assert_eq!(name(&browser).await, "ada renewed 1 times");
}

#[tokio::test]
async fn a_session_that_cannot_be_read_is_over_and_keeps_nobody_from_a_new_one() {
    let database = Database::sqlite();
    let app = TestApp::start_on(&database, "visited", PUBLIC, &[], Hooks::default()).await.unwrap();
    let browser = sign_in(&app, "&user=ada").await;
    database.execute("update sessions set sealed = 'damaged'").await;
    let page = browser.clone().open("/auth/login").await;
    assert!(page.body.contains("asks who you are"), "{}", page.body);
    let mut asking = browser.clone();
    assert_eq!(asking.open("/api/v1/users/me").await.status, 401);
    assert!(asking.session().is_none(), "the cookie is deleted");
    let mut leaving = browser.clone();
    let page = leaving.submit("/auth/logout").await;
    assert!(page.body.contains("You are signed out"), "{}", page.body);
    assert!(leaving.session().is_none());
    assert_eq!(database.execute("delete from sessions").await, 0, "it is gone");
}
