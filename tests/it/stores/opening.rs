//! Opening a database: migrations, keys and files.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use vestibule::{
    config::{Config, Environment},
    store::{Scope, Secret, Store, StoreError},
};
use vestibule_tests::{
    database::{Database, SECRET, user_id},
    on_both_databases,
    run::{at_once, canary},
    workspace,
};

const OTHER: &str = "plaintext-canary another secret of the tests";

fn with_secret(database: &Database, secret: &str) -> Config {
    let text = format!(
        "database.url = '{}'\nauth.strategy = 'none'\nencryption.secret = '{secret}'",
        database.url
    );
    Config::parse(None, &text, Environment::fixed(&[])).unwrap()
}

/// Every migration, the oldest first.
fn migrations() -> Vec<PathBuf> {
    let folder = fs::read_dir(workspace().join("host/migrations")).unwrap();
    let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

on_both_databases! {
    async fn two_nodes_that_start_at_once_migrate_once(database: Database) {
        let nodes = (0..6).map(|_| {
            let database = database.clone();
            async move { database.open().await }
        });
        for node in at_once(nodes).await {
            node.ping().await.unwrap();
        }
        let applied = database.scalar("select cast(count(*) as text) from _sqlx_migrations").await;
        assert_eq!(applied, migrations().len().to_string());
    }

    async fn a_database_of_every_older_version_is_taken_on(database: Database) {
        let files: Vec<_> = migrations();
        for older in 1..files.len() {
            let database = database.another().await;
            let folder = tempfile::tempdir().unwrap();
            for file in &files[..older] {
                fs::copy(file, folder.path().join(file.file_name().unwrap())).unwrap();
            }
            database.migrate(folder.path()).await;
            database.execute(
                "insert into users (id, identity, current_org, created_at, seen_at)
                 values ('ada', '{}', 'ada', 1, 1)",
            ).await;
            database.execute(
                "insert into org_members (org_id, user_id, role, created_at)
                 values ('ada', 'ada', 'owner', 1)",
            ).await;
            let store = database.open().await;
            let ada = store.user(&user_id("ada")).await.unwrap();
            assert!(ada.is_some_and(|ada| ada.created_at == 1), "from {older}");
            let secret = Secret { value: canary("x"), description: None };
            store.secrets(&Scope::local_owner()).put("A", &secret, None).await.unwrap();
            let applied = "select cast(count(*) as text) from _sqlx_migrations";
            assert_eq!(database.scalar(applied).await, files.len().to_string(), "from {older}");
        }
    }

    async fn a_database_from_a_newer_version_is_refused(database: Database) {
        drop(database.open().await);
        database.execute(
            "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
             select 99990101000000, 'the future', success, checksum, execution_time
             from _sqlx_migrations limit 1",
        ).await;
        let error = database.try_open(&database.config("")).await.unwrap_err();
        assert!(matches!(error, StoreError::Newer(_)), "{error:?}");
        assert!(error.to_string().ends_with(
            "was migrated by a newer version; use that version, or restore a backup"
        ), "{error}");
    }

    async fn the_wrong_encryption_secret_is_refused_before_anything_is_written(database: Database) {
        drop(database.open().await);
        // Were anything done before the check, this would fail in another way.
        database.execute("delete from _sqlx_migrations").await;
        let before = database.scalar("select cast(count(*) as text) from encryption_keys").await;
        let error = database.try_open(&with_secret(&database, OTHER)).await.unwrap_err();
        assert!(matches!(error, StoreError::WrongSecret { .. }), "{error:?}");
        let told = error.to_string();
        assert!(told.contains("previous_secret_files") && !told.contains("canary"), "{told}");
        let after = database.scalar("select cast(count(*) as text) from encryption_keys").await;
        assert_eq!((before.as_str(), after.as_str()), ("1", "1"));
        let error = database.try_open(&with_secret(&database, SECRET)).await.unwrap_err();
        assert!(matches!(error, StoreError::Migrate { .. }), "{error:?}");
    }

    async fn what_an_older_version_has_left_is_counted_as_it_is(database: Database) {
        database.open().await;
        database.execute("drop table conversation_tokens").await;
        let status = Store::status(&database.config("")).await.unwrap();
        let tables: Vec<_> = status.rows.iter().map(|rows| rows.table).collect();
        assert!(tables.contains(&"tokens") && !tables.contains(&"conversation_tokens"));
        assert_eq!(status.keys.len(), 1);
    }

    async fn a_weak_encryption_secret_is_refused(database: Database) {
        for weak in ["short", &"a".repeat(64)] {
            let error = database.try_open(&with_secret(&database, weak)).await.unwrap_err();
            assert!(error.to_string().contains("openssl rand -base64 48"), "{error}");
        }
    }
}

#[tokio::test]
async fn the_files_of_a_database_and_its_secret_are_closed_to_others() {
    let database = Database::sqlite();
    let config = format!("database.url = '{}'\nauth.strategy = 'none'", database.url);
    let config = Config::parse(None, &config, Environment::fixed(&[])).unwrap();
    let file = database.folder.path().join("vestibule.db");
    fs::write(&file, "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let store = database.try_open(&config).await.unwrap();
    let secret = Secret { value: canary("x"), description: None };
    store.secrets(&Scope::local_owner()).put("A", &secret, None).await.unwrap();
    let mut found = Vec::new();
    for entry in fs::read_dir(database.folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", entry.path().display());
        found.push(entry.file_name().into_string().unwrap());
    }
    found.sort();
    assert_eq!(found, ["vestibule.db", "vestibule.db-shm", "vestibule.db-wal", "vestibule.db.key"]);
}

#[tokio::test]
async fn a_database_whose_secret_is_gone_is_refused_and_gets_no_new_one() {
    let database = Database::sqlite();
    let config = format!("database.url = '{}'\nauth.strategy = 'none'", database.url);
    let config = Config::parse(None, &config, Environment::fixed(&[])).unwrap();
    drop(database.try_open(&config).await.unwrap());
    drop(database.try_open(&config).await.unwrap());
    let key = database.folder.path().join("vestibule.db.key");
    fs::remove_file(&key).unwrap();
    let error = database.try_open(&config).await.unwrap_err();
    assert!(error.to_string().contains("which is gone; restore the file"), "{error}");
    assert!(!key.exists());
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_is_named_with_its_mend() {
    let mut database = Database::sqlite();
    database.url = "sqlite:///nowhere/vestibule.db".to_owned();
    let error = database.try_open(&database.config("")).await.unwrap_err();
    assert!(error.to_string().contains("sqlite:///nowhere/vestibule.db"), "{error}");
    database.url = "postgres://me:plaintext-canary@127.0.0.1:1/none".to_owned();
    let error = database.try_open(&database.config("")).await.unwrap_err();
    assert!(error.to_string().contains("postgres://…@127.0.0.1:1/none"), "{error}");
    assert!(!error.to_string().contains("canary"), "{error}");
}
