//! What the runtime tells a sandbox.

use secrecy::SecretString;

/// Where a sandbox finds its session key: the variable of the service that started
/// it, or else that of the runtime. A reference names one of them, so that it can
/// send nothing else of the environment anywhere.
pub const SESSION_KEY_VARIABLES: [&str; 2] = ["SESSION_API_KEY", "OH_SESSION_API_KEYS_0"];

/// Where a sandbox finds its id.
pub(crate) const SANDBOX_ID: &str = "SANDBOX_ID";

/// A variable that is set to something.
pub(crate) fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "a sandbox is told who it is in no other way")]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The session key, and the variable that holds it.
pub(crate) fn session_key() -> Option<(SecretString, &'static str)> {
    SESSION_KEY_VARIABLES.iter().find_map(|name| Some((variable(name)?.into(), *name)))
}
