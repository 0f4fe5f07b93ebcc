//! `/authz/…`: a gateway asks whether a request may pass to an app.
//!
//! Each gateway has an endpoint of its own that reads that gateway's headers and no
//! other's, because all of them pass on what clients send in the others' names. Who is
//! calling and which rule decides is found out in one place, here and in
//! [`authz`](crate::authz).

mod gateway;
pub(super) mod hosts;
mod identity;
pub(super) mod keys;
mod target;

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::Response,
};
use http::{HeaderMap, HeaderValue, Method, header, request::Parts};

pub(super) use self::gateway::Gateway;
use self::hosts::Wanted;
use super::{
    Problem,
    auth::{origin, request_id},
    count::{self, Peer},
    credential::Door,
    error::Verdict,
    extract::who_calls,
    scopes,
    trail::Trail,
};
use crate::{
    authz::{Asked, Rule, Ruling, Visitor, decide},
    config::App,
    context::{AuthMethod, UserContext},
    engine::Strategy,
    host::Host,
    identity::RequestId,
    limit::Who,
    store::AuditEntry,
};

/// nginx asks, with `X-Original-URL` and `X-Original-Method`.
#[utoipa::path(
    get, path = "/authz/nginx", operation_id = "authorize_for_nginx",
    params(
        ("X-Original-URL" = String, Header, description = "The absolute URL of the request"),
        ("X-Original-Method" = String, Header, description = "Its method"),
    ),
    responses(
        (status = 200, description = "It may pass, with the identity headers of this answer"),
        (status = 401, description = "Nobody is logged in; for a browser with the `Location` of the log-in"),
        (status = 403, description = "It may not pass"),
        (status = 500, description = "It cannot be decided now"),
    ),
)]
pub(super) async fn nginx(State(host): State<Host>, request: Request) -> Response {
    answer(&host, Gateway::Nginx, request).await
}

/// Caddy asks, with `X-Forwarded-Method`, `-Proto`, `-Host` and `-Uri`.
#[utoipa::path(
    get, path = "/authz/caddy", operation_id = "authorize_for_caddy",
    params(
        ("X-Forwarded-Method" = String, Header, description = "The method of the request"),
        ("X-Forwarded-Proto" = String, Header, description = "Its scheme"),
        ("X-Forwarded-Host" = String, Header, description = "Its host"),
        ("X-Forwarded-Uri" = String, Header, description = "Its path and query"),
    ),
    responses(
        (status = 200, description = "It may pass, with the identity headers of this answer"),
        (status = 302, description = "A person has to log in first"),
        (status = 303, description = "The same for a request that changes something"),
    ),
)]
pub(super) async fn caddy(State(host): State<Host>, request: Request) -> Response {
    answer(&host, Gateway::Caddy, request).await
}

/// Traefik asks, with `X-Forwarded-Method`, `-Proto`, `-Host` and `-Uri`.
#[utoipa::path(
    get, path = "/authz/traefik", operation_id = "authorize_for_traefik",
    params(
        ("X-Forwarded-Method" = String, Header, description = "The method of the request"),
        ("X-Forwarded-Proto" = String, Header, description = "Its scheme"),
        ("X-Forwarded-Host" = String, Header, description = "Its host"),
        ("X-Forwarded-Uri" = String, Header, description = "Its path and query"),
    ),
    responses(
        (status = 200, description = "It may pass, with the identity headers of this answer"),
        (status = 302, description = "A person has to log in first"),
        (status = 303, description = "The same for a request that changes something"),
    ),
)]
pub(super) async fn traefik(State(host): State<Host>, request: Request) -> Response {
    answer(&host, Gateway::Traefik, request).await
}

/// Envoy asks, by the request's own method, host and path below this one.
///
/// Requests of every method are answered.
#[utoipa::path(
    get, path = "/authz/envoy/{*path}", operation_id = "authorize_for_envoy",
    params(
        ("path" = String, Path, description = "The path of the request"),
        ("X-Forwarded-Proto" = String, Header, description = "Its scheme"),
    ),
    responses(
        (status = 200, description = "It may pass, with the identity headers of this answer"),
        (status = 302, description = "A person has to log in first"),
        (status = 303, description = "The same for a request that changes something"),
    ),
)]
pub(super) async fn envoy(State(host): State<Host>, request: Request) -> Response {
    answer(&host, Gateway::Envoy, request).await
}

/// Envoy asks about the front page of an app. Requests of every method are answered.
#[utoipa::path(
    get, path = "/authz/envoy/", operation_id = "authorize_front_page_for_envoy",
    params(("X-Forwarded-Proto" = String, Header, description = "The scheme of the request")),
    responses(
        (status = 200, description = "It may pass, with the identity headers of this answer"),
        (status = 302, description = "A person has to log in first"),
        (status = 303, description = "The same for a request that changes something"),
    ),
)]
pub(super) async fn envoy_front_page(State(host): State<Host>, request: Request) -> Response {
    answer(&host, Gateway::Envoy, request).await
}

async fn answer(host: &Host, gateway: Gateway, request: Request) -> Response {
    // The body is nobody's business here, and is not waited for.
    let (parts, _) = request.into_parts();
    gateway.told(judge(host, gateway, parts).await)
}

async fn judge(host: &Host, gateway: Gateway, mut parts: Parts) -> Result<Verdict, Problem> {
    let generation = host.registry().current();
    let config = generation.config();
    if !count::is_from_trusted_proxy(&parts.extensions, &config.server) {
        return Err(Problem::forbidden_because("gateways ask here, and this is none")
            .because("it does not come from an address of trusted_proxies in [server]"));
    }
    let target = gateway.target(&parts)?;
    let app = target.app(config)?;
    let peer = Peer::of(&parts, &config.server);
    target.stand_in(&mut parts, app)?;
    let (parts, id) = (&parts, request_id(&parts));
    let question = Question { host, generation: &generation, gateway, app, parts, id };
    question.verdict().await.map_err(|problem| peer.refused(host, problem))
}

