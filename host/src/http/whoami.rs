//! `GET /auth/session`: who am I?

use axum::{
    Json,
    extract::{Request, State},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Caller, Problem, count::Peer};
use crate::{
    host::Host,
    identity::{Claim, Identity, Outcome},
};

/// What a caller learns about itself.
#[derive(Serialize, ToSchema)]
pub(super) struct Session {
    /// Somebody is calling, and not just anybody.
    authenticated: bool,
    /// The caller is the local owner of a strategy without log-in.
    local_owner: bool,
    user_id: Option<String>,
    org_id: Option<String>,
    display_name: Option<String>,
    email: Option<String>,
    email_verified: bool,
    roles: Vec<String>,
    /// Further facts, each with a `name` and a `value`.
    #[schema(value_type = Vec<std::collections::BTreeMap<String, String>>)]
    claims: Vec<Claim>,
    /// The strategy that decided it.
    strategy: String,
}

/// Who is calling; nobody being logged in is an answer here, not an error.
#[utoipa::path(
    get, path = "/auth/session", operation_id = "read_session",
    responses((status = 200, description = "The caller", body = Session)),
)]
pub(super) async fn session(
    State(host): State<Host>,
    request: Request,
) -> Result<Json<Session>, Problem> {
    let (parts, _) = request.into_parts();
    let generation = host.registry().current();
    let peer = Peer::of(&parts, &generation.config().server);
    let caller = async {
        let caller = Caller::of(&parts, &host, &generation).await?;
        refuse_disabled(&host, &caller).await?;
        Ok(caller)
    };
    let caller = peer.asks(&host, caller).await?;
    let (authenticated, identity) = match caller.outcome {
        Outcome::Anonymous => (false, Identity::default()),
        Outcome::Authenticated(identity) => (true, identity),
    };
    Ok(Json(Session {
        authenticated,
        local_owner: authenticated && identity.user_id.is_none(),
        user_id: identity.user_id.map(|id| id.to_string()),
        org_id: identity.org_id.map(|id| id.to_string()),
        display_name: identity.display_name,
        email: identity.email,
        email_verified: identity.email_verified,
        roles: identity.roles,
        claims: identity.claims,
        strategy: caller.strategy,
    }))
}

/// A strategy does not know whom the operator has shut out. The owner of a key was
/// looked at together with the key.
async fn refuse_disabled(host: &Host, caller: &Caller) -> Result<(), Problem> {
    let Outcome::Authenticated(identity) = &caller.outcome else { return Ok(()) };
    let Some(id) = identity.user_id.as_ref().filter(|_| caller.key.is_none()) else {
        return Ok(());
    };
    match host.store().user(id).await? {
        Some(user) if user.disabled_at.is_some() => {
            Err(Problem::bad_credential("the user is disabled"))
        }
        _ => Ok(()),
    }
}
