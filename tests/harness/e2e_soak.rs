//! A server under a steady load of requests and log-ins, for as long as one likes: no
//! request may fail, and neither memory nor open files may grow.
//!
//! Its arguments are the server, for how many seconds, and requests in a second.

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    net::TcpListener,
    process::{Child, Command},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use http::{HeaderMap, StatusCode};
use tokio::{task::JoinSet, time::MissedTickBehavior};
use vestibule::{
    clock::Clock,
    config::Config,
    store::{NewApiKey, Store},
};
use vestibule_tests::{
    component,
    database::{SECRET, user},
    keycloak::{Keycloak, Person},
    run::text,
};

/// Log-ins in a second; each of them ends an older session as well.
const LOG_INS: u64 = 2;

/// People who log in, one after another.
const PEOPLE: usize = 200;

/// Sessions that are used at once.
const SESSIONS: usize = 50;

/// Requests that may wait for their answers at once: more is a server that is stuck.
const WAITING: usize = 2_000;

/// How often memory and files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// What memory may grow by after the first fifth, in parts of a hundred, beside what one
/// look differs from the next.
const GROWTH: u64 = 5;

/// Files of the database that may be open beyond those of the first half.
const SPARE_FILES: u64 = 16;

/// A server, which ends with this.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the process has at a moment.
#[derive(Clone, Copy, Debug)]
struct Look {
    /// Resident memory without what belongs to files, in KiB.
    memory: u64,
    files: usize,
}

impl Look {
    fn at(process: u32) -> anyhow::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).context("RssAnon")?;
        let memory = line.split_whitespace().nth(1).context("a number")?.parse()?;
        let files = fs::read_dir(format!("/proc/{process}/fd"))?.count();
        Ok(Self { memory, files })
    }
}

/// Everybody who asks.
#[derive(Clone)]
struct Crowd {
    client: reqwest::Client,
    server: String,
    keycloak: Arc<Keycloak>,
    key: String,
    sessions: Arc<Mutex<VecDeque<String>>>,
    times: Arc<Mutex<Vec<u32>>>,
    waiting: Arc<AtomicUsize>,
}

impl Crowd {
    fn sessions(&self) -> std::sync::MutexGuard<'_, VecDeque<String>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One request of the mix.
    async fn ask(&self, turn: usize) -> anyhow::Result<()> {
        let session = {
            let sessions = self.sessions();
            sessions.get(turn % sessions.len()).cloned().context("a session")?
        };
        let (path, name, value) = match turn % 10 {
            0..5 => ("/api/v1/users/me", "cookie", session),
            5..8 => ("/api/v1/secrets/search", "authorization", format!("Bearer {}", self.key)),
            8 => ("/auth/session", "accept", "*/*".to_owned()),
            _ => ("/healthz", "accept", "*/*".to_owned()),
        };
        let started = Instant::now();
        let answer = self.client.get(format!("{}{path}", self.server)).header(name, value);
        let answer = answer.send().await?;
        let status = answer.status();
        let body = answer.text().await?;
        ensure!(status == StatusCode::OK, "{path}: {status}: {body}");
        let time = u32::try_from(started.elapsed().as_micros())?;
        self.times.lock().unwrap_or_else(PoisonError::into_inner).push(time);
        Ok(())
    }

    /// Somebody logs in, and whoever was first of those who are in logs out.
    async fn log_in(&self, turn: usize) -> anyhow::Result<()> {
        let mut jar = BTreeMap::new();
        let (mut status, mut headers) = self.open("/auth/login/start", &mut jar).await?;
        self.keycloak.sit_down(Some(Person::new(&format!("person-{}", turn % PEOPLE))));
        while status == StatusCode::SEE_OTHER {
            let location = headers.get("location").context("a location")?.to_str()?;
            let back = url::Url::parse(&self.keycloak.visit(location))?;
            let path = &back[url::Position::BeforePath..];
            (status, headers) = self.open(path, &mut jar).await?;
        }
        ensure!(status == StatusCode::OK, "a log-in ended with {status}");
        let value = jar.get("vestibule-session").context("a log-in without a session")?;
        let cookie = format!("vestibule-session={value}");
        let gone = {
            let mut sessions = self.sessions();
            sessions.push_back(cookie);
            (sessions.len() > SESSIONS).then(|| sessions.pop_front()).flatten()
        };
        if let Some(cookie) = gone {
            // Requests that have begun with it may still be running.
            tokio::time::sleep(Duration::from_secs(1)).await;
            let request = self.client.post(format!("{}/auth/logout", self.server));
            let answer = request.header("cookie", cookie).header("origin", &self.server).send();
            let status = answer.await?.status();
            ensure!(!status.is_client_error() && !status.is_server_error(), "a log-out: {status}");
        }
        Ok(())
    }

