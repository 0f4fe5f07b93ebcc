//! `clock`: the host's time, at the resolution of a second.

use super::Context;
use crate::bindings::vestibule::auth::clock;

impl clock::Host for Context {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.granted.clock.now())
    }
}
