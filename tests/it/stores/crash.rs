//! A writer that is killed at any instant.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use vestibule::store::Scope;
use vestibule_tests::{
    database::{Database, SECRET},
    on_both_databases,
    run::text,
};

/// How often a writer is killed.
const ROUNDS: u64 = 50;

/// Lets a writer go on for a while and kills it; the last write that it said is
/// done, or the one that was done before.
fn kill_one(config: &std::path::Path, first: u64, after: Duration) -> u64 {
    let mut writer = Command::new(env!("CARGO_BIN_EXE_vestibule-writer"))
        .arg(config)
        .arg(first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(writer.stdout.take().unwrap()).lines();
    let mut last: u64 = said.next().expect("it writes").unwrap().parse().unwrap();
    std::thread::sleep(after);
    writer.kill().unwrap();
    writer.wait().unwrap();
    for line in said {
        // A line that was cut off is none.
        if let Ok(number) = line.unwrap().parse() {
            last = number;
        }
    }
    last
}

on_both_databases! {
    async fn nothing_that_was_acknowledged_is_lost_and_nothing_is_half_written(database: Database) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("vestibule.toml");
        fs::write(&file, format!(
            "database.url = '{}'\nauth.strategy = 'none'\nencryption.secret = '{SECRET}'\n",
            database.url
        )).unwrap();
        let scope = Scope::local_owner();
        let mut next = 1;
        for round in 0..ROUNDS {
            let config = file.clone();
            // Another instant each time, spread over a few writes.
            let after = Duration::from_micros(round * 7919 % 20_000);
            let acknowledged =
                tokio::task::spawn_blocking(move || kill_one(&config, next, after)).await.unwrap();
            let store = database.open().await;
            let loaded = store.secrets(&scope).load().await.unwrap();
            assert!(loaded.damaged.is_empty(), "round {round}");
            assert_eq!(loaded.secrets.len(), 8, "round {round}");
            let values: Vec<&str> =
                loaded.secrets.values().map(|secret| text(&secret.value)).collect();
            assert!(values.iter().all(|value| value == &values[0]), "round {round}: {values:?}");
            let found: u64 = values[0].rsplit(' ').next().unwrap().parse().unwrap();
            // The write after the acknowledged one may be done as well.
            assert!(
                found == acknowledged || found == acknowledged + 1,
                "round {round}: {acknowledged} was acknowledged and {found} is there"
            );
            next = found + 1;
        }
        assert!(next > ROUNDS);
    }
}

#[test]
fn the_writer_says_nothing_before_it_is_done() {
    // What the test above relies on.
    let database = Database::sqlite();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vestibule.toml");
    fs::write(
        &file,
        format!(
            "database.url = '{}'\nauth.strategy = 'none'\nencryption.secret = '{SECRET}'\n",
            database.url
        ),
    )
    .unwrap();
    let last = kill_one(&file, 7, Duration::from_millis(50));
    assert!(last >= 7);
}
