//! What the host remembers of browsers that have logged in.

use std::{sync::Arc, time::Duration};

use vestibule::store::{SessionContent, SessionKey, StoreError};
use vestibule_tests::{
    NOW,
    database::{Database, user, user_id},
    on_both_databases,
    run::{canary, note_secret, text},
};

use super::rotation::second_trip;

const DAY: u64 = 24 * 60 * 60;
const SHORT: Duration = Duration::from_millis(50);

fn content() -> SessionContent {
    SessionContent {
        data: b"plaintext-canary of a strategy".to_vec(),
        secrets: vec![("refresh".to_owned(), Arc::new(canary("refresh token")))],
        refresh_at: Some(NOW + 60),
        expires_at: None,
        idp_session_id: Some("idp-1".to_owned()),
    }
}

#[tokio::test]
async fn a_look_up_reads_no_row_that_is_over_however_many_there_are() {
    let Some(database) = Database::postgres().await else { return };
    let store = database.open().await;
    let ada = user(&store, "ada").await.user;
    let live = store.begin_session(&ada, &content(), &[], None).await.unwrap();
    note_secret(live.key.text());
    let over = "insert into sessions
                select md5(cast(n as text)), user_id, key_id, sealed, refresh_at, idp_session_id,
                    created_at, 1, 1
                from sessions, generate_series(1, 20000) n";
    assert_eq!(database.execute(over).await, 20_000);
    database.execute("analyze sessions").await;
    let counted = async |what| {
        let counted = "select cast(% as text) from pg_stat_user_tables where relname = 'sessions'";
        database.scalar(&counted.replace('%', what)).await.parse::<u64>().unwrap()
    };
    // What the server has counted it writes down now and then.
    let look_up = async || {
        let before = counted("idx_scan").await;
        for _ in 0..500 {
            for _ in 0..20 {
                assert!(store.session(&live.key).await.unwrap().is_some());
            }
            if counted("idx_scan").await >= before + 20 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no look-up went by an index");
    };
    // The first time, what was counted while there were none comes along.
    look_up().await;
    let before = counted("seq_tup_read").await;
    look_up().await;
    // A connection that rests tells late of the scans it made while there was one row.
    let read = counted("seq_tup_read").await - before;
    assert!(read < 20_000, "one has read them all: {read}");
}

on_both_databases! {
    async fn a_session_comes_back_as_it_was_and_only_by_its_key(database: Database) {
        let store = database.open().await;
        let ada = user(&store, "ada").await.user;
        let new = store.begin_session(&ada, &content(), &[], None).await.unwrap();
        note_secret(new.key.text());
        assert_eq!(new.expires_at, NOW + 30 * DAY);
        let session = store.session(&new.key).await.unwrap().unwrap();
        assert_eq!(session.user, ada);
        assert_eq!(session.content.data, content().data);
        assert_eq!(session.content.secrets[0].0, "refresh");
        assert_eq!(text(&session.content.secrets[0].1), text(&canary("refresh token")));

        // What rests in the database does not open the door.
        let resting = database.scalar("select id_hash from sessions").await;
        assert!(SessionKey::parse(&resting).is_none());
        for wrong in ["", "abc", &"A".repeat(43)] {
            let Some(key) = SessionKey::parse(wrong) else { continue };
            assert!(store.session(&key).await.unwrap().is_none());
        }
        assert!(!format!("{new:?} {session:?}").contains("canary"));
    }

    async fn a_log_in_has_a_new_id_and_ends_the_one_before(database: Database) {
        let store = database.open().await;
        let ada = user(&store, "ada").await.user;
        let first = store.begin_session(&ada, &content(), &[], None).await.unwrap();
        let second = store.begin_session(&ada, &content(), &[], Some(&first.key)).await.unwrap();
        assert_ne!(text(first.key.text()), text(second.key.text()));
        assert!(store.session(&first.key).await.unwrap().is_none());
        assert!(store.session(&second.key).await.unwrap().is_some());
    }

    async fn the_oldest_session_ends_where_a_user_has_too_many(database: Database) {
        let store = database.open().await;
        let ada = user(&store, "ada").await.user;
        let bob = user(&store, "bob").await.user;
        let bobs = store.begin_session(&bob, &content(), &[], None).await.unwrap();
        let mut keys = Vec::new();
        for _ in 0..101 {
            keys.push(store.begin_session(&ada, &content(), &[], None).await.unwrap().key);
            database.clock.advance(1);
        }
        assert!(store.session(&keys[0]).await.unwrap().is_none());
        for key in [&keys[1], &keys[100], &bobs.key] {
            assert!(store.session(key).await.unwrap().is_some());
        }
        let entries = store.audit_of(&ada, 10).await.unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].reason.as_deref(), Some("the oldest of more than 100 sessions"));
    }

    async fn a_session_ends_when_it_idles_and_when_it_is_old(database: Database) {
        let store = database.open().await;
        let ada = user(&store, "ada").await.user;
        let idle = store.begin_session(&ada, &content(), &[], None).await.unwrap();
        let busy = store.begin_session(&ada, &content(), &[], None).await.unwrap();
        let brief = SessionContent { expires_at: Some(NOW + DAY), ..content() };
        let brief = store.begin_session(&ada, &brief, &[], None).await.unwrap();
        assert_eq!(brief.expires_at, NOW + DAY);
        for day in 1..30 {
            database.clock.advance(DAY);
            assert!(store.session(&busy.key).await.unwrap().is_some(), "day {day}");
            assert!(store.session(&brief.key).await.unwrap().is_none(), "day {day}");
            if day == 8 {
                assert!(store.session(&idle.key).await.unwrap().is_none());
            }
        }
        database.clock.advance(DAY);
        assert!(store.session(&busy.key).await.unwrap().is_none());
        // Whoever comes next clears away what is over.
        store.begin_session(&ada, &content(), &[], None).await.unwrap();
        assert_eq!(database.scalar("select cast(count(*) as text) from sessions").await, "1");
    }

    async fn what_is_over_is_deleted_and_nothing_else(database: Database) {
        let store = database.open().await;
        let ada = user(&store, "ada").await.user;
        let live = store.begin_session(&ada, &content(), &[], None).await.unwrap().key;
        for _ in 0..2 {
            let brief = SessionContent { expires_at: Some(NOW + 60), ..content() };
            store.begin_session(&ada, &brief, &[], None).await.unwrap();
        }
        store.keep_login(&second_trip(), true).await.unwrap().unwrap();
        assert!(store.use_once("a value", NOW + 600).await.unwrap());
        assert_eq!(store.prune().await.unwrap(), 0);
        database.clock.advance(DAY);
        assert_eq!(store.prune().await.unwrap(), 4);
        assert!(store.session(&live).await.unwrap().is_some());
        database.clock.advance(8 * DAY);
        assert_eq!(store.prune().await.unwrap(), 1, "it idled");
        assert_eq!(store.prune().await.unwrap(), 0);
    }

    async fn all_sessions_of_a_user_end_together(database: Database) {
        let store = database.open().await;
        let (ada, bob) = (user(&store, "ada").await.user, user(&store, "bob").await.user);
        let mut hers = Vec::new();
        for id in ["idp-1", "idp-1", "idp-2"] {
            let content = SessionContent { idp_session_id: Some(id.to_owned()), ..content() };
            hers.push(store.begin_session(&ada, &content, &[], None).await.unwrap().key);
        }
        let other = SessionContent { idp_session_id: Some("idp-3".to_owned()), ..content() };
        let his = store.begin_session(&bob, &other, &[], None).await.unwrap().key;
        assert_eq!(store.end_idp_sessions("idp-1", Some(&bob)).await.unwrap(), 0, "not his");
        assert_eq!(store.end_idp_sessions("idp-1", Some(&ada)).await.unwrap(), 2);
        assert_eq!(store.end_idp_sessions("idp-1", None).await.unwrap(), 0);
        assert!(store.session(&hers[2]).await.unwrap().is_some());
        assert_eq!(store.end_sessions(&ada).await.unwrap(), 1);
        assert!(store.session(&his).await.unwrap().is_some());
        assert!(store.end_session(&his).await.unwrap());
        assert!(!store.end_session(&his).await.unwrap());
    }

    async fn a_disabled_user_s_sessions_are_over_for_good(database: Database) {
        let store = database.open().await;
        let ada = user(&store, "ada").await.user;
        let key = store.begin_session(&ada, &content(), &[], None).await.unwrap().key;
        store.set_user_disabled(&ada, true).await.unwrap();
        assert!(store.session(&key).await.unwrap().is_none());
        let error = store.begin_session(&ada, &content(), &[], None).await.unwrap_err();
        assert!(matches!(error, StoreError::Disabled(_)), "{error:?}");
        store.set_user_disabled(&ada, false).await.unwrap();
        assert!(store.session(&key).await.unwrap().is_none());
        let error = store.begin_session(&user_id("nobody"), &content(), &[], None).await.unwrap_err();
        assert!(matches!(error, StoreError::NoUser(_)), "{error:?}");
    }

    async fn one_replica_renews_and_the_others_find_it_renewed(database: Database) {
        let (store, replica) = (database.open().await, database.open().await);
        let ada = user(&store, "ada").await.user;
        let key = store.begin_session(&ada, &content(), &[], None).await.unwrap().key;
        let session = store.session(&key).await.unwrap().unwrap();
        let mut lease = store.lease_session(&session, SHORT).await.unwrap();
        let busy = replica.lease_session(&session, SHORT).await.unwrap_err();
        assert!(matches!(busy, StoreError::Busy), "{busy:?}");

        lease.begin_rotation().await.unwrap();
        let renewed = SessionContent {
            refresh_at: Some(NOW + 600),
            secrets: vec![("refresh".to_owned(), Arc::new(canary("rotated")))],
            ..content()
        };
        assert!(lease.save(&renewed).await.unwrap());
        lease.release().await.unwrap();
        let lease = replica.lease_session(&session, SHORT).await.unwrap();
        let current = lease.current().await.unwrap().unwrap();
        assert_eq!(text(&current.content.secrets[0].1), text(&canary("rotated")));
        assert!(!lease.was_interrupted());
        lease.release().await.unwrap();
    }

    async fn a_renewal_that_was_begun_and_never_saved_ends_the_session(database: Database) {
        let store = database.open().await;
        let ada = user(&store, "ada").await.user;
        let key = store.begin_session(&ada, &content(), &[], None).await.unwrap().key;
        let session = store.session(&key).await.unwrap().unwrap();
        // Abandoned: it goes on.
        let mut lease = store.lease_session(&session, SHORT).await.unwrap();
        lease.begin_rotation().await.unwrap();
        lease.abandon_rotation().await.unwrap();
        lease.release().await.unwrap();
        assert!(store.session(&key).await.unwrap().is_some());
        // The holder died: whoever comes after the lease learns of it.
        let mut lease = store.lease_session(&session, SHORT).await.unwrap();
        lease.begin_rotation().await.unwrap();
        drop(lease);
        database.clock.advance(100);
        assert!(store.session(&key).await.unwrap().unwrap().interrupted);
        let lease = store.lease_session(&session, SHORT).await.unwrap();
        assert!(lease.was_interrupted());
        // Given back without an answer: it is over.
        lease.release().await.unwrap();
        assert!(store.session(&key).await.unwrap().is_none());
    }

    async fn a_log_out_in_the_middle_of_a_renewal_is_not_undone(database: Database) {
        let store = database.open().await;
        let ada = user(&store, "ada").await.user;
        let key = store.begin_session(&ada, &content(), &[], None).await.unwrap().key;
        let session = store.session(&key).await.unwrap().unwrap();
        let mut lease = store.lease_session(&session, SHORT).await.unwrap();
        lease.begin_rotation().await.unwrap();
        store.end_session(&key).await.unwrap();
        assert!(!lease.save(&content()).await.unwrap());
        lease.release().await.unwrap();
        assert!(store.session(&key).await.unwrap().is_none());
    }
}
