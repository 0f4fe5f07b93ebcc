//! Sealing anew with another secret.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use vestibule::{
    config::{Config, Environment},
    identity::{ConversationId, LoginState, ProviderToken},
    store::{
        NewApiKey, PendingLogin, Secret, SessionContent, Settings, Store, StoreError, TokenPair,
    },
};
use vestibule_tests::{
    NOW,
    database::{Database, SECRET, user},
    on_both_databases,
    run::{canary, keep, note_secret, text},
};

const NEW: &str = "plaintext-canary the encryption secret that comes next";

/// The secret before, and the one that comes next.
fn rotated(database: &Database) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let previous = folder.keep().join("previous");
    fs::write(&previous, format!("{SECRET}\n")).unwrap();
    let text = format!(
        "database.url = '{}'\nauth.strategy = 'none'\nencryption.secret = '{NEW}'\n\
         encryption.previous_secret_files = ['{}']",
        database.url,
        previous.display()
    );
    Config::parse(None, &text, Environment::fixed(&[])).unwrap()
}

fn only_new(database: &Database) -> Config {
    let text = format!(
        "database.url = '{}'\nauth.strategy = 'none'\nencryption.secret = '{NEW}'",
        database.url
    );
    Config::parse(None, &text, Environment::fixed(&[])).unwrap()
}

/// One row of every kind that is sealed.
async fn fill(store: &Store) -> vestibule::store::NewSession {
    let scope = user(store, "ada").await;
    let described = Secret { value: canary("1"), description: Some(canary("what for")) };
    store.secrets(&scope).put("A", &described, None).await.unwrap();
    let settings = serde_json::json!({"llm_model": "m", "llm_api_key": "plaintext-canary llm"});
    let settings = Settings::split(settings.as_object().unwrap().clone()).unwrap();
    store.store_settings(&scope, &settings, None).await.unwrap();
    let mut lease = store.tokens(&scope.user).lease("github", Duration::ZERO).await.unwrap();
    let pair = TokenPair { access: Some(Arc::new(canary("access"))), ..TokenPair::default() };
    lease.save(&pair).await.unwrap();
    lease.release().await.unwrap();
    let handed = ProviderToken {
        provider: "github".to_owned(),
        token: Arc::new(canary("handed")),
        host: None,
        account_id: None,
        expires_at: None,
    };
    store.conversation_tokens(&scope.user, &conversation()).save(&[handed]).await.unwrap();
    note_secret(&store.api_keys(&scope).system("automation").await.unwrap().text);
    let new = NewApiKey { name: "own".to_owned(), ..NewApiKey::default() };
    note_secret(&store.api_keys(&scope).create(&new).await.unwrap().text);
    let carried = store.keep_login(&second_trip(), true).await.unwrap();
    assert_eq!(carried.as_deref(), Some("rests"), "it is too long for a cookie");
    store.begin_session(&scope.user, &SessionContent::default(), &[], None).await.unwrap()
}

/// A log-in with more than a cookie holds.
pub(super) fn second_trip() -> PendingLogin {
    PendingLogin {
        state: "state".to_owned(),
        verifier: Arc::new(canary("verifier")),
        nonce: "nonce".to_owned(),
        return_to: "/".to_owned(),
        begun_at: NOW,
        kept: LoginState {
            data: vec![b'x'; 4096],
            secrets: vec![("refresh".to_owned(), Arc::new(canary("of the first trip")))],
        },
    }
}

fn conversation() -> ConversationId {
    ConversationId::new("c1").unwrap()
}

async fn check(store: &Store, session: &vestibule::store::NewSession, system: &str) {
    let scope = user(store, "ada").await;
    let secret = store.secrets(&scope).get("A").await.unwrap().unwrap();
    assert_eq!(text(&secret.value), text(&canary("1")));
    assert_eq!(text(&secret.description.unwrap()), text(&canary("what for")));
    let settings = store.settings(&scope).await.unwrap();
    assert_eq!(settings.settings.exposed()["llm_api_key"], "plaintext-canary llm");
    let token = store.tokens(&scope.user).load("github").await.unwrap().unwrap();
    assert_eq!(text(&token.pair.access.unwrap()), text(&canary("access")));
    let handed = store.conversation_tokens(&scope.user, &conversation()).load().await.unwrap();
    assert_eq!(text(&handed[0].token), text(&canary("handed")));
    assert_eq!(text(&store.api_keys(&scope).system("automation").await.unwrap().text), system);
    assert!(store.session(&session.key).await.unwrap().is_some());
}

