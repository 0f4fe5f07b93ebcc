//! The command line as an operator meets it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::{Child, ChildStderr, Command, Output, Stdio},
    thread,
};

use serde_json::Value;
use tempfile::TempDir;
use vestibule_tests::{component, craft, workspace};

pub(crate) fn vestibule(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule-under-test"));
    command.args(arguments).current_dir(folder).env_clear();
    command
}

pub(crate) fn run(arguments: &[&str], folder: &Path) -> Output {
    vestibule(arguments, folder).output().unwrap()
}

pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A folder with components and a configuration.
pub(crate) fn installed(toml: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("plugins")).unwrap();
    for name in ["none", "hostile"] {
        add(&folder, name);
    }
    fs::write(folder.path().join("vestibule.toml"), toml).unwrap();
    folder
}

/// Puts one more component where the others are.
pub(crate) fn add(folder: &TempDir, name: &str) {
    let file = folder.path().join(format!("plugins/{name}.wasm"));
    fs::copy(component(name), file).unwrap();
}

/// A server as a process, which is killed where a test fails.
pub(crate) struct Server {
    process: Child,
    log: BufReader<ChildStderr>,
    pub(crate) address: String,
}

impl Server {
    /// Starts it in a folder that [`installed`] made.
    pub(crate) fn start(folder: &Path) -> Self {
        let mut command = vestibule(&["serve", "--log-format", "json"], folder);
        command.env("VESTIBULE_SERVER_DRAIN", "0s");
        Self::of(command)
    }

    /// Starts it by a command that logs JSON, and waits until it listens.
    pub(crate) fn of(mut command: Command) -> Self {
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(process.stderr.take().unwrap());
        let mut server = Self { process, log, address: String::new() };
        let listening = server.wait_for("listening");
        listening["address"].as_str().unwrap().clone_into(&mut server.address);
        server
    }

