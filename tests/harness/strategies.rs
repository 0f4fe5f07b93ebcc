//! The strategies on which the same tests run: what differs is configuration, and
//! how a person comes in.

use secrecy::SecretString;
use vestibule::{
    identity::UserId,
    store::{Scope, Store},
};

use crate::{
    Caller, TestApp,
    browser::{Browser, back, path_of},
    database::user,
    github::{Account, GitHub},
    keycloak::{Keycloak, Person},
    run::note_secret,
};

/// A strategy as a test configures it.
pub struct Strategy {
    component: &'static str,
    toml: String,
    /// Whose things the tests are about; nobody is the local owner.
    owner: Option<&'static str>,
    door: Door,
}

/// How a person comes in without a key.
enum Door {
    /// It is open.
    Open,
    /// By a header.
    Header,
    /// By a log-in at nobody's, whose callback says who it is.
    Callback,
    /// By a log-in at GitHub.
    GitHub(GitHub),
    /// By a log-in at Keycloak.
    Keycloak(Keycloak),
}

impl Strategy {
    /// The strategy of this name; GitHub and Keycloak are on loopback.
    pub async fn called(name: &str) -> Self {
        let (owner, none) = (Some("ada"), String::new());
        match name {
            "none" => Self { component: "none", toml: none, owner: None, door: Door::Open },
            "named" => Self { component: "named", toml: none, owner, door: Door::Header },
            "visited" => {
                let toml = "[auth.grants]\nbrowser = ['https://idp.example']\n".to_owned();
                Self { component: "visited", toml, owner, door: Door::Callback }
            }
            "su_github" => {
                let id = "583231";
                let github = GitHub::start(account(id)).await;
                let (toml, owner) = (github.toml(id), Some(id));
                Self { component: "su-github", toml, owner, door: Door::GitHub(github) }
            }
            "mu_keycloak" => {
                let keycloak = Keycloak::start(Person::new("ada")).await;
                let (toml, door) = (keycloak.toml(), Door::Keycloak(keycloak));
                Self { component: "mu-keycloak", toml, owner, door }
            }
            other => panic!("no tests run on {other:?}"),
        }
    }

    /// Its component.
    #[must_use]
    pub fn component(&self) -> &'static str {
        self.component
    }

    /// The lines of a configuration that are for it, the last ones there.
    #[must_use]
    pub fn toml(&self) -> &str {
        &self.toml
    }

    /// Starts Vestibule on it with `toml` besides its own lines; an owner is there.
    pub async fn start(&self, toml: &str) -> (TestApp, Scope) {
        let app = TestApp::start(self.component, &format!("{toml}\n{}", self.toml)).await;
        if let Door::Keycloak(keycloak) = &self.door {
            keycloak.keep_time(&app.clock);
        }
        let owner = self.owner(app.host.store()).await;
        (app, owner)
    }

    /// Whose things the tests are about: they have been here before.
    pub async fn owner(&self, store: &Store) -> Scope {
        match self.owner {
            None => Scope::local_owner(),
            Some(id) => user(store, id).await,
        }
    }

    /// A person who comes in without a key.
    pub async fn in_person(&self, app: &TestApp, who: &UserId) -> Caller {
        match &self.door {
            Door::Open => app.anonymous(),
            Door::Header => app.anonymous().with("x-user", who.as_str()),
            Door::Callback | Door::GitHub(_) | Door::Keycloak(_) => {
                self.log_in(app, who).await.page()
            }
        }
    }

    /// A person's browser after the log-in.
    pub async fn log_in(&self, app: &TestApp, who: &UserId) -> Browser {
        self.assert_nobody_was_asked();
        let mut browser = Browser::new(app);
        let reply = match &self.door {
            Door::Open | Door::Header => panic!("nobody logs in with {}", self.component),
            Door::Callback => {
                let trip = browser.begin("/auth/login/start").await;
                browser.open(&back(&trip, &format!("&user={}", who.as_str()))).await
            }
            Door::GitHub(github) => {
                github.sit_down(Some(account(who.as_str())));
                let start = browser.open("/auth/login/start").await;
                let callback = path_of(&github.visit(start.header("location")));
                let reply = browser.open(&callback).await;
                assert_eq!(github.forget_calls(), 2, "for a token, and whose it is");
                reply
            }
            Door::Keycloak(keycloak) => {
                keycloak.sit_down(Some(Person::new(who.as_str())));
                let reply = keycloak.lead(&mut browser).await;
                assert!(keycloak.forget_calls() > 0, "for tokens, and what they are signed by");
                reply
            }
        };
        assert_eq!(reply.status, 200, "{}", reply.body);
        note_secret(&SecretString::from(browser.session().expect("a session")));
        browser
    }

    /// Outside of log-ins, nobody has asked the identity provider anything.
    pub fn assert_nobody_was_asked(&self) {
        match &self.door {
            Door::GitHub(github) => assert_eq!(github.forget_calls(), 0, "GitHub was asked"),
            Door::Keycloak(keycloak) => {
                assert_eq!(keycloak.forget_calls(), 0, "Keycloak was asked");
            }
            Door::Open | Door::Header | Door::Callback => {}
        }
    }
}

fn account(id: &str) -> Account {
    Account::new(id.parse().expect("a number"), "octocat")
}

/// Makes a test of each function for each of the strategies that come before it.
#[macro_export]
macro_rules! on_strategies {
    ($($strategies:tt: $($name:ident),+ $(,)?;)+) => {
        $($($crate::on_strategies!(@ $strategies $name);)+)+
    };
    (@ [$($strategy:ident),+] $name:ident) => {
        mod $name {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $strategy() {
                    let name = stringify!($strategy);
                    let strategy = $crate::strategies::Strategy::called(name).await;
                    super::$name(&strategy).await;
                    strategy.assert_nobody_was_asked();
                }
            )+
        }
    };
}
