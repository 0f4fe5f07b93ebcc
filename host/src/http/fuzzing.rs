//! What strangers write into headers, read as a request's are.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header, request::Parts};

use super::{
    authz::Gateway,
    credential::{bearer, only_value},
    session::Cookies,
};
use crate::config::{Config, Environment};

/// Headers as they come off the wire: a name, a colon and a value a line.
fn headers_of(bytes: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(64) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

/// The cookies of a request, one header a line.
pub fn cookies(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(64) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(header::COOKIE, value);
        }
    }
    for origin in ["https://auth.example", "http://localhost:3000"] {
        let text = format!("auth.strategy = 'x'\nserver.public_url = '{origin}'\n");
        let config = Config::parse(None, &text, Environment::fixed(&[]));
        let cookies = Cookies::of(&config.unwrap_or_else(|_| unreachable!("it is fine")).server);
        if let Ok(Some(value)) = cookies.session(&headers) {
            let stands = |sent: &HeaderValue| {
                sent.as_bytes().windows(value.len().max(1)).any(|part| part == value.as_bytes())
            };
            assert!(value.is_empty() || headers.get_all(header::COOKIE).iter().any(stands));
        }
        let _ = cookies.browser(&headers);
        let _ = cookies.login(&headers, "state");
        for set in cookies.new_login(&headers, "state", "sealed", 600, Some("done")) {
            // One cookie each, and nothing that a stranger could add to it.
            let set = set.as_bytes();
            assert!(set.split(|byte| *byte == b';').count() <= 6);
            assert!(!set.contains(&b'\r') && !set.contains(&b'\n'));
        }
    }
}

/// The credential of a request, and what each gateway says of the one it asks about.
pub fn headers(bytes: &[u8]) {
    let headers = headers_of(bytes);
    if let Ok(Some(token)) = bearer(&headers) {
        assert!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()));
    }
    for name in ["x-session-api-key", "x-service-api-key"] {
        if let Ok(Some(value)) = only_value(&headers, name) {
            assert_eq!(headers.get_all(name).iter().count(), 1);
            assert!(!value.contains(char::is_control) || value.contains('\t'));
        }
    }
    let uri = headers.get("x-uri").and_then(|value| value.to_str().ok()).unwrap_or("/authz/envoy/");
    let Ok(request) = Request::builder().method(Method::GET).uri(uri).body(()) else { return };
    let (mut parts, ()): (Parts, ()) = request.into_parts();
    parts.headers = headers;
    for gateway in [Gateway::Nginx, Gateway::Caddy, Gateway::Traefik, Gateway::Envoy] {
        if let Ok((host, path)) = gateway.fuzzed(&parts) {
            assert!(path.starts_with('/') && !path.contains([' ', '#', '\n']), "{path}");
            assert!(!host.is_empty() && !host.contains([',', '/', '@', ' ', '#']), "{host}");
            assert_eq!(host, host.to_ascii_lowercase());
        }
    }
}
