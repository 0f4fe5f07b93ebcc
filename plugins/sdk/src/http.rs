//! Requests to origins that the operator granted, and to no others.

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
