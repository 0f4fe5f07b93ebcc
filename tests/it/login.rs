//! The browser's way in: trips to an identity provider, and what can go wrong.

use std::collections::BTreeSet;

use secrecy::SecretString;
use vestibule::{engine::Hooks, identity::UserId, store::LOGIN_SECONDS};
use vestibule_tests::{
    Reply, TestApp,
    browser::{Browser, back, parameters},
    database::Database,
    logs::Logs,
    run::{canary, note_secret, text},
};

use crate::reads::rows;

pub(crate) const PUBLIC: &str = "server.public_url = 'https://auth.example'\n\
                      server.allowed_origins = ['https://app.example']\n\
                      auth.grants.browser = ['https://idp.example']\n\
                      auth.grants.token_store = ['github']\n";

pub(crate) async fn app() -> TestApp {
    TestApp::start("visited", PUBLIC).await
}

pub(crate) async fn sign_in(app: &TestApp, rest: &str) -> Browser {
    let mut browser = Browser::new(app);
    let trip = browser.begin("/auth/login/start").await;
    let reply = browser.open(&back(&trip, rest)).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    note_secret(&SecretString::from(browser.session().expect("a session")));
    browser
}

fn set_cookies(reply: &Reply) -> Vec<&str> {
    reply.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect()
}

