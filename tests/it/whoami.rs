//! Who am I? On the none strategy, and on one that reads a header.

use http::StatusCode;
use vestibule_tests::TestApp;

#[tokio::test]
async fn everybody_is_the_local_owner_of_the_none_strategy() {
    let app = TestApp::start("none", "").await;
    let reply = app.anonymous().get("/auth/session").await;
    insta::assert_snapshot!(reply.shown(), @r#"
    200 OK
    {"authenticated":true,"local_owner":true,"user_id":null,"org_id":null,"display_name":null,"email":null,"email_verified":false,"roles":[],"claims":[],"strategy":"none"}
    "#);
}

#[tokio::test]
async fn the_local_owner_is_a_user_of_the_api() {
    let app = TestApp::start("none", "").await;
    let reply = app.anonymous().get("/api/v1/users/me").await;
    insta::assert_snapshot!(reply.shown(), @r#"
    200 OK
    {"id":"00000000-0000-4000-8000-000000000001","org_id":"00000000-0000-4000-8000-000000000002","display_name":"Local owner","email":null,"email_verified":false,"role":"owner","permissions":["settings:read","settings:write","secrets:read","secrets:write","sandboxes"],"llm_model":null,"llm_api_key":null,"llm_base_url":null,"llm_profiles":null,"mcp_config":null}
    "#);
}

#[tokio::test]
async fn a_presented_credential_that_is_bad_is_refused_even_where_nobody_needs_one() {
    let app = TestApp::start("none", "").await;
    for value in
        ["Bearer nobody-issued-this", "bearer nobody-issued-this", "Basic dTpw", "Bearer", "x"]
    {
        let reply = app.anonymous().with("authorization", value).get("/auth/session").await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{value}");
        assert_eq!(
            reply.header("www-authenticate"),
            r#"Bearer realm="vestibule", error="invalid_token""#,
        );
        assert!(!reply.body.contains("nobody-issued-this"), "{}", reply.body);
    }
}

#[tokio::test]
async fn two_authorization_lines_are_refused_rather_than_guessed_at() {
    let app = TestApp::start("none", "").await;
    let caller =
        app.anonymous().with("authorization", "Bearer a").with("authorization", "Bearer a");
    let reply = caller.get("/auth/session").await;
    insta::assert_snapshot!(reply.shown(), @r#"
    400 Bad Request
    {"type":"about:blank","title":"Bad Request","status":400,"detail":"a header that may come once is repeated","request_id":"…"}
    "#);
}

#[tokio::test]
async fn a_strategy_decides_by_the_header_that_it_asked_for() {
    let app = TestApp::start("hello-strategy", "[auth.settings]\nteam = 'blue'").await;
    let nobody = app.anonymous().get("/auth/session").await;
    insta::assert_snapshot!(nobody.shown(), @r#"
    200 OK
    {"authenticated":false,"local_owner":false,"user_id":null,"org_id":null,"display_name":null,"email":null,"email_verified":false,"roles":[],"claims":[],"strategy":"hello-strategy"}
    "#);
    let member = app.anonymous().with("x-team", "blue").get("/auth/session").await;
    insta::assert_snapshot!(member.shown(), @r#"
    200 OK
    {"authenticated":true,"local_owner":false,"user_id":"blue","org_id":null,"display_name":null,"email":null,"email_verified":false,"roles":[],"claims":[],"strategy":"hello-strategy"}
    "#);
    let stranger = app.anonymous().with("x-team", "red").get("/auth/session").await;
    assert_eq!(stranger.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn nobody_being_logged_in_is_a_challenge_where_somebody_must_be() {
    let app = TestApp::start("hello-strategy", "[auth.settings]\nteam = 'blue'").await;
    let reply = app.anonymous().get("/api/v1/users/me").await;
    insta::assert_snapshot!(reply.shown(), @r#"
    401 Unauthorized
    {"type":"about:blank","title":"Unauthorized","status":401,"detail":"not authenticated","request_id":"…"}
    "#);
    // RFC 6750 section 3.1: no error code where no credential was sent.
    assert_eq!(reply.header("www-authenticate"), r#"Bearer realm="vestibule""#);
}

#[tokio::test]
async fn a_header_that_the_strategy_reads_may_neither_repeat_nor_be_odd() {
    let app = TestApp::start("hello-strategy", "[auth.settings]\nteam = 'blue'").await;
    let twice = app.anonymous().with("x-team", "red").with("x-team", "blue");
    assert_eq!(twice.get("/auth/session").await.status, StatusCode::BAD_REQUEST);
    let odd = app.anonymous().with("x-team", "bl\u{fc}e");
    assert_eq!(odd.get("/auth/session").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_web_page_cannot_reach_the_local_owner_under_a_name_of_its_own() {
    let app = TestApp::start("none", "server.public_url = 'https://mine.example'").await;
    let asked =
        async |host| app.anonymous().with("host", host).get("/api/v1/users/me").await.status;
    for ours in [
        "localhost",
        "LOCALHOST:3000",
        "127.0.0.1:3000",
        "[::1]:3000",
        "app.localhost",
        "mine.example",
        "mine.example:443",
    ] {
        assert_eq!(asked(ours).await, StatusCode::OK, "{ours}");
    }
    for theirs in [
        "evil.example",
        "evil.example:3000",
        "localhost.evil.example",
        "10.0.0.1",
        "mine.example.evil",
    ] {
        assert_eq!(asked(theirs).await, StatusCode::MISDIRECTED_REQUEST, "{theirs}");
    }
    let open = TestApp::start("none", "server.allow_open = true").await;
    let reply = open.anonymous().with("host", "anything.example").get("/auth/session").await;
    assert_eq!(reply.status, StatusCode::OK);
}

#[tokio::test]
async fn a_host_that_is_none_or_two_is_refused() {
    let app = TestApp::start("hostile", "").await;
    for host in ["", "a,b", "a b", "user@localhost", "user:secret@localhost", "a/b"] {
        let reply = app.anonymous().with("host", host).get("/auth/session").await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{host:?}");
    }
    let two = app.anonymous().with("host", "a").with("host", "b").get("/auth/session").await;
    assert_eq!(two.status, StatusCode::BAD_REQUEST);
    let target = app.anonymous().get("http://user:secret@localhost/auth/session").await;
    assert_eq!(target.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn health_and_readiness_tell_apart_alive_and_willing() {
    let app = TestApp::start("none", "").await;
    assert_eq!(app.anonymous().get("/healthz").await.status, StatusCode::OK);
    assert_eq!(app.anonymous().get("/readyz").await.status, StatusCode::OK);
    app.host.drain();
    assert_eq!(app.anonymous().get("/healthz").await.status, StatusCode::OK);
    let reply = app.anonymous().get("/readyz").await;
    insta::assert_snapshot!(reply.shown(), @r#"
    503 Service Unavailable
    {"type":"about:blank","title":"Service Unavailable","status":503,"detail":"shutting down","request_id":"…"}
    "#);
    assert_eq!(reply.header("retry-after"), "1");
}

#[tokio::test]
async fn every_response_has_an_id_that_the_caller_cannot_choose() {
    let app = TestApp::start("none", "").await;
    let caller = app.anonymous().with("x-request-id", "forged");
    let (one, two) = (caller.get("/auth/session").await, caller.get("/nowhere").await);
    let ids = [one.header("x-request-id"), two.header("x-request-id")];
    assert!(ids.iter().all(|id| id.len() == 16 && !id.contains("forged")), "{ids:?}");
    assert_ne!(ids[0], ids[1]);
    assert_eq!(two.json()["request_id"], ids[1]);
    assert_eq!(one.header("cache-control"), "no-store");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problem_documents() {
    let app = TestApp::start("none", "").await;
    let nowhere = app.anonymous().get("/nowhere").await;
    insta::assert_snapshot!(nowhere.shown(), @r#"
    404 Not Found
    {"type":"about:blank","title":"Not Found","status":404,"detail":"there is nothing here","request_id":"…"}
    "#);
    assert_eq!(nowhere.header("content-type"), "application/problem+json");
    let post = app.anonymous().send("POST", "/auth/session").await;
    insta::assert_snapshot!(post.shown(), @r#"
    405 Method Not Allowed
    {"type":"about:blank","title":"Method Not Allowed","status":405,"detail":"this path does not know that method","request_id":"…"}
    "#);
}
