//! Logging in: the browser's way to GitHub and back, and the token that stays.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use vestibule::{context::TokenError, engine::Renewal, identity::ProviderToken};
use vestibule_tests::{
    NOW, Reply, TestApp,
    browser::path_of,
    database::user_id,
    github::{Account, Answer, Endpoint, GitHub},
    logs::Logs,
    run::{at_once, text},
};

const OCTOCAT: u64 = 583_231;

/// A server at the usual address of one's own machine.
const LOCAL: &str = "server.public_url = 'http://localhost:3000'\n";

/// A GitHub with the octocat at the browser, and a server that lets `allowed` in.
async fn set_up(allowed: &str) -> (GitHub, TestApp) {
    let github = GitHub::start(Account::new(OCTOCAT, "octocat")).await;
    let app = TestApp::start("su-github", &format!("{LOCAL}{}", github.toml(allowed))).await;
    (github, app)
}

/// A browser: what it sends is what it was given.
struct Browser {
    app: TestApp,
    host: &'static str,
    cookies: Vec<(String, String)>,
}

impl Browser {
    fn new(app: &TestApp) -> Self {
        Self { app: app.clone(), host: "localhost:3000", cookies: Vec::new() }
    }

    async fn get(&mut self, path: &str) -> Reply {
        self.send("GET", path).await
    }

    async fn send(&mut self, method: &str, path: &str) -> Reply {
        let mut caller = self
            .app
            .anonymous()
            .with("host", self.host)
            .with("sec-fetch-dest", "document")
            .with("sec-fetch-mode", "navigate");
        if method == "POST" {
            let scheme = if self.host.starts_with("localhost") { "http" } else { "https" };
            caller = caller.with("origin", &format!("{scheme}://{}", self.host));
        }
        if !self.cookies.is_empty() {
            let all: Vec<_> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            caller = caller.with("cookie", &all.join("; "));
        }
        let reply = caller.send(method, path).await;
        for cookie in reply.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().expect("ASCII");
            let (name, value) =
                cookie.split(';').next().unwrap().split_once('=').expect("a cookie");
            self.cookies.retain(|(other, _)| other != name);
            if !cookie.to_ascii_lowercase().contains("max-age=0") {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        reply
    }

    /// Goes to GitHub and comes back to this path.
    async fn go(&mut self, github: &GitHub) -> String {
        let start = self.get("/auth/login/start?return_to=/").await;
        assert_eq!(start.status, StatusCode::SEE_OTHER, "{}", start.body);
        path_of(&github.visit(start.header("location")))
    }

    /// A whole log-in.
    async fn log_in(&mut self, github: &GitHub) -> Reply {
        let callback = self.go(github).await;
        self.get(&callback).await
    }

    fn session(&self) -> Option<&str> {
        let session = self.cookies.iter().find(|(name, _)| name.ends_with("vestibule-session"));
        session.map(|(_, value)| value.as_str())
    }

    /// Who the server takes it for.
    async fn who(&mut self) -> Value {
        self.get("/auth/session").await.json()["user_id"].clone()
    }
}

/// The cookie that a reply sets for the session.
fn session_cookie(reply: &Reply) -> Option<String> {
    let cookies = reply.headers.get_all("set-cookie").iter();
    cookies.map(|c| c.to_str().unwrap().to_owned()).find(|c| c.contains("vestibule-session="))
}

/// No session, no token, no user: nothing is left of a log-in that failed.
async fn assert_nothing_came_of_it(app: &TestApp, browser: &mut Browser, reply: &Reply) {
    assert!(reply.status.is_client_error() || reply.status.is_server_error(), "{reply:?}");
    assert!(session_cookie(reply).is_none_or(|cookie| cookie.contains("Max-Age=0")), "{reply:?}");
    assert_eq!(browser.session(), None);
    let status = browser.get("/api/v1/users/me").await.status;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let users = app.host.store().users().await.unwrap();
    // The local owner is always there.
    assert!(users.iter().all(|user| user.identity.user_id.is_none()), "{users:?}");
    for id in ["42", "583231"] {
        let names = app.host.store().tokens(&user_id(id)).names().await.unwrap();
        assert_eq!(names, [""; 0]);
    }
}

async fn token(app: &TestApp, renewal: Renewal) -> Result<ProviderToken, TokenError> {
    let user = app.host.user_context_for(&user_id("583231")).await.expect("the user is known");
    user.token_provider().get("github", renewal).await
}

#[tokio::test]
async fn the_one_person_comes_in_by_id_and_their_token_is_kept() {
    let (github, app) = set_up("583231").await;
    let mut browser = Browser::new(&app);
    let page = browser.get("/auth/login?return_to=/").await;
    assert!(page.body.contains("Sign in with GitHub"), "{}", page.body);
    let reply = browser.log_in(&github).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    assert_eq!(browser.who().await, "583231");
    let me = browser.get("/auth/session").await.json();
    assert_eq!(me["display_name"], "Mona");
    assert_eq!(me["email_verified"], false);
    assert_eq!(me["claims"], json!([{"name": "login", "value": "octocat"}]));
    let kept = token(&app, Renewal::WhenDue).await.unwrap();
    assert_eq!((kept.account_id.as_deref(), kept.expires_at), (Some("583231"), None));
    assert!(text(&kept.token).starts_with("gh_access_secret_"));
    let calls = [Endpoint::Authorize, Endpoint::Token, Endpoint::User].map(|e| github.calls(e));
    assert_eq!(calls, [1, 1, 1]);
}

#[tokio::test]
async fn the_request_to_github_carries_fresh_values_and_the_configured_callback() {
    let (_github, app) = set_up("583231").await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let mut browser = Browser::new(&app);
        browser.host = "localhost";
        let start = browser.get("/auth/login/start?return_to=/").await;
        let location = start.header("location").to_owned();
        let query = location.split_once('?').expect("a query").1;
        let given: std::collections::BTreeMap<_, _> =
            query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        assert_eq!(given["response_type"], "code");
        assert_eq!(given["code_challenge_method"], "S256");
        assert_eq!(given["scope"], "repo");
        assert_eq!(given["redirect_uri"], "http%3A%2F%2Flocalhost%3A3000%2Fauth%2Fcallback");
        assert!(given["code_challenge"].len() >= 43 && given["state"].len() >= 22, "{location}");
        assert!(seen.insert(given["state"].to_owned()));
        assert!(seen.insert(given["code_challenge"].to_owned()));
    }
}

