//! One person, by GitHub: how it is configured, and whom it believes without a
//! log-in.

mod crash;
mod flow;
mod plaintext;
mod strain;
mod tokens;

use http::StatusCode;
use serde_json::json;
use vestibule::{
    clock::Clock,
    config::{Config, Environment},
    engine::Hooks,
    host::{Host, StartError},
    identity::{Claim, Identity},
    store::Scope,
};
use vestibule_tests::{
    NOW, TestApp,
    browser::Browser,
    database::{Database, user_id},
    github::{Account, CLIENT_ID, CLIENT_SECRET, GitHub},
    keys::by_key,
    logs::Logs,
    run::note_secret,
    workspace,
};

/// The grants of GitHub itself.
const GRANTS: &str = "[auth.grants]\nhttp = ['https://github.com', 'https://api.github.com']\n\
                      token_store = ['github', 'owner']\n";

/// Settings for this person, and what goes with them.
fn settings(allowed: &str) -> String {
    format!(
        "[auth.settings]\nallowed = '{allowed}'\nclient_id = '{CLIENT_ID}'\n\
         client_secret = '{CLIENT_SECRET}'\n{GRANTS}"
    )
}

async fn refusal(toml: &str) -> String {
    match TestApp::try_start("su-github", toml, &[]).await {
        Ok(_) => panic!("it started"),
        Err(error) => error.to_string(),
    }
}

/// Starts by the name that the configuration gives to the strategy.
async fn by_name(toml: &str, environment: &[(&str, &str)]) -> Result<Host, StartError> {
    let folder = workspace().join("target/plugins");
    let mut variables = vec![("VESTIBULE_PLUGINS_DIR", folder.to_str().expect("UTF-8")), DATABASE];
    variables.extend_from_slice(environment);
    let config = Config::parse(None, toml, Environment::fixed(&variables)).expect("well formed");
    Host::start(config, Clock::fixed(NOW)).await
}

const DATABASE: (&str, &str) = ("VESTIBULE_DATABASE_URL", "sqlite::memory:");

