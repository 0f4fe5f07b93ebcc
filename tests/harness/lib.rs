//! What the tests share: the real router with real components, and a caller.

pub mod browser;
pub mod craft;
pub mod database;
pub mod envoy;
pub mod forges;
pub mod gateways;
pub mod github;
pub mod issuer;
pub mod keycloak;
pub mod keys;
pub mod logs;
pub mod memory;
pub mod operator;
pub mod peer;
pub mod pen;
pub mod plugins;
pub mod puppet;
pub mod readings;
pub mod run;
pub mod script;
pub mod strategies;
pub mod swaps;

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{body::Body, extract::ConnectInfo};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::BodyExt as _;
use secrecy::SecretString;
use serde_json::Value;
use tower::ServiceExt as _;
use vestibule::{
    clock::Clock,
    config::{Config, Environment},
    engine::Hooks,
    host::{Host, StartError},
    http::router,
};

use database::Database;

/// When the tests take place: seconds since the Unix epoch.
pub const NOW: u64 = 1_800_000_000;

/// The root of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace is there")
}

/// A component that `cargo xtask plugins` has built.
#[must_use]
pub fn component(name: &str) -> PathBuf {
    ["plugins", "test-plugins"]
        .iter()
        .map(|folder| workspace().join("target").join(folder).join(format!("{name}.wasm")))
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("{name}.wasm is not built; run `cargo xtask plugins`"))
}

/// A running Vestibule without a socket.
#[derive(Clone)]
pub struct TestApp {
    /// The host behind the router.
    pub host: Host,
    /// The time, which stands still until a test moves it.
    pub clock: Clock,
    router: axum::Router,
    /// Lives as long as the app: database and components.
    folder: Arc<run::Folder>,
}

impl TestApp {
    /// Starts Vestibule on a component with `toml` after the usual lines.
    pub async fn start(name: &str, toml: &str) -> Self {
        Self::try_start(name, toml, &[]).await.expect("the app starts")
    }

    /// Starts Vestibule, or says why it does not start.
    pub async fn try_start(
        name: &str,
        toml: &str,
        environment: &[(&str, &str)],
    ) -> Result<Self, StartError> {
        let folder = Arc::new(run::folder());
        let url = format!("sqlite://{}/vestibule.db", folder.path().display());
        let database = Database { url, clock: Clock::fixed(NOW), folder };
        Self::start_on(&database, name, toml, environment, Hooks::default()).await
    }

    /// Starts Vestibule on a database, and looks into its calls.
    pub async fn start_on(
        database: &Database,
        name: &str,
        toml: &str,
        environment: &[(&str, &str)],
        hooks: Hooks,
    ) -> Result<Self, StartError> {
        // The clock stands still, and so would the window of a limit.
        let limits = if toml.contains("rate_limits") {
            ""
        } else {
            "rate_limits.user_second = 0\nrate_limits.user_minute = 0\n"
        };
        let text = format!(
            "{limits}database.url = '{}'\nauth.strategy = '{}'\n{toml}",
            database.url,
            component(name).display(),
        );
        Self::start_text(database, &text, environment, hooks).await
    }

    /// Starts Vestibule on a whole configuration, which names the database.
    pub async fn start_text(
        database: &Database,
        text: &str,
        environment: &[(&str, &str)],
        hooks: Hooks,
    ) -> Result<Self, StartError> {
        let config = Config::parse(None, text, Environment::fixed(environment))
            .expect("the configuration is well formed");
        let (clock, folder) = (database.clock.clone(), Arc::clone(&database.folder));
        let host = Host::start_hooked(config, clock.clone(), hooks).await?;
        let router = router(host.clone());
        Ok(Self { host, clock, router, folder })
    }

    /// A folder that goes with the app.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Somebody who presents nothing.
    #[must_use]
    pub fn anonymous(&self) -> Caller {
        Caller { app: self.clone(), headers: HeaderMap::new(), address: None }
    }
}

/// Somebody who calls the app, as a value.
#[derive(Clone)]
pub struct Caller {
    app: TestApp,
    headers: HeaderMap,
    address: Option<IpAddr>,
}

impl Caller {
    /// The same caller with one more header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, value.parse().expect("a header value"));
        self
    }

    /// The same caller, who comes from an address.
    #[must_use]
    pub fn at(self, address: &str) -> Self {
        Self { address: Some(address.parse().expect("an address")), ..self }
    }

    /// What this caller's requests say of themselves.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The host that is called.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.app.host
    }

    /// Sends a `GET`.
    pub async fn get(&self, path: &str) -> Reply {
        self.send("GET", path).await
    }

    /// The same caller with an API key.
    #[must_use]
    pub fn with_key(self, key: &SecretString) -> Self {
        self.with("authorization", &format!("Bearer {}", run::text(key)))
    }

    /// Sends a request without a body.
    pub async fn send(&self, method: &str, path: &str) -> Reply {
        self.send_body(method, path, Body::empty()).await
    }

    /// Sends a request with a JSON document.
    pub async fn send_json(&self, method: &str, path: &str, document: Value) -> Reply {
        let caller = self.clone().with("content-type", "application/json");
        caller.send_body(method, path, Body::from(document.to_string())).await
    }

    /// Sends a request with any body.
    pub async fn send_body(&self, method: &str, path: &str, body: Body) -> Reply {
        let mut request =
            Request::builder().method(method).uri(path).body(body).expect("a request");
        request.headers_mut().extend(self.headers.clone());
        if let Some(address) = self.address {
            request.extensions_mut().insert(ConnectInfo(SocketAddr::new(address, 50_000)));
        }
        request.headers_mut().entry("host").or_insert(HeaderValue::from_static("localhost"));
        let response = self.app.router.clone().oneshot(request).await.expect("infallible");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        Reply {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).expect("text"),
        }
    }
}

/// A whole response.
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

impl Reply {
    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// A header's value, or nothing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    /// Status and body on two lines, without what differs from run to run.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut body = self.json();
        if let Some(id) = body.get_mut("request_id") {
            *id = Value::from("…");
        }
        format!("{}\n{body}", self.status)
    }
}
