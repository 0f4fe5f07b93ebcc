//! `token-store`: users' durable tokens.
//!
//! No name can be used yet: every request is answered with `not-granted`.

use wasmtime::{component::Resource, format_err};

use super::Context;
use crate::bindings::vestibule::auth::{
    token_store::{Host, HostLease, StoreError, StoredToken},
    types::NewToken,
};

/// The sole right to change one token. None is handed out yet.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings name it as public")]
pub enum Lease {}

impl Host for Context {
    async fn load(
        &mut self,
        _user: Option<String>,
        name: String,
    ) -> wasmtime::Result<Result<Option<StoredToken>, StoreError>> {
        Ok(Err(StoreError::NotGranted(name)))
    }

    async fn names(
        &mut self,
        _user: Option<String>,
    ) -> wasmtime::Result<Result<Vec<String>, StoreError>> {
        Ok(Err(StoreError::NotGranted("names".to_owned())))
    }

    async fn acquire_lease(
        &mut self,
        _user: Option<String>,
        name: String,
    ) -> wasmtime::Result<Result<Resource<Lease>, StoreError>> {
        Ok(Err(StoreError::NotGranted(name)))
    }
}

impl HostLease for Context {
    async fn current(
        &mut self,
        _this: Resource<Lease>,
    ) -> wasmtime::Result<Result<Option<StoredToken>, StoreError>> {
        Err(no_lease())
    }

    async fn begin_rotation(
        &mut self,
        _this: Resource<Lease>,
    ) -> wasmtime::Result<Result<(), StoreError>> {
        Err(no_lease())
    }

    async fn abandon_rotation(
        &mut self,
        _this: Resource<Lease>,
    ) -> wasmtime::Result<Result<(), StoreError>> {
        Err(no_lease())
    }

    async fn save(
        &mut self,
        _this: Resource<Lease>,
        _token: NewToken,
    ) -> wasmtime::Result<Result<(), StoreError>> {
        Err(no_lease())
    }

    async fn mark_reconnect(
        &mut self,
        _this: Resource<Lease>,
        _reason: String,
    ) -> wasmtime::Result<Result<(), StoreError>> {
        Err(no_lease())
    }

    async fn drop(&mut self, this: Resource<Lease>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

/// A component can hold no lease, because none was handed out.
fn no_lease() -> wasmtime::Error {
    format_err!("no such lease")
}
