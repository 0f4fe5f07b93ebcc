//! For operators, on a listener of its own: metrics, what is going on, who is in, and
//! the console that shows it.
//!
//! Everything but the console's own files needs the admin token as a bearer token. No
//! cookie is read, so that no page of another site can ask in an operator's name.

mod console;
mod exposition;
mod figures;
mod metrics;
mod people;
mod strategies;

use axum::{Router, extract::FromRequestParts, response::IntoResponse as _};
use http::request::Parts;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{EdgeLayer, Problem, count::Peer, credential};
use crate::host::Host;

/// Everything that operators are answered.
pub fn admin_router(host: Host) -> Router {
    let (router, _) = OpenApiRouter::new()
        .routes(routes!(console::front))
        .routes(routes!(console::page))
        .routes(routes!(console::style))
        .routes(routes!(console::script))
        .routes(routes!(metrics::metrics))
        .routes(routes!(figures::figures))
        .routes(routes!(figures::denials))
        .routes(routes!(figures::audit))
        .routes(routes!(people::sessions))
        .routes(routes!(people::end_session))
        .routes(routes!(people::keys))
        .routes(routes!(people::revoke_key))
        .routes(routes!(strategies::list))
        .routes(routes!(strategies::approve))
        .routes(routes!(strategies::roll_back))
        .split_for_parts();
    router
        .fallback(|| async { Problem::not_found() })
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(CatchPanicLayer::custom(|_| Problem::broken().into_response()))
        .layer(EdgeLayer::around_admin(host.clone()))
        .with_state(host)
}

/// Whoever presents the admin token.
struct Operator;

impl FromRequestParts<Host> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, host: &Host) -> Result<Self, Problem> {
        let config = host.config();
        let peer = Peer::of(parts, &config.server);
        credential::operator(&config.server, &parts.headers)
            .map(|()| Self)
            .map_err(|problem| peer.refused(host, problem))
    }
}
