//! The document that describes the API says what is there, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use http::StatusCode;
use serde_json::Value;
use vestibule_tests::TestApp;

const METHODS: [&str; 7] = ["get", "put", "post", "delete", "patch", "options", "trace"];

async fn document(app: &TestApp) -> Value {
    let reply = app.anonymous().get("/openapi.json").await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("content-type"), "application/json");
    reply.json()
}

/// The operations of each path, by method.
fn paths(document: &Value) -> BTreeMap<String, BTreeMap<String, Value>> {
    serde_json::from_value(document["paths"].clone()).unwrap()
}

#[tokio::test]
async fn every_route_of_the_document_is_there_and_no_other_method_is() {
    let app = TestApp::start("none", "").await;
    let paths = paths(&document(&app).await);
    assert!(paths.len() > 20, "{}", paths.len());
    for (path, operations) in paths {
        let address = path.replace(['{', '}'], "");
        let mut allowed: BTreeSet<String> = operations.keys().map(|m| m.to_uppercase()).collect();
        if allowed.contains("GET") {
            allowed.insert("HEAD".to_owned());
        }
        // A gateway asks there by the method of the request that it asks about.
        if path.starts_with("/authz/envoy/") {
            allowed.extend(METHODS.map(str::to_uppercase));
        }
        for method in METHODS.map(str::to_uppercase) {
            let reply = app.anonymous().send(&method, &address).await;
            if allowed.contains(&method) {
                assert_ne!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
                assert!(!reply.body.contains("there is nothing here"), "{method} {path}");
                continue;
            }
            assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            assert_eq!(reply.header("content-type"), "application/problem+json");
            let told: BTreeSet<_> =
                reply.header("allow").split(',').map(|method| method.trim().to_owned()).collect();
            assert_eq!(told, allowed, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn every_error_of_the_document_is_a_problem_with_an_id() {
    let app = TestApp::start("none", "").await;
    let document = document(&app).await;
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    let mut errors = 0;
    for (path, operations) in paths(&document) {
        for (method, operation) in operations {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            assert!(ids.insert(id.clone()), "{id} twice");
            assert!(operation["summary"].is_string(), "{method} {path} says nothing of itself");
            let answers = operation["responses"].as_object().unwrap();
            for (status, answer) in answers {
                let shared = answer["$ref"].as_str().and_then(|path| path.strip_prefix('#'));
                let answer = shared.map_or(answer, |path| document.pointer(path).unwrap());
                assert!(answer["headers"]["X-Request-Id"].is_object(), "{method} {path}: {status}");
                if status.starts_with(['4', '5']) {
                    let schema = &answer["content"]["application/problem+json"]["schema"];
                    assert_eq!(schema["$ref"], "#/components/schemas/Problem", "{path}: {status}");
                    errors += 1;
                }
            }
        }
    }
    assert!(errors > 100, "{errors}");
}

#[tokio::test]
async fn the_document_says_what_each_route_wants_to_be_shown() {
    let app = TestApp::start("none", "").await;
    let document = document(&app).await;
    let wanted = |path: &str, method: &str| {
        let operation = &document["paths"][path][method];
        operation["security"].to_string()
    };
    let user = r#"[{"api_key":[]},{"session_cookie":[]}]"#;
    assert_eq!(wanted("/api/v1/settings", "patch"), user);
    let anybody = r#"[{"api_key":[]},{"session_cookie":[]},{}]"#;
    assert_eq!(wanted("/auth/session", "get"), anybody);
    assert_eq!(wanted("/api/service/sandboxes", "post"), r#"[{"service_key":[]}]"#);
    assert_eq!(wanted("/api/v1/sandboxes/{id}/settings/secrets", "get"), r#"[{"session_key":[]}]"#);
    assert_eq!(wanted("/healthz", "get"), "[]");
    let schemes = &document["components"]["securitySchemes"];
    let named = |name: &str| (schemes[name]["in"].clone(), schemes[name]["name"].clone());
    assert_eq!(named("session_cookie"), ("cookie".into(), "__Host-vestibule-session".into()));
    assert_eq!(named("session_key"), ("header".into(), "X-Session-API-Key".into()));
    assert_eq!(named("service_key"), ("header".into(), "X-Service-API-Key".into()));
    assert_eq!(schemes["api_key"]["scheme"], "bearer");
    let parameters = document["paths"]["/api/keys"]["get"]["parameters"].as_array().unwrap();
    assert!(parameters.iter().any(|parameter| parameter["name"] == "X-Org-Id"));
    let limited = &document["components"]["responses"]["Problem429"]["headers"];
    for name in ["Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"] {
        assert!(limited[name].is_object(), "{name}");
    }
}

#[tokio::test]
async fn what_the_path_or_the_query_cannot_mean_is_a_problem_like_any_other() {
    let app = TestApp::start("none", "").await;
    for (method, path) in [
        ("GET", "/api/v1/users/me?expose_secrets=maybe"),
        ("GET", "/api/v1/secrets/search?limit=many"),
        ("GET", "/api/v1/secrets/search?page_id=a&page_id=b"),
        ("DELETE", "/api/v1/secrets/%FF"),
    ] {
        let reply = app.anonymous().send(method, path).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{path}: {}", reply.body);
        assert_eq!(reply.header("content-type"), "application/problem+json", "{path}");
        assert_eq!(reply.json()["request_id"], reply.header("x-request-id"), "{path}");
    }
}
