//! What becomes of requests when the ground gives way: a disk that is full or read-only, a
//! database that goes and comes back, a clock that jumps.

use std::{
    fs,
    net::SocketAddr,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use vestibule::{clock::Clock, engine::Hooks};
use vestibule_tests::{
    NOW, TestApp,
    browser::Browser,
    database::{Database, SECRET, user},
    keys::by_key,
};

use crate::{
    command_line::{Server, installed, send},
    login::{PUBLIC, sign_in},
};

/// Makes a disk with little room, which only the process sees that made it.
const MOUNT: &str = "mount -t tmpfs -o size=4m tmpfs disk";

/// Whether this process may, which it says loudly where it may not.
fn may_mount(folder: &TempDir) -> bool {
    let mut try_it = Command::new("unshare");
    try_it.args(["--mount", "sh", "-c", MOUNT]).current_dir(folder.path());
    let may = try_it.status().is_ok_and(|status| status.success());
    if !may {
        eprintln!("SKIPPED: this user may not mount a disk of its own (unshare --mount)");
    }
    may
}

/// A server on a disk of its own, which only it sees and which has little room.
struct SmallDisk {
    folder: TempDir,
    server: Server,
}

impl SmallDisk {
    /// Nothing where this process may not mount anything.
    fn start() -> Option<Self> {
        let folder = installed(
            "server.listen = '127.0.0.1:0'\nauth.strategy = 'none'\n\
             database.url = 'sqlite://disk/vestibule.db'\n\
             rate_limits.user_second = 0\nrate_limits.user_minute = 0\n",
        );
        fs::create_dir(folder.path().join("disk")).unwrap();
        if !may_mount(&folder) {
            return None;
        }
        let program = env!("CARGO_BIN_EXE_vestibule-under-test");
        let serve = format!("{MOUNT} && exec {program} serve --log-format json");
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", &serve])
            .current_dir(folder.path())
            .env("VESTIBULE_SERVER_DRAIN", "0s");
        let server = Server::of(command);
        Some(Self { folder, server })
    }

    /// Runs a command where the server's disk can be seen.
    fn within(&self, command: &str) -> bool {
        let place = self.folder.path().to_str().unwrap();
        let process = self.server.id().to_string();
        let command = format!("cd {place} && {command}");
        let mut within = Command::new("nsenter");
        within.args(["-t", &process, "-m", "sh", "-c", &command]);
        within.status().is_ok_and(|status| status.success())
    }

    fn keep(&self, name: &str) -> u16 {
        let body = json!({"name": name, "value": "v".repeat(8 << 10)}).to_string();
        let request = format!(
            "POST /api/v1/secrets HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        status(&send(&self.server.address, &request))
    }

    fn get(&self, path: &str) -> (u16, String) {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let reply = send(&self.server.address, &request);
        (status(&reply), reply)
    }

    fn kept(&self) -> Vec<String> {
        let (status, reply) = self.get("/api/v1/secrets/search?limit=100");
        assert_eq!(status, 200, "{reply}");
        let body: Value = serde_json::from_str(reply.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        let names = body["items"].as_array().unwrap().iter();
        names.map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    }
}

fn status(reply: &str) -> u16 {
    reply.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_disk_that_is_full_refuses_what_it_cannot_keep_and_loses_nothing() {
    let Some(disk) = SmallDisk::start() else { return };
    assert_eq!(disk.keep("before"), 201);

    assert!(!disk.within("dd if=/dev/zero of=disk/ballast bs=64k 2>/dev/null"), "it is full");
    let mut acknowledged = vec!["before".to_owned()];
    let mut refused = 0;
    for number in 0..40 {
        let name = format!("full_{number}");
        match disk.keep(&name) {
            201 => acknowledged.push(name),
            503 => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert!(refused > 0, "nothing was refused");
    assert_eq!(disk.get("/auth/session").0, 200, "who asks is still known");
    assert_eq!(disk.get("/healthz").0, 200);
    assert_eq!(disk.kept(), acknowledged);

    assert!(disk.within("rm disk/ballast"));
    assert_eq!(disk.keep("roomy"), 201);
    acknowledged.push("roomy".to_owned());

    let mut kept = disk.kept();
    kept.sort();
    acknowledged.sort();
    assert_eq!(kept, acknowledged);
    let told = disk.server.told();
    assert!(told.contains("full"), "{told}");
}

#[test]
fn on_a_disk_that_is_read_only_a_server_does_not_start_and_says_why() {
    let folder = installed("auth.strategy = 'none'\ndatabase.url = 'sqlite://disk/vestibule.db'\n");
    fs::create_dir(folder.path().join("disk")).unwrap();
    if !may_mount(&folder) {
        return;
    }
    let program = env!("CARGO_BIN_EXE_vestibule-under-test");
    let read_only = format!("{MOUNT} && {program} users list && mount -o remount,ro disk");
    let within = |command: &str| {
        let mut within = Command::new("unshare");
        within.args(["--mount", "sh", "-c", &format!("{read_only} && {program} {command}")]);
        within.current_dir(folder.path()).output().unwrap()
    };
    let refused = within("serve");
    let text = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{text}");
    assert!(text.contains("disk/vestibule.db"), "{text}");
    let doctor = within("doctor");
    let text = String::from_utf8(doctor.stdout).unwrap();
    assert_eq!(doctor.status.code(), Some(2), "{text}");
    assert!(text.contains("nothing can be written into disk"), "{text}");
}

/// A way to a database that can be cut.
struct Way {
    address: SocketAddr,
    open: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Way {
    async fn to(database: &str) -> Self {
        let url = url::Url::parse(database).unwrap();
        let target = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let open = Arc::new(AtomicBool::new(true));
        let mut tasks = JoinSet::new();
        let is_open = Arc::clone(&open);
        tasks.spawn(async move {
            let mut running = JoinSet::new();
            loop {
                let Ok((mut near, _)) = listener.accept().await else { continue };
                if !is_open.load(Ordering::Relaxed) {
                    continue;
                }
                let (target, is_open) = (target.clone(), Arc::clone(&is_open));
                running.spawn(async move {
                    let mut far = TcpStream::connect(target).await.expect("the database");
                    let cut = async {
                        while is_open.load(Ordering::Relaxed) {
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                    };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        () = cut => {}
                    }
                });
            }
        });
        Self { address, open, tasks }
    }
}

#[tokio::test]
async fn a_database_that_goes_away_and_comes_back_costs_what_was_asked_meanwhile_and_no_more() {
    let Some(database) = Database::postgres().await else { return };
    let mut way = Way::to(&database.url).await;
    let mut url = url::Url::parse(&database.url).unwrap();
    url.set_port(Some(way.address.port())).unwrap();
    let through = Database { url: url.to_string(), ..database };
    let toml = format!("encryption.secret = '{SECRET}'\n{PUBLIC}");
    let app = TestApp::start_on(&through, "visited", &toml, &[], Hooks::default()).await.unwrap();
    let scope = user(app.host.store(), "ada").await;
    let caller = by_key(&app, &scope).await;
    let browser = sign_in(&app, "&user=ada").await;
    for caller in [&caller, &browser.caller()] {
        assert_eq!(caller.get("/api/v1/users/me").await.status, StatusCode::OK);
    }

    way.open.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(50)).await;
    for _ in 0..3 {
        for caller in [&caller, &browser.caller()] {
            let reply = caller.get("/api/v1/users/me").await;
            assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{}", reply.body);
            assert!(reply.headers.get("set-cookie").is_none(), "the cookie stays");
        }
    }
    let nobody = app.anonymous();
    assert_eq!(nobody.get("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(nobody.get("/healthz").await.status, StatusCode::OK);
    let anonymous = nobody.get("/api/v1/users/me").await.status;
    assert_eq!(anonymous, StatusCode::UNAUTHORIZED, "nobody is let in for it");

    way.open.store(true, Ordering::Relaxed);
    for caller in [&caller, &browser.caller()] {
        assert_eq!(caller.get("/api/v1/users/me").await.status, StatusCode::OK);
    }
    assert_eq!(nobody.get("/readyz").await.status, StatusCode::OK);
    way.tasks.abort_all();
}

#[tokio::test]
async fn a_clock_that_jumps_by_a_day_makes_no_session_eternal_and_drops_none_too_soon() {
    let app = TestApp::start("visited", PUBLIC).await;
    let Clock::Fixed(now) = &app.clock else { panic!("a clock that stands still") };
    let day = 86_400;
    let scope = user(app.host.store(), "ada").await;
    let caller = by_key(&app, &scope).await;
    let before = sign_in(&app, "&user=ada").await;
    let who = async |browser: &Browser| browser.caller().get("/api/v1/users/me").await.status;

    // Back by a day: what was made is from the future, and good.
    now.send_replace(NOW - day);
    assert_eq!(who(&before).await, StatusCode::OK);
    assert_eq!(caller.get("/api/v1/users/me").await.status, StatusCode::OK);
    let meanwhile = sign_in(&app, "&user=ada").await;

    // And right again.
    now.send_replace(NOW);
    for browser in [&before, &meanwhile] {
        assert_eq!(who(browser).await, StatusCode::OK);
    }
    // On by a day: within the seven that a session may idle.
    now.send_replace(NOW + day);
    assert_eq!(who(&before).await, StatusCode::OK);
    now.send_replace(NOW);
    assert_eq!(who(&before).await, StatusCode::OK);

    // However the clock has jumped and however busy it is, thirty days after its log-in a
    // session is over.
    for days in 1..30 {
        now.send_replace(NOW + days * day);
        assert_eq!(who(&before).await, StatusCode::OK, "day {days}");
        let over = days == 29;
        let expected = if over { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
        assert_eq!(who(&meanwhile).await, expected, "day {days} of one begun a day before");
    }
    now.send_replace(NOW + 30 * day);
    for browser in [&before, &meanwhile] {
        assert_eq!(who(browser).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(caller.get("/api/v1/users/me").await.status, StatusCode::OK, "a key has no end");
}
