//! The edge: requests in, the strategy's decision, responses out.
//!
//! Nothing here decides who is calling. A request becomes an
//! [`identity::Request`](crate::identity::Request), the engine answers, and only
//! `http/error.rs` turns what went wrong into a status.

mod admin;
mod auth;
mod authz;
mod body;
mod count;
mod credential;
mod document;
mod edge;
mod error;
mod extract;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod grpc;
mod health;
mod input;
mod keyed;
mod keys;
mod layer;
mod me;
mod pages;
mod provider_tokens;
mod sandbox_secrets;
mod sandboxes;
mod scopes;
mod secrets;
mod serve;
mod service;
mod session;
mod settings;
mod shown;
mod templates;
mod trail;
mod whoami;

use axum::{
    Router,
    response::{IntoResponse as _, Redirect},
    routing::any,
};
use http::{Method, Uri};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::document::Group;
pub use self::{
    admin::admin_router,
    edge::EdgeLayer,
    error::Problem,
    extract::Caller,
    layer::{AuthLayer, HostLayer},
    serve::{Listeners, serve},
};
use crate::host::Host;

/// Everything that Vestibule answers.
pub fn router(host: Host) -> Router {
    let own = own().route_layer(AuthLayer::new(host.clone()));
    let (router, _) = open().merge(own).merge(foreign()).merge(gateways()).split_for_parts();
    router
        .fallback(elsewhere)
        .method_not_allowed_fallback(|| async { Problem::method_not_allowed() })
        .layer(CatchPanicLayer::custom(|_| Problem::broken().into_response()))
        .layer(EdgeLayer::around_own(host.clone()))
        .with_state(host)
}

/// The front page leads to the log-in, or shows who is signed in.
async fn elsewhere(method: Method, uri: Uri) -> Result<Redirect, Problem> {
    if uri.path() == "/" && method == Method::GET {
        return Ok(Redirect::to("/auth/login"));
    }
    Err(Problem::not_found())
}

/// Every route, for the document that describes them. A route is declared with its
/// handler, so that there is none that the document does not have.
fn routes() -> OpenApiRouter<Host> {
    document::empty().merge(open()).merge(own()).merge(foreign()).merge(gateways())
}

/// For everybody.
fn open() -> OpenApiRouter<Host> {
    let operators = OpenApiRouter::new()
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(document::openapi))
        .routes(routes!(service::health))
        .routes(routes!(authz::keys::keys));
    let visitors = OpenApiRouter::new()
        .routes(routes!(whoami::session))
        .routes(routes!(auth::log_out::authenticate))
        .routes(routes!(auth::log_out::api_log_out))
        .routes(routes!(auth::back_channel::back_channel));
    let browsers = OpenApiRouter::new()
        .routes(routes!(auth::page))
        .routes(routes!(auth::start))
        .routes(routes!(auth::callback))
        .routes(routes!(auth::log_out::log_out))
        .routes(routes!(authz::hosts::enter))
        .routes(routes!(authz::hosts::arrive))
        .routes(routes!(authz::hosts::leave));
    Group::Operators
        .complete(operators)
        .merge(Group::Visitors.complete(visitors))
        .merge(Group::Browsers.complete(browsers))
}

/// What belongs to the caller.
fn own() -> OpenApiRouter<Host> {
    let users = OpenApiRouter::new()
        .routes(routes!(me::me))
        .routes(routes!(settings::get, settings::patch))
        .routes(routes!(secrets::create))
        .routes(routes!(secrets::search))
        .routes(routes!(secrets::store_tokens, secrets::remove_tokens))
        .routes(routes!(secrets::update, secrets::remove))
        .routes(routes!(secrets::disconnect))
        .routes(routes!(sandboxes::list, sandboxes::start))
        .routes(routes!(sandboxes::search))
        .routes(routes!(sandboxes::remove))
        .routes(routes!(sandboxes::pause))
        .routes(routes!(sandboxes::resume))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::current))
        .routes(routes!(keys::revoke));
    Group::Users.complete(users)
}

/// For gateways, about the requests of others.
fn gateways() -> OpenApiRouter<Host> {
    // Envoy asks by the request's own method, whatever that is.
    let (front_schemas, front, _) = routes!(authz::envoy_front_page);
    let (schemas, below, _) = routes!(authz::envoy);
    let gateways = OpenApiRouter::new()
        .routes(routes!(authz::nginx))
        .routes(routes!(authz::caddy))
        .routes(routes!(authz::traefik))
        .routes((front_schemas, front, any(authz::envoy_front_page)))
        .routes((schemas, below, any(authz::envoy)));
    Group::Gateways.complete(gateways)
}

/// By a session key or the key of other services.
fn foreign() -> OpenApiRouter<Host> {
    let sandboxes = OpenApiRouter::new()
        .routes(routes!(sandbox_secrets::list))
        .routes(routes!(sandbox_secrets::value))
        .routes(routes!(provider_tokens::current));
    let services = OpenApiRouter::new()
        .routes(routes!(service::system_key))
        .routes(routes!(service::revoke_system_key))
        .routes(routes!(service::register))
        .routes(routes!(service::remove))
        .routes(routes!(service::pause))
        .routes(routes!(service::resume))
        .routes(routes!(provider_tokens::refresh));
    Group::Sandboxes.complete(sandboxes).merge(Group::Services.complete(services))
}
