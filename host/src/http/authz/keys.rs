//! `GET /.well-known/jwks.json`: the keys by which apps know assertions.

use axum::{Json, extract::State, response::IntoResponse};
use http::header;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{assertion::PublicKey, host::Host, http::Problem};

/// A key set (RFC 7517).
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct KeySet {
    /// The key that signs, the one that will, and for a day the one before.
    #[schema(value_type = Vec<Object>)]
    keys: Vec<PublicKey>,
}

/// The keys that sign who is calling. One is published for a month before it is used.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", operation_id = "read_key_set",
    responses(
        (status = 200, description = "A key set", body = KeySet),
        (status = 503, description = "The database does not answer"),
    ),
)]
pub(in crate::http) async fn keys(State(host): State<Host>) -> Result<impl IntoResponse, Problem> {
    let keys = host.assertion_keys().await?;
    Ok(([(header::CACHE_CONTROL, "public, max-age=300")], Json(KeySet { keys })))
}
