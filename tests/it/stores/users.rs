//! Users and the organisations they belong to.

use vestibule::{
    identity::{Identity, OrgId, UserId},
    store::{AuditEntry, Scope, StoreError},
};
use vestibule_tests::{
    NOW,
    database::{member, user, user_id},
    on_both_databases,
    run::at_once,
};

on_both_databases! {
    async fn the_local_owner_is_there_from_the_start(database: Database) {
        let store = database.open().await;
        let owner = store.user(&UserId::local_owner()).await.unwrap().unwrap();
        assert_eq!(owner.scope(), Scope::local_owner());
        assert_eq!(owner.role.as_deref(), Some("owner"));
        assert_eq!(owner.identity.display_name.as_deref(), Some("Local owner"));
    }

    async fn a_user_is_as_the_identity_provider_last_said(database: Database) {
        let store = database.open().await;
        let mut identity = Identity {
            user_id: Some(user_id("ada")),
            email: Some("ada@example.com".to_owned()),
            roles: vec!["admin".to_owned()],
            ..Identity::default()
        };
        let first = store.establish_user(&identity).await.unwrap();
        assert_eq!((first.org.as_str(), first.role.as_deref()), ("ada", Some("owner")));
        database.clock.advance(10);
        identity.email = Some("ada@new.example".to_owned());
        let second = store.establish_user(&identity).await.unwrap();
        assert_eq!(second.identity, identity);
        assert_eq!((second.created_at, second.seen_at), (NOW, NOW + 10));
        // An organisation that the identity names becomes the current one.
        identity.org_id = Some(OrgId::new("engines").unwrap());
        let third = store.establish_user(&identity).await.unwrap();
        assert_eq!((third.org.as_str(), third.role.as_deref()), ("engines", Some("member")));
        // It stays so when the next does not name one.
        identity.org_id = None;
        database.clock.advance(100);
        assert_eq!(store.establish_user(&identity).await.unwrap().org.as_str(), "engines");
        assert_eq!(store.users().await.unwrap().len(), 2);
    }

    async fn twenty_first_log_ins_at_once_make_one_user(database: Database) {
        let store = database.open().await;
        let identity = Identity { user_id: Some(user_id("ada")), ..Identity::default() };
        let all = (0..20).map(|_| {
            let (store, identity) = (store.clone(), identity.clone());
            async move { store.establish_user(&identity).await }
        });
        for one in at_once(all).await {
            one.unwrap();
        }
        assert_eq!(store.users().await.unwrap().len(), 2);
    }

    async fn whoever_logs_in_for_several_organisations_at_once_acts_for_the_one_of_each(
        database: Database
    ) {
        let store = database.open().await;
        let all = (0..16).map(|index| {
            let org_id = Some(OrgId::new(format!("org-{index}")).unwrap());
            let user_id = Some(user_id("ada"));
            let (store, identity) = (store.clone(), Identity { user_id, org_id, ..Identity::default() });
            async move {
                for _ in 0..20 {
                    let user = store.establish_user(&identity).await.unwrap();
                    assert_eq!(Some(user.org), identity.org_id);
                    assert_eq!(user.role.as_deref(), Some("member"));
                }
            }
        });
        at_once(all).await;
    }

    async fn roles_are_those_of_one_organisation(database: Database) {
        let store = database.open().await;
        let own = user(&store, "ada").await;
        let shared = member(&store, "ada", "engines").await;
        store.add_member(&shared, "admin").await.unwrap();
        assert_eq!(store.role(&own).await.unwrap().as_deref(), Some("owner"));
        assert_eq!(store.role(&shared).await.unwrap().as_deref(), Some("admin"));
        assert!(store.remove_member(&shared).await.unwrap());
        assert!(!store.remove_member(&shared).await.unwrap());
        assert_eq!(store.role(&shared).await.unwrap(), None);
        let nobody = Scope::new(user_id("nobody"), shared.org.clone());
        let error = store.add_member(&nobody, "admin").await.unwrap_err();
        assert!(matches!(error, StoreError::NoUser(_)), "{error:?}");
        let error = store.set_user_disabled(&user_id("nobody"), true).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no user nobody; a user exists from the first log-in on"
        );
    }

    async fn the_audit_keeps_what_was_done_newest_first(database: Database) {
        let store = database.open().await;
        for (action, outcome) in [("log-in", "done"), ("secret.read", "refused")] {
            let entry = AuditEntry {
                actor: Some("ada".to_owned()),
                action: action.to_owned(),
                outcome: outcome.to_owned(),
                ..AuditEntry::default()
            };
            store.note(&entry).await.unwrap();
            database.clock.advance(1);
        }
        let found = store.audit_of(&user_id("ada"), 10).await.unwrap();
        let shown: Vec<_> =
            found.iter().map(|entry| (entry.at - NOW, entry.action.as_str())).collect();
        assert_eq!(shown, [(1, "secret.read"), (0, "log-in")]);
        assert!(store.audit_of(&user_id("bob"), 10).await.unwrap().is_empty());
    }
}
