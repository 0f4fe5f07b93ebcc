//! Where a browser may be sent after a log-in: to this host, or to an origin
//! that the operator named.

use url::Url;

/// The longest target, in bytes: a cookie carries it.
const MAX_BYTES: usize = 512;

/// The target where it is one; else there is none, and nobody is told why.
pub(super) fn target(to: &str, origin: &Url, allowed: &[Url]) -> Option<String> {
    // Browsers read a backslash as a slash, and pass over control characters.
    let plain = to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if to.len() > MAX_BYTES || !plain {
        return None;
    }
    if to.starts_with('/') {
        let here = origin.join(to).ok()?;
        // `//` names another host, and so may what a path becomes when its dots
        // are resolved.
        let ours = here.origin() == origin.origin() && !here.path().starts_with("//");
        return (ours && !to.starts_with("//")).then(|| to.to_owned());
    }
    let there = Url::parse(to).ok()?;
    let known = there.origin() == origin.origin()
        || allowed.iter().any(|allowed| allowed.origin() == there.origin());
    let named = there.username().is_empty() && there.password().is_none();
    // What was checked is what is used: parsed and written anew.
    (known && named && matches!(there.scheme(), "http" | "https")).then(|| there.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target_of(to: &str) -> Option<String> {
        let origin = Url::parse("https://auth.example").unwrap();
        let allowed = [Url::parse("https://app.example").unwrap()];
        target(to, &origin, &allowed)
    }

    #[test]
    fn a_path_of_this_host_and_an_allowed_origin_are_targets() {
        for to in ["/", "/a?x=1&y=%2F", "/a//b", "/auth/login", "https://app.example/a?b#c"] {
            assert_eq!(target_of(to).as_deref(), Some(to));
        }
        assert_eq!(target_of("https://auth.example/x").as_deref(), Some("https://auth.example/x"));
    }

    #[test]
    fn everything_that_leads_elsewhere_is_none() {
        for to in [
            "",
            "a",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "/..//evil.example",
            "/%2e%2e//evil.example",
            "/.//evil.example",
            "https:evil.example",
            "https:/evil.example",
            "https:///evil.example",
            "http://app.example",
            "https://app.example:8443/",
            "https://app.example@evil.example",
            "https://user@app.example/",
            "https://app.example.evil.example",
            "https://evil.example#@app.example",
            "https://evil.example?https://app.example",
            "https://evil.example\\@app.example",
            "javascript:alert(1)",
            "data:text/html,x",
            " https://evil.example",
            "%2f%2fevil.example",
            "/a\r\nset-cookie: x",
            "/\u{2028}",
            "ftp://app.example",
        ] {
            assert_eq!(target_of(to), None, "{to:?}");
        }
        assert_eq!(target_of(&format!("/{}", "a".repeat(8_000))), None);
    }
}
