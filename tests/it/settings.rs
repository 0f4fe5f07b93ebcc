//! The operator's settings against what a strategy declares.

use vestibule::{engine::LoadError, host::StartError};
use vestibule_tests::TestApp;

async fn refusal(toml: &str, environment: &[(&str, &str)]) -> String {
    match TestApp::try_start("hostile", toml, environment).await {
        Ok(_) => panic!("it started"),
        Err(error) => error.to_string(),
    }
}

/// The settings as the strategy gets them.
async fn seen(toml: &str, environment: &[(&str, &str)]) -> String {
    let app = TestApp::try_start("hostile", toml, environment).await.expect("it starts");
    let reply = app.anonymous().with("x-behave", "settings").get("/auth/session").await;
    reply.json()["claims"][0]["value"].as_str().expect("a text").to_owned()
}

#[tokio::test]
async fn a_default_holds_until_the_file_and_then_the_environment_say_otherwise() {
    assert_eq!(seen("", &[]).await, r#"{"greeting":"hello"}"#);
    let file = "[auth.settings]\ngreeting = 'from the file'";
    assert_eq!(seen(file, &[]).await, r#"{"greeting":"from the file"}"#);
    let variable = [("VESTIBULE_AUTH_SETTINGS_GREETING", "from the environment")];
    assert_eq!(seen(file, &variable).await, r#"{"greeting":"from the environment"}"#);
}

#[tokio::test]
async fn a_setting_may_stand_in_auth_itself() {
    assert_eq!(seen("auth.greeting = 'hi'", &[]).await, r#"{"greeting":"hi"}"#);
    let twice = refusal("auth.greeting = 'a'\n[auth.settings]\ngreeting = 'b'", &[]).await;
    assert!(twice.contains("is given 2 times"), "{twice}");
}

#[tokio::test]
async fn a_secret_never_shows_among_the_settings() {
    for (toml, environment) in
        [("[auth.settings]\ntoken = 'hush'", &[][..]), ("", &[("HOSTILE_TOKEN", "hush")])]
    {
        let settings = seen(toml, environment).await;
        assert!(!settings.contains("hush") && !settings.contains("token"), "{settings}");
    }
}

#[tokio::test]
async fn an_unknown_setting_is_named_with_the_one_that_was_meant() {
    let error = refusal("[auth.settings]\ngreting = 'hi'", &[]).await;
    assert_eq!(
        error,
        "[auth.settings] greting: the strategy has no such setting, did you mean \"greeting\"?"
    );
    let error = refusal("auth.stratgy = 'x'", &[]).await;
    assert_eq!(error, "[auth] stratgy: unknown key, did you mean \"strategy\"?");
}

#[tokio::test]
async fn a_setting_of_the_wrong_type_is_named() {
    let error = refusal("[auth.settings]\ngreeting = 7", &[]).await;
    assert_eq!(error, "[auth.settings] greeting: a text is needed");
}

#[tokio::test]
async fn a_required_setting_that_is_missing_comes_with_the_line_that_sets_it() {
    let error = match TestApp::try_start("hello-strategy", "", &[]).await {
        Ok(_) => panic!("it started"),
        Err(error) => error.to_string(),
    };
    assert!(error.contains("the setting \"team\" is missing"), "{error}");
    assert!(error.contains("add `team = \"…\"` to [auth.settings]"), "{error}");
    assert!(error.contains("VESTIBULE_AUTH_SETTINGS_TEAM"), "{error}");
}

#[tokio::test]
async fn what_the_strategy_itself_refuses_stops_the_start_with_its_words() {
    let error = refusal("[auth.settings]\ngreeting = 'refuse'", &[]).await;
    assert!(error.contains("it refuses its settings: ") && error.contains("friendlier"), "{error}");
}

#[tokio::test]
async fn a_strategy_that_breaks_while_it_checks_stops_the_start() {
    match TestApp::try_start("hostile", "[auth.settings]\ngreeting = 'panic'", &[]).await {
        Err(StartError::Load { source: LoadError::CheckSettings(_), .. }) => {}
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it started"),
    }
}

#[tokio::test]
async fn a_secret_may_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "hush\n").unwrap();
    let toml = format!("[auth.settings]\ntoken_file = '{}'", file.display());
    let app = TestApp::start("hostile", &toml).await;
    let reply = app.anonymous().with("x-behave", "secret-probe").get("/auth/session").await;
    assert!(!reply.body.contains("hush"), "{}", reply.body);
    assert!(reply.body.contains("fingerprint"), "{}", reply.body);

    std::fs::remove_file(&file).unwrap();
    let error = refusal(&toml, &[]).await;
    assert!(error.starts_with("[auth.settings] token_file: cannot read "), "{error}");
}
