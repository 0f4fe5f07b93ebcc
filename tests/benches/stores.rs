//! What the stores cost at a hundred thousand rows, on SQLite and PostgreSQL:
//! verifying a key, finding a session, loading secrets, sealing anew.

#![expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]

#[path = "support/stats.rs"]
#[expect(dead_code, reason = "no bench uses all of it")]
mod stats;

use std::{collections::BTreeMap, fs, hint::black_box, time::Instant};

use secrecy::SecretString;
use stats::Samples;
use vestibule::{
    config::{Config, Environment},
    store::{NewApiKey, Scope, Secret, SessionContent, SessionKey, Store},
};
use vestibule_tests::{
    database::{Database, SECRET, user},
    run::text,
};

/// Rows of each table.
const ROWS: usize = 100_000;
const USERS: usize = 1_000;
/// Keys and sessions that can be presented; the other rows are there to be in the way.
const REAL: usize = 500;
const SAMPLES: usize = 5_000;
const NEW_SECRET: &str = "the secret that comes next in this benchmark";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be built");
    runtime.block_on(async {
        measure("SQLite", Database::sqlite()).await;
        if let Some(database) = Database::postgres().await {
            measure("PostgreSQL", database).await;
        }
    });
}

/// What can be presented to a full database.
struct Filled {
    keys: Vec<String>,
    sessions: Vec<SessionKey>,
    scopes: Vec<Scope>,
}

async fn measure(name: &str, database: Database) {
    let store = database.open().await;
    let filled = fill(&database, &store).await;
    let [mut key, mut garbage, mut session, mut one, mut hundred] = <[Samples; 5]>::default();
    for index in 0..SAMPLES + REAL {
        // Each key's first use is written down, and none of those that count.
        let warm = index >= REAL;
        let time = |samples: &mut Samples, started: Instant| {
            if warm {
                samples.push(started.elapsed().as_secs_f64() * 1e6);
            }
        };
        let presented = &filled.keys[index % REAL];
        let started = Instant::now();
        let verified = store.verify_key(presented).await;
        time(&mut key, started);
        assert!(verified.expect("the database answers").is_ok());

        let started = Instant::now();
        let refused = store.verify_key("sk-oh-0000000000000000000000000000000").await;
        time(&mut garbage, started);
        assert!(refused.expect("the database answers").is_err());

        let started = Instant::now();
        let found = store.session(&filled.sessions[index % REAL]).await;
        time(&mut session, started);
        assert!(found.expect("the database answers").is_some());

        let scope = &filled.scopes[index * 7 % USERS];
        let started = Instant::now();
        black_box(store.secrets(scope).get("N50").await.expect("it opens").expect("it is there"));
        time(&mut one, started);
        if index % 10 == 0 {
            let started = Instant::now();
            let loaded = store.secrets(scope).load().await.expect("the database answers");
            time(&mut hundred, started);
            assert_eq!(loaded.secrets.len(), ROWS / USERS);
        }
    }
    println!("\nstores on {name}, {ROWS} rows a table, one call at a time");
    println!("{:<36}{:>10}{:>10}", "", "median", "p99");
    for (what, samples) in [
        ("verify an API key", &key),
        ("refuse a text that is no key", &garbage),
        ("find a session", &session),
        ("open one secret", &one),
        ("open a set of 100 secrets", &hundred),
    ] {
        println!("{what:<36}{:>10.1}{:>10.1} µs", samples.quantile(0.5), samples.quantile(0.99));
    }
    if name == "SQLite" {
        let reached = if key.median() <= 60.0 { "reached" } else { "NOT REACHED" };
        println!("verify an API key: goal at most 60 µs, {reached}");
    }
    drop(store);
    // The rows that were in the way were sealed for another place.
    database.execute("delete from sessions where id_hash like 'hash-%'").await;
    rotate(&database).await;
}

async fn rotate(database: &Database) {
    let folder = tempfile::tempdir().expect("a folder");
    let previous = folder.path().join("previous");
    fs::write(&previous, SECRET).expect("the folder is new");
    let config = format!(
        "database.url = '{}'\nauth.strategy = 'none'\nencryption.secret = '{NEW_SECRET}'\n\
         encryption.previous_secret_files = ['{}']",
        database.url,
        previous.display()
    );
    let config = Config::parse(None, &config, Environment::fixed(&[])).expect("it is valid");
    let store = database.try_open(&config).await.expect("the stores open");
    let started = Instant::now();
    let rotation = store.rotate(|_| {}).await.expect("the database answers");
    assert_eq!(rotation.left, 0);
    let rows = rotation.resealed as f64 / started.elapsed().as_secs_f64();
    println!("seal anew: {} rows, {rows:.0} rows/s", rotation.resealed);
}

async fn fill(database: &Database, store: &Store) -> Filled {
    let mut filled = Filled { keys: Vec::new(), sessions: Vec::new(), scopes: Vec::new() };
    let secret = |index| {
        let value = SecretString::from(format!("the value of secret {index}, of usual length"));
        let description = Some(SecretString::from("what it is for"));
        (format!("N{index}"), Secret { value, description })
    };
    let set: BTreeMap<String, Secret> = (0..ROWS / USERS).map(secret).collect();
    for index in 0..USERS {
        let scope = user(store, &format!("user-{index}")).await;
        store.secrets(&scope).store(&set, None).await.expect("the set is good");
        filled.scopes.push(scope);
    }
    let content = SessionContent {
        data: vec![7; 200],
        secrets: vec![("refresh".to_owned(), SecretString::from("x".repeat(1200)).into())],
        ..SessionContent::default()
    };
    for scope in &filled.scopes[..REAL] {
        let new = NewApiKey { name: "bench".to_owned(), ..NewApiKey::default() };
        let made = store.api_keys(scope).create(&new).await.expect("the key is good");
        filled.keys.push(text(&made.text).to_owned());
        let begun = store.begin_session(&scope.user, &content, &[], None).await;
        filled.sessions.push(begun.expect("the user is there").key);
    }
    let more = ROWS - REAL;
    let numbers = format!(
        "with recursive n (i) as (select 1 union all select i + 1 from n where i < {more})"
    );
    database
        .execute(&format!(
            "insert into api_keys (id, org_id, user_id, name, hash, display, scopes, bound, system,
                 created_at)
             {numbers} select 'x' || i, 'user-' || (i % {USERS}), 'user-' || (i % {USERS}),
                 'filler', 'hash-' || i, 'sk-oh-…', 'full', 1, 0, 1800000000 from n"
        ))
        .await;
    database
        .execute(&format!(
            "insert into sessions (id_hash, user_id, key_id, sealed, created_at, seen_at, expires_at)
             {numbers} select 'hash-' || i, 'user-' || (i % {USERS}), s.key_id, s.sealed,
                 1800000000, 1800000000, 1900000000
             from n cross join (select key_id, sealed from sessions limit 1) s"
        ))
        .await;
    filled
}
