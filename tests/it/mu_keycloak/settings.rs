//! How it is configured, and what it weighs.

use vestibule_tests::{
    TestApp, component,
    keycloak::{CLIENT_ID, CLIENT_SECRET},
    run::note_secret,
};

/// Settings and the grants that go with them.
fn toml(settings: &str) -> String {
    note_secret(&CLIENT_SECRET.into());
    format!(
        "[auth.settings]\n{settings}\n[auth.grants]\nhttp = ['https://id.example']\n\
         browser = ['https://id.example']\njose = ['https://id.example/realms/team']\n\
         token_store = ['offline', 'github', 'gitlab', 'bitbucket']\n"
    )
}

/// What is enough.
fn enough() -> String {
    format!(
        "url = 'https://id.example'\nrealm = 'team'\nclient_id = '{CLIENT_ID}'\n\
         client_secret = '{CLIENT_SECRET}'\n"
    )
}

async fn refusal(toml: &str) -> String {
    match TestApp::try_start("mu-keycloak", toml, &[]).await {
        Ok(_) => panic!("it started"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_component_is_small() {
    let bytes = std::fs::metadata(component("mu-keycloak")).unwrap().len();
    assert!(bytes < 500_000, "it has {bytes} bytes");
}

#[tokio::test]
async fn it_starts_with_what_is_needed_and_keycloak_need_not_be_there() {
    TestApp::start("mu-keycloak", &toml(&enough())).await;
}

#[tokio::test]
async fn nothing_starts_without_what_is_needed() {
    for left_out in ["client_id", "client_secret"] {
        let some: String =
            enough().split_inclusive('\n').filter(|line| !line.starts_with(left_out)).collect();
        let error = refusal(&toml(&some)).await;
        assert!(error.contains(&format!("the setting {left_out:?} is missing")), "{error}");
    }
    for left_out in ["url", "realm"] {
        let some: String =
            enough().split_inclusive('\n').filter(|line| !line.starts_with(left_out)).collect();
        let error = refusal(&toml(&some)).await;
        assert!(error.contains(left_out), "{error}");
    }
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused_at_the_start_and_named() {
    for (name, value) in [
        ("url", "'http://id.example'"),
        ("url", "'https://id.example?x=1'"),
        ("public_url", "'http://id.example'"),
        ("realm", "''"),
        ("realm", "'a/b'"),
        ("client_id", "''"),
        ("client_auth", "'tls'"),
        ("name_claim", "'name'"),
        ("role_claims", "['roles']"),
        ("providers", "['svn']"),
        ("issuer", "'https://id.example/realms/team'"),
    ] {
        let others: String = enough()
            .split_inclusive('\n')
            .filter(|line| !line.starts_with(&format!("{name} =")))
            .collect();
        let error = refusal(&toml(&format!("{others}{name} = {value}\n"))).await;
        assert!(error.contains(name), "{name} = {value}: {error}");
    }
}

#[tokio::test]
async fn a_grant_that_is_missing_is_told_as_the_line_that_would_grant_it() {
    let (settings, _) = toml(&enough()).split_once("[auth.grants]").map_or_else(
        || panic!("there are grants"),
        |(settings, grants)| (settings.to_owned(), grants.to_owned()),
    );
    let error = refusal(&settings).await;
    assert!(error.contains("https://id.example"), "{error}");
}
