//! Apps on other hosts than Vestibule's own.

use vestibule::engine::Hooks;
use vestibule_tests::{
    TestApp,
    browser::Browser,
    gateways::{Gateway, assert_denied, learned, page},
};

use crate::login::PUBLIC;

use super::{APPS, OWN, WIKI, adas, app, app_with, at_host, hand_over, path_of};

const URL: &str = "https://wiki.example/a?x=1";

/// The address to which nobody in particular is sent who asks for [`URL`].
async fn entrance(app: &TestApp) -> String {
    let asked = Gateway::Caddy.asks(&page(&app.anonymous()), "GET", URL).await;
    asked.header("location").to_owned()
}

#[tokio::test]
async fn a_browser_gets_a_cookie_of_the_app_s_own() {
    let app = app().await;
    let mut browser = adas(&app).await;
    assert_eq!(learned(&browser.caller(), URL).await, None, "the other cookie is for Vestibule");
    let there = hand_over(&app, &mut browser, URL).await;
    for gateway in vestibule_tests::gateways::GATEWAYS {
        let reply = gateway.asks(&there.caller(), "GET", URL).await;
        assert_eq!(reply.status, 200, "{gateway:?}: {}", reply.body);
        assert_eq!(reply.header("remote-user"), "ada", "{gateway:?}");
    }
    // It is good there and nowhere else, under whatever name.
    assert_eq!(learned(&there.caller(), &format!("{OWN}/a")).await, None);
    let key = there.cookies()["__Host-vestibule-app"].clone();
    let mut thief = Browser::new(&app);
    thief.plant("__Host-vestibule-session", &key);
    assert_eq!(learned(&thief.caller(), &format!("{OWN}/a")).await, None);
    assert_eq!(thief.open("/api/v1/users/me").await.status, 401);
    let two = format!("{APPS}[[apps]]\nhost = 'blog.example'\nusers = ['ada']\n");
    let app = app_with("", &two).await;
    let mut browser = adas(&app).await;
    let there = hand_over(&app, &mut browser, URL).await;
    assert_eq!(learned(&there.caller(), "https://blog.example/").await, None);
    let blog = hand_over(&app, &mut browser, "https://blog.example/").await;
    assert!(learned(&blog.caller(), "https://blog.example/").await.is_some());
    assert!(learned(&there.caller(), URL).await.is_some(), "one does not end the other");
}

#[tokio::test]
async fn cookies_are_as_strict_as_links_from_elsewhere_allow() {
    let app = app().await;
    let mut browser = adas(&app).await;
    let mut there = Browser::new(&app);
    let entered = at_host(&mut there, &entrance(&app).await).await;
    let mark = entered.header("set-cookie");
    assert!(mark.starts_with("__Host-vestibule-browser="), "{mark}");
    let attributes = "; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax";
    assert!(mark.ends_with(attributes), "{mark}");
    let own = browser.open(&path_of(entered.header("location"))).await;
    assert!(own.headers.get("set-cookie").is_none());
    assert_eq!(own.header("referrer-policy"), "no-referrer");
    let arrived = at_host(&mut there, own.header("location")).await;
    let cookie = arrived.header("set-cookie");
    assert!(cookie.starts_with("__Host-vestibule-app="), "{cookie}");
    let attributes = "; Path=/; Max-Age=2592000; HttpOnly; Secure; SameSite=Lax";
    assert!(cookie.ends_with(attributes), "{cookie}");
    assert_eq!(arrived.header("referrer-policy"), "no-referrer");
    assert_eq!(arrived.header("cache-control"), "no-store");
    vestibule_tests::run::note_secret(&there.cookies()["__Host-vestibule-app"].clone().into());
}

#[tokio::test]
async fn a_code_works_once_for_a_minute_and_in_the_browser_that_asked() {
    let app = app().await;
    let mut browser = adas(&app).await;
    let mut there = Browser::new(&app);
    let entered = at_host(&mut there, &entrance(&app).await).await;
    let log_in = path_of(entered.header("location"));
    let code = browser.open(&log_in).await.header("location").to_owned();
    let refused = async |browser: &mut Browser, url: &str| {
        let reply = at_host(browser, url).await;
        assert_eq!(reply.status, 400, "{}", reply.body);
        assert!(reply.body.contains("with cookies allowed"), "{}", reply.body);
        assert!(!browser.cookies().contains_key("__Host-vestibule-app"));
    };
    // Another browser, with a mark of its own or without one.
    refused(&mut Browser::new(&app), &code).await;
    let mut other = Browser::new(&app);
    at_host(&mut other, &entrance(&app).await).await;
    refused(&mut other, &code).await;
    for spoilt in ["x", "", &code[code.len() - 40..], &format!("{code}x")] {
        let address = format!("{WIKI}/.vestibule/arrive?code={spoilt}");
        refused(&mut there.clone(), &address).await;
    }
    let mut twin = there.clone();
    assert_eq!(at_host(&mut there, &code).await.status, 303);
    refused(&mut twin, &code).await;
    refused(&mut twin, &format!("{code}=")).await;
    vestibule_tests::run::note_secret(&there.cookies()["__Host-vestibule-app"].clone().into());

    let late = browser.open(&log_in).await.header("location").to_owned();
    app.clock.advance(60);
    refused(&mut twin, &late).await;
    let ended = browser.open(&log_in).await.header("location").to_owned();
    browser.submit("/auth/logout").await;
    refused(&mut twin, &ended).await;
}

