//! `/api/service/…`: for other services, which share a key with Vestibule.

use axum::{
    Json,
    extract::{Path, State},
};
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Problem, body::Document, credential, error::Created, shown::shown};
use crate::{
    host::Host,
    identity::{OrgId, UserId},
    store::{Sandbox, Scope},
};

/// Whether the key of other services is configured; open to everybody.
pub(super) async fn health(State(host): State<Host>) -> Json<Value> {
    let configured = host.config().server.service_key.is_some();
    Json(json!({ "status": "ok", "service_auth_configured": configured }))
}

/// Whose key a service asks for.
async fn scope(host: &Host, user: String, org: String) -> Result<Scope, Problem> {
    let no_user = || Problem::absent("there is no such user");
    let user = UserId::new(user).map_err(|_| no_user())?;
    let org = OrgId::new(org).map_err(|_| Problem::forbidden_because("the user is no member"))?;
    let found = host.store().user(&user).await?.ok_or_else(no_user)?;
    if found.disabled_at.is_some() {
        return Err(Problem::forbidden_because("the user is disabled"));
    }
    Ok(Scope::new(found.id, org))
}

/// A system key to be had.
#[derive(Debug, Deserialize)]
pub(super) struct Named {
    name: String,
}

/// A user's system key of this name: always the same, made where there is none.
pub(super) async fn system_key(
    State(host): State<Host>,
    Path((user, org)): Path<(String, String)>,
    headers: HeaderMap,
    Document(named): Document<Named>,
) -> Result<Json<Value>, Problem> {
    credential::service(&host, &headers)?;
    let scope = scope(&host, user, org).await?;
    let made = host.store().api_keys(&scope).system(&named.name).await?;
    Ok(Json(json!({
        "key": shown(&made.text),
        "user_id": scope.user,
        "org_id": scope.org,
        "name": named.name,
    })))
}

/// Ends a user's system key of this name.
pub(super) async fn revoke_system_key(
    State(host): State<Host>,
    Path((user, org, name)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    credential::service(&host, &headers)?;
    let scope = scope(&host, user, org).await?;
    if host.store().api_keys(&scope).revoke_system(&name).await? {
        Ok(Json(json!({ "success": true })))
    } else {
        Err(Problem::absent("API key not found"))
    }
}

/// A sandbox to be registered.
#[derive(Debug, Deserialize)]
pub(super) struct NewSandbox {
    id: String,
    user_id: String,
    #[serde(default)]
    org_id: Option<String>,
}

/// Registers a running sandbox; its session key is in this answer and nowhere else.
pub(super) async fn register(
    State(host): State<Host>,
    headers: HeaderMap,
    Document(new): Document<NewSandbox>,
) -> Result<Created<Value>, Problem> {
    credential::service(&host, &headers)?;
    let org = match new.org_id {
        Some(org) => org,
        None => {
            let user = UserId::new(&new.user_id).ok();
            let found = match &user {
                Some(user) => host.store().user(user).await?,
                None => None,
            };
            found.ok_or_else(|| Problem::absent("there is no such user"))?.org.to_string()
        }
    };
    let scope = scope(&host, new.user_id, org).await?;
    let key = host.store().sandboxes(&scope).register(&new.id).await?;
    Ok(Created(json!({ "id": new.id, "status": "RUNNING", "session_api_key": shown(&key) })))
}

/// Pauses a sandbox: its session key is good no more.
pub(super) async fn pause(
    State(host): State<Host>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let sandbox = known(&host, &headers, &id).await?;
    host.store().sandboxes(&sandbox.scope).pause(&id).await?;
    Ok(Json(json!({ "id": id, "status": "PAUSED" })))
}

/// Lets a sandbox run again, under a new session key.
pub(super) async fn resume(
    State(host): State<Host>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let sandbox = known(&host, &headers, &id).await?;
    let key = host.store().sandboxes(&sandbox.scope).resume(&id).await?;
    let key = key.ok_or_else(|| Problem::absent("the sandbox is not paused, or is gone"))?;
    Ok(Json(json!({ "id": id, "status": "RUNNING", "session_api_key": shown(&key) })))
}

/// Forgets a sandbox and its session key.
pub(super) async fn remove(
    State(host): State<Host>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let sandbox = known(&host, &headers, &id).await?;
    host.store().sandboxes(&sandbox.scope).remove(&id).await?;
    Ok(Json(json!({ "success": true })))
}

/// A sandbox that a service may change.
async fn known(host: &Host, headers: &HeaderMap, id: &str) -> Result<Sandbox, Problem> {
    credential::service(host, headers)?;
    host.store().sandbox(id).await?.ok_or_else(|| Problem::absent("Sandbox not found"))
}
