//! `settings`: the operator's settings without the secret ones.

use super::Context;
use crate::bindings::vestibule::auth::settings;

impl settings::Host for Context {
    fn all(&mut self) -> wasmtime::Result<String> {
        Ok(self.granted.settings.clone())
    }
}
