//! `/api/v1/sandboxes`: the client's own calls, handed to whatever runs sandboxes.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, RawQuery, State},
};
use serde::Deserialize;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{Problem, scopes, shown::shown};
use crate::{
    context::UserContext,
    host::Host,
    sandbox::{RuntimeStatus, SandboxRuntime, SandboxStart, SandboxView},
    store::{Sandbox, SandboxStatus},
};

/// The most ids in one question.
const MAX_IDS: usize = 100;

fn runtime(host: &Host, user: &UserContext) -> Result<Arc<dyn SandboxRuntime>, Problem> {
    scopes::require(user, scopes::SANDBOXES)?;
    host.sandbox_runtime().ok_or_else(|| {
        Problem::not_implemented(
            "no sandboxes are run here: the server that embeds Vestibule has to provide a runtime",
        )
    })
}

/// What a sandbox can be asked to be.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    sandbox_spec_id: Option<String>,
}

/// Starts a sandbox for the caller.
pub(super) async fn start(
    State(host): State<Host>,
    user: UserContext,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Problem> {
    let runtime = runtime(&host, &user)?;
    let sandboxes = host.store().sandboxes(user.scope());
    let id = format!("{:016x}{:016x}", random()?, random()?);
    let session_key = sandboxes.register(&id).await?;
    let sandbox = SandboxStart {
        id: id.clone(),
        user: user.user_id().clone(),
        org: user.scope().org.clone(),
        spec: wanted.sandbox_spec_id,
        session_key,
    };
    if let Err(error) = runtime.start(sandbox).await {
        sandboxes.remove(&id).await?;
        return Err(Problem::runtime_failed(&error));
    }
    let sandbox = sandboxes.get(&id).await?.ok_or_else(|| Problem::absent("Sandbox not found"))?;
    Ok(Json(info(&sandbox, None, false)))
}

fn random() -> Result<u64, Problem> {
    getrandom::u64().map_err(|error| Problem::broken().because(error.to_string()))
}

/// The caller's sandboxes of these ids, in their order; null where there is none.
pub(super) async fn list(
    State(host): State<Host>,
    user: UserContext,
    RawQuery(query): RawQuery,
) -> Result<Json<Vec<Value>>, Problem> {
    let runtime = runtime(&host, &user)?;
    let query = query.unwrap_or_default();
    let ids: Vec<_> = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "id")
        .map(|(_, id)| id.into_owned())
        .collect();
    if ids.len() > MAX_IDS {
        return Err(Problem::ambiguous("at most 100 ids can be asked for at once"));
    }
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        found.push(match host.store().sandboxes(user.scope()).get(&id).await? {
            Some(sandbox) => seen(&*runtime, &sandbox, &user).await,
            None => Value::Null,
        });
    }
    Ok(Json(found))
}

/// All of the caller's sandboxes.
pub(super) async fn search(
    State(host): State<Host>,
    user: UserContext,
) -> Result<Json<Value>, Problem> {
    let runtime = runtime(&host, &user)?;
    let mut items = Vec::new();
    for sandbox in host.store().sandboxes(user.scope()).list().await? {
        items.push(seen(&*runtime, &sandbox, &user).await);
    }
    Ok(Json(json!({ "items": items, "next_page_id": null })))
}

/// Pauses a sandbox; its session key is good no more.
pub(super) async fn pause(
    State(host): State<Host>,
    user: UserContext,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let runtime = runtime(&host, &user)?;
    if !host.store().sandboxes(user.scope()).pause(&id).await? {
        return Err(Problem::absent("Sandbox not found"));
    }
    runtime.pause(&id).await.map_err(|error| Problem::runtime_failed(&error))?;
    Ok(Json(json!({ "success": true })))
}

