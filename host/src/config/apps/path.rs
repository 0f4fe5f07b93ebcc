//! Paths that everybody reads the same way.
//!
//! A public path is decided about here and used elsewhere: by a proxy and by an
//! app, each with rules of its own for dots, slashes, encodings and parameters.
//! So nothing is normalised. What two of them could read differently is no public
//! path at all, and needs a log-in like everything else.

use std::fmt;

/// The longest path that is looked at, in bytes.
const MAX_BYTES: usize = 2_048;

/// Why a path can be read in more than one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambiguity {
    /// It does not begin with a slash.
    Relative,
    /// It is longer than anybody's path.
    Length,
    /// It has two slashes side by side, which some take for one.
    Slashes,
    /// It has a segment of dots, or of dots and blanks.
    Dots,
    /// It has a character that some encode, refuse, or give a meaning of its own:
    /// a backslash, a semicolon, whatever is not ASCII.
    Character,
    /// It has an encoded character that need not be, or whose decoded form means
    /// something in a path.
    Encoding,
}

impl fmt::Display for Ambiguity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Relative => "it does not begin with a slash",
            Self::Length => "it is too long",
            Self::Slashes => "it has two slashes side by side",
            Self::Dots => "it has a segment of dots",
            Self::Character => "it has a character that not everybody reads alike",
            Self::Encoding => "it has an encoded character that not everybody decodes alike",
        })
    }
}

/// The path itself, where everybody reads it the same way.
pub fn canonical(path: &str) -> Result<&str, Ambiguity> {
    let rest = path.strip_prefix('/').ok_or(Ambiguity::Relative)?;
    if path.len() > MAX_BYTES {
        return Err(Ambiguity::Length);
    }
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        // What ends in a slash ends in an empty segment.
        if segment.is_empty() && is_last {
            continue;
        }
        if segment.is_empty() {
            return Err(Ambiguity::Slashes);
        }
        if decoded(segment)?.all(|byte| matches!(byte, b'.' | b' ')) {
            return Err(Ambiguity::Dots);
        }
    }
    Ok(path)
}

/// The bytes that a segment stands for.
fn decoded(segment: &str) -> Result<impl Iterator<Item = u8>, Ambiguity> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            if !is_literal(*first) {
                return Err(Ambiguity::Character);
            }
            bytes.push(*first);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2).ok_or(Ambiguity::Encoding)?;
        rest = tail;
        let byte = match digits {
            [high, low] => digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        bytes.push(byte.filter(|byte| is_plain_encoded(*byte)).ok_or(Ambiguity::Encoding)?);
    }
    Ok(bytes.into_iter())
}

/// What may stand in a path as it is (RFC 3986 section 3.3), but for the semicolon,
/// after which some servers see parameters.
const fn is_literal(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@'
        )
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// What may stand in a path encoded: printable ASCII that has to be encoded there or
/// may be, and that means nothing in a path when somebody decodes it, once or twice.
const fn is_plain_encoded(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
        && !is_unreserved(byte)
        && !matches!(byte, b'/' | b'\\' | b'%' | b'?' | b'#' | b';')
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_everybody_reads_alike_is_a_path() {
        for path in [
            "/",
            "/public/",
            "/a/b.c",
            "/a.b/..c",
            "/a%20b/%5Bid%5D.js",
            "/@scope/x+y,z=1",
            "/~user/(1)",
            "/.well-known/x",
        ] {
            assert_eq!(canonical(path), Ok(path));
        }
    }

    #[test]
    fn what_somebody_reads_otherwise_is_none() {
        use Ambiguity::{Character, Dots, Encoding, Length, Relative, Slashes};
        for (path, why) in [
            ("", Relative),
            ("public/", Relative),
            ("http://a/public/", Relative),
            ("//public/", Slashes),
            ("/public//x", Slashes),
            ("/public/../admin", Dots),
            ("/public/./x", Dots),
            ("/public/.../x", Dots),
            ("/public/..%20/x", Dots),
            ("/public/%20/x", Dots),
            ("/public/..", Dots),
            ("/public/%2e%2e/admin", Encoding),
            ("/public/..%2fadmin", Encoding),
            ("/public/%252e%252e/admin", Encoding),
            ("/public/..%00/admin", Encoding),
            ("/public/%0d%0ax", Encoding),
            ("/public/%c0%af", Encoding),
            ("/public/%EF%BC%8F", Encoding),
            ("/public/%5c..", Encoding),
            ("/public/%3b", Encoding),
            ("/public/%23x", Encoding),
            ("/public/%3fx", Encoding),
            ("/%70ublic/", Encoding),
            ("/public/%", Encoding),
            ("/public/%4", Encoding),
            ("/public/%zz", Encoding),
            ("/public/%+1", Encoding),
            ("/public/..;/admin", Character),
            ("/public\\..\\admin", Character),
            ("/public/ü", Character),
            ("/public/a b", Character),
            ("/public/\u{0}", Character),
            ("/public/x?y", Character),
            ("/public/x#y", Character),
        ] {
            assert_eq!(canonical(path), Err(why), "{path}");
        }
        assert_eq!(canonical(&format!("/{}", "a".repeat(MAX_BYTES))), Err(Length));
    }
}
