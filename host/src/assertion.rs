//! Signs who is calling, so that an app can tell what came through its gateway.
//!
//! A header can be forged or lost on the way by a proxy that is set up badly; a signed
//! one (RFC 7519) cannot, and an app that looks at it fails closed. There is always a key
//! that signs and one that will, and both are published: whoever keeps the published
//! keys knows a new one long before it is used.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwapOption;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::{
    hex,
    store::{SigningKey, Store, StoreError},
};

/// How long an assertion holds, in seconds.
pub(crate) const HOLDS_SECONDS: u64 = 60;
/// For how long one is given out again: what is left of it must be enough for an app.
const REUSED_SECONDS: u64 = HOLDS_SECONDS / 2;
/// Assertions that are kept at most.
const MAX_KEPT: usize = 4_096;

/// How long a key signs, and how long before that it is published, in seconds.
const SIGNS_SECONDS: u64 = 30 * 24 * 3_600;
/// How long it is still published afterwards.
const KNOWN_SECONDS: u64 = 24 * 3_600;
/// How often keys are read anew, in seconds: another replica may have made one.
const RELOAD_EVERY: u64 = 60;

/// What is asserted.
#[derive(Serialize)]
pub(crate) struct Claims<'a> {
    /// The origin of Vestibule.
    pub(crate) iss: &'a str,
    /// The origin of the app.
    pub(crate) aud: &'a str,
    /// The user's id.
    pub(crate) sub: &'a str,
    /// The organisation that the user acts for.
    pub(crate) org: &'a str,
    /// A name to show to people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<&'a str>,
    /// The user's e-mail address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) email: Option<&'a str>,
    /// Whether the identity provider vouches for `email`.
    pub(crate) email_verified: bool,
    /// The user's roles.
    pub(crate) groups: &'a [String],
}

#[derive(Serialize)]
struct Dated<'a> {
    #[serde(flatten)]
    claims: &'a Claims<'a>,
    iat: u64,
    exp: u64,
}

/// A key as it is published (RFC 8037).
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PublicKey {
    kty: &'static str,
    crv: &'static str,
    alg: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
    kid: String,
    x: String,
}

struct Signer {
    id: String,
    active_from: u64,
    pair: Ed25519KeyPair,
}

struct Keys {
    loaded_at: u64,
    /// In the order in which they sign.
    signers: Vec<Signer>,
}

/// Signs, with keys that the database keeps.
#[derive(Default)]
pub(crate) struct Assertions {
    keys: ArcSwapOption<Keys>,
    /// What was signed lately, by what it says.
    kept: Mutex<HashMap<String, (u64, Arc<str>)>>,
}

impl Assertions {
    /// Signs what is claimed, or gives out again what was signed a moment ago.
    pub(crate) async fn sign(
        &self,
        store: &Store,
        now: u64,
        claims: &Claims<'_>,
    ) -> Result<Arc<str>, StoreError> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let said = json(claims);
        if let Some((at, token)) = kept().get(&said)
            && (*at..at.saturating_add(REUSED_SECONDS)).contains(&now)
        {
            return Ok(Arc::clone(token));
        }
        let keys = self.keys(store, now).await?;
        let token: Arc<str> = keys.signer(now).sign(claims, now).into();
        let mut kept = kept();
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(said, (now, Arc::clone(&token)));
        Ok(token)
    }

    /// The keys by which apps know signatures.
    pub(crate) async fn published(
        &self,
        store: &Store,
        now: u64,
    ) -> Result<Vec<PublicKey>, StoreError> {
        Ok(self.keys(store, now).await?.signers.iter().map(Signer::public).collect())
    }

    async fn keys(&self, store: &Store, now: u64) -> Result<Arc<Keys>, StoreError> {
        let known = self.keys.load_full();
        let fresh = |keys: &Keys| now < keys.loaded_at.saturating_add(RELOAD_EVERY);
        if let Some(keys) = known.as_ref().filter(|keys| fresh(keys)) {
            return Ok(Arc::clone(keys));
        }
        match load(store, now).await {
            Ok(keys) => {
                let keys = Arc::new(keys);
                self.keys.store(Some(Arc::clone(&keys)));
                Ok(keys)
            }
            // They are no worse for the database being away.
            Err(error) => known.ok_or(error),
        }
    }
}

