//! Gateways that ask whether requests may pass.

mod answers;
mod assertions;
mod configuration;
mod grpc;
mod hosts;
mod paths;
mod strategies;
mod trust;

use secrecy::SecretString;
use vestibule::{
    identity::{Identity, OrgId},
    store::Scope,
};
use vestibule_tests::{
    Caller, TestApp,
    browser::Browser,
    database::user_id,
    gateways::{self, Gateway, page},
    keys::by_key,
};

use crate::login::{PUBLIC, sign_in};

/// An app on Vestibule's own host, and one on another; Ada may see both.
const APPS: &str = "[[apps]]\nhost = 'auth.example'\nusers = ['ada']\n\
                    public = ['/public/', 'GET /hooks/', '/health']\n\
                    [[apps]]\nhost = 'wiki.example'\nusers = ['ada']\nroles = ['staff']\n\
                    organisations = ['acme']\npublic = ['/public/']\n";

const OWN: &str = "https://auth.example";
const WIKI: &str = "https://wiki.example";

async fn app_with(server: &str, apps: &str) -> TestApp {
    let toml = format!("server.trusted_proxies = ['127.0.0.1']\n{PUBLIC}{server}{apps}");
    TestApp::start("visited", &toml).await
}

async fn app() -> TestApp {
    app_with("", APPS).await
}

/// Whoever shows an API key of somebody's whom an identity provider has described.
async fn by_key_of(app: &TestApp, identity: Identity) -> Caller {
    let scope: Scope = app.host.store().establish_user(&identity).await.unwrap().scope();
    by_key(app, &scope).await
}

fn ada() -> Identity {
    Identity {
        user_id: Some(user_id("ada")),
        org_id: Some(OrgId::new("acme").unwrap()),
        display_name: Some("Ada Lovelace".to_owned()),
        email: Some("ada@acme.example".to_owned()),
        email_verified: true,
        roles: vec!["staff".to_owned(), "on call, at night".to_owned()],
        ..Identity::default()
    }
}

/// Takes a browser that is signed in at Vestibule's own host to an app on another one;
/// its cookies there.
async fn hand_over(app: &TestApp, browser: &mut Browser, url: &str) -> Browser {
    let mut there = Browser::new(app);
    let asked = Gateway::Caddy.asks(&page(&there.caller()), "GET", url).await;
    assert_eq!(asked.status, 302, "{}", asked.body);
    let entered = at_host(&mut there, asked.header("location")).await;
    assert_eq!(entered.status, 303, "{}", entered.body);
    let own = browser.open(&path_of(entered.header("location"))).await;
    assert_eq!(own.status, 303, "{}", own.body);
    let arrived = at_host(&mut there, own.header("location")).await;
    assert_eq!((arrived.status.as_u16(), arrived.header("location")), (303, url));
    gateways_secret(&there);
    there
}

fn gateways_secret(browser: &Browser) {
    let key = browser.cookies().get("__Host-vestibule-app").expect("a session at the app");
    vestibule_tests::run::note_secret(&SecretString::from(key.clone()));
}

/// Opens an address of an app's host, whose gateway passes it on.
async fn at_host(browser: &mut Browser, url: &str) -> vestibule_tests::Reply {
    let host = url::Url::parse(url).unwrap().host_str().unwrap().to_owned();
    let reply = browser.caller().with("host", &host).get(&path_of(url)).await;
    browser.keep(&reply);
    reply
}

fn path_of(url: &str) -> String {
    vestibule_tests::browser::path_of(url)
}

/// Ada's browser, signed in at Vestibule's own host.
async fn adas(app: &TestApp) -> Browser {
    sign_in(app, "&user=ada").await
}

/// What every gateway is told about one request of a client's.
async fn of_all(
    client: &Caller,
    method: &str,
    url: &str,
) -> Vec<(Gateway, vestibule_tests::Reply)> {
    let mut replies = Vec::new();
    for gateway in gateways::GATEWAYS {
        replies.push((gateway, gateway.asks(client, method, url).await));
    }
    replies
}
