//! How servers and proxies read a path: every way that is known to have let somebody
//! pass. Shared with the fuzz target.

use std::collections::HashSet;

/// What a server may do to a path before it looks at it.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// `%2e` is a dot.
    Decode,
    /// A backslash is a slash.
    Backslashes,
    /// What follows a semicolon in a segment is a parameter.
    Parameters,
    /// Two slashes are one.
    Slashes,
    /// Dots lead upwards (RFC 3986 section 5.2.4).
    Dots,
    /// Blanks and dots at the end of a segment are nothing.
    Trim,
    /// A query or a fragment may begin, or the path may end.
    Cut,
    /// Other letters are taken for those of ASCII.
    Fold,
}

/// What servers do is any of these, in any order and any number of times.
const STEPS: [Step; 8] = [
    Step::Decode,
    Step::Backslashes,
    Step::Parameters,
    Step::Slashes,
    Step::Dots,
    Step::Trim,
    Step::Cut,
    Step::Fold,
];

/// Every reading of a path.
///
/// No step makes a path longer, so that they come to an end; most steps change nothing in
/// most paths, so that there are few.
#[must_use]
pub fn readings(path: &str) -> HashSet<Vec<u8>> {
    let mut known = HashSet::from([path.as_bytes().to_vec()]);
    let mut unread = Vec::from_iter(known.clone());
    while let Some(path) = unread.pop() {
        for step in STEPS {
            let reading = step.take(&path);
            if !known.contains(&reading) {
                known.insert(reading.clone());
                unread.push(reading);
            }
        }
    }
    known
}

/// Whether a reading is below a folder, whatever the case of its letters.
#[must_use]
pub fn is_below(reading: &[u8], folder: &[u8]) -> bool {
    let below = reading.get(..folder.len()).is_some_and(|head| head.eq_ignore_ascii_case(folder));
    let climbs = reading.split(|byte| matches!(byte, b'/' | b'\\')).any(|segment| segment == b"..");
    below && !climbs
}

impl Step {
    fn take(self, path: &[u8]) -> Vec<u8> {
        match self {
            Self::Decode => decoded(path),
            Self::Backslashes => {
                path.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect()
            }
            Self::Parameters => each_segment(path, |segment| {
                segment.split(|byte| *byte == b';').next().unwrap_or_default()
            }),
            Self::Slashes => {
                let mut merged = path.to_vec();
                merged.dedup_by(|next, before| *next == b'/' && *before == b'/');
                merged
            }
            Self::Dots => without_dots(path),
            Self::Trim => each_segment(path, |segment| {
                let inner = segment.trim_ascii();
                // A segment of dots keeps its meaning.
                let dots = inner.iter().all(|byte| *byte == b'.');
                let end = inner.iter().rposition(|byte| !matches!(byte, b'.' | b' '));
                if dots { inner } else { &inner[..end.map_or(0, |end| end + 1)] }
            }),
            Self::Cut => {
                let end = path.iter().position(|byte| matches!(byte, b'?' | b'#' | 0));
                path[..end.unwrap_or(path.len())].to_vec()
            }
            Self::Fold => folded(path),
        }
    }
}

fn each_segment(path: &[u8], change: impl Fn(&[u8]) -> &[u8]) -> Vec<u8> {
    let segments: Vec<&[u8]> = path.split(|byte| *byte == b'/').map(change).collect();
    segments.join(&b'/')
}

fn decoded(path: &[u8]) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((first, tail)) = rest.split_first() {
        let pair = tail.get(..2).and_then(|pair| Some(digit(&pair[0])? << 4 | digit(&pair[1])?));
        match pair.filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(u8::try_from(byte).unwrap_or_default());
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    bytes
}

fn without_dots(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let segments: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    for (index, segment) in segments.iter().enumerate() {
        let is_last = index + 1 == segments.len();
        match *segment {
            b"." => {}
            b".." => {
                if kept.len() > 1 {
                    kept.pop();
                }
            }
            segment => {
                kept.push(segment);
                continue;
            }
        }
        if is_last {
            kept.push(b"");
        }
    }
    kept.join(&b'/')
}

/// Overlong and full-width forms of what means something in a path.
fn folded(path: &[u8]) -> Vec<u8> {
    const FORMS: [(&[u8], u8); 9] = [
        (b"\xc0\xaf", b'/'),
        (b"\xe0\x80\xaf", b'/'),
        (b"\xc0\xae", b'.'),
        (b"\xe0\x80\xae", b'.'),
        (b"\xc1\x9c", b'\\'),
        ("\u{ff0f}".as_bytes(), b'/'),
        ("\u{2215}".as_bytes(), b'/'),
        ("\u{ff0e}".as_bytes(), b'.'),
        ("\u{ff3c}".as_bytes(), b'\\'),
    ];
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some(first) = rest.first() {
        match FORMS.iter().find(|(form, _)| rest.starts_with(form)) {
            Some((form, means)) => {
                bytes.push(*means);
                rest = &rest[form.len()..];
            }
            None => {
                bytes.push(*first);
                rest = &rest[1..];
            }
        }
    }
    bytes
}
