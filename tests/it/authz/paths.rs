//! What is public, and what only looks so.

use std::cell::Cell;

use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use vestibule::{
    authz::{Asked, Ruling, Visitor, decide},
    config::{PublicPath, canonical},
    identity::{Identity, OrgId},
};
use vestibule_tests::{
    database::user_id,
    gateways::{GATEWAYS, Gateway, assert_denied, identity},
    readings::{is_below, readings},
};

use super::{APPS, OWN, WIKI, ada, adas, app, by_key_of, configuration::explain_with, of_all};
use crate::login::PUBLIC;

#[tokio::test]
async fn what_only_looks_public_is_not() {
    let app = app().await;
    let nobody = app.anonymous();
    for path in [
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/public/..%2fadmin",
        "/public/%2e%2e%2fadmin",
        "/public/..;/admin",
        "/public\\..\\admin",
        "//public/../admin",
        "/public/%252e%252e/admin",
        "/public/./../admin",
        "/public%2f..%2fadmin",
        "/public/..%00/admin",
        "/PUBLIC/",
        "/public",
        "/publicx",
        "/%70ublic/",
        "/public//admin",
        "/public/%c0%ae%c0%ae/admin",
        "/admin?x=/public/",
        "/admin?/public/",
        "/admin%23/public/",
        "/admin%3f/public/",
        "/admin;/public/",
        "/robots.txt",
        "/favicon.ico",
        "/.well-known/security.txt",
        "/health/",
        "/healthx",
    ] {
        for gateway in GATEWAYS {
            let reply = gateway.says(&nobody, "GET", "https", "auth.example", path).await;
            assert_eq!(reply.status, 401, "{gateway:?} {path}");
            assert_denied(&reply, path);
        }
    }
    for path in ["/admin#/public/", "/public/\u{fc}"] {
        for gateway in [Gateway::Caddy, Gateway::Traefik] {
            // A header of a test is visible ASCII.
            if path.is_ascii() {
                let reply = gateway.says(&nobody, "GET", "https", "auth.example", path).await;
                assert_eq!(reply.status, 400, "{gateway:?} {path}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_public_is_so_by_the_methods_that_the_rule_names() {
    let app = app().await;
    let nobody = app.anonymous();
    for (method, path, status) in [
        ("GET", "/public/", 200),
        ("HEAD", "/public/a/b?x=/../", 200),
        ("GET", "/public/a%20b/%5Bid%5D.js", 200),
        ("GET", "/health?x", 200),
        ("POST", "/public/a", 401),
        ("GET", "/hooks/a", 200),
        ("HEAD", "/hooks/a", 401),
        ("POST", "/hooks/a", 401),
        ("OPTIONS", "/hooks/a", 401),
        ("PROPFIND", "/hooks/a", 401),
    ] {
        for (gateway, reply) in of_all(&nobody, method, &format!("{OWN}{path}")).await {
            assert_eq!(reply.status, status, "{gateway:?} {method} {path}");
            if status == 200 {
                assert_eq!(identity(&reply), [""; 4], "{gateway:?}");
                assert_eq!(reply.header("remote-assertion"), "", "{gateway:?}");
            }
        }
    }
}

#[tokio::test]
async fn on_a_public_path_everybody_is_who_they_are_to_the_app() {
    let app = app().await;
    let url = format!("{OWN}/public/a");
    let ada = adas(&app).await;
    for (gateway, reply) in of_all(&ada.caller(), "GET", &url).await {
        assert_eq!(identity(&reply)[0], "ada", "{gateway:?}");
    }
    let over = app.anonymous().with("cookie", "__Host-vestibule-session=over");
    let bob = crate::login::sign_in(&app, "&user=bob").await;
    for (client, why) in [(over, "over"), (bob.caller(), "the app is not Bob's")] {
        for (gateway, reply) in of_all(&client, "GET", &url).await {
            assert_eq!(reply.status, 200, "{gateway:?} {why}");
            assert_eq!(identity(&reply), [""; 4], "{gateway:?} {why}");
        }
    }
}

#[tokio::test]
async fn who_may_see_an_app_may_ask_for_any_path_of_it() {
    let app = app().await;
    let client = by_key_of(&app, ada()).await;
    for path in ["/a//b", "/group%2Fproject", "/a;b=c", "/a/../b", "/%C3%BC", "/a,b"] {
        for (gateway, reply) in of_all(&client, "GET", &format!("{WIKI}{path}")).await {
            assert_eq!(reply.status, 200, "{gateway:?} {path}: {}", reply.body);
        }
    }
}

/// Paths that are put together of what has let somebody pass somewhere.
fn paths() -> impl Strategy<Value = String> {
    const PARTS: [&str; 44] = [
        "/",
        "/",
        "/",
        "//",
        "\\",
        "..",
        ".",
        "...",
        "%2e",
        "%2E",
        "%2f",
        "%2F",
        "%5c",
        "%5C",
        "%252e",
        "%252f",
        "%25",
        "%",
        "%00",
        "%0a",
        "%20",
        "%3b",
        "%3f",
        "%23",
        "%c0%ae",
        "%c0%af",
        "%e0%80%af",
        "%EF%BC%8F",
        "%EF%BC%8E",
        "\u{ff0f}",
        "\u{2215}",
        ";",
        ";a=b",
        "?",
        "#",
        "a",
        "A",
        "~",
        "public",
        "PUBLIC",
        "%70ublic",
        "admin",
        " ",
        "+",
    ];
    let part = prop_oneof![
        8 => prop::sample::select(PARTS.as_slice()).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => (0_u8..=255).prop_map(|byte| format!("%{byte:02x}")),
    ];
    let head = prop_oneof![6 => Just("/public/"), 1 => Just("/"), 1 => Just("")];
    (head, prop::collection::vec(part, 0..8))
        .prop_map(|(head, parts)| head.to_owned() + &parts.concat())
}

/// `PROPTEST_CASES=1000000 cargo test -p vestibule-tests --test it what_is_public` takes a
/// few minutes.
#[test]
fn what_is_public_is_so_in_everybody_s_reading() {
    let rule = PublicPath { method: None, path: "/public/".to_owned() };
    let public = Cell::new(0_u64);
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, ..Default::default() });
    let checked = runner.run(&paths(), |path| {
        let Ok(same) = canonical(&path) else { return Ok(()) };
        prop_assert_eq!(same, &path);
        if rule.covers("GET", &path) {
            public.set(public.get() + 1);
            for reading in readings(&path) {
                let text = String::from_utf8_lossy(&reading).into_owned();
                prop_assert!(is_below(&reading, b"/public/"), "{path} is read as {text}");
            }
        }
        Ok(())
    });
    checked.unwrap();
    assert!(public.get() > 5, "the paths of this test are hardly ever public");
}

#[test]
fn the_readings_find_what_they_are_for() {
    for path in [
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/public/%252e%252e/admin",
        "/public/..;/admin",
        "/public/..%5cadmin",
        "/public/%c0%ae%c0%ae/admin",
        "/public/..%20/admin",
        "/public/\u{ff0e}\u{ff0e}/admin",
    ] {
        let climbs = readings(path).iter().any(|reading| !is_below(reading, b"/public/"));
        assert!(climbs, "{path}");
    }
    assert!(readings("/public/a/b.c").iter().all(|reading| is_below(reading, b"/public/")));
}

/// Somebody in another organisation, with these roles.
fn outsider(id: &str, roles: &[&str]) -> Identity {
    Identity {
        user_id: Some(user_id(id)),
        org_id: Some(OrgId::new("other").unwrap()),
        roles: roles.iter().map(|&role| role.to_owned()).collect(),
        ..Identity::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rule_that_is_explained_is_the_one_that_decides() {
    let app = app().await;
    let mut users = vec![(app.anonymous(), None)];
    for identity in [ada(), outsider("grace", &["staff"]), outsider("mallory", &[])] {
        users.push((by_key_of(&app, identity.clone()).await, Some(identity)));
    }
    let toml = format!("{PUBLIC}auth.strategy = 'none'\n{APPS}");
    let mut random = TestRunner::deterministic();
    let (mut seen, mut printed) = ([0_usize; 4], 0);
    for turn in 0..10_000_usize {
        let path = paths().new_tree(&mut random).unwrap().current();
        let path = format!("/{}", path.trim_start_matches('/'));
        // What is no request at all is refused before any rule is asked.
        let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        let raw = path.split('?').next().unwrap();
        if !plain || raw.contains(",/") || path.parse::<http::uri::PathAndQuery>().is_err() {
            continue;
        }
        let method = ["GET", "HEAD", "POST"][turn % 3];
        let (client, identity) = &users[turn / 5 % users.len()];
        let app_rule = &app.host.config().apps[turn / 7 % 2];
        let url = format!("{}{path}", app_rule.origin.origin().ascii_serialization());
        let reply = GATEWAYS[turn / 3 % GATEWAYS.len()].asks(client, method, &url).await;
        if matches!(reply.status.as_u16(), 400) || reply.body.contains("no path") {
            continue;
        }
        let visitor = identity.as_ref().map(|identity| Visitor {
            user: identity.user_id.as_ref().unwrap(),
            org: identity.org_id.as_ref().unwrap(),
            roles: &identity.roles,
        });
        let asked = Asked { method, path: raw, preflight: false };
        let rule = decide(app_rule, &asked, visitor.as_ref());
        let ruling = rule.ruling();
        let (kind, expected) = match ruling {
            Ruling::Known => (0, 200),
            Ruling::Unknown => (1, 200),
            Ruling::LogIn => (2, 401),
            Ruling::Forbidden => (3, 403),
        };
        assert_eq!(reply.status, expected, "{method} {url}: {}", reply.body);
        seen[kind] += 1;
        // A process takes its time, so that the command itself is asked now and then.
        if seen.iter().sum::<usize>() % 100 == 1 {
            let mut words = vec!["--host", app_rule.host(), "--method", method];
            // With `=`, because a path may begin with anything.
            let path = format!("--path={path}");
            words.push(&path);
            if let Some(visitor) = &visitor {
                words.extend(["--user", visitor.user.as_str(), "--org", visitor.org.as_str()]);
                words.extend(visitor.roles.iter().flat_map(|role| ["--role", role]));
            }
            let (status, text) = explain_with(&toml, &words);
            assert_eq!(status, 0, "{text}");
            assert!(
                text.lines().next().unwrap().ends_with(&format!(": {ruling}")),
                "{url}: {text}"
            );
            assert!(text.lines().nth(1).unwrap().ends_with(&format!(": {rule}")), "{url}: {text}");
            printed += 1;
        }
    }
    assert!(seen.iter().all(|count| *count > 100) && printed > 30, "{seen:?} {printed}");
}
