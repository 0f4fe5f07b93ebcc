//! Who is calling, in the host's own types.
//!
//! The engine turns what a component answers into these after it has checked
//! every bound; nothing above the engine sees a generated type.

mod conversation;
mod session;

use std::{fmt, net::IpAddr, sync::Arc};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

pub use self::{
    conversation::{ConversationId, InvalidConversationId},
    session::{LoginState, NamedSecrets, PresentedSession, SessionContent, TokenPair},
};

/// The store's id of the local owner: the one user of a strategy without log-in.
///
/// A UUID because clients of the API expect ids of that form.
pub const LOCAL_OWNER: &str = "00000000-0000-4000-8000-000000000001";

/// The store's id of the local owner's organisation.
pub const LOCAL_ORG: &str = "00000000-0000-4000-8000-000000000002";

/// The names of the Git providers for which a strategy can hand out tokens.
pub const PROVIDERS: [&str; 7] = [
    "github",
    "gitlab",
    "bitbucket",
    "bitbucket_data_center",
    "forgejo",
    "azure_devops",
    "enterprise_sso",
];

/// The hosts of providers where a token names no other. Providers that people
/// host themselves have none.
const USUAL_HOSTS: [(&str, &str); 4] = [
    ("github", "github.com"),
    ("gitlab", "gitlab.com"),
    ("bitbucket", "bitbucket.org"),
    ("azure_devops", "dev.azure.com"),
];

/// The host of a provider where a token names no other.
#[must_use]
pub fn usual_host(provider: &str) -> Option<&'static str> {
    USUAL_HOSTS.iter().find(|(name, _)| *name == provider).map(|(_, host)| *host)
}

/// An id is empty, too long or not printable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id has 1 to {MAX_ID_BYTES} bytes and no control character")]
pub struct InvalidId;

/// The longest id that is accepted, in bytes.
pub const MAX_ID_BYTES: usize = 255;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// Takes an id as the identity provider gives it.
            pub fn new(id: impl Into<String>) -> Result<Self, InvalidId> {
                let id = id.into();
                let printable = !id.chars().any(char::is_control);
                if id.is_empty() || id.len() > MAX_ID_BYTES || !printable {
                    return Err(InvalidId);
                }
                Ok(Self(id))
            }

            /// Takes an id that the host wrote itself.
            pub(crate) fn fixed(id: &str) -> Self {
                Self(id.to_owned())
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(id: String) -> Result<Self, InvalidId> {
                Self::new(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// A user's stable, opaque id.
    UserId
);
id!(
    /// An organisation's stable, opaque id.
    OrgId
);

impl UserId {
    /// The store's id of the local owner.
    #[must_use]
    pub fn local_owner() -> Self {
        Self::fixed(LOCAL_OWNER)
    }
}

impl OrgId {
    /// The organisation of a user who belongs to no other: it has the user's id.
    #[must_use]
    pub fn personal(user: &UserId) -> Self {
        Self(user.0.clone())
    }
}

/// One further fact about a caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// What the fact is about.
    pub name: String,
    /// The fact.
    pub value: String,
}

/// Who is calling.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// The user's id; `None` is the local owner.
    pub user_id: Option<UserId>,
    /// The organisation the user acts for.
    pub org_id: Option<OrgId>,
    /// A name to show to people.
    pub display_name: Option<String>,
    /// The user's e-mail address.
    pub email: Option<String>,
    /// Whether the identity provider vouches for `email`.
    pub email_verified: bool,
    /// Roles that the identity provider states.
    pub roles: Vec<String>,
    /// Further facts.
    pub claims: Vec<Claim>,
}

/// What the caller presented.
#[derive(Debug, Default)]
pub enum Credential {
    /// Nothing.
    #[default]
    Absent,
    /// A bearer token that is not one of the host's own keys.
    Bearer(SecretString),
    /// An API key that the host has verified.
    ApiKey(Box<PresentedKey>),
    /// The cookie of a live session.
    Session(Box<PresentedSession>),
}

