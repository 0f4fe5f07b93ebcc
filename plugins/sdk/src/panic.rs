//! The last words of a strategy that panics, as a line in the operator's log.
//!
//! Without them a panic is an anonymous `unreachable`, because Wasm has no
//! standard error.

use std::panic::{PanicHookInfo, set_hook};

use crate::log;

/// Makes panics speak. The box holds nothing, so that this allocates nothing.
pub(crate) fn speak() {
    set_hook(Box::new(write));
}

fn write(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("panicked");
    match panic.location() {
        Some(location) => log::error(message, &[("location", &location.to_string())]),
        None => log::error(message, &[]),
    }
}