#[tokio::test]
async fn the_environment_alone_is_enough() {
    note_secret(&CLIENT_SECRET.into());
    let environment = [
        ("OPENHANDS_AUTH_MODE", "su"),
        ("SU_GITHUB_ALLOWED", "12345678"),
        ("GITHUB_OAUTH_CLIENT_ID", CLIENT_ID),
        ("GITHUB_OAUTH_CLIENT_SECRET", CLIENT_SECRET),
    ];
    let logs = Logs::collect();
    let host = by_name("", &environment).await.expect("it starts");
    assert_eq!(host.registry().current().description().name, "su-github");
    let granted = r#"http=["https://github.com", "https://api.github.com"]"#;
    assert!(logs.text().contains(granted), "{}", logs.text());
    // Whoever grants something decides about all of it.
    let own = [("VESTIBULE_AUTH_GRANTS_HTTP", "https://github.com")];
    let Err(error) = by_name("", &[&environment[..], &own].concat()).await else {
        panic!("it started")
    };
    let error = error.to_string();
    assert!(error.contains(r#"token_store = ["github", "owner"]"#), "{error}");
    // And so does whoever has a file.
    let Err(error) = by_name("[auth]\nstrategy = 'su'\n", &environment).await else {
        panic!("it started")
    };
    let error = error.to_string();
    assert!(
        error.contains(r#"http = ["https://github.com", "https://api.github.com"]"#),
        "{error}"
    );
}

#[tokio::test]
async fn the_example_starts() {
    let toml = std::fs::read_to_string(workspace().join("examples/su-github.toml")).unwrap();
    let lines = toml.lines().filter(|line| !line.is_empty() && !line.starts_with(['#', '[']));
    assert!(lines.count() <= 12);
    let secret = [("GITHUB_OAUTH_CLIENT_SECRET", CLIENT_SECRET)];
    by_name(&toml, &secret).await.expect("it starts");
}

#[tokio::test]
async fn the_other_spellings_mean_the_same() {
    for strategy in ["su-github", "single_user_github", "su"] {
        let toml = format!(
            "[auth]\nstrategy = '{strategy}'\nallowed = 'octocat'\ngithub_client_id = '{CLIENT_ID}'\n\
             github_client_secret = '{CLIENT_SECRET}'\n{GRANTS}"
        );
        by_name(&toml, &[]).await.unwrap_or_else(|error| panic!("{strategy}: {error}"));
    }
}

#[tokio::test]
async fn the_client_secret_may_be_in_a_file_and_not_be_empty() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    let toml = format!(
        "[auth.settings]\nallowed = '1'\nclient_id = 'a'\nclient_secret_file = '{}'\n{GRANTS}",
        file.display()
    );
    std::fs::write(&file, format!("{CLIENT_SECRET}\n")).unwrap();
    TestApp::start("su-github", &toml).await;
    std::fs::write(&file, "\n").unwrap();
    let error = refusal(&toml).await;
    assert!(error.contains("client_secret_file: cannot read ") && error.contains("it is empty"));
    let inline =
        format!("[auth.settings]\nallowed = '1'\nclient_id = 'a'\nclient_secret = ''\n{GRANTS}");
    assert_eq!(
        refusal(&inline).await,
        "[auth.settings] client_secret: the secret \"client_secret\" is empty"
    );
}

#[tokio::test]
async fn nothing_starts_without_the_one_person_or_the_client() {
    for (left_out, variable) in [
        ("allowed", "SU_GITHUB_ALLOWED"),
        ("client_id", "GITHUB_OAUTH_CLIENT_ID"),
        ("client_secret", "GITHUB_OAUTH_CLIENT_SECRET"),
    ] {
        let toml: String = settings("octocat")
            .split_inclusive('\n')
            .filter(|l| !l.starts_with(left_out))
            .collect();
        let error = refusal(&toml).await;
        assert!(error.contains(&format!("the setting {left_out:?} is missing")), "{error}");
        assert!(error.contains(&format!("or set {variable}")), "{error}");
    }
}

#[tokio::test]
async fn a_person_who_cannot_be_is_refused_at_the_start() {
    for allowed in ["", " ", "octocat ", "@octocat", "octocat,hubot", "*", "0", "007", "https://x"]
    {
        let error = refusal(&settings(allowed)).await;
        assert!(error.contains("it refuses its settings: allowed "), "{error}");
    }
}

#[tokio::test]
async fn another_github_is_named_by_both_of_its_urls() {
    let with =
        |url: &str| settings("1").replacen("[auth.grants]", &format!("{url}\n[auth.grants]"), 1);
    let error = refusal(&with("base_url = 'https://ghe.example'")).await;
    assert!(error.contains(r#"api_url = "https://ghe.example/api/v3""#), "{error}");
    let error = refusal(&with("base_url = 'http://ghe.example'")).await;
    assert!(error.contains("base_url is not encrypted"), "{error}");
    let both = "base_url = 'https://ghe.example'\napi_url = 'https://ghe.example/api/v3'";
    TestApp::start("su-github", &with(both)).await;
    // The origin of the two is what would have to be granted.
    let error = refusal(with(both).split("[auth.grants]").next().unwrap()).await;
    assert!(error.contains("http = [\"https://ghe.example\"]\n"), "{error}");
}

/// Somebody who has logged in before.
async fn seen(app: &TestApp, id: &str, login: &str) -> Scope {
    let identity = Identity {
        user_id: Some(user_id(id)),
        display_name: Some("Mona".to_owned()),
        claims: vec![Claim { name: "login".to_owned(), value: login.to_owned() }],
        ..Identity::default()
    };
    app.host.store().establish_user(&identity).await.unwrap().scope()
}

#[tokio::test]
async fn a_key_is_its_owner_as_long_as_that_is_the_one_person() {
    for (allowed, admitted) in [
        (
            "583231",
            [("583231", "octocat", true), ("583231", "renamed", true), ("1", "octocat", false)],
        ),
        (
            "OctoCat",
            [("583231", "octocat", true), ("583231", "renamed", false), ("1", "hubot", false)],
        ),
    ] {
        for (id, login, expected) in admitted {
            let app = TestApp::start("su-github", &settings(allowed)).await;
            let reply = by_key(&app, &seen(&app, id, login).await).await.get("/auth/session").await;
            let status = if expected { StatusCode::OK } else { StatusCode::UNAUTHORIZED };
            assert_eq!(reply.status, status, "{allowed} {id} {login}: {}", reply.body);
        }
    }
    let app = TestApp::start("su-github", &settings("583231")).await;
    let reply =
        by_key(&app, &seen(&app, "583231", "octocat").await).await.get("/auth/session").await;
    insta::assert_snapshot!(reply.shown(), @r#"
    200 OK
    {"authenticated":true,"local_owner":false,"user_id":"583231","org_id":null,"display_name":"Mona","email":null,"email_verified":false,"roles":[],"claims":[{"name":"login","value":"octocat"}],"strategy":"su-github"}
    "#);
}

#[tokio::test]
async fn nobody_is_anonymous_and_a_stranger_s_token_is_refused() {
    let app = TestApp::start("su-github", &settings("583231")).await;
    let reply = app.anonymous().get("/auth/session").await;
    assert_eq!(reply.json()["authenticated"], false);
    assert_eq!(app.anonymous().get("/api/v1/users/me").await.status, StatusCode::UNAUTHORIZED);
    let reply = app.anonymous().with("authorization", "Bearer gho_x").get("/auth/session").await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn work_without_a_request_is_for_the_one_person_alone() {
    let app = TestApp::start("su-github", &settings("583231")).await;
    seen(&app, "583231", "octocat").await;
    seen(&app, "42", "hubot").await;
    let context = app.host.user_context_for(&user_id("583231")).await.unwrap();
    assert_eq!(context.identity().display_name.as_deref(), Some("Mona"));
    for other in ["42", "7"] {
        assert!(app.host.user_context_for(&user_id(other)).await.is_err(), "{other}");
    }
}

#[tokio::test]
async fn who_signs_in_has_all_of_the_api_and_nothing_of_the_local_owner() {
    let database = Database::sqlite();
    let none = TestApp::start_on(&database, "none", "", &[], Hooks::default()).await.unwrap();
    let old = json!({"name": "OLD", "value": "plaintext-canary old"});
    let made = none.anonymous().send_json("POST", "/api/v1/secrets", old).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);

    let github = GitHub::start(Account::new(583_231, "octocat")).await;
    let toml = format!("server.public_url = 'http://localhost:3000'\n{}", github.toml("583231"));
    let app =
        TestApp::start_on(&database, "su-github", &toml, &[], Hooks::default()).await.unwrap();
    let mut browser = Browser::new(&app);
    let begun = browser.open("/auth/login/start").await;
    let back = github.visit(begun.header("location"));
    let (_, query) = back.split_once('?').expect("a query");
    browser.open(&format!("/auth/callback?{query}")).await;
    note_secret(&browser.session().expect("a session").into());

    let caller = browser.caller().with("origin", "http://localhost:3000");
    assert_eq!(caller.get("/api/v1/users/me").await.json()["id"], "583231");
    let new = json!({"name": "NEW", "value": "plaintext-canary new"});
    let made = caller.send_json("POST", "/api/v1/secrets", new).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let found = caller.get("/api/v1/secrets/search").await;
    assert!(found.body.contains("NEW") && !found.body.contains("OLD"), "{}", found.body);
    let model = json!({"llm_model": "openai/gpt-4o"});
    let patched = caller.send_json("PATCH", "/api/v1/settings", model).await;
    assert_eq!(patched.status, StatusCode::OK, "{}", patched.body);
    assert_eq!(caller.get("/api/v1/settings").await.json()["llm_model"], "openai/gpt-4o");
    let made = caller.send_json("POST", "/api/keys", json!({"name": "k"})).await;
    let key = made.json()["key"].as_str().expect("a key").into();
    note_secret(&key);
    let by_key = app.anonymous().with_key(&key).get("/api/v1/users/me").await;
    assert_eq!(by_key.json()["id"], "583231");
    // And the other way round.
    let found = none.anonymous().get("/api/v1/secrets/search").await;
    assert!(found.body.contains("OLD") && !found.body.contains("NEW"), "{}", found.body);
}
