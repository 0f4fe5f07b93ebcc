//! An issuer's key set (RFC 7517), and signatures checked by it.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
    RsaPublicKeyComponents, VerificationAlgorithm,
};
use serde_json::{Map, Value};

use super::{
    json,
    token::{Token, decoded, named},
};
use crate::bindings::vestibule::auth::jose::{Algorithm, Rejection};

/// The most keys of an issuer.
const MAX_KEYS: usize = 100;

/// What an RSA key without an algorithm of its own is for.
const RSA: [Algorithm; 6] = [
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
];

/// The keys of an issuer that can be used.
pub(super) struct Keys(Vec<Key>);

/// A key for one algorithm, parsed once and not with every token.
struct Key {
    kid: Option<String>,
    algorithm: Algorithm,
    parsed: ParsedPublicKey,
}

impl Keys {
    /// Reads a key set. Keys that cannot be used, or not for signatures, are left
    /// out; a set without any other is none.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let set = json::object(bytes).ok_or("it is no JSON object, or has a member twice")?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or("there is no list of keys")?;
        if keys.len() > MAX_KEYS {
            return Err(format!("there are {} keys; {MAX_KEYS} are enough", keys.len()));
        }
        let keys: Vec<Key> =
            keys.iter().filter_map(Value::as_object).filter_map(read).flatten().collect();
        if keys.is_empty() {
            Err("none of its keys can be used".to_owned())
        } else {
            Ok(Self(keys))
        }
    }

    /// Checks a token's signature. Of keys that share a name each may have made it.
    pub(super) fn check(&self, token: &Token<'_>) -> Result<(), Rejection> {
        let fitting: Vec<&Key> = self.0.iter().filter(|key| key.fits(token)).collect();
        // Without a name it can only be meant where there is no other.
        if fitting.is_empty() || (token.kid.is_none() && fitting.len() > 1) {
            return Err(Rejection::UnknownKey);
        }
        let made = |key: &&Key| key.parsed.verify_sig(token.signed, &token.signature).is_ok();
        if fitting.iter().any(made) { Ok(()) } else { Err(Rejection::Signature) }
    }
}

impl Key {
    fn fits(&self, token: &Token<'_>) -> bool {
        self.algorithm == token.algorithm && (token.kid.is_none() || self.kid == token.kid)
    }
}

/// A key, once for every algorithm that it is for.
fn read(key: &Map<String, Value>) -> Option<Vec<Key>> {
    let text = |name: &str| key.get(name).map(|value| value.as_str().ok_or(())).transpose().ok();
    let bytes = |name: &str| decoded(text(name)??);
    if text("use")?.is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    if let Some(purposes) = key.get("key_ops")
        && !purposes.as_array()?.iter().any(|purpose| purpose == "verify")
    {
        return None;
    }
    let kid = text("kid")?.map(str::to_owned);
    let only = match text("alg")? {
        Some(name) => Some(named(name)?),
        None => None,
    };
    let keys = match (text("kty")??, text("crv")?) {
        ("RSA", _) => rsa(&bytes("n")?, &bytes("e")?)?,
        ("EC", Some("P-256")) => {
            vec![(
                Algorithm::Es256,
                point(&ECDSA_P256_SHA256_FIXED, 32, &bytes("x")?, &bytes("y")?)?,
            )]
        }
        ("EC", Some("P-384")) => {
            vec![(
                Algorithm::Es384,
                point(&ECDSA_P384_SHA384_FIXED, 48, &bytes("x")?, &bytes("y")?)?,
            )]
        }
        ("OKP", Some("Ed25519")) => {
            let x: [u8; 32] = bytes("x")?.try_into().ok()?;
            if has_small_order(x) {
                return None;
            }
            vec![(Algorithm::Eddsa, ParsedPublicKey::new(&ED25519, x).ok()?)]
        }
        _ => return None,
    };
    let keys = keys.into_iter().filter(|(algorithm, _)| only.is_none_or(|only| only == *algorithm));
    let keys = keys.map(|(algorithm, parsed)| Key { kid: kid.clone(), algorithm, parsed });
    Some(keys.collect())
}

/// Whether a point of Ed25519 has an order of 8 or less: signatures that nobody made hold
/// under such a key, and the library takes it (RFC 8032 section 5.1.7 leaves that open).
fn has_small_order(mut point: [u8; 32]) -> bool {
    const fn near_p(low: u8) -> [u8; 32] {
        let mut y = [0xff; 32];
        (y[0], y[31]) = (low, 0x7f);
        y
    }
    const fn small(low: u8) -> [u8; 32] {
        let mut y = [0; 32];
        y[0] = low;
        y
    }
    // By y alone, because a point and its negative have the same order. The last two are 0
    // and 1 written in another way.
    const OF_SMALL_ORDER: [[u8; 32]; 7] = [
        small(0),
        small(1),
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef,
            0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88,
            0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10,
            0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77,
            0x92, 0xac, 0x03, 0x7a,
        ],
        near_p(0xec),
        near_p(0xed),
        near_p(0xee),
    ];
    point[31] &= 0x7f;
    OF_SMALL_ORDER.contains(&point)
}

/// An RSA key for each algorithm, unless it is too short: the library finds that
/// out with a token at hand, when the key would stand in the way of others.
fn rsa(n: &[u8], e: &[u8]) -> Option<Vec<(Algorithm, ParsedPublicKey)>> {
    // Some write a zero in front, as ASN.1 does.
    let n = n.strip_prefix(&[0]).unwrap_or(n);
    let bits = n.len() * 8 - n.first()?.leading_zeros() as usize;
    if !(2048..=8192).contains(&bits) {
        return None;
    }
    let key = RsaPublicKeyComponents { n, e };
    let parsed =
        |algorithm| Some((algorithm, key.to_parsed_public_key(parameters(algorithm)?).ok()?));
    RSA.into_iter().map(parsed).collect()
}

fn parameters(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &RSA_PSS_2048_8192_SHA512,
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::Eddsa => return None,
    })
}

/// A point as SEC 1 writes it; one that is not on the curve does not parse.
fn point(
    algorithm: &'static dyn VerificationAlgorithm,
    size: usize,
    x: &[u8],
    y: &[u8],
) -> Option<ParsedPublicKey> {
    if x.len() != size || y.len() != size {
        return None;
    }
    ParsedPublicKey::new(algorithm, [&[4], x, y].concat()).ok()
}
