//! What can go wrong between a sandbox and its owner's account, and what helps.

/// What can go wrong. No text and no field holds a key or a secret's value.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The base URL cannot be used. It is not repeated: it can hold a password.
    #[error("the base URL {0}; it is the server's own, such as https://vestibule.example.com")]
    Url(&'static str),
    /// The sandbox's id can be no part of a path.
    #[error("the sandbox id {0:?} can be no part of a path; give the id that the server gave it")]
    SandboxId(String),
    /// None of these variables is set.
    #[error(
        "the environment has no {}, which a sandbox is given: ask within one, or attach to one",
        .0.join(" and no ")
    )]
    Environment(Vec<String>),
    /// A reference names a variable that holds no session key.
    #[error(
        "a reference may name the variables {good}, and this one names {0:?}",
        good = crate::SESSION_KEY_VARIABLES.join(" and ")
    )]
    Variable(String),
    /// What is to be presented in this header is no key.
    #[error(
        "the key for the header {0} is empty, or has characters that no key has; was it read \
         with a line break at its end?"
    )]
    Key(String),
    /// The sandbox has no session key at the moment.
    #[error(
        "the sandbox {sandbox:?} is {status:?}, and has a session key only while it is RUNNING"
    )]
    NotRunning {
        /// Its id.
        sandbox: String,
        /// What the server says of it; `MISSING` where it knows none of this id.
        status: String,
    },
    /// The server refuses, or fails.
    #[error(
        "the server answered {status} to {path}{}; {}",
        .detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default(),
        mend(*.status)
    )]
    Status {
        /// The status of the answer.
        status: u16,
        /// What was asked for.
        path: String,
        /// What the server says about it.
        detail: Option<String>,
    },
    /// There was no answer, or not the whole of one.
    #[error("{path}: {reason}; look at the base URL, and at what is between here and the server")]
    Unreachable {
        /// What was asked for.
        path: String,
        /// What is known about it.
        reason: &'static str,
        /// What the connection says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer is not what was asked for.
    #[error("the answer to {path} {reason}; is the base URL that of a Vestibule?")]
    Answer {
        /// What was asked for.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The account has no profile of this name.
    #[error("the account has no LLM profile {name:?}; it has {}", list(.there_are))]
    NoProfile {
        /// The name.
        name: String,
        /// The profiles that there are.
        there_are: Vec<String>,
    },
    /// Neither the account nor the caller names a model.
    #[error("the account names no LLM model; set one in its settings, or override `model`")]
    NoModel,
    /// The client for HTTP cannot be made, for want of the system's certificates for instance.
    #[error("no HTTPS connection can be made here")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// Whether the same may succeed a little later: there was no answer, or the
    /// server failed.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Status { status, .. } => *status >= 500,
            Self::Unreachable { .. } => true,
            _ => false,
        }
    }
}

fn mend(status: u16) -> &'static str {
    match status {
        300..=399 => "redirects are not followed, so give the URL that it leads to",
        401 => "look at the API key, and whether the sandbox runs: its session key ends with it",
        403 => "the key must be allowed this, and the sandbox must be of the same user",
        404 => "look at the base URL, the sandbox id and the secret's name",
        429 => "ask less often",
        500.. => "its log says why",
        _ => "this client and the server do not agree",
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