    /// Reads the log as far as a line with this message.
    pub(crate) fn wait_for(&mut self, message: &str) -> Value {
        loop {
            let mut line = String::new();
            assert_ne!(self.log.read_line(&mut line).unwrap(), 0, "it ended before {message:?}");
            let line: Value = serde_json::from_str(&line).unwrap();
            if line["message"].as_str().unwrap().contains(message) {
                return line;
            }
        }
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends it, and returns what it has told since the last line that was waited for.
    pub(crate) fn told(self) -> String {
        self.terminate();
        self.end()
    }

    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Waits for the end, which must be a good one, and returns the rest of the log.
    pub(crate) fn end(mut self) -> String {
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        assert_eq!(self.process.wait().unwrap().code(), Some(0), "{rest}");
        rest
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already where all is well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Asks who is calling, and reads until the connection ends.
fn ask(address: &str, header: &str) -> String {
    let request = "GET /auth/session HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n";
    send(address, &format!("{request}{header}\r\n"))
}

/// Sends a request and reads until the connection ends.
pub(crate) fn send(address: &str, request: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    socket.read_to_string(&mut reply).unwrap();
    reply
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
fn a_component_that_cannot_be_read_stops_the_start_with_one_line_and_status_2() {
    // Below what is a file and no folder.
    let folder = installed("auth.strategy = './plugins/none.wasm/x'");
    let said = |file: &str| {
        let output = run(&["serve"], folder.path());
        assert_eq!(output.status.code(), Some(2), "{file}");
        let errors = errors(&output);
        let line = errors.lines().last().unwrap();
        assert!(line.starts_with("error: ") && line.contains(file), "{errors}");
        assert!(line.contains("it cannot be read: "), "{errors}");
    };
    said("plugins/none.wasm/x");

    let locked = folder.path().join("plugins/none.wasm");
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&locked).is_ok() {
        eprintln!("SKIPPED: root reads every file, so that modes cannot be tested");
        return;
    }
    fs::write(folder.path().join("vestibule.toml"), "auth.strategy = 'none.wasm'").unwrap();
    said("plugins/none.wasm");
}

#[test]
fn a_grant_that_is_missing_stops_the_start_with_the_lines_that_would_grant_it() {
    let folder = installed("auth.strategy = 'greedy.wasm'");
    let everything = craft::dummy(|_, text| text).unwrap();
    fs::write(folder.path().join("plugins/greedy.wasm"), everything).unwrap();
    for subcommand in ["check", "serve"] {
        let output = run(&[subcommand], folder.path());
        assert_eq!(output.status.code(), Some(2), "{subcommand}");
        let errors = errors(&output);
        let (_, told) = errors.split_once("error: ").expect("an error");
        assert!(
            told.starts_with("plugins/greedy.wasm: it needs what it is not granted: http-client"),
            "{errors}"
        );
        let (_, lines) = told.split_once('\n').expect("lines to add");
        assert_eq!(
            lines.trim_end(),
            "[auth.grants]\nhttp = [\"…\"]\njose = [\"…\"]\ntoken_store = [\"…\"]",
        );
    }
    assert!(!folder.path().join("vestibule.db").exists());
}

#[test]
fn a_setting_that_is_missing_stops_the_start_with_the_line_that_sets_it() {
    let folder = installed("auth.strategy = 'hello-strategy'");
    add(&folder, "hello-strategy");
    for subcommand in ["check", "serve"] {
        let output = run(&[subcommand], folder.path());
        assert_eq!(output.status.code(), Some(2), "{subcommand}");
        let errors = errors(&output);
        let line = errors.lines().last().unwrap();
        assert!(line.starts_with("error: ") && line.contains("\"team\" is missing"), "{errors}");
        assert!(line.contains("add `team = \"…\"` to [auth.settings]"), "{errors}");
    }
}

#[test]
fn mistakes_in_the_configuration_are_all_told_with_status_2() {
    let folder = installed(
        "[server]\nlisten = 'x'\ndrian = '2s'\n[auth]\nstrategy = 'none'\nlimits.cpu = 'y'\n\
         [database]\nurl = 'mysql://a'\n[plugin]\ndir = 'x'\n",
    );
    let output = run(&["check"], folder.path());
    assert_eq!(output.status.code(), Some(2));
    let errors = errors(&output);
    for mistake in [
        "vestibule.toml:2: [server] listen: ",
        "vestibule.toml:3: [server] drian: ",
        "did you mean \"drain\"?",
        "vestibule.toml:6: [auth.limits] cpu: ",
        "vestibule.toml:8: [database] url: ",
        "vestibule.toml:9: [plugin]: unknown section, did you mean",
    ] {
        assert!(errors.contains(mistake), "{mistake} {errors}");
    }
}

#[test]
fn the_examples_are_well() {
    let folder = installed("");
    for name in ["none", "su-github", "mu-keycloak"] {
        add(&folder, name);
        fs::copy(
            workspace().join(format!("examples/{name}.toml")),
            folder.path().join("vestibule.toml"),
        )
        .unwrap();
        for file in ["github.secret", "keycloak.secret"] {
            fs::write(folder.path().join(file), "plaintext-canary of an example").unwrap();
        }
        let output = run(&["check"], folder.path());
        assert_eq!(output.status.code(), Some(0), "{name}: {}", errors(&output));
    }
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
        "HOSTILE_TOKEN",
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
fn inspect_draws_what_a_component_can_reach() {
    let folder = installed("");
    let drawn = |name: &str| {
        let file = component(name);
        let output = run(&["plugin", "inspect", file.to_str().unwrap()], folder.path());
        let text = String::from_utf8(output.stdout).unwrap();
        let (_, tree) = text.split_once("what it can reach\n").expect(&text);
        tree.split("\n\n").next().unwrap().to_owned()
    };
    assert_eq!(drawn("none"), "  none\n  └─ nothing");
    let tree = drawn("su-github");
    for line in [
        "  ├─ secrets           always",
        "  │  └─ client_secret  from the setting client_secret",
        "  ├─ http-client       by grant, [auth.grants] http",
        "  │  └─ {api_url}      from the setting api_url, https://api.github.com by default",
        "  │  ├─ github         proposed",
        "  └─ browsers          by grant, [auth.grants] http and browser",
    ] {
        assert!(tree.lines().any(|drawn| drawn == line), "{line}:\n{tree}");
    }
    assert!(drawn("hello-strategy").contains("└─ x-team"));
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
    let server = Server::start(folder.path());
    let reply = ask(&server.address, "");
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    assert!(reply.contains(r#""local_owner":true"#), "{reply}");

    server.terminate();
    let rest = server.end();
    assert!(rest.contains("shutting down"), "{rest}");
    let database = fs::metadata(folder.path().join("vestibule.db")).unwrap();
    assert_eq!(database.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_server_that_is_to_end_says_so_before_it_refuses_anybody() {
    let folder = installed("server.listen = '127.0.0.1:0'\nauth.strategy = 'none'");
    let started = |drain: &str| {
        let mut command = vestibule(&["serve", "--log-format", "json"], folder.path());
        command.env("VESTIBULE_SERVER_DRAIN", drain);
        Server::of(command)
    };
    let mut server = started("1h");
    server.terminate();
    server.wait_for("no longer ready");
    let ready = "GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let reply = send(&server.address, ready);
    assert!(reply.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{reply}");
    let reply = ask(&server.address, "");
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    // Whoever does not want to wait asks once more.
    server.terminate();
    assert_eq!(server.process.wait().unwrap().code(), Some(1));

    let server = started("1ms");
    server.terminate();
    let rest = server.end();
    let told = ["no longer ready", "shutting down"].map(|text| rest.find(text));
    assert!(told[0].is_some() && told[0] < told[1], "{rest}");
}

#[test]
fn a_connection_on_which_a_body_dribbles_in_is_closed() {
    let folder = installed(
        "server.listen = '127.0.0.1:0'\nserver.body_timeout = '50ms'\nauth.strategy = 'none'",
    );
    let server = Server::start(folder.path());
    let request = "POST /api/v1/secrets HTTP/1.1\r\nhost: localhost\r\n\
                   content-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    // The end of the connection is waited for.
    let reply = send(&server.address, request);
    assert!(reply.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{reply}");
    assert!(reply.contains("connection: close\r\n"), "{reply}");
    server.terminate();
    server.end();
}

/// A strategy that may take its time, on a fiber, so that a signal is heard even where
/// there is one thread.
fn lingering() -> TempDir {
    let folder = installed(
        "server.listen = '127.0.0.1:0'\n[auth]\nstrategy = 'hostile-waiting'\n\
         limits.cpu = '60s'\nlimits.wall = '60s'\n\
         grants.http = ['https://a.example']\ngrants.jose = ['https://b.example']\n\
         grants.token_store = ['github']\n",
    );
    add(&folder, "hostile-waiting");
    folder
}

#[test]
fn a_server_that_is_told_twice_to_end_ends_at_once() {
    let folder = lingering();
    let mut server = Server::start(folder.path());
    let mut asked = TcpStream::connect(&server.address).unwrap();
    asked
        .write_all(b"GET /auth/session HTTP/1.1\r\nhost: localhost\r\nx-behave: linger\r\n\r\n")
        .unwrap();
    server.wait_for("lingers");
    server.terminate();
    server.wait_for("shutting down");
    server.terminate();
    assert_eq!(server.process.wait().unwrap().code(), Some(1));
    assert_eq!(asked.read(&mut [0; 16]).unwrap_or(0), 0, "nobody waited for the answer");
}

#[test]
fn a_request_in_flight_is_answered_whole_before_the_server_ends() {
    let folder = lingering();
    let mut server = Server::start(folder.path());
    let address = server.address.clone();
    let caller = thread::spawn(move || ask(&address, "x-behave: linger\r\n"));
    server.wait_for("lingers");
    server.terminate();
    server.wait_for("shutting down");
    assert!(!caller.is_finished(), "the request was not in flight any more");

    let reply = caller.join().unwrap();
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
    let body = reply.split("\r\n\r\n").nth(1).unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["user_id"], "visitor");
    let rest = server.end();
    assert!(!rest.contains("cut off"), "{rest}");
}

#[test]
fn a_refused_request_is_found_in_the_log_by_the_id_that_its_caller_got() {
    let folder = installed("server.listen = '127.0.0.1:0'\nauth.strategy = 'none'");
    let mut server = Server::start(folder.path());
    let forged = "authorization: Bearer nonsense\r\nx-request-id: forged\r\n";
    let reply = ask(&server.address, forged);
    assert!(reply.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{reply}");
    let id = reply.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap();
    assert_ne!(id, "forged");
    let line = server.wait_for("request refused");
    assert_eq!(line["request.id"], id, "{line}");
    assert!(reply.contains(&format!(r#""request_id":"{id}""#)), "{reply}");
    server.terminate();
    server.end();
}

/// The commands of the README's section, without prompts.
fn readme_commands(section: &str) -> Vec<String> {
    let readme = fs::read_to_string(workspace().join("README.md")).unwrap();
    let text = readme.split(&format!("\n## {section}\n")).nth(1).expect("the section");
    let block = text.split("```console\n").nth(1).expect("commands");
    let block = block.split("```").next().unwrap();
    block.lines().filter_map(|line| line.strip_prefix("$ ").map(str::to_owned)).collect()
}

#[test]
fn the_commands_of_the_readme_work_as_they_are_written() {
    // What a clone has after its first line of commands: cargo is stood in for
    // by a script that tells what it was asked for.
    let clone = tempfile::tempdir().unwrap();
    let inside = |path: &str| clone.path().join(path);
    for folder in ["target/release", "stand-in"] {
        fs::create_dir_all(inside(folder)).unwrap();
    }
    symlink(workspace().join("examples"), inside("examples")).unwrap();
    symlink(workspace().join("target/plugins"), inside("target/plugins")).unwrap();
    symlink(env!("CARGO_BIN_EXE_vestibule-under-test"), inside("target/release/vestibule"))
        .unwrap();
    fs::write(inside("stand-in/cargo"), "#!/bin/sh\necho \"$@\" >> stand-in/asked\n").unwrap();
    fs::set_permissions(inside("stand-in/cargo"), fs::Permissions::from_mode(0o755)).unwrap();

    let mut commands = readme_commands("Run it");
    let serve = commands.pop().unwrap();
    assert!(serve.starts_with("vestibule serve "), "{serve}");
    // In place of the shell, so that the signal reaches the server.
    let script = format!("set -e\n{}\nexec {serve}\n", commands.join("\n"));
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", &script])
        .current_dir(clone.path())
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", inside("stand-in").display()))
        .env("VESTIBULE_LOG_FORMAT", "json")
        .env("VESTIBULE_SERVER_DRAIN", "0s")
        // The port of the example may be taken here.
        .env("VESTIBULE_SERVER_LISTEN", "127.0.0.1:0")
        .stdout(fs::File::create(inside("said")).unwrap());
    let server = Server::of(shell);
    let reply = ask(&server.address, "");
    assert!(reply.contains(r#""strategy":"none""#), "{reply}");
    server.terminate();
    server.end();
    assert_eq!(
        fs::read_to_string(inside("stand-in/asked")).unwrap(),
        "build --release --package vestibule\nxtask plugins\n",
    );
    let said = fs::read_to_string(inside("said")).unwrap();
    assert!(said.starts_with("ok: strategy none "), "{said}");
}
