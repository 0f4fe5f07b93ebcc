//! API keys.

use secrecy::SecretString;
use vestibule::store::{KeyRefusal, NewApiKey, Scope, Store, StoreError};
use vestibule_tests::{
    NOW,
    database::{member, user},
    on_both_databases,
    run::{at_once, note_secret, text},
};

fn named(name: &str) -> NewApiKey {
    NewApiKey { name: name.to_owned(), ..NewApiKey::default() }
}

async fn make(store: &Store, scope: &Scope, new: &NewApiKey) -> SecretString {
    let made = store.api_keys(scope).create(new).await.unwrap();
    note_secret(&made.text);
    made.text
}

async fn refusal(store: &Store, key: &SecretString) -> KeyRefusal {
    store.verify_key(text(key)).await.unwrap().unwrap_err()
}

on_both_databases! {
    async fn a_key_says_whose_it_is_and_is_listed_without_its_text(database: Database) {
        let store = database.open().await;
        let scope = user(&store, "ada").await;
        let key = make(&store, &scope, &named("nightly")).await;
        assert_eq!(text(&key).len(), "sk-oh-".len() + 32);
        let verified = store.verify_key(text(&key)).await.unwrap().unwrap();
        assert_eq!(verified.scope, scope);
        assert_eq!(verified.role, "owner");
        assert_eq!(verified.owner.user_id.unwrap().as_str(), "ada");
        assert_eq!(verified.key.scopes, ["full"]);

        let listed = store.api_keys(&scope).list().await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].name, "nightly");
        assert!(text(&key).starts_with(listed[0].display.trim_end_matches('…')));
        let shown = format!("{listed:?} {verified:?}", verified = verified.key);
        assert!(!shown.contains(text(&key)), "{shown}");
    }

    async fn whatever_differs_from_a_key_is_refused(database: Database) {
        let store = database.open().await;
        let scope = user(&store, "ada").await;
        let key = make(&store, &scope, &named("nightly")).await;
        let key = text(&key);
        let mut wrong = vec![
            String::new(), key[..key.len() - 1].to_owned(), key[1..].to_owned(),
            format!("{key}a"), format!("{key} "), format!(" {key}"), key.to_uppercase(),
            key.to_lowercase(), key["sk-oh-".len()..].to_owned(), "x".repeat(1 << 16),
        ];
        for index in "sk-oh-".len()..key.len() {
            let mut bytes = key.as_bytes().to_vec();
            bytes[index] = if bytes[index] == b'a' { b'b' } else { b'a' };
            wrong.push(String::from_utf8(bytes).unwrap());
        }
        for text in wrong {
            let refused = refusal(&store, &SecretString::from(text.clone())).await;
            assert_eq!(refused, KeyRefusal::Unknown, "{text}");
        }
        let listed = store.api_keys(&scope).list().await.unwrap();
        assert_eq!(listed[0].last_used_at, None);
    }

    async fn a_key_is_valid_from_and_until_its_instants(database: Database) {
        let store = database.open().await;
        let scope = user(&store, "ada").await;
        let new = NewApiKey {
            not_before: Some(NOW + 10), expires_at: Some(NOW + 20), ..named("brief")
        };
        let key = make(&store, &scope, &new).await;
        assert_eq!(refusal(&store, &key).await, KeyRefusal::NotYet);
        database.clock.advance(10);
        assert!(store.verify_key(text(&key)).await.unwrap().is_ok());
        database.clock.advance(10);
        assert_eq!(refusal(&store, &key).await, KeyRefusal::Expired);
        let listed = store.api_keys(&scope).list().await.unwrap();
        assert_eq!(listed[0].last_used_at, Some(NOW + 10));

        for (not_before, expires_at) in [(None, NOW), (Some(NOW + 100), NOW + 99)] {
            let new = NewApiKey { not_before, expires_at: Some(expires_at), ..named("never") };
            let error = store.api_keys(&scope).create(&new).await.unwrap_err();
            assert!(matches!(error, StoreError::KeyExpired { .. }), "{error:?}");
        }
    }

    async fn the_last_use_is_written_at_most_once_a_minute(database: Database) {
        let store = database.open().await;
        let scope = user(&store, "ada").await;
        let key = make(&store, &scope, &named("busy")).await;
        let mut seen = Vec::new();
        for _ in 0..5 {
            store.verify_key(text(&key)).await.unwrap().unwrap();
            seen.push(store.api_keys(&scope).list().await.unwrap()[0].last_used_at.unwrap() - NOW);
            database.clock.advance(25);
        }
        assert_eq!(seen, [0, 0, 0, 75, 75]);
    }

    async fn a_disabled_owner_s_keys_stop_at_once_and_work_again_afterwards(database: Database) {
        let store = database.open().await;
        let scope = user(&store, "ada").await;
        let key = make(&store, &scope, &named("nightly")).await;
        store.set_user_disabled(&scope.user, true).await.unwrap();
        assert_eq!(refusal(&store, &key).await, KeyRefusal::Disabled);
        store.set_user_disabled(&scope.user, false).await.unwrap();
        assert!(store.verify_key(text(&key)).await.unwrap().is_ok());
    }

    async fn a_key_ends_with_its_owner_s_membership(database: Database) {
        let store = database.open().await;
        user(&store, "ada").await;
        let scope = member(&store, "ada", "engines").await;
        let bound = make(&store, &scope, &named("bound")).await;
        let unbound = make(&store, &scope, &NewApiKey { unbound: true, ..named("unbound") }).await;
        assert_eq!(store.verify_key(text(&bound)).await.unwrap().unwrap().role, "member");
        let acting = store.verify_key(text(&unbound)).await.unwrap().unwrap();
        assert_eq!(acting.scope.org.as_str(), "engines");
        store.remove_member(&scope).await.unwrap();
        assert_eq!(refusal(&store, &bound).await, KeyRefusal::NotMember);
        assert_eq!(refusal(&store, &unbound).await, KeyRefusal::NotMember);
    }

    async fn revoking_ends_one_s_own_keys_only(database: Database) {
        let store = database.open().await;
        let (ada, bob) = (user(&store, "ada").await, user(&store, "bob").await);
        let key = make(&store, &ada, &named("nightly")).await;
        let id = store.api_keys(&ada).list().await.unwrap()[0].id.clone();
        assert!(!store.api_keys(&bob).revoke(&id).await.unwrap());
        assert!(store.verify_key(text(&key)).await.unwrap().is_ok());
        assert!(store.api_keys(&ada).revoke(&id).await.unwrap());
        assert!(!store.api_keys(&ada).revoke(&id).await.unwrap());
        assert_eq!(refusal(&store, &key).await, KeyRefusal::Unknown);
    }

    async fn reserved_and_unusable_names_and_scopes_are_refused(database: Database) {
        let store = database.open().await;
        let scope = user(&store, "ada").await;
        for name in ["__SYSTEM__:x", "", "a\nb", "a\u{202e}b", &"x".repeat(256)] {
            let error = store.api_keys(&scope).create(&named(name)).await.unwrap_err();
            assert!(matches!(error, StoreError::KeyName(_)), "{error:?}");
        }
        for bad in ["", "a b", "ä"] {
            let new = NewApiKey { scopes: vec![bad.to_owned()], ..named("x") };
            let error = store.api_keys(&scope).create(&new).await.unwrap_err();
            assert!(matches!(error, StoreError::KeyScope(_)), "{error:?}");
        }
        assert!(store.api_keys(&scope).list().await.unwrap().is_empty());
        let scopes = vec!["settings:read".to_owned(), "secrets:read".to_owned()];
        let key = make(&store, &scope, &NewApiKey { scopes: scopes.clone(), ..named("n") }).await;
        assert_eq!(store.verify_key(text(&key)).await.unwrap().unwrap().key.scopes, scopes);
    }

    async fn a_system_key_is_the_same_for_all_who_ask_at_once(database: Database) {
        let store = database.open().await;
        let scope = user(&store, "ada").await;
        let asks = (0..10).map(|_| {
            let (store, scope) = (store.clone(), scope.clone());
            async move { store.api_keys(&scope).system("automation").await }
        });
        let mut texts = Vec::new();
        for ask in at_once(asks).await {
            let made = ask.unwrap();
            note_secret(&made.text);
            texts.push(text(&made.text).to_owned());
        }
        texts.dedup();
        assert_eq!(texts.len(), 1);
        assert_eq!(database.scalar("select cast(count(*) as text) from api_keys").await, "1");

        let key = SecretString::from(texts.remove(0));
        assert!(store.verify_key(text(&key)).await.unwrap().unwrap().key.system);
        assert!(store.api_keys(&scope).list().await.unwrap().is_empty());
        let id = store.verify_key(text(&key)).await.unwrap().unwrap().key.id;
        assert!(!store.api_keys(&scope).revoke(&id).await.unwrap());
        // The same text from another process, and another after it was revoked.
        let other = database.open().await;
        let again = other.api_keys(&scope).system("automation").await.unwrap();
        assert_eq!(text(&again.text), text(&key));
        assert!(store.api_keys(&scope).revoke_system("automation").await.unwrap());
        assert_eq!(refusal(&store, &key).await, KeyRefusal::Unknown);
        let new = store.api_keys(&scope).system("automation").await.unwrap();
        note_secret(&new.text);
        assert_ne!(text(&new.text), text(&key));
        for name in ["", " ", "__SYSTEM__:x"] {
            let error = store.api_keys(&scope).system(name).await.unwrap_err();
            assert!(matches!(error, StoreError::KeyName(_)), "{error:?}");
        }
    }
}
