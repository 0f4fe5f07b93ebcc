//! The capability `http-client`: what it reaches, what it carries and what it
//! keeps to itself.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{body::Body, response::Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::StatusCode;
use secrecy::SecretString;
use serde_json::{Value, json};
use vestibule::{
    config::{Config, Environment},
    engine::Hooks,
};
use vestibule_tests::{
    TestApp,
    database::Database,
    logs::Logs,
    memory::Search,
    peer::{Peer, Seen, answer, authority, unannounced},
    puppet::{hooked, play, puppet, step},
    run::{canary, note_secret, text},
};

async fn ok(_: Seen) -> Response {
    answer(200, "text/plain", "hello")
}

fn get(url: impl Into<String>) -> Value {
    json!({"do": "send", "url": url.into(), "terse": true})
}

/// A secret that can stand in a header.
fn token(name: &str) -> SecretString {
    let secret = SecretString::from(format!("plaintext-canary-{name}"));
    note_secret(&secret);
    secret
}

/// These names stand for these addresses, and no others for any.
fn addresses(known: Vec<(&'static str, &'static [&'static str])>) -> Hooks {
    let look_up = move |name: &str| -> Vec<IpAddr> {
        let found = known.iter().filter(|(known, _)| *known == name);
        found.flat_map(|(_, found)| *found).map(|address| address.parse().unwrap()).collect()
    };
    Hooks { look_up: Some(Arc::new(look_up)), ..Hooks::default() }
}

#[tokio::test]
async fn a_granted_origin_is_reached() {
    let peer = Peer::start(ok).await;
    let app = puppet(&[&peer.origin], "").await;
    assert_eq!(step(&app, get(format!("{}/path?q=1#fragment", peer.origin))).await, "200 5");
    let seen = peer.seen();
    assert_eq!((seen[0].method.as_str(), seen[0].target.as_str()), ("GET", "/path?q=1"));
    assert_eq!(seen[0].header("host"), format!("127.0.0.1:{}", peer.port));
    assert_eq!(seen[0].header("accept-encoding"), "identity");
    assert!(seen[0].header("user-agent").starts_with("vestibule/"));
}

#[tokio::test]
async fn connections_are_kept_from_call_to_call() {
    let peer = Peer::start(ok).await;
    let app = puppet(&[&peer.origin], "").await;
    for _ in 0..5 {
        assert_eq!(step(&app, get(&peer.origin)).await, "200 5");
    }
    assert_eq!((peer.seen().len(), peer.connections()), (5, 1));
}

#[tokio::test]
async fn an_origin_that_is_not_granted_is_not_reached() {
    let (granted, other) = (Peer::start(ok).await, Peer::start(ok).await);
    let app = puppet(&[&granted.origin], "").await;
    let port = granted.port;
    for (url, answer) in [
        // Another port, another scheme, another name, other spellings of one.
        (format!("{}/secret", other.origin), format!("http://127.0.0.1:{}", other.port)),
        (format!("https://127.0.0.1:{port}/?secret"), format!("https://127.0.0.1:{port}")),
        (format!("http://localhost:{port}/"), format!("http://localhost:{port}")),
        (format!("http://[::1]:{port}/"), format!("http://[::1]:{port}")),
        (format!("http://[::ffff:127.0.0.1]:{port}/"), format!("http://[::ffff:7f00:1]:{port}")),
        (format!("http://127.0.0.2:{port}/"), format!("http://127.0.0.2:{port}")),
        ("http://169.254.169.254/latest".to_owned(), "http://169.254.169.254".to_owned()),
        ("http://127.0.0.1/".to_owned(), "http://127.0.0.1".to_owned()),
    ] {
        assert_eq!(step(&app, get(&url)).await, format!("HttpError::NotGranted({answer:?})"));
    }
    for url in [
        format!("http://user:hunter2@127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{port}@elsewhere.example/"),
        format!("http://127.0.0.1:{port}/a b"),
        "file:///etc/passwd".to_owned(),
        "/relative".to_owned(),
    ] {
        let told = step(&app, get(&url)).await;
        assert!(told.starts_with("HttpError::InvalidRequest("), "{url}: {told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
    assert_eq!((granted.seen().len(), other.seen().len()), (0, 0));
}

#[tokio::test]
async fn the_operator_is_told_of_a_refusal_once_a_call_and_of_no_more_than_the_origin() {
    let app = puppet(&[], "").await;
    let logs = Logs::collect();
    let ask = get("https://elsewhere.example/path?query");
    play(&app.anonymous(), json!([ask, ask, ask])).await;
    let text = logs.text();
    assert_eq!(text.matches("an origin that is not granted").count(), 1, "{text}");
    assert!(text.contains("https://elsewhere.example"), "{text}");
    assert!(!text.contains("elsewhere.example/path"), "{text}");
}

#[tokio::test]
async fn a_name_cannot_stand_for_this_machine_nor_for_what_has_its_own_meaning() {
    let peer = Peer::start(ok).await;
    let forbidden = [
        ("v4.example", &["127.0.0.1"][..]),
        ("v6.example", &["::1"]),
        ("mapped.example", &["::ffff:127.0.0.1"]),
        ("metadata.example", &["169.254.169.254"]),
        ("amazon.example", &["fd00:ec2::254"]),
        ("alibaba.example", &["100.100.100.200"]),
        ("any.example", &["0.0.0.0", "224.0.0.1"]),
        ("metadata.localhost", &["169.254.169.254"]),
    ];
    let origins = forbidden.map(|(name, _)| format!("http://{name}:{}", peer.port));
    let origins = origins.each_ref().map(String::as_str);
    let app = hooked(&origins, "", addresses(Vec::from(forbidden))).await;
    let logs = Logs::collect();
    for origin in origins {
        assert_eq!(step(&app, get(origin)).await, "HttpError::ForbiddenAddress", "{origin}");
    }
    assert_eq!(logs.text().matches("which it may not stand for").count(), 8, "{}", logs.text());
    assert_eq!(peer.connections(), 0);
}

#[tokio::test]
async fn a_name_that_says_this_machine_may_stand_for_it() {
    let peer = Peer::start(ok).await;
    // What a name may not stand for is kept back, and the rest is tried.
    let both = &["169.254.169.254", "127.0.0.1"][..];
    let origins = ["localhost", "idp.localhost"].map(|name| format!("http://{name}:{}", peer.port));
    let origins = origins.each_ref().map(String::as_str);
    let hooks = addresses(vec![("localhost", both), ("idp.localhost", both)]);
    let app = hooked(&origins, "", hooks).await;
    for origin in origins {
        assert_eq!(step(&app, get(origin)).await, "200 5");
    }
    // The system's own resolver goes through the same check.
    let origin = format!("http://localhost:{}", peer.port);
    let app = puppet(&[&origin], "").await;
    assert_eq!(step(&app, get(&origin)).await, "200 5");
}

#[tokio::test]
async fn a_redirect_comes_back_and_is_not_followed() {
    let target = Peer::start(ok).await;
    let location = format!("{}/next", target.origin);
    let peer = Peer::start(move |_| {
        let location = location.clone();
        async move {
            let mut response = answer(302, "text/plain", "");
            response.headers_mut().insert("location", location.parse().unwrap());
            response
        }
    })
    .await;
    // Not even to where a request of its own could go.
    let app = puppet(&[&peer.origin, &target.origin], "").await;
    let told = step(&app, json!({"do": "send", "url": peer.origin})).await;
    assert!(told.starts_with("302 "), "{told}");
    assert!(told.contains(&format!("location: {}/next", target.origin)), "{told}");
    assert_eq!((peer.seen().len(), target.seen().len()), (1, 0));
}

#[tokio::test]
async fn a_reply_that_is_too_large_or_has_no_end_is_given_up() {
    let peer = Peer::start(|seen: Seen| async move {
        match seen.target.as_str() {
            "/announced" => answer(200, "text/plain", vec![b'x'; 2 << 20]),
            "/unannounced" => answer(200, "text/plain", unannounced(2, 1 << 20)),
            "/endless" => answer(200, "text/plain", unannounced(usize::MAX, 1 << 10)),
            "/head" => {
                let mut response = answer(200, "text/plain", "");
                response.headers_mut().insert("x-long", "x".repeat(1 << 20).parse().unwrap());
                response
            }
            _ => answer(200, "text/plain", vec![b'x'; 1 << 20]),
        }
    })
    .await;
    let app = puppet(&[&peer.origin], "").await;
    for path in ["/announced", "/unannounced", "/endless", "/head"] {
        let told = step(&app, get(format!("{}{path}", peer.origin))).await;
        assert_eq!(told, "HttpError::TooLarge", "{path}");
    }
    assert_eq!(step(&app, get(&peer.origin)).await, format!("200 {}", 1 << 20));
}

#[tokio::test]
async fn a_slow_server_costs_a_time_out_and_not_the_call() {
    let peer = Peer::start(|seen: Seen| async move {
        let rest = match seen.target.as_str() {
            // A head, and then nothing.
            "/body" => Body::new(Stuck),
            _ => std::future::pending().await,
        };
        answer(200, "text/plain", rest)
    })
    .await;
    let app = puppet(&[&peer.origin], "[auth.limits]\nwall = '1s'").await;
    for path in ["/head", "/body"] {
        let started = Instant::now();
        let url = format!("{}{path}", peer.origin);
        // The strategy is told, and still has the time to say so.
        assert_eq!(step(&app, get(&url)).await, "HttpError::Timeout", "{path}");
        assert!(started.elapsed() >= Duration::from_millis(500), "{:?}", started.elapsed());
    }
    let app = puppet(&[&peer.origin], "[auth.limits]\nwall = '30s'").await;
    let started = Instant::now();
    let ask = json!({"do": "send", "url": peer.origin, "timeout": 1});
    assert_eq!(step(&app, ask).await, "HttpError::Timeout");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

/// A body of which nothing ever comes.
struct Stuck;

impl axum::body::HttpBody for Stuck {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_broken_connection() {
    let peer = Peer::start(ok).await;
    let origin = peer.origin.clone();
    drop(peer);
    tokio::task::yield_now().await;
    let app = puppet(&[&origin], "").await;
    let told = step(&app, get(&origin)).await;
    assert!(told.starts_with("HttpError::Connection("), "{told}");
}

#[tokio::test]
async fn a_compressed_reply_is_refused() {
    let peer = Peer::start(|_| async {
        let mut response = answer(200, "application/json", "{}");
        response.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
        response
    })
    .await;
    let app = puppet(&[&peer.origin], "").await;
    let told = step(&app, get(&peer.origin)).await;
    assert!(told.contains("compressed"), "{told}");
}

#[tokio::test]
async fn certificates_hold_by_the_operator_s_authority_alone_and_for_their_names() {
    let peer = Peer::start_tls(ok).await;
    let app = puppet(&[&peer.origin], "").await;
    let told = step(&app, get(&peer.origin)).await;
    assert!(told.starts_with("HttpError::Tls(") && told.contains("UnknownIssuer"), "{told}");
    assert_eq!(peer.seen().len(), 0);

    let trusted = format!("auth.ca_file = '{}'", authority().display());
    let app = puppet(&[&peer.origin], &trusted).await;
    assert_eq!(step(&app, get(&peer.origin)).await, "200 5");

    let origin = format!("https://other.localhost:{}", peer.port);
    let hooks = addresses(vec![("other.localhost", &["127.0.0.1"])]);
    let app = hooked(&[&origin], &trusted, hooks).await;
    let told = step(&app, get(&origin)).await;
    assert!(told.starts_with("HttpError::Tls("), "{told}");
}

#[tokio::test]
async fn a_file_of_authorities_that_cannot_be_used_is_named_at_the_start() {
    let database = Database::sqlite();
    let empty = database.folder.path().join("empty.pem");
    std::fs::write(&empty, "no certificate").unwrap();
    for (file, what) in [
        (empty.display().to_string(), "there is no certificate in it"),
        ("/nowhere/ca.pem".to_owned(), "No such file"),
    ] {
        // Even where nothing is granted that would need it.
        let toml = format!("auth.ca_file = '{file}'");
        let started = TestApp::start_on(&database, "none", &toml, &[], Hooks::default()).await;
        let error = started.err().expect("it does not start").to_string();
        assert!(error.starts_with("[auth] ca_file: "), "{error}");
        assert!(error.contains(what) && error.contains(&file), "{error}");
    }
}

#[test]
fn a_grant_that_is_no_origin_is_a_mistake() {
    let text = "[auth]\nstrategy = 'none'\n[auth.grants]\n\
                http = ['https://a.example/path', 'https://a.example']\n\
                browser = ['a.example']\n";
    let error = Config::parse(None, text, Environment::fixed(&[])).unwrap_err().to_string();
    assert_eq!(
        error,
        "[auth.grants] http: \"https://a.example/path\" is not an origin such as \
         \"https://idp.example.com\"\n\
         [auth.grants] browser: \"a.example\" is not an origin such as \"https://idp.example.com\""
    );
}

#[tokio::test]
async fn secrets_arrive_byte_for_byte_and_are_never_in_the_component_s_memory() {
    let peer = Peer::start(ok).await;
    let secret = canary("+/=&%\" ü");
    let bearer = token("bearer");
    let search = Search::default().looking_for(&[&secret, &bearer]);
    let toml = format!("auth.settings.client_secret = '{}'", text(&secret));
    let app = hooked(&[&peer.origin], &toml, search.hooks()).await;
    let caller = app.anonymous().with("authorization", &format!("Bearer {}", text(&bearer)));
    let url = &peer.origin;
    let told = play(
        &caller,
        json!([
            {"do": "send", "method": "POST", "url": url, "terse": true, "bearer": 1,
             "form": [["grant_type", "x y&z"], ["client_secret", 0]]},
            {"do": "send", "method": "PUT", "url": url, "terse": true,
             "json": [["a\"b", "text"], ["token", 0]], "headers": [["x-token", 0]]},
            {"do": "send", "method": "DELETE", "url": url, "terse": true,
             "basic": ["client:id", 0], "raw": ["text/csv", "a,b"]},
        ]),
    )
    .await;
    assert_eq!(told, ["200 5", "200 5", "200 5"]);
    let seen = peer.seen();
    assert_eq!(seen[0].header("authorization"), format!("Bearer {}", text(&bearer)));
    assert_eq!(seen[0].header("content-type"), "application/x-www-form-urlencoded");
    assert_eq!(
        seen[0].text(),
        "grant_type=x+y%26z&client_secret=plaintext-canary+%2B%2F%3D%26%25%22+%C3%BC"
    );
    assert_eq!(seen[1].header("content-type"), "application/json");
    let body: Value = serde_json::from_str(seen[1].text()).unwrap();
    assert_eq!(body, json!({"a\"b": "text", "token": text(&secret)}));
    assert_eq!(seen[1].headers["x-token"].as_bytes(), text(&secret).as_bytes());
    let pair = "client%3Aid:plaintext-canary+%2B%2F%3D%26%25%22+%C3%BC";
    assert_eq!(seen[2].header("authorization"), format!("Basic {}", STANDARD.encode(pair)));
    assert_eq!((seen[2].header("content-type"), seen[2].text()), ("text/csv", "a,b"));
    assert_eq!(search.found(), [""; 0]);
}

#[tokio::test]
async fn headers_that_the_host_writes_and_headers_that_are_none_are_refused() {
    let peer = Peer::start(ok).await;
    let toml = "auth.settings.client_secret = \"plaintext-canary\\r\\nx-smuggled: 1\"";
    let app = puppet(&[&peer.origin], toml).await;
    for header in [
        json!(["Authorization", "Bearer x"]),
        json!(["cookie", "a=b"]),
        json!(["host", "elsewhere.example"]),
        json!(["content-length", "0"]),
        json!(["transfer-encoding", "chunked"]),
        json!(["connection", "upgrade"]),
        json!(["proxy-authorization", "x"]),
        json!(["x y", "z"]),
        json!(["", "z"]),
        json!(["x-a", "b\r\nx-smuggled: 1"]),
        json!(["x-a", "b\0c"]),
        // A secret can do it no more than a text.
        json!(["x-a", 0]),
    ] {
        let ask = json!({"do": "send", "url": peer.origin, "headers": [header]});
        let told = step(&app, ask).await;
        assert!(told.starts_with("HttpError::InvalidRequest("), "{header}: {told}");
        assert!(!told.contains("smuggled"), "{told}");
    }
    for ask in [
        json!({"do": "send", "url": peer.origin, "bearer": 0}),
        json!({"do": "send", "url": peer.origin, "raw": ["text/plain\r\nx-smuggled: 1", ""]}),
        json!({"do": "send", "url": peer.origin, "capture": ["no-pointer"]}),
        json!({"do": "send", "url": peer.origin, "capture": vec!["/a"; 65]}),
    ] {
        let told = step(&app, ask).await;
        assert!(told.starts_with("HttpError::InvalidRequest("), "{told}");
    }
    assert_eq!(peer.seen().len(), 0);
    // In a body it is a value like any other.
    let ask = json!({"do": "send", "method": "POST", "url": peer.origin, "terse": true,
                     "form": [["a", 0]]});
    assert_eq!(step(&app, ask).await, "200 5");
    assert_eq!(peer.seen()[0].text(), "a=plaintext-canary%0D%0Ax-smuggled%3A+1");
}

#[tokio::test]
async fn what_is_captured_becomes_a_handle_and_is_nowhere_else() {
    let (access, refresh) = (token("access"), token("refresh"));
    let (first, second) = (text(&access).to_owned(), text(&refresh).to_owned());
    let peer = Peer::start(move |seen: Seen| {
        let (access, refresh) = (first.clone(), second.clone());
        async move {
            match seen.target.as_str() {
                "/json" => {
                    // Twice under one name, again in a text, and in headers.
                    let body = format!(
                        r#"{{"access_token":"{access}","access_token":"{access}","expires_in":3600,
                        "note":"it is {access}","in":{{"refresh_token":"{refresh}"}},"n":7}}"#
                    );
                    let mut response = answer(200, "application/json", body);
                    for name in ["x-token", "set-cookie", "www-authenticate", "authorization"] {
                        response.headers_mut().insert(name, access.parse().unwrap());
                    }
                    response
                }
                "/form" => {
                    let body = format!("access_token={access}&scope=repo+user&refresh_token=");
                    answer(200, "text/plain", body)
                }
                _ => ok(seen).await,
            }
        }
    })
    .await;
    let search = Search::default().looking_for(&[&access, &refresh]);
    let app = hooked(&[&peer.origin], "", search.hooks()).await;
    let url = &peer.origin;
    let told = play(
        &app.anonymous(),
        json!([
            {"do": "send", "url": format!("{url}/json"),
             "capture": ["/access_token", "/in/refresh_token", "/n", "/missing"]},
            {"do": "send", "url": format!("{url}/form"),
             "capture": ["/refresh_token", "/access_token"]},
            // In the order of `capture`: access, refresh, and access once more.
            {"do": "equal", "one": 0, "other": 2},
            {"do": "equal", "one": 0, "other": 1},
            {"do": "send", "url": url, "terse": true, "bearer": 0, "headers": [["x-refresh", 1]]},
        ]),
    )
    .await;
    let (body, headers) = told[0].split_once(" | ").unwrap();
    assert_eq!(
        body,
        r#"200 [true, true, false, false] {"access_token":null,"expires_in":3600,"note":"it is ","in":{"refresh_token":null},"n":7}"#
    );
    assert!(headers.split(" | ").any(|header| header == "x-token: "), "{headers}");
    assert!(headers.contains("www-authenticate"), "{headers}");
    for withheld in ["set-cookie", "| authorization"] {
        assert!(!headers.contains(withheld), "{headers}");
    }
    let form = told[1].split_once(" | ").unwrap().0;
    assert_eq!(form, "200 [false, true] access_token=&scope=repo+user&refresh_token=");
    assert_eq!(told[2..], ["true", "false", "200 5"]);
    let seen = peer.seen();
    assert_eq!(seen[2].header("authorization"), format!("Bearer {}", text(&access)));
    assert_eq!(seen[2].header("x-refresh"), text(&refresh));
    assert_eq!(search.found(), [""; 0]);
}

#[tokio::test]
async fn a_secret_that_a_server_repeats_does_not_come_back() {
    let secret = token("repeated");
    let peer = Peer::start(|seen: Seen| async move {
        let said = seen.header("authorization").to_owned();
        answer(400, "text/html", format!("<p>bad: {said}</p><p>{}</p>", seen.text()))
    })
    .await;
    let search = Search::default().looking_for(&[&secret]);
    let toml = format!("auth.settings.client_secret = '{}'", text(&secret));
    let app = hooked(&[&peer.origin], &toml, search.hooks()).await;
    for ask in [
        json!({"do": "send", "method": "POST", "url": peer.origin, "bearer": 0,
               "form": [["a", 0]]}),
        json!({"do": "send", "method": "POST", "url": peer.origin, "basic": ["id", 0],
               "json": [["a", 0]]}),
    ] {
        let told = step(&app, ask).await;
        assert!(told.starts_with("400 [] <p>bad: B") && !told.contains("canary"), "{told}");
    }
    assert_eq!(search.found(), [""; 0]);
}

#[tokio::test]
async fn a_reply_that_cannot_be_captured_from_is_withheld() {
    let secret = token("unreadable");
    let said = text(&secret).to_owned();
    let peer = Peer::start(move |seen: Seen| {
        let token = said.clone();
        async move {
            match seen.target.as_str() {
                "/html" => answer(502, "text/html", format!("<p>access_token={token}</p>")),
                "/cut" => answer(200, "application/json", format!(r#"{{"access_token":"{token}""#)),
                _ => answer(204, "application/json", ""),
            }
        }
    })
    .await;
    let search = Search::default().looking_for(&[&secret]);
    let app = hooked(&[&peer.origin], "", search.hooks()).await;
    for (path, status) in [("/html", 502), ("/cut", 200), ("/empty", 204)] {
        let ask = json!({"do": "send", "url": format!("{}{path}", peer.origin),
                         "capture": ["/access_token"]});
        assert_eq!(step(&app, ask).await, format!("HttpError::UnreadableReply({status})"));
    }
    assert_eq!(search.found(), [""; 0]);
}

#[tokio::test]
async fn the_search_finds_a_secret_that_is_in_memory() {
    let secret = token("on-purpose");
    let said = text(&secret).to_owned();
    let peer = Peer::start(move |_| {
        let body = json!({"access_token": said}).to_string();
        async move { answer(200, "application/json", body) }
    })
    .await;
    let search = Search::default().looking_for(&[&secret]);
    let app = hooked(&[&peer.origin], "", search.hooks()).await;
    // A field that the strategy forgets to have captured.
    assert!(step(&app, get(&peer.origin)).await.starts_with("200 "));
    assert_eq!(search.found(), [text(&secret)]);
}

#[tokio::test]
async fn the_answers_say_nothing_of_the_secret_in_any_log() {
    let secret = token("logged");
    let peer = Peer::start(ok).await;
    let toml = format!("auth.settings.client_secret = '{}'", text(&secret));
    let app = puppet(&[&peer.origin], &toml).await;
    let logs = Logs::collect();
    let ask = json!({"do": "send", "method": "POST", "url": peer.origin, "bearer": 0,
                     "terse": true, "form": [["a", 0]]});
    assert_eq!(step(&app, ask).await, "200 5");
    assert!(!logs.text().contains("canary"), "{}", logs.text());
    assert_eq!(app.anonymous().get("/healthz").await.status, StatusCode::OK);
}
