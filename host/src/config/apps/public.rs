//! What everybody may see of an app.

use super::path::canonical;

/// One path, or everything below one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicPath {
    /// The method; without one, `GET` and `HEAD`.
    pub method: Option<String>,
    /// The path. One that ends in a slash stands for everything below it.
    pub path: String,
}

impl PublicPath {
    /// Whether a request is for it. The path must be [`canonical`].
    #[must_use]
    pub fn covers(&self, method: &str, path: &str) -> bool {
        let same_method = match &self.method {
            Some(only) => only == method,
            None => matches!(method, "GET" | "HEAD"),
        };
        let below = self.path.ends_with('/') && path.starts_with(&self.path);
        same_method && (below || path == self.path)
    }

    /// Reads `/path` or `METHOD /path`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (method, path) = match text.split_once(' ') {
            Some((method, path)) => (Some(method), path),
            None => (None, text),
        };
        if method
            .is_some_and(|name| name.is_empty() || !name.bytes().all(|b| b.is_ascii_uppercase()))
        {
            return Err("what stands before the blank is no method such as GET".to_owned());
        }
        // Taken for themselves they would mean nothing, and somebody would wonder.
        if path.contains(['*', '^', '$', '(', ')', '|', '[', ']', '\\']) {
            return Err("a path is no pattern; one that ends in a slash stands for everything \
                        below it"
                .to_owned());
        }
        canonical(path).map_err(|why| format!("{why}; write the path as browsers send it"))?;
        Ok(Self { method: method.map(str::to_owned), path: path.to_owned() })
    }
}

impl std::fmt::Display for PublicPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.method {
            Some(method) => write!(f, "{method} {}", self.path),
            None => f.write_str(&self.path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(rule: &str, method: &str, path: &str) -> bool {
        PublicPath::parse(rule).unwrap().covers(method, path)
    }

    #[test]
    fn a_slash_at_the_end_stands_for_everything_below() {
        assert!(covers("/public/", "GET", "/public/"));
        assert!(covers("/public/", "HEAD", "/public/a/b"));
        for path in ["/public", "/publicx", "/PUBLIC/", "/", "/x/public/"] {
            assert!(!covers("/public/", "GET", path), "{path}");
        }
        assert!(covers("/health", "GET", "/health"));
        assert!(!covers("/health", "GET", "/health/"));
        assert!(!covers("/health", "GET", "/health/x"));
    }

    #[test]
    fn a_method_stands_for_itself_alone() {
        assert!(covers("POST /hooks/", "POST", "/hooks/x"));
        for method in ["GET", "HEAD", "PUT"] {
            assert!(!covers("POST /hooks/", method, "/hooks/x"), "{method}");
        }
        assert!(!covers("GET /hooks/", "HEAD", "/hooks/x"));
        for method in ["POST", "OPTIONS", "PUT", "PATCH", "DELETE", "PROPFIND"] {
            assert!(!covers("/hooks/", method, "/hooks/x"), "{method}");
        }
    }
}