#[tokio::test]
async fn a_person_signs_in_and_is_known_from_then_on() {
    let app = app().await;
    let mut browser = Browser::new(&app);
    let page = browser.open("/auth/login?return_to=%2Freports%3Fx%3D1").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("<strong>auth.example</strong> asks who you are"));
    assert!(page.body.contains("Sign in with Example &lt;Corp&gt;"), "{}", page.body);
    let start = "/auth/login/start?return_to=%2Freports%3Fx%3D1";
    assert!(page.body.contains(&format!("href=\"{start}\"")), "{}", page.body);

    let trip = browser.begin(start).await;
    assert_eq!(trip["redirect_uri"], "https://auth.example/auth/callback");
    assert_eq!(trip["code_challenge_method"], "S256");
    for random in ["state", "nonce", "code_challenge"] {
        assert_eq!(trip[random].len(), 43, "256 bits of {random}");
    }
    let arrived = browser.open(&back(&trip, "&user=ada")).await;
    assert_eq!(arrived.status, 200);
    assert!(arrived.body.contains(r#"content="0; url=/reports?x=1""#), "{}", arrived.body);
    assert_eq!(browser.cookies().len(), 1, "the log-in's cookie is gone");

    let me = browser.open("/api/v1/users/me").await;
    assert_eq!(me.status, 200, "{}", me.body);
    assert_eq!(me.json()["id"], "ada");
    assert_eq!(browser.open("/auth/session").await.json()["user_id"], "ada");
    let page = browser.open("/auth/login").await;
    assert!(page.body.contains("You are signed in"), "{}", page.body);
    let onward = browser.open("/auth/login?return_to=/reports").await;
    assert_eq!((onward.status.as_u16(), onward.header("location")), (303, "/reports"));
}

#[tokio::test]
async fn cookies_are_as_strict_as_the_origin_allows() {
    let app = app().await;
    let mut browser = Browser::new(&app);
    let begun = browser.open("/auth/login/start").await;
    let cookie = set_cookies(&begun)[0].to_owned();
    let (name, attributes) = cookie.split_once("; ").unwrap();
    assert!(name.starts_with("__Host-vestibule-login-"), "{name}");
    assert_eq!(attributes, "Path=/; Max-Age=600; HttpOnly; Secure; SameSite=Lax");
    let trip = parameters(begun.header("location"));
    let arrived = browser.open(&back(&trip, "&user=ada")).await;
    let cookies = set_cookies(&arrived);
    let (name, attributes) = cookies[0].split_once("; ").unwrap();
    assert!(name.starts_with("__Host-vestibule-session="), "{name}");
    assert_eq!(attributes, "Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=Strict");
    assert!(cookies[1].contains("Max-Age=0"), "{cookies:?}");

    let local = TestApp::start("visited", "auth.grants.browser = ['https://idp.example']").await;
    let mut browser = Browser::new(&local);
    let trip = browser.begin("/auth/login/start").await;
    assert_eq!(trip["redirect_uri"], "http://localhost:3000/auth/callback");
    let arrived = browser.open(&back(&trip, "&user=ada")).await;
    let cookies = set_cookies(&arrived);
    let (name, attributes) = cookies[0].split_once("; ").unwrap();
    assert!(name.starts_with("vestibule-session="), "{name}");
    assert_eq!(attributes, "Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax");
}

#[tokio::test]
async fn pages_take_nothing_from_elsewhere_and_are_not_kept() {
    let app = app().await;
    let mut browser = Browser::new(&app);
    let page = browser.open("/auth/login").await;
    let trip = browser.begin("/auth/login/start").await;
    let arrived = browser.open(&back(&trip, "&user=ada")).await;
    let failed = browser.open("/auth/callback?state=x").await;
    for reply in [&page, &arrived, &failed] {
        let policy = reply.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!(reply.header("cache-control"), "no-store");
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        assert!(!reply.body.contains("<script") && !reply.body.contains("src="), "{}", reply.body);
        assert_eq!(reply.header("content-type"), "text/html; charset=utf-8");
    }
    assert_eq!(arrived.header("referrer-policy"), "no-referrer");
    // The policy names the very style that the page has.
    let style = page.body.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    let digest = base64::Engine::encode(
        &base64::prelude::BASE64_STANDARD,
        <sha2::Sha256 as sha2::Digest>::digest(style),
    );
    assert!(page.header("content-security-policy").contains(&digest));
}

#[tokio::test]
async fn a_callback_counts_once_and_only_in_the_browser_that_began() {
    let app = app().await;
    let mut browser = Browser::new(&app);
    let trip = browser.begin("/auth/login/start").await;
    let callback = back(&trip, "&user=ada");
    let mut other = Browser::new(&app);
    let foreign = other.open(&callback).await;
    assert_eq!(foreign.status, 400);
    assert!(foreign.body.contains("This sign-in is not in progress"), "{}", foreign.body);
    assert!(other.session().is_none());

    // Two tabs that open the same address at once carry the same cookies.
    let mut twin = browser.clone();
    assert_eq!(browser.open(&callback).await.status, 200);
    let again = twin.open(&callback).await;
    assert_eq!(again.status, 400);
    assert!(twin.session().is_none() && twin.cookies().is_empty());
    // And so does the back button, without them.
    let session = browser.session().map(str::to_owned);
    assert_eq!(browser.open(&callback).await.status, 400);
    assert_eq!(browser.session().map(str::to_owned), session, "the session stays as it was");
    assert_eq!(browser.open("/api/v1/users/me").await.status, 200);
}

#[tokio::test]
async fn a_state_that_was_changed_or_repeated_or_is_missing_is_refused() {
    let app = app().await;
    let mut browser = Browser::new(&app);
    let trip = browser.begin("/auth/login/start").await;
    let state = &trip["state"];
    let name = browser.cookies().keys().next().unwrap().clone();
    for query in [
        String::new(),
        "code=c&user=ada".to_owned(),
        format!("state={state}x&code=c&user=ada"),
        format!("state={}&code=c&user=ada", state.to_lowercase()),
        format!("state={state}&state={state}&code=c&user=ada"),
        "state=https%3A%2F%2Fevil.example&code=c&user=ada".to_owned(),
        format!("state={state}&code=c&code=d&user=ada"),
    ] {
        let reply = browser.clone().open(&format!("/auth/callback?{query}")).await;
        assert_eq!(reply.status, 400, "{query}");
        assert!(!reply.body.contains("evil"), "{query}");
    }
    // The cookie of one log-in under the name of another.
    let mut planted = Browser::new(&app);
    let own = planted.begin("/auth/login/start").await;
    let own_name = planted.cookies().keys().next().unwrap().clone();
    planted.plant(&own_name, &browser.cookies()[&name]);
    assert_eq!(planted.open(&back(&own, "&user=ada")).await.status, 400);
}

#[tokio::test]
async fn log_ins_in_several_tabs_work_in_any_order_and_are_capped() {
    let app = app().await;
    let mut browser = Browser::new(&app);
    let mut trips = Vec::new();
    for _ in 0..5 {
        trips.push(browser.begin("/auth/login/start").await);
    }
    for (trip, user) in [4, 0, 2, 1, 3].map(|n| (&trips[n], n)) {
        let reply = browser.open(&back(trip, &format!("&user=u{user}"))).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        let me = browser.open("/api/v1/users/me").await;
        assert_eq!(me.json()["id"], format!("u{user}"));
    }
    let mut states = BTreeSet::new();
    for _ in 0..100 {
        states.insert(browser.begin("/auth/login/start").await["state"].clone());
        let bytes: usize =
            browser.cookies().iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(browser.cookies().len() <= 6 && bytes < 4096, "{bytes} bytes of cookies");
    }
    assert_eq!(states.len(), 100);
}

#[tokio::test]
async fn a_log_in_expires_after_ten_minutes_with_a_way_to_start_again() {
    let app = app().await;
    let mut browser = Browser::new(&app);
    let trip = browser.begin("/auth/login/start").await;
    app.clock.advance(LOGIN_SECONDS);
    let late = browser.open(&back(&trip, "&user=ada")).await;
    assert_eq!(late.status, 400);
    assert!(late.body.contains("That took too long") && late.body.contains("Start again"));
    assert!(browser.cookies().is_empty());
}

#[tokio::test]
async fn a_flood_of_log_ins_takes_no_room_and_nobody_s_own_is_lost_in_it() {
    let database = Database::sqlite();
    let app = TestApp::start_on(&database, "visited", PUBLIC, &[], Hooks::default()).await.unwrap();
    let mut early = Browser::new(&app);
    let trip = early.begin("/auth/login/start").await;
    let before = rows(&database).await;
    for _ in 0..2_000 {
        assert_eq!(app.anonymous().get("/auth/login/start").await.status, 303);
    }
    assert!(rows(&database).await == before, "who has only begun is carried by the browser");
    app.clock.advance(LOGIN_SECONDS - 1);
    assert_eq!(early.open(&back(&trip, "&user=ada")).await.status, 200);
}

#[tokio::test]
async fn who_may_not_come_in_gets_a_page_and_nothing_is_kept() {
    let app = app().await;
    let mut browser = Browser::new(&app);
    let trip = browser.begin("/auth/login/start").await;
    let denied = browser.open(&back(&trip, "&user=stranger&token=github")).await;
    assert_eq!(denied.status, 403);
    assert!(denied.body.contains("This account may not come in"), "{}", denied.body);
    assert!(browser.cookies().is_empty());
    let stranger = UserId::new("stranger").unwrap();
    assert!(app.host.store().user(&stranger).await.unwrap().is_none());

    // A disabled user is known, and stays out.
    sign_in(&app, "&user=ada").await;
    app.host.store().set_user_disabled(&UserId::new("ada").unwrap(), true).await.unwrap();
    let mut browser = Browser::new(&app);
    let trip = browser.begin("/auth/login/start").await;
    let denied = browser.open(&back(&trip, "&user=ada")).await;
    assert_eq!(denied.status, 403);
    assert!(browser.session().is_none());
}

#[tokio::test]
async fn what_a_provider_says_of_a_refusal_is_shown_and_does_nothing() {
    let app = app().await;
    let mut browser = Browser::new(&app);
    let trip = browser.begin("/auth/login/start").await;
    let state = &trip["state"];
    let said = "error=access_denied&error_description=%3Cscript%3Ealert(1)%3C%2Fscript%3E";
    let page = browser.open(&format!("/auth/callback?{said}&state={state}")).await;
    assert_eq!(page.status, 403);
    assert!(page.body.contains("You were not signed in"), "{}", page.body);
    assert!(page.body.contains("&lt;script&gt;alert(1)"), "{}", page.body);
    assert!(browser.cookies().is_empty(), "the log-in is used up");
    // Without a log-in of this browser, not a word is repeated.
    let page = browser.open(&format!("/auth/callback?{said}&state=forged")).await;
    assert_eq!(page.status, 400);
    assert!(!page.body.contains("alert"), "{}", page.body);

    let trip = browser.begin("/auth/login/start").await;
    let down = format!("/auth/callback?error=temporarily_unavailable&state={}", trip["state"]);
    assert_eq!(browser.open(&down).await.status, 503);
}

#[tokio::test]
async fn a_log_in_goes_on_a_second_trip_and_carries_its_secrets_sealed() {
    let app = app().await;
    let mut browser = Browser::new(&app);
    let first = browser.begin("/auth/login/start?return_to=/deep").await;
    let code = canary("first-trip");
    note_secret(&code);
    let path = format!(
        "/auth/callback?state={}&code=plaintext-canary%20first-trip&again=1",
        first["state"]
    );
    let reply = browser.open(&path).await;
    assert_eq!(reply.status, 303, "{}", reply.body);
    let second = parameters(reply.header("location"));
    assert_ne!(second["state"], first["state"]);
    assert_ne!(second["nonce"], first["nonce"]);
    assert_eq!(browser.cookies().len(), 1);
    assert!(!browser.cookies().values().any(|value| value.contains("canary")));
    let arrived = browser.open(&back(&second, "&user=ada&token=github")).await;
    assert_eq!(arrived.status, 200, "{}", arrived.body);
    assert!(arrived.body.contains("url=/deep"), "{}", arrived.body);
    // The token came with the session, in one step.
    let ada = UserId::new("ada").unwrap();
    let stored = app.host.store().tokens(&ada).load("github").await.unwrap().unwrap();
    assert_eq!(text(&stored.pair.access.unwrap()), text(&code));
}

#[tokio::test]
async fn the_way_back_comes_from_the_configuration_alone() {
    let app = app().await;
    for (name, value) in [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "host=evil.example"),
        ("x-forwarded-proto", "http"),
    ] {
        let reply = app.anonymous().with(name, value).get("/auth/login/start").await;
        let trip = parameters(reply.header("location"));
        assert_eq!(trip["redirect_uri"], "https://auth.example/auth/callback", "{name}");
    }
}

