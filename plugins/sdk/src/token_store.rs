//! Users' durable tokens, sealed in the host's database.
//!
//! A user is named by id, the local owner by `None`. Changes happen under a
//! [`Lease`], which is given back when it is dropped.

pub use crate::bindings::vestibule::auth::token_store::{
    Lease, StoreError, StoredToken, TokenState, acquire_lease, load, names,
};