#[tokio::test]
async fn another_account_is_refused_even_with_the_same_name() {
    let (github, app) = set_up("583231").await;
    for stranger in [Account::new(42, "octocat"), Account::new(42, "583231")] {
        github.sit_down(Some(stranger));
        let mut browser = Browser::new(&app);
        let reply = browser.log_in(&github).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN);
        assert_nothing_came_of_it(&app, &mut browser, &reply).await;
    }
}

#[tokio::test]
async fn strangers_do_not_lock_the_owner_out() {
    let (github, app) = set_up("583231").await;
    github.sit_down(Some(Account::new(42, "hubot")));
    for _ in 0..50 {
        assert_eq!(Browser::new(&app).log_in(&github).await.status, StatusCode::FORBIDDEN);
    }
    let entries = app.host.store().audit(100).await.unwrap();
    let refused = entries.iter().filter(|entry| entry.outcome == "refused").count();
    assert_eq!(refused, 50, "each of them is in the audit");
    github.sit_down(Some(Account::new(OCTOCAT, "octocat")));
    let mut browser = Browser::new(&app);
    browser.log_in(&github).await;
    assert_eq!(browser.who().await, "583231");
}

#[tokio::test]
async fn a_name_lets_its_account_in_and_from_then_on_no_other() {
    let (github, app) = set_up("octocat").await;
    github.sit_down(Some(Account::new(OCTOCAT, "OctoCat")));
    let mut browser = Browser::new(&app);
    browser.log_in(&github).await;
    assert_eq!(browser.who().await, "583231");
    // The account is renamed, and somebody else takes the name.
    github.sit_down(Some(Account::new(42, "octocat")));
    let mut thief = Browser::new(&app);
    assert_eq!(thief.log_in(&github).await.status, StatusCode::FORBIDDEN);
    assert_eq!(thief.session(), None);
    assert_eq!(browser.who().await, "583231");
    github.sit_down(Some(Account::new(OCTOCAT, "octocat")));
    assert_eq!(Browser::new(&app).log_in(&github).await.status, StatusCode::OK);
}

