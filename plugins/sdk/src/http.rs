//! Requests to origins that the operator granted, and to no others.
//!
//! An origin is scheme, host and port, and matches to the letter. A granted name
//! may stand for public and private addresses; for this machine only if it is
//! `localhost` or ends in `.localhost`, and never for link-local and other
//! special addresses. To reach one of those, the operator grants the address.
//!
//! - No redirect is followed: a 302 is a reply like any other.
//! - A reply has at most 1 MiB. Ask for no compression; the host asks for none.
//! - The time is bounded by the call's own; a request that takes too long ends a
//!   little before the call does, so that there is time to answer `unavailable`.
//! - [`Basic`] has user name and password encoded as OAuth wants it (RFC 6749
//!   section 2.3.1).
//! - `capture` works on JSON and on forms, whatever type the reply claims. A field
//!   that is missing, empty or no text gives `None`. Secrets of 8 bytes or more
//!   that stand anywhere else in a reply are left out there.

pub use crate::bindings::vestibule::auth::http_client::{
    Authorization, Basic, Body, Field, Header, HttpError, Method, RawBody, Request, Response,
    Value, send,
};

use crate::Secret;

impl Request<'_> {
    /// A request with nothing but a method and an absolute URL.
    #[must_use]
    pub fn new(method: Method, url: impl Into<String>) -> Self {
        Self {
            method,
            url: url.into(),
            headers: Vec::new(),
            authorization: Authorization::None,
            body: Body::Empty,
            capture: Vec::new(),
            timeout_seconds: None,
        }
    }
}

impl<'a> Field<'a> {
    /// A named text.
    #[must_use]
    pub fn text(name: &str, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: Value::Text(value.into()) }
    }

    /// A named secret, put in place by the host.
    #[must_use]
    pub fn secret(name: &str, value: &'a Secret) -> Self {
        Self { name: name.into(), value: Value::Secret(value) }
    }
}

impl Response {
    /// The first header of this name, which is in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|header| header.name == name)?;
        Some(&header.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_found_by_name() {
        let response = Response {
            status: 200,
            headers: vec![Header { name: "etag".into(), value: "x".into() }],
            body: Vec::new(),
            captured: Vec::new(),
        };
        assert_eq!(response.header("etag"), Some("x"));
        assert_eq!(response.header("date"), None);
    }
}
