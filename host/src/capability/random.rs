//! `random`: the operating system's generator.

use wasmtime::format_err;

use super::{Context, Violation};
use crate::bindings::vestibule::auth::random;

/// The most bytes of one call, as the contract says.
const MAX_BYTES: u32 = 4096;

impl random::Host for Context {
    fn bytes(&mut self, length: u32) -> wasmtime::Result<Vec<u8>> {
        if length > MAX_BYTES {
            let what = format!("random.bytes gives at most {MAX_BYTES} bytes, not {length}");
            return Err(Violation(what).into());
        }
        let mut bytes = vec![0; length as usize];
        getrandom::fill(&mut bytes)
            .map_err(|source| format_err!("the system gives no randomness: {source}"))?;
        Ok(bytes)
    }

    fn number(&mut self) -> wasmtime::Result<u64> {
        getrandom::u64().map_err(|source| format_err!("the system gives no randomness: {source}"))
    }
}
