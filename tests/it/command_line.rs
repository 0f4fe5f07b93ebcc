//! The command line as an operator meets it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;
use vestibule_tests::component;

fn vestibule(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule-under-test"));
    command.args(arguments).current_dir(folder).env_clear();
    command
}

fn run(arguments: &[&str], folder: &Path) -> Output {
    vestibule(arguments, folder).output().unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A folder with the none strategy and a configuration.
fn installed(toml: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    for name in ["none", "hostile"] {
        let file = format!("plugins/{name}.wasm");
        fs::copy(component(name), folder.path().join(file)).unwrap();
    }
    fs::write(folder.path().join("vestibule.toml"), toml).unwrap();
    folder
}

#[test]
fn check_says_what_would_be_served_and_starts_nothing() {
    let folder = installed("auth.strategy = 'none'");
    let output = run(&["check"], folder.path());
    assert!(output.status.success(), "{}", errors(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("ok: strategy none 0.1.0 (sha256 "), "{text}");
    assert!(!folder.path().join("vestibule.db").exists());
}

#[test]
fn a_strategy_can_be_named_by_an_alias_that_it_declares() {
    let folder = installed("auth.strategy = 'no_auth'");
    let output = run(&["check"], folder.path());
    assert!(output.status.success(), "{}", errors(&output));
}

#[test]
fn a_missing_component_stops_the_start_with_one_line_and_status_2() {
    let folder = installed("auth.strategy = 'nine'");
    for subcommand in ["check", "serve"] {
        let output = run(&[subcommand], folder.path());
        assert_eq!(output.status.code(), Some(2), "{subcommand}");
        let errors = errors(&output);
        assert_eq!(
            errors.lines().last().unwrap(),
            "error: vestibule.toml:1: [auth] strategy: no component in plugins answers to \
             \"nine\", did you mean \"none\"?; there is hostile, none, no_auth, default; put \
             nine.wasm there or set [plugins] dir",
        );
    }
}

#[test]
fn an_unreadable_or_wrong_component_stops_the_start_with_one_line_and_status_2() {
    let folder = installed("auth.strategy = 'broken.wasm'");
    let broken = folder.path().join("plugins/broken.wasm");
    let said = |expected: &str| {
        let output = run(&["serve"], folder.path());
        assert_eq!(output.status.code(), Some(2), "{expected}");
        let errors = errors(&output);
        let line = errors.lines().last().unwrap();
        assert!(
            line.starts_with("error: plugins/broken.wasm: ") && line.contains(expected),
            "{errors}"
        );
    };
    said("there is no such file; put the component there");
    fs::write(&broken, "#!/bin/sh").unwrap();
    said("not WebAssembly; name a component file");
    fs::write(&broken, b"\0asm\x01\0\0\0").unwrap();
    said("a core module; make a component of it");
    fs::remove_file(&broken).unwrap();
    fs::create_dir(&broken).unwrap();
    said("it is not a file; name a component file");
}

#[test]
fn mistakes_in_the_configuration_are_all_told_with_status_2() {
    let folder = installed("[server]\nlisten = 'x'\n[auth]\nstrategy = 'none'\nlimits.cpu = 'y'\n");
    let output = run(&["check"], folder.path());
    assert_eq!(output.status.code(), Some(2));
    let errors = errors(&output);
    assert!(errors.contains("vestibule.toml:2: [server] listen: "), "{errors}");
    assert!(errors.contains("vestibule.toml:5: [auth.limits] cpu: "), "{errors}");
}

#[test]
fn inspect_shows_what_a_component_is_and_could_reach() {
    let folder = installed("");
    let output = run(&["plugin", "inspect", "plugins/hostile.wasm"], folder.path());
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(output.status.success(), "{}", errors(&output));
    for part in [
        "hostile 0.1.0: ",
        "vestibule:auth@0.1.0",
        "sha256",
        "x-behave",
        "random",
        "token",
        "VESTIBULE_TEST_TOKEN",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let output = run(&["plugin", "inspect", "plugins/hostile.wasm", "--json"], folder.path());
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["contract"], "vestibule:auth@0.1.0");
    assert_eq!(json["digest"].as_str().unwrap().len(), 64);
    assert_eq!(json["description"]["name"], "hostile");
    assert_eq!(json["description"]["settings"][1]["secret"], true);
    let imports = json["imports"].as_array().unwrap();
    assert!(imports.iter().any(|import| import["interface"] == "secrets"), "{json}");
}

#[test]
fn help_has_examples_and_no_command_is_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let help = run(&["--help"], folder.path());
    assert!(help.status.success());
    assert!(String::from_utf8(help.stdout).unwrap().contains("Examples:"));
    assert_eq!(run(&[], folder.path()).status.code(), Some(2));
    assert_eq!(run(&["sevre"], folder.path()).status.code(), Some(2));
}

#[test]
fn serve_answers_over_a_socket_and_ends_cleanly_when_asked() {
    let folder = installed("server.listen = '127.0.0.1:0'\nauth.strategy = 'none'");
    let mut server = vestibule(&["serve", "--log-format", "json"], folder.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(server.stderr.take().unwrap());
    let address = loop {
        let mut line = String::new();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended before it listened");
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        if line["message"] == "listening" {
            break line["address"].as_str().unwrap().to_owned();
        }
    };
    let mut socket = TcpStream::connect(&address).unwrap();
    socket
        .write_all(b"GET /auth/session HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut reply = String::new();
    socket.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    assert!(reply.contains(r#""local_owner":true"#), "{reply}");

    let id = server.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert_eq!(server.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("shutting down"), "{rest}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let database = fs::metadata(folder.path().join("vestibule.db")).unwrap();
        assert_eq!(database.permissions().mode() & 0o777, 0o600);
    }
}
