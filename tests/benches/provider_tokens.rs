//! What fresh provider tokens cost, on SQLite and PostgreSQL: one token of which nothing
//! has to be renewed, and conversations that are resumed with five providers each, where
//! nothing is due and where everything is.

#[path = "support/components.rs"]
#[expect(dead_code, reason = "no bench uses all of it")]
mod components;
#[path = "support/stats.rs"]
#[expect(dead_code, reason = "no bench uses all of it")]
mod stats;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use stats::Samples;
use vestibule::{
    clock::Clock,
    config::{Config, Environment},
    context::{ConversationId, ConversationSettings, HeldToken},
    engine::Renewal,
    host::Host,
    identity::UserId,
};
use vestibule_tests::{
    database::{Database, SECRET, user},
    forges::{Forges, NAMES},
    run::at_once,
};

/// How long a token lives, in seconds.
const LIFETIME: u64 = 2 * 60 * 60;

const USERS: usize = 64;
const CALLS: usize = 4_000;
const WARM_UP: usize = 400;
const ROUNDS: usize = 20;
const SPAN: Duration = Duration::from_millis(500);
/// Conversations that are resumed at once.
const AT_ONCE: usize = 8;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be built");
    runtime.block_on(async {
        measure("SQLite", Database::sqlite()).await;
        if let Some(database) = Database::postgres().await {
            measure("PostgreSQL", database).await;
        }
    });
}

async fn measure(name: &str, database: Database) {
    let forges = Forges::start(LIFETIME).await;
    let text = format!(
        "database.url = '{}'\nauth.strategy = '{}'\nencryption.secret = '{SECRET}'\n{}",
        database.url,
        components::path("test-plugins/connected").display(),
        forges.toml(),
    );
    let config = Config::parse(None, &text, Environment::fixed(&[])).expect("it is valid");
    let clock = Clock::fixed(database.clock.now());
    let host = Host::start(config, clock.clone()).await.expect("the host starts");
    let mut users = Vec::new();
    for number in 0..USERS {
        let user = user(host.store(), &format!("user-{number}")).await.user;
        for provider in NAMES {
            forges.connect(host.store(), &user, provider, clock.now()).await;
        }
        users.push(user);
    }

    stats::heading(&format!("provider_tokens on {name}"));
    let [mut stored, mut got] = <[Samples; 2]>::default();
    for call in 0..WARM_UP + CALLS {
        let user = &users[call % USERS];
        let tokens = host.user_context_for(user).await.expect("a user").token_provider();
        let started = Instant::now();
        let loaded = host.store().tokens(user).load("github").await;
        let load = started.elapsed();
        assert!(loaded.expect("the database answers").is_some());
        let started = Instant::now();
        let token = tokens.get("github", Renewal::WhenDue).await;
        let get = started.elapsed();
        assert!(token.is_ok());
        if call >= WARM_UP {
            stored.push(load.as_secs_f64() * 1e6);
            got.push(get.as_secs_f64() * 1e6);
        }
    }
    stats::line("its row, read and opened by the store", &stored, "µs");
    stats::line("a token of which nothing has to be renewed", &got, "µs");
    println!("{:<44}{:>12.1}", "the same, p99, µs", got.quantile(0.99));

    let mut conversations = Vec::new();
    for user in users {
        let conversation = Conversation { user, settings: Arc::new(nothing_held()) };
        conversations.push(conversation.resume(host.clone()).await);
    }
    let mut rate = Samples::default();
    for _ in 0..ROUNDS {
        rate.push(resumed(&host, &conversations, SPAN).await);
    }
    stats::line("resumed with five tokens, nothing due", &rate, "/s");
    assert_eq!(forges.total().calls, 0, "nothing was due");

    let mut rate = Samples::default();
    for round in 1..=3 {
        clock.advance(LIFETIME);
        let started = Instant::now();
        for few in conversations.chunks_mut(AT_ONCE) {
            let resumed = few.iter().map(|one| one.clone().resume(host.clone()));
            few.clone_from_slice(&at_once(resumed).await);
        }
        rate.push(count(USERS) / started.elapsed().as_secs_f64());
        assert_eq!(forges.total().renewed, round * USERS * NAMES.len());
    }
    stats::line("resumed with five tokens, all of them due", &rate, "/s");
}

/// A conversation with what it holds.
#[derive(Clone)]
struct Conversation {
    user: UserId,
    settings: Arc<ConversationSettings>,
}

fn nothing_held() -> ConversationSettings {
    let tokens = NAMES.map(|name| (name.to_owned(), HeldToken::default()));
    ConversationSettings {
        provider_tokens: Some(BTreeMap::from(tokens)),
        ..ConversationSettings::default()
    }
}

impl Conversation {
    async fn resume(self, host: Host) -> Self {
        let id = ConversationId::new(self.user.as_str()).expect("an id");
        let user = Some(&self.user);
        let settings = host.refresh_provider_tokens(&self.settings, &id, user).await;
        Self { settings: settings.expect("fresh tokens"), ..self }
    }
}

/// How many conversations are resumed in a second.
async fn resumed(host: &Host, conversations: &[Conversation], span: Duration) -> f64 {
    let started = Instant::now();
    let callers = (0..AT_ONCE).map(|number| {
        let (host, conversations) = (host.clone(), conversations.to_vec());
        async move {
            let mut done = 0;
            for conversation in conversations.iter().cycle().skip(number) {
                if started.elapsed() >= span {
                    break;
                }
                let after = conversation.clone().resume(host.clone()).await;
                assert!(Arc::ptr_eq(&after.settings, &conversation.settings));
                done += 1;
            }
            done
        }
    });
    let done: usize = at_once(callers).await.into_iter().sum();
    count(done) / started.elapsed().as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
fn count(count: usize) -> f64 {
    count as f64
}
