//! Whom Vestibule believes what about the requests of others.

use vestibule_tests::{
    Caller, TestApp,
    gateways::{GATEWAYS, Gateway, assert_denied, identity, page},
};

use super::{APPS, OWN, WIKI, ada, adas, app, app_with, by_key_of, of_all};

/// What somebody is told who asks as nginx does, from any address.
async fn asked_from(client: &Caller, address: Option<&str>) -> u16 {
    let client = match address {
        Some(address) => client.clone().at(address),
        None => client.clone(),
    };
    let asks = client.with("x-original-url", &format!("{WIKI}/a")).with("x-original-method", "GET");
    let reply = asks.get("/authz/nginx").await;
    if reply.status != 200 {
        assert_denied(&reply, "from elsewhere");
    }
    reply.status.as_u16()
}

#[tokio::test]
async fn nobody_but_a_trusted_proxy_is_told_anything() {
    let app = app_with("", APPS).await;
    let client = by_key_of(&app, ada()).await;
    for (address, status) in [
        (Some("127.0.0.1"), 200),
        (Some("::ffff:127.0.0.1"), 200),
        (Some("127.0.0.2"), 403),
        (Some("192.0.2.1"), 403),
        (Some("::1"), 403),
        (None, 403),
    ] {
        assert_eq!(asked_from(&client, address).await, status, "{address:?}");
    }
    let forged = client.clone().with("x-forwarded-for", "127.0.0.1");
    assert_eq!(asked_from(&forged, Some("192.0.2.1")).await, 403);
    for path in ["/authz/caddy", "/authz/traefik", "/authz/envoy/", "/authz/envoy/a"] {
        let reply = client.clone().at("192.0.2.1").get(path).await;
        assert_eq!(reply.status, 403, "{path}: not even what is missing");
    }
    let none = TestApp::start("visited", &format!("{}{APPS}", crate::login::PUBLIC)).await;
    let client = by_key_of(&none, ada()).await;
    assert_eq!(asked_from(&client, Some("127.0.0.1")).await, 403);
}

#[tokio::test]
async fn each_gateway_is_believed_in_its_own_headers_alone() {
    let app = app().await;
    let nobody = app.anonymous();
    let others = |gateway: Gateway, path: &str| {
        let url = format!("{WIKI}{path}");
        let nginx =
            |client: Caller| client.with("x-original-url", &url).with("x-original-method", "GET");
        let forwarded = |client: Caller| {
            client
                .with("x-forwarded-method", "GET")
                .with("x-forwarded-uri", path)
                .with("x-forwarded-host", "wiki.example")
        };
        match gateway {
            Gateway::Nginx => forwarded(nobody.clone()).with("x-forwarded-proto", "https"),
            Gateway::Caddy | Gateway::Traefik => nginx(nobody.clone()),
            Gateway::Envoy | Gateway::EnvoyGrpc => nginx(forwarded(nobody.clone())),
        }
    };
    for gateway in GATEWAYS {
        let twin = others(gateway, "/public/a");
        let reply = gateway.asks(&twin, "GET", &format!("{WIKI}/a")).await;
        assert_eq!(reply.status, 401, "{gateway:?}: what is public is another path");
        let twin = others(gateway, "/a");
        let reply = gateway.asks(&twin, "GET", &format!("{WIKI}/public/a")).await;
        assert_eq!(reply.status, 200, "{gateway:?}");
    }
    // Nor by the query of the question.
    for query in ["?uri=/public/a", "?X-Original-URL=https://wiki.example/public/"] {
        let asks = nobody.clone().at("127.0.0.1");
        let asks = asks.with("x-original-url", &format!("{WIKI}/a"));
        let reply =
            asks.with("x-original-method", "GET").get(&format!("/authz/nginx{query}")).await;
        assert_eq!(reply.status, 401, "{query}");
    }
}

