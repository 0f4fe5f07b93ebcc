//! Takes secrets out of a reply before the strategy sees it.

use std::sync::Arc;

use memchr::memmem;
use secrecy::SecretString;
use serde_json::Value;
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::request::{encoded, quoted};

/// The shortest secret that is looked for elsewhere in a reply. What is shorter
/// is found by chance, and leaving it out would spoil what has nothing to do
/// with it.
const MIN_SOUGHT_BYTES: usize = 8;

/// What was taken out, in the order of the pointers, with the text of each.
pub(super) type Captured = Vec<Option<Zeroizing<String>>>;

/// A pointer (RFC 6901) as its parts.
pub(in crate::capability) struct Pointer {
    text: String,
    parts: Vec<String>,
}

impl Pointer {
    pub(in crate::capability) fn parse(text: String) -> Option<Self> {
        let mut parts = text.split('/');
        if parts.next() != Some("") {
            return None;
        }
        let parts = parts
            .map(|part| {
                if !part.contains('~') {
                    return Some(part.to_owned());
                }
                let bare = part.replace("~0", "").replace("~1", "");
                (!bare.contains('~')).then(|| part.replace("~1", "/").replace("~0", "~"))
            })
            .collect::<Option<_>>()?;
        Some(Self { text, parts })
    }

    /// What it points to in a document.
    pub(in crate::capability) fn find<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        document.pointer(&self.text)
    }
}

/// Takes what the pointers name out of a body, and answers the body without it;
/// `None` where the body is neither JSON nor a form. What it is shows in the body
/// itself: servers give their replies all kinds of types.
pub(super) fn capture(body: &[u8], pointers: &[Pointer]) -> Option<(Zeroizing<Vec<u8>>, Captured)> {
    if let Ok(document) = serde_json::from_slice::<Value>(body) {
        return Some(capture_json(document, pointers));
    }
    is_form(body).then(|| capture_form(body, pointers))
}

/// Of two fields of one name a document has kept the last, and it is written
/// anew, so that the others are gone as well.
fn capture_json(mut document: Value, pointers: &[Pointer]) -> (Zeroizing<Vec<u8>>, Captured) {
    let captured = pointers
        .iter()
        .map(|pointer| match document.pointer_mut(&pointer.text)?.take() {
            Value::String(text) if !text.is_empty() => Some(Zeroizing::new(text)),
            other => {
                *document.pointer_mut(&pointer.text)? = other;
                None
            }
        })
        .collect();
    (Zeroizing::new(document.to_string().into_bytes()), captured)
}

fn capture_form(body: &[u8], pointers: &[Pointer]) -> (Zeroizing<Vec<u8>>, Captured) {
    let mut fields: Vec<(String, Zeroizing<String>)> = form_urlencoded::parse(body)
        .map(|(name, value)| (name.into_owned(), Zeroizing::new(value.into_owned())))
        .collect();
    let captured = pointers
        .iter()
        .map(|pointer| {
            let [wanted] = pointer.parts.as_slice() else { return None };
            // The last of them, as with JSON, and none of them stays.
            let named = fields.iter_mut().filter(|(name, _)| name == wanted);
            let last = named.map(|(_, value)| std::mem::take(value)).last()?;
            (!last.is_empty()).then_some(last)
        })
        .collect();
    let mut writer = form_urlencoded::Serializer::new(String::with_capacity(body.len()));
    for (name, value) in &fields {
        writer.append_pair(name, value);
    }
    (Zeroizing::new(writer.finish().into_bytes()), captured)
}

/// Whether a form's encoder may have written this, one that is sloppy about
/// escapes included. Anything at all can be read as a form; a page or a broken
/// document must not be, because what is to be captured would stay in it.
fn is_form(body: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"*-._+%&=~!$'(),/:;@?".contains(byte);
    body.contains(&b'=') && body.iter().all(plain)
}

/// The ways in which secrets may stand elsewhere in a reply, to be left out
/// there: a server may repeat what it was sent, or what it has just made.
#[derive(Default)]
pub(super) struct Sought(Vec<Zeroizing<String>>);

impl Sought {
    pub(super) fn add(&mut self, secret: &str) {
        if secret.len() < MIN_SOUGHT_BYTES {
            return;
        }
        let quoted = quoted(secret);
        let in_json = &quoted[1..quoted.len() - 1];
        let in_form = encoded(secret);
        // Some encoders escape what need not be.
        let in_strict_json = Zeroizing::new(in_json.replace('/', "\\/"));
        for text in [secret, in_json, in_strict_json.as_str(), in_form.as_str()] {
            if self.0.iter().all(|known| known.as_str() != text) {
                self.0.push(Zeroizing::new(text.to_owned()));
            }
        }
    }

