//! The edge: requests in, the strategy's decision, responses out.
//!
//! Nothing here decides who is calling. A request becomes an
//! [`identity::Request`](crate::identity::Request), the engine answers, and only
//! `http/error.rs` turns what went wrong into a status.

mod edge;
mod error;
mod extract;
mod health;
mod me;
mod serve;
mod whoami;

use axum::{Router, response::IntoResponse as _, routing::get};
use tower_http::catch_panic::CatchPanicLayer;

pub use self::{error::Problem, extract::Caller, serve::serve};
use crate::host::Host;

/// Everything that Vestibule answers.
pub fn router(host: Host) -> Router {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/auth/session", get(whoami::session))
        .route("/api/v1/users/me", get(me::me))
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(CatchPanicLayer::custom(|_| Problem::broken().into_response()))
        .layer(edge::EdgeLayer)
        .with_state(host)
}
