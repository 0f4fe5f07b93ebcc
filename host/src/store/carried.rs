//! What a browser carries for us from one request to another, sealed.
//!
//! Nothing of it rests here, so that strangers cost no room.

use serde::{Serialize, de::DeserializeOwned};

use super::Store;
use crate::cipher::{Place, Sealed};

/// What is sealed for one purpose does not open for another.
const fn place(purpose: &'static str) -> Place<'static> {
    Place { column: purpose, org: "", user: "", name: "" }
}

impl Store {
    /// Seals something for a browser to carry.
    #[must_use]
    pub(crate) fn seal_carried(&self, purpose: &'static str, carried: &impl Serialize) -> String {
        let bytes = serde_json::to_vec(carried)
            .unwrap_or_else(|error| unreachable!("what is carried is plain data: {error}"));
        let sealed = self.cipher.seal_bytes(&place(purpose), &bytes);
        // Its padding says nothing, and would have to be encoded in an address.
        format!("{}.{}", sealed.key, sealed.token.trim_end_matches('='))
    }

    /// Opens what a browser carries.
    #[must_use]
    pub(crate) fn open_carried<T: DeserializeOwned>(
        &self,
        purpose: &'static str,
        carried: &str,
    ) -> Option<T> {
        let (key, token) = carried.split_once('.')?;
        let padding = "=".repeat((4 - token.len() % 4) % 4);
        let sealed = Sealed { key: key.to_owned(), token: format!("{token}{padding}") };
        let bytes = self.cipher.open_bytes(&place(purpose), &sealed).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}
