//! The browser's way in: `GET /auth/login`, the trip to the identity provider,
//! and `GET /auth/callback`.
//!
//! The strategy says where the browser goes and who has arrived. The host makes
//! what keeps a log-in from being forged (RFC 9700 section 4.7), checks it
//! before anybody asks the network anything, and writes every response.

mod arrival;
mod attempt;
pub(super) mod back_channel;
mod destination;
pub(super) mod log_out;
mod return_to;

use axum::{
    extract::{Request, State},
    response::{IntoResponse as _, Redirect, Response},
};
use http::{HeaderValue, header, request::Parts};
use url::{Url, form_urlencoded};

use self::{arrival::Arrival, attempt::Trip, destination::Destination};
use super::{
    Caller, Problem,
    count::Peer,
    pages::{self, Notice},
    session::Cookies,
    trail::Trail,
};
use crate::{
    config::Server,
    engine::{Callback, Strategy},
    host::Host,
    identity::{Outcome, Refusal, RequestId, UserId},
    store::{AuditEntry, LOGIN_SECONDS, PendingLogin},
    text,
};

/// Where an identity provider sends the browser back to, below the public origin.
const CALLBACK: &str = "/auth/callback";

/// The longest text of an identity provider that a page repeats, in bytes.
const MAX_SHOWN_BYTES: usize = 256;

const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");

/// The page that offers to sign in; who is signed in already goes on.
#[utoipa::path(
    get, path = "/auth/login", operation_id = "show_log_in",
    params(
        ("return_to" = Option<String>, Query, description = "Where to go afterwards: a path, or an allowed origin's URL"),
        ("to" = Option<String>, Query, description = "The same, as a gateway's answer gives it"),
    ),
    responses(
        (status = 200, description = "The page", body = String, content_type = "text/html"),
        (status = 303, description = "Somebody is signed in: on to `return_to`"),
        (status = 404, description = "The strategy has no log-in"),
    ),
)]
pub(super) async fn page(State(host): State<Host>, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let generation = host.registry().current();
    let config = generation.config();
    let origin = origin(&config.server)?;
    let query = Query::of(&parts);
    let to = Destination::of(&query, &host, config, &origin)?;
    let shown = shown_host(&origin);
    if comes_without_its_cookie(&config.server, &parts) {
        let here = parts.uri.path_and_query().map_or("/auth/login", |here| here.as_str());
        return Ok(pages::once_more(here).into_response());
    }
    let peer = Peer::of(&parts, &config.server);
    let caller = async {
        match Caller::of(&parts, &host, &generation).await {
            // The cookie is over; whoever signs in gets another.
            Err(problem) if problem.is_bad_credential() => Ok(None),
            caller => caller.map(Some),
        }
    };
    match peer.asks(&host, caller).await {
        Ok(Some(Caller { outcome: Outcome::Authenticated(identity), session, .. })) => {
            if let Some(to) = to.and_then(|to| to.reached(&host, config, &parts.headers)) {
                return Ok(redirect(&to));
            }
            let id = identity.user_id.as_ref().map_or("the local owner", |id| id.as_str());
            let name = identity.display_name.as_deref().or(identity.email.as_deref());
            let name = name.unwrap_or(id);
            Ok(pages::signed_in(&shown, name, session.is_some()).into_response())
        }
        Ok(_) => offer(&generation, &shown, to.as_ref()),
        Err(problem) => Err(problem.noticed(Notice::Unavailable)),
    }
}

/// Whether a link of another site led here: whoever is signed in has a cookie that was
/// not sent.
fn comes_without_its_cookie(server: &Server, parts: &Parts) -> bool {
    let has_cookie = Cookies::of(server).session(&parts.headers).is_ok_and(|key| key.is_some());
    let cross_site = parts.headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
    server.is_https() && cross_site && !has_cookie
}

fn offer(strategy: &Strategy, shown: &str, to: Option<&Destination>) -> Result<Response, Problem> {
    let label = strategy.description().log_in.as_deref().ok_or_else(no_log_in)?;
    let start = to.map_or_else(|| "/auth/login/start".to_owned(), Destination::start);
    Ok(pages::log_in(shown, label, &start, to.map(Destination::shown)).into_response())
}