#[tokio::test]
async fn of_two_first_log_ins_with_one_name_one_holds() {
    let (github, app) = set_up("octocat").await;
    let mut callbacks = Vec::new();
    for id in [1, 2] {
        github.sit_down(Some(Account::new(id, "octocat")));
        let mut browser = Browser::new(&app);
        let callback = browser.go(&github).await;
        callbacks.push((browser, callback));
    }
    let answers = at_once(
        callbacks
            .into_iter()
            .map(|(mut browser, callback)| async move { browser.get(&callback).await.status }),
    )
    .await;
    let admitted = answers.iter().filter(|status| **status == StatusCode::OK).count();
    assert_eq!(admitted, 1, "{answers:?}");
    assert!(answers.contains(&StatusCode::FORBIDDEN));
}

#[tokio::test]
async fn who_declines_at_github_is_told_so_and_can_try_again() {
    let (github, app) = set_up("583231").await;
    github.sit_down(None);
    let mut browser = Browser::new(&app);
    let callback = browser.go(&github).await;
    assert!(callback.contains("error=access_denied"));
    let reply = browser.get(&callback).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert!(!reply.body.contains("<b>"), "{}", reply.body);
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_nothing_came_of_it(&app, &mut browser, &reply).await;
    assert_eq!(github.calls(Endpoint::Token), 0);
    github.sit_down(Some(Account::new(OCTOCAT, "octocat")));
    assert_eq!(browser.log_in(&github).await.status, StatusCode::OK);
}

#[tokio::test]
async fn an_id_that_is_no_json_integer_lets_nobody_in() {
    let (github, app) = set_up("583231").await;
    for id in [json!("583231"), json!(583_231.0), Value::Null, json!([583_231]), json!({})] {
        let document = json!({"login": "octocat", "id": id});
        github.answer_once(Endpoint::User, Answer::Json(200, document.clone()));
        let mut browser = Browser::new(&app);
        let reply = browser.log_in(&github).await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{document}");
        assert_nothing_came_of_it(&app, &mut browser, &reply).await;
    }
    github.answer_once(Endpoint::User, Answer::Json(200, json!({"login": "octocat"})));
    let mut browser = Browser::new(&app);
    let reply = browser.log_in(&github).await;
    assert_nothing_came_of_it(&app, &mut browser, &reply).await;
}

#[tokio::test]
async fn an_error_in_a_200_is_no_log_in() {
    let (github, app) = set_up("583231").await;
    for (code, status) in [
        ("bad_verification_code", StatusCode::UNAUTHORIZED),
        ("unverified_user_email", StatusCode::UNAUTHORIZED),
        ("incorrect_client_credentials", StatusCode::SERVICE_UNAVAILABLE),
        ("redirect_uri_mismatch", StatusCode::SERVICE_UNAVAILABLE),
    ] {
        github.answer_once(Endpoint::Token, Answer::Json(200, json!({"error": code})));
        let mut browser = Browser::new(&app);
        let logs = Logs::collect();
        let reply = browser.log_in(&github).await;
        assert_eq!(reply.status, status, "{code}");
        assert!(!reply.body.contains(code), "{}", reply.body);
        assert!(logs.text().contains(code), "{}", logs.text());
        assert_nothing_came_of_it(&app, &mut browser, &reply).await;
    }
    assert_eq!(github.calls(Endpoint::User), 0);
}

