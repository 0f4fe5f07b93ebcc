//! `plugins.lock`: what is approved, by whom, and what was before.

use std::{fs, os::unix::fs::PermissionsExt as _};

use vestibule::{
    config::{Config, Environment},
    engine::Hooks,
    host::{LockError, StartError},
};
use vestibule_tests::{
    TestApp, craft,
    logs::Logs,
    plugins::{Plugins, Signer, bytes_of, digest, ready},
};

use super::{HELLO, TEAM, asking_for_more, config, hello, newer, serves};

#[tokio::test]
async fn the_first_of_a_name_is_written_down_and_an_upgrade_that_asks_for_no_more_is_as_well() {
    let plugins = Plugins::with(HELLO);
    let app = plugins.start(TEAM).await;
    let first = digest(&hello());
    let lock = plugins.lock();
    insta::assert_snapshot!(lock.replace(&first, "<first>"), @r#"
    # What was approved of each strategy: written by Vestibule, and kept with the components.
    # `vestibule plugin approve` and `vestibule plugin rollback` change it.

    version = 1

    [strategies.hello-strategy]
    approved_at = "2027-01-15T08:00:00Z"
    approved_by = "first-use"
    file = "hello-strategy.wasm"
    rolled_back = []

    [strategies.hello-strategy.approved]
    digest = "<first>"
    name = "hello-strategy"
    version = "0.1.0"
    contract = "vestibule:auth@0.1.0"
    everybody = false
    log_in = false
    imports = ["log.write", "settings.all"]
    proposes = []
    headers = ["x-team"]
    variables = []
    "#);
    let second = plugins.put(&newer("0.2.0"));
    app.host.look().await.unwrap();
    let lock = plugins.lock();
    assert!(lock.contains("approved_by = \"upgrade\""), "{lock}");
    assert!(lock.contains(&first) && lock.contains(&second), "{lock}");
    // A restart changes nothing.
    drop(app);
    plugins.start(TEAM).await;
    assert_eq!(plugins.lock(), lock);
}

#[tokio::test]
async fn without_a_lock_what_serves_is_the_measure() {
    let plugins = Plugins::with(HELLO);
    let app = plugins.start(TEAM).await;
    for refused in [asking_for_more(), newer("0.0.9")] {
        plugins.take_lock_away();
        plugins.put(&refused);
        assert!(app.host.look().await.is_err());
        assert!(serves(&app, "0.1.0").await);
    }
    plugins.put(&newer("0.2.0"));
    app.host.look().await.unwrap();
    assert!(serves(&app, "0.2.0").await);
}

#[tokio::test]
async fn what_asks_for_more_serves_once_somebody_says_yes() {
    let plugins = Plugins::with(HELLO);
    let app = plugins.start(TEAM).await;
    let more = plugins.put(&asking_for_more());
    assert!(app.host.look().await.is_err());
    let refused = app.host.strategies().refused.expect("it is refused");
    assert!(refused.needs_approval());
    assert_eq!(refused.asks_for, ["it reads the header x-tram"]);
    assert_eq!(refused.digest.as_deref(), Some(more.as_str()));

    // A yes is for what was looked at.
    let error = app.host.approve(&digest(&hello()), false).await.unwrap_err();
    assert!(matches!(error, StartError::Lock { source: LockError::Changed { .. }, .. }), "{error}");
    assert!(serves(&app, "0.1.0").await);
    app.host.approve(&more, false).await.unwrap();
    assert!(serves(&app, "0.3.0").await);
    assert!(app.host.strategies().refused.is_none());
    assert!(plugins.lock().contains("approved_by = \"operator\""));
    let audit = app.host.store().audit(10).await.unwrap();
    assert!(audit.iter().any(|entry| entry.action == "plugin.approve"), "{audit:?}");
}

#[tokio::test]
async fn what_cannot_serve_is_not_approved_and_leaves_a_start_what_it_had() {
    let plugins = Plugins::with(HELLO);
    let app = plugins.start(TEAM).await;
    let lock = plugins.lock();
    let needy = plugins.put(&bytes_of("hostile-waiting"));
    let error = app.host.approve(&needy, false).await.unwrap_err().to_string();
    assert!(error.contains("it needs what it is not granted: http-client"), "{error}");
    assert_eq!(plugins.lock(), lock);
    assert!(serves(&app, "0.1.0").await);
    drop(app);
    assert!(serves(&plugins.start(TEAM).await, "0.1.0").await);
}

#[tokio::test]
async fn a_lower_version_serves_only_where_that_is_said() {
    let plugins = Plugins::with(HELLO);
    let app = plugins.start(TEAM).await;
    let older = plugins.put(&newer("0.0.9"));
    let error = app.host.approve(&older, false).await.unwrap_err();
    assert!(matches!(error, StartError::Lock { source: LockError::Older { .. }, .. }), "{error}");
    app.host.approve(&older, true).await.unwrap();
    assert!(serves(&app, "0.0.9").await);
}

#[tokio::test]
async fn what_was_before_is_gone_back_to_and_stays_after_a_restart() {
    let plugins = Plugins::with(HELLO);
    let app = plugins.start(TEAM).await;
    assert!(!app.host.strategies().can_roll_back);
    let error = app.host.roll_back().await.unwrap_err().to_string();
    assert!(error.contains("no generation of \"hello-strategy\" to go back to"), "{error}");
    let second = plugins.put(&newer("0.2.0"));
    app.host.look().await.unwrap();
    assert!(app.host.strategies().can_roll_back);
    let record = app.host.roll_back().await.unwrap();
    assert_eq!(record.version, "0.1.0");
    assert!(serves(&app, "0.1.0").await);
    assert!(ready(&app).await["refused"]["reason"].as_str().unwrap().contains("was rolled back"));
    assert!(ready(&app).await["previous"].is_null(), "what was left for a reason is no way out");

    // The file is still the newer one.
    drop(app);
    let app = plugins.start(TEAM).await;
    assert!(serves(&app, "0.1.0").await);
    assert!(ready(&app).await["refused"]["reason"].as_str().unwrap().contains("was rolled back"));
    app.host.approve(&second, false).await.unwrap();
    assert!(serves(&app, "0.2.0").await);
}

/// Goes back where that must not be done, and looks at what becomes of it.
async fn cannot_go_back(app: &TestApp, plugins: &Plugins, version: &str, why: &str) {
    let lock = plugins.lock();
    let error = app.host.roll_back().await.unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
    assert_eq!(plugins.lock(), lock, "{why}");
    assert!(serves(app, version).await, "{why}");
    assert!(app.host.strategies().refused.is_none(), "{why}");
}

#[tokio::test]
async fn nobody_goes_back_to_what_could_not_serve() {
    let (first, second) = (digest(&hello()), digest(&newer("0.2.0")));
    let (old, new) = (Signer::number(1), Signer::number(2));
    let plugins = Plugins::with(HELLO);
    let trusting =
        |signer: &Signer| format!("{TEAM}plugins.trusted_keys = ['{}']\n", signer.public_key());
    old.sign(&hello(), &plugins.file());
    drop(plugins.start(&trusting(&old)).await);
    plugins.put(&newer("0.2.0"));
    new.sign(&newer("0.2.0"), &plugins.file());
    let app = plugins.start(&trusting(&new)).await;
    let told = "nothing is changed, because hello-strategy 0.1.0, which was before, cannot serve";
    cannot_go_back(&app, &plugins, "0.2.0", told).await;
    cannot_go_back(&app, &plugins, "0.2.0", "no signature of these bytes").await;
    let pinned = format!("{TEAM}auth.sha256 = '{second}'\n");
    app.host.reload(config(&plugins, &pinned)).await.unwrap();
    cannot_go_back(&app, &plugins, "0.2.0", "pins").await;
    app.host.reload(config(&plugins, TEAM)).await.unwrap();
    let kept = plugins.dir().join(format!(".generations/{first}.wasm"));
    fs::write(&kept, craft::labelled(&hello(), "forged")).unwrap();
    cannot_go_back(&app, &plugins, "0.2.0", "is not kept any more").await;
    fs::remove_file(&kept).unwrap();
    cannot_go_back(&app, &plugins, "0.2.0", "is not kept any more").await;
    fs::write(&kept, hello()).unwrap();
    app.host.roll_back().await.unwrap();
    assert!(serves(&app, "0.1.0").await);
}

#[tokio::test]
async fn nobody_goes_back_to_what_is_not_granted_any_more_what_it_needs() {
    let plugins = Plugins::with("hostile-waiting");
    let granted = "auth.grants = { http = ['https://a.example'], jose = ['https://b.example'], \
                   token_store = ['github'] }\n";
    let app = plugins.start(granted).await;
    let lean = plugins.put(&craft::with_version(&bytes_of("hostile"), "hostile", "0.2.0"));
    app.host.approve(&lean, false).await.unwrap();
    app.host.reload(config(&plugins, "")).await.unwrap();
    cannot_go_back(&app, &plugins, "0.2.0", "it needs what it is not granted: http-client").await;
}

#[tokio::test]
async fn a_bad_file_does_not_keep_a_server_from_starting_on_what_is_approved() {
    let plugins = Plugins::with(HELLO);
    drop(plugins.start(TEAM).await);
    plugins.put(b"garbage");
    let app = plugins.start(TEAM).await;
    assert!(serves(&app, "0.1.0").await);
    assert_eq!(ready(&app).await["refused"]["step"], "compile");
    // What is kept is believed by its digest alone.
    let kept = plugins.dir().join(format!(".generations/{}.wasm", digest(&hello())));
    fs::write(kept, craft::labelled(&hello(), "forged")).unwrap();
    let Err(error) = plugins.try_start(TEAM).await else { panic!("it started") };
    assert!(error.to_string().contains("not WebAssembly"), "{error}");
}

/// Starts on a strategy by its alias.
async fn start_by_alias(plugins: &Plugins, toml: &str) -> Result<TestApp, StartError> {
    let toml = by_alias(plugins, toml);
    TestApp::start_text(&plugins.database, &toml, &[], Hooks::default()).await
}

fn by_alias(plugins: &Plugins, toml: &str) -> String {
    plugins.toml(toml).replace("strategy = 'none'", "strategy = 'no_auth'")
}

#[tokio::test]
async fn a_bad_file_of_a_strategy_that_goes_by_an_alias_is_no_worse() {
    let plugins = Plugins::with("none");
    drop(start_by_alias(&plugins, "").await.unwrap());
    plugins.put(b"garbage");
    let app = start_by_alias(&plugins, "").await.unwrap();
    assert_eq!(ready(&app).await["refused"]["step"], "compile");
    assert_eq!(ready(&app).await["generation"]["name"], "none");
    let again = Config::parse(None, &by_alias(&plugins, ""), Environment::fixed(&[]));
    app.host.reload(again.unwrap()).await.unwrap();
    assert_eq!(ready(&app).await["refused"]["step"], "compile");
    drop(app);
    // One that was taken away is not to come back, whatever else there is bad.
    fs::write(plugins.dir().join("other.wasm"), b"garbage").unwrap();
    drop(start_by_alias(&plugins, "").await.unwrap());
    fs::remove_file(plugins.file()).unwrap();
    let Err(error) = start_by_alias(&plugins, "").await else { panic!("it started") };
    assert!(error.to_string().contains("answers to \"no_auth\""), "{error}");
    let Err(error) = plugins.try_start("").await else { panic!("it started") };
    assert!(error.to_string().contains("answers to \"none\""), "{error}");
}

#[tokio::test]
async fn a_file_that_gets_another_name_is_followed() {
    let plugins = Plugins::with("none");
    let app = start_by_alias(&plugins, "").await.unwrap();
    let moved = plugins.dir().join("moved.wasm");
    fs::rename(plugins.file(), &moved).unwrap();
    app.host.look().await.unwrap();
    assert!(plugins.lock().contains("file = \"moved.wasm\"\n"), "{}", plugins.lock());
    drop(app);
    fs::write(&moved, b"garbage").unwrap();
    let app = start_by_alias(&plugins, "").await.unwrap();
    assert_eq!(ready(&app).await["generation"]["name"], "none");
}

#[tokio::test]
async fn where_keys_are_trusted_what_nobody_signed_is_not_even_asked_for_its_name() {
    let (plugins, signer, none) = (Plugins::with("none"), Signer::number(1), bytes_of("none"));
    let trusting = format!("plugins.trusted_keys = ['{}']\n", signer.public_key());
    signer.sign(&none, &plugins.file());
    // It would answer to the name as well.
    let other = plugins.dir().join("other.wasm");
    fs::write(&other, craft::labelled(&none, "other")).unwrap();
    let logs = Logs::collect();
    let app = start_by_alias(&plugins, &trusting).await.unwrap();
    assert_eq!(ready(&app).await["generation"]["digest"], digest(&none));
    assert!(logs.text().contains("other.wasm: it is not signed"), "{}", logs.text());
    drop(app);
    let Err(error) = start_by_alias(&plugins, "").await else { panic!("it started") };
    assert!(error.to_string().contains("answer to \"no_auth\"; name one of the files"), "{error}");
}

#[tokio::test]
async fn where_even_the_first_has_to_be_approved_it_does_not_serve_before() {
    let plugins = Plugins::with(HELLO);
    let locked = format!("{TEAM}plugins.locked = true\n");
    let Err(error) = plugins.try_start(&locked).await else { panic!("it started") };
    assert!(error.to_string().contains("`vestibule plugin approve hello-strategy`"), "{error}");
    drop(plugins.start(TEAM).await);
    plugins.start(&locked).await;
}

#[tokio::test]
async fn a_lock_that_is_damaged_is_named_and_nothing_is_taken() {
    let plugins = Plugins::with(HELLO);
    let app = plugins.start(TEAM).await;
    fs::write(plugins.dir().join("plugins.lock"), "version = 1\nstrategies = 3\n").unwrap();
    plugins.put(&newer("0.2.0"));
    let error = app.host.look().await.unwrap_err().to_string();
    assert!(error.contains("plugins.lock: it cannot be used"), "{error}");
    assert!(serves(&app, "0.1.0").await);
    let Err(error) = plugins.try_start(TEAM).await else { panic!("it started") };
    assert!(error.to_string().contains("plugins.lock: it cannot be used"), "{error}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_serves_what_is_there_and_takes_nothing_else() {
    let plugins = Plugins::with(HELLO);
    let mode = |mode| fs::set_permissions(plugins.dir(), fs::Permissions::from_mode(mode)).unwrap();
    mode(0o555);
    if fs::write(plugins.dir().join("probe"), "").is_ok() {
        mode(0o755);
        fs::remove_file(plugins.dir().join("probe")).unwrap();
        // Root writes everywhere, but not what is a folder.
        fs::create_dir(plugins.dir().join("plugins.lock")).unwrap();
        let Err(error) = plugins.try_start(TEAM).await else { panic!("it started") };
        assert!(error.to_string().contains("plugins.lock: it cannot be used"), "{error}");
        return;
    }
    let app = plugins.start(TEAM).await;
    assert!(serves(&app, "0.1.0").await);
    assert_eq!(plugins.lock(), "");
    mode(0o755);
}

#[tokio::test]
async fn a_component_cannot_take_the_place_of_what_was_approved_by_its_own_name() {
    // By the alias that the operator chose, a file of another name is found first.
    let plugins = Plugins::with("none");
    let app = start_by_alias(&plugins, "").await.unwrap();
    let named = craft::with_text(&hello(), "hello-strategy0.1.0", "no_auth-strate0.1.0");
    fs::write(plugins.dir().join("no_auth.wasm"), named).unwrap();
    let error = app.host.look().await.unwrap_err().to_string();
    assert!(error.contains("it asks for more than what was approved"), "{error}");
    assert_eq!(ready(&app).await["generation"]["name"], "none");
}
