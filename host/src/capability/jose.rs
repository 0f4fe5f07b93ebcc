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
use wasmtime::component::{LinkerInstance, Resource};

pub(crate) use self::issuers::Issuers;
use self::{claims::Claims, issuers::Source, token::Token};
use super::{
    Context, Granted, WouldWait,
    http_client::Pointer,
    log::denials::Denied,
    secrets::{Secret, shown},
};
use crate::{
    bindings::vestibule::auth::jose::{
        ClaimValue, Expectations, Host, Issuer, JoseError, Metadata, Rejection,
    },
    clock::Clock,
    identity::RequestId,
    store::Store,
};

/// The most values of one kind that a call may name.
const MAX_NAMED: usize = 64;

/// The largest tolerance for the clocks of others, in seconds.
const MAX_LEEWAY: u32 = 60;

type Values = Vec<Option<ClaimValue>>;
type Asked = (Resource<Secret>, Issuer, Expectations);

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
        expected: Expectations,
    ) -> wasmtime::Result<Result<Values, JoseError>> {
        let presented = Presented::of(self, &token, &expected)?;
        Ok(self.verified(&presented, issuer, expected).await)
    }
}

/// Links what answers by keys and documents that are at hand, and otherwise ends the call
/// with [`WouldWait`]: nothing has come of it then.
pub(crate) fn link_without_waiting<T: Send + 'static>(
    instance: &mut LinkerInstance<'_, T>,
    context: fn(&mut T) -> &mut Context,
) -> wasmtime::Result<()> {
    instance.func_wrap("discover", move |mut store, (issuer,): (Issuer,)| {
        let this = context(store.data_mut());
        Ok((match this.source(issuer) {
            Ok(source) => Ok(source.document_at_hand().ok_or(WouldWait)?.metadata.clone()),
            Err(error) => Err(error),
        },))
    })?;
    instance.func_wrap("verify", move |mut store, (token, issuer, expected): Asked| {
        let this = context(store.data_mut());
        let presented = Presented::of(this, &token, &expected)?;
        Ok((this.verified_at_once(&presented, issuer, expected)?,))
    })
}

/// The texts of the tokens that a question is about.
struct Presented {
    token: Arc<SecretString>,
    access: Option<Arc<SecretString>>,
}

impl Presented {
    fn of(
        context: &Context,
        token: &Resource<Secret>,
        expected: &Expectations,
    ) -> wasmtime::Result<Self> {
        let text = |handle| context.table.get(handle).map(Secret::text);
        let access = expected.access_token.as_ref();
        Ok(Self { token: text(token)?, access: access.map(text).transpose()? })
    }
}

/// A token, and what it must satisfy.
struct Question<'a> {
    source: Arc<Source>,
    issuer: String,
    token: Token<'a>,
    access: Option<&'a SecretString>,
    expected: Expectations,
    pointers: Vec<Pointer>,
}

impl Question<'_> {
    /// What a token says whose signature holds, and under which name it is used up.
    fn answer(&self, clock: &Clock) -> Result<(Values, Option<(String, u64)>), Rejection> {
        let said = self.token.claims()?;
        let now = i64::try_from(clock.now()).unwrap_or(i64::MAX);
        let told = Claims { said: &said, expected: &self.expected, now };
        told.check(&self.issuer, self.token.algorithm, self.access)?;
        let once = self.expected.once.then(|| told.once()).transpose()?;
        let once = once.map(|(jti, until)| (jti.to_owned(), until));
        let document = serde_json::Value::Object(said);
        let value = |pointer: &Pointer| pointer.find(&document).map(claims::value);
        Ok((self.pointers.iter().map(value).collect(), once))
    }
}

impl Context {
    async fn verified(
        &mut self,
        presented: &Presented,
        issuer: Issuer,
        expected: Expectations,
    ) -> Result<Values, JoseError> {
        let question = self.question(presented, issuer, expected)?;
        let asker = self.asker();
        let keys = question.source.keys(&asker, self.time_left()).await?;
        if let Err(rejection) = keys.check(&question.token) {
            if rejection != Rejection::UnknownKey {
                return Err(rejection.into());
            }
            let newer = question.source.newer_keys(&asker, self.time_left()).await?;
            newer.check(&question.token)?;
        }
        let (values, once) = question.answer(&self.granted.clock)?;
        if let Some((jti, until)) = once {
            use_up(self.granted.store.clone(), &question.issuer, &jti, until).await?;
        }
        Ok(values)
    }

    fn verified_at_once(
        &mut self,
        presented: &Presented,
        issuer: Issuer,
        expected: Expectations,
    ) -> Result<Result<Values, JoseError>, WouldWait> {
        if expected.once {
            return Err(WouldWait);
        }
        let question = match self.question(presented, issuer, expected) {
            Ok(question) => question,
            Err(error) => return Ok(Err(error)),
        };
        let keys = question.source.keys_at_hand().ok_or(WouldWait)?;
        let answer = match keys.check(&question.token) {
            Err(Rejection::UnknownKey) => return Err(WouldWait),
            Err(rejection) => Err(rejection),
            Ok(()) => question.answer(&self.granted.clock),
        };
        Ok(answer.map(|(values, _)| values).map_err(JoseError::from))
    }

    fn question<'a>(
        &self,
        presented: &'a Presented,
        issuer: Issuer,
        mut expected: Expectations,
    ) -> Result<Question<'a>, JoseError> {
        let pointers = pointers(&mut expected)?;
        check(&expected)?;
        let id = issuer.id.clone();
        let source = self.source(issuer)?;
        let token = Token::read(shown(&presented.token), &expected)?;
        let access = presented.access.as_deref();
        Ok(Question { source, issuer: id, token, access, expected, pointers })
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
