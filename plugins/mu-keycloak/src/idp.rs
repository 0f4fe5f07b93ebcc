//! What the identity provider says, and whether it is believed.

use vestibule_sdk::{
    Error, Identity, Secret,
    jose::{self, ClaimValue, Expectations, Issuer, JoseError, Metadata, Rejection},
    log,
};

use crate::{person::Wanted, settings::Settings};

/// Tolerance for the identity provider's clock, in seconds.
const LEEWAY: u32 = 30;

/// The oldest log-out token that ends anything, in seconds.
const LOG_OUT_AGE: u32 = 120;

/// The event of a log-out (OpenID Connect Back-Channel Logout 1.0 section 2.4).
const LOGGED_OUT: &str = "/events/http:~1~1schemas.openid.net~1event~1backchannel-logout";

/// What Keycloak adds where offline sessions end as well.
const OFFLINE_REVOKED: &str = "/events/revoke_offline_access";

/// The identity provider as the settings name it.
pub(crate) struct Idp<'a> {
    settings: &'a Settings,
    pub(crate) issuer: Issuer,
}

/// Who a log-in says has come.
pub(crate) struct Arrived {
    pub(crate) identity: Identity,
    /// The identity provider's id of the session.
    pub(crate) session_id: Option<String>,
    /// The realm's alias of the provider at which they logged in.
    pub(crate) by_way_of: Option<String>,
}

/// What a log-out token says.
pub(crate) struct LoggedOut {
    pub(crate) user: Option<String>,
    pub(crate) session_id: Option<String>,
    pub(crate) offline_as_well: bool,
}

impl<'a> Idp<'a> {
    pub(crate) fn of(settings: &'a Settings) -> Result<Self, Error> {
        Ok(Self { issuer: settings.place.issuer()?, settings })
    }

    /// Its discovery document.
    pub(crate) fn metadata(&self) -> Result<Metadata, Error> {
        Ok(jose::discover(&self.issuer)?)
    }

    /// Where codes and refresh tokens are exchanged.
    pub(crate) fn token_url(metadata: &Metadata) -> Result<&str, Error> {
        let url = metadata.token_endpoint.as_deref();
        url.ok_or_else(|| Error::unavailable("the discovery document names no token endpoint"))
    }

    /// Whether a callback is of this issuer (RFC 9207 section 2.4).
    pub(crate) fn check_callback(
        &self,
        metadata: &Metadata,
        iss: Option<&str>,
    ) -> Result<(), Error> {
        match iss {
            Some(iss) if iss == self.issuer.id => Ok(()),
            Some(_) => Err(Error::unauthenticated("the callback is of another issuer")),
            None if metadata.issuer_in_callback => {
                Err(Error::unauthenticated("the callback does not name its issuer"))
            }
            None => Ok(()),
        }
    }

    /// Who has come, by the tokens of a log-in (OpenID Connect Core section 3.1.3.7).
    pub(crate) fn arrived(
        &self,
        id_token: &Secret,
        access: &Secret,
        nonce: Option<&str>,
    ) -> Result<Arrived, Error> {
        let wanted = Wanted::of(self.settings);
        let mut values = jose::verify(
            id_token,
            &self.issuer,
            &Expectations {
                authorized_parties: vec![self.settings.client.id.clone()],
                nonce: nonce.map(Into::into),
                access_token: Some(access),
                claims: wanted.and(&["/sid", "/identity_provider"]),
                ..self.expectations(vec![self.settings.client.id.clone()])
            },
        )?;
        let others = wanted.others(&values);
        let text = |index: usize| others.get(index)?.as_ref()?.as_text().map(str::to_owned);
        let (session_id, by_way_of) = (text(0), text(1));
        if wanted.is_silent(&values) {
            // Keycloak puts roles into the access token alone.
            let further = self.of_access_token(access, &wanted, &values)?;
            values = Wanted::complete(values, further);
        }
        Ok(Arrived { identity: wanted.identity(&values)?, session_id, by_way_of })
    }

