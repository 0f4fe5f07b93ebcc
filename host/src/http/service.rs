//! `/api/service/…`: for other services, which share a key with Vestibule.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Problem,
    body::{Document, Done},
    error::Created,
    input::Path,
    keyed::Service,
    shown::shown,
    trail::Trail,
};
use crate::{
    host::Host,
    identity::{OrgId, UserId},
    store::{Sandbox, Scope, User},
};

/// Whether services can call.
#[derive(Serialize, ToSchema)]
#[schema(as = ServiceHealth)]
pub(super) struct Health {
    status: &'static str,
    service_auth_configured: bool,
}

/// Whether the key of other services is configured; open to everybody.
#[utoipa::path(
    get, path = "/api/service/health", operation_id = "service_health",
    responses((status = 200, description = "It is, or not", body = Health)),
)]
pub(super) async fn health(State(host): State<Host>) -> Json<Health> {
    let service_auth_configured = host.config().server.service_key.is_some();
    Json(Health { status: "ok", service_auth_configured })
}

/// Whose things a service asks for; they may be disabled.
async fn anyone(host: &Host, user: String, org: String) -> Result<(Scope, User), Problem> {
    let no_user = || Problem::absent("there is no such user");
    let user = UserId::new(user).map_err(|_| no_user())?;
    let org = OrgId::new(org).map_err(|_| Problem::forbidden_because("the user is no member"))?;
    let found = host.store().user(&user).await?.ok_or_else(no_user)?;
    Ok((Scope::new(found.id.clone(), org), found))
}

/// For whom a service may have something made.
async fn active(host: &Host, user: String, org: String) -> Result<Scope, Problem> {
    let (scope, user) = anyone(host, user, org).await?;
    if user.disabled_at.is_some() {
        return Err(Problem::forbidden_because("the user is disabled"));
    }
    Ok(scope)
}

/// A system key to be had.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NamedSystemKey)]
pub(super) struct Named {
    name: String,
}

/// A system key.
#[derive(Serialize, ToSchema)]
pub(super) struct SystemKey {
    /// Its text.
    key: String,
    user_id: String,
    org_id: String,
    name: String,
}

/// A user's system key of this name: always the same, made where there is none.
#[utoipa::path(
    post, path = "/api/service/users/{user}/orgs/{org}/api-keys", operation_id = "system_key",
    request_body = Named,
    responses(
        (status = 200, description = "The key", body = SystemKey),
        (status = 403, description = "The user is disabled, or no member of the organisation"),
        (status = 404, description = "There is no such user"),
    ),
)]
pub(super) async fn system_key(
    State(host): State<Host>,
    _: Service,
    trail: Trail,
    Path((user, org)): Path<(String, String)>,
    Document(named): Document<Named>,
) -> Result<Json<SystemKey>, Problem> {
    let scope = active(&host, user, org).await?;
    let made = host.store().api_keys(&scope).system(&named.name).await?;
    trail.require(&trail.of_scope("system-key.show", &scope, &made.key.id)).await?;
    Ok(Json(SystemKey {
        key: shown(&made.text),
        user_id: scope.user.to_string(),
        org_id: scope.org.to_string(),
        name: named.name,
    }))
}

/// Ends a user's system key of this name.
#[utoipa::path(
    delete, path = "/api/service/users/{user}/orgs/{org}/api-keys/{name}",
    operation_id = "revoke_system_key",
    responses(
        (status = 200, description = "It is good no more", body = Done),
        (status = 403, description = "The organisation cannot be one of the user's"),
        (status = 404, description = "There is no such user or key"),
    ),
)]
pub(super) async fn revoke_system_key(
    State(host): State<Host>,
    _: Service,
    trail: Trail,
    Path((user, org, name)): Path<(String, String, String)>,
) -> Result<Json<Done>, Problem> {
    // What a user who was shut out can still do is nothing, but it can come back.
    let (scope, _) = anyone(&host, user, org).await?;
    if host.store().api_keys(&scope).revoke_system(&name).await? {
        trail.note(&trail.of_scope("key.revoke", &scope, &name)).await;
        Ok(Done::json())
    } else {
        Err(Problem::absent("API key not found"))
    }
}

