//! What comes in a path or a query reaches a database as a value, and is nobody else's.

use serde_json::json;
use vestibule::engine::Hooks;
use vestibule_tests::{
    TestApp,
    database::{Database, SECRET},
    on_both_databases,
    operator::ADMIN,
    run::{canary, text},
};

/// What nobody has made, as it would stand in a path or a query.
const TAMPERED: [&str; 12] = [
    "'",
    "%22",
    "%27%20or%20%271%27=%271",
    "x%27%29%3B%20drop%20table%20users%3B--",
    "%00",
    "a%00b",
    "%FF%FE",
    "%F0%9F%94%91",
    "..%2F..%2Fsecrets",
    "-1",
    "99999999999999999999",
    "%25_%25",
];

async fn start(database: &Database) -> TestApp {
    let toml = format!("encryption.secret = '{SECRET}'\n{ADMIN}");
    let app = TestApp::start_on(database, "none", &toml, &[], Hooks::default()).await.unwrap();
    for name in ["A", "B", "C"] {
        let secret = json!({"name": name, "value": text(&canary(name))});
        let kept = app.anonymous().send_json("POST", "/api/v1/secrets", secret).await;
        assert_eq!(kept.status, 201, "{}", kept.body);
    }
    app
}

on_both_databases! {
    async fn what_was_tampered_with_finds_nothing_and_breaks_nothing(database: Database) {
        let app = start(&database).await;
        let (owner, operator) = (app.anonymous(), app.operator());
        let long = "a".repeat(5_000);
        for value in TAMPERED.into_iter().chain([long.as_str()]) {
            for (caller, method, path) in [
                (&owner, "GET", format!("/api/v1/secrets/search?name__contains={value}")),
                (&owner, "GET", format!("/api/v1/secrets/search?limit={value}")),
                (&owner, "DELETE", format!("/api/v1/secrets/{value}")),
                (&owner, "DELETE", format!("/api/keys/{value}")),
                (&owner, "GET", format!("/api/v1/sandboxes?id={value}")),
                (&owner, "GET", format!("/api/v1/sandboxes/{value}/settings/secrets")),
                (&operator, "GET", format!("/admin/api/sessions?user={value}")),
                (&operator, "GET", format!("/admin/api/keys?user={value}")),
                (&operator, "DELETE", format!("/admin/api/sessions/{value}")),
                (&operator, "DELETE", format!("/admin/api/keys/{value}")),
            ] {
                let reply = caller.send(method, &path).await;
                let status = reply.status.as_u16();
                // No sandboxes are run here.
                assert!(matches!(status, 200 | 400..=499 | 501), "{method} {path}: {}", reply.body);
                if status == 200 {
                    let told = reply.json();
                    let items = told.get("items").unwrap_or(&told);
                    assert_eq!(items, &json!([]), "{method} {path}");
                }
            }
        }
        let all = owner.get("/api/v1/secrets/search").await.json();
        assert_eq!(all["items"].as_array().unwrap().len(), 3);
    }

    async fn a_page_begins_behind_any_name_and_ends_with_the_last(database: Database) {
        let app = start(&database).await;
        let owner = app.anonymous();
        let names = async |query: &str| {
            let page = owner.get(&format!("/api/v1/secrets/search?{query}")).await;
            assert_eq!(page.status, 200, "{query}: {}", page.body);
            let page = page.json();
            let items = page["items"].as_array().unwrap().iter();
            let names: String = items.map(|item| item["name"].as_str().unwrap()).collect();
            (names, page["next_page_id"].as_str().unwrap_or_default().to_owned())
        };
        let page = |names: &str, next: &str| (names.to_owned(), next.to_owned());
        assert_eq!(names("limit=2").await, page("AB", "B"));
        assert_eq!(names("limit=2&page_id=B").await, page("C", ""));
        // It is a name and nothing else: one that was never given out shows no more than
        // the list does.
        assert_eq!(names("page_id=AAA").await, page("BC", ""));
        assert_eq!(names("page_id=").await, page("ABC", ""));
        for value in TAMPERED {
            let (shown, _) = names(&format!("page_id={value}")).await;
            assert!("ABC".ends_with(&shown), "{value}: {shown}");
        }
    }
}
