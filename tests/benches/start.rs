//! How long a server takes from its start to being ready, what it holds in
//! memory then, and how long a component takes to load.
//!
//! The server is this executable: with the arguments of the command line it
//! does what `vestibule` does, whose `main` is one call of the same function.

#![expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]

#[path = "support/components.rs"]
mod components;
#[path = "support/stats.rs"]
#[expect(dead_code, reason = "no bench uses all of it")]
mod stats;

use std::{
    env, fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use stats::{Goal, Samples};
use vestibule::engine::{Engine, EngineOptions};

const ROUNDS: usize = 15;
const PATIENCE: Duration = Duration::from_secs(30);

/// The component that serves comes last, so that the search for a strategy by
/// another of its names looks into all three.
const COMPONENTS: [(&str, &str); 3] = [
    ("1-hello", "test-plugins/hello-strategy"),
    ("2-session", "test-plugins/session"),
    ("3-none", "plugins/none"),
];

/// Components, and in how many milliseconds each should load where nothing is kept of it.
const LOADS: [(&str, f64); 4] = [
    ("test-plugins/hello-strategy", 150.0),
    ("test-plugins/session", 150.0),
    ("plugins/none", 150.0),
    ("plugins/mu-keycloak", 300.0),
];

fn main() -> ExitCode {
    if env::args().nth(1).is_some_and(|argument| argument == "serve") {
        return vestibule::cli::run();
    }
    let folder = tempfile::tempdir().expect("a folder for the server");
    let plugins = folder.path().join("plugins");
    fs::create_dir(&plugins).expect("the folder is new");
    for (file, component) in COMPONENTS {
        let file = plugins.join(file).with_extension("wasm");
        fs::copy(components::path(component), file).expect("the component can be copied");
    }

    let [mut by_file, mut by_name, mut memory] = <[Samples; 3]>::default();
    for round in 0..=ROUNDS {
        let (named, _) = start(folder.path(), "3-none");
        let (searched, resident) = start(folder.path(), "no_auth");
        // The first round brings the files into the page cache.
        if round > 0 {
            by_file.push(named);
            by_name.push(searched);
            memory.push(resident);
        }
    }
    let loads = LOADS.map(|(component, goal)| (component, cold_loads(component), goal));

    stats::heading("start: three components in the folder");
    stats::verdict("exec to ready, strategy by file, ms", &by_file, Goal::AtMost(500.0));
    stats::verdict("exec to ready, strategy searched, ms", &by_name, Goal::AtMost(500.0));
    stats::verdict("resident when idle, MB", &memory, Goal::AtMost(60.0));
    for (component, samples, goal) in &loads {
        stats::verdict(&format!("cold load of {component}, ms"), samples, Goal::AtMost(*goal));
    }
    ExitCode::SUCCESS
}

/// Starts a server and stops it: milliseconds to ready, megabytes resident.
fn start(folder: &Path, strategy: &str) -> (f64, f64) {
    let address = free_address();
    let config = folder.join("vestibule.toml");
    let text = format!(
        "server.listen = '{address}'\ndatabase.url = 'sqlite://{0}/start.db'\n\
         plugins.dir = '{0}/plugins'\nauth.strategy = '{strategy}'\n",
        folder.display()
    );
    fs::write(&config, text).expect("the folder can be written to");
    let started = Instant::now();
    let mut server = Server(
        Command::new(env::current_exe().expect("this executable has a path"))
            .args(["serve", "--config"])
            .arg(&config)
            .env_clear()
            .stderr(Stdio::null())
            .spawn()
            .expect("this executable can be started"),
    );
    while !ready(address) {
        let ended = server.0.try_wait().expect("the child can be waited for");
        assert!(ended.is_none() && started.elapsed() < PATIENCE, "the server does not start");
        thread::sleep(Duration::from_micros(500));
    }
    let ready = started.elapsed().as_secs_f64() * 1e3;
    // Threads that only helped to start go after ten idle seconds; nobody waits
    // for that here, so that the figure is an upper bound.
    thread::sleep(Duration::from_millis(100));
    (ready, resident(server.0.id()))
}

/// A server that ends with the scope, however that ends.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    listener.local_addr().expect("a listener has an address")
}

fn ready(server: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(server) else { return false };
    let request = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let mut response = Vec::new();
    stream.write_all(request).is_ok()
        && stream.read_to_end(&mut response).is_ok()
        && response.starts_with(b"HTTP/1.1 200")
}

/// The resident memory of a process, in megabytes.
fn resident(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it is running");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes: u64 = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .and_then(|number| number.parse().ok())
        .expect("a process has resident memory");
    kibibytes as f64 * 1024.0 / 1e6
}

/// Milliseconds that a component takes through the whole load pipeline.
fn cold_loads(component: &str) -> Samples {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime can be built");
    let mut samples = Samples::default();
    for _ in 0..ROUNDS {
        let engine = Engine::new(EngineOptions::default()).expect("an engine can be made");
        let start = Instant::now();
        runtime.block_on(components::load(&engine, component));
        samples.push(start.elapsed().as_secs_f64() * 1e3);
    }
    samples
}
