//! Secrets in answers: the one place where they leave by HTTP.

use secrecy::SecretString;

use crate::secret::reveal;

/// A secret's text for its owner, or for a sandbox that acts for its owner.
pub(super) fn shown(secret: &SecretString) -> String {
    reveal(secret).to_owned()
}
