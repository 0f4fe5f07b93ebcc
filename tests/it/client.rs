//! The client of a sandbox against the real router, on loopback.

use std::{
    collections::{BTreeMap, VecDeque},
    io::Write as _,
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Redirect, Response},
};
use http::StatusCode;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use vestibule::{
    http::router,
    sandbox::{RuntimeFuture, RuntimeStatus, SandboxRuntime, SandboxStart, SandboxView},
    store::{NewApiKey, Scope, Secret, Settings},
};
use vestibule_client::{Error, LookupSecret, McpServer, Overrides, Patience, Workspace};
use vestibule_tests::{
    TestApp,
    database::user,
    keys, on_strategies,
    run::{canary, text},
    strategies::Strategy,
};

on_strategies! {
    [none, named, su_github, mu_keycloak, visited]:
        the_model_of_the_owner_is_inherited_and_overridden,
        mcp_servers_come_with_their_keys,
        references_hold_no_key_and_resolve_byte_for_byte_within_the_sandbox,
        a_sandbox_elsewhere_is_attached_to_while_it_runs;
    // About the client alone.
    [named]:
        a_sandbox_knows_itself_by_its_environment,
        what_may_pass_is_tried_again_and_a_refusal_is_not,
        an_error_says_what_helps_and_repeats_no_key,
        a_name_is_one_step_of_a_path;
}

/// What the server says before it is asked in earnest, and what it was asked.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<Response>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Script {
    fn will_answer(&self, answers: impl IntoIterator<Item = Response>) {
        self.asked.lock().unwrap().clear();
        *self.answers.lock().unwrap() = answers.into_iter().collect();
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

async fn play(State(script): State<Script>, request: Request, next: Next) -> Response {
    script.asked.lock().unwrap().push(request.uri().to_string());
    let answer = script.answers.lock().unwrap().pop_front();
    match answer {
        Some(answer) => answer,
        None => next.run(request).await,
    }
}

/// An owner, their key, and a sandbox of theirs, at a Vestibule on loopback.
struct Ada {
    app: TestApp,
    scope: Scope,
    url: String,
    script: Script,
    key: SecretString,
    session_key: SecretString,
}

impl Ada {
    async fn start(strategy: &Strategy) -> Self {
        let (app, scope) = strategy.start("").await;
        let new = NewApiKey { name: "client".to_owned(), ..NewApiKey::default() };
        let key = keys::key(&app, &scope, &new).await;
        let session_key = keys::sandbox(&app, &scope, "one").await;
        let script = Script::default();
        let scripted = from_fn_with_state(script.clone(), play);
        let url = serve(router(app.host.clone()).layer(scripted)).await;
        let ada = Self { app, scope, url, script, key, session_key };
        ada.settle().await;
        ada
    }

    /// Settings, secrets and a provider token.
    async fn settle(&self) {
        let document = json!({
            "llm_model": "openai/gpt-4o", "llm_api_key": "plaintext-canary llm",
            "llm_base_url": "https://llm.example/v1",
            "llm_profiles": {"active": "fast", "profiles": {
                "fast": {"model": "small", "api_key": "plaintext-canary fast", "temperature": 0.5},
            }},
            "mcp_config": {
                "sse_servers": [{"url": "https://mcp.example/sse", "api_key": "plaintext-canary mcp"}],
                "shttp_servers": [{"url": "https://mcp.example/http", "timeout": 30}],
                "stdio_servers": [{"name": "local", "command": "tool", "args": ["--fast"],
                    "env": {"TOKEN": "plaintext-canary env"}}],
            },
        });
        let settings = Settings::split(document.as_object().unwrap().clone()).unwrap();
        let store = self.app.host.store();
        store.store_settings(&self.scope, &settings, None).await.unwrap();
        let secret = |(name, value): (&str, &str)| {
            let secret = Secret { value: value.into(), description: Some("what for".into()) };
            (name.to_owned(), secret)
        };
        let secrets: BTreeMap<_, _> = values().into_iter().map(secret).collect();
        store.secrets(&self.scope).store(&secrets, None).await.unwrap();
    }

    fn workspace(&self) -> Workspace {
        self.workspace_with(self.key.clone(), self.session_key.clone())
    }

    fn workspace_with(&self, key: SecretString, session_key: SecretString) -> Workspace {
        // As a user would paste it.
        let base = format!("{}/", self.url);
        Workspace::new(&base, key, "one", session_key)
            .unwrap()
            .with_patience(Patience { pause: Duration::from_millis(1), ..Patience::default() })
    }

    /// What a process within the sandbox says.
    async fn within(&self, given: Value, environment: &[(&str, &str)]) -> Output {
        let mut process = Command::new(env!("CARGO_BIN_EXE_vestibule-sandbox"));
        for name in ["SANDBOX_ID", "SESSION_API_KEY", "OH_SESSION_API_KEYS_0"] {
            process.env_remove(name);
        }
        let environment = environment.iter().map(|&(name, value)| (name, value));
        process.envs(environment).env("RUST_BACKTRACE", "0").stdin(Stdio::piped());
        let mut process = process.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let input = json!({ "url": self.url, "key": text(&self.key), "given": given }).to_string();
        process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let ended = tokio::task::spawn_blocking(move || process.wait_with_output());
        ended.await.unwrap().unwrap()
    }
}

/// Secrets that a careless client would change.
fn values() -> [(&'static str, &'static str); 5] {
    static LARGE: std::sync::LazyLock<String> =
        std::sync::LazyLock::new(|| format!("plaintext-canary {}", "x".repeat(60_000)));
    [
        ("EMPTY", ""),
        ("JSON", "{\"a\": \"plaintext-canary json\"}"),
        ("LARGE", &LARGE),
        ("TRAILING", "plaintext-canary ends with a newline\n"),
        ("UMLAUT", "plaintext-canary ümläut \u{1f511}"),
    ]
}

#[expect(clippy::disallowed_methods, reason = "a server of its own")]
async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn status(status: StatusCode) -> Response {
    status.into_response()
}

fn shown(error: &Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text} {cause} {cause:?}");
        source = cause.source();
    }
    text
}

