//! Users' durable tokens and the leases under which they change.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use vestibule::store::{StoreError, TokenPair, TokenState};
use vestibule_tests::{
    NOW,
    database::user,
    on_both_databases,
    run::{at_once, canary, text},
};

const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(20);

fn pair(name: &str) -> TokenPair {
    TokenPair {
        access: Some(Arc::new(canary(&format!("access {name}")))),
        refresh: Some(Arc::new(canary(&format!("refresh {name}")))),
        access_expires_at: Some(NOW + 100),
        refresh_expires_at: None,
        host: Some("git.example.com".to_owned()),
        account_id: Some("42".to_owned()),
    }
}

fn access(pair: &TokenPair) -> &str {
    text(pair.access.as_ref().unwrap())
}

on_both_databases! {
    async fn a_pair_comes_back_as_it_was(database: Database) {
        let store = database.open().await;
        let ada = user(&store, "ada").await.user;
        let tokens = store.tokens(&ada);
        assert!(tokens.load("github").await.unwrap().is_none());
        let mut lease = tokens.lease("github", SHORT).await.unwrap();
        assert!(lease.current().await.unwrap().is_none());
        lease.save(&pair("1")).await.unwrap();
        lease.release().await.unwrap();
        let found = tokens.load("github").await.unwrap().unwrap();
        assert_eq!(access(&found.pair), access(&pair("1")));
        assert_eq!(found.pair.access_expires_at, Some(NOW + 100));
        assert_eq!(found.pair.refresh_expires_at, None);
        assert_eq!(found.pair.host.as_deref(), Some("git.example.com"));
        assert_eq!((found.stored_at, found.state), (NOW, TokenState::Active));
        assert_eq!(tokens.names().await.unwrap(), ["github"]);

        let bob = user(&store, "bob").await.user;
        assert!(store.tokens(&bob).load("github").await.unwrap().is_none());
        assert!(!store.tokens(&bob).remove("github").await.unwrap());
        assert!(tokens.remove("github").await.unwrap());
    }

    async fn of_twenty_who_renew_at_once_one_does(database: Database) {
        let (store, replica) = (database.open().await, database.open().await);
        let ada = user(&store, "ada").await.user;
        let mut lease = store.tokens(&ada).lease("github", SHORT).await.unwrap();
        lease.save(&pair("old")).await.unwrap();
        lease.release().await.unwrap();
        let renewals = Arc::new(AtomicUsize::new(0));
        let all = (0..20).map(|index| {
            let store = if index % 2 == 0 { store.clone() } else { replica.clone() };
            let (ada, renewals) = (ada.clone(), Arc::clone(&renewals));
            async move {
                let tokens = store.tokens(&ada);
                let mut lease = tokens.lease("github", LONG).await.unwrap();
                let current = lease.current().await.unwrap().unwrap();
                if access(&current.pair) == access(&pair("old")) {
                    lease.begin_rotation().await.unwrap();
                    renewals.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                    lease.save(&pair("new")).await.unwrap();
                }
                lease.release().await.unwrap();
                tokens.load("github").await.unwrap().unwrap()
            }
        });
        for one in at_once(all).await {
            assert_eq!(access(&one.pair), access(&pair("new")));
        }
        assert_eq!(renewals.load(Ordering::Relaxed), 1);
    }

    async fn a_lease_that_ran_out_can_change_nothing(database: Database) {
        let store = database.open().await;
        let ada = user(&store, "ada").await.user;
        let mut late = store.tokens(&ada).lease("github", SHORT).await.unwrap();
        database.clock.advance(31);
        let mut lease = store.tokens(&ada).lease("github", SHORT).await.unwrap();
        lease.save(&pair("new")).await.unwrap();
        for error in [
            late.save(&pair("late")).await.unwrap_err(),
            late.begin_rotation().await.unwrap_err(),
            late.mark_reconnect("late").await.unwrap_err(),
        ] {
            assert!(matches!(error, StoreError::LeaseLost), "{error:?}");
        }
        // Giving back what is not held takes it from nobody.
        late.release().await.unwrap();
        let busy = store.tokens(&ada).lease("github", SHORT).await.unwrap_err();
        assert!(matches!(busy, StoreError::Busy), "{busy:?}");
        lease.release().await.unwrap();
        let found = store.tokens(&ada).load("github").await.unwrap().unwrap();
        assert_eq!(access(&found.pair), access(&pair("new")));
    }

    async fn a_renewal_that_was_interrupted_ends_in_reconnect(database: Database) {
        let store = database.open().await;
        let ada = user(&store, "ada").await.user;
        let tokens = store.tokens(&ada);
        let mut lease = tokens.lease("github", SHORT).await.unwrap();
        lease.save(&pair("1")).await.unwrap();
        lease.begin_rotation().await.unwrap();
        drop(lease);
        // While the lease lasts, the holder may yet come back.
        assert_eq!(tokens.load("github").await.unwrap().unwrap().state, TokenState::Active);
        database.clock.advance(31);
        let found = tokens.load("github").await.unwrap().unwrap();
        assert!(matches!(found.state, TokenState::Reconnect { .. }));
        // The pair itself is whole, and a new one makes it good again.
        assert_eq!(access(&found.pair), access(&pair("1")));
        let mut lease = tokens.lease("github", SHORT).await.unwrap();
        let current = lease.current().await.unwrap().unwrap();
        assert!(matches!(current.state, TokenState::Reconnect { .. }));
        lease.save(&pair("2")).await.unwrap();
        lease.release().await.unwrap();
        assert_eq!(tokens.load("github").await.unwrap().unwrap().state, TokenState::Active);

        let mut lease = tokens.lease("github", SHORT).await.unwrap();
        lease.begin_rotation().await.unwrap();
        lease.abandon_rotation().await.unwrap();
        lease.release().await.unwrap();
        assert_eq!(tokens.load("github").await.unwrap().unwrap().state, TokenState::Active);
        let mut lease = tokens.lease("github", SHORT).await.unwrap();
        lease.begin_rotation().await.unwrap();
        lease.release().await.unwrap();
        let found = tokens.load("github").await.unwrap().unwrap();
        assert!(matches!(found.state, TokenState::Reconnect { .. }));
    }

    async fn a_refused_token_is_marked_and_not_deleted(database: Database) {
        let store = database.open().await;
        let ada = user(&store, "ada").await.user;
        let mut lease = store.tokens(&ada).lease("github", SHORT).await.unwrap();
        lease.save(&pair("1")).await.unwrap();
        lease.mark_reconnect("bad_refresh_token").await.unwrap();
        lease.release().await.unwrap();
        let found = store.tokens(&ada).load("github").await.unwrap().unwrap();
        assert_eq!(found.state, TokenState::Reconnect { reason: "bad_refresh_token".to_owned() });
        assert!(found.pair.refresh.is_some());
    }

    async fn a_late_save_that_nobody_has_overtaken_keeps_what_works_once(database: Database) {
        let store = database.open().await;
        let ada = user(&store, "ada").await.user;
        let mut lease = store.tokens(&ada).lease("github", SHORT).await.unwrap();
        lease.begin_rotation().await.unwrap();
        database.clock.advance(31);
        lease.save(&pair("fresh")).await.unwrap();
        lease.release().await.unwrap();
        let found = store.tokens(&ada).load("github").await.unwrap().unwrap();
        assert_eq!((access(&found.pair), found.state), (access(&pair("fresh")), TokenState::Active));
    }

    async fn a_token_that_is_removed_in_the_middle_of_a_renewal_stays_away(database: Database) {
        let store = database.open().await;
        let ada = user(&store, "ada").await.user;
        let mut lease = store.tokens(&ada).lease("github", SHORT).await.unwrap();
        lease.save(&pair("1")).await.unwrap();
        lease.begin_rotation().await.unwrap();
        assert!(store.tokens(&ada).remove("github").await.unwrap());
        let error = lease.save(&pair("2")).await.unwrap_err();
        assert!(matches!(error, StoreError::LeaseLost), "{error:?}");
        assert!(store.tokens(&ada).load("github").await.unwrap().is_none());
    }

    async fn a_token_that_is_about_to_go_goes_whatever_becomes_of_it(database: Database) {
        let store = database.open().await;
        let ada = user(&store, "ada").await.user;
        let tokens = store.tokens(&ada);
        let mut lease = tokens.lease("github", SHORT).await.unwrap();
        lease.save(&pair("1")).await.unwrap();
        lease.release().await.unwrap();
        tokens.begin_removal("github").await.unwrap();
        let state = tokens.load("github").await.unwrap().unwrap().state;
        assert!(matches!(state, TokenState::Reconnect { .. }), "{state:?}");
        let mut lease = tokens.lease("github", SHORT).await.unwrap();
        lease.mark_reconnect("its provider said so").await.unwrap();
        let error = lease.save(&pair("2")).await.unwrap_err();
        assert!(matches!(error, StoreError::LeaseLost), "{error:?}");
        assert!(tokens.is_removal_begun("github").await.unwrap());
        tokens.end_removal("github").await.unwrap();
        assert!(tokens.load("github").await.unwrap().is_none());
    }

    async fn a_token_that_nobody_removed_to_the_end_is_gone_after_an_hour(database: Database) {
        let store = database.open().await;
        let ada = user(&store, "ada").await.user;
        let tokens = store.tokens(&ada);
        for name in ["github", "gitlab"] {
            let mut lease = tokens.lease(name, SHORT).await.unwrap();
            lease.save(&pair(name)).await.unwrap();
            lease.release().await.unwrap();
        }
        tokens.begin_removal("github").await.unwrap();
        database.clock.advance(3600);
        assert_eq!(store.prune().await.unwrap(), 0);
        database.clock.advance(1);
        assert_eq!(store.prune().await.unwrap(), 1);
        assert_eq!(tokens.names().await.unwrap(), ["gitlab"]);
    }
}
