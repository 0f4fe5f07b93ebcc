//! A component that misbehaves while it decides: the caller gets a 503, the log
//! gets the reason, and the next caller is answered as if nothing had happened.
//!
//! Every case runs twice: called directly, and on a fiber as components are
//! that import something which may wait.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use rustix::time::{ClockId, clock_gettime};
use vestibule::{
    engine::CallError,
    identity::{Request, RequestId},
};
use vestibule_tests::{TestApp, component, logs::Logs};

const MIB: usize = 1 << 20;

/// Limits that are quick to reach.
const TIGHT: &str = "[auth.limits]\nmemory = '4MiB'\ncpu = '20ms'\n";

/// The grants that the waiting variant needs.
const GRANT: &str = "[auth.grants]\nhttp = ['https://a.example']\njose = ['https://b.example']\n\
                     token_store = ['github']\n";

async fn direct() -> TestApp {
    TestApp::start("hostile", TIGHT).await
}

async fn on_a_fiber() -> TestApp {
    TestApp::start("hostile-waiting", &format!("{TIGHT}{GRANT}")).await
}

/// How the engine tells what happened.
async fn call(app: &TestApp, how: &str) -> Option<CallError> {
    let request = Request {
        method: "GET",
        scheme: vestibule::identity::Scheme::Http,
        host: "localhost",
        path: "/",
        query: None,
        client_address: None,
        credential: vestibule::identity::Credential::Absent,
        headers: vec![Some(how)],
        id: RequestId::new(1),
    };
    app.host.registry().current().authenticate(request).await.err()
}

/// What the front door makes of it, and whether the next caller is served.
async fn door_stays_shut(app: &TestApp, how: &str) {
    let logs = Logs::collect();
    let reply = app.anonymous().with("x-behave", how).get("/auth/session").await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{how}: {}", reply.body);
    assert_eq!(reply.header("retry-after"), "1", "{how}");
    assert_eq!(
        reply.json()["detail"],
        "the caller cannot be identified now, try again",
        "{how}: the reason is for the log alone",
    );
    assert!(logs.text().contains("request failed"), "{how}: {}", logs.text());
    next_caller_is_served(app).await;
}

async fn next_caller_is_served(app: &TestApp) {
    let next = app.anonymous().with("x-behave", "ok").get("/auth/session").await;
    assert_eq!(next.status, StatusCode::OK, "{}", next.body);
    assert_eq!(next.json()["user_id"], "visitor");
}

async fn breaks(how: &str, expected: impl Fn(&CallError) -> bool) {
    for app in [direct().await, on_a_fiber().await] {
        match call(&app, how).await {
            Some(error) if expected(&error) => {}
            other => panic!("{how}: {other:?}"),
        }
        door_stays_shut(&app, how).await;
    }
}

#[tokio::test]
async fn an_endless_loop_ends_with_its_cpu_budget() {
    let budget = Duration::from_millis(20);
    breaks("spin", |error| *error == CallError::CpuBudget(budget)).await;
}

/// The time that this thread has had a processor.
fn processor_time() -> Duration {
    let had = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(had).expect("it is not negative")
}

#[tokio::test]
async fn a_hundred_runaways_end_at_the_same_budget() {
    let (budget, tick) = (Duration::from_millis(20), Duration::from_millis(2));
    let app = on_a_fiber().await;
    let mut used = Vec::new();
    for _ in 0..100 {
        let before = processor_time();
        assert_eq!(call(&app, "spin").await, Some(CallError::CpuBudget(budget)));
        used.push(processor_time().saturating_sub(before));
    }
    used.sort();
    println!("{:?} to {:?}, {:?} in the middle", used[0], used[99], used[50]);
    assert!(used[0] >= budget, "{used:?}");
    // Two ticks, and as much for those that are late where a machine is busy.
    assert!(used[50] <= budget + 4 * tick, "{used:?}");
    next_caller_is_served(&app).await;
}

#[tokio::test]
async fn an_endless_loop_of_host_calls_ends_with_its_cpu_budget() {
    let budget = Duration::from_millis(20);
    breaks("random-flood", |error| *error == CallError::CpuBudget(budget)).await;
}

#[tokio::test]
async fn an_endless_recursion_is_a_trap() {
    breaks("recurse", |error| matches!(error, CallError::Trap(_))).await;
}

#[tokio::test]
async fn a_panic_is_a_trap() {
    breaks("trap", |error| matches!(error, CallError::Trap(_))).await;
}

