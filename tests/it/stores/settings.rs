//! Users' settings.

use serde_json::json;
use vestibule::store::{Settings, StoreError};
use vestibule_tests::{
    database::{member, user},
    on_both_databases,
};

fn settings(model: &str) -> Settings {
    let document = json!({
        "llm_model": model,
        "llm_api_key": "plaintext-canary llm",
        "llm_profiles": {"fast": {"model": "small", "api_key": "plaintext-canary profile"}},
        "mcp_config": {"servers": [{"url": "u", "headers": {"X-Key": "plaintext-canary mcp"}}]},
    });
    Settings::split(document.as_object().unwrap().clone()).unwrap()
}

on_both_databases! {
    async fn settings_come_back_with_their_secrets_where_they_were(database: Database) {
        let store = database.open().await;
        let (own, shared) = (user(&store, "ada").await, member(&store, "ada", "engines").await);
        assert_eq!(store.settings(&own).await.unwrap().version, 0);
        let version = store.store_settings(&own, &settings("sonnet"), None).await.unwrap();
        store.store_settings(&shared, &settings("opus"), Some(0)).await.unwrap();
        let loaded = store.settings(&own).await.unwrap();
        assert_eq!(loaded.version, version);
        assert_eq!(loaded.settings.exposed(), settings("sonnet").exposed());
        let resting = database.scalar("select document from settings where org_id = 'ada'").await;
        assert!(!resting.contains("canary"), "{resting}");
    }

    async fn of_two_who_saw_the_same_settings_one_wins(database: Database) {
        let store = database.open().await;
        let scope = user(&store, "ada").await;
        let seen = store.store_settings(&scope, &settings("1"), None).await.unwrap();
        store.store_settings(&scope, &settings("2"), Some(seen)).await.unwrap();
        let error = store.store_settings(&scope, &settings("3"), Some(seen)).await.unwrap_err();
        assert!(matches!(error, StoreError::Conflict), "{error:?}");
        let loaded = store.settings(&scope).await.unwrap();
        assert_eq!(loaded.settings.exposed()["llm_model"], "2");
    }

    async fn one_damaged_secret_is_named_and_the_rest_loads(database: Database) {
        let store = database.open().await;
        let scope = user(&store, "ada").await;
        store.store_settings(&scope, &settings("1"), None).await.unwrap();
        database.execute(
            "update setting_secrets set value =
                 (select value from setting_secrets where pointer = '/llm_api_key')
             where pointer = '/llm_profiles/fast/api_key'",
        ).await;
        let loaded = store.settings(&scope).await.unwrap();
        assert_eq!(loaded.damaged, ["/llm_profiles/fast/api_key"]);
        assert_eq!(loaded.settings.exposed()["llm_api_key"], "plaintext-canary llm");
    }

    async fn settings_that_are_too_large_are_refused(database: Database) {
        let store = database.open().await;
        let scope = user(&store, "ada").await;
        let mut large = settings("1");
        large.document.insert("notes".to_owned(), "x".repeat(256 << 10).into());
        let error = store.store_settings(&scope, &large, None).await.unwrap_err();
        assert!(matches!(error, StoreError::SettingsShape(_)), "{error:?}");
    }
}
