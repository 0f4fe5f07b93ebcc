//! A strategy that breaks for many goes out of service, and one that breaks for one
//! stays.

use std::time::Duration;

use http::StatusCode;
use vestibule_tests::{
    Reply, TestApp, craft,
    logs::Logs,
    plugins::{Plugins, bytes_of, ready},
};

async fn ask(app: &TestApp, address: &str, how: &str) -> Reply {
    app.anonymous().at(address).with("x-behave", how).get("/auth/session").await
}

/// Has it break for so many sources.
async fn break_for(app: &TestApp, sources: usize) {
    for number in 0..sources {
        let reply = ask(app, &format!("192.0.2.{number}"), "trap").await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{}", reply.body);
    }
}

#[tokio::test]
async fn one_attacker_cannot_have_a_strategy_taken_out_of_service() {
    let plugins = Plugins::with("hostile");
    let app = plugins.start("").await;
    for number in 0..200 {
        // A whole network of addresses, and all of it one source.
        let address = format!("2001:db8::{number:x}");
        ask(&app, &address, if number % 2 == 0 { "trap" } else { "bad-claims" }).await;
    }
    assert_eq!(ask(&app, "192.0.2.1", "ok").await.status, StatusCode::OK);
    assert!(app.host.strategies().quarantined.is_none());
}

#[tokio::test]
async fn a_strategy_that_breaks_for_many_stays_closed_where_there_is_nothing_to_fall_back_on() {
    let plugins = Plugins::with("hostile");
    let app = plugins.start("").await;
    let logs = Logs::collect();
    break_for(&app, 8).await;
    let reply = ask(&app, "198.51.100.1", "ok").await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{}", reply.body);
    assert!(logs.text().contains("the strategy breaks for many"), "{}", logs.text());
    let told = ready(&app).await;
    // Whoever looks at either learns what ends it.
    let mend = told["quarantined"]["mend"].as_str().expect("a way out");
    assert!(mend.contains("`vestibule plugin approve`") && mend.contains("SIGHUP"), "{mend}");
    assert!(logs.text().contains(mend), "{}", logs.text());
    assert_eq!(told["generation"]["quarantined"], true, "{told}");
    assert!(told["quarantined"]["in_its_place"].is_null(), "{told}");

    // Time alone does not end it, nor another look at the same file.
    app.clock.advance(24 * 3_600);
    app.host.look().await.unwrap();
    assert_eq!(ask(&app, "198.51.100.1", "ok").await.status, StatusCode::SERVICE_UNAVAILABLE);
    // The configuration read again does, and so does another component.
    app.host.reload(super::config(&plugins, "")).await.unwrap();
    assert_eq!(ask(&app, "198.51.100.1", "ok").await.status, StatusCode::OK);
    assert!(ready(&app).await["quarantined"].is_null());
    break_for(&app, 8).await;
    assert_eq!(ask(&app, "198.51.100.1", "ok").await.status, StatusCode::SERVICE_UNAVAILABLE);
    plugins.put(&craft::with_version(&bytes_of("hostile"), "hostile", "0.2.0"));
    app.host.look().await.unwrap();
    assert_eq!(ask(&app, "198.51.100.1", "ok").await.status, StatusCode::OK);
    assert!(ready(&app).await["quarantined"].is_null());
}

#[tokio::test]
async fn a_new_generation_that_breaks_for_many_gives_way_to_the_last_good_one() {
    let plugins = Plugins::with("hostile");
    let app = plugins.start("").await;
    let newer = craft::with_version(&bytes_of("hostile"), "hostile", "0.2.0");
    let digest = plugins.put(&newer);
    app.host.look().await.unwrap();
    break_for(&app, 8).await;
    assert_eq!(ask(&app, "198.51.100.1", "ok").await.status, StatusCode::OK);
    let told = ready(&app).await;
    assert_eq!(told["generation"]["version"], "0.1.0", "{told}");
    assert_eq!(told["quarantined"]["version"], "0.2.0", "{told}");
    assert_eq!(told["quarantined"]["in_its_place"], told["generation"]["digest"], "{told}");

    // The file is still there, and not taken again because of that.
    app.host.look().await.unwrap();
    app.host.look().await.unwrap();
    assert_eq!(ready(&app).await["generation"]["version"], "0.1.0");
    let audit = app.host.store().audit(20).await.unwrap();
    let mut entries = audit.iter().filter(|entry| entry.action == "plugin.quarantine");
    let entry = entries.next().expect("an entry");
    assert_eq!(entry.strategy_digest.as_deref(), Some(digest.as_str()));
    assert!(entries.next().is_none(), "it is written down once");
    app.host.approve(&digest, false).await.unwrap();
    let told = ready(&app).await;
    assert_eq!(told["generation"]["version"], "0.2.0", "{told}");
    assert!(told["quarantined"].is_null(), "{told}");
}

#[tokio::test]
async fn a_strategy_that_is_out_of_service_leaves_another_one_fully_working() {
    let (broken, well) = (Plugins::with("hostile"), Plugins::with("none"));
    let (broken, well) = (broken.start("").await, well.start("").await);
    break_for(&broken, 8).await;
    assert_eq!(ask(&broken, "198.51.100.1", "ok").await.status, StatusCode::SERVICE_UNAVAILABLE);
    let reply = well.anonymous().get("/auth/session").await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    assert_eq!(ready(&broken).await["generation"]["quarantined"], true);
    assert_eq!(ready(&well).await["generation"]["quarantined"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn where_places_are_scarce_one_caller_cannot_have_them_all() {
    let toml = "[auth]\nstrategy = 'hostile-waiting'\n\
                limits = { concurrency = 4, cpu = '60s', wall = '60s' }\n\
                grants = { http = ['https://a.example'], jose = ['https://b.example'], \
                token_store = ['github'] }\n";
    let plugins = Plugins::with("hostile-waiting");
    let text = plugins.toml(toml).replace("auth.strategy = 'hostile-waiting'\n", "");
    let hooks = vestibule::engine::Hooks::default();
    let app = TestApp::start_text(&plugins.database, &text, &[], hooks).await.unwrap();
    let greedy = "192.0.2.1";
    // They end when the clock moves.
    let linger = || {
        let app = app.clone();
        #[expect(clippy::disallowed_methods, reason = "they ask at once")]
        tokio::spawn(async move { ask(&app, greedy, "linger").await.status })
    };
    let mut first = vec![linger()];
    while ask(&app, "198.51.100.1", "ok").await.status == StatusCode::OK {
        first.push(linger());
    }
    assert_eq!(ask(&app, greedy, "ok").await.status, StatusCode::SERVICE_UNAVAILABLE);
    // Again and again, for those that have only just begun.
    let end = async |call: tokio::task::JoinHandle<StatusCode>| {
        while !call.is_finished() {
            app.clock.advance(2);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        call.await.unwrap()
    };
    for call in first {
        end(call).await;
    }

    // Now that others were refused, half of the places are enough for anybody.
    let mut second: Vec<_> = (0..4).map(|_| linger()).collect();
    let mut refused = 0;
    while refused < 2 {
        tokio::task::yield_now().await;
        if let Some(over) = second.iter().position(tokio::task::JoinHandle::is_finished) {
            let status = second.swap_remove(over).await.unwrap();
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
            refused += 1;
        }
    }
    assert_eq!(ask(&app, "198.51.100.1", "ok").await.status, StatusCode::OK);
    for call in second {
        assert_eq!(end(call).await, StatusCode::OK);
    }
}
