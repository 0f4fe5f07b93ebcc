//! `secrets`: handles that a component can compare and name, and never read.

pub(crate) mod handles;

use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::SecretString;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use wasmtime::component::Resource;

use super::{Context, log::denials::Denied};
use crate::{
    bindings::vestibule::auth::secrets::{Host, HostSecret, SecretError},
    secret,
};

/// What a handle stands for.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings name it as public")]
pub struct Secret(Arc<SecretString>);

impl Secret {
    pub(crate) fn new(text: impl Into<Arc<SecretString>>) -> Self {
        Self(text.into())
    }

    /// What it stands for, when a component lends it to the host.
    pub(crate) fn text(&self) -> Arc<SecretString> {
        Arc::clone(&self.0)
    }

    /// What it stands for, when a component hands it to the host for good.
    pub(crate) fn into_text(self) -> Arc<SecretString> {
        self.0
    }

    /// Compares digests, so that neither the content nor the length of either
    /// secret shows in the time it takes.
    fn equals(&self, other: &Self) -> bool {
        secret::digest(&self.0).ct_eq(&secret::digest(&other.0)).into()
    }
}

/// The text, for the two that work on it outside a component: a request on its
/// way to a granted server, and the check of a token.
pub(super) fn shown(secret: &SecretString) -> &str {
    secret::reveal(secret)
}

/// Keys the digests by which a log tells secrets apart.
#[derive(Clone)]
pub(crate) struct FingerprintKey([u8; 32]);

impl FingerprintKey {
    /// Makes a key that nobody knows.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self(key))
    }

    /// Forty-eight bits: enough to tell secrets apart, too few to identify one.
    fn fingerprint(&self, shown: &Secret) -> String {
        let mut mac = <Hmac<Sha256>>::new_from_slice(&self.0)
            .unwrap_or_else(|_| unreachable!("HMAC takes a key of any length"));
        mac.update(&secret::digest(&shown.0));
        crate::hex::encode(&mac.finalize().into_bytes()[..6])
    }
}

impl Host for Context {
    fn configured(
        &mut self,
        name: String,
    ) -> wasmtime::Result<Result<Option<Resource<Secret>>, SecretError>> {
        let Some(value) = self.granted.secrets.get(&name) else {
            self.granted.deny(self.request, Denied::Secret(&name));
            return Ok(Err(SecretError::NotDeclared(name)));
        };
        let Some(text) = value.clone() else {
            return Ok(Ok(None));
        };
        Ok(Ok(Some(self.table.push(Secret::new(text))?)))
    }
}

impl HostSecret for Context {
    fn equals(
        &mut self,
        this: Resource<Secret>,
        other: Resource<Secret>,
    ) -> wasmtime::Result<bool> {
        Ok(self.table.get(&this)?.equals(self.table.get(&other)?))
    }

    fn fingerprint(&mut self, this: Resource<Secret>) -> wasmtime::Result<String> {
        Ok(self.granted.fingerprints.fingerprint(self.table.get(&this)?))
    }

    fn drop(&mut self, this: Resource<Secret>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(SecretString::from(text))
    }

    #[test]
    fn equal_texts_are_equal_and_others_are_not() {
        assert!(secret("hunter2").equals(&secret("hunter2")));
        for other in ["hunter", "hunter22", "Hunter2", ""] {
            assert!(!secret("hunter2").equals(&secret(other)), "{other:?}");
        }
    }

    #[test]
    fn fingerprints_differ_by_secret_and_by_installation() {
        let here = FingerprintKey([1; 32]);
        let there = FingerprintKey([2; 32]);
        let print = here.fingerprint(&secret("hunter2"));
        assert_eq!(print.len(), 12);
        assert_eq!(print, here.fingerprint(&secret("hunter2")));
        assert_ne!(print, here.fingerprint(&secret("hunter3")));
        assert_ne!(print, there.fingerprint(&secret("hunter2")));
    }

    #[test]
    fn debug_shows_no_text() {
        assert!(!format!("{:?}", secret("hunter2")).contains("hunter2"));
    }
}