/// An API key that the host has verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentedKey {
    /// Its public id.
    pub id: String,
    /// The organisation that it acts for.
    pub org_id: Option<OrgId>,
    /// The name that its owner gave it.
    pub name: String,
    /// The host made it for its own use.
    pub system: bool,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// Its owner as last established, so that a key needs no identity provider.
    pub owner: Identity,
}

/// A token of a Git provider that works now.
#[derive(Clone, Debug)]
pub struct ProviderToken {
    /// The provider, one of [`PROVIDERS`].
    pub provider: String,
    /// The access token.
    pub token: Arc<SecretString>,
    /// The provider's host, where it is not the provider's usual one.
    pub host: Option<String>,
    /// The user's account id at the provider.
    pub account_id: Option<String>,
    /// When the token expires, in seconds since the Unix epoch; `None` means never.
    pub expires_at: Option<u64>,
}

/// Why there is no provider token; the text is for the log alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// The provider refuses for good: the user must connect the account again.
    #[error("the account has to be connected again: {0}")]
    Reconnect(String),
    /// The provider does not answer now.
    #[error("the provider does not answer: {0}")]
    Unavailable(String),
    /// The strategy is at fault.
    #[error("the strategy is at fault: {0}")]
    Internal(String),
}

/// The scheme by which the caller reached the public origin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    #[default]
    Http,
    /// HTTP over TLS.
    Https,
}

/// One request for a strategy to decide.
///
/// Borrowed from the HTTP request: nothing is copied on the way to the engine.
#[derive(Debug)]
pub struct Request<'a> {
    /// The method as sent.
    pub method: &'a str,
    /// The scheme.
    pub scheme: Scheme,
    /// The host in lower case, with its port when that is not the default one.
    pub host: &'a str,
    /// The path, undecoded.
    pub path: &'a str,
    /// The query without its `?`.
    pub query: Option<&'a str>,
    /// Where the request came from.
    pub client_address: Option<IpAddr>,
    /// What the caller presented.
    pub credential: Credential,
    /// The headers that the strategy's description asks for, in its order.
    pub headers: Vec<Option<&'a str>>,
    /// The request's id in logs.
    pub id: RequestId,
}

/// The id by which one request is found in logs; 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId(u64);

impl RequestId {
    /// Takes any number that is unlikely to come twice.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its digits. By a table, because every response carries them, and a
    /// formatter takes several times as long.
    pub(crate) fn digits(self) -> [u8; 16] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut digits = [0; 16];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(self.0.to_be_bytes()) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 0xf)];
        }
        digits
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a strategy found out about the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nobody is logged in.
    Anonymous,
    /// This is who is calling.
    Authenticated(Identity),
}

/// Why a strategy gives no answer; the text is for the log alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The presented credential is bad or over.
    #[error("unauthenticated: {0}")]
    Unauthenticated(String),
    /// The caller is known and may not come in.
    #[error("forbidden: {0}")]
    Forbidden(String),
    /// Something that the strategy needs does not answer now.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The strategy itself is at fault.
    #[error("internal error of the strategy: {0}")]
    Internal(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_bounded_and_printable() {
        assert!(UserId::new("octocat").is_ok());
        assert!(UserId::new("名前").is_ok());
        for bad in ["", "a\nb", "a\u{7f}", &"x".repeat(MAX_ID_BYTES + 1)] {
            assert_eq!(UserId::new(bad), Err(InvalidId), "{bad:?}");
        }
    }

    #[test]
    fn request_ids_have_sixteen_digits() {
        let id = RequestId::new(0x0123_4567_89ab_cdef);
        assert_eq!(id.to_string(), "0123456789abcdef");
        assert_eq!(id.digits(), *b"0123456789abcdef");
        assert_eq!(RequestId::new(0xa).to_string(), "000000000000000a");
    }
}
