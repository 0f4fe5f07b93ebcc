//! The time, always granted.

pub use crate::bindings::vestibule::auth::clock::now;