/// Sends the browser on its trip.
#[utoipa::path(
    get, path = "/auth/login/start", operation_id = "begin_log_in",
    params(
        ("return_to" = Option<String>, Query, description = "Where to go afterwards: a path, or an allowed origin's URL"),
        ("to" = Option<String>, Query, description = "The same, as a gateway's answer gives it"),
        ("hint" = Option<String>, Query, description = "Which identity provider or account to use"),
    ),
    responses(
        (status = 303, description = "On to the identity provider"),
        (status = 404, description = "The strategy has no log-in"),
    ),
)]
pub(super) async fn start(State(host): State<Host>, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let id = request_id(&parts);
    let generation = host.registry().current();
    let begun =
        async { start_trip(&host, &generation, &parts, id).await.map_err(Problem::for_a_person) };
    let peer = Peer::of(&parts, &generation.config().server);
    peer.asks(&host, begun).await.map_err(Problem::for_a_person)
}

async fn start_trip(
    host: &Host,
    strategy: &Strategy,
    parts: &Parts,
    id: RequestId,
) -> Result<Response, Problem> {
    // An image or a frame that begins log-ins would fill the browser with cookies.
    if parts.headers.get("sec-fetch-dest").is_some_and(|value| value != "document") {
        let why = "A sign-in begins with a page of its own.";
        return Err(Problem::forbidden_because(why).noticed(Notice::Unknown));
    }
    let config = strategy.config();
    let origin = origin(&config.server)?;
    if strategy.description().log_in.is_none() {
        return Err(no_log_in());
    }
    let query = Query::of(parts);
    let to = Destination::of(&query, host, config, &origin)?;
    let redirect_uri = callback_uri(&origin);
    let trip = Trip::new();
    let begun =
        strategy.begin_login(trip.attempt(&redirect_uri), query.only("hint")?, id).await??;
    let trip = trip.returning_to(to.map_or_else(|| "/".to_owned(), Destination::after_log_in));
    let arrival = Arrival::of(parts, host, strategy);
    arrival.go_on(begun, trip, None).await
}

/// The browser is back from its trip.
#[utoipa::path(
    get, path = "/auth/callback", operation_id = "complete_log_in",
    params(
        ("state" = String, Query, description = "The anti-forgery value of the log-in"),
        ("code" = Option<String>, Query, description = "The authorization code (RFC 6749 section 4.1.2)"),
        ("error" = Option<String>, Query, description = "Why there is none"),
    ),
    responses(
        (status = 200, description = "In: a page that moves on", body = String, content_type = "text/html"),
        (status = 303, description = "On a further trip to the identity provider"),
    ),
)]
pub(super) async fn callback(
    State(host): State<Host>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let id = request_id(&parts);
    let generation = host.registry().current();
    let back =
        async { come_back(&host, &generation, &parts, id).await.map_err(Problem::for_a_person) };
    let peer = Peer::of(&parts, &generation.config().server);
    peer.asks(&host, back).await.map_err(Problem::for_a_person)
}

async fn come_back(
    host: &Host,
    strategy: &Strategy,
    parts: &Parts,
    id: RequestId,
) -> Result<Response, Problem> {
    let cookies = Cookies::of(&strategy.config().server);
    let query = Query::of(parts);
    let unknown = || {
        Problem::ambiguous(
            "This browser has not begun the sign-in, or has finished it already. Sign in on one \
             page at a time, with cookies allowed.",
        )
        .noticed(Notice::Unknown)
    };
    let state = query.only("state")?.ok_or_else(unknown)?;
    let carried = cookies.login(&parts.headers, state).ok_or_else(unknown)?;
    let pending = host.store().take_login(state, &carried).await?.ok_or_else(unknown)?;
    let now = host.clock().now();
    let over_at = pending.begun_at.saturating_add(LOGIN_SECONDS);
    let finished = |problem: Problem| problem.setting(cookies.no_login(state));
    if now >= over_at {
        let late = Problem::ambiguous("A sign-in may take ten minutes. This one took longer.");
        return Err(finished(late.noticed(Notice::Expired)));
    }
    // Here, before the network is asked anything, and once on every replica.
    if !host.store().use_once(state, over_at).await? {
        return Err(finished(unknown()));
    }
    complete(host, strategy, parts, id, &query, pending).await.map_err(finished)
}

