//! Which URLs a strategy may ask for: those at an origin that is granted, to the
//! letter of scheme, host and port.

use http::Uri;
use url::{Origin, Url};

use crate::bindings::vestibule::auth::http_client::HttpError;

/// The origins that are granted.
pub(super) struct Origins(Vec<Origin>);

impl Origins {
    /// Takes what `[auth.grants]` says; the configuration has refused whatever is
    /// no origin.
    pub(super) fn new(granted: &[String]) -> Self {
        let origin = |text: &String| Url::parse(text).ok().map(|url| url.origin());
        Self(granted.iter().filter_map(origin).collect())
    }

    /// As they are written.
    pub(super) fn texts(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(Origin::ascii_serialization)
    }

    /// A URL at a granted origin, as it is sent. What is refused is named by its
    /// origin alone: the rest of a URL may be nobody's business.
    pub(super) fn admit(&self, text: &str) -> Result<Uri, HttpError> {
        let url = readable(text)?;
        if !self.hold(&url) {
            return Err(HttpError::NotGranted(url.origin().ascii_serialization()));
        }
        sendable(url)
    }

    /// Whether a URL is at one of them.
    pub(super) fn hold(&self, url: &Url) -> bool {
        self.0.contains(&url.origin())
    }
}

/// A URL that can be read in one way only.
pub(in crate::capability) fn readable(text: &str) -> Result<Url, HttpError> {
    let invalid = |what: &str| HttpError::InvalidRequest(what.to_owned());
    // The parser would leave them out without a word.
    if text.contains(|character: char| character.is_control() || character == ' ') {
        return Err(invalid("the URL has a blank or a control character in it"));
    }
    let url = Url::parse(text).map_err(|_| invalid("this is no absolute URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("only http and https can be asked for"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("a URL cannot hold a user or a password"));
    }
    Ok(url)
}

pub(super) fn sendable(mut url: Url) -> Result<Uri, HttpError> {
    url.set_fragment(None);
    let unsent = |_| HttpError::InvalidRequest("the URL cannot be sent".to_owned());
    url.as_str().parse().map_err(unsent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(text: &str) -> Result<String, HttpError> {
        let granted = ["https://a.example", "http://b.example:8080", "http://127.0.0.1:9000"];
        let origins = Origins::new(&granted.map(str::to_owned));
        origins.admit(text).map(|uri| uri.to_string())
    }

    #[test]
    fn a_granted_origin_may_be_spelt_in_any_way() {
        for (text, sent) in [
            ("https://a.example/x?y=1", "https://a.example/x?y=1"),
            ("HTTPS://A.Example:443/x#fragment", "https://a.example/x"),
            ("https://a.example", "https://a.example/"),
            ("https://a.example\\@elsewhere.example/", "https://a.example/@elsewhere.example/"),
            ("http://b.example:8080/../x", "http://b.example:8080/x"),
            // Other spellings of an address are the same address.
            ("http://2130706433:9000/", "http://127.0.0.1:9000/"),
            ("http://0x7f.1:9000/", "http://127.0.0.1:9000/"),
        ] {
            assert_eq!(admit(text).unwrap(), sent, "{text}");
        }
    }

    #[test]
    fn nothing_near_it_is_granted_and_no_more_than_the_origin_is_told() {
        for (text, told) in [
            ("http://a.example/secret", "http://a.example"),
            ("https://a.example:8443/?secret", "https://a.example:8443"),
            ("https://a.example./", "https://a.example."),
            ("https://sub.a.example/", "https://sub.a.example"),
            ("https://a.example.elsewhere.example/", "https://a.example.elsewhere.example"),
            ("http://b.example/", "http://b.example"),
            ("http://127.0.0.1/", "http://127.0.0.1"),
            ("http://[::ffff:127.0.0.1]:9000/", "http://[::ffff:7f00:1]:9000"),
            ("http://169.254.169.254/latest/meta-data", "http://169.254.169.254"),
        ] {
            match admit(text) {
                Err(HttpError::NotGranted(origin)) => assert_eq!(origin, told),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_two_parsers_may_read_in_two_ways_is_refused() {
        for text in [
            "https://user@a.example/",
            "https://:word@a.example/",
            "https://a.example@elsewhere.example/",
            "https://a.exam\nple/",
            " https://a.example/",
            "https://a.example/a b",
            "file:///etc/passwd",
            "ftp://a.example/",
            "//a.example/",
            "/x",
            "",
        ] {
            assert!(matches!(admit(text), Err(HttpError::InvalidRequest(_))), "{text:?}");
        }
    }
}