/// What a gateway wants to know, as the request that it is about.
struct Question<'a> {
    host: &'a Host,
    /// Answers all of it, whatever serves meanwhile.
    generation: &'a Arc<Strategy>,
    gateway: Gateway,
    app: &'a App,
    parts: &'a Parts,
    id: RequestId,
}

impl Question<'_> {
    async fn verdict(&self) -> Result<Verdict, Problem> {
        let (user, stale) = self.known().await?;
        let may_see = |user: &&UserContext| scopes::allows(user, scopes::APPS);
        let visitor = user.as_ref().filter(may_see).map(|user| Visitor {
            user: user.user_id(),
            org: &user.scope().org,
            roles: &user.identity().roles,
        });
        let rule = decide(self.app, &self.asked(), visitor.as_ref());
        match (rule.ruling(), &user) {
            (Ruling::Known, Some(user)) => self.pass(Some(user)).await,
            (Ruling::Unknown, _) => self.pass(None).await,
            (Ruling::LogIn, Some(_)) => Err(Problem::insufficient_scope(scopes::APPS)),
            (Ruling::LogIn, None) => self.log_in(stale),
            (_, Some(user)) => Err(self.refuse(user, rule).await),
            (_, None) => Err(Problem::not_authenticated()),
        }
    }

    /// Who is calling. A cookie that is over is as good as none, and told from none by
    /// the problem that it is; what is presented in a header is good, or refused.
    async fn known(&self) -> Result<(Option<UserContext>, Option<Problem>), Problem> {
        let own = Door::Own(&self.generation.config().server);
        let door = if self.is_own_host() { own } else { Door::App(self.app) };
        match who_calls(self.parts, self.host, self.generation, door, self.id).await {
            Err(problem)
                if problem.is_bad_credential()
                    && !self.parts.headers.contains_key(header::AUTHORIZATION) =>
            {
                Ok((None, Some(problem)))
            }
            found => Ok((found?, None)),
        }
    }

    fn is_own_host(&self) -> bool {
        hosts::is_own_host(self.generation.config(), self.app)
    }

    fn asked(&self) -> Asked<'_> {
        let has = |name| self.parts.headers.contains_key(name);
        Asked {
            method: self.parts.method.as_str(),
            path: self.parts.uri.path(),
            preflight: has(header::ORIGIN) && has(header::ACCESS_CONTROL_REQUEST_METHOD),
        }
    }

    async fn pass(&self, user: Option<&UserContext>) -> Result<Verdict, Problem> {
        let server = &self.generation.config().server;
        let headers = identity::headers(self.host, server, self.app, user).await;
        if let (Err(_), Some(user)) = (&headers, user) {
            self.note(user, "the identity does not fit into headers").await;
        }
        let mut headers = headers?;
        if matches!(self.gateway, Gateway::Envoy) {
            headers.insert("x-envoy-auth-headers-to-remove", identity::twins(&headers));
        }
        Ok(Verdict::Pass(headers))
    }

    fn log_in(&self, stale: Option<Problem>) -> Result<Verdict, Problem> {
        let has_log_in = self.generation.description().log_in.is_some();
        if !has_log_in || !is_of_a_person(&self.parts.headers) {
            return Err(stale.unwrap_or_else(Problem::not_authenticated));
        }
        let wanted = Wanted::of(self.app, &self.parts.uri, self.host.clock().now());
        let sealed = wanted.sealed(self.host);
        let location = if self.is_own_host() {
            let own = origin(&self.generation.config().server)?;
            format!("{}/auth/login?to={sealed}", own.origin().ascii_serialization())
        } else {
            let app = self.app.origin.origin().ascii_serialization();
            format!("{app}/.vestibule/enter?to={sealed}")
        };
        let location = HeaderValue::try_from(location)
            .map_err(|_| Problem::broken().because("an origin is not ASCII"))?;
        let reads = matches!(self.parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
        Ok(Verdict::LogIn { location, reads })
    }

    async fn refuse(&self, user: &UserContext, rule: Rule<'_>) -> Problem {
        let reason = format!("{}: {rule}", self.app.place);
        self.note(user, &reason).await;
        let bearer = matches!(user.auth_method(), AuthMethod::ApiKey(_) | AuthMethod::Bearer);
        Problem::not_yours(reason, bearer).about(user.user_id())
    }

    /// Writes down that somebody was refused; once a minute, because pages ask for
    /// many things.
    async fn note(&self, user: &UserContext, reason: &str) {
        let host = self.app.host();
        let trail = Trail::of(self.parts, self.host, self.generation);
        let denied = Who::Denied(user.user_id().clone(), host.to_owned());
        if self.host.count(&denied, None, trail.id()).is_err() {
            return;
        }
        let entry = AuditEntry {
            outcome: "refused".to_owned(),
            reason: Some(reason.to_owned()),
            ..trail.of_scope("app.visit", user.scope(), host)
        };
        trail.note(&entry).await;
    }
}

/// Whether somebody looks at what comes back: a browser that opens a page, and not a
/// script of one.
fn is_of_a_person(headers: &HeaderMap) -> bool {
    let wants_page = headers
        .get_all(header::ACCEPT)
        .iter()
        .any(|value| value.to_str().is_ok_and(|value| value.contains("text/html")));
    let by_script = headers.contains_key("x-requested-with")
        || headers.get("sec-fetch-mode").is_some_and(|mode| mode != "navigate");
    wants_page && !by_script
}
