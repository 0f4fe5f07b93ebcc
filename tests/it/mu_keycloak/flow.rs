//! Logging in: the browser's trips to Keycloak and back, and what stays.

use std::collections::BTreeSet;

use http::StatusCode;
use serde_json::{Value, json};
use vestibule_tests::{
    TestApp,
    browser::{Browser, parameters, path_of},
    database::{Database, user_id},
    keycloak::{Answer, CLIENT_ID, Endpoint, Keycloak, Person},
    logs::Logs,
    run::{at_once, text},
};

use super::{
    Scene, app, assert_nothing_came_of_it, refresh_of, scene, scene_of, scene_with, secrets_of,
    session_of, who,
};

#[tokio::test]
async fn a_person_comes_in_with_two_grants_that_never_meet() {
    let Scene { keycloak, app } = scene().await;
    let mut browser = Browser::new(&app);
    let page = browser.open("/auth/login").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);

    let first = browser.open("/auth/login/start?return_to=/reports").await;
    let asked = parameters(first.header("location"));
    assert_eq!(asked["scope"], "openid email profile");
    let second = browser.open(&path_of(&keycloak.visit(first.header("location")))).await;
    assert_eq!(second.status, StatusCode::SEE_OTHER, "{}", second.body);
    let asked_again = parameters(second.header("location"));
    assert!(asked_again["scope"].split(' ').any(|scope| scope == "offline_access"));
    for random in ["state", "nonce", "code_challenge"] {
        assert_ne!(asked[random], asked_again[random], "{random}");
    }
    assert!(browser.session().is_none(), "nobody is in half-way");

    let arrived = browser.open(&path_of(&keycloak.visit(second.header("location")))).await;
    assert_eq!(arrived.status, StatusCode::OK, "{}", arrived.body);
    assert!(arrived.body.contains("url=/reports"), "{}", arrived.body);
    assert_eq!(browser.cookies().len(), 1, "the log-in's cookies are gone");
    assert_eq!(keycloak.script.calls(Endpoint::Token), 2);

    let me = browser.open("/auth/session").await.json();
    assert_eq!(me["user_id"], "ada");
    assert_eq!(me["display_name"], "Ada Lovelace");
    assert_eq!((&me["email"], &me["email_verified"]), (&json!("ada@corp.example"), &json!(true)));
    let roles: BTreeSet<&str> =
        me["roles"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(roles, BTreeSet::from(["member", "editor"]), "none of another client");

    let session = session_of(&app, &browser).await;
    assert_eq!(session.content.idp_session_id.as_deref(), Some(keycloak.sid().as_str()));
    let offline = app.host.store().tokens(&user_id("ada")).load("offline").await.unwrap().unwrap();
    let kept = secrets_of(&session);
    assert_eq!(kept.len(), 2, "a refresh and an ID token");
    assert!(kept.iter().all(|secret| text(secret) != refresh_of(&offline)));
}

#[tokio::test]
async fn who_has_a_usable_offline_token_makes_one_trip() {
    let scene = scene().await;
    scene.log_in().await;
    let before = refresh_of(&scene.stored("offline").await.unwrap()).to_owned();
    assert_eq!(scene.calls(Endpoint::Authorize), 2);
    scene.keycloak.sit_down(Some(Person::new("ada")));
    scene.log_in().await;
    assert_eq!(scene.calls(Endpoint::Authorize), 3);
    let after = scene.stored("offline").await.unwrap();
    assert_eq!(refresh_of(&after), before, "a log-in does not use it");
}

#[tokio::test]
async fn without_offline_tokens_there_is_one_trip_and_nothing_is_stored() {
    let scene = scene_with("offline = false").await;
    scene.log_in().await;
    assert_eq!(scene.calls(Endpoint::Authorize), 1);
    assert!(scene.stored("offline").await.is_none());
}

#[tokio::test]
async fn who_comes_by_saml_is_not_asked_for_an_offline_token() {
    let scene = scene().await;
    let person = Person::new("ada").with("identity_provider", "corp:saml");
    let mut browser = scene.log_in_as(person).await;
    assert_eq!(scene.calls(Endpoint::Authorize), 1);
    assert!(scene.stored("offline").await.is_none());
    assert_eq!(who(&mut browser).await, "ada");
}

