//! What the host makes for one trip of a browser to an identity provider.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use secrecy::SecretString;

use crate::{
    engine::Attempt,
    identity::LoginState,
    secret,
    store::{PendingLogin, random_bytes},
};

/// The values of one trip: 256 random bits each.
pub(super) struct Trip {
    state: String,
    nonce: String,
    verifier: SecretString,
    challenge: String,
    /// Where the browser goes when it is in.
    pub(super) return_to: String,
}

impl Trip {
    pub(super) fn new() -> Self {
        let random = || BASE64_URL_SAFE_NO_PAD.encode(random_bytes::<32>());
        let verifier = SecretString::from(random());
        Self {
            state: random(),
            nonce: random(),
            // RFC 7636 section 4.2.
            challenge: BASE64_URL_SAFE_NO_PAD.encode(secret::digest(&verifier)),
            verifier,
            return_to: String::new(),
        }
    }

    pub(super) fn returning_to(self, return_to: String) -> Self {
        Self { return_to, ..self }
    }

    pub(super) fn attempt<'a>(&'a self, redirect_uri: &'a str) -> Attempt<'a> {
        Attempt {
            redirect_uri,
            state: &self.state,
            nonce: &self.nonce,
            code_challenge: &self.challenge,
        }
    }

    pub(super) fn pending(self, kept: LoginState, now: u64) -> PendingLogin {
        PendingLogin {
            state: self.state,
            verifier: Arc::new(self.verifier),
            nonce: self.nonce,
            return_to: self.return_to,
            begun_at: now,
            kept,
        }
    }
}
