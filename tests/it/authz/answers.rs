//! What gateways are told, each in the way that it understands.

use std::{convert::Infallible, fs, time::Duration};

use axum::body::{Body, Bytes};
use http::HeaderMap;
use http_body_util::{BodyExt as _, Empty};
use secrecy::SecretString;
use vestibule::identity::Identity;
use vestibule_tests::{
    TestApp,
    browser::{Browser, parameters},
    database::user_id,
    gateways::{GATEWAYS, Gateway, IDENTITY, assert_denied, identity, page},
    keys::by_narrow_key,
};

use super::{APPS, OWN, WIKI, ada, adas, app, app_with, by_key_of, hand_over, of_all};

#[tokio::test]
async fn every_gateway_is_told_the_same_of_a_session() {
    let app = app().await;
    let browser = adas(&app).await;
    for (gateway, reply) in of_all(&browser.caller(), "GET", &format!("{OWN}/a?x=1")).await {
        assert_eq!(reply.status, 200, "{gateway:?}: {}", reply.body);
        assert_eq!(reply.body, "", "{gateway:?}");
        if gateway != Gateway::EnvoyGrpc {
            assert_eq!(reply.header("cache-control"), "no-store");
        }
        assert_eq!(identity(&reply), ["ada", "", "ada renewed 0 times", ""], "{gateway:?}");
        assert!(reply.header("remote-assertion").starts_with("ey"), "{gateway:?}");
        assert!(reply.headers.get("set-cookie").is_none(), "{gateway:?}");
        let removed = reply.header("x-envoy-auth-headers-to-remove");
        if matches!(gateway, Gateway::Envoy | Gateway::EnvoyGrpc) {
            for name in ["remote_user", "remote_groups", "remote_name", "remote_email"] {
                assert!(removed.split(',').any(|twin| twin == name), "{name} in {removed}");
            }
            assert!(!removed.split(',').any(|name| name == "remote-user"), "{removed}");
        } else {
            assert_eq!(removed, "", "{gateway:?}");
        }
    }
}

#[tokio::test]
async fn a_key_says_everything_there_is_to_say_of_its_owner() {
    let app = app().await;
    let client = by_key_of(&app, ada()).await;
    for (gateway, reply) in of_all(&client, "POST", &format!("{WIKI}/a")).await {
        assert_eq!(reply.status, 200, "{gateway:?}: {}", reply.body);
        let groups = "staff,on%20call%2C%20at%20night";
        assert_eq!(identity(&reply), ["ada", groups, "Ada Lovelace", "ada@acme.example"]);
    }
    let unverified = Identity { email_verified: false, ..ada() };
    let reply = Gateway::Nginx.asks(&by_key_of(&app, unverified).await, "GET", WIKI_A).await;
    assert_eq!(reply.header("remote-email"), "", "nobody vouches for it");
}

const WIKI_A: &str = "https://wiki.example/a";

