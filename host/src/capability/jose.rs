//! `jose`: verification of signed tokens.
//!
//! Keys come from the issuer alone, and the issuer from the operator's own line.
//! Signatures are checked by aws-lc-rs, the library that TLS has; what surrounds
//! them is little, and has to be strict where libraries are lenient.

mod claims;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod issuers;
mod json;
mod kept;
mod keys;
mod token;

use std::sync::Arc;

use secrecy::SecretString;
use wasmtime::component::Resource;

pub(crate) use self::issuers::Issuers;
use self::{claims::Claims, issuers::Source, token::Token};
use super::{
    Context, Granted,
    http_client::Pointer,
    log::denials::Denied,
    secrets::{Secret, shown},
};
use crate::{
    bindings::vestibule::auth::jose::{
        ClaimValue, Expectations, Host, Issuer, JoseError, Metadata, Rejection,
    },
    identity::RequestId,
    store::Store,
};

/// The most values of one kind that a call may name.
const MAX_NAMED: usize = 64;

/// The largest tolerance for the clocks of others, in seconds.
const MAX_LEEWAY: u32 = 60;

type Values = Vec<Option<ClaimValue>>;

/// In whose name documents are read: what is refused meanwhile was refused to them.
#[derive(Clone)]
struct Asker {
    granted: Arc<Granted>,
    request: RequestId,
}

impl Asker {
    fn deny(&self, denied: Denied<'_>) {
        self.granted.deny(self.request, denied);
    }
}

impl From<Rejection> for JoseError {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl Host for Context {
    async fn discover(&mut self, issuer: Issuer) -> wasmtime::Result<Result<Metadata, JoseError>> {
        let source = match self.source(issuer) {
            Ok(source) => source,
            Err(error) => return Ok(Err(error)),
        };
        let document = source.document(&self.asker(), self.time_left()).await;
        Ok(document.map(|document| document.metadata.clone()))
    }

    async fn verify(
        &mut self,
        token: Resource<Secret>,
        issuer: Issuer,
        mut expected: Expectations,
    ) -> wasmtime::Result<Result<Values, JoseError>> {
        let token = self.table.get(&token)?.text();
        let access = expected.access_token.take();
        let access = access.map(|token| self.table.get(&token).map(Secret::text)).transpose()?;
        Ok(self.verified(&token, issuer, expected, access.as_deref()).await)
    }
}

impl Context {
    async fn verified(
        &mut self,
        token: &SecretString,
        issuer: Issuer,
        mut expected: Expectations,
        access: Option<&SecretString>,
    ) -> Result<Values, JoseError> {
        let pointers = pointers(&mut expected)?;
        check(&expected)?;
        let id = issuer.id.clone();
        let source = self.source(issuer)?;
        let token = Token::read(shown(token), &expected)?;
        let asker = self.asker();
        let keys = source.keys(&asker, self.time_left()).await?;
        if let Err(rejection) = keys.check(&token) {
            if rejection != Rejection::UnknownKey {
                return Err(rejection.into());
            }
            source.newer_keys(&asker, self.time_left()).await?.check(&token)?;
        }
        let claims = token.claims()?;
        let now = i64::try_from(self.granted.clock.now()).unwrap_or(i64::MAX);
        let told = Claims { said: &claims, expected: &expected, now };
        told.check(&id, token.algorithm, access)?;
        if expected.once {
            let (jti, until) = told.once()?;
            use_up(self.granted.store.clone(), &id, jti, until).await?;
        }
        let document = serde_json::Value::Object(claims);
        let value = |pointer: &Pointer| pointer.find(&document).map(claims::value);
        Ok(pointers.iter().map(value).collect())
    }

    /// What is known of an issuer.
    fn source(&self, issuer: Issuer) -> Result<Arc<Source>, JoseError> {
        let Some(issuers) = &self.granted.issuers else {
            return Err(JoseError::NotGranted("no issuer is".to_owned()));
        };
        issuers.source(&self.asker(), issuer)
    }

    fn asker(&self) -> Asker {
        Asker { granted: Arc::clone(&self.granted), request: self.request }
    }
}

/// Remembers a token, among all replicas and under its issuer's name.
async fn use_up(
    store: Option<Store>,
    issuer: &str,
    jti: &str,
    until: u64,
) -> Result<(), JoseError> {
    let unavailable = || JoseError::Unavailable("the database cannot do this now".to_owned());
    // The issuer's length keeps two pairs apart that would be one text.
    let what = format!("jti {} {issuer} {jti}", issuer.len());
    match store.ok_or_else(unavailable)?.use_once(&what, until).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Rejection::Replayed.into()),
        Err(error) => {
            tracing::error!(%error, "used tokens cannot be remembered");
            Err(unavailable())
        }
    }
}

/// Refuses expectations that anything could meet.
fn check(expected: &Expectations) -> Result<(), JoseError> {
    let lists = [&expected.audiences, &expected.types, &expected.authorized_parties];
    let what = if expected.audiences.is_empty() && expected.authorized_parties.is_empty() {
        "there is no audience and no authorized party"
    } else if expected.algorithms.is_empty() {
        "there is no algorithm"
    } else if expected.leeway_seconds > MAX_LEEWAY {
        "leeway-seconds is at most 60"
    } else if expected.once && !expected.expiry_required && expected.max_age_seconds.is_none() {
        "what is used once needs an end: expiry-required or max-age-seconds"
    } else if lists.iter().any(|list| list.len() > MAX_NAMED) {
        "a list has at most 64 values"
    } else {
        return Ok(());
    };
    Err(JoseError::InvalidRequest(what.to_owned()))
}

fn pointers(expected: &mut Expectations) -> Result<Vec<Pointer>, JoseError> {
    let claims = std::mem::take(&mut expected.claims);
    let count = claims.len();
    let pointers: Vec<_> = claims.into_iter().map_while(Pointer::parse).collect();
    if count > MAX_NAMED || pointers.len() < count {
        let what = "claims are at most 64 JSON pointers (RFC 6901)";
        return Err(JoseError::InvalidRequest(what.to_owned()));
    }
    Ok(pointers)
}
