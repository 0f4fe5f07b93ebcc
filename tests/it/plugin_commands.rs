//! `vestibule plugin …` and SIGHUP, with a server that runs and without.

use std::{fs, path::Path, process::Stdio, thread, time::Duration};

use serde_json::Value;
use tempfile::TempDir;
use vestibule_tests::{
    craft,
    plugins::{Signer, bytes_of, digest},
};

use crate::command_line::{Server, add, errors, installed, run, send, vestibule};

const HELLO: &str = "hello-strategy";
const CONFIG: &str = "server.listen = '127.0.0.1:0'\nauth.strategy = 'hello-strategy'\n\
                      auth.settings.team = 'blue'\n";

fn hello_at(toml: &str) -> TempDir {
    let folder = installed(toml);
    add(&folder, HELLO);
    folder
}

/// Puts a component in the place of the one that is there, whole.
fn put(folder: &Path, bytes: &[u8]) {
    fs::write(folder.join("plugins/whole"), bytes).unwrap();
    let file = folder.join("plugins/hello-strategy.wasm");
    fs::rename(folder.join("plugins/whole"), file).unwrap();
}

fn newer(version: &str) -> Vec<u8> {
    craft::with_version(&bytes_of(HELLO), HELLO, version)
}

fn asking_for_more() -> Vec<u8> {
    craft::with_text(&newer("0.2.0"), "x-team", "x-tram")
}

fn get(address: &str, path: &str, header: &str) -> String {
    let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    send(address, &format!("{head}{header}\r\n"))
}

fn ready(address: &str) -> Value {
    let reply = get(address, "/readyz?verbose", "");
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    serde_json::from_str(reply.split("\r\n\r\n").nth(1).unwrap()).unwrap()
}

