//! The generations of the strategy: what there is, and what an operator says to it.

use axum::{Json, extract::State};
use serde::Deserialize;

use super::{Operator, Problem, people::by_operator};
use crate::{
    host::{Host, Strategies},
    http::{body::Document, trail::Trail},
    store::AuditEntry,
};

/// What is loaded, what is refused, and whether there is a way back.
#[utoipa::path(
    get, path = "/admin/api/strategies",
    responses((status = 200, description = "The generations, the one that serves first")),
)]
pub(super) async fn list(_: Operator, State(host): State<Host>) -> Json<Strategies> {
    Json(host.strategies())
}

/// Which component is meant.
#[derive(Debug, Deserialize)]
pub(super) struct Meant {
    /// As it was shown, so that nobody approves what they have not seen.
    digest: String,
    #[serde(default)]
    allow_downgrade: bool,
}

/// Approves the component that waits, and has it serve.
#[utoipa::path(
    post, path = "/admin/api/strategies/approve",
    responses(
        (status = 200, description = "The generations as they are now"),
        (status = 409, description = "It cannot serve, or is another one by now"),
    ),
)]
pub(super) async fn approve(
    _: Operator,
    State(host): State<Host>,
    trail: Trail,
    Document(meant): Document<Meant>,
) -> Result<Json<Strategies>, Problem> {
    let approved = host.approve(&meant.digest, meant.allow_downgrade).await;
    let entry = trail.entry("admin.approve", Some(&meant.digest));
    asked(&trail, entry, approved.as_ref().err()).await;
    approved?;
    Ok(Json(host.strategies()))
}

/// Goes back to the generation that was approved before.
#[utoipa::path(
    post, path = "/admin/api/strategies/rollback",
    responses(
        (status = 200, description = "The generations as they are now"),
        (status = 409, description = "There is none to go back to"),
    ),
)]
pub(super) async fn roll_back(
    _: Operator,
    State(host): State<Host>,
    trail: Trail,
) -> Result<Json<Strategies>, Problem> {
    let gone_back = host.roll_back().await;
    let entry = trail.entry("admin.rollback", None);
    asked(&trail, entry, gone_back.as_ref().err()).await;
    gone_back?;
    Ok(Json(host.strategies()))
}

/// Writes down what an operator asked for, and what came of it.
async fn asked(trail: &Trail, entry: AuditEntry, error: Option<&impl ToString>) {
    let entry = match error {
        None => by_operator(entry),
        Some(error) => {
            AuditEntry { outcome: "refused".to_owned(), reason: Some(error.to_string()), ..entry }
        }
    };
    trail.note(&entry).await;
}
