//! What the doctor finds, in set-ups that are ill in one way each.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;
use vestibule::{
    clock::Clock,
    config::{Config, Environment},
    doctor::{Finding, Verdict, examine},
};
use vestibule_tests::{
    NOW, component,
    database::{Database, SECRET},
    github::{Account, GitHub},
    peer::{Peer, answer},
    run::canary,
};

fn installed(toml: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let plugins = folder.path().join("plugins");
    fs::create_dir(&plugins).unwrap();
    fs::copy(component("none"), plugins.join("none.wasm")).unwrap();
    for path in [&plugins, &plugins.join("none.wasm")] {
        mode(path, 0o755);
    }
    let file = folder.path().join("vestibule.toml");
    fs::write(&file, toml).unwrap();
    mode(&file, 0o644);
    folder
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn doctor(folder: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule-under-test"));
    command.arg("doctor").args(arguments).current_dir(folder).env_clear().output().unwrap()
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What is wrong with a configuration, about one thing.
async fn found(toml: &str, clock: &Clock, about: &str) -> Vec<(Verdict, String)> {
    let config = Config::parse(None, toml, Environment::fixed(&[])).expect("well formed");
    let findings = examine(&config, clock).await.into_iter();
    findings.filter(|found| found.about == about).map(told).collect()
}

fn told(Finding { verdict, found, mend, .. }: Finding) -> (Verdict, String) {
    assert_eq!(mend.is_some(), verdict != Verdict::Ok, "{found}: what to do about it");
    (verdict, found)
}

#[test]
fn a_sound_folder_has_nothing_to_mend_and_nothing_is_made() {
    let folder = installed("auth.strategy = 'none'");
    let output = doctor(&folder, &[]);
    let text = printed(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("0 to mend"), "{text}");
    assert!(text.contains("ok    strategy        none"), "{text}");
    assert!(text.contains("look  public URL      http://localhost:3000 cannot be"), "{text}");
    assert!(!folder.path().join("vestibule.db").exists());
    assert!(!text.contains('\x1b'), "no colours in a pipe");
}

#[test]
fn files_that_others_may_read_or_write_are_named_with_the_command_that_closes_them() {
    let secret = canary("of the doctor");
    let toml = format!(
        "auth.strategy = 'none'\n[encryption]\nsecret = '{0}{0}{0}'\n[server]\nservice_key_file = 'key'\n",
        vestibule_tests::run::text(&secret)
    );
    let folder = installed(&toml);
    let path = |name: &str| folder.path().join(name);
    fs::write(path("key"), "k".repeat(64)).unwrap();
    fs::write(path("vestibule.db"), "").unwrap();
    for (name, bits) in [("key", 0o640), ("vestibule.db", 0o604), ("plugins/none.wasm", 0o664)] {
        mode(&path(name), bits);
    }
    let output = doctor(&folder, &["--json"]);
    assert_eq!(output.status.code(), Some(2), "{} {output:?}", printed(&output));
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mends: Vec<&str> = all
        .as_array()
        .unwrap()
        .iter()
        .filter(|found| found["found"].as_str().unwrap().contains("by others"))
        .map(|found| found["mend"].as_str().unwrap())
        .collect();
    assert_eq!(
        mends,
        [
            "chmod 600 key",
            "chmod 600 vestibule.toml",
            "chmod 600 vestibule.db",
            "chmod go-w plugins/none.wasm"
        ]
    );
    for (name, bits) in [
        ("key", 0o600),
        ("vestibule.toml", 0o600),
        ("vestibule.db", 0o600),
        ("plugins/none.wasm", 0o644),
    ] {
        mode(&path(name), bits);
    }
    let text = printed(&doctor(&folder, &[]));
    assert!(!text.contains("by others"), "{text}");
}

#[test]
fn a_file_with_mistakes_has_all_of_them_named() {
    let folder = installed("auth.strategy = 'none'\n[server]\nlisten = 1\npublic_ulr = 'x'\n");
    let output = doctor(&folder, &[]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("vestibule.toml:3") && text.contains("public_url"), "{text}");
}

#[tokio::test]
async fn proxies_that_are_believed_too_much_or_not_at_all_are_pointed_out() {
    let https = "auth.strategy = 'none'\nserver.public_url = 'https://auth.example'\n";
    for (lines, verdict, words) in [
        ("server.trusted_proxies = ['127.0.0.1']\n", Verdict::Ok, "few"),
        ("server.trusted_proxies = ['0.0.0.0/0']\n", Verdict::Error, "everybody"),
        ("server.trusted_proxies = ['10.0.0.0/8']\n", Verdict::Warning, "10.0.0.0/8"),
        ("server.trusted_proxies = ['fd00::/8']\n", Verdict::Warning, "fd00::/8"),
        ("", Verdict::Warning, "no proxy is trusted"),
        ("[[apps]]\nhost = 'wiki.example'\n", Verdict::Error, "no gateway may ask"),
    ] {
        let found = found(&format!("{https}{lines}"), &Clock::System, "proxies").await;
        assert!(
            found.iter().any(|(said, text)| *said == verdict && text.contains(words)),
            "{lines}: {found:?}"
        );
    }
    let listens = format!(
        "{https}server.listen = '0.0.0.0:3000'\nserver.allow_open = true\n\
         server.trusted_proxies = ['127.0.0.1']\n"
    );
    let found = found(&listens, &Clock::System, "proxies").await;
    assert!(found[0].1.contains("without TLS"), "{found:?}");
}

#[tokio::test]
async fn a_public_url_that_leads_elsewhere_is_noticed() {
    let other = Peer::start(async |_| answer(404, "text/plain", "nothing here")).await;
    let itself = Peer::start(async |_| answer(200, "application/json", r#"{"status":"ok"}"#)).await;
    let toml =
        |peer: &Peer| format!("auth.strategy = 'none'\nserver.public_url = '{}'\n", peer.origin);
    let wrong = found(&toml(&other), &Clock::System, "public URL").await;
    assert_eq!(wrong[0].0, Verdict::Error);
    assert!(wrong[0].1.contains("404"), "{wrong:?}");
    assert_eq!(other.seen()[0].target, "/healthz");
    let right = found(&toml(&itself), &Clock::System, "public URL").await;
    assert_eq!(right[0].0, Verdict::Ok, "{right:?}");
}

#[tokio::test]
async fn an_identity_provider_whose_clock_is_off_or_who_is_away_is_named() {
    let github = GitHub::start(Account::new(1, "octocat")).await;
    let toml = |github: &str| {
        format!(
            "auth.strategy = '{}'\nserver.public_url = 'http://localhost:3000'\n{github}",
            component("su-github").display()
        )
    };
    let sound = found(&toml(&github.toml("1")), &Clock::System, "granted origin").await;
    assert_eq!(sound, [(Verdict::Ok, format!("{} answers", github.url()))]);
    let early = found(&toml(&github.toml("1")), &Clock::fixed(NOW), "granted origin").await;
    assert_eq!(early[0].0, Verdict::Error);
    assert!(early[0].1.contains("seconds off"), "{early:?}");
    let nobody = github.toml("1").replace(&github.url(), "http://127.0.0.1:9");
    let away = found(&toml(&nobody), &Clock::System, "granted origin").await;
    assert_eq!(away[0].0, Verdict::Error);
    assert!(away[0].1.contains("cannot be reached"), "{away:?}");
}

#[tokio::test]
async fn a_database_is_looked_at_and_its_clock_compared() {
    let databases = [Some(Database::sqlite()), Database::postgres().await];
    for database in databases.into_iter().flatten() {
        let toml = format!(
            "auth.strategy = 'none'\nplugins.dir = '{}'\ndatabase.url = '{}'\n\
             encryption.secret = '{SECRET}'\n",
            component("none").parent().unwrap().display(),
            database.url
        );
        let before = found(&toml, &Clock::System, "database").await;
        assert!(before[0].1.contains("first start"), "{before:?}");
        let config = Config::parse(None, &toml, Environment::fixed(&[])).unwrap();
        vestibule::store::Store::open(&config, Clock::System).await.unwrap();
        let after = found(&toml, &Clock::System, "database").await;
        assert_eq!(after.len(), 1, "{after:?}");
        assert!(after[0].1.contains("up to date"), "{after:?}");
        let apart = found(&toml, &Clock::fixed(NOW), "database").await;
        // The clock of an SQLite database is this machine's own.
        let own = database.url.starts_with("sqlite");
        assert_eq!(apart.len(), if own { 1 } else { 2 }, "{apart:?}");
    }
}
