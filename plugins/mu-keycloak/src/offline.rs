//! The offline token: a grant of its own that outlives every browser's session
//! (OpenID Connect Core section 11). It is loaded where a provider token cannot be had
//! otherwise, and for nothing else.

use vestibule_sdk::{
    NewToken, Secret, clock,
    oauth::{self, Answer, Failure},
    token_provider::TokenError,
    token_store::{self, TokenState},
};

use crate::{
    idp::Idp,
    settings::{self, Settings},
};

/// Its name in the token store.
pub(crate) const NAME: &str = "offline";

/// Whether an answer grants offline access. One that names no scope grants what was
/// asked for (RFC 6749 section 5.1).
pub(crate) fn is_granted(answer: &Answer) -> bool {
    let scope = answer.scope.as_deref();
    scope.is_none_or(|scope| scope.split(' ').any(|scope| scope == "offline_access"))
}

/// An access token of the user, with no browser at hand.
pub(crate) fn access(settings: &Settings, user: Option<&str>) -> Result<Secret, TokenError> {
    let over = |why: &str| TokenError::Reconnect(format!("the offline token {why}"));
    let lease = token_store::acquire_lease(user, NAME)?;
    let stored = lease.current()?.ok_or_else(|| over("is not there"))?;
    if stored.state == TokenState::Reconnect {
        return Err(over("was refused before"));
    }
    let Some(refresh) = stored.refresh else { return Err(over("is not there")) };
    let internal = |error: vestibule_sdk::Error| match error {
        vestibule_sdk::Error::Unavailable(reason) => TokenError::Unavailable(reason),
        error => TokenError::Internal(format!("{error:?}")),
    };
    let secret = settings::client_secret().map_err(internal)?;
    let metadata = Idp::of(settings).and_then(|idp| idp.metadata()).map_err(internal)?;
    let url = Idp::token_url(&metadata).map_err(internal)?;
    lease.begin_rotation()?;
    match settings.token_endpoint(url, &secret).refresh(&refresh) {
        Ok(tokens) => {
            let granted = is_granted(&tokens.answer);
            let refresh_expires_at = match tokens.refresh {
                Some(_) => oauth::expires_at(clock::now(), tokens.answer.refresh_expires_in),
                None => stored.refresh_expires_at,
            };
            lease.save(NewToken {
                name: NAME.into(),
                access: None,
                refresh: Some(tokens.refresh.unwrap_or(refresh)),
                access_expires_at: None,
                refresh_expires_at,
                host: None,
                account_id: None,
            })?;
            if !granted {
                // Keycloak goes on with old ones after the client has lost the scope.
                lease.mark_reconnect("offline access is no longer granted")?;
                return Err(over("is no longer granted"));
            }
            Ok(tokens.access)
        }
        Err(Failure::Definite(reason)) => {
            lease.mark_reconnect(&reason)?;
            Err(over("is refused"))
        }
        Err(failure) => {
            let reason = failure.told("the identity provider");
            lease.abandon_rotation()?;
            Err(TokenError::Unavailable(reason))
        }
    }
}

/// Ends it at the identity provider, because the user disconnects.
pub(crate) fn revoke(settings: &Settings, user: Option<&str>) -> Result<(), TokenError> {
    let Some(stored) = token_store::load(user, NAME)? else { return Ok(()) };
    let Some(refresh) = stored.refresh else { return Ok(()) };
    let internal = |error: vestibule_sdk::Error| TokenError::Unavailable(format!("{error:?}"));
    let metadata = Idp::of(settings).and_then(|idp| idp.metadata()).map_err(internal)?;
    let url = metadata.revocation_endpoint.as_deref().ok_or_else(|| {
        TokenError::Internal("the identity provider has no place to revoke tokens".into())
    })?;
    let secret = settings::client_secret().map_err(internal)?;
    match settings.token_endpoint(url, &secret).revoke(&refresh) {
        Ok(()) => Ok(()),
        Err(failure) => {
            // What is refused today is refused in a second as well.
            let refusal = match failure {
                Failure::Transient(_) => TokenError::Unavailable,
                Failure::Definite(_) | Failure::Client(_) => TokenError::Internal,
            };
            Err(refusal(failure.told("the identity provider")))
        }
    }
}

/// Notes that the identity provider has ended it.
pub(crate) fn ended(user: &str) -> Result<(), token_store::StoreError> {
    let lease = token_store::acquire_lease(Some(user), NAME)?;
    if lease.current()?.is_some() {
        lease.mark_reconnect("the identity provider ended the offline session")?;
    }
    Ok(())
}
