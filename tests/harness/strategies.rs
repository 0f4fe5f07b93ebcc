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
}

impl Strategy {
    /// The strategy of this name; GitHub is on loopback.
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
            Door::Callback | Door::GitHub(_) => self.log_in(app, who).await.page(),
        }
    }

    /// A person's browser after the log-in.
    pub async fn log_in(&self, app: &TestApp, who: &UserId) -> Browser {
        let mut browser = Browser::new(app);
        let callback = match &self.door {
            Door::Open | Door::Header => panic!("nobody logs in with {}", self.component),
            Door::Callback => {
                let trip = browser.begin("/auth/login/start").await;
                back(&trip, &format!("&user={}", who.as_str()))
            }
            Door::GitHub(github) => {
                github.sit_down(Some(account(who.as_str())));
                let start = browser.open("/auth/login/start").await;
                path_of(&github.visit(start.header("location")))
            }
        };
        self.assert_nobody_was_asked();
        let reply = browser.open(&callback).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        if let Door::GitHub(github) = &self.door {
            assert_eq!(github.forget_calls(), 2, "for a token, and whose it is");
        }
        note_secret(&SecretString::from(browser.session().expect("a session")));
        browser
    }

    /// Outside of log-ins, nobody has asked the identity provider anything.
    pub fn assert_nobody_was_asked(&self) {
        if let Door::GitHub(github) = &self.door {
            assert_eq!(github.forget_calls(), 0, "GitHub was asked");
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
