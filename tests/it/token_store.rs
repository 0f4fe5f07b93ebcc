//! The capability `token-store`: whose tokens a call may touch, and what becomes
//! of a lease however the call ends.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use secrecy::SecretString;
use serde_json::{Value, json};
use vestibule::{
    engine::Hooks,
    host::Host,
    identity::{Credential, Request, RequestId, Scheme, UserId},
    store::{NewApiKey, Store, StoredToken, TokenPair, TokenState},
};
use vestibule_tests::{
    TestApp, component,
    database::{Database, SECRET, user},
    memory::Search,
    on_both_databases,
    peer::{Peer, Seen, answer},
    pen::Pen,
    puppet::{self, play, play_for},
    run::{note_secret, text},
};

/// Long enough for work in the background on a busy machine.
const SOON: Duration = Duration::from_secs(20);

async fn app(database: &Database, peer: Option<&Peer>, hooks: Hooks) -> TestApp {
    let toml = format!("encryption.secret = '{SECRET}'");
    let origins = peer.map(|peer| peer.origin.as_str());
    puppet::on(database, origins.as_slice(), &toml, hooks).await
}

fn token(name: &str) -> SecretString {
    let secret = SecretString::from(format!("plaintext-canary-{name}"));
    note_secret(&secret);
    secret
}

async fn keep(store: &Store, user: &UserId, name: &str, access: &SecretString) {
    let pair = TokenPair {
        access: Some(Arc::new(access.clone())),
        refresh: Some(Arc::new(access.clone())),
        account_id: Some("42".to_owned()),
        ..TokenPair::default()
    };
    let mut lease = store.tokens(user).lease(name, SOON).await.unwrap();
    lease.save(&pair).await.unwrap();
    lease.release().await.unwrap();
}

async fn kept(store: &Store, user: &UserId, name: &str) -> StoredToken {
    store.tokens(user).load(name).await.unwrap().expect("there is a token")
}

fn access(token: &StoredToken) -> &str {
    text(token.pair.access.as_ref().unwrap())
}

/// Renews a token when it is asked by POST.
async fn provider() -> Peer {
    Peer::start(|seen: Seen| async move {
        let renewed = r#"{"t":"plaintext-canary-new"}"#;
        answer(200, "application/json", if seen.method == "POST" { renewed } else { "{}" })
    })
    .await
}

/// Waits until a lease can be had again, well before it would run out by itself:
/// the clock stands still.
async fn given_back(store: &Store, user: &UserId, name: &str) {
    store.tokens(user).lease(name, SOON).await.expect("it was given back").release().await.unwrap();
}

/// A call that is begun and, after a while, no longer waited for.
async fn abandoned(app: &TestApp, script: &Value, after: Duration) {
    let script = script.to_string();
    let request = Request {
        method: "GET",
        scheme: Scheme::Http,
        host: "localhost",
        path: "/",
        query: None,
        client_address: None,
        credential: Credential::Absent,
        headers: vec![Some(&script)],
        id: RequestId::new(1),
    };
    let strategy = app.host.registry().current();
    let call = tokio::time::timeout(after, strategy.authenticate(request)).await;
    assert!(call.is_err(), "the call is still running");
}

