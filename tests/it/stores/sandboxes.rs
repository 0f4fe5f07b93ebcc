//! Sandboxes and their session keys.

use vestibule::store::{SandboxStatus, StoreError};
use vestibule_tests::{
    database::user,
    on_both_databases,
    run::{note_secret, text},
};

on_both_databases! {
    async fn a_session_key_dies_on_pause_and_delete_and_is_new_on_resume(database: Database) {
        let store = database.open().await;
        let scope = user(&store, "ada").await;
        let sandboxes = store.sandboxes(&scope);
        let first = sandboxes.register("s1").await.unwrap();
        note_secret(&first);
        let found = store.sandbox_by_key(text(&first)).await.unwrap().unwrap();
        assert_eq!((found.id.as_str(), &found.scope), ("s1", &scope));
        assert_eq!(found.status, SandboxStatus::Running);

        assert!(sandboxes.pause("s1").await.unwrap());
        let found = store.sandbox_by_key(text(&first)).await.unwrap().unwrap();
        assert_eq!(found.status, SandboxStatus::Paused);
        let second = sandboxes.resume("s1").await.unwrap().unwrap();
        note_secret(&second);
        assert_ne!(text(&first), text(&second));
        assert!(store.sandbox_by_key(text(&first)).await.unwrap().is_none());
        assert!(store.sandbox_by_key(text(&second)).await.unwrap().is_some());
        assert!(sandboxes.remove("s1").await.unwrap());
        assert!(store.sandbox_by_key(text(&second)).await.unwrap().is_none());
        assert!(sandboxes.resume("s1").await.unwrap().is_none());
    }

    async fn nobody_reaches_another_s_sandbox(database: Database) {
        let store = database.open().await;
        let (ada, bob) = (user(&store, "ada").await, user(&store, "bob").await);
        let key = store.sandboxes(&ada).register("s1").await.unwrap();
        let error = store.sandboxes(&bob).register("s1").await.unwrap_err();
        assert!(matches!(error, StoreError::SandboxExists(_)), "{error:?}");
        assert!(store.sandboxes(&bob).get("s1").await.unwrap().is_none());
        assert!(!store.sandboxes(&bob).pause("s1").await.unwrap());
        assert!(!store.sandboxes(&bob).remove("s1").await.unwrap());
        assert!(store.sandboxes(&bob).list().await.unwrap().is_empty());
        assert_eq!(store.sandboxes(&ada).list().await.unwrap().len(), 1);
        store.set_user_disabled(&ada.user, true).await.unwrap();
        assert!(store.sandbox_by_key(text(&key)).await.unwrap().is_none());
    }
}
