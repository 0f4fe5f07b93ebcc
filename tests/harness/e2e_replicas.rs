//! Several servers on one database, asked on and on for provider tokens that live for
//! seconds: each token has to be renewed once, by one of them.
//!
//! Its arguments are the server, the URL of a database and for how many seconds.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use serde_json::json;
use vestibule::{clock::Clock, config::Config, store::Store};
use vestibule_tests::{
    component,
    database::{SECRET, user},
    forges::{Forges, NAMES},
    run::{at_once, text},
};

const SERVERS: usize = 3;
const USERS: usize = 4;

/// Callers at once, and how long each of them waits between two calls.
const CALLERS: usize = 12;
const PAUSE: Duration = Duration::from_millis(10);

/// How long an access token lives, in seconds: the least that is not taken for a mistake.
const LIFETIME: u64 = 5;

/// How long a token may be over before anybody has asked for it.
const SOON: Duration = Duration::from_secs(3);

const SERVICE_KEY: &str = "the key of the end-to-end services";

/// A server, which ends with this.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start(program: &str, config: &Path) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let process = Command::new(program)
            .arg("serve")
            .arg("--config")
            .arg(config)
            .env("VESTIBULE_SERVER_LISTEN", address.to_string())
            .env("VESTIBULE_LOG", "error")
            .spawn()
            .context("the server cannot be started")?;
        let server = Self { process, address };
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            ensure!(started.elapsed() < Duration::from_mins(2), "the server does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Somebody who asks for tokens, by one server after another.
#[derive(Clone)]
struct Caller {
    client: reqwest::Client,
    servers: Arc<[SocketAddr]>,
    /// The names of users, each with the session key of a sandbox.
    users: Arc<[(String, String)]>,
    answered: Arc<AtomicUsize>,
}

impl Caller {
    /// Asks for one token, or for all that a conversation begins with.
    async fn ask(&self, turn: usize) -> anyhow::Result<()> {
        let server = self.servers[turn % self.servers.len()];
        let (user, key) = &self.users[turn % self.users.len()];
        let request = if turn.is_multiple_of(7) {
            let tokens: serde_json::Map<_, _> =
                NAMES.map(|name| (name.to_owned(), json!({}))).into_iter().collect();
            let path = format!("/api/service/conversations/c{turn}/provider-tokens/refresh");
            self.client
                .post(format!("http://{server}{path}"))
                .header("x-service-api-key", SERVICE_KEY)
                .header("content-type", "application/json")
                .body(json!({"user_id": user, "provider_tokens": tokens}).to_string())
        } else {
            let provider = NAMES[turn % NAMES.len()];
            let path = format!("/api/refresh-tokens?provider={provider}&sid={user}");
            self.client.get(format!("http://{server}{path}")).header("x-session-api-key", key)
        };
        let answer = request.send().await?;
        let status = answer.status();
        let body = answer.text().await?;
        ensure!(status.is_success(), "{status}: {body}");
        self.answered.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let program = arguments.next().context("name the server")?;
    let database = arguments.next().context("name the database")?;
    let span = Duration::from_secs(arguments.next().context("say for how long")?.parse()?);

    let forges = Forges::start(LIFETIME).await;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("vestibule.toml");
    let text_of = format!(
        "database.url = '{database}'\nauth.strategy = '{}'\n\
         encryption.secret = '{SECRET}'\nserver.service_key = '{SERVICE_KEY}'\n\
         rate_limits.sandbox_minute = 0\n{}",
        component("connected").display(),
        forges.toml(),
    );
    std::fs::write(&file, text_of)?;
    let store = Store::open(&Config::load(&file)?, Clock::System).await?;
    let servers =
        (0..SERVERS).map(|_| Server::start(&program, &file)).collect::<Result<Vec<_>, _>>()?;
    let mut users = Vec::new();
    for number in 0..USERS {
        let name = format!("user-{number}");
        let scope = user(&store, &name).await;
        let key = store.sandboxes(&scope).register(&name).await?;
        for provider in NAMES {
            forges.connect(&store, &scope.user, provider, Clock::System.now()).await;
        }
        users.push((name, text(&key).to_owned()));
    }

    #[expect(clippy::disallowed_methods, reason = "a test calls servers")]
    let client = reqwest::Client::new();
    let caller = Caller {
        client,
        servers: servers.iter().map(|server| server.address).collect(),
        users: users.into(),
        answered: Arc::default(),
    };
    let started = Instant::now();
    let callers = (0..CALLERS).map(|number| {
        let caller = caller.clone();
        async move {
            // So that every user, provider and server has its turn with each other.
            for turn in (number..).step_by(CALLERS) {
                if started.elapsed() >= span {
                    break;
                }
                caller.ask(turn).await?;
                tokio::time::sleep(PAUSE).await;
            }
            anyhow::Ok(())
        }
    });
    let answers = at_once(callers).await;
    let ended = Instant::now();
    drop(servers);
    answers.into_iter().collect::<Result<Vec<_>, _>>()?;

    let total = forges.total();
    let (replaced, forgotten) = forges.ended(ended, SOON);
    println!(
        "{} answers of {SERVERS} servers in {:.0} s; {} tokens ended, {} were renewed by {} calls",
        caller.answered.load(Ordering::Relaxed),
        ended.duration_since(started).as_secs_f64(),
        replaced + forgotten,
        total.renewed,
        total.calls,
    );
    ensure!(total.renewed == replaced + forgotten, "a token was not renewed, or not once");
    ensure!(total.calls == total.renewed, "a provider was asked in vain");
    ensure!(total.early == 0, "{} tokens were renewed before their time", total.early);
    ensure!(total.reused == 0, "{} refresh tokens were sent twice", total.reused);
    // Seven seconds for a life of five, so that the load was one.
    let least = USERS * NAMES.len() * usize::try_from(span.as_secs() / (LIFETIME + 2))?;
    ensure!(total.renewed >= least, "{} renewals are less than {least}", total.renewed);
    Ok(())
}