#[tokio::test]
async fn who_declines_the_offline_token_is_in_without_one() {
    let scene = scene().await;
    scene.keycloak.decline("offline_access");
    let mut browser = scene.log_in().await;
    assert!(scene.stored("offline").await.is_none());
    assert_eq!(who(&mut browser).await, "ada");
    // And is asked again at the next log-in.
    scene.keycloak.decline("nothing");
    scene.keycloak.sit_down(Some(Person::new("ada")));
    scene.log_in().await;
    assert!(scene.stored("offline").await.is_some());
}

#[tokio::test]
async fn a_grant_that_is_not_offline_is_not_kept_as_if_it_were() {
    let scene = scene().await;
    scene.keycloak.withhold("offline_access");
    let mut browser = scene.log_in().await;
    assert_eq!(scene.calls(Endpoint::Authorize), 2);
    assert!(scene.stored("offline").await.is_none());
    assert_eq!(who(&mut browser).await, "ada");
}

#[tokio::test]
async fn whatever_becomes_of_the_second_trip_the_first_one_stands() {
    for trouble in [
        Answer::Json(400, json!({"error": "invalid_grant"})),
        Answer::Json(400, json!({"error": "invalid_scope"})),
        Answer::Json(503, json!({})),
        Answer::HangUp,
        Answer::Large,
    ] {
        let scene = scene().await;
        let mut browser = Browser::new(&scene.app);
        let first = browser.open("/auth/login/start").await;
        let callback = scene.keycloak.visit(first.header("location"));
        let second = browser.open(&path_of(&callback)).await;
        let callback = scene.keycloak.visit(second.header("location"));
        scene.keycloak.script.answer_once(Endpoint::Token, trouble.clone());
        let arrived = browser.open(&path_of(&callback)).await;
        assert_eq!(arrived.status, StatusCode::OK, "{trouble:?}: {}", arrived.body);
        assert_eq!(who(&mut browser).await, "ada");
        assert!(scene.stored("offline").await.is_none());
    }
}

#[tokio::test]
async fn somebody_else_on_the_second_trip_lets_nobody_in() {
    let Scene { keycloak, app } = scene().await;
    let mut browser = Browser::new(&app);
    let first = browser.open("/auth/login/start").await;
    let second = browser.open(&path_of(&keycloak.visit(first.header("location")))).await;
    keycloak.sit_down(Some(Person::new("eve")));
    let reply = browser.open(&path_of(&keycloak.visit(second.header("location")))).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{}", reply.body);
    assert_nothing_came_of_it(&app, &browser, &reply).await;
}

#[tokio::test]
async fn every_trip_carries_fresh_values_and_the_configured_callback() {
    let scene = scene_with("idp_hint = 'github'\nscopes = ['openid', 'groups']").await;
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        let asked = Browser::new(&scene.app).begin("/auth/login/start").await;
        assert_eq!(asked["response_type"], "code");
        assert_eq!(asked["client_id"], CLIENT_ID);
        assert_eq!(asked["code_challenge_method"], "S256");
        assert_eq!(asked["scope"], "openid groups");
        assert_eq!(asked["kc_idp_hint"], "github");
        assert_eq!(asked["redirect_uri"], "http://localhost:3000/auth/callback");
        for random in ["state", "nonce", "code_challenge"] {
            assert!(asked[random].len() >= 43, "{random}");
            assert!(seen.insert(asked[random].clone()), "{random}");
        }
        assert!(!asked.contains_key("client_secret"));
    }
    assert!(scene.keycloak.forget_calls() <= 1, "the discovery document is kept");
}