/// Waits until a server says this of itself.
fn until(address: &str, holds: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..200 {
        let told = ready(address);
        if holds(&told) {
            return told;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("{}", ready(address));
}

fn said(output: &std::process::Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_server_that_runs_takes_what_is_approved_and_goes_back_when_told() {
    let folder = hello_at(CONFIG);
    let server = Server::start(folder.path());
    put(folder.path(), &asking_for_more());
    let told = until(&server.address, |told| told["refused"].is_object());
    assert_eq!(told["refused"]["step"], "lock", "{told}");
    assert_eq!(told["generation"]["version"], "0.1.0", "{told}");

    // Nobody is there to say yes.
    let mut asked = vestibule(&["plugin", "approve", HELLO], folder.path());
    let output = asked.stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
    let text = said(&output);
    assert!(text.contains("hello-strategy 0.2.0 (sha256 "), "{text}");
    assert!(text.contains("  + it reads the header x-tram\n"), "{text}");
    assert!(text.contains("  - it reads the header x-team\n"), "{text}");
    assert!(errors(&output).contains("say --yes"), "{}", errors(&output));
    assert_eq!(ready(&server.address)["generation"]["version"], "0.1.0");

    let output = run(&["plugin", "approve", HELLO, "--yes"], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    assert!(said(&output).ends_with(&format!(
        "approved hello-strategy 0.2.0 (sha256 {})\n",
        digest(&asking_for_more())
    )));
    until(&server.address, |told| told["generation"]["version"] == "0.2.0");

    let output = run(&["plugin", "rollback", HELLO], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    assert!(said(&output).starts_with("went back to hello-strategy 0.1.0"), "{}", said(&output));
    let told = until(&server.address, |told| told["generation"]["version"] == "0.1.0");
    assert!(told["refused"]["reason"].as_str().unwrap().contains("rolled back"), "{told}");
    server.terminate();
    server.end();

    // There is nothing further back, and the same without a server.
    let output = run(&["plugin", "rollback", HELLO], folder.path());
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(errors(&output).contains("to go back to"), "{}", errors(&output));
}

#[test]
fn what_cannot_serve_as_things_are_configured_is_not_approved() {
    let folder = hello_at(CONFIG);
    let output = run(&["plugin", "approve", HELLO, "--yes"], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    let lock = || fs::read_to_string(folder.path().join("plugins/plugins.lock")).unwrap();
    let before = lock();
    put(folder.path(), &bytes_of("hostile-waiting"));
    let output = run(&["plugin", "approve", HELLO, "--yes"], folder.path());
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(errors(&output).contains("it needs what it is not granted"), "{}", errors(&output));
    assert_eq!(lock(), before);
}

#[test]
fn a_component_that_is_approved_and_gone_back_to_without_a_server_serves_at_the_next_start() {
    let folder = hello_at(&format!("{CONFIG}plugins.locked = true\n"));
    let approve =
        |more: &[&str]| run(&[&["plugin", "approve", HELLO], more].concat(), folder.path());
    let output = approve(&["--yes"]);
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    put(folder.path(), &newer("0.0.9"));
    let output = approve(&["--yes"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(errors(&output).contains("--allow-downgrade"), "{}", errors(&output));
    let output = approve(&["--yes", "--allow-downgrade"]);
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    let output = run(&["plugin", "rollback", HELLO], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    let server = Server::start(folder.path());
    let told = ready(&server.address);
    assert_eq!(told["generation"]["version"], "0.1.0", "{told}");
    server.terminate();
    server.end();
}

#[test]
fn rollback_to_what_could_not_serve_changes_nothing_and_says_why() {
    let folder = hello_at(CONFIG);
    let approve =
        || assert!(run(&["plugin", "approve", HELLO, "--yes"], folder.path()).status.success());
    approve();
    put(folder.path(), &newer("0.2.0"));
    approve();
    let pinned = format!("{CONFIG}auth.sha256 = '{}'\n", digest(&newer("0.2.0")));
    fs::write(folder.path().join("vestibule.toml"), pinned).unwrap();
    let lock = || fs::read_to_string(folder.path().join("plugins/plugins.lock")).unwrap();
    let before = lock();
    let output = run(&["plugin", "rollback", HELLO], folder.path());
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let told = errors(&output);
    assert!(told.contains("nothing is changed, because hello-strategy 0.1.0"), "{told}");
    assert!(told.contains("change the pin"), "{told}");
    assert_eq!(lock(), before);
    let server = Server::start(folder.path());
    assert_eq!(ready(&server.address)["generation"]["version"], "0.2.0");
    server.terminate();
    server.end();
}

#[test]
fn sighup_reads_the_configuration_again_and_a_broken_one_changes_nothing() {
    let folder = hello_at(CONFIG);
    let file = folder.path().join("vestibule.toml");
    let mut server = Server::start(folder.path());
    let team = |server: &Server, team: &str| {
        let reply = get(&server.address, "/auth/session", &format!("x-team: {team}\r\n"));
        reply.starts_with("HTTP/1.1 200 OK\r\n")
    };
    assert!(team(&server, "blue") && !team(&server, "red"));

    fs::write(&file, CONFIG.replace("blue", "red")).unwrap();
    server.signal("-HUP");
    server.wait_for("the configuration is read again, and serves");
    assert!(team(&server, "red") && !team(&server, "blue"));

    for (broken, expected) in [
        ("auth.strategy = ".to_owned(), "vestibule.toml:1"),
        (CONFIG.replace("team", "teem"), "\"team\" is missing"),
        (format!("{CONFIG}server.body_timeout = 'soon'\n"), "[server] body_timeout: "),
        (CONFIG.replace("127.0.0.1:0", "127.0.0.1:9"), "[server] listen: it cannot change so"),
        (CONFIG.replace("hello-strategy", "nobody"), "answers to \"nobody\""),
        (format!("{CONFIG}auth.sha256 = '{}'\n", "0".repeat(64)), "[auth] sha256 pins"),
    ] {
        fs::write(&file, broken).unwrap();
        server.signal("-HUP");
        let line = server.wait_for("the configuration is refused");
        assert!(line["message"].as_str().unwrap().contains(expected), "{expected}: {line}");
        assert!(team(&server, "red") && !team(&server, "blue"), "{expected}");
    }
    server.terminate();
    server.end();
}

#[test]
fn list_says_what_becomes_of_each_component() {
    let folder = hello_at(CONFIG);
    fs::write(folder.path().join("plugins/broken.wasm"), "#!/bin/sh").unwrap();
    let list = || -> Value {
        let output = run(&["plugin", "list", "--json"], folder.path());
        assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let states = |list: &Value| -> Vec<String> {
        let listed = list.as_array().unwrap().iter();
        listed.map(|found| format!("{} {}", found["file"], found["state"])).collect()
    };
    assert_eq!(
        states(&list()),
        [
            r#""plugins/broken.wasm" "refused""#,
            r#""plugins/hello-strategy.wasm" "first""#,
            r#""plugins/hostile.wasm" "unused""#,
            r#""plugins/none.wasm" "unused""#,
        ]
    );
    let output = run(&["plugin", "approve", HELLO, "--yes"], folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    assert_eq!(states(&list())[1], r#""plugins/hello-strategy.wasm" "approved""#);
    put(folder.path(), &asking_for_more());
    let listed = list();
    assert_eq!(states(&listed)[1], r#""plugins/hello-strategy.wasm" "needs-approval""#);
    assert_eq!(listed[1]["asks_for"][0], "it reads the header x-tram");
    assert_eq!(listed[4]["state"], "kept", "{listed}");
    assert_eq!(listed[4]["version"], "0.1.0", "{listed}");
    let output = run(&["plugin", "list"], folder.path());
    let table = said(&output);
    assert!(table.starts_with("name "), "{table}");
    assert!(table.contains("needs-approval") && table.contains("x-tram"), "{table}");

    // What nobody trusted has signed is not asked what it is.
    let trusting =
        format!("{CONFIG}plugins.trusted_keys = ['{}']\n", Signer::number(1).public_key());
    fs::write(folder.path().join("vestibule.toml"), trusting).unwrap();
    let listed = list();
    assert_eq!(states(&listed)[3], r#""plugins/none.wasm" "refused""#);
    assert!(listed[3]["name"].is_null(), "{listed}");
    assert!(listed[3]["reason"].as_str().unwrap().contains("it is not signed"), "{listed}");
}

#[test]
fn verify_holds_a_file_against_everything_and_refuses_with_status_2() {
    let folder = hello_at(CONFIG);
    let approved = run(&["plugin", "approve", HELLO, "--yes"], folder.path());
    assert!(approved.status.success(), "{}", errors(&approved));
    let candidate = folder.path().join("candidate.wasm");
    let verify = |bytes: &[u8], state: &str, reason: &str| {
        fs::write(&candidate, bytes).unwrap();
        let output = run(&["plugin", "verify", "candidate.wasm", "--json"], folder.path());
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["state"], state, "{told}");
        let code = if reason.is_empty() { 0 } else { 2 };
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert!(told["reason"].as_str().unwrap_or_default().contains(reason), "{told}");
    };
    verify(&bytes_of(HELLO), "approved", "");
    verify(&newer("0.2.0"), "upgrade", "");
    verify(&newer("0.0.9"), "needs-approval", "--allow-downgrade");
    verify(&asking_for_more(), "needs-approval", "x-tram");
    verify(b"\0asm\x01\0\0\0", "refused", "a core module");
    let text = |toml: &str| fs::write(folder.path().join("vestibule.toml"), toml).unwrap();
    text(&format!("{CONFIG}auth.sha256 = '{}'\n", digest(&newer("0.2.0"))));
    verify(&newer("0.2.0"), "upgrade", "");
    verify(&newer("0.3.0"), "refused", "sha256 pins");
    let signer = Signer::number(1);
    text(&format!("{CONFIG}plugins.trusted_keys = ['{}']\n", signer.public_key()));
    verify(&newer("0.2.0"), "refused", "it is not signed");
    signer.sign(&newer("0.2.0"), &candidate);
    verify(&newer("0.2.0"), "upgrade", "");
    verify(&newer("0.3.0"), "refused", "no signature of these bytes");
}

#[test]
fn every_command_has_examples_and_says_how_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["list", "verify", "approve", "rollback"] {
        let help = said(&run(&["plugin", command, "--help"], folder.path()));
        assert!(help.contains("Examples:") && help.contains("Exit status: 0 "), "{help}");
    }
}
