//! Sealing what rests in the database.
//!
//! A sealed value is a Fernet token, so that what OpenHands wrote opens here and
//! what is written here opens in any Fernet library. Fernet binds nothing to its
//! place; therefore each plaintext begins with a digest of the place it belongs
//! to, and a token that was moved to another row, user or organisation does not
//! open. There is a list of keys: the first seals, all open, and the id of the
//! key is stored beside each value, so that how many rows still need an old key
//! is one query.

mod openhands;
mod secrets;

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_URL_SAFE};
use fernet::Fernet;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

pub use self::{openhands::OpenHandsForm, secrets::EncryptionError};
use crate::{
    config::{DatabaseUrl, Encryption},
    hex, secret,
};

/// The shortest secret that is accepted, in bytes.
const MIN_SECRET_BYTES: usize = 32;

/// What every plaintext begins with, before the digest of its place.
const VERSION: &[u8] = b"vestibule/1\n";

/// A value cannot be opened, or a key cannot be used. No text says more than
/// which key and which place.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CipherError {
    /// There is no secret to derive a key from.
    #[error("no encryption secret is given; set [encryption] secret_file")]
    NoSecret,
    /// The configured secret cannot be had.
    #[error(transparent)]
    Secret(#[from] Arc<EncryptionError>),
    /// A secret is too short, or one character over and over.
    #[error(
        "an encryption secret has fewer than {MIN_SECRET_BYTES} bytes or is one character over and over; `openssl rand -base64 48` makes a good one"
    )]
    WeakSecret,
    /// The value was sealed with a key that is not in the list.
    #[error(
        "the value was sealed with the key {0}, which is not among the configured secrets; add it to [encryption] previous_secret_files"
    )]
    UnknownKey(String),
    /// The value is damaged, or belongs to another place.
    #[error("the value is damaged or belongs to another place")]
    Damaged,
}

/// Where a value belongs: a token for one place does not open at another.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The table and column.
    pub column: &'static str,
    /// The organisation's id; empty where a row belongs to none.
    pub org: &'a str,
    /// The user's id; empty where a row belongs to none.
    pub user: &'a str,
    /// The row's own name within both.
    pub name: &'a str,
}

impl Place<'_> {
    /// Each part with its length before it, so that no two places meet.
    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for part in [self.column, self.org, self.user, self.name] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }
}

/// A sealed value as it rests.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The id of the key that sealed it.
    pub key: String,
    /// The Fernet token.
    pub token: String,
}

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealed").field("key", &self.key).finish_non_exhaustive()
    }
}

struct Key {
    id: String,
    fernet: Fernet,
}

/// Seals with its first key and opens with any.
pub struct Cipher {
    keys: Vec<Key>,
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.id)).finish()
    }
}

impl Cipher {
    /// Derives a key from each secret; the first will seal.
    pub fn new(secrets: &[SecretString]) -> Result<Self, CipherError> {
        let keys = secrets.iter().map(Key::derive).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err(CipherError::NoSecret) } else { Ok(Self { keys }) }
    }

    /// The keys of the secrets that an operator has configured for a database.
    pub fn configured(
        encryption: &Encryption,
        database: &DatabaseUrl,
    ) -> Result<Self, CipherError> {
        Self::new(&secrets::configured(encryption, database).map_err(Arc::new)?)
    }

    /// The id of the key that seals.
    #[must_use]
    pub fn active_key(&self) -> &str {
        &self.keys[0].id
    }

    /// Whether a key of this id is in the list.
    #[must_use]
    pub fn has_key(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.id == id)
    }

    /// Seals a value for its place.
    #[must_use]
    pub fn seal(&self, place: &Place<'_>, value: &SecretString) -> Sealed {
        self.seal_with(place, &[], [value])
    }

    /// Seals bytes for their place.
    #[must_use]
    pub fn seal_bytes(&self, place: &Place<'_>, value: &[u8]) -> Sealed {
        self.seal_with(place, value, [])
    }

    /// Seals bytes and the texts of secrets after them, one after the other.
    #[must_use]
    pub fn seal_with<'s>(
        &self,
        place: &Place<'_>,
        value: &[u8],
        secrets: impl IntoIterator<Item = &'s SecretString>,
    ) -> Sealed {
        let key = &self.keys[0];
        let mut plain = Zeroizing::new([VERSION, &place.digest(), value].concat());
        for secret in secrets {
            #[expect(clippy::disallowed_methods, reason = "it is sealed next")]
            plain.extend_from_slice(secret.expose_secret().as_bytes());
        }
        Sealed { key: key.id.clone(), token: key.fernet.encrypt(&plain) }
    }

    /// Opens a value at its place.
    pub fn open(&self, place: &Place<'_>, sealed: &Sealed) -> Result<SecretString, CipherError> {
        let bytes = self.open_bytes(place, sealed)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| CipherError::Damaged)?;
        Ok(SecretString::from(text))
    }

    /// Opens bytes at their place.
    pub fn open_bytes(
        &self,
        place: &Place<'_>,
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, CipherError> {
        let key = self
            .keys
            .iter()
            .find(|key| key.id == sealed.key)
            .ok_or_else(|| CipherError::UnknownKey(sealed.key.clone()))?;
        let plain = Zeroizing::new(key.open(&sealed.token).ok_or(CipherError::Damaged)?);
        let rest = plain.strip_prefix(VERSION).ok_or(CipherError::Damaged)?;
        let (digest, value) = rest.split_at_checked(32).ok_or(CipherError::Damaged)?;
        if bool::from(digest.ct_eq(&place.digest())) {
            Ok(Zeroizing::new(value.to_vec()))
        } else {
            Err(CipherError::Damaged)
        }
    }
}

