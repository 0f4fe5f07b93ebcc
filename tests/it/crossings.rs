//! Many who resemble each other, at once: nobody gets anybody else's answer.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use proptest::{
    prelude::RngExt as _,
    test_runner::{RngAlgorithm, TestRng},
};
use serde_json::json;
use vestibule::{
    engine::Hooks,
    identity::{Identity, OrgId},
};
use vestibule_tests::{
    Caller, Reply, TestApp,
    database::{Database, user_id},
    keycloak::{Keycloak, Person},
    keys::by_key,
    run::{at_once, note_secret},
};

use crate::login::{PUBLIC, sign_in};

/// How many ask at once, and how often each of them does.
const CALLERS: usize = 32;
const TURNS: usize = 625;

/// A machine that is busy is no reason to answer otherwise.
const LIMITS: &str = "auth.limits.cpu = '30s'\nauth.limits.wall = '60s'\n";

/// Somebody, what they ask, and what nobody but they may be answered.
#[derive(Clone)]
struct Asker {
    caller: Caller,
    path: &'static str,
    status: u16,
    /// In their own answer; in nobody else's.
    mark: String,
}

fn asker(caller: Caller, path: &'static str, status: u16, mark: &str) -> Asker {
    Asker { caller, path, status, mark: mark.to_owned() }
}

/// One user id in two organisations, by a header and by a key.
async fn of_two_organisations(askers: &mut Vec<Asker>) {
    let app = TestApp::start("named", LIMITS).await;
    for (user, org) in [("ada", "acme"), ("ada", "umbrella"), ("bob", "acme")] {
        let caller = app.anonymous().with("x-user", user).with("x-org", org);
        let mark = format!("model of {user} at {org}");
        let set = json!({"llm_model": mark});
        assert_eq!(caller.send_json("PATCH", "/api/v1/settings", set).await.status, 200);
        let identity = Identity {
            user_id: Some(user_id(user)),
            org_id: Some(OrgId::new(org).unwrap()),
            ..Identity::default()
        };
        let scope = app.host.store().establish_user(&identity).await.unwrap().scope();
        for caller in [caller, by_key(&app, &scope).await] {
            askers.push(asker(caller, "/api/v1/settings", 200, &mark));
        }
    }
    // Another strategy, asked in the same words.
    let app = TestApp::start("hostile", LIMITS).await;
    let caller = app.anonymous().with("x-user", "ada").with("x-behave", "ok");
    askers.push(asker(caller, "/auth/session", 200, "\"user_id\":\"visitor\""));
}

/// One `sub` at two identity providers, and each one's token at the other's server.
async fn of_two_issuers(askers: &mut Vec<Asker>) -> Vec<Keycloak> {
    let mut sides = Vec::new();
    for name in ["Ada of One", "Ada of Two"] {
        let ada = Person::new("ada").with("name", name);
        let keycloak = Keycloak::start(ada.clone()).await;
        let toml = format!("{LIMITS}{}", keycloak.toml());
        let database = Database::sqlite();
        let app = TestApp::start_on(&database, "mu-keycloak", &toml, &[], Hooks::default()).await;
        let app = app.unwrap();
        keycloak.keep_time(&app.clock);
        let token = keycloak.bearer(&ada, &json!({}));
        note_secret(&token.clone().into());
        sides.push((app, format!("Bearer {token}"), name, keycloak));
    }
    for (app, _, name, _) in &sides {
        for (_, token, whose, _) in &sides {
            let caller = app.anonymous().with("authorization", token);
            let status = if whose == name { 200 } else { 401 };
            let mark = if whose == name { name } else { "\"status\":401" };
            askers.push(asker(caller, "/auth/session", status, mark));
        }
    }
    sides.into_iter().map(|(_, _, _, keycloak)| keycloak).collect()
}

/// Sessions of one strategy, and what a gateway is told of their users.
async fn of_one_door(askers: &mut Vec<Asker>) {
    let apps = "server.trusted_proxies = ['127.0.0.1']\n[[apps]]\nhost = 'wiki.example'\n\
                roles = ['staff']\n[[apps]]\nhost = 'docs.example'\nroles = ['staff']\n";
    let app = TestApp::start("visited", &format!("{PUBLIC}{LIMITS}{apps}")).await;
    for user in ["carol", "dan"] {
        let browser = sign_in(&app, &format!("&user={user}")).await;
        askers.push(asker(browser.caller(), "/auth/session", 200, &format!("{user} renewed")));
    }
    for user in ["erin", "frank"] {
        let identity = Identity {
            user_id: Some(user_id(user)),
            roles: vec!["staff".to_owned()],
            ..Identity::default()
        };
        let scope = app.host.store().establish_user(&identity).await.unwrap().scope();
        let key = by_key(&app, &scope).await;
        for host in ["wiki.example", "docs.example"] {
            let gateway = key.clone().with("x-forwarded-host", host).at("127.0.0.1");
            let gateway = gateway.with("x-forwarded-method", "GET").with("x-forwarded-uri", "/a");
            let gateway = gateway.with("x-forwarded-proto", "https");
            let mark = format!("\"aud\":\"https://{host}\" for {user}");
            askers.push(asker(gateway, "/authz/traefik", 200, &mark));
        }
    }
}

/// What an answer says, with whom the assertion in it is about.
fn said(reply: &Reply) -> String {
    let Some(claims) = reply.header("remote-assertion").split('.').nth(1) else {
        return reply.body.clone();
    };
    let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).expect("base64");
    let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
    assert_eq!(claims["sub"], reply.header("remote-user"));
    format!("\"aud\":{} for {}", claims["aud"], reply.header("remote-user"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn answers_never_cross() {
    let mut askers = Vec::new();
    of_two_organisations(&mut askers).await;
    let _open = of_two_issuers(&mut askers).await;
    of_one_door(&mut askers).await;
    for asker in &askers {
        assert!(said(&asker.caller.get(asker.path).await).contains(&asker.mark), "{}", asker.mark);
    }
    let asked = (0..CALLERS).map(|number| {
        let askers = askers.clone();
        let seed = [u8::try_from(number).unwrap(); 32];
        let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        async move {
            for _ in 0..TURNS {
                let asker = &askers[random.random_range(0..askers.len())];
                let reply = asker.caller.get(asker.path).await;
                let said = said(&reply);
                assert_eq!(reply.status, asker.status, "{}: {said}", asker.mark);
                for other in &askers {
                    assert_eq!(said.contains(&other.mark), other.mark == asker.mark, "{said}");
                }
                // Others take over here or there.
                for _ in 0..random.random_range(0..3) {
                    tokio::task::yield_now().await;
                }
            }
        }
    });
    at_once(asked).await;
}
