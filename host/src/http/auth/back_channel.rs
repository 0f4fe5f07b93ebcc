//! The identity provider says that sessions are over (OpenID Connect Back-Channel
//! Logout 1.0).

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
};
use secrecy::SecretString;
use tokio::time::timeout;
use url::form_urlencoded;
use utoipa::ToSchema;

use super::audited;
use crate::{
    engine::{SessionSelector, Strategy},
    host::Host,
    http::{Problem, count::Peer, trail::Trail},
    identity::Refusal,
    store::{AuditEntry, StoreError},
};

/// The longest form, in bytes: a token and its name.
const MAX_BYTES: usize = 64 << 10;

/// What an identity provider posts.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the form, which is read field by field")]
pub(in crate::http) struct LoggedOut {
    logout_token: String,
}

/// Ends the sessions that a log-out token names. API keys are not touched.
#[utoipa::path(
    post, path = "/auth/back-channel", operation_id = "end_sessions_by_back_channel",
    request_body(content = LoggedOut, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "They are over"),
        (status = 400, description = "The token is not believed"),
        (status = 404, description = "The strategy has no log-in"),
    ),
)]
pub(in crate::http) async fn back_channel(
    State(host): State<Host>,
    request: Request,
) -> Result<(), Problem> {
    let (parts, body) = request.into_parts();
    let generation = host.registry().current();
    let trail = Trail::of(&parts, &host, &generation);
    let peer = Peer::of(&parts, &generation.config().server);
    peer.asks(&host, told(&host, &generation, body, &trail)).await
}

async fn told(host: &Host, strategy: &Strategy, body: Body, trail: &Trail) -> Result<(), Problem> {
    let id = trail.id();
    if strategy.description().log_in.is_none() {
        return Err(Problem::absent("the strategy has no log-in"));
    }
    let patience = strategy.config().server.body_timeout;
    let form = timeout(patience, to_bytes(body, MAX_BYTES)).await;
    let form = form.map_err(|_| Problem::too_slow())?.map_err(|_| Problem::too_large())?;
    let token = token_of(&form).ok_or_else(|| {
        Problem::ambiguous("send the log-out token as `logout_token` in a form, once")
    })?;
    let selectors = match strategy.back_channel(token, id).await? {
        Ok(selectors) => selectors,
        Err(refusal) => {
            audited(trail, "back-channel-log-out", None, Some(&refusal)).await;
            return Err(match refusal {
                Refusal::Unauthenticated(reason) | Refusal::Forbidden(reason) => {
                    Problem::bad_log_out_token(reason)
                }
                other => other.into(),
            });
        }
    };
    let mut ended = Vec::with_capacity(selectors.len());
    for selector in &selectors {
        ended.push(end(host, selector).await?);
    }
    for (selector, sessions) in selectors.iter().zip(ended) {
        tracing::info!(request.id = %id, sessions, "the identity provider ends sessions");
        let user = match selector {
            SessionSelector::User(user) => Some(user),
            SessionSelector::IdpSession { user, .. } => user.as_ref(),
        };
        let entry = AuditEntry {
            actor: user.map(ToString::to_string),
            reason: Some(format!("{sessions} sessions")),
            ..trail.entry("back-channel-log-out", None)
        };
        trail.note(&entry).await;
    }
    Ok(())
}

/// The one token of the form.
fn token_of(form: &[u8]) -> Option<SecretString> {
    let mut tokens = form_urlencoded::parse(form).filter(|(name, _)| name == "logout_token");
    let (_, token) = tokens.next()?;
    tokens.next().is_none().then(|| token.into_owned().into())
}

async fn end(host: &Host, selector: &SessionSelector) -> Result<u64, StoreError> {
    match selector {
        SessionSelector::User(user) => host.store().end_sessions(user).await,
        SessionSelector::IdpSession { user, id } => {
            host.store().end_idp_sessions(id, user.as_ref()).await
        }
    }
}
