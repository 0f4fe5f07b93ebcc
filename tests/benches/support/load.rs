//! A small closed-loop load generator: keep-alive connections that each send a
//! request when the last one is answered, never before.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::LocalSet,
};

/// What a browser sends, with fourteen headers.
const REQUEST: &str = "GET /auth/session HTTP/1.1\r\n\
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

/// Loads a server for a while. Returns how many requests it answered a second.
pub(crate) async fn load(server: SocketAddr, connections: usize, span: Duration) -> f64 {
    let clients = LocalSet::new();
    let start = Instant::now();
    let running: Vec<_> =
        (0..connections).map(|_| clients.spawn_local(client(server, start + span))).collect();
    clients.await;
    let mut answered = 0.0;
    for client in running {
        answered += f64::from(client.await.expect("a client never panics"));
    }
    answered / start.elapsed().as_secs_f64()
}

/// One connection. Returns how many requests were answered.
async fn client(server: SocketAddr, end: Instant) -> u32 {
    let mut stream = TcpStream::connect(server).await.expect("the server listens");
    stream.set_nodelay(true).expect("a socket has the option");
    let mut buffer = vec![0; 16 << 10];
    let mut answered = 0;
    let mut length = None;
    while Instant::now() < end {
        stream.write_all(REQUEST.as_bytes()).await.expect("the server reads");
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
        answered += 1;
    }
    answered
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
