//! The owner's GitHub token, for servers that act in the owner's name.

use vestibule_sdk::{
    Secret,
    http::{self, Authorization, Basic, Body, Field, Method, Value},
    log,
    token_provider::{ProviderResult, ProviderToken, Renewal, TokenError},
    token_store,
};

use crate::{
    settings::{self, Settings},
    sign_in::{PATIENCE, api_headers, ask_user},
};

/// The provider, and the token's name in the store.
pub(crate) const NAME: &str = "github";

pub(crate) fn get(
    user: Option<&str>,
    provider: &str,
    renewal: Renewal,
) -> Result<Option<ProviderToken>, TokenError> {
    if provider != NAME {
        return Ok(None);
    }
    let (settings, secret) = read()?;
    settings.app(&secret).token(user, renewal)
}

/// The one token, after a look whether GitHub still knows it: this is where
/// access that the owner has revoked at GitHub comes to light.
pub(crate) fn list(user: Option<&str>) -> Vec<ProviderResult> {
    let token = known(user).transpose();
    token.map(|token| ProviderResult { provider: NAME.into(), token }).into_iter().collect()
}

fn known(user: Option<&str>) -> Result<Option<ProviderToken>, TokenError> {
    let (settings, secret) = read()?;
    let app = settings.app(&secret);
    let Some(token) = app.token(user, Renewal::WhenDue)? else { return Ok(None) };
    match ask_user(&settings, &token.token) {
        Ok(reply) if reply.status == 401 => app.refused(user, &token.token),
        Ok(_) => Ok(Some(token)),
        // Nothing is known against it.
        Err(error) => {
            log::warn("GitHub cannot be asked about a token", &[("error", &format!("{error:?}"))]);
            Ok(Some(token))
        }
    }
}

/// Ends a token at GitHub. One that GitHub does not know is as good as ended
/// (RFC 7009 section 2.2).
pub(crate) fn revoke(user: Option<&str>, name: &str) -> Result<(), TokenError> {
    if name != NAME {
        return Ok(());
    }
    let (settings, secret) = read()?;
    let Some(stored) = token_store::load(user, NAME)? else { return Ok(()) };
    let Some(access) = stored.access else { return Ok(()) };
    let reply = http::send(&http::Request {
        headers: api_headers(),
        authorization: Authorization::Basic(Basic {
            username: settings.client_id.clone(),
            password: Value::Secret(&secret),
        }),
        body: Body::Json(vec![Field::secret("access_token", &access)]),
        timeout_seconds: Some(PATIENCE),
        ..http::Request::new(
            Method::Delete,
            settings.api(&format!("/applications/{}/token", settings.client_id)),
        )
    })?;
    match reply.status {
        204 | 404 | 422 => Ok(()),
        401 | 403 => Err(TokenError::Internal("GitHub refuses the client".into())),
        status => Err(TokenError::Unavailable(format!("GitHub answers with status {status}"))),
    }
}

fn read() -> Result<(Settings, Secret), TokenError> {
    let read = || Ok((Settings::read()?, settings::client_secret()?));
    read().map_err(|error: vestibule_sdk::Error| TokenError::Internal(format!("{error:?}")))
}
