//! Many at once.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use vestibule::store::{NewApiKey, Secret};
use vestibule_tests::{
    database::user,
    on_both_databases,
    run::{at_once, canary, note_secret, text},
};

const WRITERS: usize = 16;
const WRITES: usize = 12;

on_both_databases! {
    async fn sixteen_writers_and_as_many_readers_never_meet_a_locked_database(database: Database) {
        // Two processes share the database, as far as it can tell.
        let stores = [database.open().await, database.open().await];
        let done = Arc::new(AtomicBool::new(false));
        let reads = Arc::new(AtomicUsize::new(0));
        let mut writers = Vec::new();
        let mut readers = Vec::new();
        for index in 0..WRITERS {
            let store = stores[index % 2].clone();
            let scope = user(&store, &format!("user-{}", index % 4)).await;
            let key = store.api_keys(&scope).create(&NewApiKey {
                name: "reader".to_owned(), ..NewApiKey::default()
            }).await.unwrap().text;
            note_secret(&key);
            let (other, done, reads) = (store.clone(), Arc::clone(&done), Arc::clone(&reads));
            let reader = scope.clone();
            readers.push(async move {
                while !done.load(Ordering::Relaxed) {
                    other.verify_key(text(&key)).await.unwrap().unwrap();
                    other.secrets(&reader).load().await.unwrap();
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
            writers.push(async move {
                for write in 0..WRITES {
                    let value = canary(&format!("{index} {write}"));
                    let secret = Secret { value, description: None };
                    store.secrets(&scope).put(&format!("N{index}"), &secret, None).await.unwrap();
                }
            });
        }
        let writing = async {
            at_once(writers).await;
            done.store(true, Ordering::Relaxed);
        };
        tokio::join!(writing, at_once(readers));
        assert!(reads.load(Ordering::Relaxed) > 0);
        for index in 0..WRITERS {
            let scope = user(&stores[0], &format!("user-{}", index % 4)).await;
            let loaded = stores[1].secrets(&scope).load().await.unwrap();
            assert_eq!(usize::try_from(loaded.version).unwrap(), WRITES * WRITERS / 4);
            assert!(loaded.secrets.contains_key(&format!("N{index}")));
        }
    }
}
