//! A process that is killed in the middle of a renewal: what the next one finds is the
//! old pair, the new pair, or a token to be connected again, and never a refresh
//! token that is sent twice.

use std::{
    io::{BufRead as _, BufReader, Lines},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use tempfile::NamedTempFile;
use vestibule::{
    context::{ConversationId, TokenError},
    engine::{Hooks, Renewal},
    identity::{ProviderToken, TokenRefusal},
    store::{StoredToken, TokenState},
};
use vestibule_tests::{
    TestApp, component,
    database::{Database, SECRET, user_id},
    github::{Account, Answer, Endpoint, GitHub},
    on_both_databases,
    pen::Pen,
    run::text,
};

const OWNER: &str = "583231";
const LIFETIME: u64 = 28_800;

/// How often a process is killed at any instant.
const ROUNDS: u64 = 9;

/// After a lease has run out whose holder is dead.
const LATER: u64 = 31;

struct Set {
    github: GitHub,
    database: Database,
    /// Another process: it comes next.
    next: TestApp,
    /// Has a secret in it, and goes with the test.
    config: NamedTempFile,
}

/// A GitHub, and the one person who may come in.
async fn set_up(database: Database) -> Set {
    let github = GitHub::start(Account::new(583_231, "octocat")).await;
    github.expire_tokens(LIFETIME);
    // By its name, which has to be looked up.
    let toml = github.toml(OWNER).replace("127.0.0.1", "localhost");
    let toml = format!("encryption.secret = '{SECRET}'\n{toml}");
    let config = NamedTempFile::new().unwrap();
    let text = format!(
        "database.url = '{}'\nauth.strategy = '{}'\n{toml}",
        database.url,
        component("su-github").display()
    );
    std::fs::write(config.path(), text).unwrap();
    let next = TestApp::start_on(&database, "su-github", &toml, &[], Hooks::default()).await;
    Set { github, database, next: next.unwrap(), config }
}

/// A process that renews the token.
struct Refresher {
    process: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Refresher {
    fn start(set: &Set, waits: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_vestibule-refresher"))
            .arg(set.config.path())
            .arg(set.database.clock.now().to_string())
            .args([OWNER, waits])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut this = Self { process, said };
        this.has_said("ready");
        this
    }

    fn has_said(&mut self, step: &str) {
        assert_eq!(self.said.next().expect("it says something").unwrap(), step);
    }

    /// With SIGKILL, which leaves a process no last word.
    fn kill(self) {
        drop(self);
    }
}

impl Drop for Refresher {
    fn drop(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }
}

impl Set {
    /// A token that was good for a while and is over now.
    async fn connect(&self) -> StoredToken {
        let store = self.next.host.store();
        self.github.connect_at("localhost", store, self.next.clock.now()).await;
        self.next.clock.advance(LIFETIME);
        self.stored().await
    }

    async fn stored(&self) -> StoredToken {
        let user = user_id(OWNER);
        let stored = self.next.host.store().tokens(&user).load("github").await;
        stored.unwrap().expect("it is there")
    }

    async fn is_asked(&self) {
        while self.github.calls(Endpoint::Token) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn token(&self, renewal: Renewal) -> Result<ProviderToken, TokenError> {
        let user = self.next.host.user_context_for(&user_id(OWNER)).await.unwrap();
        user.token_provider().get("github", renewal).await
    }

    /// What the next process finds when the lease of the dead one has run out.
    async fn found_next(&self) -> Result<ProviderToken, TokenError> {
        self.next.clock.advance(LATER);
        self.token(Renewal::WhenDue).await
    }

    /// Asks on and on, and finds the same without GitHub being asked.
    async fn is_over(&self) {
        let calls = self.github.calls(Endpoint::Token);
        for renewal in [Renewal::WhenDue, Renewal::Now, Renewal::WhenDue] {
            let over = self.token(renewal).await;
            assert!(is_reconnect(&over), "{over:?}");
        }
        assert_eq!(self.github.calls(Endpoint::Token), calls, "no endless retry");
        // A new log-in makes it good again.
        let store = self.next.host.store();
        self.github.connect_at("localhost", store, self.next.clock.now()).await;
        let good = self.token(Renewal::WhenDue).await.unwrap();
        assert!(self.github.knows(text(&good.token)));
    }
}

fn is_reconnect(found: &Result<ProviderToken, TokenError>) -> bool {
    matches!(found, Err(TokenError::Refused(TokenRefusal::Reconnect(_))))
}

on_both_databases! {
    async fn killed_before_the_call_it_says_that_it_does_not_know(database: Database) {
        let set = set_up(database).await;
        set.connect().await;
        let mut refresher = Refresher::start(&set, "before");
        refresher.has_said("before");
        refresher.kill();
        assert_eq!(set.github.calls(Endpoint::Token), 0);
        let found = set.found_next().await;
        assert!(is_reconnect(&found), "{found:?}");
        set.is_over().await;
    }

    async fn killed_while_the_provider_is_silent_it_says_that_it_does_not_know(
        database: Database
    ) {
        let set = set_up(database).await;
        let before = set.connect().await;
        set.github.answer_once(Endpoint::Token, Answer::Silence);
        let mut refresher = Refresher::start(&set, "nowhere");
        refresher.has_said("before");
        set.is_asked().await;
        refresher.kill();
        // As long as the lease lasts, nobody takes the holder for dead.
        assert_eq!(set.stored().await.state, TokenState::Active);
        let found = set.found_next().await;
        assert!(is_reconnect(&found), "{found:?}");
        let refresh = |stored: &StoredToken| text(stored.pair.refresh.as_ref().unwrap()).to_owned();
        assert_eq!(refresh(&set.stored().await), refresh(&before), "nothing is deleted");
        set.is_over().await;
        assert_eq!(set.github.reused(), 0);
    }

    async fn killed_after_the_answer_it_says_that_the_token_is_lost(database: Database) {
        let set = set_up(database).await;
        let before = set.connect().await;
        set.github.hold_answers();
        let mut refresher = Refresher::start(&set, "nowhere");
        refresher.has_said("before");
        set.is_asked().await;
        // The provider answers when nobody can write down what it gives.
        let pen = Pen::take(&set.database.url).await;
        set.github.let_answers_go();
        tokio::time::sleep(Duration::from_millis(200)).await;
        refresher.kill();
        pen.give_back().await;
        assert!(!set.github.knows(text(&before.pair.access.unwrap())), "the old one has ended");
        let found = set.found_next().await;
        assert!(is_reconnect(&found), "{found:?}");
        set.is_over().await;
        assert_eq!(set.github.reused(), 0);
    }

    async fn killed_after_the_commit_it_has_the_new_pair(database: Database) {
        let set = set_up(database).await;
        let before = set.connect().await;
        let mut refresher = Refresher::start(&set, "nowhere");
        refresher.has_said("before");
        refresher.has_said("after");
        refresher.kill();
        let found = set.found_next().await.unwrap();
        assert!(set.github.knows(text(&found.token)));
        assert_ne!(text(&found.token), text(&before.pair.access.unwrap()));
        assert_eq!(set.github.calls(Endpoint::Token), 1);
        let conversation = ConversationId::new("c1").unwrap();
        let user = user_id(OWNER);
        let store = set.next.host.store();
        let written = store.conversation_tokens(&user, &conversation).load().await;
        assert_eq!(text(&written.unwrap()[0].token), text(&found.token));
    }

    async fn killed_at_any_instant_it_loses_nothing_in_silence(database: Database) {
        let set = set_up(database).await;
        let (mut renewed, mut over) = (0, 0);
        for round in 0..ROUNDS {
            set.connect().await;
            let mut refresher = Refresher::start(&set, "nowhere");
            // The first rounds end before it is known whether anything was sent.
            if round % 3 > 0 {
                refresher.has_said("before");
            }
            tokio::time::sleep(Duration::from_micros(round * 7919 % 12_000)).await;
            refresher.kill();
            let found = set.found_next().await;
            match &found {
                // The old pair was renewed by the next process, or the new one was there.
                Ok(token) => {
                    assert!(set.github.knows(text(&token.token)), "round {round}");
                    renewed += 1;
                }
                Err(_) => {
                    assert!(is_reconnect(&found), "round {round}: {found:?}");
                    over += 1;
                }
            }
            assert_eq!(set.github.reused(), 0, "round {round}");
        }
        assert!(renewed > 0, "{over} of {ROUNDS} are over");
    }
}
