//! Envoy's listener: what is not a question of a gateway's gets no answer.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use http::HeaderMap;
use tokio::runtime::Runtime;
use vestibule_tests::{
    TestApp,
    envoy::{Asked, Connection, ask, call, told},
    gateways::assert_denied,
};

use super::{APPS, ada, app, app_with, by_key_of};
use crate::{
    command_line::{Server, add, installed, send},
    login::PUBLIC,
};

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

/// Connections on which HTTP/2 does not begin, or not quite, and which are heard.
fn unbegun(address: SocketAddr) -> Vec<TcpStream> {
    let begins = ["", "P", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r"];
    let streams = begins.map(|begin| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(begin.as_bytes()).unwrap();
        stream
    });
    // For another protocol nobody waits; and this one comes after them.
    assert_eq!(send(&address.to_string(), "GET / HTTP/1.1\r\n\r\n"), "");
    streams.into()
}

/// What a server says before it ends a connection.
fn said(mut stream: TcpStream) -> String {
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).expect("it ends");
    said
}

#[test]
fn whoever_does_not_begin_holds_no_place_for_long() {
    let folder = installed(
        "server.listen = '127.0.0.1:0'\nserver.envoy_listen = '127.0.0.1:0'\n\
         server.head_timeout = '200ms'\nserver.trusted_proxies = ['127.0.0.1']\n\
         auth.strategy = 'none'\n",
    );
    let mut server = Server::start(folder.path());
    let listening = server.wait_for("listening to Envoy");
    for stream in unbegun(listening["address"].as_str().unwrap().parse().unwrap()) {
        assert_eq!(said(stream), "");
    }
    let mut head = TcpStream::connect(&server.address).unwrap();
    head.write_all(b"GET /auth/session HTTP/1.1\r\nhost: localhost\r\n").unwrap();
    assert_eq!(said(head), "");
}

#[test]
fn questions_on_their_way_are_answered_before_the_server_ends() {
    let folder = installed(
        "server.listen = '127.0.0.1:0'\nserver.envoy_listen = '127.0.0.1:0'\n\
         server.public_url = 'https://auth.example'\nserver.trusted_proxies = ['127.0.0.1']\n\
         [auth]\nstrategy = 'hostile-waiting'\nlimits.cpu = '60s'\nlimits.wall = '60s'\n\
         grants.http = ['https://a.example']\ngrants.jose = ['https://b.example']\n\
         grants.token_store = ['github']\n[[apps]]\nhost = 'wiki.example'\n",
    );
    add(&folder, "hostile-waiting");
    let mut server = Server::start(folder.path());
    let listening = server.wait_for("listening to Envoy");
    let address: SocketAddr = listening["address"].as_str().unwrap().parse().unwrap();
    let envoy = thread::spawn(move || {
        let runtime = Runtime::new().unwrap();
        runtime.block_on(async {
            // An Envoy keeps its connections, and has some that nobody asks by.
            let idle = Connection::to(address).await.unwrap();
            let mut busy = Connection::to(address).await.unwrap();
            let mut headers = HeaderMap::new();
            headers.insert("x-behave", "linger".parse().unwrap());
            let answer = busy.call("Check", &asked(&headers).message()).await;
            let ended = [idle.ended().await, busy.ended().await];
            (answer, ended)
        })
    });
    server.wait_for("lingers");
    let unbegun = unbegun(address);
    server.terminate();
    server.wait_for("shutting down");
    for stream in unbegun {
        assert_eq!(said(stream), "", "there is nothing to wait for");
    }
    assert!(!envoy.is_finished(), "the question was not on its way any more");
    let (answer, ended) = envoy.join().unwrap();
    let answer = answer.unwrap().expect("a message");
    assert_eq!(told(&answer).status, 200);
    assert_eq!(ended, [Ok(()), Ok(())], "told that no more is heard, not cut off");
    let rest = server.end();
    assert!(!rest.contains("cut off"), "{rest}");
}
