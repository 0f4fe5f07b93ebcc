//! A strategy decides and never holds: what a whole log-in, with everything that may
//! follow it, leaves in the memory of the component, call by call.

use std::sync::{Arc, Mutex};

use memchr::memmem;
use secrecy::SecretString;
use serde_json::json;
use vestibule::{
    engine::{Hooks, Renewal},
    store::NewApiKey,
};
use vestibule_tests::{
    TestApp,
    browser::{Browser, parameters, path_of},
    database::{Database, user_id},
    keycloak::{APP_SECRET, CLIENT_ID, CLIENT_SECRET, Endpoint, Handed, Keycloak, Person},
    logs::Logs,
    run::{note_secret, text},
};

use super::{secrets_of, session_of, token};

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
async fn no_secret_is_in_its_memory_or_in_the_log_from_log_in_to_disconnecting() {
    let logs = Logs::collect();
    let keycloak = Keycloak::start(Person::new("ada")).await;
    let memories = Memories::default();
    // To copy every memory takes time.
    let limits = "auth.limits.cpu = '9s'";
    let toml = format!("{limits}\n{}", keycloak.toml_with(&keycloak.providers(&["github"])));
    let database = Database::sqlite();
    let app: TestApp =
        TestApp::start_on(&database, "mu-keycloak", &toml, &[], memories.hooks()).await.unwrap();
    keycloak.keep_time(&app.clock);
    let user = user_id("ada");
    let mut secrets: Vec<SecretString> = [CLIENT_SECRET, APP_SECRET].map(Into::into).into();

    // Both trips, with their codes.
    keycloak.link("ada", "github", Handed::Form);
    let mut browser = Browser::new(&app);
    let mut reply = browser.open("/auth/login/start").await;
    for _ in 0..2 {
        assert_eq!(reply.status, 303, "{}", reply.body);
        let callback = keycloak.visit(reply.header("location"));
        secrets.push(parameters(&callback)["code"].clone().into());
        reply = browser.open(&path_of(&callback)).await;
    }
    assert_eq!(reply.status, 200, "{}", reply.body);
    secrets.push(browser.session().expect("a session").into());
    secrets.extend(secrets_of(&session_of(&app, &browser).await));
    let stored = |name: &'static str| {
        let store = app.host.store();
        let user = user.clone();
        async move {
            let pair = store.tokens(&user).load(name).await.unwrap().expect("a token").pair;
            let both = [pair.access, pair.refresh].into_iter().flatten();
            both.map(|secret| (*secret).clone()).collect::<Vec<_>>()
        }
    };
    secrets.extend(stored("offline").await);

    // A renewal of the session.
    app.clock.advance(299);
    assert_eq!(browser.open("/api/v1/users/me").await.status, 200);
    secrets.extend(secrets_of(&session_of(&app, &browser).await));

    // A provider's token, renewed, and had once more by the offline token.
    secrets.extend(stored("github").await);
    app.clock.advance(28_800);
    token(&app, "github", Renewal::WhenDue).await.unwrap();
    secrets.extend(stored("github").await);
    keycloak.take_access_away("github");
    keycloak.link("ada", "github", Handed::Form);
    app.clock.advance(28_800);
    token(&app, "github", Renewal::WhenDue).await.unwrap();
    secrets.extend(stored("github").await);
    secrets.extend(stored("offline").await);
    assert_eq!(keycloak.script.calls(Endpoint::Provider), 2);

    // Bearer tokens and API keys, good and bad.
    let context = app.host.user_context_for(&user).await.unwrap();
    let keys = app.host.store().api_keys(context.scope());
    let key = keys.create(&NewApiKey { name: "k".to_owned(), ..NewApiKey::default() }).await;
    let bad = SecretString::from("plaintext-canary.bearer.token");
    let good = SecretString::from(keycloak.bearer(&Person::new("bob"), &json!({})));
    for (credential, status) in [(key.unwrap().text, 200), (good, 200), (bad, 401)] {
        let reply = app.anonymous().with_key(&credential).get("/api/v1/users/me").await;
        assert_eq!(reply.status, status, "{}", reply.body);
        secrets.push(credential);
    }

    // A log-out by the back channel, one by the browser, and disconnecting.
    let log_out = keycloak.log_out_token(&keycloak.log_out_claims(None, Some("unknown")));
    let form = axum::body::Body::from(format!("logout_token={log_out}"));
    let caller = app.anonymous().with("content-type", "application/x-www-form-urlencoded");
    let told = caller.send_body("POST", "/auth/back-channel", form).await;
    assert_eq!(told.status, 200, "{}", told.body);
    secrets.push(log_out.into());
    let mut again = Browser::new(&app);
    keycloak.sit_down(Some(Person::new("ada")));
    assert_eq!(keycloak.lead(&mut again).await.status, 200);
    secrets.extend(secrets_of(&session_of(&app, &again).await));
    assert_eq!(again.submit("/auth/logout").await.status, 200);
    let reply = again
        .page()
        .with_key(&secrets_key(&app, &user).await)
        .send("POST", "/auth/disconnect")
        .await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(keycloak.script.calls(Endpoint::Revoke), 1);

    assert!(secrets.len() >= 22, "{}", secrets.len());
    let log = logs.text();
    let database = read_all(&database);
    for secret in &secrets {
        note_secret(secret);
        assert_eq!(memories.with(text(secret)), 0, "{} is in a memory", text(secret));
        assert!(!log.contains(text(secret)), "{} is in the log", text(secret));
        let found = memmem::find(&database, text(secret).as_bytes()).is_some();
        assert!(!found, "{} is in the database", text(secret));
    }
    // And where something is put there on purpose, it is found.
    assert!(memories.with(CLIENT_ID) > 0, "the client's id is no secret");
    assert!(memories.with("Ada Lovelace") > 0, "the visitor's name is no secret");
}

async fn secrets_key(app: &TestApp, user: &vestibule::identity::UserId) -> SecretString {
    let scope = app.host.store().user(user).await.unwrap().unwrap().scope();
    let new = NewApiKey { name: "last".to_owned(), ..NewApiKey::default() };
    vestibule_tests::keys::key(app, &scope, &new).await
}

/// The database as it is on disk, its journal with it.
fn read_all(database: &Database) -> Vec<u8> {
    let files = std::fs::read_dir(database.folder.path()).unwrap();
    files.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
}
