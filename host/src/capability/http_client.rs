//! `http-client`: requests to granted origins.
//!
//! No origin can be reached yet: every request is answered with `not-granted`.

use super::Context;
use crate::bindings::vestibule::auth::http_client::{Host, HttpError, Request, Response};

impl Host for Context {
    async fn send(&mut self, request: Request) -> wasmtime::Result<Result<Response, HttpError>> {
        Ok(Err(HttpError::NotGranted(request.url)))
    }
}
