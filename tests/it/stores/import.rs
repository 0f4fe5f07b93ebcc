//! Taking over what OpenHands keeps, from its documented layouts.

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE},
};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};
use tempfile::TempDir;
use vestibule::{
    config::DatabaseUrl,
    identity::OrgId,
    store::{ImportOptions, ImportReport, Scope, Store, TokenState},
};
use vestibule_tests::{
    NOW,
    database::{Database, user_id},
    on_both_databases,
    run::text,
};

const JWT_SECRET: &str = "test_secret";
const PLAIN_KEY: &str = "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF";
const MCP_KEY: &str = "mC1pK2eY3mC4pK5eY6mC7pK8eY9mC0pK";
const SYSTEM_KEY: &str = "sk-oh-zY7xW4vU1tS8rQ5pO2nM9lK6jI3hG0fE";

/// A token as OpenHands seals it (form 2).
fn token(value: &str) -> String {
    let key = BASE64_URL_SAFE.encode(Sha256::digest(JWT_SECRET));
    fernet::Fernet::new(&key).unwrap().encrypt(value.as_bytes())
}

/// Form 1: the same, in base64 once more.
fn encoded(value: &str) -> String {
    BASE64_STANDARD.encode(token(value))
}

/// A database of OpenHands; its rows are not what is searched for plaintext.
struct Theirs {
    url: String,
    _folder: TempDir,
}

impl Theirs {
    async fn fill(database: &Database, sql: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        if !database.is_postgres() {
            let url = format!("sqlite://{}/openhands.db", folder.path().display());
            let mut raw = SqliteConnection::connect(&format!("{url}?mode=rwc")).await.unwrap();
            for statement in sql {
                let statement = AssertSqlSafe(statement.clone());
                sqlx::query(statement).execute(&mut raw).await.unwrap();
            }
            return Self { url, _folder: folder };
        }
        let other = Database::postgres().await.unwrap();
        let mut raw = PgConnection::connect(&other.url).await.unwrap();
        for statement in sql {
            sqlx::query(AssertSqlSafe(statement.clone())).execute(&mut raw).await.unwrap();
        }
        Self { url: other.url, _folder: folder }
    }

    async fn import(&self, store: &Store) -> ImportReport {
        let options = ImportOptions {
            source: DatabaseUrl::new(&self.url),
            secrets: vec![SecretString::from(JWT_SECRET)],
            offline_token: "offline".to_owned(),
        };
        store.import_openhands(&options).await.unwrap()
    }
}