#[tokio::test]
async fn an_unreachable_instruction_is_a_trap() {
    breaks("unreachable", |error| matches!(error, CallError::Trap(_))).await;
}

#[tokio::test]
async fn a_memory_bomb_is_told_from_other_traps() {
    breaks("bomb", |error| *error == CallError::Memory(4 * MIB)).await;
}

#[tokio::test]
async fn a_huge_list_is_no_answer() {
    let limits = "[auth.limits]\nmemory = '64MiB'\ncpu = '5s'\n";
    let app = TestApp::start("hostile", limits).await;
    assert!(matches!(call(&app, "huge-list").await, Some(CallError::MalformedOutput(_))));
    door_stays_shut(&app, "huge-list").await;
}

#[tokio::test]
async fn a_huge_text_is_no_answer() {
    let limits = "[auth.limits]\nmemory = '64MiB'\ncpu = '5s'\n";
    let app = TestApp::start("hostile", limits).await;
    assert!(matches!(call(&app, "huge-string").await, Some(CallError::MalformedOutput(_))));
    door_stays_shut(&app, "huge-string").await;
}

#[tokio::test]
async fn more_claims_than_the_contract_allows_are_no_answer() {
    let limits = "[auth.limits]\nmemory = '64MiB'\ncpu = '5s'\n";
    let app = TestApp::start("hostile", limits).await;
    assert!(matches!(call(&app, "bad-claims").await, Some(CallError::MalformedOutput(_))));
    door_stays_shut(&app, "bad-claims").await;
}

#[tokio::test]
async fn an_identity_without_a_user_is_no_answer_of_a_strategy_with_log_in() {
    breaks("no-user", |error| matches!(error, CallError::MalformedOutput(_))).await;
}

#[tokio::test]
async fn a_session_cannot_be_made_up_where_none_was_presented() {
    breaks("session-without-credential", |error| matches!(error, CallError::MalformedOutput(_)))
        .await;
}

#[tokio::test]
async fn a_call_that_takes_too_long_ends_with_its_wall_budget() {
    let limits = format!("[auth.limits]\ncpu = '60s'\nwall = '50ms'\n{GRANT}");
    let app = TestApp::start("hostile-waiting", &limits).await;
    let error = call(&app, "spin").await;
    assert_eq!(error, Some(CallError::WallBudget(Duration::from_millis(50))));
    door_stays_shut(&app, "spin").await;
}

#[tokio::test]
async fn a_runaway_on_a_fiber_gives_way_to_others() {
    let limits = format!("[auth.limits]\ncpu = '2s'\nwall = '5m'\n{GRANT}");
    let app = TestApp::start("hostile-waiting", &limits).await;
    // One thread: if the runaway kept it, nobody else would be served before its end.
    let ended = AtomicBool::new(false);
    let runaway = async {
        let error = call(&app, "spin").await;
        ended.store(true, Ordering::Relaxed);
        error
    };
    let others = async {
        for _ in 0..5 {
            next_caller_is_served(&app).await;
        }
        ended.load(Ordering::Relaxed)
    };
    let (error, was_over) = tokio::join!(runaway, others);
    assert!(matches!(error, Some(CallError::CpuBudget(_))), "{error:?}");
    assert!(!was_over, "the others had to wait for the runaway's end");
}

#[tokio::test]
async fn a_call_too_many_is_refused_and_not_queued() {
    let app = TestApp::start("hostile", "[auth.limits]\ncpu = '1s'\nconcurrency = 1\n").await;
    let busy = app.clone();
    let enough = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&enough);
    // Runs away again and again, until it was seen to be in the way.
    let runaway = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            while !seen.load(Ordering::Relaxed) {
                let error = call(&busy, "spin").await;
                assert!(matches!(error, Some(CallError::CpuBudget(_) | CallError::Saturated(_))));
            }
        });
    });
    let refused = loop {
        match call(&app, "ok").await {
            Some(error) => break error,
            None => std::thread::yield_now(),
        }
    };
    assert_eq!(refused, CallError::Saturated(1));
    let reply = app.anonymous().with("x-behave", "ok").get("/auth/session").await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reply.header("retry-after"), "1");
    enough.store(true, Ordering::Relaxed);
    runaway.join().unwrap();
    next_caller_is_served(&app).await;
}

