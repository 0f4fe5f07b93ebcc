//! `/api/v1/sandboxes`: the client's own calls, handed to whatever runs sandboxes.

use std::sync::Arc;

use axum::{
    Json,
    extract::{RawQuery, State},
};
use serde::{Deserialize, Serialize};
use url::form_urlencoded;
use utoipa::{IntoParams, ToSchema};

use super::{
    Problem,
    body::Done,
    input::{Path, Query},
    scopes,
    shown::shown,
};
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
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct Wanted {
    /// The kind of sandbox, in the words of the runtime.
    #[serde(default)]
    sandbox_spec_id: Option<String>,
}

/// Starts a sandbox for the caller.
#[utoipa::path(
    post, path = "/api/v1/sandboxes", operation_id = "start_sandbox", params(Wanted),
    responses(
        (status = 200, description = "It starts", body = Info),
        (status = 404, description = "It was ended before it started"),
        (status = 409, description = "Its id is taken"),
        (status = 501, description = "No sandboxes are run here"),
    ),
)]
pub(super) async fn start(
    State(host): State<Host>,
    user: UserContext,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Info>, Problem> {
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
#[utoipa::path(
    get, path = "/api/v1/sandboxes", operation_id = "read_sandboxes",
    params(("id" = Option<Vec<String>>, Query, description = "An id; may be repeated", max_items = 100)),
    responses(
        (status = 200, description = "A sandbox or null for each id", body = Vec<Option<Info>>),
        (status = 501, description = "No sandboxes are run here"),
    ),
)]
pub(super) async fn list(
    State(host): State<Host>,
    user: UserContext,
    RawQuery(query): RawQuery,
) -> Result<Json<Vec<Option<Info>>>, Problem> {
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
            Some(sandbox) => Some(seen(&*runtime, &sandbox, &user).await),
            None => None,
        });
    }
    Ok(Json(found))
}

/// A page of sandboxes.
#[derive(Serialize, ToSchema)]
#[schema(as = SandboxPage)]
pub(super) struct Page {
    items: Vec<Info>,
    /// There is only one page.
    next_page_id: Option<String>,
}

/// All of the caller's sandboxes.
#[utoipa::path(
    get, path = "/api/v1/sandboxes/search", operation_id = "search_sandboxes",
    responses(
        (status = 200, description = "The sandboxes", body = Page),
        (status = 501, description = "No sandboxes are run here"),
    ),
)]
pub(super) async fn search(
    State(host): State<Host>,
    user: UserContext,
) -> Result<Json<Page>, Problem> {
    let runtime = runtime(&host, &user)?;
    let mut items = Vec::new();
    for sandbox in host.store().sandboxes(user.scope()).list().await? {
        items.push(seen(&*runtime, &sandbox, &user).await);
    }
    Ok(Json(Page { items, next_page_id: None }))
}

/// Pauses a sandbox; its session key is good no more.
#[utoipa::path(
    post, path = "/api/v1/sandboxes/{id}/pause", operation_id = "pause_sandbox",
    responses(
        (status = 200, description = "It is paused", body = Done),
        (status = 404, description = "The caller has no such sandbox"),
        (status = 501, description = "No sandboxes are run here"),
    ),
)]
pub(super) async fn pause(
    State(host): State<Host>,
    user: UserContext,
    Path(id): Path<String>,
) -> Result<Json<Done>, Problem> {
    let runtime = runtime(&host, &user)?;
    if !host.store().sandboxes(user.scope()).pause(&id).await? {
        return Err(Problem::absent("Sandbox not found"));
    }
    runtime.pause(&id).await.map_err(|error| Problem::runtime_failed(&error))?;
    Ok(Done::json())
}

/// Lets a paused sandbox run again, under a new session key; one that runs is left
/// as it is.
#[utoipa::path(
    post, path = "/api/v1/sandboxes/{id}/resume", operation_id = "resume_sandbox",
    responses(
        (status = 200, description = "It runs", body = Done),
        (status = 404, description = "The caller has no such sandbox"),
        (status = 501, description = "No sandboxes are run here"),
    ),
)]
pub(super) async fn resume(
    State(host): State<Host>,
    user: UserContext,
    Path(id): Path<String>,
) -> Result<Json<Done>, Problem> {
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
    Ok(Done::json())
}

/// The id once more, as the client sends it.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct Named {
    /// The id once more, which must be the same.
    sandbox_id: Option<String>,
}

/// Ends a sandbox; its session key is good no more before it is stopped.
#[utoipa::path(
    delete, path = "/api/v1/sandboxes/{id}", operation_id = "end_sandbox", params(Named),
    responses(
        (status = 200, description = "It is gone", body = Done),
        (status = 404, description = "The caller has no such sandbox"),
        (status = 501, description = "No sandboxes are run here"),
    ),
)]
pub(super) async fn remove(
    State(host): State<Host>,
    user: UserContext,
    Path(id): Path<String>,
    Query(named): Query<Named>,
) -> Result<Json<Done>, Problem> {
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
    Ok(Done::json())
}

/// A sandbox as its runtime sees it now.
async fn seen(runtime: &dyn SandboxRuntime, sandbox: &Sandbox, user: &UserContext) -> Info {
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

/// A sandbox in the shape that the client expects.
#[derive(Serialize, ToSchema)]
#[schema(as = SandboxInfo)]
pub(super) struct Info {
    id: String,
    created_by_user_id: String,
    sandbox_spec_id: Option<String>,
    /// `STARTING`, `RUNNING`, `PAUSED`, `ERROR` or `MISSING`.
    status: &'static str,
    /// Only while it runs, and for a caller who may do everything.
    session_api_key: Option<String>,
    /// Only while it runs.
    exposed_urls: Vec<Exposed>,
    /// Seconds since the Unix epoch.
    created_at: u64,
}

/// A service within a sandbox.
#[derive(Serialize, ToSchema)]
#[schema(as = ExposedUrl)]
pub(super) struct Exposed {
    name: String,
    url: String,
    port: u16,
}

fn info(sandbox: &Sandbox, view: Option<SandboxView>, with_key: bool) -> Info {
    let status = match (sandbox.status, view.as_ref().map(|view| view.status)) {
        (SandboxStatus::Paused, _) => "PAUSED",
        (_, None | Some(RuntimeStatus::Starting)) => "STARTING",
        (_, Some(RuntimeStatus::Running)) => "RUNNING",
        (_, Some(RuntimeStatus::Error)) => "ERROR",
        (_, Some(RuntimeStatus::Missing)) => "MISSING",
    };
    let running = view.filter(|view| view.status == RuntimeStatus::Running);
    let key = running.as_ref().filter(|_| with_key).and_then(|view| view.session_key.as_ref());
    let session_api_key = key.map(shown);
    let urls = running.into_iter().flat_map(|view| view.exposed_urls);
    Info {
        id: sandbox.id.clone(),
        created_by_user_id: sandbox.scope.user.to_string(),
        sandbox_spec_id: None,
        status,
        session_api_key,
        exposed_urls: urls
            .map(|exposed| Exposed { name: exposed.name, url: exposed.url, port: exposed.port })
            .collect(),
        created_at: sandbox.created_at,
    }
}
