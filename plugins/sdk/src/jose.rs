//! Verification of signed tokens by the keys of issuers that the operator granted.

pub use crate::bindings::vestibule::auth::jose::{
    Algorithm, ClaimValue, Expectations, Issuer, JoseError, Metadata, Rejection, discover, verify,
};

impl Issuer {
    /// An issuer whose discovery document is at the usual place.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), metadata_url: None, jwks_url: None }
    }
}

impl Expectations<'_> {
    /// A token for this audience by one of these algorithms that has not expired.
    #[must_use]
    pub fn new(audience: impl Into<String>, algorithms: &[Algorithm]) -> Self {
        Self {
            audiences: vec![audience.into()],
            algorithms: algorithms.to_vec(),
            types: Vec::new(),
            authorized_parties: Vec::new(),
            nonce: None,
            access_token: None,
            expiry_required: true,
            max_age_seconds: None,
            leeway_seconds: 0,
            once: false,
            claims: Vec::new(),
        }
    }
}

impl ClaimValue {
    /// The text, where the claim is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Texts(_) | Self::Integer(_) | Self::Boolean(_) | Self::Json(_) => None,
        }
    }
}
