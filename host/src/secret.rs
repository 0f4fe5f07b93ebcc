//! What may be done with a secret without showing it, and the one way to show it.

use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

/// The text, for whoever it belongs to: an answer to its owner, a file that
/// keeps it. Every use stands out in a search for this name.
#[must_use]
pub(crate) fn reveal(secret: &SecretString) -> &str {
    #[expect(clippy::disallowed_methods, reason = "the one way to show a secret")]
    secret.expose_secret()
}

/// Its SHA-256: equal for equal secrets, and all the same length.
#[must_use]
pub(crate) fn digest(secret: &SecretString) -> [u8; 32] {
    digest_of(reveal(secret))
}

/// The SHA-256 of a text that is not kept.
#[must_use]
pub(crate) fn digest_of(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// How many bytes it has.
#[must_use]
pub(crate) fn len(secret: &SecretString) -> usize {
    reveal(secret).len()
}

/// Whether a header can hold it.
#[must_use]
pub(crate) fn is_printable(secret: &SecretString) -> bool {
    reveal(secret).bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

/// Whether it can be guessed: fewer bytes than these, or one over and over.
#[must_use]
pub(crate) fn is_weak(secret: &SecretString, bytes: usize) -> bool {
    let text = reveal(secret).as_bytes();
    text.len() < bytes || text.iter().all(|byte| *byte == text[0])
}
