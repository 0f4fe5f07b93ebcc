//! Is it alive, and should it be sent requests?

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::Problem;
use crate::host::Host;

/// That it is alive.
#[derive(Serialize, ToSchema)]
pub(super) struct Alive {
    status: &'static str,
}

/// The process runs.
#[utoipa::path(
    get, path = "/healthz", operation_id = "is_alive",
    responses((status = 200, description = "It does", body = Alive)),
)]
pub(super) async fn healthz() -> Json<Alive> {
    Json(Alive { status: "ok" })
}

/// That it is ready.
#[derive(Serialize, ToSchema)]
pub(super) struct Ready {
    status: &'static str,
    /// The strategy's name.
    strategy: String,
}

/// The strategy is loaded, the database answers, and no shutdown has begun.
#[utoipa::path(
    get, path = "/readyz", operation_id = "is_ready",
    responses(
        (status = 200, description = "Requests may come", body = Ready),
        (status = 503, description = "They may not: a shutdown has begun, or the database is away"),
    ),
)]
pub(super) async fn readyz(State(host): State<Host>) -> Result<Json<Ready>, Problem> {
    if host.is_draining() {
        return Err(Problem::unavailable("shutting down"));
    }
    host.store().ping().await?;
    let strategy = host.registry().current().description().name.clone();
    Ok(Json(Ready { status: "ready", strategy }))
}