impl Key {
    fn derive(secret: &SecretString) -> Result<Self, CipherError> {
        if secret::is_weak(secret, MIN_SECRET_BYTES) {
            return Err(CipherError::WeakSecret);
        }
        Ok(Self::derive_unchecked(secret))
    }

    /// Decrypts a token of whatever time.
    fn open(&self, token: &str) -> Option<Vec<u8>> {
        self.fernet.decrypt_at_time(token, None, ANY_TIME).ok()
    }

    /// The derivation of OpenHands: SHA-256 of the secret, of which the first half
    /// signs and the second encrypts. Its own text form of the key is standard
    /// base64, which a strict Fernet library refuses; so the raw bytes are
    /// encoded anew.
    fn derive_unchecked(secret: &SecretString) -> Self {
        let digest = Zeroizing::new(secret::digest(secret));
        let encoded = Zeroizing::new(BASE64_URL_SAFE.encode(*digest));
        let fernet = Fernet::new(&encoded).unwrap_or_else(|| unreachable!("the key has 32 bytes"));
        Self { id: key_id(&digest), fernet }
    }
}

/// A token is as good as its MAC, whatever it says of the time: a clock that went
/// ahead for an hour must not make damaged what was sealed then. Fernet libraries
/// refuse what is more than a minute ahead of the time that they are told.
const ANY_TIME: u64 = u64::MAX - 60;

