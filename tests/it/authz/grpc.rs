//! Envoy's listener: what is not a question of a gateway's gets no answer.

use http::HeaderMap;
use vestibule_tests::{
    TestApp,
    envoy::{Asked, ask, call},
    gateways::assert_denied,
};

use super::{APPS, ada, app, app_with, by_key_of};
use crate::login::PUBLIC;

fn asked(headers: &HeaderMap) -> Asked<'_> {
    Asked { method: "GET", scheme: "https", host: "wiki.example", path: "/a", headers }
}

#[tokio::test]
async fn a_connection_from_anywhere_else_is_closed_unheard() {
    let headers = HeaderMap::new();
    for proxies in ["", "server.trusted_proxies = ['192.0.2.1', '127.0.0.2']\n"] {
        let app = TestApp::start("visited", &format!("{proxies}{PUBLIC}{APPS}")).await;
        let answer = call(&app.host, "Check", &asked(&headers).message()).await;
        assert!(answer.is_err(), "{proxies}: {answer:?}");
    }
}

#[tokio::test]
async fn a_message_that_is_no_question_never_passes() {
    let app = app_with("", APPS).await;
    let headers = HeaderMap::new();
    let message = asked(&headers).message();
    for cut in 0..message.len() {
        // Shorter by some bytes it is broken, or it asks for less.
        let Ok(Some(answer)) = call(&app.host, "Check", &message[..cut]).await else { continue };
        assert!(!answer.is_empty(), "{cut}: OK without a word");
        assert_ne!(answer.first(), Some(&0x1a), "{cut}: OK");
    }
    assert_eq!(call(&app.host, "Check", b"nonsense").await, Ok(None));
    for method in ["check", "Check/", "Checks", ""] {
        assert_eq!(call(&app.host, method, &message).await, Ok(None), "{method}");
    }
}

#[tokio::test]
async fn what_envoy_joins_is_refused_like_anything_that_came_twice() {
    let app = app().await;
    let client = by_key_of(&app, ada()).await;
    let mut headers = client.headers().clone();
    assert_eq!(ask(&app.host, &asked(&headers)).await.status, 200);
    for (name, twin) in [
        ("authorization", "Bearer of-another"),
        ("x-forwarded-proto", "http"),
        ("host", "auth.example"),
    ] {
        let before = headers.clone();
        headers.append(name, twin.parse().expect("a value"));
        let reply = ask(&app.host, &asked(&headers)).await;
        // The scheme and the host are fields of Envoy's, whatever a client says.
        let harmless = name != "authorization";
        assert_eq!(reply.status == 200, harmless, "{name}: {} {}", reply.status, reply.body);
        if !harmless {
            assert_denied(&reply, name);
        }
        headers = before;
    }
}
