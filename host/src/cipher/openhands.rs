//! The forms in which OpenHands seals values: read when its data is imported,
//! never written.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use secrecy::SecretString;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Cipher, CipherError, Key};

/// How a column of OpenHands holds a sealed value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenHandsForm {
    /// A token in base64 once more: custom secrets, keys in settings.
    Encoded,
    /// A bare token: provider tokens.
    Token,
    /// A token of a JSON document, within a JSON document: offline tokens.
    OfflineToken,
}

impl OpenHandsForm {
    /// Whether a stored text can be of this form at all.
    #[must_use]
    pub fn fits(self, stored: &str) -> bool {
        match self {
            Self::Encoded => BASE64_STANDARD.decode(stored).is_ok(),
            Self::Token => stored.starts_with("gAAAA"),
            Self::OfflineToken => stored.starts_with('{'),
        }
    }
}

#[derive(Deserialize)]
struct Outer {
    tokens: String,
}

#[derive(Deserialize)]
struct Inner {
    refresh_token: SecretString,
}

impl Cipher {
    /// The cipher of an OpenHands installation, from its `jwt_secret` values.
    /// Unlike our own, they are taken as they are, however short.
    pub fn of_openhands(secrets: &[SecretString]) -> Result<Self, CipherError> {
        let keys: Vec<Key> = secrets.iter().map(Key::derive_unchecked).collect();
        if keys.is_empty() { Err(CipherError::NoSecret) } else { Ok(Self { keys }) }
    }

    /// Opens what OpenHands sealed.
    pub fn open_openhands(
        &self,
        form: OpenHandsForm,
        stored: &str,
    ) -> Result<SecretString, CipherError> {
        match form {
            OpenHandsForm::Encoded => {
                let token = BASE64_STANDARD.decode(stored).map_err(|_| CipherError::Damaged)?;
                let token = String::from_utf8(token).map_err(|_| CipherError::Damaged)?;
                self.open_token(&token)
            }
            OpenHandsForm::Token => self.open_token(stored),
            OpenHandsForm::OfflineToken => {
                let outer: Outer =
                    serde_json::from_str(stored).map_err(|_| CipherError::Damaged)?;
                let inner = self.decrypt_any(&outer.tokens)?;
                let inner: Inner =
                    serde_json::from_slice(&inner).map_err(|_| CipherError::Damaged)?;
                Ok(inner.refresh_token)
            }
        }
    }

    fn open_token(&self, token: &str) -> Result<SecretString, CipherError> {
        let plain = self.decrypt_any(token)?;
        let text = std::str::from_utf8(&plain).map_err(|_| CipherError::Damaged)?;
        Ok(SecretString::from(text))
    }

    /// OpenHands stores no key id beside these forms, so every key is tried.
    fn decrypt_any(&self, token: &str) -> Result<Zeroizing<Vec<u8>>, CipherError> {
        // Python takes the standard alphabet as well as the URL-safe one.
        let token = token.replace('+', "-").replace('/', "_");
        self.keys
            .iter()
            .find_map(|key| key.open(&token))
            .map(Zeroizing::new)
            .ok_or(CipherError::Damaged)
    }
}
