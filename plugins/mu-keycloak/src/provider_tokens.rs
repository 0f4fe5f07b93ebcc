//! The tokens of Git providers, which the realm got when its people logged in there.
//!
//! They are taken over at log-in, and renewed at the provider from then on. Where a
//! provider refuses one for good, the realm is asked whether it has another by now.

use vestibule_sdk::{
    NewToken, Secret, clock, log,
    oauth::{self, Failure, Tokens},
    token_provider::{ProviderResult, ProviderToken, Renewal, TokenError},
    token_store::{self, StoredToken, TokenState},
};

use crate::{linked::App, offline, settings::Settings};

/// A user's token for one provider.
pub(crate) fn get(
    settings: &Settings,
    user: Option<&str>,
    provider: &str,
    renewal: Renewal,
) -> Result<Option<ProviderToken>, TokenError> {
    let Some(app) = settings.linked.app(provider) else { return Ok(None) };
    let secret = app.secret().map_err(|error| TokenError::Internal(format!("{error:?}")))?;
    app.with(&secret, &|| again(settings, user, app)).token(user, renewal)
}

/// A user's tokens for the providers that they connected.
pub(crate) fn list(settings: &Settings, user: Option<&str>) -> Vec<ProviderResult> {
    let apps = settings.linked.apps();
    apps.filter_map(|app| {
        let token = get(settings, user, app.name(), Renewal::WhenDue).transpose()?;
        Some(ProviderResult { provider: app.name().into(), token })
    })
    .collect()
}

/// What the realm has by now, by way of the offline token. Without one there is nothing.
fn again(
    settings: &Settings,
    user: Option<&str>,
    app: App<'_>,
) -> Result<Option<NewToken>, TokenError> {
    let access = match offline::access(settings, user) {
        Ok(access) => access,
        Err(TokenError::Reconnect(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    match brokered(settings, app, &access) {
        Ok(tokens) => Ok(Some(new_token(app, tokens))),
        Err(Failure::Definite(_)) => Ok(None),
        Err(failure) => Err(TokenError::Unavailable(failure.told("the identity provider"))),
    }
}

/// What the realm has of the providers, for a user who has just logged in. A pair that is
/// here and works is newer than the realm's, because it was renewed since.
pub(crate) fn at_log_in(settings: &Settings, user: Option<&str>, access: &Secret) -> Vec<NewToken> {
    let mut tokens = Vec::new();
    for app in settings.linked.apps() {
        match token_store::load(user, app.name()) {
            Ok(Some(stored)) if stored.host.as_deref() == app.other_host() && works(&stored) => {
                continue;
            }
            Ok(_) => {}
            Err(error) => {
                log::warn("a stored token cannot be read", &[("error", &format!("{error:?}"))]);
                continue;
            }
        }
        match brokered(settings, app, access) {
            Ok(found) => tokens.push(new_token(app, found)),
            Err(Failure::Definite(reason)) => {
                log::debug(
                    "the realm has no token",
                    &[("provider", app.name()), ("reason", &reason)],
                );
            }
            // A log-in does not fail for it, nor wait for the others as well.
            Err(failure) => {
                let reason = failure.told("the identity provider");
                log::warn(
                    "a provider's token is missing until the next log-in",
                    &[("reason", &reason)],
                );
                break;
            }
        }
    }
    tokens
}

fn works(stored: &StoredToken) -> bool {
    let lives = |end: Option<u64>| end.is_none_or(|end| clock::now() < end);
    let renewable = stored.refresh.is_some() && lives(stored.refresh_expires_at);
    let usable = stored.access.is_some() && lives(stored.access_expires_at);
    stored.state == TokenState::Active && (renewable || usable)
}

fn brokered(settings: &Settings, app: App<'_>, access: &Secret) -> Result<Tokens, Failure> {
    let realm = settings.place.realm_url();
    let realm = realm.map_err(|error| Failure::Client(format!("{error:?}")))?;
    oauth::brokered(&format!("{realm}/broker/{}/token", app.alias()), access)
}

fn new_token(app: App<'_>, tokens: Tokens) -> NewToken {
    let now = clock::now();
    NewToken {
        name: app.name().into(),
        access: Some(tokens.access),
        access_expires_at: oauth::expires_at(now, tokens.answer.expires_in),
        refresh_expires_at: tokens
            .refresh
            .is_some()
            .then(|| oauth::expires_at(now, tokens.answer.refresh_expires_in))
            .flatten(),
        refresh: tokens.refresh,
        host: app.other_host().map(Into::into),
        account_id: None,
    }
}