#[tokio::test]
async fn a_host_is_one_name_however_it_is_written() {
    let app = app().await;
    let client = by_key_of(&app, ada()).await;
    for gateway in GATEWAYS {
        for host in ["wiki.example", "WIKI.ExAmPle", "wiki.example.", "Wiki.Example.:443"] {
            let reply = gateway.says(&client, "GET", "https", host, "/a").await;
            assert_eq!(reply.status, 200, "{gateway:?} {host}: {}", reply.body);
        }
        for host in [
            "wiki.example:8443",
            "other.example",
            "wiki.example.evil.example",
            "evilwiki.example",
            "xn--wki-3xa.example",
            "auth.example:80",
        ] {
            let reply = gateway.says(&client, "GET", "https", host, "/a").await;
            assert_eq!(reply.status, 403, "{gateway:?} {host}");
            assert_denied(&reply, host);
        }
        for host in [
            "wiki.example,auth.example",
            "wiki.example:443:80",
            "wiki.example:",
            "wiki.example:0",
            "user@wiki.example",
            "[::1",
            "",
        ] {
            let reply = gateway.says(&client, "GET", "https", host, "/a").await;
            assert_eq!(reply.status, gateway.status(400), "{gateway:?} {host}");
            assert_denied(&reply, host);
        }
        for (scheme, status) in [("wss", 200), ("http", 403), ("ws", 403), ("https,http", 400)] {
            let reply = gateway.says(&client, "GET", scheme, "wiki.example", "/a").await;
            assert_eq!(reply.status, gateway.status(status), "{gateway:?} {scheme}");
        }
    }
}

#[tokio::test]
async fn what_a_gateway_always_sends_is_missing_from_no_question() {
    let app = app().await;
    let client = by_key_of(&app, ada()).await.at("127.0.0.1");
    let headers = [
        ("x-forwarded-method", "GET"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "wiki.example"),
        ("x-forwarded-uri", "/a"),
    ];
    for missing in 0..=headers.len() {
        let mut asks = client.clone();
        for (index, (name, value)) in headers.iter().enumerate() {
            if index != missing {
                asks = asks.with(name, value);
            }
        }
        let expected = if missing == headers.len() { 200 } else { 400 };
        assert_eq!(asks.get("/authz/caddy").await.status, expected, "{missing}");
        if missing < headers.len() {
            let (name, value) = headers[missing];
            let twice = asks.with(name, value).with(name, value);
            assert_eq!(twice.get("/authz/traefik").await.status, 400, "{name} twice");
        }
    }
    let envoy = client.clone().with("host", "wiki.example");
    assert_eq!(envoy.get("/authz/envoy/a").await.status, 400, "no scheme");
    let nginx = client.clone().with("x-original-method", "GET");
    for url in
        ["/a", "wiki.example/a", "https://wiki.example", "https:///a", "https://wiki.example?x"]
    {
        let reply = nginx.clone().with("x-original-url", url).get("/authz/nginx").await;
        assert_eq!(reply.status, 403, "{url}");
    }
    let fragment = nginx.with("x-original-url", "https://wiki.example/a#/public/");
    assert_eq!(fragment.get("/authz/nginx").await.status, 403);
}

#[tokio::test]
async fn what_clients_say_of_themselves_counts_for_nothing() {
    let app = app().await;
    let browser = adas(&app).await;
    let forged = |client: Caller| {
        client
            .with("remote-user", "root")
            .with("remote_user", "root")
            .with("remote-groups", "admins")
            .with("remote-assertion", "x.y.z")
            .with("x-auth-request-user", "root")
            .with("x-forwarded-user", "root")
            .with("x-pomerium-jwt-assertion", "x.y.z")
            .with("x-authentik-username", "root")
            .with("connection", "close, remote-user, remote-assertion")
            .with("user-agent", "GoogleHC/1.0 kube-probe/1.30 ELB-HealthChecker/2.0")
    };
    for (gateway, reply) in of_all(&forged(app.anonymous()), "GET", &format!("{OWN}/a")).await {
        assert_eq!(reply.status, 401, "{gateway:?}");
        assert_denied(&reply, &format!("{gateway:?}"));
    }
    for (gateway, reply) in of_all(&forged(browser.caller()), "GET", &format!("{OWN}/a")).await {
        assert_eq!(identity(&reply), ["ada", "", "ada renewed 0 times", ""], "{gateway:?}");
    }
    let me = forged(app.anonymous()).get("/auth/session").await;
    assert_eq!(me.json()["authenticated"], false);
}