#[tokio::test]
async fn a_target_that_leads_elsewhere_becomes_the_front_page() {
    let app = app().await;
    for (target, ends) in [
        ("//evil.example", "/"),
        ("https://evil.example/", "/"),
        ("/%5Cevil.example", "/"),
        ("https://app.example/x", "https://app.example/x"),
        ("/x%20y", "/"),
    ] {
        let mut browser = Browser::new(&app);
        let trip = browser.begin(&format!("/auth/login/start?return_to={target}")).await;
        let evil = "&user=ada&return_to=https%3A%2F%2Fevil.example";
        let reply = browser.open(&back(&trip, evil)).await;
        assert!(reply.body.contains(&format!("url={ends}\"")), "{target}: {}", reply.body);
    }
    let front = app.anonymous().get("/").await;
    assert_eq!((front.status.as_u16(), front.header("location")), (303, "/auth/login"));
}

/// Every way to lead a browser elsewhere that somebody has collected, as it is written
/// and as a query has to write it.
#[tokio::test]
async fn no_target_that_is_known_to_lead_elsewhere_does() {
    let app = app().await;
    let here = url::Url::parse("https://auth.example/auth/callback").unwrap();
    let list = include_str!("../vectors/openredirects.txt");
    let mut tried = 0;
    for line in list.lines().filter(|line| !line.is_empty()) {
        let encoded: String = form_urlencoded::byte_serialize(line.as_bytes()).collect();
        let as_it_is = line.parse::<http::Uri>().is_ok() && !line.contains(['&', '#', '?']);
        for target in [Some(encoded.as_str()), as_it_is.then_some(line)].into_iter().flatten() {
            let path = format!("/auth/login/start?return_to={target}");
            let mut browser = Browser::new(&app);
            let trip = browser.begin(&path).await;
            let reply = browser.open(&back(&trip, "&user=ada")).await;
            assert_eq!(reply.status, 200, "{line}: {}", reply.body);
            let (_, rest) = reply.body.split_once("url=").expect("a page that moves on");
            let (end, _) = rest.split_once('"').expect("the end of an attribute");
            let end = end.replace("&amp;", "&").replace("&quot;", "\"").replace("&lt;", "<");
            let there = here.join(&end).expect("a URL");
            let ours = ["https://auth.example", "https://app.example"];
            let origin = there.origin().ascii_serialization();
            assert!(ours.contains(&origin.as_str()), "{line} leads to {there}");
            tried += 1;
        }
    }
    assert!(tried > 600, "{tried}");
}