#[tokio::test]
async fn whatever_github_answers_instead_there_is_a_page_and_no_session() {
    let (github, app) = set_up("583231").await;
    let html = Answer::Text("text/html", "<h1>Unicorn!</h1>");
    let mislabelled = Answer::Text("text/html", r#"{"id":583231,"login":"octocat"}"#);
    let troubles = [
        html,
        mislabelled,
        Answer::Redirect(302),
        Answer::Redirect(307),
        Answer::Large,
        Answer::HangUp,
        Answer::Json(503, json!({"error": "invalid_grant"})),
        Answer::Json(429, json!({})),
        Answer::Json(200, json!({})),
    ];
    for endpoint in [Endpoint::Token, Endpoint::User] {
        for trouble in troubles.clone() {
            github.answer_once(endpoint, trouble.clone());
            let mut browser = Browser::new(&app);
            let reply = browser.log_in(&github).await;
            let told = format!("{endpoint:?} {trouble:?}: {} {}", reply.status, reply.body);
            assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{told}");
            assert!(!reply.body.contains("Unicorn"), "{told}");
            assert_nothing_came_of_it(&app, &mut browser, &reply).await;
        }
    }
    assert_eq!(github.calls(Endpoint::Elsewhere), 0, "no redirect is followed");
}

#[tokio::test]
async fn a_github_that_says_nothing_is_given_up_in_time() {
    let github = GitHub::start(Account::new(OCTOCAT, "octocat")).await;
    let toml = format!("{LOCAL}auth.limits.wall = '300ms'\n{}", github.toml("583231"));
    let app = TestApp::start("su-github", &toml).await;
    for endpoint in [Endpoint::Token, Endpoint::User] {
        github.answer_once(endpoint, Answer::Silence);
        let mut browser = Browser::new(&app);
        let reply = browser.log_in(&github).await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_nothing_came_of_it(&app, &mut browser, &reply).await;
    }
}

#[tokio::test]
async fn strangers_whose_log_ins_hang_keep_nobody_out() {
    let github = GitHub::start(Account::new(OCTOCAT, "octocat")).await;
    let toml = format!(
        "{LOCAL}auth.limits.concurrency = 4\nauth.limits.wall = '2s'\n{}",
        github.toml("583231")
    );
    let app = TestApp::start("su-github", &toml).await;
    let mut owner = Browser::new(&app);
    assert_eq!(owner.log_in(&github).await.status, StatusCode::OK);
    github.answer(Endpoint::Token, Answer::Silence);
    let mut strangers = Vec::new();
    for _ in 0..4 {
        let mut browser = Browser::new(&app);
        let callback = browser.go(&github).await;
        strangers.push(async move { browser.get(&callback).await.status });
    }
    let asking = async {
        // Long enough that as many as may have come as far as GitHub.
        tokio::time::sleep(Duration::from_millis(300)).await;
        owner.who().await
    };
    let (answers, who) = tokio::join!(at_once(strangers), asking);
    assert_eq!(who, "583231");
    assert_eq!(answers, [StatusCode::SERVICE_UNAVAILABLE; 4]);
}

#[tokio::test]
async fn a_token_that_no_bearer_may_use_is_refused() {
    let (github, app) = set_up("583231").await;
    for kind in [json!("mac"), Value::Null] {
        let answer = json!({"access_token": "gh_access_secret_x", "token_type": kind});
        github.answer_once(Endpoint::Token, Answer::Json(200, answer));
        let mut browser = Browser::new(&app);
        let reply = browser.log_in(&github).await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_nothing_came_of_it(&app, &mut browser, &reply).await;
    }
    assert_eq!(github.calls(Endpoint::User), 0);
}

#[tokio::test]
async fn fewer_scopes_than_were_asked_for_are_told_to_the_operator() {
    let (github, app) = set_up("583231").await;
    github.leave_scope("gist");
    let logs = Logs::collect();
    assert_eq!(Browser::new(&app).log_in(&github).await.status, StatusCode::OK);
    let told = logs.text();
    assert!(told.contains("GitHub granted less than was asked for"), "{told}");
}

#[tokio::test]
async fn a_session_needs_no_github() {
    let (github, app) = set_up("583231").await;
    let mut browser = Browser::new(&app);
    browser.log_in(&github).await;
    for endpoint in [Endpoint::Token, Endpoint::User] {
        github.answer(endpoint, Answer::HangUp);
    }
    for _ in 0..10 {
        app.clock.advance(60);
        assert_eq!(browser.who().await, "583231");
    }
    assert_eq!(github.calls(Endpoint::User), 1);
    let reply = Browser::new(&app).log_in(&github).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(reply.body.contains("/auth/login"), "it offers to try again: {}", reply.body);
    github.recover(Endpoint::Token);
    github.recover(Endpoint::User);
    assert_eq!(Browser::new(&app).log_in(&github).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_same_callback_works_once_and_in_its_own_browser_alone() {
    let (github, app) = set_up("583231").await;
    let mut browser = Browser::new(&app);
    let callback = browser.go(&github).await;
    let mut other = Browser::new(&app);
    let reply = other.get(&callback).await;
    assert!(reply.status.is_client_error(), "{}", reply.status);
    assert_eq!((other.session(), github.calls(Endpoint::Token)), (None, 0));
    assert_eq!(browser.get(&callback).await.status, StatusCode::OK);
    let reply = browser.get(&callback).await;
    assert!(reply.status.is_client_error(), "{}", reply.status);
    assert_eq!(github.calls(Endpoint::Token), 1);
    assert_eq!(browser.who().await, "583231", "the session is as it was");
}

#[tokio::test]
async fn cookies_are_what_the_public_url_asks_for() {
    for (public, host, name, flags) in [
        (
            "http://localhost:3000",
            "localhost:3000",
            "vestibule-session=",
            ["SameSite=Lax", "HttpOnly"],
        ),
        (
            "https://me.example",
            "me.example",
            "__Host-vestibule-session=",
            ["SameSite=Strict", "Secure"],
        ),
    ] {
        let github = GitHub::start(Account::new(OCTOCAT, "octocat")).await;
        let toml = format!("server.public_url = '{public}'\n{}", github.toml("583231"));
        let app = TestApp::start("su-github", &toml).await;
        let mut browser = Browser { host, ..Browser::new(&app) };
        let reply = browser.log_in(&github).await;
        // A page of the same site, so that a strict cookie comes along from there.
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        let cookie = session_cookie(&reply).expect("a cookie");
        assert!(cookie.starts_with(name) && cookie.contains("HttpOnly"), "{cookie}");
        assert!(flags.iter().all(|flag| cookie.contains(flag)), "{cookie}");
        assert!(cookie.contains("Path=/") && !cookie.contains("Domain"), "{cookie}");
    }
}

#[tokio::test]
async fn logging_out_ends_the_session_and_leaves_the_token() {
    let (github, app) = set_up("583231").await;
    let mut browser = Browser::new(&app);
    browser.log_in(&github).await;
    let before = browser.cookies.clone();
    let reply = browser.send("POST", "/auth/logout").await;
    assert!(reply.status.is_success() || reply.status.is_redirection(), "{}", reply.status);
    assert_eq!(browser.session(), None);
    let mut replayed = Browser { cookies: before, ..Browser::new(&app) };
    assert_eq!(replayed.get("/api/v1/users/me").await.status, StatusCode::UNAUTHORIZED);
    // Automations outlive log-ins.
    assert!(token(&app, Renewal::WhenDue).await.is_ok());
    assert_eq!(github.calls(Endpoint::Revoke), 0);
}

#[tokio::test]
async fn another_person_in_the_settings_ends_the_sessions_of_the_one_before() {
    let github = GitHub::start(Account::new(OCTOCAT, "octocat")).await;
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}/v.db", folder.path().display());
    let start = async |allowed: &str| {
        let toml = format!("{LOCAL}{}", github.toml(allowed));
        let environment = [("VESTIBULE_DATABASE_URL", database.as_str())];
        TestApp::try_start("su-github", &toml, &environment).await.expect("it starts")
    };
    for (before, after, stays) in [
        ("583231", "42", false),
        ("octocat", "hubot", false),
        ("octocat", "583231", true),
        ("583231", "OctoCat", true),
    ] {
        let mut browser = Browser::new(&start(before).await);
        assert_eq!(browser.log_in(&github).await.status, StatusCode::OK, "{before}");
        browser.app = start(after).await;
        let status = browser.get("/api/v1/users/me").await.status;
        assert_eq!(status == StatusCode::OK, stays, "{before} {after}: {status}");
    }
}

#[tokio::test]
async fn logging_in_again_connects_again() {
    let (github, app) = set_up("583231").await;
    github.expire_tokens(28_800);
    let mut browser = Browser::new(&app);
    browser.log_in(&github).await;
    let first = token(&app, Renewal::WhenDue).await.unwrap();
    assert_eq!(first.expires_at, Some(NOW + 28_800));
    github.take_access_away();
    app.clock.advance(28_800);
    assert!(token(&app, Renewal::WhenDue).await.is_err());
    assert_eq!(browser.who().await, "583231", "identity never waits for a provider token");
    browser.log_in(&github).await;
    assert!(token(&app, Renewal::WhenDue).await.is_ok());
}
