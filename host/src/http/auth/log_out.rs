//! The browser's way out, and what clients of the older API ask.

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, header, request::Parts};
use serde::Serialize;
use url::Url;
use utoipa::ToSchema;

use super::{Query, audited, origin, request_id, shown_host};
use crate::{
    config::Server,
    engine::{LogOutRedirect, Strategy},
    host::Host,
    http::{
        Problem,
        count::Peer,
        credential::Door,
        error::{NotAuthenticated, Unauthenticated},
        extract::who_calls,
        layer::refuse_foreign_origin,
        pages,
        session::Cookies,
        shown::shown,
        trail::Trail,
    },
    identity::{PresentedSession, RequestId},
    store::{AuditEntry, Session, SessionKey},
};

/// What came of it, in the words of the older API.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Message {
    message: &'static str,
}

/// How far a log-out goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// This browser's session ends.
    Here,
    /// All of the user's sessions end, in whatever browser.
    Everywhere,
    /// The same, and the user's API keys.
    WithKeys,
}

impl Reach {
    fn of(parts: &Parts) -> Result<Self, Problem> {
        let query = Query::of(parts);
        let says = |name| match query.only(name)? {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::ambiguous("`everywhere` and `keys` are true or false")),
        };
        match (says("everywhere")?, says("keys")?) {
            (false, false) => Ok(Self::Here),
            (true, false) => Ok(Self::Everywhere),
            (true, true) => Ok(Self::WithKeys),
            (false, true) => Err(Problem::ambiguous("keys=true goes with everywhere=true")),
        }
    }
}

/// Ends the browser's session, and shows that it has ended; or all of its user's.
#[utoipa::path(
    post, path = "/auth/logout", operation_id = "log_out",
    params(
        ("everywhere" = Option<bool>, Query, description = "All sessions of the user end, in whatever browser; it needs a session that is live"),
        ("keys" = Option<bool>, Query, description = "With `everywhere`: the user's API keys end as well"),
    ),
    responses((status = 200, description = "Out: a page that says so", body = String, content_type = "text/html")),
)]
pub(in crate::http) async fn log_out(
    State(host): State<Host>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let generation = host.registry().current();
    let server = &generation.config().server;
    let origin = origin(server)?;
    let reach = Reach::of(&parts).map_err(Problem::for_a_person)?;
    let elsewhere = end(&host, &generation, &parts, reach).await.map_err(Problem::for_a_person)?;
    let page = match elsewhere {
        Some(location) => pages::leaving(location.as_str()),
        None => pages::signed_out(&shown_host(&origin), reach != Reach::Here),
    };
    Ok(without_session(server, page.into_response()))
}

/// The same for scripts. It never fails for want of an identity provider.
#[utoipa::path(
    post, path = "/api/logout", operation_id = "log_out_a_client",
    params(
        ("everywhere" = Option<bool>, Query, description = "All sessions of the user end, in whatever browser; it needs a session that is live"),
        ("keys" = Option<bool>, Query, description = "With `everywhere`: the user's API keys end as well"),
    ),
    responses((status = 200, description = "Out", body = Message)),
)]
pub(in crate::http) async fn api_log_out(
    State(host): State<Host>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let generation = host.registry().current();
    end(&host, &generation, &parts, Reach::of(&parts)?).await?;
    let answer = Json(Message { message: "User logged out" }).into_response();
    Ok(without_session(&generation.config().server, answer))
}

/// Whether what a client presents is good.
#[utoipa::path(
    post, path = "/api/authenticate", operation_id = "authenticate",
    responses(
        (status = 200, description = "It is good", body = Message),
        (status = 401, description = "It is not, or there is none", body = NotAuthenticated),
    ),
)]
pub(in crate::http) async fn authenticate(
    State(host): State<Host>,
    request: Request,
) -> Result<Json<Message>, Result<Unauthenticated, Problem>> {
    let (parts, _) = request.into_parts();
    let id = request_id(&parts);
    let generation = host.registry().current();
    let server = &generation.config().server;
    let no = || Ok(Unauthenticated(Cookies::of(server).no_session()));
    let peer = Peer::of(&parts, server);
    let asked = who_calls(&parts, &host, &generation, Door::Own(server), id);
    match peer.asks(&host, asked).await {
        Ok(Some(_)) => Ok(Json(Message { message: "User authenticated" })),
        Ok(None) => Err(no()),
        Err(problem) if problem.is_bad_credential() => Err(no()),
        Err(problem) => Err(Err(problem)),
    }
}

