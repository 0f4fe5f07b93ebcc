//! What the console draws: figures so far, the latest refusals, the audit.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Operator, Problem, exposition::seconds};
use crate::{
    host::Host,
    http::input::Query,
    metrics::{BOUNDS, Pairs, Readings, Times},
    store::AuditEntry,
};

/// The most entries in one answer.
const MAX_ENTRIES: u32 = 500;

/// What was counted so far. Whoever asks twice knows what came between.
#[utoipa::path(
    get, path = "/admin/api/figures",
    responses((status = 200, description = "Counts since the start, and levels of now")),
)]
pub(super) async fn figures(_: Operator, State(host): State<Host>) -> Json<Value> {
    let read = host.metrics().read();
    let strategy = host.registry().current();
    let (running, places) = strategy.places();
    let (failing, gaps) = host.store().audit_failures();
    Json(json!({
        "at": host.clock().now(),
        "version": env!("CARGO_PKG_VERSION"),
        "strategy": {
            "name": strategy.description().name,
            "version": strategy.description().version,
            "digest": strategy.digest(),
        },
        "decisions": decisions(&read),
        "bounds": BOUNDS.map(seconds),
        "total": times(&read.total),
        "strategy_time": times(&read.guest),
        "outbound": times(&read.outbound),
        "database": times(&read.database),
        "quarantined": host.registry().quarantined().is_some(),
        "running": running,
        "places": places,
        "leases": host.store().leases_held(),
        "failures": object(&read.failures),
        "exchanges": object(&read.exchanges),
        "refreshes": object(&read.refreshes),
        "limits": object(&read.limits),
        "key_sets": object(&read.key_sets),
        "audit": { "failing": failing, "failures": gaps },
    }))
}

/// By outcome; what was presented is for `/metrics` to tell.
fn decisions(read: &Readings) -> Map<String, Value> {
    let mut sums = Map::new();
    for (ending, _, count) in &read.decisions {
        let before = sums.get(ending.text()).and_then(Value::as_u64).unwrap_or_default();
        sums.insert(ending.text().to_owned(), Value::from(before + count));
    }
    sums
}

fn times(times: &Times) -> Value {
    json!({ "buckets": times.buckets, "seconds": times.seconds, "count": times.count() })
}

fn object(pairs: &Pairs) -> Map<String, Value> {
    pairs.iter().map(|(name, count)| ((*name).to_owned(), Value::from(*count))).collect()
}

/// Somebody who was refused.
#[derive(Serialize)]
pub(super) struct Refused {
    at: u64,
    request_id: String,
    status: u16,
    route: &'static str,
    reason: String,
    user: Option<String>,
}

/// The latest refusals, newest first, with what the log says of them.
#[utoipa::path(
    get, path = "/admin/api/denials",
    responses((status = 200, description = "At most two hundred, and none from before the start")),
)]
pub(super) async fn denials(_: Operator, State(host): State<Host>) -> Json<Vec<Refused>> {
    let shown = host.metrics().denials.latest().into_iter().map(|denial| Refused {
        at: denial.at,
        request_id: denial.request_id,
        status: denial.status,
        route: denial.route,
        reason: denial.reason,
        user: denial.user,
    });
    Json(shown.collect())
}

/// Which entries of the audit.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    limit: Option<u32>,
}

/// The latest entries of the audit, newest first.
#[utoipa::path(
    get, path = "/admin/api/audit",
    responses((status = 200, description = "`limit` of them, or one hundred")),
)]
pub(super) async fn audit(
    _: Operator,
    State(host): State<Host>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Vec<AuditEntry>>, Problem> {
    let limit = wanted.limit.unwrap_or(100).min(MAX_ENTRIES);
    Ok(Json(host.store().audit(limit).await?))
}