/// The layout before there were organisations.
fn old_layout() -> Vec<String> {
    vec![
        "create table custom_secrets (id integer primary key, keycloak_user_id varchar,
             secret_name varchar not null, secret_value varchar not null, description varchar)"
            .to_owned(),
        format!(
            "insert into custom_secrets values
                 (1, 'ada', 'NPM_TOKEN', '{}', null), (2, 'ada', 'OTHER', '{}', '{}'),
                 (3, 'bob', 'NPM_TOKEN', '{}', '{}'), (4, 'ada', '1BAD', '{}', null),
                 (5, 'ada', 'BROKEN', 'bm90IGEgdG9rZW4=', null),
                 (6, 'ada', 'NEWER', 'eyJhbGciOiJkaXIifQ..aXY.Y2lwaGVy.dGFn', null)",
            encoded("plaintext-canary npm"),
            encoded("plaintext-canary other"),
            encoded("plaintext-canary what for"),
            encoded("plaintext-canary bob"),
            encoded(""),
            encoded("plaintext-canary bad"),
        ),
        "create table offline_tokens (user_id varchar(255) primary key, offline_token varchar,
             created_at timestamp, updated_at timestamp)"
            .to_owned(),
        format!(
            "insert into offline_tokens (user_id, offline_token) values ('ada', '{{\"tokens\": \"{}\"}}')",
            token("{\"refresh_token\": \"plaintext-canary offline\"}")
        ),
        "create table auth_tokens (id integer primary key, keycloak_user_id varchar,
             identity_provider varchar, access_token varchar, refresh_token varchar,
             access_token_expires_at bigint, refresh_token_expires_at bigint)"
            .to_owned(),
        format!(
            "insert into auth_tokens values (1, 'ada', 'github', '{}', '{}', 1800000100, 0)",
            token("plaintext-canary access"),
            token("plaintext-canary refresh"),
        ),
        "create table api_keys (id integer primary key, key varchar(255), user_id varchar,
             name varchar, created_at timestamp, last_used_at timestamp, expires_at timestamp)"
            .to_owned(),
        format!(
            "insert into api_keys values
                 (1, '{PLAIN_KEY}', 'ada', 'laptop', null, null, '2027-01-15 08:01:40'),
                 (2, 'not a key', 'ada', 'odd', null, null, null),
                 (3, '{MCP_KEY}', 'ada', 'MCP_API_KEY', null, null, null)"
        ),
        "create table user_settings (id integer primary key, keycloak_user_id varchar,
             language varchar, llm_model varchar, llm_api_key varchar, llm_base_url varchar,
             search_api_key varchar, max_iterations integer, mcp_config varchar)"
            .to_owned(),
        format!(
            "insert into user_settings values
                 (1, 'ada', 'en', 'sonnet', '{}', null, 'theirs in plain, from before', 30,
                  '{{\"servers\": [{{\"api_key\": \"theirs in plain, mcp\"}}]}}')",
            encoded("plaintext-canary llm"),
        ),
    ]
}

/// The layout with organisations, as far as it differs.
fn new_layout() -> Vec<String> {
    vec![
        "create table custom_secrets (id integer primary key, keycloak_user_id varchar,
             org_id varchar, secret_name varchar not null, secret_value varchar not null,
             description varchar)"
            .to_owned(),
        format!(
            "insert into custom_secrets values (1, 'ada', 'engines', 'NPM_TOKEN', '{}', null)",
            encoded("plaintext-canary npm"),
        ),
        "create table api_keys (id integer primary key, key varchar(255), user_id varchar,
             org_id varchar, name varchar, expires_at timestamp, not_before timestamp)"
            .to_owned(),
        format!(
            "insert into api_keys values
                 (1, '{PLAIN_KEY}', 'ada', 'engines', 'laptop', null, '2027-01-15 08:01:40'),
                 (2, '{SYSTEM_KEY}', 'ada', 'engines', '__SYSTEM__:automation', null, null)"
        ),
        "create table api_key_scopes (api_key_id integer, scope varchar)".to_owned(),
        "insert into api_key_scopes values (1, 'secrets:read'), (1, 'settings:read')".to_owned(),
    ]
}

fn counts(report: &ImportReport) -> Vec<(&str, usize, usize, usize, usize)> {
    report
        .tables
        .iter()
        .filter(|table| table.present)
        .map(|t| (t.table, t.found, t.imported, t.kept, t.refused.len()))
        .collect()
}

