//! What a browser holds of a session, and what the database does.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use secrecy::SecretString;

use crate::{hex, secret, store::random_bytes};

/// The id of a session as a cookie carries it: 256 random bits in base64url.
#[derive(Clone, Debug)]
pub struct SessionKey(SecretString);

impl SessionKey {
    /// Takes what a cookie holds; `None` where it is no id of a session.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        (bytes.len() == 32).then(|| Self(SecretString::from(text)))
    }

    pub(super) fn random() -> Self {
        Self(SecretString::from(BASE64_URL_SAFE_NO_PAD.encode(random_bytes::<32>())))
    }

    /// What goes into the cookie.
    #[must_use]
    pub fn text(&self) -> &SecretString {
        &self.0
    }

    pub(super) fn hash(&self) -> SessionId {
        SessionId(hex::encode(&secret::digest(&self.0)))
    }
}

/// A session's row: the digest of its key, by which nobody can present it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SessionId(pub(in crate::store) String);
