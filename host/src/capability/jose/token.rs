//! A token of the compact form (RFC 7515 section 7.1), taken apart.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};

use super::json;
use crate::bindings::vestibule::auth::jose::{Algorithm, Expectations, Rejection};

/// The longest token, in bytes.
const MAX_BYTES: usize = 32 << 10;

/// Members of a header that change what a signature means, or say that there is
/// no signature: extensions (RFC 7515 section 4.1.11), the payload as it is
/// (RFC 7797), encryption and compression (RFC 7516).
const REFUSED: [&str; 4] = ["crit", "b64", "enc", "zip"];

/// A token of which nothing is known to be true yet. What its header says of keys
/// (`jku`, `jwk`, `x5u`, `x5c`) is not looked at.
pub(super) struct Token<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    /// What is signed.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
    payload: &'a str,
}

impl<'a> Token<'a> {
    /// Takes a token apart, and refuses one whose header is not as expected.
    pub(super) fn read(text: &'a str, expected: &Expectations) -> Result<Self, Rejection> {
        if text.len() > MAX_BYTES {
            return Err(Rejection::Malformed);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Rejection::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Rejection::Malformed)?;
        let header = decoded(header).and_then(|header| json::object(&header));
        let header = header.ok_or(Rejection::Malformed)?;
        if REFUSED.iter().any(|name| header.contains_key(*name)) || payload.contains('.') {
            return Err(Rejection::Malformed);
        }
        let algorithm = header.get("alg").and_then(Value::as_str).and_then(named);
        let algorithm = algorithm.filter(|algorithm| expected.algorithms.contains(algorithm));
        let algorithm = algorithm.ok_or(Rejection::Algorithm)?;
        check_type(header.get("typ"), &expected.types)?;
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.clone()),
            Some(_) => return Err(Rejection::Malformed),
        };
        let signature = decoded(signature).ok_or(Rejection::Malformed)?;
        Ok(Self { algorithm, kid, signed: signed.as_bytes(), signature, payload })
    }

    /// The claims, once the signature is known to hold.
    pub(super) fn claims(&self) -> Result<Map<String, Value>, Rejection> {
        let payload = decoded(self.payload).and_then(|payload| json::object(&payload));
        payload.ok_or(Rejection::Malformed)
    }
}

/// The algorithm of a name (RFC 7518 section 3.1, RFC 8037, RFC 9864).
pub(super) fn named(name: &str) -> Option<Algorithm> {
    Some(match name {
        "RS256" => Algorithm::Rs256,
        "RS384" => Algorithm::Rs384,
        "RS512" => Algorithm::Rs512,
        "PS256" => Algorithm::Ps256,
        "PS384" => Algorithm::Ps384,
        "PS512" => Algorithm::Ps512,
        "ES256" => Algorithm::Es256,
        "ES384" => Algorithm::Es384,
        "EdDSA" | "Ed25519" => Algorithm::Eddsa,
        _ => return None,
    })
}

/// Padding, other alphabets and bits that stand for nothing are refused.
pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// A media type, of which `application/` may be left out (RFC 7515 section 4.1.9).
fn check_type(found: Option<&Value>, expected: &[String]) -> Result<(), Rejection> {
    let short = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.strip_prefix("application/").map(str::to_owned).unwrap_or(name)
    };
    let found = match found {
        Some(Value::String(name)) => Some(short(name)),
        None => None,
        Some(_) => return Err(Rejection::WrongType),
    };
    let fits = |found: String| expected.iter().any(|name| short(name) == found);
    let fits = expected.is_empty() || found.is_some_and(fits);
    if fits { Ok(()) } else { Err(Rejection::WrongType) }
}