/// A sandbox to be registered.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct NewSandbox {
    #[schema(max_length = 128, pattern = "^[A-Za-z0-9._-]+$")]
    id: String,
    user_id: String,
    #[serde(default)]
    org_id: Option<String>,
}

/// A sandbox that runs.
#[derive(Serialize, ToSchema)]
#[schema(as = RunningSandbox)]
pub(super) struct Running {
    id: String,
    status: &'static str,
    /// Shown this once.
    session_api_key: String,
}

/// Registers a running sandbox; its session key is in this answer and nowhere else.
#[utoipa::path(
    post, path = "/api/service/sandboxes", operation_id = "register_sandbox",
    request_body = NewSandbox,
    responses(
        (status = 201, description = "It is registered", body = Running),
        (status = 403, description = "The user is disabled, or no member of the organisation"),
        (status = 404, description = "There is no such user"),
        (status = 409, description = "The id is taken"),
    ),
)]
pub(super) async fn register(
    State(host): State<Host>,
    _: Service,
    Document(new): Document<NewSandbox>,
) -> Result<Created<Running>, Problem> {
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
    let scope = active(&host, new.user_id, org).await?;
    let key = host.store().sandboxes(&scope).register(&new.id).await?;
    Ok(Created(Running { id: new.id, status: "RUNNING", session_api_key: shown(&key) }))
}

/// A sandbox that is paused.
#[derive(Serialize, ToSchema)]
#[schema(as = PausedSandbox)]
pub(super) struct Paused {
    id: String,
    status: &'static str,
}

/// Pauses a sandbox: its session key is good no more.
#[utoipa::path(
    post, path = "/api/service/sandboxes/{id}/pause", operation_id = "pause_registered_sandbox",
    responses(
        (status = 200, description = "It is paused", body = Paused),
        (status = 404, description = "There is no such sandbox"),
    ),
)]
pub(super) async fn pause(
    State(host): State<Host>,
    _: Service,
    Path(id): Path<String>,
) -> Result<Json<Paused>, Problem> {
    let sandbox = known(&host, &id).await?;
    host.store().sandboxes(&sandbox.scope).pause(&id).await?;
    Ok(Json(Paused { id, status: "PAUSED" }))
}

/// Lets a sandbox run again, under a new session key.
#[utoipa::path(
    post, path = "/api/service/sandboxes/{id}/resume", operation_id = "resume_registered_sandbox",
    responses(
        (status = 200, description = "It runs", body = Running),
        (status = 404, description = "There is no such sandbox, or it is not paused"),
    ),
)]
pub(super) async fn resume(
    State(host): State<Host>,
    _: Service,
    Path(id): Path<String>,
) -> Result<Json<Running>, Problem> {
    let sandbox = known(&host, &id).await?;
    let key = host.store().sandboxes(&sandbox.scope).resume(&id).await?;
    let key = key.ok_or_else(|| Problem::absent("the sandbox is not paused, or is gone"))?;
    Ok(Json(Running { id, status: "RUNNING", session_api_key: shown(&key) }))
}

/// Forgets a sandbox and its session key.
#[utoipa::path(
    delete, path = "/api/service/sandboxes/{id}", operation_id = "forget_sandbox",
    responses(
        (status = 200, description = "It is forgotten", body = Done),
        (status = 404, description = "There is no such sandbox"),
    ),
)]
pub(super) async fn remove(
    State(host): State<Host>,
    _: Service,
    Path(id): Path<String>,
) -> Result<Json<Done>, Problem> {
    let sandbox = known(&host, &id).await?;
    host.store().sandboxes(&sandbox.scope).remove(&id).await?;
    Ok(Done::json())
}

/// A sandbox that a service may change.
async fn known(host: &Host, id: &str) -> Result<Sandbox, Problem> {
    host.store().sandbox(id).await?.ok_or_else(|| Problem::absent("Sandbox not found"))
}
