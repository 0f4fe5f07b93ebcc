//! `jose`: verification of signed tokens.
//!
//! No issuer can be used yet: every request is answered with `not-granted`.

use wasmtime::component::Resource;

use super::{Context, secrets::Secret};
use crate::bindings::vestibule::auth::jose::{
    ClaimValue, Expectations, Host, Issuer, JoseError, Metadata,
};

impl Host for Context {
    async fn discover(&mut self, issuer: Issuer) -> wasmtime::Result<Result<Metadata, JoseError>> {
        Ok(Err(JoseError::NotGranted(issuer.id)))
    }

    async fn verify(
        &mut self,
        _token: Resource<Secret>,
        issuer: Issuer,
        _expected: Expectations,
    ) -> wasmtime::Result<Result<Vec<Option<ClaimValue>>, JoseError>> {
        Ok(Err(JoseError::NotGranted(issuer.id)))
    }
}