#[tokio::test]
async fn a_callback_counts_once_and_in_its_own_browser_alone() {
    let scene = scene_with("offline = false").await;
    let mut browser = Browser::new(&scene.app);
    let begun = browser.open("/auth/login/start").await;
    let callback = path_of(&scene.keycloak.visit(begun.header("location")));
    let mut other = Browser::new(&scene.app);
    assert_eq!(other.open(&callback).await.status, StatusCode::BAD_REQUEST);
    let foreign = callback.replace("state=", "state=x");
    assert_eq!(browser.open(&foreign).await.status, StatusCode::BAD_REQUEST);
    assert!(other.session().is_none() && browser.session().is_none());
    assert_eq!(scene.calls(Endpoint::Token), 0);
    assert_eq!(browser.open(&callback).await.status, StatusCode::OK);
    assert_eq!(browser.open(&callback).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(scene.calls(Endpoint::Token), 1);
    assert_eq!(who(&mut browser).await, "ada", "the session is as it was");
}

#[tokio::test]
async fn tabs_log_in_side_by_side_in_any_order() {
    let scene = scene().await;
    let mut browser = Browser::new(&scene.app);
    let mut begun = Vec::new();
    for _ in 0..5 {
        begun.push(browser.open("/auth/login/start").await);
    }
    for tab in begun.into_iter().rev() {
        let arrived = scene.keycloak.lead_on(&mut browser, tab).await;
        assert_eq!(arrived.status, StatusCode::OK, "{}", arrived.body);
        assert_eq!(who(&mut browser).await, "ada");
    }
}

#[tokio::test]
async fn the_first_trip_s_tokens_do_not_travel_in_the_browser() {
    let scene = scene().await;
    let roles: Vec<String> = (0..500).map(|n| format!("group-with-a-long-name-{n}")).collect();
    scene.keycloak.sit_down(Some(Person::new("ada").with("realm_access", json!({"roles": roles}))));
    let mut browser = Browser::new(&scene.app);
    let first = browser.open("/auth/login/start").await;
    let second = browser.open(&path_of(&scene.keycloak.visit(first.header("location")))).await;
    assert_eq!(second.status, StatusCode::SEE_OTHER, "{}", second.body);
    let set = second.headers.get_all("set-cookie").iter();
    assert!(set.map(http::HeaderValue::len).sum::<usize>() < 4096);
    let arrived = scene.keycloak.lead_on(&mut browser, second).await;
    assert_eq!(arrived.status, StatusCode::OK, "{}", arrived.body);
    assert_eq!(browser.session().unwrap().len(), 43, "256 bits without structure");
    let me = browser.open("/auth/session").await.json();
    assert_eq!(me["user_id"], "ada");
}

#[tokio::test]
async fn the_callback_names_its_issuer_or_is_not_believed() {
    let scene = scene_with("offline = false").await;
    let issuer = scene.keycloak.issuer();
    let encoded: String = form_urlencoded::byte_serialize(issuer.as_bytes()).collect();
    for iss in [String::new(), "&iss=".to_owned(), format!("&iss={encoded}%2F")] {
        let mut browser = Browser::new(&scene.app);
        let begun = browser.open("/auth/login/start").await;
        let callback = path_of(&scene.keycloak.visit(begun.header("location")));
        let changed = callback.replace(&format!("&iss={encoded}"), &iss);
        assert_ne!(changed, callback);
        let reply = browser.open(&changed).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{iss}: {}", reply.body);
        assert_nothing_came_of_it(&scene.app, &browser, &reply).await;
    }
    assert_eq!(scene.calls(Endpoint::Token), 0, "no code goes to anybody");
}

#[tokio::test]
async fn who_declines_is_told_so_and_can_try_again() {
    let scene = scene().await;
    scene.keycloak.sit_down(None);
    let reply = scene.refused().await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert!(!reply.body.contains("<b>"), "{}", reply.body);
    assert_eq!(reply.header("cache-control"), "no-store");
    assert_eq!(scene.calls(Endpoint::Token), 0);
    scene.log_in_as(Person::new("ada")).await;
}

#[tokio::test]
async fn only_whom_a_rule_admits_comes_in_and_of_others_nothing_stays() {
    let ada = || Person::new("ada");
    for (rule, person, admitted) in [
        ("allowed_users = ['ada']", ada(), true),
        ("allowed_usernames = ['Ada-By-Name']", ada(), true),
        // A name that somebody has chosen is nobody's id.
        ("allowed_users = ['ada-by-name']", ada(), false),
        ("allowed_usernames = ['ada']", ada(), false),
        ("allowed_users = ['ada@corp.example']", ada(), true),
        ("allowed_users = ['bob', 'ada']", ada(), true),
        ("allowed_users = ['bob']", ada(), false),
        ("allowed_users = ['ad']", ada(), false),
        // Whoever may choose a user name can choose an address for it.
        (
            "allowed_users = ['bob@corp.example']",
            ada().with("preferred_username", "bob@corp.example"),
            false,
        ),
        ("allowed_users = ['ada@corp.example']", ada().with("email", Value::Null), false),
        ("allowed_email_domains = ['corp.example']", ada(), true),
        ("allowed_email_domains = ['example']", ada(), false),
        ("allowed_email_domains = ['corp.example']", ada().with("email", Value::Null), false),
        ("allowed_roles = ['member']", ada(), true),
        ("allowed_roles = ['editor']", ada(), true),
        ("allowed_roles = ['boss']", ada(), false),
        ("allowed_roles = ['member']", ada().with("realm_access", Value::Null), false),
        (
            "allowed_roles = ['member']",
            ada().with("realm_access", json!({"roles": "member"})),
            true,
        ),
        (
            "allowed_roles = ['member']",
            ada().with("realm_access", json!({"roles": [["member"]]})),
            false,
        ),
        ("org_claim = '/org'\nallowed_orgs = ['engines']", ada().with("org", "engines"), true),
        ("org_claim = '/org'\nallowed_orgs = ['engines']", ada().with("org", "Engines"), false),
        ("org_claim = '/org'\nallowed_orgs = ['engines']", ada(), false),
        // Any of them is enough.
        ("allowed_users = ['bob']\nallowed_roles = ['member']", ada(), true),
    ] {
        let scene = scene_with(rule).await;
        let told = format!("{rule} {:?}", person.claims);
        scene.keycloak.sit_down(Some(person));
        if admitted {
            scene.log_in().await;
        } else {
            let reply = scene.refused().await;
            assert_eq!(reply.status, StatusCode::FORBIDDEN, "{told}: {}", reply.body);
            assert_eq!(scene.calls(Endpoint::Authorize), 1, "nobody is sent on: {told}");
        }
    }
}

#[tokio::test]
async fn an_address_that_only_looks_like_one_of_the_domain_is_none() {
    for address in [
        "evil@evil.example@corp.example",
        "\"a@corp.example\"@evil.example",
        "admin@corp.example ",
        " admin@corp.example",
        "admin@corp.example.evil.example",
        "admin@evilcorp.example",
        "admin@c\u{43e}rp.example",
        "admin@corp.example\u{0}",
        "admin@corp.example\u{0}@evil.example",
        "@corp.example",
        "corp.example",
        "admin@",
        "",
    ] {
        let scene = scene_with("allowed_email_domains = ['corp.example']").await;
        scene.keycloak.sit_down(Some(Person::new("ada").with("email", address)));
        let reply = scene.refused().await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN, "{address:?}: {}", reply.body);
    }
    // Domains are the same in any case (RFC 4343).
    let scene = scene_with("allowed_email_domains = ['Corp.Example']").await;
    scene.log_in_as(Person::new("ada").with("email", "Admin@CORP.example")).await;
}

