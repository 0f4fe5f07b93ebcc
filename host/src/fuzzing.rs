//! Doors for the fuzz targets, which are outside and look at what is inside.
//!
//! Only a build of `cargo fuzz` has them. Each takes what a stranger could send and
//! panics where something holds that must not.

pub use crate::{
    capability::jose_fuzzing as tokens,
    engine::fuzzing::answer,
    http::fuzzing::{cookies, headers},
    store::key_text_fuzzing as key_text,
};
