//! Keys, users, secrets and the database from the command line.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use secrecy::SecretString;
use serde_json::Value;
use tempfile::TempDir;
use vestibule_tests::{
    component,
    database::{Database, user},
    run::{keep, note_secret},
};

/// A folder with a configuration, and a database with a user.
struct Installed {
    folder: TempDir,
    database: Database,
}

impl Installed {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut database = Database::sqlite();
        database.clock = vestibule::clock::Clock::System;
        let config = format!(
            "database.url = '{}'\nauth.strategy = '{}'\nencryption.secret = '{}'\n",
            database.url,
            component("none").display(),
            vestibule_tests::database::SECRET,
        );
        fs::write(folder.path().join("vestibule.toml"), config).unwrap();
        user(&database.open().await, "ada").await;
        Self { folder, database }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, "")
    }

    fn run_with(&self, arguments: &[&str], input: &str) -> Output {
        let mut process = vestibule(arguments, self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A process that refuses its arguments reads nothing.
        let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
        keep(process.wait_with_output().unwrap())
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        assert!(output.status.success(), "{}", errors(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The error of a command that must be refused, and its exit status.
    fn refusal(&self, arguments: &[&str], input: &str) -> (Option<i32>, String) {
        let output = self.run_with(arguments, input);
        assert!(output.stdout.is_empty(), "{}", said(&output));
        (output.status.code(), errors(&output))
    }
}

fn vestibule(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule-under-test"));
    command.args(arguments).current_dir(folder).env_clear();
    command
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test]
async fn a_key_is_shown_once_listed_without_its_text_and_revoked() {
    let installed = Installed::new().await;
    let output = installed.run(&["keys", "create", "--user", "ada", "--name", "nightly"]);
    assert!(output.status.success(), "{}", errors(&output));
    let key = said(&output).trim().to_owned();
    note_secret(&SecretString::from(key.as_str()));
    assert!(key.starts_with("sk-oh-") && key.len() == 38, "{key}");
    assert_eq!(errors(&output), "This is the only time that the key is shown:\n");
    let store = installed.database.open().await;
    assert!(store.verify_key(&key).await.unwrap().is_ok());

    let listed = installed.json(&["keys", "list", "--user", "ada", "--json"]);
    assert_eq!(listed[0]["name"], "nightly");
    assert!(!listed.to_string().contains(&key), "{listed}");
    let table = said(&installed.run(&["keys", "list", "--user", "ada"]));
    assert!(table.starts_with("ID ") && table.contains("nightly") && !table.contains(&key));
    let id = listed[0]["id"].as_str().unwrap();
    let output = installed.run(&["keys", "revoke", "--user", "ada", id]);
    assert_eq!(said(&output), format!("revoked {id}\n"));
    assert!(store.verify_key(&key).await.unwrap().is_err());
    let (status, error) = installed.refusal(&["keys", "revoke", "--user", "ada", id], "");
    assert_eq!(status, Some(2));
    assert_eq!(
        error,
        format!("error: ada has no key {id}; `vestibule keys list` prints the ids\n")
    );
}

#[tokio::test]
async fn a_key_for_scripts_comes_as_json_and_expires() {
    let installed = Installed::new().await;
    let made = installed.json(&[
        "keys",
        "create",
        "--local-owner",
        "--name",
        "ci",
        "--scope",
        "secrets:read",
        "--expires-in",
        "90days",
        "--json",
    ]);
    note_secret(&SecretString::from(made["key"].as_str().unwrap()));
    assert_eq!(made["scopes"], serde_json::json!(["secrets:read"]));
    let span = made["expires_at"].as_u64().unwrap() - made["created_at"].as_u64().unwrap();
    // A second can pass between the two.
    assert!(90 * 24 * 60 * 60 - span <= 5, "{span}");
}

#[tokio::test]
async fn what_is_given_wrongly_is_named_with_status_2() {
    let installed = Installed::new().await;
    for (arguments, expected) in [
        (
            &["keys", "create", "--user", "nobody", "--name", "x"][..],
            "error: there is no user nobody; a user exists from the first log-in on\n",
        ),
        (
            &["keys", "create", "--user", "ada", "--org", "strangers", "--name", "x"],
            "error: the user ada is not a member of the organisation strangers\n",
        ),
        (
            &["keys", "create", "--user", "ada", "--name", "__SYSTEM__:x"],
            "error: \"__SYSTEM__:x\" cannot be a key's name: one has 1 to 255 printable characters \
             and does not begin with `__SYSTEM__:`, which is reserved\n",
        ),
        (
            &["secrets", "set", "1A", "--user", "ada"],
            "error: \"1A\" cannot be a secret's name: one has 1 to 256 letters, digits and `_`, \
             does not begin with a digit, and is not `search`\n",
        ),
        (&["secrets", "rm", "NONE", "--user", "ada"], "error: there is no secret NONE\n"),
        (
            &["users", "disable", "nobody"],
            "error: there is no user nobody; a user exists from the first log-in on\n",
        ),
        (
            &["import", "openhands", "--database-url", "mysql://x", "--jwt-secret-file", "x"],
            "error: --database-url mysql://x is neither sqlite:// nor postgres://\n",
        ),
    ] {
        assert_eq!(installed.refusal(arguments, "x"), (Some(2), expected.to_owned()));
    }
    let (status, error) = installed.refusal(&["keys", "list"], "");
    assert_eq!(status, Some(2));
    assert!(error.contains("--user <ID>"), "{error}");
    // There is no way to give a value as an argument.
    let (status, _) = installed.refusal(&["secrets", "set", "A", "value", "--user", "ada"], "");
    assert_eq!(status, Some(2));
}

#[tokio::test]
async fn secrets_come_from_standard_input_or_a_file_and_are_never_printed() {
    let installed = Installed::new().await;
    let value = "plaintext-canary ümläut\n";
    let output = installed.run_with(&["secrets", "set", "FROM_INPUT", "--user", "ada"], value);
    assert_eq!(said(&output), "set FROM_INPUT\n", "{}", errors(&output));
    let file = installed.folder.path().join("value");
    let description = installed.folder.path().join("description");
    fs::write(&file, "plaintext-canary from a file").unwrap();
    fs::write(&description, "plaintext-canary what for").unwrap();
    let output = installed.run(&[
        "secrets",
        "set",
        "FROM_FILE",
        "--user",
        "ada",
        "--value-file",
        "value",
        "--description-file",
        "description",
    ]);
    assert!(output.status.success(), "{}", errors(&output));
    let table = said(&installed.run(&["secrets", "list", "--user", "ada"]));
    assert!(table.contains("FROM_FILE") && table.contains("FROM_INPUT"), "{table}");
    assert!(!table.contains("canary"), "{table}");
    let listed = installed.json(&["secrets", "list", "--user", "ada", "--json"]);
    assert_eq!(listed[0]["name"], "FROM_FILE");

    let store = installed.database.open().await;
    let scope = user(&store, "ada").await;
    let found = store.secrets(&scope).get("FROM_INPUT").await.unwrap().unwrap();
    assert_eq!(vestibule_tests::run::text(&found.value), value);
    let output = installed.run(&["secrets", "rm", "FROM_INPUT", "--user", "ada"]);
    assert_eq!(said(&output), "removed FROM_INPUT\n");
    assert!(store.secrets(&scope).get("FROM_INPUT").await.unwrap().is_none());
    let audit = installed.database.scalar("select group_concat(action) from audit").await;
    assert_eq!(audit, "secret.set,secret.set,secret.rm");
    let listed = installed.json(&["audit", "list", "--since", "1h", "--limit", "2", "--json"]);
    let actions = [&listed[0]["action"], &listed[1]["action"], &listed[2]];
    assert_eq!(actions[2], &Value::Null, "{listed}");
    assert!(listed.to_string().contains("by the command line"), "{listed}");
    let table = said(&installed.run(&["audit", "list"]));
    assert!(table.starts_with("TIME ") && table.contains("secret.rm"), "{table}");
}

#[tokio::test]
async fn users_are_listed_shut_out_and_let_in_again() {
    let installed = Installed::new().await;
    let users = installed.json(&["users", "list", "--json"]);
    assert_eq!(users.as_array().unwrap().len(), 2);
    assert_eq!(said(&installed.run(&["users", "disable", "ada"])), "disabled ada\n");
    let users = installed.json(&["users", "list", "--json"]);
    assert!(users[1]["disabled_at"].is_u64(), "{users}");
    assert_eq!(said(&installed.run(&["users", "enable", "ada"])), "enabled ada\n");
    let table = said(&installed.run(&["users", "list"]));
    assert!(table.contains("Local owner"), "{table}");
}

#[tokio::test]
async fn the_status_of_the_database_names_its_version_rows_and_keys() {
    let installed = Installed::new().await;
    let status = installed.json(&["db", "status", "--json"]);
    assert_eq!(status["version"], status["wanted"]);
    assert_eq!(status["keys"][0]["active"], true);
    let tables: Vec<_> =
        status["rows"].as_array().unwrap().iter().map(|row| &row["table"]).collect();
    assert!(tables.contains(&&"users".into()) && tables.contains(&&"log_ins".into()), "{tables:?}");
    let text = said(&installed.run(&["db", "status"]));
    assert!(text.contains("up to date") && text.contains("seals"), "{text}");
    // Looking makes nothing.
    let missing = installed.folder.path().join("missing.db");
    let output = vestibule(&["db", "status"], installed.folder.path())
        .env("VESTIBULE_DATABASE_URL", format!("sqlite://{}", missing.display()))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(errors(&output).contains("cannot be opened"), "{}", errors(&output));
    assert!(!missing.exists());
}

#[tokio::test]
async fn the_wrong_encryption_secret_stops_every_command() {
    let installed = Installed::new().await;
    let config = installed.folder.path().join("vestibule.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(
        &config,
        text.replace("secret = 'plaintext-canary", "secret = 'plaintext-canary not"),
    )
    .unwrap();
    for arguments in [&["users", "list"][..], &["serve"]] {
        let (status, error) = installed.refusal(arguments, "");
        assert_eq!(status, Some(2), "{error}");
        assert!(error.contains("no configured encryption secret gives that key"), "{error}");
        assert!(!error.contains("canary"), "{error}");
    }
}

#[tokio::test]
async fn an_import_prints_what_came_over_and_what_did_not() {
    let installed = Installed::new().await;
    let folder = installed.folder.path();
    let theirs = format!("sqlite://{}/openhands.db", folder.display());
    let mut raw =
        <sqlx::SqliteConnection as sqlx::Connection>::connect(&format!("{theirs}?mode=rwc"))
            .await
            .unwrap();
    for statement in [
        "create table custom_secrets (id integer, keycloak_user_id varchar, secret_name varchar,
             secret_value varchar, description varchar)",
        "insert into custom_secrets values (1, 'ada', 'BROKEN', 'bm90IGEgdG9rZW4=', null)",
        "create table api_keys (id integer, key varchar, user_id varchar, name varchar)",
        "insert into api_keys values (1, 'aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF', 'ada', 'laptop')",
    ] {
        sqlx::query(statement).execute(&mut raw).await.unwrap();
    }
    fs::write(folder.join("jwt_secret"), "test_secret\n").unwrap();
    let arguments =
        ["import", "openhands", "--database-url", &theirs, "--jwt-secret-file", "jwt_secret"];
    let output = installed.run(&arguments);
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(said(&output), @r"
    TABLE           FOUND      IMPORTED  HERE ALREADY  NOT IMPORTED
    custom_secrets  1          0         0             1
    offline_tokens  not there
    auth_tokens     not there
    api_keys        1          1         0             0
    user_settings   not there
    ");
    assert_eq!(
        errors(&output),
        "not imported: custom_secrets ada BROKEN: it does not open with the given secret\n"
    );
}