on_both_databases! {
    async fn everything_is_sealed_anew_and_the_old_secret_may_go(database: Database) {
        let old = database.open().await;
        let session = fill(&old).await;
        let scope = user(&old, "ada").await;
        let system = old.api_keys(&scope).system("automation").await.unwrap().text;
        let system = text(&system);

        let config = rotated(&database);
        let store = database.try_open(&config).await.unwrap();
        check(&store, &session, system).await;
        let status = Store::status(&config).await.unwrap();
        let rows: Vec<_> = status.keys.iter().filter(|key| !key.active).map(|key| key.rows).collect();
        assert_eq!(rows, [7]);
        let mut steps = Vec::new();
        let rotation = store.rotate(|progress| steps.push(progress.done)).await.unwrap();
        assert_eq!((rotation.resealed, rotation.left), (7, 0));
        assert_eq!((steps.first(), steps.last()), (Some(&0), Some(&7)));
        check(&store, &session, system).await;
        // A second time there is nothing to do.
        assert_eq!(store.rotate(|_| {}).await.unwrap().resealed, 0);

        let store = database.try_open(&only_new(&database)).await.unwrap();
        check(&store, &session, system).await;
        let trip = store.take_login("state", "rests").await.unwrap().expect("it rests");
        assert_eq!(text(&trip.kept.secrets[0].1), text(&canary("of the first trip")));
        assert!(store.take_login("state", "rests").await.unwrap().is_none(), "it works once");
        // A server that still has the old secret alone is refused from now on.
        let error = database.try_open(&database.config("")).await.unwrap_err();
        assert!(matches!(error, StoreError::WrongSecret { .. }), "{error:?}");
    }

    async fn the_old_secret_must_stay_while_a_row_is_left(database: Database) {
        let old = database.open().await;
        fill(&old).await;
        let scope = user(&old, "ada").await;
        let secret = Secret { value: canary("x"), description: None };
        old.secrets(&scope).put("BROKEN", &secret, None).await.unwrap();
        database.execute("update secrets set value = 'gAAAAAB' where name = 'BROKEN'").await;
        let store = database.try_open(&rotated(&database)).await.unwrap();
        let rotation = store.rotate(|_| {}).await.unwrap();
        assert_eq!((rotation.resealed, rotation.left), (7, 1));
        assert_eq!(rotation.damaged, ["secrets ada ada BROKEN"]);
        let error = database.try_open(&only_new(&database)).await.unwrap_err();
        assert!(matches!(error, StoreError::WrongSecret { .. }), "{error:?}");
        store.secrets(&scope).remove("BROKEN", None).await.unwrap();
        let rotation = store.rotate(|_| {}).await.unwrap();
        assert_eq!((rotation.resealed, rotation.left), (0, 0));
        database.try_open(&only_new(&database)).await.unwrap();
    }

    async fn a_rotation_that_is_killed_goes_on_where_it_was(database: Database) {
        let old = database.open().await;
        let mut scopes = Vec::new();
        for index in 0..30 {
            let scope = user(&old, &format!("user-{index}")).await;
            let secret = |at| (format!("N{at}"), Secret { value: canary("v"), description: None });
            let set: BTreeMap<_, _> = (0..50).map(secret).collect();
            old.secrets(&scope).store(&set, None).await.unwrap();
            scopes.push(scope);
        }
        let folder = tempfile::tempdir().unwrap();
        let previous = folder.path().join("previous");
        fs::write(&previous, SECRET).unwrap();
        let file = folder.path().join("vestibule.toml");
        fs::write(&file, format!(
            "database.url = '{}'\nauth.strategy = 'none'\nencryption.secret = '{NEW}'\n\
             encryption.previous_secret_files = ['{}']\n",
            database.url, previous.display()
        )).unwrap();
        let config = file.clone();
        let rotate = move || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule-under-test"));
            command.args(["secrets", "rotate", "--config"]).arg(&config).stderr(Stdio::piped());
            command
        };
        // Killed after its first steps, three times.
        let mut left = 1500;
        for _ in 0..3 {
            let mut process = rotate().stdout(Stdio::null()).spawn().unwrap();
            let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
            assert!(lines.next().unwrap().unwrap().starts_with("sealed anew: 0 of"));
            assert!(lines.next().unwrap().unwrap().starts_with("sealed anew: 200 of"));
            process.kill().unwrap();
            process.wait().unwrap();
            let status = Store::status(&Config::load(&file).unwrap()).await.unwrap();
            let now: u64 = status.keys.iter().filter(|key| !key.active).map(|key| key.rows).sum();
            assert!(now < left && now > 0, "{now} of {left}");
            left = now;
        }
        let output = keep(rotate().output().unwrap());
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(
            said.trim(),
            format!("{left} rows were sealed anew, and none is left; the previous secrets may go")
        );
        let store = database.try_open(&only_new(&database)).await.unwrap();
        for scope in scopes {
            let loaded = store.secrets(&scope).load().await.unwrap();
            assert_eq!((loaded.secrets.len(), loaded.damaged.len()), (50, 0));
        }
    }

    async fn a_server_that_still_has_the_old_secret_cannot_lose_anything(database: Database) {
        let old = database.open().await;
        fill(&old).await;
        let scope = user(&old, "ada").await;
        let new = database.try_open(&rotated(&database)).await.unwrap();
        // Sealed with a key that it does not know: not damaged, and not to be written over.
        let described = Secret { value: canary("2"), description: Some(canary("why")) };
        new.secrets(&scope).put("A", &described, None).await.unwrap();
        let plain = Secret { value: canary("3"), description: None };
        for error in [
            old.secrets(&scope).load().await.map(drop).unwrap_err(),
            old.secrets(&scope).put("A", &plain, None).await.map(drop).unwrap_err(),
        ] {
            assert!(
                matches!(error, StoreError::Cipher(vestibule::cipher::CipherError::UnknownKey(_))),
                "{error:?}"
            );
        }
        let found = new.secrets(&scope).get("A").await.unwrap().unwrap();
        assert_eq!(text(&found.description.unwrap()), text(&canary("why")));

        // What it writes before the end is sealed anew; afterwards it can write nothing.
        old.secrets(&scope).put("LATE", &plain, None).await.unwrap();
        assert_eq!(new.rotate(|_| {}).await.unwrap().left, 0);
        let error = old.secrets(&scope).put("LATER", &plain, None).await.unwrap_err();
        assert_eq!(error.to_string(), "the database refuses this");
        let store = database.try_open(&only_new(&database)).await.unwrap();
        let loaded = store.secrets(&scope).load().await.unwrap();
        assert_eq!(loaded.names().into_iter().collect::<Vec<_>>(), ["A", "LATE"]);
    }
}
