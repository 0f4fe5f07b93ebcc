//! `GET /api/v1/users/me`: the caller as a user of the API.

use axum::{Json, extract::State};
use serde::Serialize;

use super::{Caller, Problem};
use crate::host::Host;

/// A user, in the shape that clients of the API expect.
#[derive(Debug, Serialize)]
pub(super) struct Me {
    id: String,
    org_id: Option<String>,
    display_name: Option<String>,
    email: Option<String>,
    email_verified: bool,
    role: Option<String>,
    permissions: Vec<String>,
}

/// What the strategy says of the caller, completed by what the store knows.
pub(super) async fn me(State(host): State<Host>, caller: Caller) -> Result<Json<Me>, Problem> {
    let identity = caller.identity()?;
    let user = host.store().user(identity.user_id.as_ref()).await?;
    if user.as_ref().is_some_and(|user| user.disabled_at.is_some()) {
        return Err(Problem::bad_credential("the user is disabled"));
    }
    let (id, org_id, role, display_name, email) = match user {
        Some(user) => (user.id, Some(user.org_id), Some(user.role), user.display_name, user.email),
        None => {
            let id = identity.user_id.map(|id| id.to_string()).unwrap_or_default();
            (id, None, None, None, None)
        }
    };
    Ok(Json(Me {
        id,
        org_id: identity.org_id.map(|id| id.to_string()).or(org_id),
        display_name: identity.display_name.or(display_name),
        email: identity.email.or(email),
        email_verified: identity.email_verified,
        role,
        permissions: Vec::new(),
    }))
}
