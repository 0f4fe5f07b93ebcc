//! What a script asks of `jose`.

use serde::Deserialize;
use vestibule_sdk::{
    Secret,
    jose::{self, Algorithm, ClaimValue, Expectations, Issuer, JoseError, Metadata},
};

/// An issuer, and where its documents are.
#[derive(Deserialize)]
pub(crate) struct Place {
    issuer: String,
    metadata_url: Option<String>,
    jwks_url: Option<String>,
}

impl Place {
    pub(crate) fn discover(self) -> Result<Metadata, JoseError> {
        jose::discover(&self.issuer())
    }

    fn issuer(self) -> Issuer {
        let Self { issuer: id, metadata_url, jwks_url } = self;
        Issuer { id, metadata_url, jwks_url }
    }
}

/// A token, by the number of its handle, and what is expected of it.
#[derive(Deserialize)]
pub(crate) struct Verify {
    token: usize,
    #[serde(flatten)]
    place: Place,
    #[serde(default)]
    audiences: Vec<String>,
    algorithms: Vec<String>,
    #[serde(default)]
    types: Vec<String>,
    #[serde(default)]
    parties: Vec<String>,
    nonce: Option<String>,
    access_token: Option<usize>,
    #[serde(default)]
    endless: bool,
    max_age: Option<u32>,
    #[serde(default)]
    leeway: u32,
    #[serde(default)]
    once: bool,
    #[serde(default)]
    claims: Vec<String>,
}

impl Verify {
    pub(crate) fn verify(self, handles: &[Secret]) -> Result<Vec<Option<ClaimValue>>, JoseError> {
        let expected = Expectations {
            audiences: self.audiences,
            algorithms: self.algorithms.iter().map(|name| algorithm(name)).collect(),
            types: self.types,
            authorized_parties: self.parties,
            nonce: self.nonce,
            access_token: self.access_token.map(|handle| &handles[handle]),
            expiry_required: !self.endless,
            max_age_seconds: self.max_age,
            leeway_seconds: self.leeway,
            once: self.once,
            claims: self.claims,
        };
        jose::verify(&handles[self.token], &self.place.issuer(), &expected)
    }
}

fn algorithm(name: &str) -> Algorithm {
    match name {
        "RS256" => Algorithm::Rs256,
        "RS384" => Algorithm::Rs384,
        "RS512" => Algorithm::Rs512,
        "PS256" => Algorithm::Ps256,
        "PS384" => Algorithm::Ps384,
        "PS512" => Algorithm::Ps512,
        "ES256" => Algorithm::Es256,
        "ES384" => Algorithm::Es384,
        "EdDSA" => Algorithm::Eddsa,
        other => panic!("{other} is no algorithm"),
    }
}