/// Lets a paused sandbox run again, under a new session key; one that runs is left
/// as it is.
pub(super) async fn resume(
    State(host): State<Host>,
    user: UserContext,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let runtime = runtime(&host, &user)?;
    let sandboxes = host.store().sandboxes(user.scope());
    let absent = || Problem::absent("Sandbox not found");
    if sandboxes.get(&id).await?.ok_or_else(absent)?.status == SandboxStatus::Paused {
        let session_key = sandboxes.resume(&id).await?.ok_or_else(absent)?;
        let sandbox = SandboxStart {
            id: id.clone(),
            user: user.user_id().clone(),
            org: user.scope().org.clone(),
            spec: None,
            session_key,
        };
        if let Err(error) = runtime.resume(sandbox).await {
            sandboxes.pause(&id).await?;
            return Err(Problem::runtime_failed(&error));
        }
    }
    Ok(Json(json!({ "success": true })))
}

/// The id once more, as the client sends it.
#[derive(Debug, Deserialize)]
pub(super) struct Named {
    sandbox_id: Option<String>,
}

/// Ends a sandbox; its session key is good no more before it is stopped.
pub(super) async fn remove(
    State(host): State<Host>,
    user: UserContext,
    Path(id): Path<String>,
    Query(named): Query<Named>,
) -> Result<Json<Value>, Problem> {
    let runtime = runtime(&host, &user)?;
    if named.sandbox_id.is_some_and(|named| named != id) {
        return Err(Problem::ambiguous("the path and sandbox_id name two sandboxes"));
    }
    let sandboxes = host.store().sandboxes(user.scope());
    // Known until it has stopped, so that a try that failed can be made again.
    if !sandboxes.pause(&id).await? {
        return Err(Problem::absent("Sandbox not found"));
    }
    runtime.stop(&id).await.map_err(|error| Problem::runtime_failed(&error))?;
    sandboxes.remove(&id).await?;
    Ok(Json(json!({ "success": true })))
}

/// A sandbox as its runtime sees it now.
async fn seen(runtime: &dyn SandboxRuntime, sandbox: &Sandbox, user: &UserContext) -> Value {
    // With its session key, a narrow key could read every secret.
    let with_key = scopes::allows(user, scopes::FULL);
    if sandbox.status == SandboxStatus::Paused {
        return info(sandbox, None, with_key);
    }
    match runtime.view(&sandbox.id).await {
        Ok(view) => info(sandbox, Some(view), with_key),
        Err(error) => {
            tracing::warn!(sandbox.id, %error, "a sandbox cannot be looked at");
            let view = SandboxView {
                status: RuntimeStatus::Error,
                session_key: None,
                exposed_urls: Vec::new(),
            };
            info(sandbox, Some(view), with_key)
        }
    }
}

/// In the shape that the client expects; key and URLs only while it runs.
fn info(sandbox: &Sandbox, view: Option<SandboxView>, with_key: bool) -> Value {
    let status = match (sandbox.status, view.as_ref().map(|view| view.status)) {
        (SandboxStatus::Paused, _) => "PAUSED",
        (_, None | Some(RuntimeStatus::Starting)) => "STARTING",
        (_, Some(RuntimeStatus::Running)) => "RUNNING",
        (_, Some(RuntimeStatus::Error)) => "ERROR",
        (_, Some(RuntimeStatus::Missing)) => "MISSING",
    };
    let running = view.filter(|view| view.status == RuntimeStatus::Running);
    let urls: Vec<Value> = running
        .iter()
        .flat_map(|view| &view.exposed_urls)
        .map(|exposed| json!({ "name": exposed.name, "url": exposed.url, "port": exposed.port }))
        .collect();
    json!({
        "id": sandbox.id,
        "created_by_user_id": sandbox.scope.user,
        "sandbox_spec_id": null,
        "status": status,
        "session_api_key": running
            .filter(|_| with_key)
            .and_then(|view| view.session_key.as_ref().map(shown)),
        "exposed_urls": urls,
        "created_at": sandbox.created_at,
    })
}