impl Keys {
    fn of(keys: &[SigningKey], now: u64) -> Result<Self, StoreError> {
        let signer = |key: &SigningKey| {
            let pair = Ed25519KeyPair::from_pkcs8(&key.private)
                .map_err(|_| StoreError::Damaged("signing_keys"))?;
            Ok(Signer { id: key.id.clone(), active_from: key.active_from, pair })
        };
        let signers = keys.iter().map(signer).collect::<Result<Vec<_>, StoreError>>()?;
        if signers.is_empty() {
            return Err(StoreError::Damaged("signing_keys"));
        }
        Ok(Self { loaded_at: now, signers })
    }

    /// The key whose turn it is.
    fn signer(&self, now: u64) -> &Signer {
        let due = self.signers.iter().rev().find(|signer| signer.active_from <= now);
        due.unwrap_or(&self.signers[0])
    }
}

impl Signer {
    fn sign(&self, claims: &Claims<'_>, now: u64) -> String {
        let head = format!(r#"{{"alg":"EdDSA","typ":"JWT","kid":"{}"}}"#, self.id);
        let dated = Dated { claims, iat: now, exp: now.saturating_add(HOLDS_SECONDS) };
        let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", encode(&head), encode(&json(&dated)));
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.pair.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    fn public(&self) -> PublicKey {
        PublicKey {
            kty: "OKP",
            crv: "Ed25519",
            alg: "EdDSA",
            usage: "sig",
            kid: self.id.clone(),
            x: BASE64_URL_SAFE_NO_PAD.encode(self.pair.public_key()),
        }
    }
}

/// Reads the keys, after making what is missing and forgetting what is over.
async fn load(store: &Store, now: u64) -> Result<Keys, StoreError> {
    let keys = store.signing_keys().await?;
    if wanted(&keys, now).is_empty() && over(&keys, now).next().is_none() {
        return Keys::of(&keys, now);
    }
    // One replica does it; the others find it done.
    let lease = store.lease_signing_keys().await?;
    let changed = async {
        let keys = store.signing_keys().await?;
        for id in over(&keys, now) {
            store.forget_signing_key(id).await?;
        }
        for active_from in wanted(&keys, now) {
            store.add_signing_key(&new_key(active_from)?).await?;
        }
        store.signing_keys().await
    };
    let keys = changed.await;
    lease.release().await?;
    Keys::of(&keys?, now)
}

/// From when on the keys should sign that are missing: one signs, and one will.
fn wanted(keys: &[SigningKey], now: u64) -> Vec<u64> {
    let mut wanted = Vec::new();
    if !keys.iter().any(|key| key.active_from <= now) {
        wanted.push(now);
    }
    if !keys.iter().any(|key| key.active_from > now) {
        wanted.push(now.saturating_add(SIGNS_SECONDS));
    }
    wanted
}

/// The keys whose last signature has long stopped to hold.
fn over(keys: &[SigningKey], now: u64) -> impl Iterator<Item = &str> {
    let gone = move |next: &SigningKey| next.active_from.saturating_add(KNOWN_SECONDS) <= now;
    keys.windows(2).filter(move |pair| gone(&pair[1])).map(|pair| pair[0].id.as_str())
}

fn new_key(active_from: u64) -> Result<SigningKey, StoreError> {
    let unfit = |_| StoreError::Damaged("signing_keys");
    let pair = Ed25519KeyPair::generate().map_err(unfit)?;
    let private = pair.to_pkcs8().map_err(unfit)?;
    Ok(SigningKey {
        id: hex::encode(&Sha256::digest(pair.public_key())[..8]),
        private: Zeroizing::new(private.as_ref().to_vec()),
        active_from,
    })
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value)
        .unwrap_or_else(|error| unreachable!("claims are plain data: {error}"))
}