on_both_databases! {
    async fn only_names_that_are_granted_are_there(database: Database) {
        let app = app(&database, None, Hooks::default()).await;
        let owner = UserId::local_owner();
        for name in ["github", "own:github"] {
            keep(app.host.store(), &owner, name, &token("kept")).await;
        }
        let told = play(&app.anonymous(), json!([
            {"do": "names"},
            {"do": "load", "name": "github"},
            {"do": "load", "name": "offline"},
            {"do": "load", "name": "own:github"},
            {"do": "lease", "name": "own:github"},
            // A lease on one name is none on another.
            {"do": "lease", "name": "github"},
            {"do": "save", "name": "offline", "access": 0, "refresh": 0},
        ]))
        .await;
        assert_eq!(told, [
            r#"["github"]"#,
            r#"TokenState::Active Some("42")"#,
            "none",
            r#"StoreError::NotGranted("own:github")"#,
            r#"StoreError::NotGranted("own:github")"#,
            "()",
            r#"StoreError::NotGranted("offline")"#,
        ]);
        // The next generation has them too.
        app.host.replace(&component("puppet")).await.unwrap();
        assert_eq!(play(&app.anonymous(), json!([{"do": "names"}])).await, [r#"["github"]"#]);
    }

    async fn a_call_reaches_its_own_user_and_the_local_owner(database: Database) {
        let app = app(&database, None, Hooks::default()).await;
        let store = app.host.store();
        let (ada, bob) = (user(store, "ada").await.user, user(store, "bob").await.user);
        for user in [&ada, &bob, &UserId::local_owner()] {
            keep(store, user, "github", &token("kept")).await;
        }
        let ask = |user: Value| json!([
            {"do": "load", "user": user, "name": "github"},
            {"do": "names", "user": user},
            {"do": "lease", "user": user, "name": "github"},
        ]);
        let reached = [r#"TokenState::Active Some("42")"#, r#"["github"]"#, "()"];
        let wrong = ["StoreError::WrongUser"; 3];
        let (local, nobody) = (vestibule::identity::LOCAL_OWNER, "");

        // Nobody is known yet, whatever is presented.
        let bearer = app.anonymous().with("authorization", "Bearer a.b.c");
        for caller in [app.anonymous(), bearer] {
            assert_eq!(play(&caller, ask(Value::Null)).await, reached);
            for user in ["ada", local, nobody] {
                assert_eq!(play(&caller, ask(user.into())).await, wrong, "{user}");
            }
        }
        // A call about a user.
        assert_eq!(play_for(&app, Some(&ada), ask("ada".into())).await, reached);
        assert_eq!(play_for(&app, Some(&ada), ask(Value::Null)).await, reached);
        for user in ["bob", "Ada", local, nobody] {
            assert_eq!(play_for(&app, Some(&ada), ask(user.into())).await, wrong, "{user}");
        }
        // One with a key is about the key's owner.
        let new = NewApiKey { name: "test".to_owned(), ..NewApiKey::default() };
        let scope = user(store, "ada").await;
        let key = store.api_keys(&scope).create(&new).await.unwrap().text;
        note_secret(&key);
        let by_key = app.anonymous().with_key(&key);
        assert_eq!(play(&by_key, ask("ada".into())).await, reached);
        assert_eq!(play(&by_key, ask("bob".into())).await, wrong);
        // And about the local owner.
        assert_eq!(play_for(&app, None, ask(Value::Null)).await, reached);
        assert_eq!(play_for(&app, None, ask("ada".into())).await, wrong);
    }

    async fn a_stored_token_is_used_and_renewed_without_being_seen(database: Database) {
        let peer = provider().await;
        let (old, new) = (token("old"), token("new"));
        let search = Search::default().looking_for(&[&old, &new]);
        let app = app(&database, Some(&peer), search.hooks()).await;
        let store = app.host.store();
        let ada = user(store, "ada").await.user;
        keep(store, &ada, "github", &old).await;
        let told = play_for(&app, Some(&ada), json!([
            {"do": "load", "user": "ada", "name": "github"},
            {"do": "send", "url": peer.origin, "terse": true, "bearer": 0},
            {"do": "lease", "user": "ada", "name": "github"},
            {"do": "current"},
            {"do": "begin"},
            {"do": "send", "method": "POST", "url": peer.origin, "form": [["refresh_token", 3]],
             "capture": ["/t"], "terse": true},
            {"do": "save", "name": "github", "access": 4, "refresh": ""},
            {"do": "drop-lease"},
            {"do": "load", "user": "ada", "name": "github"},
        ]))
        .await;
        let active = r#"TokenState::Active Some("42")"#;
        assert_eq!(told, [active, "200 2", "()", active, "()", "200 10", "()", "dropped", active]);
        let seen = peer.seen();
        assert_eq!(seen[0].header("authorization"), format!("Bearer {}", text(&old)));
        assert_eq!(seen[1].text(), format!("refresh_token={}", text(&old)));
        let found = kept(store, &ada, "github").await;
        assert_eq!(access(&found), text(&new));
        assert!(found.pair.refresh.is_none());
        given_back(store, &ada, "github").await;
        assert_eq!(search.found(), [""; 0]);
    }

    async fn a_refused_token_is_marked_and_an_unused_one_stays_as_it_was(database: Database) {
        let app = app(&database, None, Hooks::default()).await;
        let (store, owner) = (app.host.store(), UserId::local_owner());
        keep(store, &owner, "github", &token("kept")).await;
        let lease = json!({"do": "lease", "name": "github"});
        let told = play(&app.anonymous(), json!([lease, {"do": "begin"}, {"do": "abandon"}])).await;
        assert_eq!(told, ["()", "()", "()"]);
        given_back(store, &owner, "github").await;
        assert_eq!(kept(store, &owner, "github").await.state, TokenState::Active);
        play(&app.anonymous(), json!([lease, {"do": "reconnect"}])).await;
        given_back(store, &owner, "github").await;
        let reason = "as told".to_owned();
        assert_eq!(kept(store, &owner, "github").await.state, TokenState::Reconnect { reason });
    }

    async fn who_waits_for_a_lease_in_vain_is_told_before_the_call_ends(database: Database) {
        let toml = format!("encryption.secret = '{SECRET}'\nauth.limits.wall = '1s'");
        let app = puppet::on(&database, &[], &toml, Hooks::default()).await;
        let (store, owner) = (app.host.store(), UserId::local_owner());
        let lease = store.tokens(&owner).lease("github", SOON).await.unwrap();
        let ask = json!([{"do": "lease", "name": "github"}]);
        assert_eq!(play(&app.anonymous(), ask.clone()).await, ["StoreError::Busy"]);
        // One that ran out is lost to whoever had it.
        lease.release().await.unwrap();
        assert_eq!(play(&app.anonymous(), ask).await, ["()"]);
    }

    async fn a_lease_is_given_back_however_the_call_ends(database: Database) {
        let peer = Peer::start(|_: Seen| std::future::pending()).await;
        let app = app(&database, Some(&peer), Hooks::default()).await;
        let (store, owner) = (app.host.store(), UserId::local_owner());
        let ends = [
            json!([]),
            json!([{"do": "trap"}]),
            // The caller goes away in the middle of this.
            json!([{"do": "send", "url": peer.origin}]),
        ];
        for (index, end) in ends.iter().enumerate() {
            for begins in [false, true] {
                keep(store, &owner, "github", &token("kept")).await;
                let mut script = vec![json!({"do": "lease", "name": "github"})];
                script.extend(begins.then(|| json!({"do": "begin"})));
                script.extend(end.as_array().unwrap().iter().cloned());
                if index == 2 {
                    let asked = peer.seen().len();
                    let call = async {
                        abandoned(&app, &script.into(), Duration::from_secs(3)).await;
                    };
                    call.await;
                    assert_eq!(peer.seen().len(), asked + 1);
                } else {
                    let script = Value::from(script).to_string();
                    app.anonymous().with("x-script", &script).get("/auth/session").await;
                }
                given_back(store, &owner, "github").await;
                let state = kept(store, &owner, "github").await.state;
                // A token that may be used up is not taken for one that works.
                assert_eq!(state != TokenState::Active, begins, "{end}: {state:?}");
            }
        }
    }

    async fn a_renewed_token_is_stored_even_if_nobody_waits_for_it(database: Database) {
        // While the provider answers, somebody else takes the database's pen.
        let pen = Arc::<Mutex<Option<Pen>>>::default();
        let (url, held) = (database.url.clone(), Arc::clone(&pen));
        let peer = Peer::start(move |_| {
            let (url, held) = (url.clone(), Arc::clone(&held));
            async move {
                let taken = Pen::take(&url).await;
                *held.lock().unwrap() = Some(taken);
                answer(200, "application/json", r#"{"t":"plaintext-canary-new"}"#)
            }
        })
        .await;
        let app = app(&database, Some(&peer), Hooks::default()).await;
        let (store, owner) = (app.host.store(), UserId::local_owner());
        keep(store, &owner, "github", &token("old")).await;
        let script = json!([
            {"do": "lease", "name": "github"},
            {"do": "begin"},
            {"do": "send", "url": peer.origin, "capture": ["/t"]},
            {"do": "save", "name": "github", "access": 0, "refresh": ""},
        ]);
        abandoned(&app, &script, Duration::from_secs(3)).await;
        let taken = pen.lock().unwrap().take().expect("the provider was asked");
        assert_eq!(access(&kept(store, &owner, "github").await), text(&token("old")));
        taken.give_back().await;
        given_back(store, &owner, "github").await;
        let found = kept(store, &owner, "github").await;
        assert_eq!(access(&found), text(&token("new")));
        assert_eq!(found.state, TokenState::Active);
    }

    async fn without_a_database_tokens_are_unavailable(database: Database) {
        let text = format!(
            "database.url = '{}'\nauth.strategy = '{}'\n[auth.grants]\n\
             http = ['https://nowhere.example']\njose = ['https://nowhere.example']\n\
             token_store = ['github']\n",
            database.url,
            component("puppet").display(),
        );
        let environment = vestibule::config::Environment::fixed(&[]);
        let config = vestibule::config::Config::parse(None, &text, environment).unwrap();
        let strategy = Host::check(&config).await.unwrap();
        let script = json!([{"do": "names"}, {"do": "load", "name": "github"}]).to_string();
        let known = vestibule::identity::Identity {
            display_name: Some(script),
            ..vestibule::identity::Identity::default()
        };
        let told = strategy.restore(None, Some(&known), RequestId::new(1)).await.unwrap().unwrap();
        for claim in told.claims {
            assert!(claim.value.starts_with("StoreError::Unavailable("), "{}", claim.value);
        }
    }
}