#[tokio::test]
async fn a_browser_is_sent_only_where_the_operator_granted() {
    let app = app().await;
    let logs = Logs::collect();
    let mut browser = Browser::new(&app);
    let reply = browser.open("/auth/login/start?hint=elsewhere").await;
    assert_eq!(reply.status, 503);
    assert!(!reply.body.contains("evil.example") && browser.cookies().is_empty());
    assert!(logs.text().contains("an origin that is neither in [auth.grants] http nor"));
    let reply = browser.open("/auth/login/start?hint=down").await;
    assert_eq!(reply.status, 503);
    assert!(reply.body.contains("does not work at the moment"), "{}", reply.body);
    let reply = browser.open("/auth/login/start?hint=large").await;
    assert_eq!(reply.status, 500);
    assert!(logs.text().contains("more of a log-in than a cookie can hold"));
    // A token under a name that is not granted is not stored, and nobody is let in.
    let trip = browser.begin("/auth/login/start").await;
    let reply = browser.open(&back(&trip, "&user=ada&token=gitlab")).await;
    assert_eq!(reply.status, 503);
    assert!(browser.session().is_none());
}

#[tokio::test]
async fn only_a_page_of_its_own_begins_a_log_in() {
    let app = app().await;
    for dest in ["image", "iframe", "script", "empty"] {
        let reply = app.anonymous().with("sec-fetch-dest", dest).get("/auth/login/start").await;
        assert_eq!(reply.status, 403, "{dest}");
        assert!(reply.body.contains("begins with a page of its own"), "{}", reply.body);
        assert!(set_cookies(&reply).is_empty(), "{dest}");
    }
    let reply = app.anonymous().with("sec-fetch-dest", "document").get("/auth/login/start").await;
    assert_eq!(reply.status, 303);
}

