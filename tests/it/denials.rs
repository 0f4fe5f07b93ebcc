//! A refusal is told with the lines that would grant what was refused.

use std::{net::IpAddr, sync::Arc};

use serde_json::{Value, json};
use vestibule::{
    config::{Config, Environment},
    engine::Hooks,
    store::AuditEntry,
};
use vestibule_tests::{
    TestApp,
    browser::Browser,
    database::Database,
    issuer::{Issuer, Key, Says},
    logs::Logs,
    peer::{Peer, answer},
    puppet::{hooked, play, puppet, step, verifying},
};

use crate::audit::written_down;

fn get(url: &str) -> Value {
    json!({"do": "send", "url": url})
}

/// The lines of configuration that stand in a log, each denial's own.
fn told(log: &str) -> Vec<Config> {
    let lines: Vec<&str> = log.lines().collect();
    let follows = |(at, line): (usize, &&str)| {
        let toml = line.starts_with("[auth.grants]").then(|| lines[at + 1])?;
        // What comes after the value are the fields of the line.
        let end = toml.rfind(']').expect("a list") + 1;
        Some(format!("auth.strategy = 'x'\n[auth.grants]\n{}", &toml[..end]))
    };
    let parse = |toml: String| Config::parse(None, &toml, Environment::fixed(&[])).expect(&toml);
    lines.iter().enumerate().filter_map(follows).map(parse).collect()
}

#[tokio::test]
async fn a_refused_origin_comes_with_the_line_that_grants_it_beside_the_others() {
    let app = puppet(&["https://a.example"], "").await;
    let logs = Logs::collect();
    let refused = step(&app, get("https://api.example/path?hunter2#hunter2")).await;
    assert!(refused.starts_with("HttpError::NotGranted("), "{refused}");
    let text = logs.text();
    let [config] = &told(&text)[..] else { panic!("{text}") };
    assert_eq!(config.auth.grants.http, ["https://a.example", "https://api.example"]);
    assert!(text.contains("strategy.name=\"puppet\"") && text.contains("request.id="), "{text}");
    assert!(!text.contains("hunter2") && !text.contains("/path"), "{text}");
    // And it does grant it: what fails now is the look-up of a name that is none.
    let granted: Vec<&str> = config.auth.grants.http.iter().map(String::as_str).collect();
    let again = step(&puppet(&granted, "").await, get("https://api.example/path")).await;
    assert!(!again.starts_with("HttpError::NotGranted("), "{again}");
}

/// Where every name stands for this address.
fn names_stand_for(address: IpAddr) -> Hooks {
    Hooks { look_up: Some(Arc::new(move |_: &str| vec![address])), ..Hooks::default() }
}

