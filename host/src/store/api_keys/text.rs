//! The text of an API key: `sk-oh-`, five characters of id, twenty-two of secret
//! and five of checksum.
//!
//! The prefix lets secret scanners find keys, the checksum lets garbage be
//! refused without the database, and the secret has 130 bits. The whole has the
//! form that clients of OpenHands expect.

use zeroize::Zeroizing;

use crate::{hex, secret, store::random_bytes};

pub(super) const PREFIX: &str = "sk-oh-";
const ID: usize = 5;
const SECRET: usize = 22;
const CHECKSUM: usize = 5;
const BODY: usize = ID + SECRET + CHECKSUM;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What a text that was presented as an API key can be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One of ours, with the id in it.
    Ours(String),
    /// One of OpenHands, which has neither id nor checksum: it can only have come
    /// here by an import.
    Imported,
}

/// Makes the text of a new key and its id.
pub(super) fn generate() -> (String, Zeroizing<String>) {
    let random = Zeroizing::new(characters(ID + SECRET));
    let text = Zeroizing::new(format!("{PREFIX}{}{}", *random, checksum(&random)));
    (random[..ID].to_owned(), text)
}

/// What a text can be, by its form alone.
pub(super) fn parse(text: &str) -> Option<Form> {
    let body = text.strip_prefix(PREFIX).unwrap_or(text);
    if body.len() != BODY || !body.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let (random, sum) = body.split_at(ID + SECRET);
    if text.starts_with(PREFIX) && checksum(random) == sum {
        Some(Form::Ours(random[..ID].to_owned()))
    } else {
        Some(Form::Imported)
    }
}

/// Reads and shows any text as if it were a key.
#[cfg(fuzzing)]
pub fn fuzz(text: &str) {
    if let Some(Form::Ours(id)) = parse(text) {
        assert!(text.starts_with(PREFIX) && text[PREFIX.len()..].starts_with(&id));
    }
    // What is shown is no more than the public part.
    assert!(display(text).len() <= PREFIX.len() + ID + '…'.len_utf8());
}

/// How a key is told apart in a list.
pub(super) fn display(text: &str) -> String {
    let shown = if text.starts_with(PREFIX) { PREFIX.len() + ID } else { 4 };
    format!("{}…", text.get(..shown).unwrap_or_default())
}

/// What rests of a key. The secret is random, so that a fast digest is enough.
pub(super) fn hash(text: &str) -> String {
    hex::encode(&secret::digest_of(text))
}

fn characters(count: usize) -> String {
    let mut text = String::with_capacity(count);
    while text.len() < count {
        // 248 is four times 62: above it the first letters would come more often.
        let bytes = random_bytes::<32>();
        let letters = bytes.iter().filter(|byte| **byte < 248).take(count - text.len());
        text.extend(letters.map(|byte| char::from(ALPHABET[usize::from(*byte) % 62])));
    }
    text
}

fn checksum(random: &str) -> String {
    let mut rest = crc32fast::hash(random.as_bytes());
    let digits = std::iter::repeat_with(|| {
        let digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
        char::from(digit)
    });
    digits.take(CHECKSUM).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_form_that_clients_expect_and_names_its_id() {
        for _ in 0..200 {
            let (id, key) = generate();
            assert_eq!(key.len(), 6 + 32);
            assert_eq!(parse(&key), Some(Form::Ours(id)));
        }
    }

    #[test]
    fn whatever_differs_from_a_key_is_not_taken_for_one_of_ours() {
        let (_, key) = generate();
        for index in PREFIX.len()..key.len() {
            let mut bytes = key.as_bytes().to_vec();
            bytes[index] = if bytes[index] == b'a' { b'b' } else { b'a' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(parse(&changed), Some(Form::Imported), "{index}");
        }
        let cut = &key[..key.len() - 1];
        let upper = key.to_uppercase();
        for other in [cut, &format!("{}a", *key), &format!(" {}", *key), &upper, "", "sk-oh-", "é"]
        {
            assert_eq!(parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn what_is_shown_is_the_prefix_and_the_id() {
        let (id, key) = generate();
        assert_eq!(display(&key), format!("sk-oh-{id}…"));
        assert_eq!(display("é"), "…");
    }
}
