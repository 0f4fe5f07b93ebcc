//! Is it alive, and should it be sent requests?

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::Problem;
use crate::host::Host;

/// The process runs.
pub(super) async fn healthz() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// The strategy is loaded, the database answers, and no shutdown has begun.
pub(super) async fn readyz(State(host): State<Host>) -> Result<Json<Value>, Problem> {
    if host.is_draining() {
        return Err(Problem::unavailable("shutting down"));
    }
    host.store().ping().await?;
    Ok(Json(json!({
        "status": "ready",
        "strategy": host.registry().current().description().name,
    })))
}