#[tokio::test]
async fn the_address_of_a_caller_is_what_the_last_trusted_proxy_saw() {
    let limit = "rate_limits.refused_minute = 2\n";
    let bad = |app: &TestApp| app.anonymous().with("authorization", "Bearer sk-oh-nonsense");
    // The first two of an address are refused as they are, and what follows is too much.
    for (peer, forwarded, same) in [
        ("127.0.0.1", &["192.0.2.9"][..], "192.0.2.9"),
        ("127.0.0.1", &["203.0.113.1, 192.0.2.9"], "192.0.2.9"),
        ("127.0.0.1", &["203.0.113.1", "192.0.2.9"], "192.0.2.9"),
        ("127.0.0.1", &["192.0.2.9, 127.0.0.1"], "192.0.2.9"),
        ("127.0.0.1", &["::ffff:192.0.2.9"], "192.0.2.9"),
    ] {
        let app = app_with(limit, APPS).await;
        let client =
            forwarded.iter().fold(bad(&app), |client, line| client.with("x-forwarded-for", line));
        for status in [401, 401, 429] {
            let reply = client.clone().at(peer).get("/auth/session").await;
            assert_eq!(reply.status, status, "{forwarded:?}");
        }
        let same = bad(&app).with("x-forwarded-for", same).at(peer);
        assert_eq!(same.get("/auth/session").await.status, 429, "{forwarded:?}");
        let other = bad(&app).with("x-forwarded-for", "192.0.2.8").at(peer);
        assert_eq!(other.get("/auth/session").await.status, 401, "{forwarded:?}");
    }
    // What cannot be read, or comes from elsewhere, says nothing.
    let many = vec!["192.0.2.9"; 50].join(", ");
    for (peer, forwarded) in [
        ("127.0.0.1", "192.0.2.9, unknown"),
        ("127.0.0.1", ""),
        ("127.0.0.1", many.as_str()),
        ("198.51.100.7", "192.0.2.9"),
    ] {
        let app = app_with(limit, APPS).await;
        for status in [401, 401, 429] {
            let client = bad(&app).with("x-forwarded-for", forwarded).at(peer);
            assert_eq!(client.get("/auth/session").await.status, status, "{peer} {forwarded:?}");
        }
        let direct = bad(&app).at(peer).get("/auth/session").await;
        assert_eq!(direct.status, 429, "{peer} {forwarded:?}");
    }
}

#[tokio::test]
async fn who_tries_many_keys_is_stopped_and_everybody_else_passes() {
    for gateway in GATEWAYS {
        let app = app_with("rate_limits.refused_minute = 3\n", APPS).await;
        let url = format!("{WIKI}/a");
        let good = by_key_of(&app, ada()).await.with("x-forwarded-for", "192.0.2.9");
        let bad = app.anonymous().with("x-forwarded-for", "192.0.2.9");
        let bad = page(&bad).with("authorization", "Bearer sk-oh-nonsense");
        for _ in 0..3 {
            assert_eq!(gateway.asks(&bad, "GET", &url).await.status, 401, "{gateway:?}");
        }
        let reply = gateway.asks(&bad, "GET", &url).await;
        assert_eq!(reply.status, gateway.status(429), "{gateway:?}");
        if gateway != Gateway::Nginx {
            assert_eq!(reply.header("retry-after"), "60", "{gateway:?}");
        }
        for _ in 0..100 {
            assert_eq!(gateway.asks(&good, "GET", &url).await.status, 200, "{gateway:?}");
        }
    }
}

#[tokio::test]
async fn addresses_are_counted_where_they_are_those_of_callers() {
    let limit = |app: &TestApp| app.host.config().rate_limits.address_minute;
    assert_eq!(limit(&app_with("", APPS).await), 3_000);
    assert_eq!(limit(&app_with("rate_limits.address_minute = 0\n", APPS).await), 0);
    assert_eq!(limit(&TestApp::start("none", "").await), 0);
}
