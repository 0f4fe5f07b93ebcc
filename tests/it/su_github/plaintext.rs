//! A strategy decides and never holds: what a whole log-in leaves in the memory of
//! the component, call by call.

use std::sync::{Arc, Mutex};

use memchr::memmem;
use secrecy::SecretString;
use vestibule::{
    engine::{Hooks, Renewal},
    store::NewApiKey,
};
use vestibule_tests::{
    TestApp,
    browser::Browser,
    database::{Database, user_id},
    github::{Account, CLIENT_ID, CLIENT_SECRET, Endpoint, GitHub},
    run::{note_secret, text},
};

/// Every memory of every call, as it was when the call was over.
#[derive(Clone, Default)]
struct Memories(Arc<Mutex<Vec<Vec<u8>>>>);

impl Memories {
    fn hooks(&self) -> Hooks {
        let kept = Arc::clone(&self.0);
        let keep = move |memory: &[u8]| kept.lock().unwrap().push(memory.to_vec());
        Hooks { memory: Some(Arc::new(keep)), ..Hooks::default() }
    }

    /// How many of them hold a text.
    fn with(&self, sought: &str) -> usize {
        let memories = self.0.lock().unwrap();
        memories.iter().filter(|memory| memmem::find(memory, sought.as_bytes()).is_some()).count()
    }
}

#[tokio::test]
async fn no_secret_is_in_its_memory_after_any_call_from_log_in_to_log_out() {
    let github = GitHub::start(Account::new(583_231, "octocat")).await;
    github.expire_tokens(28_800);
    let memories = Memories::default();
    let database = Database::sqlite();
    let toml = format!("server.public_url = 'http://localhost:3000'\n{}", github.toml("octocat"));
    let app =
        TestApp::start_on(&database, "su-github", &toml, &[], memories.hooks()).await.unwrap();
    let user = user_id("583231");
    let mut secrets = vec![SecretString::from(CLIENT_SECRET)];

    let mut browser = Browser::new(&app);
    let begun = browser.open("/auth/login/start").await;
    let back = github.visit(begun.header("location"));
    let (path, query) = back.split_once("/auth/callback?").expect("the way back");
    assert_eq!(path, "http://localhost:3000");
    let parameters = vestibule_tests::browser::parameters(&back);
    secrets.push(parameters["code"].clone().into());
    let arrived = browser.open(&format!("/auth/callback?{query}")).await;
    assert_eq!(arrived.status, 200, "{}", arrived.body);
    secrets.push(browser.session().expect("a session").into());

    assert_eq!(browser.open("/api/v1/users/me").await.status, 200);
    let tokens = app.host.store().tokens(&user);
    let first = tokens.load("github").await.unwrap().expect("a token").pair;
    app.clock.advance(28_800);
    let context = app.host.user_context_for(&user).await.unwrap();
    let given = context.token_provider().get("github", Renewal::WhenDue).await.unwrap();
    assert_eq!(github.calls(Endpoint::Token), 2, "one for the code, one for the renewal");
    let second = tokens.load("github").await.unwrap().expect("a token").pair;
    assert_eq!(text(&given.token), text(second.access.as_ref().unwrap()));
    for pair in [first, second] {
        for token in [pair.access, pair.refresh] {
            secrets.push((*token.expect("both tokens")).clone());
        }
    }

    let keys = app.host.store().api_keys(context.scope());
    let key = keys.create(&NewApiKey { name: "k".to_owned(), ..NewApiKey::default() }).await;
    let key = key.unwrap().text;
    assert_eq!(app.anonymous().with_key(&key).get("/api/v1/users/me").await.status, 200);
    secrets.push(key);
    let bearer = SecretString::from("plaintext-canary-bearer");
    assert_eq!(app.anonymous().with_key(&bearer).get("/api/v1/users/me").await.status, 401);
    secrets.push(bearer);
    assert_eq!(browser.submit("/auth/logout").await.status, 200);

    assert_eq!(secrets.len(), 9);
    for secret in &secrets {
        note_secret(secret);
        assert_eq!(memories.with(text(secret)), 0, "{} is in a memory", text(secret));
    }
    // And where something is put there on purpose, it is found.
    assert!(memories.with(CLIENT_ID) > 0, "the client's id is no secret");
    assert!(memories.with("octocat") > 0, "the visitor's name is no secret");
}