async fn the_model_of_the_owner_is_inherited_and_overridden(strategy: &Strategy) {
    let ada = Ada::start(strategy).await;
    let workspace = ada.workspace();
    let llm = workspace.get_llm(Overrides::default()).await.unwrap();
    assert_eq!(llm.model, "openai/gpt-4o");
    assert_eq!(llm.api_key.as_ref().map(text), Some("plaintext-canary llm"));
    assert_eq!(llm.base_url.as_deref(), Some("https://llm.example/v1"));
    assert_eq!(ada.script.asked(), 1);

    let overrides = Overrides {
        model: Some("other".to_owned()),
        api_key: Some(canary("own")),
        options: json!({"temperature": 1}).as_object().unwrap().clone(),
        ..Overrides::default()
    };
    let other = workspace.get_llm(overrides.clone()).await.unwrap();
    assert_eq!((other.model.as_str(), other.base_url), ("other", llm.base_url.clone()));
    assert_eq!(other.api_key.as_ref().map(text), Some("plaintext-canary own"));
    assert_eq!(other.options["temperature"], 1);

    let profile = Some("fast".to_owned());
    let fast = workspace.get_llm(Overrides { profile, ..Overrides::default() }).await.unwrap();
    assert_eq!((fast.model.as_str(), fast.base_url.as_deref()), ("small", None));
    assert_eq!(fast.api_key.as_ref().map(text), Some("plaintext-canary fast"));
    assert_eq!(
        Value::from(fast.options.clone()),
        json!({"temperature": 0.5, "usage_id": "profile:fast"})
    );
    let profile = Some("slow".to_owned());
    let error = workspace.get_llm(Overrides { profile, ..overrides.clone() }).await.unwrap_err();
    assert_eq!(error.to_string(), r#"the account has no LLM profile "slow"; it has fast"#);

    let debug = format!("{workspace:?} {llm:?} {fast:?} {overrides:?}");
    assert!(!debug.contains("canary"), "{debug}");
    assert!(!debug.contains(text(&ada.key)) && !debug.contains(text(&ada.session_key)), "{debug}");
    // A key with a mask in its place is none, and an account can be empty.
    ada.app.host.store().store_settings(&ada.scope, &Settings::default(), None).await.unwrap();
    let error = workspace.get_llm(Overrides::default()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the account names no LLM model; set one in its settings, or override `model`"
    );
    let masked =
        axum::Json(json!({"llm_model": "m", "llm_api_key": "**********", "llm_base_url": ""}));
    ada.script.will_answer([masked.into_response()]);
    let llm = workspace.get_llm(Overrides::default()).await.unwrap();
    assert!(llm.api_key.is_none() && llm.base_url.is_none());
}

async fn mcp_servers_come_with_their_keys(strategy: &Strategy) {
    let ada = Ada::start(strategy).await;
    let servers = ada.workspace().get_mcp_config().await.unwrap();
    let names: Vec<_> = servers.keys().map(String::as_str).collect();
    assert_eq!(names, ["local", "shttp_0", "sse_0"]);
    let McpServer::Sse { url, api_key } = &servers["sse_0"] else { panic!("{servers:?}") };
    assert_eq!(
        (url.as_str(), api_key.as_ref().map(text)),
        ("https://mcp.example/sse", Some("plaintext-canary mcp"))
    );
    let McpServer::StreamableHttp { timeout, .. } = &servers["shttp_0"] else {
        panic!("{servers:?}")
    };
    assert_eq!(*timeout, Some(Duration::from_secs(30)));
    let McpServer::Stdio { command, args, env } = &servers["local"] else { panic!("{servers:?}") };
    assert_eq!((command.as_str(), args.as_slice()), ("tool", &["--fast".to_owned()][..]));
    assert_eq!(text(&env["TOKEN"]), "plaintext-canary env");
    let debug = format!("{servers:?}");
    assert!(!debug.contains("canary") && !debug.contains("mcp.example"), "{debug}");
}

async fn references_hold_no_key_and_resolve_byte_for_byte_within_the_sandbox(strategy: &Strategy) {
    let ada = Ada::start(strategy).await;
    let references = ada.workspace().get_secrets(None).await.unwrap();
    let names: Vec<_> = references.keys().map(String::as_str).collect();
    assert_eq!(names, values().map(|(name, _)| name));
    let some = ada.workspace().get_secrets(Some(&["JSON", "NONE"])).await.unwrap();
    assert_eq!(some.keys().collect::<Vec<_>>(), ["JSON"]);
    assert_eq!(some["JSON"].description(), Some("what for"));

    let serialised = serde_json::to_value(&references).unwrap();
    let kept = format!("{serialised} {references:?}");
    assert!(!kept.contains("canary") && !kept.contains(text(&ada.session_key)), "{kept}");
    assert_eq!(serialised["JSON"]["kind"], "LookupSecret");
    assert_eq!(serialised["JSON"]["env_headers"], json!({"x-session-api-key": "SESSION_API_KEY"}));

    // Here is no sandbox.
    let error = references["JSON"].value().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the environment has no SESSION_API_KEY, which a sandbox is given: ask within one, or attach to one"
    );

    let session_key = text(&ada.session_key);
    let environment = [("SANDBOX_ID", "one"), ("SESSION_API_KEY", session_key)];
    ada.script.will_answer([status(StatusCode::SERVICE_UNAVAILABLE)]);
    let said = ada.within(serialised.clone(), &environment).await;
    let error = String::from_utf8_lossy(&said.stderr);
    let said: Value = serde_json::from_slice(&said.stdout).unwrap_or_else(|_| panic!("{error}"));
    for (name, value) in values() {
        assert_eq!(said["given"][name], value, "{name}");
        assert_eq!(said["own"][name], value, "{name}");
    }
    assert_eq!(said["model"], "openai/gpt-4o");

    ada.app.host.store().secrets(&ada.scope).store(&BTreeMap::new(), None).await.unwrap();
    let said = ada.within(json!({ "JSON": serialised["JSON"] }), &environment).await;
    assert_eq!(
        String::from_utf8(said.stderr).unwrap(),
        "Error: the server answered 404 to /api/v1/sandboxes/one/settings/secrets/JSON (Secret not found); look at the base URL, the sandbox id and the secret's name\n"
    );
}