on_both_databases! {
    async fn the_old_layout_comes_over_and_a_second_run_does_no_harm(database: Database) {
        let theirs = Theirs::fill(&database, &old_layout()).await;
        let store = database.open().await;
        let report = theirs.import(&store).await;
        assert_eq!(counts(&report), [
            ("custom_secrets", 6, 3, 0, 3), ("offline_tokens", 1, 1, 0, 0),
            ("auth_tokens", 1, 1, 0, 0), ("api_keys", 3, 2, 0, 1), ("user_settings", 1, 1, 0, 0),
        ]);
        let refused: Vec<_> = report.tables.iter().flat_map(|table| &table.refused)
            .map(|refused| format!("{}: {}", refused.row, refused.reason)).collect();
        assert!(refused[0].starts_with("ada 1BAD: \"1BAD\" cannot be a secret's name"));
        assert_eq!(refused[1..], [
            "ada BROKEN: it does not open with the given secret",
            "ada NEWER: it is sealed in the newer JWE form, which is not read",
            "ada 2 odd: its key is missing or cannot be used",
        ]);

        let ada = store.user(&user_id("ada")).await.unwrap().unwrap().scope();
        let secrets = store.secrets(&ada).load().await.unwrap();
        assert_eq!(secrets.secrets.keys().collect::<Vec<_>>(), ["NPM_TOKEN", "OTHER"]);
        let other = &secrets.secrets["OTHER"];
        assert_eq!(text(&other.value), "plaintext-canary other");
        assert_eq!(text(other.description.as_ref().unwrap()), "plaintext-canary what for");
        let bob = store.user(&user_id("bob")).await.unwrap().unwrap().scope();
        let his = store.secrets(&bob).get("NPM_TOKEN").await.unwrap().unwrap();
        assert_eq!((text(&his.value), text(&his.description.unwrap())), ("plaintext-canary bob", ""));

        let tokens = store.tokens(&ada.user);
        assert_eq!(tokens.names().await.unwrap(), ["github", "offline"]);
        let offline = tokens.load("offline").await.unwrap().unwrap().pair;
        assert_eq!(text(&offline.refresh.unwrap()), "plaintext-canary offline");
        assert_eq!((offline.access_expires_at, offline.refresh_expires_at), (None, None));
        let github = tokens.load("github").await.unwrap().unwrap();
        assert_eq!(text(&github.pair.access.unwrap()), "plaintext-canary access");
        assert_eq!(github.pair.access_expires_at, Some(NOW + 100));
        assert_eq!((github.pair.refresh_expires_at, github.state), (None, TokenState::Active));

        let settings = store.settings(&ada).await.unwrap().settings.exposed();
        assert_eq!(settings["llm_model"], "sonnet");
        assert_eq!(settings["llm_api_key"], "plaintext-canary llm");
        assert_eq!(settings["search_api_key"], "theirs in plain, from before");
        assert_eq!(settings["max_iterations"], 30);
        assert_eq!(settings["mcp_config"]["servers"][0]["api_key"], "theirs in plain, mcp");
        assert_eq!(settings.get("llm_base_url"), None);

        // The key works as it did, until it expires as it would have.
        let key = SecretString::from(PLAIN_KEY);
        let verified = store.verify_key(text(&key)).await.unwrap().unwrap();
        assert_eq!((verified.key.name.as_str(), verified.key.expires_at), ("laptop", Some(NOW + 100)));
        assert_eq!(verified.scope, ada);

        let mcp = store.api_keys(&ada).system("MCP_API_KEY").await.unwrap();
        assert_eq!(text(&mcp.text), MCP_KEY);

        // What was changed, revoked or deleted here since stays so.
        assert!(store.api_keys(&ada).revoke_system("MCP_API_KEY").await.unwrap());
        store.secrets(&ada).remove("OTHER", None).await.unwrap();
        assert!(store.tokens(&ada.user).remove("github").await.unwrap());
        let new = vestibule::store::Secret {
            value: SecretString::from("plaintext-canary changed here"), description: None,
        };
        store.secrets(&ada).put("NPM_TOKEN", &new, None).await.unwrap();
        let report = theirs.import(&store).await;
        assert_eq!(counts(&report), [
            ("custom_secrets", 6, 0, 3, 3), ("offline_tokens", 1, 0, 1, 0),
            ("auth_tokens", 1, 0, 1, 0), ("api_keys", 3, 0, 2, 1), ("user_settings", 1, 0, 1, 0),
        ]);
        let kept = store.secrets(&ada).get("NPM_TOKEN").await.unwrap().unwrap();
        assert_eq!(text(&kept.value), "plaintext-canary changed here");
        assert!(store.secrets(&ada).get("OTHER").await.unwrap().is_none());
        assert!(store.tokens(&ada.user).load("github").await.unwrap().is_none());
        assert!(store.verify_key(MCP_KEY).await.unwrap().is_err());
        database.clock.advance(100);
        assert!(store.verify_key(text(&key)).await.unwrap().is_err());
    }

    async fn the_new_layout_keeps_organisations_scopes_and_system_keys(database: Database) {
        let theirs = Theirs::fill(&database, &new_layout()).await;
        let store = database.open().await;
        let report = theirs.import(&store).await;
        assert_eq!(counts(&report), [("custom_secrets", 1, 1, 0, 0), ("api_keys", 2, 2, 0, 0)]);
        let scope = Scope::new(user_id("ada"), OrgId::new("engines").unwrap());
        assert!(store.secrets(&scope).get("NPM_TOKEN").await.unwrap().is_some());
        assert_eq!(text(&store.api_keys(&scope).system("automation").await.unwrap().text), SYSTEM_KEY);
        let key = SecretString::from(PLAIN_KEY);
        assert!(store.verify_key(text(&key)).await.unwrap().is_err(), "it is not valid yet");
        database.clock.advance(100);
        let verified = store.verify_key(text(&key)).await.unwrap().unwrap();
        assert_eq!(verified.key.scopes, ["secrets:read", "settings:read"]);
        assert_eq!((&verified.scope, verified.key.bound), (&scope, true));
        // Nobody can read the keys out of the database.
        for key in [PLAIN_KEY, SYSTEM_KEY] {
            let found = database.scalar(&format!(
                "select cast(count(*) as text) from api_keys
                 where hash like '%{key}%' or display like '%{key}%' or sealed like '%{key}%'"
            )).await;
            assert_eq!(found, "0");
        }
    }

    async fn the_wrong_secret_brings_nothing_over_and_breaks_nothing(database: Database) {
        let theirs = Theirs::fill(&database, &new_layout()).await;
        let store = database.open().await;
        let options = ImportOptions {
            source: DatabaseUrl::new(&theirs.url),
            secrets: vec![SecretString::from("another")],
            offline_token: "offline".to_owned(),
        };
        let report = store.import_openhands(&options).await.unwrap();
        assert_eq!(counts(&report)[0], ("custom_secrets", 1, 0, 0, 1));
        assert!(report.has_refused());
    }

    async fn a_key_that_cannot_work_as_it_did_is_refused_and_named(database: Database) {
        let dates = if database.is_postgres() { "timestamp" } else { "varchar" };
        let far = if database.is_postgres() { "'20000-01-01'" } else { "'soon'" };
        let theirs = Theirs::fill(&database, &[
            format!("create table api_keys (id integer primary key, key varchar(255),
                 user_id varchar, name varchar, expires_at {dates})"),
            format!("insert into api_keys values
                 (1, '{PLAIN_KEY}', 'ada', 'laptop', {far}),
                 (2, '{SYSTEM_KEY}', 'ada', '__SYSTEM__:automation', null),
                 (3, '{MCP_KEY}', 'ada', '__SYSTEM__:automation', null),
                 (4, 'zZ3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0eF', 'ada', 'two\nlines', null)"),
        ]).await;
        let store = database.open().await;
        let report = theirs.import(&store).await;
        assert_eq!(counts(&report), [("api_keys", 4, 1, 0, 3)]);
        let table = &report.tables[3];
        let reasons: Vec<_> = table.refused.iter().map(|refused| refused.reason.as_str()).collect();
        assert!(
            reasons[0].contains("expires_at is missing or cannot be used")
                || reasons[0].contains("after the year 9999"),
            "{reasons:?}"
        );
        assert_eq!(reasons[1], "another key has the name \"__SYSTEM__:automation\"");
        assert!(reasons[2].contains("cannot be a key's name"), "{reasons:?}");
    }
}
