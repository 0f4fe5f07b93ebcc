//! Renewing the caller's session in the middle of a call, for a credential that
//! says `refresh`.

pub use crate::bindings::vestibule::auth::session_store::{
    SessionError, abandon_rotation, begin_rotation, current, save,
};
