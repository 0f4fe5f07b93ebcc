//! Reading changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use vestibule::engine::Hooks;
use vestibule_tests::{
    TestApp,
    database::{Database, user_id},
    keys::{by_key, sandbox},
    run::text,
};

use crate::login::{PUBLIC, sign_in};

/// When something was last used, which is true to the minute.
const TOUCHED: [&str; 2] = ["seen_at", "last_used_at"];

/// Every row of every table, as text.
pub(crate) async fn rows(database: &Database) -> BTreeMap<String, BTreeSet<String>> {
    let mut raw = SqliteConnection::connect(&database.url).await.unwrap();
    let tables: Vec<String> =
        sqlx::query_scalar("select name from sqlite_master where type = 'table' order by name")
            .fetch_all(&mut raw)
            .await
            .unwrap();
    assert!(tables.len() > 15, "{tables:?}");
    let mut all = BTreeMap::new();
    for table in tables {
        let columns: Vec<String> = sqlx::query_scalar("select name from pragma_table_info($1)")
            .bind(&table)
            .fetch_all(&mut raw)
            .await
            .unwrap();
        let kept: Vec<String> = columns
            .iter()
            .filter(|column| !TOUCHED.contains(&column.as_str()))
            .map(|column| format!("quote({column})"))
            .collect();
        let sql = format!("select {} from {table}", kept.join(" || ' ' || "));
        let found: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut raw).await.unwrap();
        all.insert(table, found.into_iter().collect());
    }
    all
}

#[tokio::test]
async fn no_get_changes_anything_but_when_something_was_last_used() {
    let database = Database::sqlite();
    let toml = format!(
        "server.trusted_proxies = ['127.0.0.1']\n{PUBLIC}[[apps]]\nhost = 'wiki.example'\n"
    );
    let app = TestApp::start_on(&database, "visited", &toml, &[], Hooks::default()).await.unwrap();
    let browser = sign_in(&app, "&user=ada").await;
    let secret = json!({"name": "TOKEN", "value": "plaintext-canary value"});
    let kept = browser.page().send_json("POST", "/api/v1/secrets", secret).await;
    assert_eq!(kept.status, 201, "{}", kept.body);
    let scope = app.host.store().user(&user_id("ada")).await.unwrap().unwrap().scope();
    let key = by_key(&app, &scope).await;
    // The first use of a key is written into the audit,
    assert_eq!(key.get("/api/v1/users/me").await.status, 200);
    // and the key that signs who is calling is made by whoever asks for it first.
    assert_eq!(app.anonymous().get("/.well-known/jwks.json").await.status, 200);
    let session_key = sandbox(&app, &scope, "box").await;
    let document: Value = app.anonymous().get("/openapi.json").await.json();
    let paths = document["paths"].as_object().unwrap();
    let gets = paths.iter().filter(|(_, operations)| operations["get"].is_object());
    let addresses: Vec<String> = gets
        .map(|(path, _)| {
            let id = if path.contains("sandboxes") { "box" } else { "first" };
            path.replace("{name}", "TOKEN").replace("{*path}", "a").replace("{sandbox_id}", id)
        })
        .map(|path| path.replace(['{', '}'], ""))
        .chain(["/".to_owned(), "/auth/login/start?return_to=/a".to_owned()])
        .collect();
    assert!(addresses.len() > 20, "{addresses:?}");

    // Long enough that what was last used is written down anew, and not that a session is due.
    app.clock.advance(120);
    let before = rows(&database).await;
    let mut answered = 0;
    for caller in [browser.caller(), browser.page(), key, app.anonymous()] {
        let caller = caller.at("127.0.0.1").with("x-original-method", "GET");
        let caller = caller.with("x-original-url", "https://wiki.example/a");
        let of_sandbox = caller.clone().with("x-session-api-key", text(&session_key));
        for (caller, reads_secrets) in [(caller, false), (of_sandbox, true)] {
            for address in &addresses {
                let reply = caller.get(address).await;
                answered += usize::from(reply.status.is_success());
                assert_ne!(reply.status, 405, "{address}");
                for (table, rows) in rows(&database).await {
                    // A secret that a sandbox reads is told, as every reading of one is.
                    let told = table == "audit" && reads_secrets;
                    let new: Vec<_> = rows.difference(&before[&table]).collect();
                    assert!(told || new.is_empty(), "GET {address}: {table} has {new:?}");
                    let left = rows.len() - new.len();
                    assert_eq!(left, before[&table].len(), "GET {address}: {table} has lost some");
                }
            }
        }
    }
    assert!(answered > 60, "{answered}");
}