#[tokio::test]
async fn nothing_of_one_call_is_in_memory_for_the_next() {
    for app in [direct().await, on_a_fiber().await] {
        for _ in 0..5 {
            let reply = app.anonymous().with("x-behave", "remember").get("/auth/session").await;
            assert_eq!(reply.json()["claims"][0]["name"], "calls");
            assert_eq!(reply.json()["claims"][0]["value"], "1");
        }
    }
}

#[tokio::test]
async fn a_flood_of_log_lines_is_cut_and_counted() {
    let limits = "[auth.limits]\ncpu = '10s'\n";
    let app = TestApp::start("hostile", limits).await;
    let logs = Logs::collect();
    let reply = app.anonymous().with("x-behave", "log-flood").get("/auth/session").await;
    assert_eq!(reply.status, StatusCode::OK);
    let text = logs.text();
    let lines = text.lines().filter(|line| line.contains("vestibule::strategy")).count();
    assert!(lines <= 64, "{lines} lines");
    assert!(text.contains("lines were dropped"), "{text}");
}

#[tokio::test]
async fn a_log_line_cannot_forge_another_or_drive_a_terminal() {
    let app = direct().await;
    let logs = Logs::collect();
    let reply = app.anonymous().with("x-behave", "log-inject").get("/auth/session").await;
    assert_eq!(reply.status, StatusCode::OK);
    let text = logs.text();
    assert!(!text.contains('\u{1b}'), "{text:?}");
    let lines: Vec<&str> =
        text.lines().filter(|line| line.contains("vestibule::strategy")).collect();
    assert_eq!(lines.len(), 1, "{text}");
    assert!(lines[0].contains("strategy.name=\"hostile\""), "{text}");
    assert!(lines[0].contains("request.id="), "{text}");
}

#[tokio::test]
async fn a_panic_reaches_the_log_with_its_message() {
    let app = direct().await;
    let logs = Logs::collect();
    app.anonymous().with("x-behave", "trap").get("/auth/session").await;
    let text = logs.text();
    assert!(text.contains("vestibule::strategy") && text.contains("panic"), "{text}");
}

#[tokio::test]
async fn calls_in_flight_finish_on_the_generation_they_began_with() {
    let app = TestApp::start("hostile", "[auth.limits]\ncpu = '10s'\n").await;
    let busy = app.clone();
    let (started, wait) = std::sync::mpsc::channel();
    // One slow call after the other, so that the swap falls into one of them.
    let calls = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut before = 0;
            loop {
                let reply =
                    busy.anonymous().with("x-behave", "log-flood").get("/auth/session").await;
                assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
                let (who, strategy) = (&reply.json()["user_id"], &reply.json()["strategy"]);
                if strategy == "none" {
                    assert!(who.is_null(), "{}", reply.body);
                    return before;
                }
                assert_eq!((who, strategy), (&"visitor".into(), &"hostile".into()));
                before += 1;
                let _ = started.send(());
            }
        })
    });
    wait.recv().unwrap();
    app.host.replace(&component("none")).await.unwrap();
    assert_eq!(app.anonymous().get("/auth/session").await.json()["strategy"], "none");
    assert!(calls.join().unwrap() > 0);
}

#[tokio::test]
async fn a_component_that_has_run_away_gives_way_from_then_on() {
    let app = TestApp::start("hostile", "[auth.limits]\ncpu = '20ms'\nconcurrency = 4\n").await;
    // Called directly, one runaway after the other would keep this one thread,
    // and nobody would ever be refused.
    assert!(matches!(call(&app, "spin").await, Some(CallError::CpuBudget(_))));
    let mut runaways = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let app = app.clone();
        runaways.spawn(async move { call(&app, "spin").await });
    }
    let ends = runaways.join_all().await;
    let refused = ends.iter().filter(|end| **end == Some(CallError::Saturated(4))).count();
    let cut_off = ends.iter().filter(|end| matches!(end, Some(CallError::CpuBudget(_)))).count();
    assert_eq!((refused, cut_off), (8, 4), "{ends:?}");
    next_caller_is_served(&app).await;
}

#[tokio::test]
async fn a_flood_of_log_lines_stays_within_its_bytes() {
    let app = TestApp::start("hostile", "[auth.limits]\ncpu = '10s'\n").await;
    let logs = Logs::collect();
    let reply = app.anonymous().with("x-behave", "log-flood").get("/auth/session").await;
    assert_eq!(reply.status, StatusCode::OK);
    // Sixteen KiB of the strategy's own, and what the host writes around it.
    assert!(logs.text().len() < 64 * 1024, "{} bytes", logs.text().len());
    next_caller_is_served(&app).await;
}
