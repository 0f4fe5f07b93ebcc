//! Connections that cost a server room, and nobody else an answer.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::{Command, id},
    thread,
    time::Duration,
};

use crate::command_line::{Server, installed};

const HEALTHY: &str = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// A server that may have so many files open.
fn server_with(files: usize) -> (tempfile::TempDir, Server) {
    let folder = installed("server.listen = '127.0.0.1:0'\nauth.strategy = 'none'\n");
    let program = env!("CARGO_BIN_EXE_vestibule-under-test");
    let serve = format!("ulimit -n {files} && exec {program} serve --log-format json");
    let mut command = Command::new("sh");
    command.args(["-c", &serve]).current_dir(folder.path()).env_clear();
    command.env("VESTIBULE_SERVER_DRAIN", "0s");
    let server = Server::of(command);
    (folder, server)
}

fn idle(server: &Server, count: usize) -> Vec<TcpStream> {
    (0..count).map(|_| TcpStream::connect(&server.address).unwrap()).collect()
}

/// Not only once those who ask for nothing have had their half a minute.
fn is_healthy(server: &Server) {
    is_heard(TcpStream::connect(&server.address).unwrap());
}

fn is_heard(mut socket: TcpStream) {
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.write_all(HEALTHY.as_bytes()).unwrap();
    let mut reply = String::new();
    socket.read_to_string(&mut reply).expect("it is answered");
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
}

#[test]
fn ten_thousand_who_ask_for_nothing_keep_nobody_else_out() {
    let files = 12_000;
    let own = format!("--nofile={files}:");
    let raised = Command::new("prlimit").args(["--pid", &id().to_string(), &own]).status();
    if !raised.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: this user may not have {files} files open (prlimit --nofile)");
        return;
    }
    let (_folder, server) = server_with(files);
    let mut waiting = idle(&server, 9_999);
    // Whoever has the last place is heard as well, and has time to ask.
    let last = TcpStream::connect(&server.address).unwrap();
    thread::sleep(Duration::from_millis(300));
    is_heard(last);
    waiting.extend(idle(&server, 51));
    is_healthy(&server);
    drop(waiting);
    server.terminate();
    server.end();
}

#[test]
fn who_ask_for_nothing_give_way_where_there_are_no_more_files() {
    let (_folder, server) = server_with(200);
    // Some have asked before, as a gateway has that keeps its connections.
    let asked: Vec<_> = idle(&server, 50)
        .into_iter()
        .map(|mut socket| {
            socket.write_all(HEALTHY.replace("close", "keep-alive").as_bytes()).unwrap();
            assert!(socket.read(&mut [0; 1024]).unwrap() > 0);
            socket
        })
        .collect();
    let waiting = idle(&server, 300);
    is_healthy(&server);
    drop((asked, waiting));
    assert!(server.told().contains("no connection can be accepted"));
}

#[test]
fn a_head_that_is_too_much_or_never_ends_costs_its_sender_the_connection() {
    let (_folder, server) = server_with(1024);
    let mut slow = TcpStream::connect(&server.address).unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nhost: local").unwrap();
    let long = format!("x-long: {}\r\n", "a".repeat(1 << 20));
    let many = "x-many: 1\r\n".repeat(200);
    for more in [&long, &many] {
        let head = HEALTHY.replace("connection: close\r\n", more);
        let mut socket = TcpStream::connect(&server.address).unwrap();
        // It may be closed while the head is on its way, and the answer be lost.
        let _ = socket.write_all(head.as_bytes());
        let mut reply = Vec::new();
        let _ = socket.read_to_end(&mut reply);
        assert!(reply.is_empty() || reply.starts_with(b"HTTP/1.1 431 "), "{reply:?}");
    }
    is_healthy(&server);
    // Half a minute is what everybody gets.
    slow.set_read_timeout(Some(Duration::from_mins(2))).unwrap();
    let mut rest = String::new();
    slow.read_to_string(&mut rest).expect("it is closed in time");
    assert_eq!(rest, "");
    server.terminate();
    server.end();
}