    /// The bytes without any of them.
    pub(super) fn leave_out(&self, mut bytes: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
        for sought in &self.0 {
            let places: Vec<_> = memmem::find_iter(&bytes, sought.as_bytes()).collect();
            if places.is_empty() {
                continue;
            }
            let mut rest = Zeroizing::new(Vec::with_capacity(bytes.len()));
            let mut from = 0;
            for at in places {
                rest.extend_from_slice(&bytes[from..at]);
                from = at + sought.len();
            }
            rest.extend_from_slice(&bytes[from..]);
            bytes = rest;
        }
        bytes
    }
}

/// The secrets that were captured, for a handle each.
pub(super) fn secrets(captured: Captured) -> Vec<Option<Arc<SecretString>>> {
    let secret = |text: Zeroizing<String>| Arc::new(SecretString::from(text.as_str()));
    captured.into_iter().map(|text| text.map(secret)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointers(texts: &[&str]) -> Vec<Pointer> {
        texts.iter().map(|text| Pointer::parse((*text).to_owned()).unwrap()).collect()
    }

    fn taken(body: &str, texts: &[&str]) -> Option<(String, Vec<Option<String>>)> {
        let (rest, captured) = capture(body.as_bytes(), &pointers(texts))?;
        let captured = captured.into_iter().map(|text| text.map(|text| (*text).clone())).collect();
        Some((String::from_utf8(rest.to_vec()).unwrap(), captured))
    }

    fn all(texts: &[Option<&str>]) -> Vec<Option<String>> {
        texts.iter().map(|text| text.map(str::to_owned)).collect()
    }

    #[test]
    fn fields_of_a_document_are_taken_out_by_pointer() {
        let body = r#"{"access_token":"a1","n":7,"in":{"x/y":["z"]},"expires_in":3600}"#;
        let (rest, captured) =
            taken(body, &["/in/x~1y/0", "/access_token", "/n", "/missing", "/in"]).unwrap();
        assert_eq!(captured, all(&[Some("z"), Some("a1"), None, None, None]));
        assert_eq!(rest, r#"{"access_token":null,"n":7,"in":{"x/y":[null]},"expires_in":3600}"#);
        // The whole document is a text.
        assert_eq!(taken("\"a1\"", &[""]).unwrap(), ("null".to_owned(), all(&[Some("a1")])));
    }

    #[test]
    fn a_field_that_comes_twice_stays_in_neither_place() {
        let (rest, captured) = taken(r#"{"t":"first","t":"last"}"#, &["/t"]).unwrap();
        assert_eq!((rest.as_str(), captured), (r#"{"t":null}"#, all(&[Some("last")])));
        let (rest, captured) = taken("t=first&u=1&t=last", &["/t"]).unwrap();
        assert_eq!((rest.as_str(), captured), ("t=&u=1&t=", all(&[Some("last")])));
    }

    #[test]
    fn fields_of_a_form_are_taken_out_by_name() {
        let (rest, captured) =
            taken("a~b=x%2By&refresh_token=&scope=repo+user", &["/a~0b", "/refresh_token", "/a/b"])
                .unwrap();
        assert_eq!(captured, all(&[Some("x+y"), None, None]));
        assert_eq!(rest, "a%7Eb=&refresh_token=&scope=repo+user");
    }

    #[test]
    fn what_is_neither_is_not_taken_for_a_form() {
        for body in [
            "",
            "<html>access_token=a1</html>",
            r#"{"access_token":"a1""#,
            r#"{"access_token":"a1"} trailing"#,
            "access_token=a1\nscope=x",
            "just text",
            "token",
        ] {
            assert_eq!(taken(body, &["/access_token"]), None, "{body:?}");
        }
    }

    #[test]
    fn a_pointer_is_one_or_is_refused() {
        for text in ["a", "a/b", "/~", "/~2", "/a~"] {
            assert!(Pointer::parse(text.to_owned()).is_none(), "{text:?}");
        }
        assert_eq!(Pointer::parse("/~01".to_owned()).unwrap().parts, ["~1"]);
    }

    #[test]
    fn a_secret_is_left_out_wherever_it_stands_and_however_it_is_written() {
        let mut sought = Sought::default();
        sought.add("hush \"hush\"");
        sought.add("short");
        let body = r#"{"a":"hush \"hush\"","b":"x","c":"short"} hush+%22hush%22 hush "hush""#;
        let rest = sought.leave_out(Zeroizing::new(body.as_bytes().to_vec()));
        assert_eq!(*rest, br#"{"a":"","b":"x","c":"short"}  "#);
    }
}
