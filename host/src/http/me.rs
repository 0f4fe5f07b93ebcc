//! `GET /api/v1/users/me`: the caller, with settings for whoever starts work on
//! the caller's behalf.

use axum::{Json, extract::State};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{Problem, count::Peer, credential, input::Query, scopes, trail::Trail};
use crate::{context::UserContext, host::Host};

/// What stands in the place of a secret that is not shown.
pub(super) const MASK: &str = "**********";

/// What a request can ask for.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct Wanted {
    /// Show secrets, which needs the session key of a running sandbox of the caller's.
    #[serde(default)]
    expose_secrets: bool,
}

/// A user, in the shape that clients of the API expect.
#[derive(Serialize, ToSchema)]
pub(super) struct Me {
    id: String,
    org_id: String,
    display_name: Option<String>,
    email: Option<String>,
    email_verified: bool,
    role: Option<String>,
    #[schema(value_type = Vec<String>)]
    permissions: Vec<&'static str>,
    llm_model: Value,
    llm_api_key: Value,
    llm_base_url: Value,
    llm_profiles: Value,
    mcp_config: Value,
}

/// What the strategy says of the caller, and the caller's settings: masked, or
/// for a running sandbox of the caller's with its secrets.
#[utoipa::path(
    get, path = "/api/v1/users/me", operation_id = "read_me", params(Wanted),
    responses((status = 200, description = "The caller", body = Me)),
    security(("api_key" = []), ("session_cookie" = []), ("api_key" = [], "session_key" = [])),
)]
pub(super) async fn me(
    State(host): State<Host>,
    peer: Peer,
    trail: Trail,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
    user: UserContext,
) -> Result<Json<Me>, Problem> {
    scopes::require(&user, scopes::SETTINGS_READ)?;
    if wanted.expose_secrets {
        let sandbox = credential::sandbox(&host, &headers).await;
        let sandbox = sandbox.map_err(|problem| peer.refused(&host, problem))?;
        if sandbox.scope != *user.scope() {
            return Err(Problem::forbidden_because(
                "Session API key does not belong to the authenticated user",
            ));
        }
    }
    let settings = user.settings().await?.settings;
    if wanted.expose_secrets {
        trail.require(&trail.of_scope("secret.read", user.scope(), "settings")).await?;
    }
    let mut document =
        if wanted.expose_secrets { settings.exposed() } else { settings.masked(MASK) };
    let mut take = |name: &str| document.get_mut(name).map(Value::take).unwrap_or_default();
    let identity = user.identity();
    Ok(Json(Me {
        id: user.user_id().to_string(),
        org_id: user.scope().org.to_string(),
        display_name: identity.display_name.clone(),
        email: identity.email.clone(),
        email_verified: identity.email_verified,
        role: user.role().map(str::to_owned),
        permissions: scopes::permissions(&user),
        llm_model: take("llm_model"),
        llm_api_key: take("llm_api_key"),
        llm_base_url: take("llm_base_url"),
        llm_profiles: take("llm_profiles"),
        mcp_config: take("mcp_config"),
    }))
}
