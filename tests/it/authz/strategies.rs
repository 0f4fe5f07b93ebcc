//! Every strategy that is shipped stands behind every gateway.

use vestibule_tests::{
    TestApp,
    browser::{Browser, path_of},
    gateways::{GATEWAYS, assert_denied, identity, page},
    github::{Account, GitHub},
    keycloak::{Keycloak, Person},
    run::note_secret,
};

use super::{OWN, WIKI, at_host};

/// An app on Vestibule's own host and one on another, for whoever has this id.
fn protected(user: &str, strategy: &str) -> String {
    format!(
        "server.trusted_proxies = ['127.0.0.1']\nserver.public_url = '{OWN}'\n{strategy}\
         [[apps]]\nhost = 'auth.example'\nusers = ['{user}']\n\
         [[apps]]\nhost = 'wiki.example'\nusers = ['somebody-else']\n"
    )
}

/// Whoever is signed in passes, to where they may go; nobody else does.
async fn guards(app: &TestApp, browser: &Browser, user: &str) {
    note_secret(&browser.session().expect("a session").into());
    for gateway in GATEWAYS {
        let reply = gateway.asks(&browser.caller(), "GET", &format!("{OWN}/a")).await;
        assert_eq!(reply.status, 200, "{gateway:?}: {}", reply.body);
        assert_eq!(identity(&reply)[0], user, "{gateway:?}");
        let reply = gateway.asks(&app.anonymous(), "GET", &format!("{OWN}/a")).await;
        assert_eq!(reply.status, 401, "{gateway:?}");
        assert_denied(&reply, "nobody");
        let forged = app.anonymous().with("authorization", "Bearer ey.ey.ey");
        let reply = gateway.asks(&forged, "GET", &format!("{OWN}/a")).await;
        assert_eq!(reply.status, 401, "{gateway:?}");
        assert_denied(&reply, "a bearer token of nobody's");
    }
}

/// Logged in, and of another app: told so on the spot, and sent nowhere.
async fn shut_out_elsewhere(app: &TestApp, browser: &mut Browser) {
    let url = format!("{WIKI}/a");
    for gateway in GATEWAYS {
        let mut there = Browser::new(app);
        let asked = gateway.asks(&page(&there.caller()), "GET", &url).await;
        let entered = at_host(&mut there, asked.header("location")).await;
        assert_eq!(entered.status, 303, "{gateway:?}: {}", entered.body);
        let own = browser.open(&path_of(entered.header("location"))).await;
        assert_eq!(own.status, 303, "{gateway:?}: {}", own.body);
        let arrived = at_host(&mut there, own.header("location")).await;
        for key in there.cookies().values() {
            note_secret(&key.clone().into());
        }
        assert_eq!((arrived.status.as_u16(), arrived.header("location")), (303, url.as_str()));
        let refused = gateway.asks(&page(&there.caller()), "GET", &url).await;
        assert_eq!(refused.status, 403, "{gateway:?}: {}", refused.body);
        assert_eq!(refused.header("location"), "", "{gateway:?}");
        assert_denied(&refused, "somebody who may not");
    }
}

#[tokio::test]
async fn one_person_who_is_known_by_github_passes() {
    let github = GitHub::start(Account::new(583_231, "octocat")).await;
    let toml = protected("583231", &github.toml("583231"));
    let app = TestApp::start("su-github", &toml).await;
    let mut browser = Browser::new(&app);
    let begun = browser.open("/auth/login/start").await;
    let back = path_of(&github.visit(begun.header("location")));
    assert_eq!(browser.open(&back).await.status, 200);
    guards(&app, &browser, "583231").await;
    shut_out_elsewhere(&app, &mut browser).await;
}

#[tokio::test]
async fn somebody_of_a_keycloak_realm_passes() {
    let keycloak = Keycloak::start(Person::new("ada")).await;
    let app = TestApp::start("mu-keycloak", &protected("ada", &keycloak.toml())).await;
    keycloak.keep_time(&app.clock);
    let mut browser = Browser::new(&app);
    assert_eq!(keycloak.lead(&mut browser).await.status, 200);
    guards(&app, &browser, "ada").await;
    shut_out_elsewhere(&app, &mut browser).await;
}

#[tokio::test]
async fn without_log_in_everybody_on_this_machine_is_its_owner() {
    let toml = "server.trusted_proxies = ['127.0.0.1']\n[[apps]]\nhost = 'wiki.localhost'\n";
    let app = TestApp::start("none", toml).await;
    for gateway in GATEWAYS {
        let reply = gateway.asks(&app.anonymous(), "GET", "http://wiki.localhost/a").await;
        assert_eq!(reply.status, 200, "{gateway:?}: {}", reply.body);
        assert_eq!(identity(&reply)[0], vestibule::identity::LOCAL_OWNER, "{gateway:?}");
    }
}
