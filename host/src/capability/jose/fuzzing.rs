//! Tokens and keys as a stranger could make them.

use secrecy::SecretString;

use super::{Claims, json, keys::Keys, token::Token};
use crate::bindings::vestibule::auth::jose::{Algorithm, Expectations};

/// Reads a token, and a key set that did not sign it.
pub fn token(text: &str, keys: &[u8]) {
    let expected = Expectations {
        audiences: vec!["client".to_owned()],
        algorithms: vec![Algorithm::Rs256, Algorithm::Ps512, Algorithm::Es384, Algorithm::Eddsa],
        types: Vec::new(),
        authorized_parties: Vec::new(),
        nonce: Some("nonce".to_owned()),
        access_token: None,
        expiry_required: true,
        max_age_seconds: Some(60),
        leeway_seconds: 60,
        once: true,
        claims: vec!["/sub".to_owned()],
    };
    if let Some(object) = json::object(keys) {
        // What is read once is read alike by everybody.
        let lenient = serde_json::from_slice::<serde_json::Value>(keys).ok();
        assert_eq!(lenient, Some(object.into()));
    }
    let keys = Keys::read(keys);
    let Ok(token) = Token::read(text, &expected) else { return };
    if let Ok(keys) = &keys {
        assert!(keys.check(&token).is_err(), "nobody signed it");
    }
    let Ok(claims) = token.claims() else { return };
    let told = Claims { said: &claims, expected: &expected, now: 1_800_000_000 };
    let access = SecretString::from("access");
    let checked = told.check("https://idp.example", token.algorithm, Some(&access));
    if checked.is_ok() {
        assert_eq!(claims.get("iss").and_then(|iss| iss.as_str()), Some("https://idp.example"));
        assert_eq!(claims.get("nonce").and_then(|nonce| nonce.as_str()), Some("nonce"));
    }
    let _ = told.once();
    claims.values().for_each(|claim| drop(super::claims::value(claim)));
}