#[tokio::test]
async fn a_name_that_may_not_stand_for_its_address_comes_with_the_line_for_the_address() {
    let peer = Peer::start(|_| async { answer(200, "text/plain", "here") }).await;
    let by_name = format!("http://idp.example:{}", peer.port);
    for (address, host) in [
        ("fd00:ec2::254", "[fd00:ec2::254]"),
        ("169.254.169.254", "169.254.169.254"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
    ] {
        let app = hooked(&[&by_name], "", names_stand_for(address.parse().unwrap())).await;
        let logs = Logs::collect();
        assert_eq!(step(&app, get(&by_name)).await, "HttpError::ForbiddenAddress");
        let text = logs.text();
        let [config] = &told(&text)[..] else { panic!("{text}") };
        let by_address = format!("http://{host}:{}", peer.port);
        assert_eq!(config.auth.grants.http, [&*by_name, &*by_address]);
        let stands = format!("stands for {}, which it may not", host.trim_matches(['[', ']']));
        assert!(text.contains(&stands) && text.contains(&by_name), "{text}");
        assert!(!text.contains("not granted"), "the name is: {text}");
    }
    // The last of them is where the peer is.
    let by_address = &*peer.origin;
    let there = step(&puppet(&[&by_name, by_address], "").await, get(by_address)).await;
    assert!(there.contains("200"), "{there}");
}

#[tokio::test]
async fn a_refused_issuer_and_a_refused_name_come_with_theirs() {
    let app = puppet(&[], "").await;
    let logs = Logs::collect();
    let script = json!([
        {"do": "discover", "issuer": "https://idp.example/realms/a"},
        {"do": "discover", "issuer": "https://idp.example/?hunter2"},
        {"do": "load", "name": "gitlab"},
    ]);
    play(&app.anonymous(), script).await;
    let text = logs.text();
    let [issuer, name] = &told(&text)[..] else { panic!("{text}") };
    assert_eq!(
        issuer.auth.grants.jose,
        ["https://nowhere.example", "https://idp.example/realms/a"]
    );
    assert_eq!(name.auth.grants.token_store, ["github", "offline", "gitlab"]);
    assert!(!text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn a_secret_that_is_not_declared_is_told_to_be_beyond_configuration() {
    let app = TestApp::start("hostile", "").await;
    let logs = Logs::collect();
    app.anonymous().with("x-behave", "secret-probe").get("/auth/session").await;
    let text = logs.text();
    assert!(text.contains("asked for a secret that is not granted"), "{text}");
    assert!(text.contains("no configuration can give it"), "{text}");
}

#[tokio::test]
async fn a_place_for_browsers_comes_with_its_line() {
    let toml = "server.public_url = 'https://auth.example'\n\
                [auth.grants]\nbrowser = ['https://idp.example']\n";
    let app = TestApp::start("visited", toml).await;
    let logs = Logs::collect();
    let reply = Browser::new(&app).open("/auth/login/start?hint=elsewhere").await;
    assert_eq!(reply.status, 503);
    let text = logs.text();
    let [config] = &told(&text)[..] else { panic!("{text}") };
    assert_eq!(config.auth.grants.browser, ["https://idp.example", "https://evil.example"]);
}

#[tokio::test]
async fn the_same_refusal_is_told_once_a_minute_and_counted_in_between() {
    let app = puppet(&[], "").await;
    let logs = Logs::collect();
    let ask = get("https://elsewhere.example/");
    play(&app.anonymous(), json!([ask, ask, get("https://other.example/")])).await;
    play(&app.anonymous(), json!([ask])).await;
    let told = |text: &str| text.matches("an origin that is not granted").count();
    assert_eq!(told(&logs.text()), 2, "{}", logs.text());
    app.clock.advance(60);
    play(&app.anonymous(), json!([ask])).await;
    let text = logs.text();
    assert_eq!(told(&text), 3, "{text}");
    assert!(text.contains("suppressed=2"), "{text}");
}

fn targets_and_reasons(entries: &[AuditEntry]) -> Vec<String> {
    let of = |entry: &AuditEntry| {
        format!("{} {}", entry.target.as_ref().unwrap(), entry.reason.as_ref().unwrap())
    };
    let mut told: Vec<_> = entries.iter().map(of).collect();
    told.sort();
    told
}

#[tokio::test]
async fn what_an_issuer_s_documents_lead_to_is_told_and_written_down_alike() {
    let issuer = Issuer::start(&[&Key::ed25519("ed")]).await;
    let mut document = issuer.document();
    document["jwks_uri"] = json!("https://169.254.169.254/keys?hunter2");
    issuer.discover(Says::Document(document));
    let issuers = [&*issuer.id, "http://plain.example", "https://named.example"];
    let hooks = names_stand_for([169, 254, 169, 254].into());
    let app = verifying(&Database::sqlite(), &issuers, &[], "", hooks).await;
    let logs = Logs::collect();
    let mut script: Vec<_> =
        issuers.iter().map(|issuer| json!({"do": "discover", "issuer": issuer})).collect();
    for member in ["metadata_url", "jwks_url"] {
        let place = format!("https://{}.example/hunter2", member.replace('_', "-"));
        script.push(json!({"do": "discover", "issuer": issuer.id, member: place}));
    }
    play(&app.anonymous(), Value::Array(script)).await;
    assert_eq!(
        targets_and_reasons(&written_down(&app, "strategy.reach", 5).await),
        [
            "http://plain.example an origin that is not granted",
            "https://169.254.169.254 an origin that is not granted",
            "https://jwks-url.example an origin that is not granted",
            "https://metadata-url.example an origin that is not granted",
            "https://named.example a name that stands for 169.254.169.254, which it may not stand \
             for",
        ]
    );
    let told = told(&logs.text());
    let granted = told.iter().map(|config| &*config.auth.grants.http[1]);
    assert_eq!(
        granted.collect::<Vec<_>>(),
        [
            "https://169.254.169.254",
            "http://plain.example",
            "https://169.254.169.254",
            "https://metadata-url.example",
            "https://jwks-url.example",
        ]
    );
}

#[tokio::test]
async fn a_refused_request_is_in_the_audit_as_often_as_in_the_log() {
    let hooks = names_stand_for([169, 254, 169, 254].into());
    let app = hooked(&["https://a.example"], "", hooks).await;
    let elsewhere = get("https://elsewhere.example/path?hunter2");
    let (metadata, port) = (get("http://169.254.169.254/latest"), get("https://a.example:8443/"));
    let by_name = get("https://a.example/hunter2");
    play(&app.anonymous(), json!([elsewhere, elsewhere, metadata, port, by_name, by_name])).await;
    let entries = written_down(&app, "strategy.reach", 4).await;
    assert_eq!(
        targets_and_reasons(&entries),
        [
            "http://169.254.169.254 an origin that is not granted",
            "https://a.example a name that stands for 169.254.169.254, which it may not stand for",
            "https://a.example:8443 an origin that is not granted",
            "https://elsewhere.example an origin that is not granted",
        ]
    );
    let digest = app.host.registry().current().digest().to_owned();
    for entry in entries {
        assert_eq!(entry.outcome, "refused");
        assert_eq!(entry.strategy_digest.as_deref(), Some(digest.as_str()));
        assert!(entry.request_id.is_some());
    }
}

#[tokio::test]
async fn a_flood_of_targets_is_cut() {
    let app = puppet(&[], "").await;
    let logs = Logs::collect();
    for half in 0..2 {
        let asks = (0..50).map(|n| get(&format!("https://{half}-{n}.example/")));
        play(&app.anonymous(), asks.collect()).await;
    }
    let text = logs.text();
    assert_eq!(text.matches("an origin that is not granted").count(), 64, "{text}");
    assert_eq!(text.matches("asks for more than 64 things").count(), 1, "{text}");
    let entries = written_down(&app, "strategy.reach", 65).await;
    assert_eq!(entries.len(), 65);
    assert!(entries.iter().any(|entry| entry.target.is_none()), "the last of them is for the rest");
}