async fn a_sandbox_knows_itself_by_its_environment(strategy: &Strategy) {
    let ada = Ada::start(strategy).await;
    let said = ada.within(json!({}), &[("SESSION_API_KEY", "x")]).await;
    insta::assert_snapshot!(String::from_utf8(said.stderr).unwrap(), @"Error: the environment has no SANDBOX_ID, which a sandbox is given: ask within one, or attach to one");
    let said = ada.within(json!({}), &[("SANDBOX_ID", "one"), ("SESSION_API_KEY", "")]).await;
    insta::assert_snapshot!(String::from_utf8(said.stderr).unwrap(), @"Error: the environment has no SESSION_API_KEY and no OH_SESSION_API_KEYS_0, which a sandbox is given: ask within one, or attach to one");

    // The runtime's variable will do, and is then the one that references name.
    let environment = [("SANDBOX_ID", "one"), ("OH_SESSION_API_KEYS_0", text(&ada.session_key))];
    let said = ada.within(json!({}), &environment).await;
    let error = String::from_utf8_lossy(&said.stderr);
    let said: Value = serde_json::from_slice(&said.stdout).unwrap_or_else(|_| panic!("{error}"));
    let variable = &said["references"]["JSON"]["env_headers"]["x-session-api-key"];
    assert_eq!(variable, "OH_SESSION_API_KEYS_0");

    // A reference that would send something else of the environment somewhere is refused.
    let given =
        json!({"A": {"kind": "LookupSecret", "url": ada.url, "env_headers": {"x-any": "PATH"}}});
    let said = ada.within(given, &environment).await;
    insta::assert_snapshot!(String::from_utf8(said.stderr).unwrap(), @r#"Error: a reference may name the variables SESSION_API_KEY and OH_SESSION_API_KEYS_0, and this one names "PATH""#);
    // As is one that holds what it should name.
    let with_key =
        json!({"url": ada.url, "env_headers": {}, "headers": {"x-session-api-key": "k"}});
    assert!(serde_json::from_value::<LookupSecret>(with_key).is_err());
}

async fn what_may_pass_is_tried_again_and_a_refusal_is_not(strategy: &Strategy) {
    let ada = Ada::start(strategy).await;
    let workspace = ada.workspace();
    let failed = || status(StatusCode::SERVICE_UNAVAILABLE);
    ada.script.will_answer([failed()]);
    workspace.get_llm(Overrides::default()).await.unwrap();
    assert_eq!(ada.script.asked(), 2);
    ada.script
        .will_answer([status(StatusCode::INTERNAL_SERVER_ERROR), status(StatusCode::BAD_GATEWAY)]);
    workspace.get_secrets(None).await.unwrap();
    assert_eq!(ada.script.asked(), 3);

    ada.script.will_answer([failed(), failed(), failed(), failed()]);
    let error = workspace.get_llm(Overrides::default()).await.unwrap_err();
    assert!(error.is_passing() && ada.script.asked() == 3, "{error}");
    insta::assert_snapshot!(error, @"the server answered 503 to /api/v1/users/me; its log says why");

    let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS];
    for refused in refused {
        ada.script.will_answer([status(refused)]);
        let error = workspace.get_secrets(None).await.unwrap_err();
        assert!(matches!(error, Error::Status { status, .. } if status == refused.as_u16()));
        assert!(!error.is_passing() && ada.script.asked() == 1, "{error}");
    }
    // A redirect would take the keys along.
    ada.script.will_answer([Redirect::temporary("/elsewhere").into_response()]);
    let error = workspace.get_llm(Overrides::default()).await.unwrap_err();
    assert_eq!(ada.script.asked(), 1);
    insta::assert_snapshot!(error, @"the server answered 307 to /api/v1/users/me; redirects are not followed, so give the URL that it leads to");

    let patience =
        Patience { timeout: Duration::from_millis(50), pause: Duration::ZERO, attempts: 2 };
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", nobody.local_addr().unwrap());
    let asks = |url: String| {
        let made = Workspace::new(&url, ada.key.clone(), "one", ada.session_key.clone());
        let workspace = made.unwrap().with_patience(patience);
        async move { workspace.get_secrets(None).await.unwrap_err() }
    };
    let error = asks(silent.clone()).await;
    insta::assert_snapshot!(error, @"/api/v1/sandboxes/one/settings/secrets: there was no answer in time; look at the base URL, and at what is between here and the server");
    drop(nobody);
    let error = asks(silent).await;
    assert!(error.is_passing());
    insta::assert_snapshot!(error, @"/api/v1/sandboxes/one/settings/secrets: no connection can be made; look at the base URL, and at what is between here and the server");
}

