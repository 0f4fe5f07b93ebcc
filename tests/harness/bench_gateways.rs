//! What it costs to ask Vestibule about every request that nginx passes on.
//!
//! In one run, in turns: nginx with a file that is open to everybody, with one for which it
//! asks another nginx that always says 200 (the most that asking can reach), and with one
//! for which it asks Vestibule about a session; Vestibule asked directly; and oauth2-proxy
//! asked directly about a session of its own, where there is one. Its arguments are the
//! server, nginx, wrk and oauth2-proxy.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use vestibule_tests::{
    component,
    database::SECRET,
    github::{Account, GitHub},
};

/// Turns; the figures are medians over them.
const TURNS: usize = 7;

/// Connections of the load.
const CONNECTIONS: &str = "16";

/// How long each part of a turn takes.
const SPAN: &str = "3s";

const PEOPLE: u64 = 583_231;

/// What oauth2-proxy is told of its one user: `{SHA}` and the digest of their password.
const HTPASSWD: &str = "somebody:{SHA}9wzbwBjU8dNnkqlldK7fmoMKhfw=\n";
const PASSWORD: &str = "of nobody";

/// A process that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn listens(address: SocketAddr) -> anyhow::Result<()> {
    let started = Instant::now();
    while TcpStream::connect(address).is_err() {
        ensure!(started.elapsed() < Duration::from_mins(1), "nobody listens on {address}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// nginx with a file thrice: open, behind a 200 that never changes, and behind Vestibule.
fn nginx_conf(front: SocketAddr, always: SocketAddr, vestibule: SocketAddr) -> String {
    let question = "internal; proxy_http_version 1.1; proxy_pass_request_body off; \
                    proxy_pass_request_headers off; proxy_set_header Connection ''; \
                    proxy_set_header Content-Length ''; proxy_set_header Host $host; \
                    proxy_set_header Cookie $http_cookie; \
                    proxy_set_header X-Original-URL http://auth.localhost$request_uri; \
                    proxy_set_header X-Original-Method $request_method; \
                    proxy_set_header X-Forwarded-For $remote_addr;";
    format!(
        "daemon off; master_process off; pid nginx.pid; error_log stderr error;\n\
         events {{}}\n\
         http {{ access_log off; keepalive_requests 1000000000;\n\
         client_body_temp_path tmp/body; proxy_temp_path tmp/proxy; fastcgi_temp_path tmp/f;\n\
         uwsgi_temp_path tmp/u; scgi_temp_path tmp/s;\n\
         upstream always {{ server {always}; keepalive 16; keepalive_requests 1000000000; }}\n\
         upstream vestibule {{ server {vestibule}; keepalive 16; keepalive_requests 1000000000; }}\n\
         server {{ listen {always}; location / {{ return 200; }} }}\n\
         server {{ listen {front}; root files;\n\
         location = /.always {{ {question} proxy_pass http://always; }}\n\
         location = /.authz {{ {question} proxy_pass http://vestibule/authz/nginx; }}\n\
         location /open/ {{ }}\n\
         location /always/ {{ auth_request /.always; }}\n\
         location /asked/ {{ auth_request /.authz;\n\
         auth_request_set $user $upstream_http_remote_user; add_header X-User $user; }}\n\
         }} }}\n"
    )
}

/// Requests in a second.
fn load(wrk: &str, url: &str, headers: &[String]) -> anyhow::Result<f64> {
    let mut command = Command::new(wrk);
    command.args(["-t1", "-c", CONNECTIONS, "-d", SPAN]);
    for header in headers {
        command.args(["-H", header]);
    }
    let output = command.arg(url).output().context("wrk")?;
    let text = String::from_utf8(output.stdout)?;
    ensure!(!text.contains("Non-2xx"), "{url}: not every answer is a good one:\n{text}");
    let line = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    Ok(line.with_context(|| format!("{url}: {text}"))?.trim().parse()?)
}

/// The session of the one person, who logs in.
async fn session(vestibule: SocketAddr, github: &GitHub) -> anyhow::Result<String> {
    #[expect(clippy::disallowed_methods, reason = "a test calls servers")]
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let get = async |path: &str, cookie: &str| {
        let request = client.get(format!("http://{vestibule}{path}"));
        request.header("host", "auth.localhost").header("cookie", cookie).send().await
    };
    let begun = get("/auth/login/start", "").await?;
    let cookie = begun.headers().get("set-cookie").context("a cookie")?.to_str()?;
    let cookie = cookie.split(';').next().context("a pair")?.to_owned();
    let location = begun.headers().get("location").context("a location")?.to_str()?;
    let back = url::Url::parse(&github.visit(location))?;
    let arrived = get(&back[url::Position::BeforePath..], &cookie).await?;
    let cookies = arrived.headers().get_all("set-cookie").iter();
    let mut pairs = cookies.filter_map(|cookie| cookie.to_str().ok()?.split(';').next());
    let pair = pairs.find(|pair| pair.starts_with("vestibule-session="));
    Ok(pair.context("a session")?.to_owned())
}

/// oauth2-proxy, where its session is a cookie that it has sealed and signed, and the session
/// of somebody who logs in to it.
async fn oauth2_proxy(
    program: &str,
    folder: &Path,
    address: SocketAddr,
) -> anyhow::Result<(Running, String)> {
    let users = folder.join("htpasswd");
    fs::write(&users, HTPASSWD)?;
    let mut command = Command::new(program);
    command.arg(format!("--http-address={address}")).arg("--htpasswd-file").arg(users).args([
        "--provider=github",
        "--client-id=nobody",
        "--client-secret=nobody",
        "--cookie-secret=0123456789abcdef0123456789abcdef",
        "--cookie-secure=false",
        "--email-domain=*",
        "--upstream=static://200",
        "--request-logging=false",
        "--auth-logging=false",
        "--standard-logging=false",
    ]);
    let running = Running(command.spawn().context("oauth2-proxy cannot be started")?);
    listens(address)?;
    #[expect(clippy::disallowed_methods, reason = "a test calls servers")]
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("username", "somebody"), ("password", PASSWORD)])
        .finish();
    let answer = client
        .post(format!("http://{address}/oauth2/sign_in"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form)
        .send()
        .await?;
    let mut cookies = answer.headers().get_all("set-cookie").iter();
    let pair = cookies
        .find_map(|cookie| cookie.to_str().ok()?.split(';').next()?.strip_prefix("_oauth2_proxy="));
    let value = pair.with_context(|| format!("no session of oauth2-proxy: {}", answer.status()))?;
    Ok((running, format!("Cookie: _oauth2_proxy={value}")))
}

fn median(values: &mut [f64]) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[0], values[values.len() - 1])
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &'static str| arguments.next().context(what);
    let (program, nginx, wrk) = (next("the server")?, next("nginx")?, next("wrk")?);
    let folder = tempfile::tempdir()?;
    let (front, always, vestibule) = (free()?, free()?, free()?);
    let github = GitHub::start(Account::new(PEOPLE, "octocat")).await;

    let file = folder.path().join("vestibule.toml");
    let text = format!(
        "server.listen = '{vestibule}'\nserver.public_url = 'http://auth.localhost'\n\
         server.trusted_proxies = ['127.0.0.1']\nencryption.secret = '{SECRET}'\n\
         database.url = 'sqlite://{}/vestibule.db'\nauth.strategy = '{}'\n\
         rate_limits.user_second = 0\nrate_limits.user_minute = 0\n\
         rate_limits.address_minute = 0\n{}[[apps]]\nhost = 'auth.localhost'\nusers = ['{PEOPLE}']\n",
        folder.path().display(),
        component("su-github").display(),
        github.toml(&PEOPLE.to_string()),
    );
    fs::write(&file, text)?;
    let mut server = Command::new(&program);
    server.arg("serve").arg("--config").arg(&file).env("VESTIBULE_LOG", "error");
    let _server = Running(server.spawn().context("the server cannot be started")?);
    listens(vestibule)?;
    let cookie = format!("Cookie: {}", session(vestibule, &github).await?);
    let _nginx = start_nginx(&nginx, folder.path(), &nginx_conf(front, always, vestibule))?;
    listens(front)?;

    let asked = ["X-Original-URL: http://auth.localhost/asked/a", "X-Original-Method: GET"];
    let direct: Vec<String> =
        asked.map(str::to_owned).into_iter().chain([cookie.clone()]).collect();
    let other = match arguments.next() {
        Some(program) => {
            let address = free()?;
            let (running, cookie) = oauth2_proxy(&program, folder.path(), address).await?;
            Some((running, cookie, format!("http://{address}/oauth2/auth")))
        }
        None => None,
    };
    let mut all = vec![Vec::new(); 4 + usize::from(other.is_some())];
    for turn in 0..=TURNS {
        let mut figures = vec![
            load(&wrk, &format!("http://{front}/open/a"), &[])?,
            load(&wrk, &format!("http://{front}/always/a"), std::slice::from_ref(&cookie))?,
            load(&wrk, &format!("http://{front}/asked/a"), std::slice::from_ref(&cookie))?,
            load(&wrk, &format!("http://{vestibule}/authz/nginx"), &direct)?,
        ];
        if let Some((_, cookie, url)) = &other {
            figures.push(load(&wrk, url, std::slice::from_ref(cookie))?);
        }
        // The first turn warms everything up.
        if turn > 0 {
            all.iter_mut().zip(figures).for_each(|(all, figure)| all.push(figure));
        }
    }
    let names = [
        "nginx, open",
        "nginx asks a static 200",
        "nginx asks Vestibule",
        "Vestibule itself",
        "oauth2-proxy itself",
    ];
    if let [.., ours, theirs] = all.as_slice()
        && other.is_some()
    {
        let mut ratios: Vec<f64> =
            ours.iter().zip(theirs).map(|(own, other)| own / other).collect();
        let (ratio, low, high) = median(&mut ratios);
        println!(
            "Vestibule itself / oauth2-proxy: {ratio:.2} ({low:.2}..{high:.2}), goal: at least 3"
        );
    }
    let limit = all[1].clone();
    for (name, figures) in names.into_iter().zip(&mut all) {
        let mut ratios: Vec<f64> =
            figures.iter().zip(&limit).map(|(own, limit)| own / limit).collect();
        let (rate, least, most) = median(figures);
        let (ratio, low, high) = median(&mut ratios);
        println!(
            "{name:<24} {rate:>8.0} requests/s ({least:.0}..{most:.0}), {ratio:.2} of the static 200 ({low:.2}..{high:.2})"
        );
    }
    Ok(())
}

fn start_nginx(program: &str, folder: &Path, conf: &str) -> anyhow::Result<Running> {
    for part in ["tmp", "files/open", "files/always", "files/asked"] {
        fs::create_dir_all(folder.join(part))?;
    }
    for part in ["open", "always", "asked"] {
        fs::write(folder.join("files").join(part).join("a"), "a page\n")?;
    }
    let file = folder.join("nginx.conf");
    fs::write(&file, conf)?;
    let mut command = Command::new(program);
    command.arg("-p").arg(folder).arg("-c").arg(file).arg("-e").arg("stderr");
    Ok(Running(command.spawn().context("nginx cannot be started")?))
}
