//! The conformance kit: what ships passes it, and each mistake fails its own row.

use std::{fs, path::Path, process::Command};

use serde_json::Value;
use tempfile::TempDir;
use vestibule_tests::{component, run::keep};

/// What the kit gives the strategy that has to be told where its provider is.
const PROVIDER: &str = "[settings]\nurl = 'https://idp.example'\nrealm = 'team'\n";

fn examined(name: &str, settings: &str) -> (Option<i32>, Value) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("settings.toml");
    fs::write(&file, settings).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_vestibule-under-test"))
        .args(["plugin", "test", "--json", "--settings"])
        .args([&file, &component(name)])
        .output()
        .unwrap();
    let output = keep(output);
    let errors = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{errors}"));
    (output.status.code(), report)
}

/// The outcome of a row, and its notes.
fn row<'a>(report: &'a Value, name: &str) -> (&'a str, String) {
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name);
    let check = check.unwrap_or_else(|| panic!("no {name:?} in {report:#}"));
    (check["outcome"].as_str().unwrap(), check["notes"].to_string())
}

fn passes(name: &str, settings: &str) -> Value {
    let (status, report) = examined(name, settings);
    assert_eq!((status, &report["passed"]), (Some(0), &Value::Bool(true)), "{report:#}");
    assert_eq!(row(&report, "no secret in memory after a call").0, "passed");
    report
}

#[test]
fn none_passes() {
    let report = passes("none", "");
    assert_eq!(report["strategy"], "none");
}

#[test]
fn su_github_passes_and_lets_its_person_in() {
    let report = passes("su-github", "");
    assert_eq!(row(&report, "a log-in with good answers lets somebody in").0, "passed");
    assert_eq!(row(&report, "get-token: hostile answers").0, "passed");
}

#[test]
fn mu_keycloak_passes_and_lets_people_in_and_renews_them() {
    let report = passes("mu-keycloak", PROVIDER);
    assert_eq!(row(&report, "a log-in with good answers lets somebody in").0, "passed");
    assert_eq!(row(&report, "authenticate, to renew: good answers").0, "passed");
    assert_eq!(row(&report, "authenticate, to renew: hostile answers").0, "passed");
}

#[test]
fn each_mistake_fails_its_own_row() {
    let (status, report) = examined("careless", "");
    assert_eq!(status, Some(1), "{report:#}");
    for (name, told) in [
        ("login.complete: hostile answers", "trapped"),
        ("bad credentials are refused, each time alike", "nobody issued is good"),
        ("a log-out token that nobody issued ends no session", "admin"),
        ("a foreign user is never given", "another user"),
        ("no secret in memory after a call", "access token"),
        ("no secret in the log", "access token"),
    ] {
        let (outcome, notes) = row(&report, name);
        assert!(outcome == "failed" && notes.contains(told), "{name}: {notes}");
    }
    for name in [
        "login.begin: hostile answers",
        "login.complete: good answers",
        "login.complete: slow answers",
        "authenticate: hostile answers",
        "list-tokens: hostile answers",
    ] {
        assert_eq!(row(&report, name).0, "passed", "{name}");
    }
}

fn refused(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_vestibule-under-test"))
        .args(["plugin", "test"])
        .args(arguments)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn what_cannot_be_tried_is_told_with_status_2() {
    let told = refused(&[component("mu-keycloak").to_str().unwrap()]);
    assert!(told.contains("url and realm are missing"), "{told}");
    let told = refused(&["nowhere.wasm"]);
    assert!(told.contains("there is no such file"), "{told}");
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("settings.toml");
    fs::write(&file, "settngs = {}\n").unwrap();
    let none = component("none");
    let told = refused(&["--settings", path(&file), path(&none)]);
    assert!(told.contains("unknown key \"settngs\""), "{told}");
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_table_is_for_people() {
    let output = Command::new(env!("CARGO_BIN_EXE_vestibule-under-test"))
        .args(["plugin", "test"])
        .arg(component("none"))
        .output()
        .unwrap();
    let text = String::from_utf8(keep(output).stdout).unwrap();
    assert!(text.starts_with("none 0.1.0\n"), "{text}");
    assert!(text.contains("authenticate: good answers"), "{text}");
    assert!(text.trim_end().ends_with("checks passed, 0 failed"), "{text}");
}
