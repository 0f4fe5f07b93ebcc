//! The generations of the strategy.

use axum::{Json, extract::State};
use serde_json::{Value, json};

use super::Operator;
use crate::host::Host;

/// What serves.
#[utoipa::path(
    get, path = "/admin/api/strategies",
    responses((status = 200, description = "The generations")),
)]
pub(super) async fn list(_: Operator, State(host): State<Host>) -> Json<Value> {
    let strategy = host.registry().current();
    let description = strategy.description();
    Json(json!([{
        "name": description.name,
        "version": description.version,
        "digest": strategy.digest(),
        "summary": description.summary,
        "state": "serving",
        "grants": {
            "http": host.config().auth.grants.http,
            "browser": host.config().auth.grants.browser,
            "jose": host.config().auth.grants.jose,
            "token_store": host.config().auth.grants.token_store,
        },
    }]))
}
