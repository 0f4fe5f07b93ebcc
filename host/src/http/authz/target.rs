//! The request that a gateway asks about.

use http::{
    HeaderValue, Method, Uri, header,
    request::Parts,
    uri::{Authority, PathAndQuery},
};

use crate::{
    config::{App, Config},
    http::{Problem, extract::is_authority},
    text,
};

/// The longest path with its query, in bytes.
const MAX_BYTES: usize = 8_192;
/// The longest name of a method.
const MAX_METHOD_BYTES: usize = 32;

/// The request that a gateway asks about.
#[derive(Debug)]
pub(super) struct Target {
    method: Method,
    scheme: &'static str,
    /// In lower case, without a dot at its end.
    host: String,
    port: Option<u16>,
    path: PathAndQuery,
}

impl Target {
    /// Takes what a gateway says, where it can be read in one way only.
    pub(super) fn new(
        method: &str,
        scheme: &str,
        authority: &str,
        path: &str,
    ) -> Result<Self, Problem> {
        let (host, port) = host_and_port(authority)?;
        let scheme = match scheme {
            "http" | "ws" => "http",
            "https" | "wss" => "https",
            _ => return Err(Problem::ambiguous("the scheme is neither http nor https")),
        };
        Ok(Self { method: parsed_method(method)?, scheme, host, port, path: parsed_path(path)? })
    }

    #[cfg(fuzzing)]
    pub(super) fn fuzzed(self) -> (String, String) {
        (self.host, self.path.as_str().to_owned())
    }

    /// The app that it is for. What no app is configured for does not pass.
    pub(super) fn app<'a>(&self, config: &'a Config) -> Result<&'a App, Problem> {
        let is_its = |app: &&App| {
            let port = app.origin.port_or_known_default();
            // A gateway may have dropped the port. Another one is another app.
            let same_port = self.port.is_none_or(|asked| Some(asked) == port);
            app.host() == self.host && app.origin.scheme() == self.scheme && same_port
        };
        config.apps.iter().find(is_its).ok_or_else(|| {
            let Self { scheme, host, port, .. } = self;
            let port = port.map_or_else(String::new, |port| format!(":{port}"));
            let asked = text::escape(&text::cut(format!("{scheme}://{host}{port}"), 256));
            Problem::forbidden_because("there is no app here")
                .because(format!("no [[apps]] has the host {asked}, with this scheme and port"))
        })
    }

    /// Puts it in the place of the gateway's own request, for whoever decides.
    pub(super) fn stand_in(self, parts: &mut Parts, app: &App) -> Result<(), Problem> {
        let port = app.origin.port().map_or_else(String::new, |port| format!(":{port}"));
        let authority = HeaderValue::try_from(format!("{}{port}", app.host()))
            .map_err(|_| Problem::broken().because("a host is not ASCII"))?;
        parts.headers.insert(header::HOST, authority);
        parts.method = self.method;
        parts.uri = Uri::from(self.path);
        Ok(())
    }
}

/// A host as it is compared, and its port where it has one.
pub(super) fn host_and_port(authority: &str) -> Result<(String, Option<u16>), Problem> {
    let no_host = || Problem::ambiguous("the host is no host");
    if !is_authority(authority) {
        return Err(no_host());
    }
    let parsed: Authority = authority.parse().map_err(|_| no_host())?;
    let host = parsed.host();
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.is_empty() || host.ends_with('.') {
        return Err(no_host());
    }
    Ok((host.to_ascii_lowercase(), parsed.port_u16()))
}

fn parsed_method(method: &str) -> Result<Method, Problem> {
    let no_method = || Problem::ambiguous("the method is no method");
    let plain = method.bytes().all(|byte| byte.is_ascii_uppercase());
    if method.is_empty() || method.len() > MAX_METHOD_BYTES || !plain {
        return Err(no_method());
    }
    Method::from_bytes(method.as_bytes()).map_err(|_| no_method())
}

fn parsed_path(path: &str) -> Result<PathAndQuery, Problem> {
    let no_path = || Problem::ambiguous("the path is no path");
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if !path.starts_with('/') || path.len() > MAX_BYTES || !plain {
        return Err(no_path());
    }
    // Two values of a header that somebody has made one of.
    let alone = path.split('?').next().unwrap_or_default();
    if alone.contains(",/") || path.contains(",http://") || path.contains(",https://") {
        return Err(Problem::ambiguous("the path may be two"));
    }
    let parsed: PathAndQuery = path.parse().map_err(|_| no_path())?;
    // What is decided about must be what was asked.
    if parsed.as_str() == path { Ok(parsed) } else { Err(no_path()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: &str, scheme: &str, authority: &str, path: &str) -> Option<Target> {
        Target::new(method, scheme, authority, path).ok()
    }

    #[test]
    fn a_host_is_compared_in_one_form() {
        for (written, host, port) in [
            ("a.example.com", "a.example.com", None),
            ("A.ExAmPle.COM.:443", "a.example.com", Some(443)),
            ("a.example.com.", "a.example.com", None),
            ("[::1]:8080", "[::1]", Some(8080)),
        ] {
            assert_eq!(host_and_port(written).unwrap(), (host.to_owned(), port), "{written}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for authority in [
            "",
            "a.example.com,b.example.com",
            "a.example.com:443:80",
            "a.example.com:",
            "a.example.com:0",
            "a.example.com:99999",
            "user@a.example.com",
            "[::1",
            "a.example.com/",
            "a.example.com#",
            "exаmple.com",
            "a b",
            ".",
            ".:80",
            "a.example.com..",
            " a.example.com",
        ] {
            assert!(read("GET", "https", authority, "/").is_none(), "{authority}");
        }
        for method in ["", "get", "GET,POST", "GET ", "G-T", &"A".repeat(33)] {
            assert!(read(method, "https", "a.example", "/").is_none(), "{method}");
        }
        for scheme in ["", "HTTPS", "https,http", "ftp", "javascript"] {
            assert!(read("GET", scheme, "a.example", "/").is_none(), "{scheme}");
        }
        for path in
            ["", "x", "http://a.example/", "/a#b", "/a b", "/ü", "/a\tb", "/a,/b", "/a,https://b"]
        {
            assert!(read("GET", "https", "a.example", path).is_none(), "{path}");
        }
    }

    #[test]
    fn a_path_stays_as_it_was_asked_for() {
        for path in ["/", "/a?x=1&y", "//a/../b;c", "/%2e%2e/%00", "/a?b?c", "/a\\b"] {
            let target = read("PROPFIND", "wss", "a.example", path);
            assert_eq!(target.unwrap().path.as_str(), path);
        }
    }
}