#[tokio::test]
async fn a_strategy_without_log_in_has_nothing_to_offer() {
    let app = TestApp::start("named", "").await;
    for path in ["/auth/login", "/auth/login/start"] {
        let reply = app.anonymous().get(path).await;
        assert_eq!(reply.status, 404, "{path}");
        assert!(reply.body.contains("There is no sign-in here"), "{}", reply.body);
    }
    let app = TestApp::start("none", "").await;
    let reply = app.anonymous().get("/auth/login").await;
    assert!(reply.body.contains("the local owner"), "{}", reply.body);
    assert!(!reply.body.contains("Sign out"), "{}", reply.body);
}

#[tokio::test]
async fn a_log_in_that_no_browser_could_keep_is_refused_at_the_start() {
    for url in ["http://auth.example", "http://192.0.2.1:3000"] {
        let toml = format!("server.public_url = '{url}'");
        let refused = TestApp::try_start("visited", &toml, &[]).await.err().unwrap().to_string();
        assert_eq!(
            refused,
            format!(
                "[server] public_url is {url}, and the strategy \"visited\" has a log-in; set \
                 public_url to the https origin by which browsers reach this server, or to \
                 http://localhost with its port"
            )
        );
    }
    let refused = TestApp::try_start("visited", "server.listen = '0.0.0.0:3000'", &[]).await;
    let refused = refused.err().unwrap().to_string();
    assert!(refused.contains("public_url is missing"), "{refused}");
    for url in ["http://localhost:3000", "http://127.0.0.1:3000", "https://auth.example"] {
        assert!(
            TestApp::try_start("visited", &format!("server.public_url = '{url}'"), &[])
                .await
                .is_ok()
        );
    }
}

#[tokio::test]
async fn log_ins_and_refusals_are_in_the_audit() {
    let app = app().await;
    sign_in(&app, "&user=ada").await.submit("/auth/logout").await;
    let mut browser = Browser::new(&app);
    let trip = browser.begin("/auth/login/start").await;
    browser.open(&back(&trip, "&user=stranger")).await;
    let entries = app.host.store().audit(10).await.unwrap();
    let shown: Vec<String> = entries
        .iter()
        .map(|entry| {
            let actor = entry.actor.as_deref().unwrap_or("-");
            format!("{actor} {} {}", entry.action, entry.outcome)
        })
        .collect();
    assert!(shown.contains(&"ada log-in done".to_owned()), "{shown:?}");
    assert!(shown.contains(&"ada log-out done".to_owned()), "{shown:?}");
    assert!(shown.contains(&"- log-in refused".to_owned()), "{shown:?}");
    for entry in entries.iter().filter(|entry| entry.action.starts_with("log-")) {
        assert!(entry.request_id.is_some() && entry.strategy_digest.is_some(), "{entry:?}");
    }
}

#[tokio::test]
async fn what_comes_back_with_a_browser_does_not_say_where_it_goes() {
    let app = app().await;
    let mut browser = Browser::new(&app);
    let trip = browser.begin("/auth/login/start?return_to=/reports").await;
    let rest = "&user=ada&return_to=https%3A%2F%2Fapp.example%2F&rd=%2Felsewhere";
    let arrived = browser.open(&back(&trip, rest)).await;
    assert!(arrived.body.contains(r#"content="0; url=/reports""#), "{}", arrived.body);
    assert!(!arrived.body.contains("app.example") && !arrived.body.contains("elsewhere"));
    assert!(!arrived.body.contains("the-code"), "nor is the code anywhere");
}