#[tokio::test]
async fn an_address_that_nobody_has_verified_lets_nobody_in() {
    let doubtful = [json!(false), Value::Null, json!("true"), json!(1)];
    for verified in doubtful.clone() {
        let person = Person::new("ada").with("email_verified", verified.clone());
        for rule in
            ["", "allowed_email_domains = ['corp.example']", "allowed_users = ['ada@corp.example']"]
        {
            let scene = scene_with(rule).await;
            scene.keycloak.sit_down(Some(person.clone()));
            let reply = scene.refused().await;
            assert_eq!(reply.status, StatusCode::FORBIDDEN, "{verified} {rule}: {}", reply.body);
        }
    }
    let scene = scene_with("require_verified_email = false").await;
    let mut browser = scene.log_in_as(Person::new("ada").with("email_verified", false)).await;
    assert_eq!(browser.open("/auth/session").await.json()["email_verified"], false);
    // A rule about addresses is not met by one that anybody could have typed in.
    let rule = "require_verified_email = false\nallowed_email_domains = ['corp.example']";
    let scene = scene_with(rule).await;
    scene.keycloak.sit_down(Some(Person::new("ada").with("email_verified", false)));
    assert_eq!(scene.refused().await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn claims_are_found_where_the_settings_say() {
    let scene = scene_with(
        "name_claim = '/profile/nick'\nemail_claim = '/mail'\nemail_verified_claim = '/mail_ok'\n\
         role_claims = ['/groups', '/a~1b']\norg_claim = '/tenant'",
    )
    .await;
    let person = Person::new("ada")
        .with("profile", json!({"nick": "The Countess"}))
        .with("mail", "countess@corp.example")
        .with("mail_ok", true)
        .with("groups", json!(["/engines", "/team"]))
        .with("a/b", json!(["slashed"]))
        .with("tenant", "engines");
    let mut browser = scene.log_in_as(person).await;
    let me = browser.open("/auth/session").await.json();
    assert_eq!(me["display_name"], "The Countess");
    assert_eq!(me["email"], "countess@corp.example");
    assert_eq!(me["email_verified"], true);
    assert_eq!(me["roles"], json!(["/engines", "/team", "slashed"]));
    assert_eq!(me["org_id"], "engines");
}

#[tokio::test]
async fn whatever_keycloak_answers_instead_there_is_a_page_and_no_session() {
    let scene = scene_of("auth.limits.wall = '2s'", "").await;
    let tokens = json!({"access_token": "kc_access_secret_x", "refresh_token": "kc_refresh_secret_x",
        "token_type": "Bearer", "expires_in": 300});
    let mut mac = tokens.clone();
    mac["token_type"] = json!("mac");
    for trouble in [
        Answer::Text("text/html", "<h1>Unicorn!</h1>"),
        Answer::Redirect(302),
        Answer::Redirect(307),
        Answer::Large,
        Answer::HangUp,
        Answer::Silence,
        Answer::Json(503, json!({"error": "invalid_grant"})),
        Answer::Json(429, json!({})),
        Answer::Json(200, json!({})),
        Answer::Json(200, json!([])),
        // No ID token, and a token that no bearer may use.
        Answer::Json(200, tokens),
        Answer::Json(200, mac),
    ] {
        scene.keycloak.script.answer_once(Endpoint::Token, trouble.clone());
        let reply = scene.refused().await;
        let told = format!("{trouble:?}: {} {}", reply.status, reply.body);
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{told}");
        assert!(!reply.body.contains("Unicorn"), "{told}");
    }
    assert_eq!(scene.calls(Endpoint::Elsewhere), 0, "no redirect is followed");
}

#[tokio::test]
async fn a_client_that_keycloak_refuses_is_told_to_the_operator() {
    let scene = scene().await;
    scene.keycloak.change_client_secret("another-secret-0123456789");
    let logs = Logs::collect();
    let reply = scene.refused().await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{}", reply.body);
    let log = logs.text();
    assert!(log.contains("ERROR") && log.contains("invalid_client"), "{log}");
    assert!(!reply.body.contains("invalid_client"), "{}", reply.body);
}

#[tokio::test]
async fn the_client_can_prove_itself_by_a_header() {
    let scene = scene_with("client_auth = 'basic'").await;
    let mut browser = scene.log_in().await;
    assert_eq!(who(&mut browser).await, "ada");
    let seen = scene.keycloak.peer.seen();
    let asked = seen.iter().filter(|seen| seen.target.ends_with("/token"));
    assert!(asked.clone().count() == 2);
    for seen in asked {
        assert!(seen.header("authorization").starts_with("Basic "));
        assert!(!seen.text().contains("client_secret"));
    }
}

#[tokio::test]
async fn browsers_can_reach_keycloak_by_another_name() {
    let public = "https://login.example";
    let keycloak = Keycloak::start_behind(Person::new("ada"), Some(public)).await;
    let app = app(&keycloak, &Database::sqlite(), "", "").await;
    keycloak.keep_time(&app.clock);
    let mut browser = Browser::new(&app);
    let begun = browser.open("/auth/login/start").await;
    let location = begun.header("location").to_owned();
    assert!(location.starts_with("https://login.example/realms/team/"), "{location}");
    let arrived = keycloak.lead_on(&mut browser, begun).await;
    assert_eq!(arrived.status, StatusCode::OK, "{}", arrived.body);
    assert_eq!(who(&mut browser).await, "ada");
}

#[tokio::test]
async fn a_discovery_document_that_leads_elsewhere_lets_nobody_begin() {
    let scene = scene().await;
    let issuer = scene.keycloak.issuer();
    let usual = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/protocol/openid-connect/auth"),
        "token_endpoint": format!("{issuer}/protocol/openid-connect/token"),
        "jwks_uri": format!("{issuer}/protocol/openid-connect/certs"),
    });
    for (name, value) in [
        ("issuer", format!("{issuer}/")),
        ("issuer", issuer.replace("http:", "https:")),
        ("issuer", issuer.replace("team", "Team")),
        ("authorization_endpoint", "https://evil.example/auth".to_owned()),
    ] {
        // The host keeps a document that it has believed.
        let fresh = scene_of("", "").await;
        let mut document = usual.clone();
        let (ours, theirs) = (scene.keycloak.url(), fresh.keycloak.url());
        for (_, url) in document.as_object_mut().unwrap() {
            *url = json!(url.as_str().unwrap().replace(&ours, &theirs));
        }
        document[name] = json!(value.replace(&ours, &theirs));
        fresh.keycloak.script.answer(Endpoint::Discovery, Answer::Json(200, document));
        let reply = fresh.refused().await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{name} {value}: {}", reply.body);
    }
    // A code goes nowhere but where it is granted.
    for elsewhere in [
        "http://169.254.169.254/token",
        "http://localhost:1/token",
        "http://[::ffff:127.0.0.1]:1/t",
    ] {
        let fresh = scene_of("", "").await;
        let (ours, theirs) = (scene.keycloak.url(), fresh.keycloak.url());
        let mut document: Value =
            serde_json::from_str(&usual.to_string().replace(&ours, &theirs)).unwrap();
        document["token_endpoint"] = json!(elsewhere);
        fresh.keycloak.script.answer(Endpoint::Discovery, Answer::Json(200, document));
        let reply = fresh.refused().await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{elsewhere}: {}", reply.body);
    }
}

