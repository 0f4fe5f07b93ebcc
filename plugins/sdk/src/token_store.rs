//! Users' durable tokens, sealed in the host's database.
//!
//! A user is named by id, the local owner by `None`. Log-ins reach anybody's
//! tokens, a call about a user that user's, and every call the local owner's.
//!
//! Changes happen under a [`Lease`], which is given back when it is dropped, and
//! by the host however else the call ends. Between `begin_rotation` and `save`
//! or `abandon_rotation` the token counts as used up: whoever finds it after a
//! call that broke off there finds it as `reconnect`. A `save` that was begun is
//! finished even if the call is not.

pub use crate::bindings::vestibule::auth::token_store::{
    Lease, StoreError, StoredToken, TokenState, acquire_lease, load, names,
};