async fn an_error_says_what_helps_and_repeats_no_key(strategy: &Strategy) {
    let ada = Ada::start(strategy).await;
    let unknown = SecretString::from("unknown");
    let error = ada.workspace_with(ada.key.clone(), unknown.clone());
    let error = error.get_llm(Overrides::default()).await.unwrap_err();
    insta::assert_snapshot!(error, @"the server answered 401 to /api/v1/users/me (Invalid session API key); look at the API key, and whether the sandbox runs: its session key ends with it");

    let bob = user(ada.app.host.store(), "bob").await;
    let his = keys::sandbox(&ada.app, &bob, "his").await;
    let error = ada.workspace_with(ada.key.clone(), his);
    let error = error.get_llm(Overrides::default()).await.unwrap_err();
    insta::assert_snapshot!(error, @"the server answered 403 to /api/v1/users/me (Session API key does not belong to the authenticated user); the key must be allowed this, and the sandbox must be of the same user");

    // What is in front of a server may repeat a request.
    for key in [&ada.key, &ada.session_key] {
        let detail = format!("what is {}?", text(key));
        let echo = (StatusCode::FORBIDDEN, axum::Json(json!({ "detail": detail })));
        ada.script.will_answer([echo.into_response()]);
        let error = ada.workspace().get_llm(Overrides::default()).await.unwrap_err();
        let shown = shown(&error);
        assert!(shown.contains("403") && !shown.contains(text(key)), "{shown}");
    }
    // A document that is none can be full of secrets.
    for body in ["plaintext-canary", r#"{"llm_api_key": {"plaintext-canary": 1}}"#] {
        ada.script.will_answer([body.into_response()]);
        let error = ada.workspace().get_llm(Overrides::default()).await.unwrap_err();
        insta::allow_duplicates! {
            insta::assert_snapshot!(error, @"the answer to /api/v1/users/me is not the JSON that it should be; is the base URL that of a Vestibule?");
        }
        assert!(!shown(&error).contains("canary"));
    }

    let make = |url, key: &str, sandbox| {
        Workspace::new(url, key.into(), sandbox, unknown.clone()).map(drop).unwrap_err()
    };
    for (url, error) in [
        ("vestibule.example.com", "is no URL"),
        ("ftp://vestibule.example.com", "is neither http nor https"),
        ("https://ada:plaintext-canary@vestibule.example.com", "holds a user"),
        ("https://vestibule.example.com/?a=plaintext-canary", "holds more than a path"),
    ] {
        let shown = shown(&make(url, "key", "one"));
        assert!(shown.contains(error) && !shown.contains("canary"), "{shown}");
    }
    for sandbox in ["", ".", ".."] {
        assert!(matches!(make("https://v.example", "key", sandbox), Error::SandboxId(_)));
    }
    let broken = ada.workspace_with("plaintext-canary\n".into(), unknown);
    let error = broken.get_llm(Overrides::default()).await.unwrap_err();
    assert!(matches!(error, Error::Key(_)) && !shown(&error).contains("canary"), "{error}");
}

