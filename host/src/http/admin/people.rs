//! Who is in, and by what: sessions and keys that an operator can end.

use axum::{Json, extract::State};
use serde::Deserialize;

use super::{Operator, Problem};
use crate::{
    host::Host,
    http::{
        body::Done,
        input::{Path, Query},
        trail::Trail,
    },
    store::{ApiKey, AuditEntry, LiveSession},
};

/// The most of them in one answer.
const MAX_ROWS: u32 = 200;

/// Whose.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    user: Option<String>,
}

/// Live sessions, those that were used last first.
#[utoipa::path(
    get, path = "/admin/api/sessions",
    responses((status = 200, description = "At most two hundred; `user` names whose")),
)]
pub(super) async fn sessions(
    _: Operator,
    State(host): State<Host>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Vec<LiveSession>>, Problem> {
    Ok(Json(host.store().live_sessions(wanted.user.as_deref(), MAX_ROWS).await?))
}

/// Ends a session at once.
#[utoipa::path(
    delete, path = "/admin/api/sessions/{id}",
    responses((status = 200, description = "It is over"), (status = 404, description = "There is none")),
)]
pub(super) async fn end_session(
    _: Operator,
    State(host): State<Host>,
    trail: Trail,
    Path(id): Path<String>,
) -> Result<Json<Done>, Problem> {
    let user = host.store().end_live_session(&id).await?;
    let user = user.ok_or_else(|| Problem::absent("there is no such session"))?;
    trail.note(&by_operator(trail.entry("session.end", Some(user.as_str())))).await;
    Ok(Done::json())
}

/// API keys, newest first.
#[utoipa::path(
    get, path = "/admin/api/keys",
    responses((status = 200, description = "At most two hundred; `user` names whose")),
)]
pub(super) async fn keys(
    _: Operator,
    State(host): State<Host>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Vec<ApiKey>>, Problem> {
    Ok(Json(host.store().keys_of_all(wanted.user.as_deref(), MAX_ROWS).await?))
}

/// Ends a key at once.
#[utoipa::path(
    delete, path = "/admin/api/keys/{id}",
    responses((status = 200, description = "It is good no more"), (status = 404, description = "There is none")),
)]
pub(super) async fn revoke_key(
    _: Operator,
    State(host): State<Host>,
    trail: Trail,
    Path(id): Path<String>,
) -> Result<Json<Done>, Problem> {
    let owner = host.store().revoke_any_key(&id).await?;
    let (user, org) = owner.ok_or_else(|| Problem::absent("there is no such key"))?;
    let entry = trail.entry("key.revoke", Some(&format!("{user} {id}")));
    trail.note(&by_operator(AuditEntry { org: Some(org), ..entry })).await;
    Ok(Done::json())
}

/// What an operator did, whose name is not known.
pub(super) fn by_operator(entry: AuditEntry) -> AuditEntry {
    AuditEntry { reason: Some("by an operator".to_owned()), ..entry }
}
