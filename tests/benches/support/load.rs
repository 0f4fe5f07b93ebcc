//! A small closed-loop load generator: keep-alive connections that each send a
//! request when the last one is answered, never before.

use std::{
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::LocalSet,
};

use crate::stats::Samples;

/// What a browser sends, with fourteen headers.
pub(crate) const BROWSER: &str = "GET /auth/session HTTP/1.1\r\n\
    host: localhost\r\n\
    connection: keep-alive\r\n\
    cache-control: max-age=0\r\n\
    sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\"\r\n\
    sec-ch-ua-mobile: ?0\r\n\
    sec-ch-ua-platform: \"Linux\"\r\n\
    user-agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36\r\n\
    accept: application/json, text/plain, */*\r\n\
    sec-fetch-site: same-origin\r\n\
    sec-fetch-mode: cors\r\n\
    sec-fetch-dest: empty\r\n\
    referer: https://auth.example.com/conversations\r\n\
    accept-encoding: gzip, deflate, br, zstd\r\n\
    accept-language: en-GB,en;q=0.9\r\n\r\n";

/// What a server did under load.
pub(crate) struct Loaded {
    /// Requests that it answered a second.
    pub(crate) rate: f64,
    /// How long each of them took, in microseconds.
    pub(crate) latency: Samples,
}

/// Loads a server for a while with one request over and over.
pub(crate) async fn load(
    server: SocketAddr,
    request: &str,
    connections: usize,
    span: Duration,
) -> Loaded {
    let clients = LocalSet::new();
    let request: Rc<str> = request.into();
    let start = Instant::now();
    let running: Vec<_> = (0..connections)
        .map(|_| clients.spawn_local(client(server, Rc::clone(&request), start + span)))
        .collect();
    clients.spawn_local(stay_awake(start + span));
    clients.await;
    let seconds = start.elapsed().as_secs_f64();
    let mut latency = Samples::default();
    let mut answered = 0.0;
    for client in running {
        for took in client.await.expect("a client never panics") {
            latency.push(took);
            answered += 1.0;
        }
    }
    Loaded { rate: answered / seconds, latency }
}

/// Keeps the core of the load from sleeping. To wake a sleeping core takes the server a
/// good part of a request on a virtual machine, and slow servers would pay for it at each
/// answer, while fast ones leave the load no time to sleep.
async fn stay_awake(end: Instant) {
    while Instant::now() < end {
        tokio::task::yield_now().await;
    }
}

/// One connection. Returns how long each answer took.
async fn client(server: SocketAddr, request: Rc<str>, end: Instant) -> Vec<f64> {
    let mut stream = TcpStream::connect(server).await.expect("the server listens");
    stream.set_nodelay(true).expect("a socket has the option");
    let mut buffer = vec![0; 16 << 10];
    let mut answered = Vec::new();
    let mut length = None;
    loop {
        let sent = Instant::now();
        if sent >= end {
            return answered;
        }
        stream.write_all(request.as_bytes()).await.expect("the server reads");
        let mut filled = 0;
        while filled < length.unwrap_or(usize::MAX) {
            let read = stream.read(&mut buffer[filled..]).await.expect("the server answers");
            assert!(read > 0, "the server closed the connection");
            filled += read;
            // Every answer is as long as the first.
            length = length.or_else(|| response_length(&buffer[..filled]));
        }
        assert!(
            Some(filled) == length && buffer.starts_with(b"HTTP/1.1 200"),
            "{}",
            String::from_utf8_lossy(&buffer[..filled])
        );
        answered.push(sent.elapsed().as_secs_f64() * 1e6);
    }
}

/// The length of a whole response, once its head is there.
fn response_length(response: &[u8]) -> Option<usize> {
    let head = response.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&response[..head]).ok()?;
    let body = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().expect("a length is a number"));
    Some(head + body)
}
