//! The edge: requests in, the strategy's decision, responses out.
//!
//! Nothing here decides who is calling. A request becomes an
//! [`identity::Request`](crate::identity::Request), the engine answers, and only
//! `http/error.rs` turns what went wrong into a status.

mod auth;
mod body;
mod credential;
mod edge;
mod error;
mod extract;
mod health;
mod keys;
mod layer;
mod me;
mod pages;
mod sandbox_secrets;
mod sandboxes;
mod scopes;
mod secrets;
mod serve;
mod service;
mod session;
mod settings;
mod shown;
mod whoami;

use axum::{
    Router,
    response::{IntoResponse as _, Redirect},
    routing::{delete, get, post, put},
};
use http::{Method, Uri};
use tower_http::catch_panic::CatchPanicLayer;

pub use self::{
    edge::EdgeLayer,
    error::Problem,
    extract::Caller,
    layer::{AuthLayer, HostLayer},
    serve::serve,
};
use crate::host::Host;

/// Everything that Vestibule answers.
pub fn router(host: Host) -> Router {
    // What belongs to the caller.
    let own = Router::new()
        .route("/api/v1/users/me", get(me::me))
        .route("/api/v1/settings", get(settings::get).patch(settings::patch))
        .route("/api/v1/secrets", post(secrets::create))
        .route("/api/v1/secrets/search", get(secrets::search))
        .route(
            "/api/v1/secrets/git-providers",
            post(secrets::store_tokens).delete(secrets::remove_tokens),
        )
        .route("/api/v1/secrets/{name}", put(secrets::update).delete(secrets::remove))
        .route("/api/v1/sandboxes", get(sandboxes::list).post(sandboxes::start))
        .route("/api/v1/sandboxes/search", get(sandboxes::search))
        .route("/api/v1/sandboxes/{id}", delete(sandboxes::remove))
        .route("/api/v1/sandboxes/{id}/pause", post(sandboxes::pause))
        .route("/api/v1/sandboxes/{id}/resume", post(sandboxes::resume))
        .route("/api/keys", get(keys::list).post(keys::create))
        .route("/api/keys/current", get(keys::current))
        .route("/api/keys/{id}", delete(keys::revoke))
        .route_layer(AuthLayer::new(host.clone()));
    // By a session key or the key of other services.
    let foreign = Router::new()
        .route("/api/v1/sandboxes/{id}/settings/secrets", get(sandbox_secrets::list))
        .route("/api/v1/sandboxes/{id}/settings/secrets/{name}", get(sandbox_secrets::value))
        .route("/api/service/health", get(service::health))
        .route("/api/service/users/{user}/orgs/{org}/api-keys", post(service::system_key))
        .route(
            "/api/service/users/{user}/orgs/{org}/api-keys/{name}",
            delete(service::revoke_system_key),
        )
        .route("/api/service/sandboxes", post(service::register))
        .route("/api/service/sandboxes/{id}", delete(service::remove))
        .route("/api/service/sandboxes/{id}/pause", post(service::pause))
        .route("/api/service/sandboxes/{id}/resume", post(service::resume));
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/auth/session", get(whoami::session))
        .route("/auth/login", get(auth::page))
        .route("/auth/login/start", get(auth::start))
        .route("/auth/callback", get(auth::callback))
        .route("/auth/logout", post(auth::log_out))
        .route("/api/authenticate", post(auth::authenticate))
        .route("/api/logout", post(auth::api_log_out))
        .merge(own)
        .merge(foreign)
        .fallback(elsewhere)
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(CatchPanicLayer::custom(|_| Problem::broken().into_response()))
        .layer(edge::EdgeLayer)
        .with_state(host)
}

/// The front page leads to the log-in, or shows who is signed in.
async fn elsewhere(method: Method, uri: Uri) -> Result<Redirect, Problem> {
    if uri.path() == "/" && method == Method::GET {
        return Ok(Redirect::to("/auth/login"));
    }
    Err(Problem::not_found())
}
