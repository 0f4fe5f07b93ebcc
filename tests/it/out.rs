//! Being out: everywhere at once, and told so where something outlives its request.

use std::{pin::pin, time::Duration};

use axum::{Router, body::Body, routing::get};
use http::Request;
use tokio::sync::mpsc;
use tower::ServiceExt as _;
use vestibule::{context::UserContext, engine::Hooks};
use vestibule_tests::{
    Caller, TestApp,
    database::{Database, SECRET, user, user_id},
    keys::by_key,
    on_both_databases,
    run::note_secret,
};

use crate::login::{PUBLIC, sign_in};

const ME: &str = "/api/v1/users/me";

/// Two replicas on one database.
async fn replicas(database: &Database) -> [TestApp; 2] {
    let toml = format!("encryption.secret = '{SECRET}'\n{PUBLIC}");
    let start = async || {
        TestApp::start_on(database, "visited", &toml, &[], Hooks::default()).await.unwrap()
    };
    [start().await, start().await]
}

/// What a handler behind the host's layer is given for a caller's request.
async fn admitted(caller: &Caller) -> UserContext {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let stream = get(async move |user: UserContext| sender.send(user).unwrap());
    let app = Router::new().route("/stream", stream).layer(caller.host().layer());
    let mut request = Request::get("/stream").body(Body::empty()).unwrap();
    request.headers_mut().extend(caller.headers().clone());
    request.headers_mut().insert("host", "auth.example".parse().unwrap());
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    receiver.recv().await.unwrap()
}

async fn status(caller: &Caller) -> u16 {
    caller.get(ME).await.status.as_u16()
}

on_both_databases! {
    async fn a_log_out_everywhere_ends_every_session_at_every_replica(database: Database) {
        let [here, there] = replicas(&database).await;
        let mut browser = sign_in(&here, "&user=ada").await;
        let before = browser.clone();
        let phone = sign_in(&there, "&user=ada").await;
        let grace = sign_in(&here, "&user=grace").await;
        let scope = user(here.host.store(), "ada").await;
        let key = by_key(&here, &scope).await;
        let system = here.host.store().api_keys(&scope).system("automation").await.unwrap().text;
        note_secret(&system);
        let system = there.anonymous().with_key(&system);

        // Neither a page of another site, nor somebody without a session, nor half a wish.
        let everywhere = "/auth/logout?everywhere=true";
        let forged = browser.caller().with("origin", "https://evil.example");
        assert_eq!(forged.send("POST", everywhere).await.status, 403);
        assert_eq!(here.anonymous().send("POST", everywhere).await.status, 401);
        assert_eq!(key.send("POST", everywhere).await.status, 401);
        for half in ["keys=true", "everywhere=yes", "everywhere=true&everywhere=false"] {
            let reply = browser.page().send("POST", &format!("/auth/logout?{half}")).await;
            assert_eq!(reply.status, 400, "{half}");
        }
        assert_eq!(status(&phone.caller()).await, 200, "nothing has ended");

        let page = browser.submit(everywhere).await;
        assert_eq!(page.status, 200);
        assert!(page.body.contains("All your sessions at"), "{}", page.body);
        assert!(browser.session().is_none());
        for app in [&here, &there] {
            for out in [&before, &phone] {
                assert_eq!(status(&out.clone().at_app(app).caller()).await, 401);
            }
        }
        for caller in [&grace.caller(), &key, &system] {
            assert_eq!(status(caller).await, 200, "who is not meant stays");
        }
        let late = before.page().send("POST", everywhere).await;
        assert_eq!(late.status, 401, "whose sessions would it be?");

        let mut again = sign_in(&there, "&user=ada").await;
        let told = again.submit("/api/logout?everywhere=true&keys=true").await;
        assert_eq!(told.status, 200, "{}", told.body);
        assert_eq!(status(&key).await, 401);
        assert_eq!(status(&system).await, 200, "the host's own key is no browser's");
        assert_eq!(status(&grace.caller()).await, 200);

        let entries = here.host.store().audit_of(&user_id("ada"), 100).await.unwrap();
        let mut ended = entries.iter().filter(|entry| entry.target.as_deref() == Some("everywhere"));
        let mut told = || ended.next().map(|entry| (&*entry.action, entry.reason.as_deref().unwrap()));
        assert_eq!(told(), Some(("log-out", "1 sessions and 1 keys")));
        assert_eq!(told(), Some(("log-out", "2 sessions and 0 keys")));
        assert_eq!(told(), None);
    }

    async fn what_outlives_its_request_is_told_within_five_seconds_that_its_user_is_out(database: Database) {
        let [here, there] = replicas(&database).await;
        let ada = user(here.host.store(), "ada").await;
        let key = by_key(&here, &ada).await;
        let kept = here.host.store().api_keys(&ada).list().await.unwrap();
        let linus = user(here.host.store(), "linus").await;
        let of_linus = by_key(&here, &linus).await;
        let mut browser = sign_in(&there, "&user=ada").await;
        let tab = sign_in(&here, "&user=ada").await;

        let mut by_session = pin!(admitted(&browser.clone().at_app(&here).caller()).await.ended());
        let mut by_other = pin!(admitted(&tab.caller()).await.ended());
        let mut by_key = pin!(admitted(&key).await.ended());
        let mut of_linus = pin!(admitted(&of_linus).await.ended());
        let mut without_request =
            pin!(here.host.user_context_for(&linus.user).await.unwrap().ended());
        // Nobody is out, and five seconds go by without a word.
        let quiet = Duration::from_millis(200);
        macro_rules! still_in {
            ($($one:ident),*) => {
                $(assert!(tokio::time::timeout(quiet, &mut $one).await.is_err());)*
                database.clock.advance(5);
                $(assert!(tokio::time::timeout(quiet, &mut $one).await.is_err());)*
            };
        }
        still_in!(by_session, by_other, by_key, of_linus, without_request);

        let told = Duration::from_secs(10);
        browser.submit("/auth/logout").await;
        database.clock.advance(5);
        tokio::time::timeout(told, by_session).await.expect("it is told");
        still_in!(by_other, by_key, of_linus, without_request);

        assert!(there.host.store().api_keys(&ada).revoke(&kept[0].id).await.unwrap());
        there.host.store().set_user_disabled(&linus.user, true).await.unwrap();
        database.clock.advance(5);
        for ended in [by_key, of_linus] {
            tokio::time::timeout(told, ended).await.expect("it is told");
        }
        tokio::time::timeout(told, without_request).await.expect("it is told");
        still_in!(by_other);
    }
}
