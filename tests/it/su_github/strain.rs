//! Many at once, and a GitHub that answers with too much or too slowly.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use vestibule::{engine::Hooks, store::TokenState};
use vestibule_tests::{
    TestApp,
    browser::{Browser, path_of},
    database::{Database, user_id},
    github::{Account, Answer, Endpoint, GitHub},
    run::{at_once, note_secret},
};

const OWNER: &str = "583231";

/// The usual limit of a user's sessions.
const SESSIONS: usize = 100;

async fn on(database: &Database, hooks: Hooks, more: &str) -> (GitHub, TestApp) {
    let github = GitHub::start(Account::new(583_231, "octocat")).await;
    let toml = format!(
        "server.public_url = 'http://localhost:3000'\nauth.limits.wall = '5s'\n{more}{}",
        github.toml(OWNER)
    );
    let app = TestApp::start_on(database, "su-github", &toml, &[], hooks).await;
    (github, app.expect("the app starts"))
}

/// Logs in, and says how that ended.
async fn log_in(github: &GitHub, browser: &mut Browser) -> u16 {
    let begun = browser.open("/auth/login/start").await;
    if begun.status != 303 {
        return begun.status.as_u16();
    }
    let back = path_of(&github.visit(begun.header("location")));
    browser.open(&back).await.status.as_u16()
}

async fn count(database: &Database, table: &str) -> usize {
    let count = format!("select cast(count(*) as text) from {table}");
    database.scalar(&count).await.parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hundred_requests_with_a_new_session_each_is_answered() {
    let database = Database::sqlite();
    let (github, app) = on(&database, Hooks::default(), "").await;
    let mut browser = Browser::new(&app);
    assert_eq!(log_in(&github, &mut browser).await, 200);
    note_secret(&browser.session().expect("a session").into());
    let asked = (0..200).map(|_| {
        let caller = browser.caller();
        async move { caller.get("/api/v1/users/me").await.status.as_u16() }
    });
    let answers = at_once(asked).await;
    // Whom there is no place for is told so, and nobody is taken for nobody.
    assert!(answers.iter().all(|status| matches!(status, 200 | 503)), "{answers:?}");
    assert!(answers.contains(&200));
    assert_eq!(count(&database, "sessions").await, 1);
    assert_eq!(browser.open("/api/v1/users/me").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_log_ins_at_once_leave_whole_sessions_and_one_token() {
    let database = Database::sqlite();
    let (github, app) = on(&database, Hooks::default(), "").await;
    let all = (0..200).map(|_| {
        let (github, mut browser) = (github.clone(), Browser::new(&app));
        async move {
            let status = log_in(&github, &mut browser).await;
            (status, browser)
        }
    });
    let mut arrived = Vec::new();
    for (status, browser) in at_once(all).await {
        assert!(matches!(status, 200 | 503), "{status}");
        assert_eq!(browser.session().is_some(), status == 200);
        arrived.extend(browser.session().is_some().then_some(browser));
    }
    assert!(!arrived.is_empty());
    assert_eq!(count(&database, "sessions").await, arrived.len().min(SESSIONS));
    let mut alive = 0;
    for mut browser in arrived {
        note_secret(&browser.session().expect("a session").into());
        let who = browser.open("/auth/session").await;
        alive += usize::from(who.status == 200 && who.json()["user_id"] == OWNER);
    }
    assert_eq!(alive, count(&database, "sessions").await);
    let stored = app.host.store().tokens(&user_id(OWNER)).load("github").await.unwrap();
    assert_eq!(stored.expect("a token").state, TokenState::Active);
    assert_eq!(count(&database, "tokens").await, 1);
}

#[tokio::test]
async fn what_github_sends_does_not_make_the_strategy_s_memory_grow() {
    let (largest, seen) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let hooks = {
        let (largest, seen) = (Arc::clone(&largest), Arc::clone(&seen));
        let look = move |memory: &[u8]| {
            largest.fetch_max(memory.len(), Ordering::Relaxed);
            seen.fetch_add(1, Ordering::Relaxed);
        };
        Hooks { memory: Some(Arc::new(look)), ..Hooks::default() }
    };
    let database = Database::sqlite();
    let (github, app) = on(&database, hooks, "auth.limits.cpu = '5s'\n").await;
    assert_eq!(log_in(&github, &mut Browser::new(&app)).await, 200);
    // A memory never shrinks, so that its size at the end of a call is its largest.
    let usual = largest.swap(0, Ordering::Relaxed);
    assert!(usual > 0);
    let calls = seen.load(Ordering::Relaxed);
    for endpoint in [Endpoint::Token, Endpoint::User] {
        for answer in [
            Answer::Large,
            Answer::Silence,
            Answer::HangUp,
            Answer::Text("text/html", "<!DOCTYPE html><title>Unicorn!</title>"),
        ] {
            github.answer_once(endpoint, answer.clone());
            let status = log_in(&github, &mut Browser::new(&app)).await;
            assert_eq!(status, 503, "{endpoint:?} {answer:?}");
            let now = largest.load(Ordering::Relaxed);
            assert!(now <= usual, "{endpoint:?} {answer:?}: {now} bytes where {usual} are usual");
        }
    }
    assert!(seen.load(Ordering::Relaxed) > calls);
}