    /// What the access token of the same answer says. It may be of a form that is
    /// nobody's business but the identity provider's; that costs roles, no more.
    fn of_access_token(
        &self,
        access: &Secret,
        wanted: &Wanted,
        said: &[Option<ClaimValue>],
    ) -> Result<Vec<Option<ClaimValue>>, Error> {
        let expected = Expectations {
            authorized_parties: vec![self.settings.client.id.clone()],
            claims: wanted.and(&[]),
            ..self.expectations(Vec::new())
        };
        match jose::verify(access, &self.issuer, &expected) {
            Ok(values) => {
                let sub = |values: &[Option<ClaimValue>]| match values.first() {
                    Some(Some(ClaimValue::Text(sub))) => Some(sub.clone()),
                    _ => None,
                };
                // A lightweight one names nobody.
                if sub(&values).is_some_and(|other| Some(other) != sub(said)) {
                    return Err(Error::unauthenticated("the two tokens are of two people"));
                }
                Ok(values)
            }
            Err(JoseError::Rejected(Rejection::Malformed)) => Ok(Vec::new()),
            Err(JoseError::Rejected(why)) => {
                let why = format!("{why:?}");
                log::warn(
                    "the access token is not believed: roles may be missing",
                    &[("why", &why)],
                );
                Ok(Vec::new())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whose access token a client presents that is somebody else's (RFC 9068
    /// section 4).
    pub(crate) fn bearer(&self, token: &Secret) -> Result<Identity, Error> {
        let settings = self.settings;
        let audiences = match settings.client.bearer_audiences.as_slice() {
            [] => vec![settings.client.id.clone()],
            named => named.to_vec(),
        };
        let wanted = Wanted::of(settings);
        let mut expected = Expectations {
            authorized_parties: settings.client.bearer_clients.clone(),
            claims: wanted.and(&["/typ", "/azp"]),
            ..self.expectations(audiences)
        };
        let values = jose::verify(token, &self.issuer, &expected)?;
        let others = wanted.others(&values);
        let text = |index: usize| others.get(index)?.as_ref()?.as_text();
        // An ID token has the same keys and may have the same audience.
        match text(0) {
            Some("Bearer") => {}
            Some(_) => return Err(Error::unauthenticated("it is no access token")),
            None => {
                expected.types = vec!["at+jwt".into(), "application/at+jwt".into()];
                jose::verify(token, &self.issuer, &expected)?;
            }
        }
        if !settings.client.bearer_clients.is_empty() && text(1).is_none() {
            return Err(Error::unauthenticated("it does not say which client it was given to"));
        }
        wanted.identity(&values)
    }

    /// What a log-out token says (OpenID Connect Back-Channel Logout 1.0 section 2.6).
    pub(crate) fn logged_out(&self, token: &Secret) -> Result<LoggedOut, Error> {
        let expected = Expectations {
            types: ["logout+jwt", "application/logout+jwt", "JWT"].map(Into::into).into(),
            expiry_required: false,
            max_age_seconds: Some(LOG_OUT_AGE),
            once: true,
            claims: ["/sub", "/sid", "/nonce", LOGGED_OUT, OFFLINE_REVOKED].map(Into::into).into(),
            ..self.expectations(vec![self.settings.client.id.clone()])
        };
        let mut values = jose::verify(token, &self.issuer, &expected)?.into_iter();
        let mut next = || values.next().flatten();
        let (user, session_id, nonce, event, offline) = (next(), next(), next(), next(), next());
        if nonce.is_some() {
            return Err(Error::unauthenticated("it has a nonce, and is another kind of token"));
        }
        if !matches!(&event, Some(ClaimValue::Json(object)) if object.starts_with('{')) {
            return Err(Error::unauthenticated("it is about another event"));
        }
        let name = |value: Option<ClaimValue>| match value {
            None => Ok(None),
            Some(ClaimValue::Text(text)) if !text.is_empty() => Ok(Some(text)),
            Some(_) => Err(Error::unauthenticated("its sub or sid is no text")),
        };
        let (user, session_id) = (name(user)?, name(session_id)?);
        if user.is_none() && session_id.is_none() {
            return Err(Error::unauthenticated("it names neither a user nor a session"));
        }
        Ok(LoggedOut { user, session_id, offline_as_well: offline.is_some() })
    }

    fn expectations(&self, audiences: Vec<String>) -> Expectations<'static> {
        Expectations {
            audiences,
            algorithms: self.settings.algorithms(),
            types: Vec::new(),
            authorized_parties: Vec::new(),
            nonce: None,
            access_token: None,
            expiry_required: true,
            max_age_seconds: None,
            leeway_seconds: LEEWAY,
            once: false,
            claims: Vec::new(),
        }
    }
}
