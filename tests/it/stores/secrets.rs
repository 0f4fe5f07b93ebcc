//! Users' own secrets.

use std::collections::BTreeMap;

use secrecy::SecretString;
use vestibule::{
    cipher::CipherError,
    store::{Secret, StoreError},
};
use vestibule_tests::{
    database::{member, user},
    on_both_databases,
    run::{at_once, canary, text},
};

fn secret(value: &str) -> Secret {
    Secret { value: canary(value), description: None }
}

fn described(value: &str, description: &str) -> Secret {
    Secret { description: Some(canary(description)), ..secret(value) }
}

fn set(names: &[&str]) -> BTreeMap<String, Secret> {
    names.iter().map(|name| ((*name).to_owned(), described(name, "what it is for"))).collect()
}

on_both_databases! {
    async fn what_is_stored_comes_back_byte_for_byte(database: Database) {
        let store = database.open().await;
        // What the search for secrets must find, to be believed.
        user(&store, "visible-canary").await;
        let scope = user(&store, "ada").await;
        let large = "x".repeat(60 << 10);
        for value in ["", "ümläut \u{1f511}", "ends with a newline\n", "\0", &large] {
            store.secrets(&scope).put("NAME", &described(value, ""), None).await.unwrap();
            let found = store.secrets(&scope).get("NAME").await.unwrap().unwrap();
            assert_eq!(text(&found.value), text(&canary(value)));
            assert_eq!(text(&found.description.unwrap()), text(&canary("")));
        }
        let empty = Secret { value: SecretString::from(""), description: Some(SecretString::from("")) };
        store.secrets(&scope).put("EMPTY", &empty, None).await.unwrap();
        let found = store.secrets(&scope).get("EMPTY").await.unwrap().unwrap();
        assert_eq!((text(&found.value), text(&found.description.unwrap())), ("", ""));
        assert!(store.secrets(&scope).get("OTHER").await.unwrap().is_none());
    }

    async fn storing_a_set_replaces_the_one_before(database: Database) {
        let store = database.open().await;
        let scope = user(&store, "ada").await;
        store.secrets(&scope).store(&set(&["A", "B", "C"]), None).await.unwrap();
        store.secrets(&scope).store(&set(&["B", "D"]), None).await.unwrap();
        let loaded = store.secrets(&scope).load().await.unwrap();
        assert_eq!(loaded.names().into_iter().collect::<Vec<_>>(), ["B", "D"]);
        assert_eq!(loaded.version, 2);
        store.secrets(&scope).store(&BTreeMap::new(), None).await.unwrap();
        assert!(store.secrets(&scope).load().await.unwrap().secrets.is_empty());
    }

    async fn another_organisation_and_another_user_are_left_alone(database: Database) {
        let store = database.open().await;
        let here = user(&store, "ada").await;
        let there = member(&store, "ada", "engines").await;
        let other = user(&store, "bob").await;
        for scope in [&here, &there, &other] {
            store.secrets(scope).store(&set(&["SAME"]), None).await.unwrap();
        }
        store.secrets(&here).store(&BTreeMap::new(), None).await.unwrap();
        assert!(store.secrets(&here).get("SAME").await.unwrap().is_none());
        for scope in [&there, &other] {
            assert!(store.secrets(scope).get("SAME").await.unwrap().is_some());
            store.secrets(scope).remove("SAME", None).await.unwrap();
        }
    }

    async fn a_failure_between_delete_and_insert_leaves_the_old_set(database: Database) {
        let store = database.open().await;
        let scope = user(&store, "ada").await;
        store.secrets(&scope).store(&set(&["A", "B"]), None).await.unwrap();
        if database.is_postgres() {
            database.execute(
                "create function refuse() returns trigger language plpgsql as
                 'begin raise exception ''no''; end'",
            ).await;
            database.execute(
                "create trigger refuse before insert on secrets for each row
                 when (new.name = 'Z') execute function refuse()",
            ).await;
        } else {
            database.execute(
                "create trigger refuse before insert on secrets when new.name = 'Z'
                 begin select raise(abort, 'no'); end",
            ).await;
        }
        let error = store.secrets(&scope).store(&set(&["C", "Z"]), None).await.unwrap_err();
        assert!(matches!(error, StoreError::Query(_)), "{error:?}");
        let loaded = store.secrets(&scope).load().await.unwrap();
        assert_eq!(loaded.names().into_iter().collect::<Vec<_>>(), ["A", "B"]);
        assert_eq!(loaded.version, 1);
    }

    async fn parallel_edits_of_different_names_are_both_visible(database: Database) {
        let store = database.open().await;
        let scope = user(&store, "ada").await;
        let edits = (0..20).map(|index| {
            let (store, scope) = (store.clone(), scope.clone());
            async move {
                store.secrets(&scope).put(&format!("N{index}"), &secret("x"), None).await
            }
        });
        for edit in at_once(edits).await {
            edit.unwrap();
        }
        let loaded = store.secrets(&scope).load().await.unwrap();
        assert_eq!((loaded.secrets.len(), loaded.version), (20, 20));
    }

    async fn an_edit_of_what_was_changed_meanwhile_is_a_conflict(database: Database) {
        let store = database.open().await;
        let scope = user(&store, "ada").await;
        let secrets = store.secrets(&scope);
        let seen = secrets.put("A", &secret("1"), None).await.unwrap();
        secrets.put("B", &secret("2"), Some(seen)).await.unwrap();
        for error in [
            secrets.put("C", &secret("3"), Some(seen)).await.unwrap_err(),
            secrets.store(&set(&["C"]), Some(seen)).await.unwrap_err(),
            secrets.remove("A", Some(seen)).await.unwrap_err(),
            secrets.edit("A", Some("Z"), None, None, Some(seen)).await.unwrap_err(),
        ] {
            assert!(matches!(error, StoreError::Conflict), "{error:?}");
        }
        let loaded = secrets.load().await.unwrap();
        assert_eq!(loaded.names().into_iter().collect::<Vec<_>>(), ["A", "B"]);
        assert_eq!(loaded.version, seen + 1);
        // Of twenty who saw the same set, one wins.
        let edits = (0..20).map(|index| {
            let (store, scope) = (store.clone(), scope.clone());
            async move {
                store.secrets(&scope).store(&set(&[&format!("N{index}")]), Some(seen + 1)).await
            }
        });
        let mut won = 0;
        for edit in at_once(edits).await {
            won += usize::from(edit.is_ok());
        }
        assert_eq!(won, 1);
    }

    async fn one_damaged_row_is_named_and_the_others_load(database: Database) {
        let store = database.open().await;
        let scope = user(&store, "ada").await;
        store.secrets(&scope).store(&set(&["A", "B", "C"]), None).await.unwrap();
        database.execute("update secrets set value = 'gAAAAAB' where name = 'B'").await;
        // Moved from another place: it opens nowhere else.
        database.execute(
            "update secrets set value = (select value from secrets where name = 'A')
             where name = 'C'",
        ).await;
        let loaded = store.secrets(&scope).load().await.unwrap();
        assert_eq!(loaded.secrets.keys().collect::<Vec<_>>(), ["A"]);
        assert!(matches!(loaded.damaged.get("B"), Some(CipherError::Damaged)));
        assert!(matches!(loaded.damaged.get("C"), Some(CipherError::Damaged)));
        // A damaged secret can be written over, and deleted.
        store.secrets(&scope).put("B", &secret("new"), None).await.unwrap();
        store.secrets(&scope).remove("C", None).await.unwrap();
        let loaded = store.secrets(&scope).load().await.unwrap();
        assert_eq!(loaded.secrets.keys().collect::<Vec<_>>(), ["A", "B"]);
        assert!(loaded.damaged.is_empty());
    }

    async fn a_new_value_keeps_the_description_and_a_new_name_keeps_the_value(database: Database) {
        let store = database.open().await;
        let scope = user(&store, "ada").await;
        let secrets = store.secrets(&scope);
        secrets.put("A", &described("1", "first"), None).await.unwrap();
        secrets.put("A", &secret("2"), None).await.unwrap();
        let found = secrets.get("A").await.unwrap().unwrap();
        assert_eq!(text(&found.value), text(&canary("2")));
        assert_eq!(text(&found.description.unwrap()), text(&canary("first")));

        secrets.edit("A", Some("B"), None, None, None).await.unwrap();
        secrets.edit("B", None, None, Some(&canary("second")), None).await.unwrap();
        assert!(secrets.get("A").await.unwrap().is_none());
        let found = secrets.get("B").await.unwrap().unwrap();
        assert_eq!(text(&found.value), text(&canary("2")));
        assert_eq!(text(&found.description.unwrap()), text(&canary("second")));

        secrets.put("C", &secret("3"), None).await.unwrap();
        let error = secrets.edit("B", Some("C"), None, None, None).await.unwrap_err();
        assert!(matches!(error, StoreError::SecretTwice(_)), "{error:?}");
        let error = secrets.edit("NONE", None, None, None, None).await.unwrap_err();
        assert!(matches!(error, StoreError::NoSecret(_)), "{error:?}");
    }

    async fn bad_input_gets_an_error_that_names_it(database: Database) {
        let store = database
            .try_open(&database.config("[secrets]\nmax_count = 2\nmax_bytes = '1KiB'"))
            .await
            .unwrap();
        let scope = user(&store, "ada").await;
        let secrets = store.secrets(&scope);
        let long = "A".repeat(257);
        for name in ["../up", "a/b", "q?z", "1A", "", "a b", "ä", &long] {
            let error = secrets.put(name, &secret("x"), None).await.unwrap_err();
            assert!(matches!(&error, StoreError::SecretName(named) if named == name), "{error:?}");
            let error = secrets.store(&set(&[name]), None).await.unwrap_err();
            assert!(error.to_string().contains("cannot be a secret's name"), "{error}");
        }
        let large = "x".repeat(1024);
        for large in [secret(&large), described("", &large)] {
            let error = secrets.put("LARGE", &large, None).await.unwrap_err();
            assert_eq!(
                error.to_string(),
                "the secret LARGE or its description has more than 1024 bytes ([secrets] max_bytes)"
            );
        }
        secrets.put("A", &secret("1"), None).await.unwrap();
        secrets.put("B", &secret("2"), None).await.unwrap();
        for error in [
            secrets.put("C", &secret("3"), None).await.unwrap_err(),
            secrets.store(&set(&["A", "B", "C"]), None).await.unwrap_err(),
        ] {
            assert_eq!(
                error.to_string(),
                "a user can keep at most 2 secrets in one organisation ([secrets] max_count)"
            );
        }
        secrets.put("B", &secret("more"), None).await.unwrap();

        let mut elsewhere = scope.clone();
        elsewhere.org = vestibule::identity::OrgId::new("strangers").unwrap();
        let error = store.secrets(&elsewhere).put("A", &secret("1"), None).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the user ada is not a member of the organisation strangers"
        );
        elsewhere.user = vestibule::identity::UserId::new("nobody").unwrap();
        let error = store.secrets(&elsewhere).store(&set(&["A"]), None).await.unwrap_err();
        assert!(matches!(error, StoreError::NoUser(_)), "{error:?}");
    }
}
