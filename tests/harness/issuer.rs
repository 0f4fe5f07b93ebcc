//! An issuer of tokens on loopback that says what a test wants, and keys that sign
//! whatever they are given.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
        RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
    },
};
use axum::response::Response;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::peer::{Peer, Seen, answer, unannounced};

/// What an issuer answers.
#[derive(Clone)]
pub enum Says {
    /// This document.
    Document(Value),
    /// This text.
    Text(String),
    /// Nothing but a status.
    Status(u16),
    /// That it is elsewhere.
    Moved(String),
    /// Ten megabytes.
    TooMuch,
    /// Nothing for a minute.
    Nothing,
}

/// An issuer that lives as long as this.
pub struct Issuer {
    /// The value of `iss`.
    pub id: String,
    /// The server.
    pub peer: Peer,
    script: Arc<Mutex<Script>>,
}

struct Script {
    discovery: Says,
    keys: Says,
}

impl Issuer {
    /// An issuer with these keys.
    pub async fn start(keys: &[&Key]) -> Self {
        let unset = Script { discovery: Says::Status(404), keys: Says::Status(404) };
        let script = Arc::new(Mutex::new(unset));
        let read = Arc::clone(&script);
        let peer = Peer::start(move |seen: Seen| {
            let script = read.lock().unwrap_or_else(PoisonError::into_inner);
            let says = match seen.target.as_str() {
                "/realm/.well-known/openid-configuration" => script.discovery.clone(),
                "/realm/keys" => script.keys.clone(),
                _ => Says::Status(404),
            };
            say(says)
        })
        .await;
        let this = Self { id: format!("{}/realm", peer.origin), peer, script };
        this.discover(Says::Document(this.document()));
        this.publish(keys);
        this
    }

    /// Its discovery document.
    #[must_use]
    pub fn document(&self) -> Value {
        let id = &self.id;
        json!({
            "issuer": id,
            "authorization_endpoint": format!("{id}/authorize"),
            "token_endpoint": format!("{id}/token"),
            "jwks_uri": format!("{id}/keys"),
            "end_session_endpoint": format!("{id}/logout"),
            "authorization_response_iss_parameter_supported": true,
        })
    }

    /// From now on this is what it says for its discovery document.
    pub fn discover(&self, says: Says) {
        self.script.lock().unwrap_or_else(PoisonError::into_inner).discovery = says;
    }

    /// From now on these are its keys.
    pub fn publish(&self, keys: &[&Key]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
        self.publish_as(Says::Document(json!({ "keys": keys })));
    }

    /// From now on this is what it says for its keys.
    pub fn publish_as(&self, says: Says) {
        self.script.lock().unwrap_or_else(PoisonError::into_inner).keys = says;
    }

    /// How often its discovery document and its keys were asked for.
    #[must_use]
    pub fn asked(&self) -> (usize, usize) {
        let seen = self.peer.seen();
        let count = |end: &str| seen.iter().filter(|seen| seen.target.ends_with(end)).count();
        (count("/openid-configuration"), count("/keys"))
    }
}

async fn say(says: Says) -> Response {
    match says {
        Says::Document(document) => answer(200, "application/json", document.to_string()),
        Says::Text(text) => answer(200, "application/json", text),
        Says::Status(status) => answer(status, "text/plain", ""),
        Says::Moved(to) => {
            let mut moved = answer(302, "text/plain", "");
            moved.headers_mut().insert("location", to.parse().expect("a URL"));
            moved
        }
        Says::TooMuch => answer(200, "application/json", unannounced(160, 64 << 10)),
        Says::Nothing => {
            tokio::time::sleep(Duration::from_mins(1)).await;
            answer(200, "application/json", "{}")
        }
    }
}

/// A key with a name.
pub struct Key {
    /// Its name.
    pub kid: String,
    pair: Pair,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Key {
    /// A new RSA key of 2048 bits.
    #[must_use]
    pub fn rsa(kid: &str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        Self { kid: kid.to_owned(), pair: Pair::Rsa(Box::new(pair)) }
    }

    /// A new key on P-256.
    #[must_use]
    pub fn p256(kid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        Self { kid: kid.to_owned(), pair: Pair::P256(pair) }
    }

    /// A new key on P-384.
    #[must_use]
    pub fn p384(kid: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).expect("a key");
        Self { kid: kid.to_owned(), pair: Pair::P384(pair) }
    }

    /// A new Ed25519 key.
    #[must_use]
    pub fn ed25519(kid: &str) -> Self {
        let pair = Ed25519KeyPair::generate().expect("a key");
        Self { kid: kid.to_owned(), pair: Pair::Ed25519(pair) }
    }

    /// The public half, as a key set has it.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let kid = &self.kid;
        let point = |crv: &str, point: &[u8]| {
            let (x, y) = point[1..].split_at((point.len() - 1) / 2);
            json!({"kty": "EC", "use": "sig", "crv": crv, "kid": kid, "x": coded(x), "y": coded(y)})
        };
        match &self.pair {
            Pair::Rsa(_) => {
                let (n, e) = self.public_rsa();
                json!({"kty": "RSA", "use": "sig", "kid": kid, "n": coded(&n), "e": coded(&e)})
            }
            Pair::P256(pair) => point("P-256", pair.public_key().as_ref()),
            Pair::P384(pair) => point("P-384", pair.public_key().as_ref()),
            Pair::Ed25519(pair) => {
                let x = coded(pair.public_key().as_ref());
                json!({"kty": "OKP", "use": "sig", "crv": "Ed25519", "kid": kid, "x": x})
            }
        }
    }

    /// The public half as bytes that everybody has.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_ref(),
            Pair::P256(pair) | Pair::P384(pair) => pair.public_key().as_ref(),
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
        }
    }

    /// Modulus and exponent out of the two integers of an `RSAPublicKey` (RFC 8017).
    fn public_rsa(&self) -> (Vec<u8>, Vec<u8>) {
        let der = self.public();
        assert_eq!((der.len(), &der[265..267]), (270, &[2, 3][..]), "a key of 2048 bits");
        (der[9..265].to_vec(), der[267..].to_vec())
    }

    /// A token with the usual header.
    #[must_use]
    pub fn token(&self, algorithm: &str, claims: &Value) -> String {
        self.sign(algorithm, &json!({"alg": algorithm, "typ": "JWT", "kid": self.kid}), claims)
    }

    /// A token with any header, signed as the algorithm says.
    #[must_use]
    pub fn sign(&self, algorithm: &str, header: &Value, claims: &Value) -> String {
        self.sign_text(algorithm, &header.to_string(), claims.to_string().as_bytes())
    }

    /// The same with texts that need not be JSON.
    #[must_use]
    pub fn sign_text(&self, algorithm: &str, header: &str, payload: &[u8]) -> String {
        let signed = format!("{}.{}", coded(header.as_bytes()), coded(payload));
        let signature = self.signature(algorithm, signed.as_bytes());
        format!("{signed}.{}", coded(&signature))
    }

    fn signature(&self, algorithm: &str, signed: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let how: &dyn RsaEncoding = match algorithm {
                    "RS256" => &RSA_PKCS1_SHA256,
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    other => panic!("{other} is none of RSA"),
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(how, &random, signed, &mut signature).expect("a signature");
                signature
            }
            Pair::P256(pair) | Pair::P384(pair) => {
                pair.sign(&random, signed).expect("a signature").as_ref().to_vec()
            }
            Pair::Ed25519(pair) => pair.sign(signed).as_ref().to_vec(),
        }
    }
}

/// As a token has it.
#[must_use]
pub fn coded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
