//! What a token says, against what is expected.

use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::{
    bindings::vestibule::auth::jose::{Algorithm, ClaimValue, Expectations, Rejection},
    capability::secrets::shown,
};

/// The claims of a token whose signature holds.
pub(super) struct Claims<'a> {
    pub(super) said: &'a Map<String, Value>,
    pub(super) expected: &'a Expectations,
    pub(super) now: i64,
}

impl Claims<'_> {
    /// Checks everything but that the token is used once.
    pub(super) fn check(
        &self,
        issuer: &str,
        algorithm: Algorithm,
        access_token: Option<&SecretString>,
    ) -> Result<(), Rejection> {
        if self.text("iss")?.ok_or(Rejection::Claims)? != issuer {
            return Err(Rejection::Issuer);
        }
        self.check_audience()?;
        self.check_times()?;
        let nonce = self.text("nonce")?;
        if self.expected.nonce.is_some() && self.expected.nonce.as_deref() != nonce {
            return Err(Rejection::Nonce);
        }
        if let (Some(token), Some(found)) = (access_token, self.text("at_hash")?)
            && found != half_hash(algorithm, token)
        {
            return Err(Rejection::AccessToken);
        }
        Ok(())
    }

    /// The token's own id, and until when it has to be remembered.
    pub(super) fn once(&self) -> Result<(&str, u64), Rejection> {
        let id = self.text("jti")?.filter(|id| !id.is_empty()).ok_or(Rejection::Claims)?;
        let age = self.expected.max_age_seconds.map(i64::from);
        let too_old = self.time("iat")?.zip(age).map(|(made, age)| made.saturating_add(age));
        let over = self.time("exp")?;
        let end = too_old.into_iter().chain(over).min().ok_or(Rejection::Claims)?;
        Ok((id, u64::try_from(end.saturating_add(self.leeway())).unwrap_or_default()))
    }

    fn check_audience(&self) -> Result<(), Rejection> {
        let expected = self.expected;
        let audiences: Vec<&str> = match self.said.get("aud") {
            None => Vec::new(),
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => texts(several).ok_or(Rejection::Claims)?,
            Some(_) => return Err(Rejection::Claims),
        };
        if !expected.audiences.is_empty() {
            if !self.said.contains_key("aud") {
                return Err(Rejection::Claims);
            }
            if !audiences.iter().any(|found| expected.audiences.iter().any(|one| one == found)) {
                return Err(Rejection::Audience);
            }
        }
        let party = self.text("azp")?;
        let parties = &expected.authorized_parties;
        let needed = audiences.len() > 1 || expected.audiences.is_empty();
        match party {
            _ if parties.is_empty() => Ok(()),
            Some(party) if parties.iter().any(|one| one == party) => Ok(()),
            None if !needed => Ok(()),
            _ => Err(Rejection::AuthorizedParty),
        }
    }

    fn check_times(&self) -> Result<(), Rejection> {
        let (now, leeway) = (self.now, self.leeway());
        let (exp, nbf, iat) = (self.time("exp")?, self.time("nbf")?, self.time("iat")?);
        if self.expected.expiry_required && exp.is_none() {
            return Err(Rejection::Claims);
        }
        if exp.is_some_and(|exp| now >= exp.saturating_add(leeway)) {
            return Err(Rejection::Expired);
        }
        if [nbf, iat].into_iter().flatten().any(|from| from > now.saturating_add(leeway)) {
            return Err(Rejection::NotYetValid);
        }
        let Some(age) = self.expected.max_age_seconds.map(i64::from) else { return Ok(()) };
        let end = iat.ok_or(Rejection::Claims)?.saturating_add(age).saturating_add(leeway);
        if now > end { Err(Rejection::TooOld) } else { Ok(()) }
    }

    fn leeway(&self) -> i64 {
        self.expected.leeway_seconds.into()
    }

    fn text(&self, name: &str) -> Result<Option<&str>, Rejection> {
        match self.said.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Rejection::Claims),
        }
    }

    /// Seconds since the epoch; fractions are cut off (RFC 7519 section 2).
    fn time(&self, name: &str) -> Result<Option<i64>, Rejection> {
        let Some(value) = self.said.get(name) else { return Ok(None) };
        #[expect(clippy::cast_possible_truncation, reason = "it saturates, and fractions go")]
        let cut = |time: f64| time as i64;
        let time = value.as_i64().or_else(|| value.as_f64().map(cut));
        time.map(Some).ok_or(Rejection::Claims)
    }
}

/// A claim as it is handed out.
pub(super) fn value(claim: &Value) -> ClaimValue {
    match claim {
        Value::String(text) => ClaimValue::Text(text.clone()),
        Value::Bool(value) => ClaimValue::Boolean(*value),
        Value::Array(list) => match texts(list) {
            Some(list) => ClaimValue::Texts(list.into_iter().map(str::to_owned).collect()),
            None => ClaimValue::Json(claim.to_string()),
        },
        other => match other.as_i64() {
            Some(number) => ClaimValue::Integer(number),
            None => ClaimValue::Json(other.to_string()),
        },
    }
}

fn texts(list: &[Value]) -> Option<Vec<&str>> {
    list.iter().map(Value::as_str).collect()
}

/// The left half of a token's digest, by the digest of the algorithm (OpenID
/// Connect Core section 3.1.3.6).
fn half_hash(algorithm: Algorithm, token: &SecretString) -> String {
    let by = match algorithm {
        Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::Es256 => &SHA256,
        Algorithm::Rs384 | Algorithm::Ps384 | Algorithm::Es384 => &SHA384,
        Algorithm::Rs512 | Algorithm::Ps512 | Algorithm::Eddsa => &SHA512,
    };
    let digest = digest(by, shown(token).as_bytes());
    let digest = digest.as_ref();
    URL_SAFE_NO_PAD.encode(&digest[..digest.len() / 2])
}