#[tokio::test]
async fn a_code_is_for_one_host() {
    let apps = format!("{APPS}[[apps]]\nhost = 'blog.example'\n");
    let app = app_with("", &apps).await;
    let mut browser = adas(&app).await;
    let mut there = Browser::new(&app);
    let entrance = entrance(&app).await;
    let entered = at_host(&mut there, &entrance).await;
    let code = browser.open(&path_of(entered.header("location"))).await;
    let code = code.header("location");
    for host in ["blog.example", "auth.example", "other.example"] {
        for url in [code, &entrance] {
            let there = there.caller().with("host", host).get(&path_of(url)).await;
            assert!(there.status.is_client_error(), "{host}: {}", there.status);
            assert!(there.headers.get("set-cookie").is_none(), "{host}");
        }
    }
    // Without a mark there is no code.
    let unmarked = entrance.split("to=").nth(1).unwrap();
    let reply = browser.open(&format!("/auth/login?to={unmarked}")).await;
    assert_eq!(reply.status, 200);
    assert!(reply.body.contains("You are signed in"), "{}", reply.body);
}

#[tokio::test]
async fn a_log_out_anywhere_is_one_everywhere() {
    let app = app().await;
    let mut browser = adas(&app).await;
    let there = hand_over(&app, &mut browser, URL).await;
    assert!(learned(&there.caller(), URL).await.is_some());
    browser.submit("/auth/logout").await;
    assert_eq!(learned(&there.caller(), URL).await, None);

    let mut browser = adas(&app).await;
    let mut there = hand_over(&app, &mut browser, URL).await;
    let leave = there.caller().with("host", "wiki.example");
    for origin in ["https://evil.example", "https://auth.example", "null"] {
        let reply = leave.clone().with("origin", origin).send("POST", "/.vestibule/logout").await;
        assert_eq!(reply.status, 403, "{origin}");
    }
    assert_eq!(leave.send("POST", "/.vestibule/logout").await.status, 403, "no origin");
    assert!(learned(&there.caller(), URL).await.is_some());
    let left = leave.with("origin", WIKI).send("POST", "/.vestibule/logout").await;
    there.keep(&left);
    let location = left.header("location");
    assert_eq!((left.status.as_u16(), location), (303, "https://auth.example/auth/login"));
    assert!(!there.cookies().contains_key("__Host-vestibule-app"));
    assert_eq!(browser.open("/api/v1/users/me").await.status, 401, "here as well");
    let again = there.caller().with("host", "wiki.example").with("origin", WIKI);
    assert_eq!(again.send("POST", "/.vestibule/logout").await.status, 303, "twice is no fault");
}

#[tokio::test]
async fn a_session_at_an_app_is_renewed_and_ends_with_its_user() {
    let app = app().await;
    let mut browser = crate::login::sign_in(&app, "&user=ada&renewal=save").await;
    let there = hand_over(&app, &mut browser, URL).await;
    app.clock.advance(301);
    let told = learned(&there.caller(), URL).await.unwrap();
    assert_eq!(told[2], "ada renewed 1 times");
    app.host
        .store()
        .set_user_disabled(&vestibule_tests::database::user_id("ada"), true)
        .await
        .unwrap();
    let reply = Gateway::Traefik.asks(&page(&there.caller()), "GET", URL).await;
    assert_eq!(reply.status, 302);
    assert_denied(&reply, "disabled");
}

#[tokio::test]
async fn a_link_of_another_site_asks_once_more_with_the_cookie() {
    let app = app().await;
    let mut browser = adas(&app).await;
    let mut there = Browser::new(&app);
    let entered = at_host(&mut there, &entrance(&app).await).await;
    let log_in = path_of(entered.header("location"));
    // A strict cookie is not sent on a way that began at another site.
    let stranger = app.anonymous().with("sec-fetch-site", "cross-site");
    let page = stranger.get(&log_in).await;
    assert_eq!(page.status, 200);
    let onward = page.body.split("url=").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(onward.replace("&amp;", "&"), log_in);
    assert_eq!(browser.open(&log_in).await.status, 303);
    // Whoever comes from a page of this site is asked to sign in.
    let page = app.anonymous().with("sec-fetch-site", "same-origin").get(&log_in).await;
    assert!(page.body.contains("asks who you are"), "{}", page.body);
}

vestibule_tests::on_both_databases! {
    async fn replicas_share_what_browsers_have_at_apps(database: Database) {
        let toml = format!("server.trusted_proxies = ['127.0.0.1']\n\
                            encryption.secret = '{}'\n{PUBLIC}{APPS}", vestibule_tests::database::SECRET);
        let start = async || {
            TestApp::start_on(&database, "visited", &toml, &[], Hooks::default()).await.unwrap()
        };
        let (one, other) = (start().await, start().await);
        let mut browser = adas(&one).await;
        let there = hand_over(&one, &mut browser, URL).await;
        let elsewhere = there.clone().at_app(&other);
        let told = learned(&elsewhere.caller(), URL).await.expect("known to the other replica");
        assert_eq!(told[0], "ada");
        // Who comes again has another cookie, and the one before is over.
        let again = hand_over(&other, &mut browser.clone().at_app(&other), URL).await;
        assert!(learned(&again.caller(), URL).await.is_some());
        assert_eq!(learned(&there.caller(), URL).await, None);
        browser.submit("/auth/logout").await;
        assert_eq!(learned(&again.caller(), URL).await, None);
        let keys = async |app: &TestApp| app.anonymous().get("/.well-known/jwks.json").await.body;
        assert_eq!(keys(&one).await, keys(&other).await);
        assert_eq!(one.host.store().rotate(|_| {}).await.unwrap().left, 0);
    }
}