/// Names a key without giving it away. (OpenHands uses the key itself, in other
/// digits, as its id; ours is a digest of it.)
fn key_id(key: &[u8; 32]) -> String {
    let mut digest = Sha256::new();
    digest.update(b"vestibule key id");
    digest.update(key);
    hex::encode(&digest.finalize()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "correct horse battery staple, twice over";
    const OTHER: &str = "another secret of more than thirty-two bytes";

    fn cipher(secrets: &[&str]) -> Cipher {
        let secrets: Vec<_> = secrets.iter().map(|text| SecretString::from(*text)).collect();
        Cipher::new(&secrets).unwrap()
    }

    fn place<'a>(org: &'a str, user: &'a str, name: &'a str) -> Place<'a> {
        Place { column: "secrets.value", org, user, name }
    }

    #[expect(clippy::disallowed_methods, reason = "the test looks at what was opened")]
    fn text(secret: &SecretString) -> &str {
        secret.expose_secret()
    }

    #[test]
    fn what_is_sealed_opens_at_its_place_and_differs_each_time() {
        let cipher = cipher(&[SECRET]);
        for value in ["", "hello", "ümläut \u{1f511}\n", &"x".repeat(64 * 1024)] {
            let value = SecretString::from(value);
            let here = place("org", "user", "NAME");
            let (one, two) = (cipher.seal(&here, &value), cipher.seal(&here, &value));
            assert_ne!(one.token, two.token);
            assert_eq!(text(&cipher.open(&here, &one).unwrap()), text(&value));
        }
    }

    #[test]
    fn a_value_that_was_moved_does_not_open() {
        let cipher = cipher(&[SECRET]);
        let here = place("org", "user", "NAME");
        let sealed = cipher.seal(&here, &SecretString::from("hush"));
        for elsewhere in [
            place("other", "user", "NAME"),
            place("org", "other", "NAME"),
            place("org", "user", "OTHER"),
            // The same letters, cut otherwise.
            place("orguser", "", "NAME"),
            Place { column: "secrets.description", ..here },
        ] {
            let error = cipher.open(&elsewhere, &sealed).unwrap_err();
            assert!(matches!(error, CipherError::Damaged), "{elsewhere:?}");
        }
    }

    #[test]
    fn a_damaged_value_does_not_open_and_says_nothing() {
        let cipher = cipher(&[SECRET]);
        let here = place("org", "user", "NAME");
        let sealed = cipher.seal(&here, &SecretString::from("hush"));
        for index in 0..sealed.token.len() {
            let mut token = sealed.token.clone().into_bytes();
            token[index] = if token[index] == b'A' { b'B' } else { b'A' };
            let damaged = Sealed { token: String::from_utf8(token).unwrap(), ..sealed.clone() };
            if let Ok(opened) = cipher.open(&here, &damaged) {
                // The last character before the padding has bits that count for
                // nothing.
                assert_eq!(text(&opened), "hush");
                assert!(index >= sealed.token.trim_end_matches('=').len() - 1, "{index}");
            }
        }
    }

    #[test]
    fn the_first_key_seals_and_all_open() {
        let here = place("org", "user", "NAME");
        let old = cipher(&[OTHER]).seal(&here, &SecretString::from("hush"));
        let both = cipher(&[SECRET, OTHER]);
        assert_eq!(text(&both.open(&here, &old).unwrap()), "hush");
        let new = both.seal(&here, &SecretString::from("hush"));
        assert_eq!(new.key, cipher(&[SECRET]).active_key());
        assert_ne!(new.key, old.key);
        let error = cipher(&[SECRET]).open(&here, &old).unwrap_err();
        assert!(matches!(error, CipherError::UnknownKey(key) if key == old.key));
    }

    #[test]
    fn what_a_clock_that_was_ahead_has_sealed_opens() {
        let cipher = cipher(&[SECRET]);
        let here = place("org", "user", "NAME");
        let plain = [VERSION, &here.digest(), b"hush"].concat();
        let ahead = cipher.keys[0].fernet.encrypt_at_time(&plain, 4_102_444_800);
        let sealed = Sealed { key: cipher.active_key().to_owned(), token: ahead };
        assert_eq!(text(&cipher.open(&here, &sealed).unwrap()), "hush");
    }

    #[test]
    fn a_weak_secret_is_refused() {
        for weak in ["", "short", &"a".repeat(64)] {
            let error = Cipher::new(&[SecretString::from(weak)]).unwrap_err();
            assert!(matches!(error, CipherError::WeakSecret), "{weak:?}");
        }
        assert!(matches!(Cipher::new(&[]), Err(CipherError::NoSecret)));
    }

    #[test]
    fn debug_shows_neither_key_nor_token() {
        let cipher = cipher(&[SECRET]);
        let sealed = cipher.seal(&place("o", "u", "n"), &SecretString::from("hush"));
        assert_eq!(format!("{cipher:?}"), format!("[{:?}]", cipher.active_key()));
        assert!(!format!("{sealed:?}").contains(&sealed.token));
    }

    /// The vectors were made with Python's `cryptography` at a fixed time and IV.
    #[test]
    fn what_openhands_sealed_opens() {
        let cipher = Cipher::of_openhands(&[SecretString::from("test_secret")]).unwrap();
        for (form, stored, expected) in [
            (
                OpenHandsForm::Token,
                "gAAAAABlU_EAAAECAwQFBgcICQoLDA0ODz5TQcCyWZ_7UZeJSL5-HwXXoqOFyxKEd7t-Pvh42kBr5QxyPMNCdyAPvsGr7rUeMg==",
                "hello-world",
            ),
            (
                OpenHandsForm::Encoded,
                "Z0FBQUFBQmxVX0VBQUFFQ0F3UUZCZ2NJQ1FvTERBME9EejVUUWNDeVdaXzdVWmVKU0w1LUh3WFhvcU9GeXhLRWQ3dC1Qdmg0MmtCcjVReHlQTU5DZHlBUHZzR3I3clVlTWc9PQ==",
                "hello-world",
            ),
            (
                OpenHandsForm::OfflineToken,
                r#"{"tokens": "gAAAAABlU_EAAAECAwQFBgcICQoLDA0OD1pCI-IU0qbRPiIlpJ4O1_vR7MnpJHfwx2hRIj4-qQ11YgANpXRBGAkIdqBdi8JMXyiQA8LKTMbAgj4TxAf7KX6Es0AloAhE943OFuJDeysr"}"#,
                "offline-abc",
            ),
        ] {
            let opened = cipher.open_openhands(form, stored).unwrap();
            assert_eq!(text(&opened), expected, "{form:?}");
        }
        let wrong = Cipher::of_openhands(&[SecretString::from("another")]).unwrap();
        assert!(wrong.open_openhands(OpenHandsForm::Token, "gAAAAABlU_EA").is_err());
    }
}