#[tokio::test]
async fn a_person_is_sent_to_the_log_in_and_a_program_is_not() {
    let app = app().await;
    let person = page(&app.anonymous());
    let url = format!("{OWN}/a?x=1");
    for (gateway, reply) in of_all(&person, "GET", &url).await {
        assert_eq!(reply.status, gateway.status(302), "{gateway:?}");
        let location = reply.header("location");
        assert!(location.starts_with("https://auth.example/auth/login?to="), "{location}");
        assert!(!location.contains("x=1") && !location.contains("x%3D1"), "{location}");
        assert_eq!(reply.header("referrer-policy"), "no-referrer");
        assert_denied(&reply, &format!("{gateway:?}"));
        // The page knows what was asked for.
        let path = vestibule_tests::browser::path_of(location);
        let log_in = Browser::new(&app).open(&path).await;
        assert!(log_in.body.contains(&format!("<code>{url}</code>")), "{}", log_in.body);
    }
    for (gateway, reply) in of_all(&person, "POST", &url).await {
        assert_eq!(reply.status, gateway.status(303), "{gateway:?}");
    }
    let anybody = app.anonymous();
    for program in [
        anybody.clone(),
        anybody.clone().with("accept", "application/json"),
        person.clone().with("x-requested-with", "XMLHttpRequest"),
        person.clone().with("sec-fetch-mode", "cors"),
    ] {
        for (gateway, reply) in of_all(&program, "GET", &url).await {
            assert_eq!(reply.status, 401, "{gateway:?}");
            assert_eq!(reply.header("www-authenticate"), r#"Bearer realm="vestibule""#);
            assert_eq!(reply.header("location"), "", "{gateway:?}");
            assert_denied(&reply, &format!("{gateway:?}"));
        }
    }
}

#[tokio::test]
async fn a_person_comes_back_to_what_they_asked_for() {
    let app = app().await;
    let url = format!("{OWN}/a?x=1&y=%2F");
    let asked = Gateway::Nginx.asks(&page(&app.anonymous()), "GET", &url).await;
    let mut browser = Browser::new(&app);
    let log_in = vestibule_tests::browser::path_of(asked.header("location"));
    let offered = browser.open(&log_in).await;
    let start = offered.body.split("href=\"").nth(1).unwrap().split('"').next().unwrap();
    let trip = browser.begin(&start.replace("&amp;", "&")).await;
    let arrived = browser.open(&vestibule_tests::browser::back(&trip, "&user=ada")).await;
    vestibule_tests::run::note_secret(&SecretString::from(browser.session().unwrap()));
    let onward = arrived.body.split("url=").nth(1).unwrap().split('"').next().unwrap();
    let there = browser.open(onward).await;
    assert_eq!((there.status.as_u16(), there.header("location")), (303, url.as_str()));
    assert_eq!(Gateway::Nginx.asks(&browser.caller(), "GET", &url).await.status, 200);
}

#[tokio::test]
async fn an_address_that_is_too_long_or_forged_leads_to_the_front_page() {
    let app = app().await;
    let long = format!("{OWN}/a?{}", "x".repeat(2_000));
    let asked = Gateway::Caddy.asks(&page(&app.anonymous()), "GET", &long).await;
    let path = vestibule_tests::browser::path_of(asked.header("location"));
    let log_in = Browser::new(&app).open(&path).await;
    assert!(log_in.body.contains("<code>https://auth.example/</code>"), "{}", log_in.body);
    let sealed = parameters(asked.header("location"))["to"].clone();
    let turned: String = sealed.chars().rev().collect();
    for to in ["", "x", "https://auth.example/a", &turned, &sealed[1..], &"x".repeat(8_000)] {
        let page = Browser::new(&app).open(&format!("/auth/login?to={to}")).await;
        assert_eq!(page.status, 200, "{to}");
        assert!(!page.body.contains("Afterwards"), "{to}: {}", page.body);
    }
    app.clock.advance(24 * 3_600);
    let page = Browser::new(&app).open(&format!("/auth/login?to={sealed}")).await;
    assert!(!page.body.contains("Afterwards"), "{}", page.body);
}

#[tokio::test]
async fn who_is_known_and_not_listed_is_forbidden_and_never_sent_in_a_circle() {
    let app = app().await;
    let bob = crate::login::sign_in(&app, "&user=bob").await;
    for (gateway, reply) in of_all(&page(&bob.caller()), "GET", &format!("{OWN}/a")).await {
        assert_eq!(reply.status, 403, "{gateway:?}");
        assert_eq!(reply.header("location"), "");
        assert_eq!(reply.header("www-authenticate"), "");
        assert_denied(&reply, &format!("{gateway:?}"));
    }
    let stranger = Identity { user_id: Some(user_id("eve")), ..Identity::default() };
    let eve = by_key_of(&app, stranger).await;
    for (gateway, reply) in of_all(&eve, "GET", WIKI_A).await {
        assert_eq!(reply.status, 403, "{gateway:?}");
        let challenge = reply.header("www-authenticate");
        assert!(challenge.contains(r#"error="insufficient_scope""#), "{challenge}");
    }
    let refused: Vec<_> = app.host.store().audit(10).await.unwrap();
    let refused: Vec<_> = refused.into_iter().filter(|entry| entry.action == "app.visit").collect();
    assert_eq!(refused.len(), 2, "one a minute for each: {refused:?}");
    let at_wiki = refused.iter().find(|entry| entry.target.as_deref() == Some("wiki.example"));
    let reason = at_wiki.unwrap().reason.as_deref().unwrap();
    assert!(reason.ends_with("neither users nor roles nor organisations names the user"));
}

#[tokio::test]
async fn each_list_lets_in_whom_it_names() {
    let app = app().await;
    let somebody = |id: &str| Identity { user_id: Some(user_id(id)), ..Identity::default() };
    let by_role = Identity { roles: vec!["x".to_owned(), "staff".to_owned()], ..somebody("bob") };
    let by_org = Identity { org_id: ada().org_id, ..somebody("cy") };
    let twin = Identity { roles: vec!["Staff".to_owned(), "staff ".to_owned()], ..somebody("di") };
    for (who, status) in [(somebody("ada"), 200), (by_role, 200), (by_org, 200), (twin, 403)] {
        let reply = Gateway::Traefik.asks(&by_key_of(&app, who.clone()).await, "GET", WIKI_A).await;
        assert_eq!(reply.status, status, "{who:?}");
    }
    let anybody = app_with("", "[[apps]]\nhost = 'wiki.example'\n").await;
    let client = by_key_of(&anybody, somebody("di")).await;
    assert_eq!(Gateway::Envoy.asks(&client, "GET", WIKI_A).await.status, 200);
}

#[tokio::test]
async fn a_bad_credential_is_told_so_and_a_cookie_that_is_over_leads_to_the_log_in() {
    let app = app().await;
    let bearer = page(&app.anonymous()).with("authorization", "Bearer nonsense");
    for url in [WIKI_A, "https://wiki.example/public/a"] {
        for (gateway, reply) in of_all(&bearer, "GET", url).await {
            assert_eq!(reply.status, 401, "{gateway:?} {url}");
            let challenge = reply.header("www-authenticate");
            assert!(challenge.contains(r#"error="invalid_token""#), "{challenge}");
            assert_denied(&reply, &format!("{gateway:?}"));
        }
    }
    let cookie = app.anonymous().with("cookie", "__Host-vestibule-session=over");
    let url = format!("{OWN}/a");
    for (gateway, reply) in of_all(&page(&cookie), "GET", &url).await {
        assert_eq!(reply.status, gateway.status(302), "{gateway:?}");
        assert_denied(&reply, &format!("{gateway:?}"));
    }
    for (gateway, reply) in of_all(&cookie, "GET", &url).await {
        assert_eq!(reply.status, 401, "{gateway:?}");
        assert!(reply.header("www-authenticate").contains("invalid_token"));
        assert_denied(&reply, &format!("{gateway:?}"));
    }
}

#[tokio::test]
async fn a_key_for_something_else_visits_no_app() {
    let app = app().await;
    let scope = app.host.store().establish_user(&ada()).await.unwrap().scope();
    for (scopes, status) in
        [(&["settings:read"][..], 403), (&["apps"], 200), (&["full"], 200), (&[], 200)]
    {
        let client = by_narrow_key(&app, &scope, scopes).await;
        for (gateway, reply) in of_all(&client, "GET", WIKI_A).await {
            assert_eq!(reply.status, status, "{gateway:?} {scopes:?}");
        }
        let public = Gateway::Caddy.asks(&client, "GET", "https://wiki.example/public/").await;
        assert_eq!(public.status, 200, "{scopes:?}");
        let known = if status == 200 { "ada" } else { "" };
        assert_eq!(public.header("remote-user"), known, "{scopes:?}");
    }
}

#[tokio::test]
async fn a_failure_is_never_a_yes_and_nginx_knows_its_status() {
    let app = app().await;
    for (renewal, status) in [("trap", 503), ("down", 503), ("nonsense", 500)] {
        for gateway in GATEWAYS {
            let rest = format!("&user=ada&renewal={renewal}");
            let browser = crate::login::sign_in(&app, &rest).await;
            app.clock.advance(301);
            for path in ["/a", "/public/a"] {
                let url = format!("{OWN}{path}");
                let reply = gateway.asks(&page(&browser.caller()), "GET", &url).await;
                let known_as_over = renewal == "trap" && path == "/public/a";
                if known_as_over {
                    continue;
                }
                assert_eq!(reply.status, gateway.status(status), "{gateway:?} {renewal}");
                assert_denied(&reply, &format!("{gateway:?} {renewal}"));
                let again = gateway != Gateway::Nginx && status == 503;
                assert_eq!(reply.headers.contains_key("retry-after"), again, "{gateway:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_session_is_renewed_although_no_cookie_can_be_set() {
    let app = app().await;
    for gateway in GATEWAYS {
        let browser = crate::login::sign_in(&app, "&user=ada&renewal=save").await;
        for renewals in 1..3 {
            app.clock.advance(301);
            let reply = gateway.asks(&browser.caller(), "GET", &format!("{OWN}/a")).await;
            assert_eq!(reply.status, 200, "{gateway:?}: {}", reply.body);
            assert!(reply.headers.get("set-cookie").is_none());
            let name = format!("ada renewed {renewals} times");
            assert_eq!(reply.header("remote-name"), name, "{gateway:?}");
        }
    }
}

#[tokio::test]
async fn a_thousand_questions_write_nothing() {
    let app = app().await;
    let mut browser = adas(&app).await;
    let there = hand_over(&app, &mut browser, WIKI_A).await;
    let client = there.caller();
    Gateway::Nginx.asks(&client, "GET", WIKI_A).await;
    let log = app.folder().join("vestibule.db-wal");
    let written = || fs::metadata(&log).unwrap().modified().unwrap();
    let before = written();
    for _ in 0..1_000 {
        let reply = Gateway::Nginx.asks(&client, "GET", WIKI_A).await;
        assert_eq!(reply.status, 200);
    }
    assert_eq!(written(), before);
}

#[tokio::test]
async fn only_a_method_that_is_one_is_asked_about() {
    let app = app().await;
    let client = by_key_of(&app, ada()).await;
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "PROPFIND", "MKCOL"] {
        for (gateway, reply) in of_all(&client, method, WIKI_A).await {
            assert_eq!(reply.status, 200, "{gateway:?} {method}");
        }
    }
    let long = "A".repeat(33);
    for method in ["get", "G-T", "GET,POST", &long] {
        for gateway in GATEWAYS {
            // A comma is none in a request line.
            if gateway == Gateway::Envoy && method.contains(',') {
                continue;
            }
            let reply = gateway.asks(&client, method, WIKI_A).await;
            assert_eq!(reply.status, gateway.status(400), "{gateway:?} {method}");
            assert_denied(&reply, method);
        }
    }
    for gateway in [Gateway::Nginx, Gateway::Caddy, Gateway::Traefik] {
        let twice =
            client.clone().with("x-original-method", "GET").with("x-forwarded-method", "GET");
        let reply = gateway.asks(&twice, "GET", WIKI_A).await;
        assert_eq!(reply.status, gateway.status(400), "{gateway:?}: a method that came twice");
        let reply = gateway.asks(&client, "", WIKI_A).await;
        assert_eq!(reply.status, gateway.status(400), "{gateway:?}: an empty method");
    }
}

#[tokio::test]
async fn a_question_before_a_request_from_another_origin_passes_where_that_is_wanted() {
    let wanted = APPS.replace("public = ['/public/']", "preflight = true");
    for (apps, status) in [(APPS, 401), (wanted.as_str(), 200)] {
        let app = app_with("", apps).await;
        let asks = app.anonymous().with("origin", "https://other.example");
        let asks = asks.with("access-control-request-method", "PUT");
        for (gateway, reply) in of_all(&asks, "OPTIONS", WIKI_A).await {
            assert_eq!(reply.status, status, "{gateway:?}");
            if status == 200 {
                assert_eq!(identity(&reply), [""; 4], "{gateway:?}");
                assert_eq!(reply.header("remote-assertion"), "");
            }
        }
        for (gateway, reply) in of_all(&app.anonymous(), "OPTIONS", WIKI_A).await {
            assert_eq!(reply.status, 401, "{gateway:?}: no such question");
        }
        for (gateway, reply) in of_all(&asks, "PUT", WIKI_A).await {
            assert_eq!(reply.status, 401, "{gateway:?}: the request itself");
        }
    }
}

#[tokio::test]
async fn an_identity_is_encoded_or_refused_and_never_cut() {
    let app = app().await;
    let odd = Identity {
        display_name: Some(" Zoë % Ω ".to_owned()),
        roles: vec!["staff".to_owned(), "größe,x".to_owned()],
        ..ada()
    };
    let client = by_key_of(&app, odd.clone()).await;
    for (gateway, reply) in of_all(&client, "GET", WIKI_A).await {
        assert_eq!(reply.status, 200, "{gateway:?}: {}", reply.body);
        let name = "%20Zo%C3%AB %25 %CE%A9%20";
        let values = ["ada", "staff,gr%C3%B6%C3%9Fe%2Cx", name, "ada@acme.example"];
        assert_eq!(identity(&reply), values, "{gateway:?}");
    }
    let roles = (0..20).map(|number| format!("{number:0100}")).collect();
    let client = by_key_of(&app, Identity { roles, ..odd }).await;
    for (gateway, reply) in of_all(&client, "GET", WIKI_A).await {
        assert_eq!(reply.status, 403, "{gateway:?}");
        assert_denied(&reply, &format!("{gateway:?}"));
    }
    let entries = app.host.store().audit(10).await.unwrap();
    let reason = entries.iter().find(|entry| entry.action == "app.visit").unwrap();
    assert_eq!(reason.reason.as_deref(), Some("the identity does not fit into headers"));
}

#[tokio::test]
async fn an_app_names_its_own_headers() {
    let apps = "[[apps]]\nhost = 'wiki.example'\n[apps.headers]\nuser = 'X-Forwarded-User'\n\
                assertion = 'X-Assertion'\n";
    let app = app_with("", apps).await;
    let client = by_key_of(&app, ada()).await;
    for (gateway, reply) in of_all(&client, "GET", WIKI_A).await {
        assert_eq!(reply.header("x-forwarded-user"), "ada", "{gateway:?}");
        assert!(reply.header("x-assertion").starts_with("ey"), "{gateway:?}");
        assert_eq!(reply.header("remote-name"), "Ada Lovelace", "{gateway:?}");
        for name in [IDENTITY[0], IDENTITY[4]] {
            assert!(!reply.headers.contains_key(name), "{gateway:?} {name}");
        }
    }
}

#[tokio::test]
async fn a_body_is_not_waited_for() {
    let app = app().await;
    let client = by_key_of(&app, ada()).await.at("127.0.0.1").with("content-length", "10000000");
    let client = client.with("expect", "100-continue").with("host", "wiki.example");
    let never = Body::new(
        Empty::<Bytes>::new()
            .with_trailers(std::future::pending::<Option<Result<HeaderMap, Infallible>>>()),
    );
    let client = client.with("x-forwarded-proto", "https");
    let asks = client.send_body("POST", "/authz/envoy/a", never);
    let reply = tokio::time::timeout(Duration::from_secs(10), asks).await.expect("an answer");
    assert_eq!(reply.status, 200, "{}", reply.body);
}

#[tokio::test]
async fn without_a_log_in_there_is_none_to_be_sent_to() {
    let toml = "server.trusted_proxies = ['127.0.0.1']\n[[apps]]\nhost = 'wiki.localhost'\n";
    let app = TestApp::start("none", toml).await;
    for (gateway, reply) in of_all(&app.anonymous(), "GET", "http://wiki.localhost/a").await {
        assert_eq!(reply.status, 200, "{gateway:?}: {}", reply.body);
        assert_eq!(reply.header("remote-user"), vestibule::identity::LOCAL_OWNER, "{gateway:?}");
    }
    // Whoever can have a name point here must not be the owner for that.
    let toml = toml.replace("wiki.localhost", "wiki.example");
    let app = TestApp::start("none", &toml).await;
    for (gateway, reply) in of_all(&app.anonymous(), "GET", "http://wiki.example/a").await {
        assert_eq!(reply.status, 403, "{gateway:?}");
        assert_denied(&reply, &format!("{gateway:?}"));
    }
    let toml = "server.trusted_proxies = ['127.0.0.1']\n[[apps]]\nhost = 'wiki.example'\n";
    let app = TestApp::start("named", toml).await;
    let person = page(&app.anonymous());
    for (gateway, reply) in of_all(&person, "GET", "http://wiki.example/a").await {
        assert_eq!(reply.status, 401, "{gateway:?}");
        assert_eq!(reply.header("location"), "", "{gateway:?}");
    }
    for (gateway, reply) in
        of_all(&person.with("x-user", "ada"), "GET", "http://wiki.example/").await
    {
        assert_eq!(identity(&reply)[0], "ada", "{gateway:?}: {}", reply.body);
    }
}