    async fn open(
        &self,
        path: &str,
        jar: &mut BTreeMap<String, String>,
    ) -> anyhow::Result<(StatusCode, HeaderMap)> {
        let cookies: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self.client.get(format!("{}{path}", self.server));
        let answer = request.header("cookie", cookies.join("; ")).send().await?;
        for cookie in answer.headers().get_all("set-cookie") {
            let (pair, attributes) = cookie.to_str()?.split_once(';').context("attributes")?;
            let (name, value) = pair.split_once('=').context("a pair")?;
            if attributes.contains("Max-Age=0") {
                jar.remove(name);
            } else {
                jar.insert(name.to_owned(), value.to_owned());
            }
        }
        Ok((answer.status(), answer.headers().clone()))
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let program = arguments.next().context("name the server")?;
    let span = Duration::from_secs(arguments.next().context("say for how long")?.parse()?);
    let rate: u64 = arguments.next().context("say how often in a second")?.parse()?;

    let keycloak = Arc::new(Keycloak::start(Person::new("person-0")).await);
    keycloak.keep_time(&Clock::System);
    let folder = tempfile::tempdir()?;
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let url = format!("http://localhost:{}", address.port());
    let file = folder.path().join("vestibule.toml");
    let text_of = format!(
        "server.listen = '{address}'\nserver.public_url = '{url}'\n\
         database.url = 'sqlite://{}/vestibule.db'\nencryption.secret = '{SECRET}'\n\
         auth.strategy = '{}'\nrate_limits.user_second = 0\nrate_limits.user_minute = 0\n{}",
        folder.path().display(),
        component("mu-keycloak").display(),
        keycloak.toml(),
    );
    fs::write(&file, text_of)?;
    let store = Store::open(&Config::load(&file)?, Clock::System).await?;
    let scope = user(&store, "nightly").await;
    let named = NewApiKey { name: "soak".to_owned(), ..NewApiKey::default() };
    let key = store.api_keys(&scope).create(&named).await?.text;

    let mut command = Command::new(&program);
    let process = command.arg("serve").arg("--config").arg(&file).env("VESTIBULE_LOG", "error");
    let server = Server(process.spawn().context("the server cannot be started")?);
    let started = Instant::now();
    while std::net::TcpStream::connect(address).is_err() {
        ensure!(started.elapsed() < Duration::from_mins(2), "the server does not listen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    #[expect(clippy::disallowed_methods, reason = "a test calls servers")]
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let crowd = Crowd {
        client,
        server: url,
        keycloak,
        key: text(&key).to_owned(),
        sessions: Arc::default(),
        times: Arc::default(),
        waiting: Arc::default(),
    };
    crowd.log_in(0).await?;
    let looks = run(&crowd, server.0.id(), span, rate).await?;
    report(&crowd, &looks, span)
}

/// Asks at the rate, whatever becomes of the answers, and looks at the process.
async fn run(crowd: &Crowd, process: u32, span: Duration, rate: u64) -> anyhow::Result<Vec<Look>> {
    let mut tasks = JoinSet::new();
    let mut looks = Vec::new();
    let mut tick = tokio::time::interval(Duration::from_secs(1) / u32::try_from(rate)?);
    // What was missed is made up for: the rate is that of the clients, not the server's.
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let started = Instant::now();
    let mut next = Instant::now();
    let logs_in = {
        let crowd = crowd.clone();
        async move {
            let pause = Duration::from_secs(1) / u32::try_from(LOG_INS)?;
            for turn in 1.. {
                if started.elapsed() >= span {
                    break;
                }
                let until = Instant::now() + pause;
                crowd.log_in(turn).await?;
                tokio::time::sleep_until(until.into()).await;
            }
            anyhow::Ok(())
        }
    };
    tasks.spawn(logs_in);
    for turn in 0.. {
        if started.elapsed() >= span {
            break;
        }
        tick.tick().await;
        if crowd.waiting.fetch_add(1, Ordering::Relaxed) > WAITING {
            bail!("{WAITING} requests wait for an answer");
        }
        let asks = crowd.clone();
        tasks.spawn(async move {
            let answer = asks.ask(turn).await;
            asks.waiting.fetch_sub(1, Ordering::Relaxed);
            answer
        });
        while let Some(ended) = tasks.try_join_next() {
            ended??;
        }
        if Instant::now() >= next {
            looks.push(Look::at(process)?);
            next += LOOK;
        }
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    looks.push(Look::at(process)?);
    Ok(looks)
}

fn report(crowd: &Crowd, looks: &[Look], span: Duration) -> anyhow::Result<()> {
    let mut times = crowd.times.lock().unwrap_or_else(PoisonError::into_inner).clone();
    times.sort_unstable();
    let at = |part: usize| f64::from(times[(times.len() - 1) * part / 1000]) / 1_000.0;
    let settled = &looks[looks.len() / 5..];
    let (first, last) = settled.split_at(settled.len() / 2);
    let middle = |looks: &[Look], of: fn(&Look) -> u64| {
        let mut values: Vec<u64> = looks.iter().map(of).collect();
        values.sort_unstable();
        values[values.len() / 2]
    };
    let memory = (middle(first, |look| look.memory), middle(last, |look| look.memory));
    let files = (middle(first, |look| look.files as u64), middle(last, |look| look.files as u64));
    println!(
        "{} answers in {} s, none failed; p50 {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms",
        times.len(),
        span.as_secs(),
        at(500),
        at(990),
        at(999),
    );
    println!(
        "memory {} KiB in the first half and {} in the second, open files {} and {}",
        memory.0, memory.1, files.0, files.1
    );
    ensure!(memory.1 * 100 <= memory.0 * (100 + GROWTH), "memory grows: {looks:?}");
    // The database opens more of its files in a rush and keeps them for a while; what leaks
    // is never given back.
    let lowest = last.iter().map(|look| look.files as u64).min().unwrap_or_default();
    ensure!(lowest <= files.0 + SPARE_FILES, "open files grow: {looks:?}");
    Ok(())
}
