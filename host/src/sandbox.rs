//! What runs sandboxes: nothing of ours. An embedder implements it, and the
//! client's own calls are handed to it.

use std::{fmt, pin::Pin};

use secrecy::SecretString;

use crate::identity::{OrgId, UserId};

/// A future of a runtime's.
pub type RuntimeFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, RuntimeError>> + Send + 'a>>;

/// A runtime cannot do what it is asked; the text is for the log alone.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RuntimeError(pub String);

/// A sandbox to be started, or to run again.
#[derive(Debug)]
pub struct SandboxStart {
    /// Its id.
    pub id: String,
    /// Its owner.
    pub user: UserId,
    /// The organisation that its owner acts for.
    pub org: OrgId,
    /// What kind of sandbox the caller asks for.
    pub spec: Option<String>,
    /// The key by which it reaches its owner's things. It is known here and now
    /// only: the runtime hands it to the sandbox and keeps it.
    pub session_key: SecretString,
}

/// What becomes of a sandbox, in the words of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeStatus {
    /// It is not ready yet.
    Starting,
    /// It can be used.
    Running,
    /// It failed.
    Error,
    /// The runtime does not know it.
    Missing,
}

/// A service within a sandbox.
#[derive(Clone, Debug)]
pub struct ExposedUrl {
    /// Its name, `AGENT_SERVER` for instance.
    pub name: String,
    /// Where it can be reached.
    pub url: String,
    /// Its port within the sandbox.
    pub port: u16,
}

/// A sandbox as its runtime sees it.
#[derive(Debug)]
pub struct SandboxView {
    /// What has become of it.
    pub status: RuntimeStatus,
    /// The key that it was started with.
    pub session_key: Option<SecretString>,
    /// What can be reached in it.
    pub exposed_urls: Vec<ExposedUrl>,
}

/// Starts, looks at and ends sandboxes.
pub trait SandboxRuntime: Send + Sync {
    /// Starts one, and need not wait until it is ready.
    fn start(&self, sandbox: SandboxStart) -> RuntimeFuture<'_, ()>;

    /// How one is.
    fn view<'a>(&'a self, id: &'a str) -> RuntimeFuture<'a, SandboxView>;

    /// Pauses one, or leaves it paused; its session key is good no more already.
    fn pause<'a>(&'a self, id: &'a str) -> RuntimeFuture<'a, ()>;

    /// Lets one run again, under a new session key.
    fn resume(&self, sandbox: SandboxStart) -> RuntimeFuture<'_, ()>;

    /// Ends one, or leaves it ended; its session key is good no more already.
    fn stop<'a>(&'a self, id: &'a str) -> RuntimeFuture<'a, ()>;
}

impl fmt::Debug for dyn SandboxRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SandboxRuntime")
    }
}