async fn complete(
    host: &Host,
    strategy: &Strategy,
    parts: &Parts,
    id: RequestId,
    query: &Query,
    pending: PendingLogin,
) -> Result<Response, Problem> {
    let code = query.only("code")?.map(|code| code.to_owned().into());
    let declined = query.only("error")?.map(|error| {
        let described = query.only("error_description").ok().flatten().unwrap_or(error);
        text::escape(&text::cut(described.to_owned(), MAX_SHOWN_BYTES))
    });
    let parameters: Vec<(String, String)> = query
        .0
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "code" | "state"))
        .cloned()
        .collect();
    let redirect_uri = callback_uri(&origin(&strategy.config().server)?);
    let next = Trip::new();
    let callback = Callback {
        code,
        verifier: pending.verifier,
        nonce: &pending.nonce,
        redirect_uri: &redirect_uri,
        parameters: &parameters,
        kept: pending.kept,
        next: next.attempt(&redirect_uri),
    };
    let step = match strategy.complete_login(callback, id).await? {
        Ok(step) => step,
        Err(refusal) => {
            audited(&Trail::of(parts, host, strategy), "log-in", None, Some(&refusal)).await;
            let problem = Problem::from(refusal);
            return Err(match declined {
                Some(why) => problem.declined(&why),
                None => problem,
            });
        }
    };
    let arrival = Arrival::of(parts, host, strategy);
    arrival.go_on(step, next.returning_to(pending.return_to), Some(&pending.state)).await
}

/// The parameters of a request's query.
struct Query(Vec<(String, String)>);

impl Query {
    fn of(parts: &Parts) -> Self {
        let query = parts.uri.query().unwrap_or_default();
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// A parameter that may come once.
    fn only(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.0.iter().filter(|(found, _)| found == name);
        let value = values.next().map(|(_, value)| value.as_str());
        match values.next() {
            Some(_) => Err(Problem::ambiguous("a parameter that may come once is repeated")),
            None => Ok(value),
        }
    }
}

/// Writes down who came or went, or was refused.
async fn audited(trail: &Trail, action: &str, actor: Option<&UserId>, refusal: Option<&Refusal>) {
    let entry = AuditEntry {
        actor: actor.map(ToString::to_string),
        outcome: if refusal.is_some() { "refused" } else { "done" }.to_owned(),
        reason: refusal.map(ToString::to_string),
        ..trail.entry(action, None)
    };
    trail.note(&entry).await;
}

fn no_log_in() -> Problem {
    Problem::absent("the strategy has no log-in").noticed(Notice::Nothing)
}

/// The origin by which browsers reach this host. Never what a request says.
pub(super) fn origin(server: &Server) -> Result<Url, Problem> {
    server.public_origin().ok_or_else(|| {
        Problem::broken().because("public_url is missing in [server], and listen is no loopback")
    })
}

/// Sends a browser on. The address may hold what is nobody else's business (RFC 9700
/// section 4.2).
pub(super) fn redirect(to: &str) -> Response {
    let mut response = Redirect::to(to).into_response();
    response.headers_mut().insert(header::REFERRER_POLICY, NO_REFERRER);
    response
}

fn callback_uri(origin: &Url) -> String {
    format!("{}{CALLBACK}", origin.origin().ascii_serialization())
}

/// How people know this host.
fn shown_host(origin: &Url) -> String {
    let name = origin.host_str().unwrap_or_default();
    origin.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

pub(super) fn request_id(parts: &Parts) -> RequestId {
    parts.extensions.get().copied().unwrap_or(RequestId::new(0))
}
