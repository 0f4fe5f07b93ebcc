//! Values that a strategy can use and cannot read.

pub use crate::bindings::vestibule::auth::secrets::{Secret, SecretError, configured};
