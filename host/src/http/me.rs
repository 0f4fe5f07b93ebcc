//! `GET /api/v1/users/me`: the caller as a user of the API.

use axum::{Json, extract::State};
use serde::Serialize;

use super::{Caller, Problem};
use crate::{host::Host, store::Scope};

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
    let scope = Scope::of(&identity);
    let user = host.store().user(&scope.user).await?;
    if user.as_ref().is_some_and(|user| user.disabled_at.is_some()) {
        return Err(Problem::bad_credential("the user is disabled"));
    }
    let known = user.as_ref().map(|user| &user.identity);
    Ok(Json(Me {
        id: scope.user.to_string(),
        org_id: identity
            .org_id
            .map(|id| id.to_string())
            .or_else(|| user.as_ref().map(|user| user.org.to_string())),
        display_name: identity
            .display_name
            .or_else(|| known.and_then(|known| known.display_name.clone())),
        email: identity.email.or_else(|| known.and_then(|known| known.email.clone())),
        email_verified: identity.email_verified,
        role: user.as_ref().and_then(|user| user.role.clone()),
        permissions: Vec::new(),
    }))
}