#[tokio::test]
async fn a_keycloak_that_is_down_costs_a_page_that_offers_to_try_again() {
    let scene = scene().await;
    scene.keycloak.stop();
    let reply = scene.refused().await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(reply.body.contains("/auth/login"), "{}", reply.body);
    scene.keycloak.start_again();
    // What could not be had is asked for again after a while.
    scene.app.clock.advance(60);
    scene.log_in().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_who_log_in_at_once_are_each_themselves() {
    let Scene { keycloak, app } = scene().await;
    let mut callbacks = Vec::new();
    for n in 0..40 {
        keycloak.sit_down(Some(Person::new(&format!("person-{n}"))));
        let mut browser = Browser::new(&app);
        let first = browser.open("/auth/login/start").await;
        let callback = path_of(&keycloak.visit(first.header("location")));
        callbacks.push((n, browser, callback));
    }
    let halfway = at_once(callbacks.into_iter().map(|(n, mut browser, callback)| async move {
        let second = browser.open(&callback).await;
        (n, browser, second)
    }))
    .await;
    let mut callbacks = Vec::new();
    for (n, browser, second) in halfway {
        assert_eq!(second.status, StatusCode::SEE_OTHER, "{n}: {}", second.body);
        keycloak.sit_down(Some(Person::new(&format!("person-{n}"))));
        let callback = path_of(&keycloak.visit(second.header("location")));
        callbacks.push((n, browser, callback));
    }
    let arrived = at_once(callbacks.into_iter().map(|(n, mut browser, callback)| async move {
        assert_eq!(browser.open(&callback).await.status, StatusCode::OK);
        (n, who(&mut browser).await)
    }))
    .await;
    for (n, who) in arrived {
        assert_eq!(who, json!(format!("person-{n}")));
    }
}

#[tokio::test]
async fn people_of_another_issuer_are_not_let_in_by_what_is_left_of_this_one() {
    let database = Database::sqlite();
    let (one, two) =
        (Keycloak::start(Person::new("ada")).await, Keycloak::start(Person::new("ada")).await);
    let before = app(&one, &database, "", "").await;
    for keycloak in [&one, &two] {
        keycloak.keep_time(&before.clock);
    }
    let mut browser = Browser::new(&before);
    assert_eq!(one.lead(&mut browser).await.status, StatusCode::OK);
    let bearer = one.bearer(&Person::new("ada"), &json!({}));
    let after: TestApp = app(&two, &database, "", "").await;
    let mut moved = Browser::new(&after);
    moved.plant("vestibule-session", browser.session().unwrap());
    assert_eq!(moved.open("/api/v1/users/me").await.status, StatusCode::UNAUTHORIZED);
    let caller = after.anonymous().with("authorization", &format!("Bearer {bearer}"));
    assert_eq!(caller.get("/api/v1/users/me").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn cookies_are_what_the_public_url_asks_for() {
    for (public, name, flags) in [
        ("http://localhost:3000", "vestibule-session=", ["SameSite=Lax", "HttpOnly"]),
        ("https://me.example", "__Host-vestibule-session=", ["SameSite=Strict", "Secure"]),
    ] {
        let scene = scene_of(&format!("server.public_url = '{public}'"), "offline = false").await;
        let mut browser = Browser::new(&scene.app);
        // Another session that was planted before is not taken over.
        let planted = "A".repeat(43);
        browser.plant(name.trim_end_matches('='), &planted);
        let reply = scene.keycloak.lead(&mut browser).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
        let cookies = reply.headers.get_all("set-cookie").iter();
        let cookie = cookies
            .map(|cookie| cookie.to_str().unwrap())
            .find(|cookie| cookie.starts_with(name))
            .expect("a session");
        assert!(!cookie.contains(&planted) && cookie.len() < 4096, "{cookie}");
        assert!(flags.iter().all(|flag| cookie.contains(flag)), "{cookie}");
        assert!(cookie.contains("Path=/") && !cookie.contains("Domain"), "{cookie}");
    }
}
