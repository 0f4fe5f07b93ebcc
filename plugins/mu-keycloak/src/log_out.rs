//! The way out: the browser's own, and the identity provider's.

use vestibule_sdk::{
    Error, NamedSecret, Secret,
    login::{IdpSession, LogOutRedirect, LogOutRequest, SessionSelector},
    oauth::authorization_url,
};

use crate::{idp::Idp, offline, session::ID_TOKEN, settings::Settings};

/// The identity provider's page for a browser that logs out (OpenID Connect
/// RP-Initiated Logout 1.0). Its own session ends there, and no offline token.
pub(crate) fn page(
    settings: &Settings,
    request: LogOutRequest,
) -> Result<Option<LogOutRedirect>, Error> {
    let metadata = Idp::of(settings)?.metadata()?;
    let Some(endpoint) = metadata.end_session_endpoint else { return Ok(None) };
    let mut secrets = request.session.secrets;
    secrets.retain(|secret| secret.name == ID_TOKEN);
    let parameters = [
        ("client_id", settings.client.id.as_str()),
        ("post_logout_redirect_uri", &request.return_to),
    ];
    Ok(Some(LogOutRedirect {
        location: authorization_url(&endpoint, &parameters),
        parameters: secrets
            .into_iter()
            .map(|secret| NamedSecret::new("id_token_hint", secret.value))
            .collect(),
    }))
}

/// The sessions that the identity provider says are over.
pub(crate) fn told(settings: &Settings, token: &Secret) -> Result<Vec<SessionSelector>, Error> {
    let over = Idp::of(settings)?.logged_out(token)?;
    if let Some(user) = &over.user
        && over.offline_as_well
        && settings.client.back_channel_revokes_offline
    {
        offline::ended(user)?;
    }
    Ok(match (over.session_id, over.user) {
        (Some(id), user_id) => vec![SessionSelector::IdpSession(IdpSession { user_id, id })],
        (None, Some(user)) => vec![SessionSelector::User(user)],
        (None, None) => Vec::new(),
    })
}
