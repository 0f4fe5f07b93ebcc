//! Spans on their way to a collector, from a process of its own: what they say, and
//! what they do not.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

use axum::{body::Body, response::Response};
use memchr::memmem;
use vestibule_tests::{
    component,
    peer::{Peer, Seen},
    run::canary,
};

async fn collector(_: Seen) -> Response {
    Response::new(Body::empty())
}

/// A server, which ends with the test.
struct Server {
    process: Child,
    url: String,
    folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Server {
    async fn start(collector: &Peer) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let config = format!(
            "server.listen = '127.0.0.1:{port}'\nserver.drain = '0s'\n\
             server.trusted_proxies = ['127.0.0.1']\n\
             database.url = 'sqlite://{}/v.db'\nauth.strategy = '{}'\n\
             [telemetry]\notlp_endpoint = '{}'\nservice_name = 'the-vestibule-of-a-test'\n",
            folder.path().display(),
            component("none").display(),
            collector.origin,
        );
        let file = folder.path().join("vestibule.toml");
        fs::write(&file, config).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_vestibule-under-test"))
            .args(["serve", "--config"])
            .arg(&file)
            .env_clear()
            .env("VESTIBULE_LOG", "info")
            .stderr(log)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { process, url: format!("http://127.0.0.1:{port}"), folder };
        for _ in 0..200 {
            if reqwest::get(format!("{}/readyz", server.url)).await.is_ok() {
                return server;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it does not start: {}", server.log());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Ends it as an operator does, and waits.
    async fn stop(&mut self) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().unwrap().success());
        for _ in 0..200 {
            if let Some(status) = self.process.try_wait().unwrap() {
                assert!(status.success(), "{}", self.log());
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it does not end: {}", self.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_say_what_was_done_and_nothing_of_whose_it_was() {
    let peer = Peer::start(collector).await;
    let mut server = Server::start(&peer).await;
    #[expect(clippy::disallowed_methods, reason = "the client of this test")]
    let client = reqwest::Client::new();
    let secret = vestibule_tests::run::text(&canary("traced")).replace(' ', "-");
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let reply = client
        .get(format!("{}/api/keys?token={secret}", server.url))
        .header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"))
        .header("cookie", format!("other={secret}"))
        .header("user-agent", &secret)
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status(), 200);
    let id = reply.headers()["x-request-id"].to_str().unwrap().to_owned();
    let bad = client.get(format!("{}/{secret}", server.url)).bearer_auth(&secret).send().await;
    assert_eq!(bad.unwrap().status(), 404);
    // What is left is sent at the end.
    server.stop().await;
    let sent: Vec<u8> = peer
        .seen()
        .iter()
        .inspect(|seen| assert_eq!(seen.target, "/v1/traces"))
        .flat_map(|seen| seen.body.to_vec())
        .collect();
    let says = |text: &str| memmem::find(&sent, text.as_bytes()).is_some();
    for told in
        ["the-vestibule-of-a-test", "request", "/api/keys", "strategy", "authenticated", &id]
    {
        assert!(says(told), "{told}");
    }
    // The trace goes on: its id is in the span, as bytes.
    let trace: Vec<u8> =
        (0..32).step_by(2).map(|at| u8::from_str_radix(&trace[at..at + 2], 16).unwrap()).collect();
    assert!(memmem::find(&sent, &trace).is_some(), "the parent's trace");
    for hidden in ["canary", "token=", "user-agent", "127.0.0.1"] {
        assert!(!says(hidden), "{hidden}");
    }
    assert!(!server.log().contains("vestibule::span"), "{}", server.log());
}