async fn a_name_is_one_step_of_a_path(strategy: &Strategy) {
    let ada = Ada::start(strategy).await;
    let listed = |name| axum::Json(json!({"secrets": [{ "name": name }]})).into_response();
    ada.script.will_answer([listed("a/b?c#d")]);
    let odd = ada.workspace().get_secrets(None).await.unwrap();
    assert!(odd["a/b?c#d"].url().as_str().ends_with("/settings/secrets/a%2Fb%3Fc%23d"), "{odd:?}");
    ada.script.will_answer([listed("..")]);
    let error = ada.workspace().get_secrets(None).await.unwrap_err();
    assert!(matches!(error, Error::Answer { .. }), "{error}");
}

/// A runtime that knows one key of one sandbox.
struct Runtime(Option<SecretString>);

impl SandboxRuntime for Runtime {
    fn start(&self, _: SandboxStart) -> RuntimeFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn view<'a>(&'a self, _: &'a str) -> RuntimeFuture<'a, SandboxView> {
        let session_key = self.0.clone();
        let exposed_urls = Vec::new();
        let status = RuntimeStatus::Running;
        Box::pin(async move { Ok(SandboxView { status, session_key, exposed_urls }) })
    }

    fn pause<'a>(&'a self, _: &'a str) -> RuntimeFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn resume(&self, sandbox: SandboxStart) -> RuntimeFuture<'_, ()> {
        self.start(sandbox)
    }

    fn stop<'a>(&'a self, id: &'a str) -> RuntimeFuture<'a, ()> {
        self.pause(id)
    }
}

async fn a_sandbox_elsewhere_is_attached_to_while_it_runs(strategy: &Strategy) {
    let ada = Ada::start(strategy).await;
    ada.app.host.run_sandboxes(Arc::new(Runtime(Some(ada.session_key.clone()))));
    let attach = |sandbox| Workspace::attach(&ada.url, ada.key.clone(), sandbox);
    let workspace = attach("one").await.unwrap();
    assert_eq!(workspace.get_llm(Overrides::default()).await.unwrap().model, "openai/gpt-4o");
    let error = attach("two").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"the sandbox "two" is "MISSING", and has a session key only while it is RUNNING"#
    );
    ada.app.host.store().sandboxes(&ada.scope).pause("one").await.unwrap();
    let error = attach("one").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"the sandbox "one" is "PAUSED", and has a session key only while it is RUNNING"#
    );
}