/// Ends the session that a request presents, whatever the identity provider
/// says of it; where it has a page to visit, its address.
async fn end(
    host: &Host,
    generation: &Strategy,
    parts: &Parts,
    reach: Reach,
) -> Result<Option<Url>, Problem> {
    let server = &generation.config().server;
    let origin = origin(server)?;
    let cookies = Cookies::of(server);
    let key = cookies.session(&parts.headers)?.and_then(SessionKey::parse);
    // A page of another site comes without the cookie, and its answer could
    // delete it all the same.
    if key.is_some() || parts.headers.contains_key(header::ORIGIN) {
        refuse_foreign_origin(server, &parts.headers)?;
    }
    let Some(key) = key else {
        return match reach {
            Reach::Here => Ok(None),
            _ => Err(Peer::of(parts, server).refused(host, Problem::not_authenticated())),
        };
    };
    let session = host.store().session(&key).await;
    let trail = Trail::of(parts, host, generation);
    if reach != Reach::Here {
        // Whose sessions are meant, nobody else can say.
        let over = || Peer::of(parts, server).refused(host, cookies.bad_session("it is over"));
        let session = session?.ok_or_else(over)?;
        return end_all(host, generation, session, reach, &trail).await;
    }
    // First what was asked for: nothing can undo it, and one that cannot be read
    // ends as well.
    host.store().end_session(&key).await?;
    let Ok(Some(session)) = session else { return Ok(None) };
    audited(&trail, "log-out", Some(&session.user), None).await;
    let presented = PresentedSession { user: session.user, content: session.content };
    Ok(idp_page(generation, &presented, &origin, trail.id()).await)
}

/// Ends all sessions of whoever has this one.
async fn end_all(
    host: &Host,
    generation: &Strategy,
    session: Session,
    reach: Reach,
    trail: &Trail,
) -> Result<Option<Url>, Problem> {
    let (sessions, keys) = match reach {
        Reach::WithKeys => host.store().end_sessions_and_keys(&session.user).await?,
        Reach::Here | Reach::Everywhere => (host.store().end_sessions(&session.user).await?, 0),
    };
    let entry = AuditEntry {
        actor: Some(session.user.to_string()),
        reason: Some(format!("{sessions} sessions and {keys} keys")),
        ..trail.entry("log-out", Some("everywhere"))
    };
    trail.note(&entry).await;
    let presented = PresentedSession { user: session.user, content: session.content };
    let origin = origin(&generation.config().server)?;
    Ok(idp_page(generation, &presented, &origin, trail.id()).await)
}

/// Ends a session that was presented to an app, and so at every host; where the
/// identity provider has a page to visit, its address.
pub(in crate::http) async fn end_everywhere(
    host: &Host,
    generation: &Strategy,
    session: Session,
    trail: &Trail,
) -> Result<Option<Url>, Problem> {
    host.store().end_this(&session).await?;
    audited(trail, "log-out", Some(&session.user), None).await;
    let presented = PresentedSession { user: session.user, content: session.content };
    let origin = origin(&generation.config().server)?;
    Ok(idp_page(generation, &presented, &origin, trail.id()).await)
}

async fn idp_page(
    strategy: &Strategy,
    session: &PresentedSession,
    origin: &Url,
    id: RequestId,
) -> Option<Url> {
    let back = format!("{}/auth/login", origin.origin().ascii_serialization());
    let reason = match strategy.log_out(session, &back, id).await {
        Ok(Ok(redirect)) => return redirect.map(address),
        Ok(Err(refusal)) => refusal.to_string(),
        Err(error) => error.to_string(),
    };
    tracing::warn!(request.id = %id, reason, "the strategy was not told of a log-out");
    None
}

/// The page's address with the parameters whose values are secrets.
fn address(redirect: LogOutRedirect) -> Url {
    let mut location = redirect.location;
    for (name, value) in &redirect.parameters {
        location.query_pairs_mut().append_pair(name, &shown(value));
    }
    location
}

fn without_session(server: &Server, mut response: Response) -> Response {
    let cookie = HeaderValue::from_static(Cookies::of(server).no_session());
    let headers: &mut HeaderMap = response.headers_mut();
    headers.append(header::SET_COOKIE, cookie);
    response
}
