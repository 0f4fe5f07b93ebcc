//! `/.vestibule/…`: what apps on other hosts than Vestibule's pass on to it.
//!
//! Cookies belong to one host. So a browser that wants to see such an app gets a mark
//! there first (`enter`), logs in at Vestibule's own host, and is handed back by a code
//! that works once and with that mark only (`arrive`): nobody can have somebody else's
//! browser arrive with a code of their own. The session's end is the end of it everywhere.

use axum::{
    extract::{Request, State},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, Uri, header};
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::IntoParams;

use super::target::host_and_port;
use crate::{
    config::{App, Config},
    hex,
    host::Host,
    http::{
        Problem,
        auth::{log_out, origin, redirect},
        credential::{self, Door, only_value},
        input::Query,
        pages::{self, Notice},
        session::Cookies,
        trail::Trail,
    },
    secret,
    store::{SessionKey, random_bytes},
};

/// How long somebody may look at the log-in page, in seconds.
const WANTED_SECONDS: u64 = 24 * 3_600;
/// How long a browser keeps its mark, in seconds.
const MARK_SECONDS: u64 = 3_600;
/// The longest address that is kept, in bytes: a cookie carries it. Whoever asked for a
/// longer one gets to the front page.
const MAX_BYTES: usize = 1_000;

const WANTED: &str = "wanted";

/// Where a browser wants to be after a log-in, sealed: nobody else can say it.
#[derive(Serialize, Deserialize)]
pub(in crate::http) struct Wanted {
    url: String,
    /// The digest of the mark of the one browser that may go there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    browser: Option<String>,
    at: u64,
}

impl Wanted {
    pub(super) fn of(app: &App, path: &Uri, now: u64) -> Self {
        let origin = app.origin.origin().ascii_serialization();
        let path = path.path_and_query().map_or("/", |path| path.as_str());
        let url = format!("{origin}{path}");
        let url = if url.len() > MAX_BYTES { format!("{origin}/") } else { url };
        Self { url, browser: None, at: now }
    }

    pub(in crate::http) fn sealed(&self, host: &Host) -> String {
        host.store().seal_carried(WANTED, self)
    }

    /// Opens it; `None` where it is none, or too old, or its app is there no more.
    pub(in crate::http) fn opened(host: &Host, config: &Config, sealed: &str) -> Option<Self> {
        let wanted: Self = host.store().open_carried(WANTED, sealed)?;
        let over_at = wanted.at.saturating_add(WANTED_SECONDS);
        let has_app = app_of(config, &wanted.url).is_some();
        (host.clock().now() < over_at && has_app).then_some(wanted)
    }

    pub(in crate::http) fn url(&self) -> &str {
        &self.url
    }

    /// Where a browser with a session goes to get there.
    pub(in crate::http) fn reached_with(
        self,
        host: &Host,
        config: &Config,
        key: &SessionKey,
    ) -> Option<String> {
        let app = app_of(config, &self.url)?;
        if is_own_host(config, app) {
            return Some(self.url);
        }
        let origin = app.origin.origin().ascii_serialization();
        // Only a browser with a mark can use the code.
        let code = host.store().begin_transfer(key, self.url, self.browser?);
        Some(format!("{origin}/.vestibule/arrive?code={code}"))
    }
}

/// Whether browsers send Vestibule's own cookie to the app as well.
pub(super) fn is_own_host(config: &Config, app: &App) -> bool {
    let own = config.server.public_origin();
    own.is_none_or(|own| own.host_str() == Some(app.host()))
}

fn app_of<'a>(config: &'a Config, url: &str) -> Option<&'a App> {
    let origin = Url::parse(url).ok()?.origin();
    config.apps.iter().find(|app| app.origin.origin() == origin)
}

/// The app on another host than Vestibule's whose host a request is for.
fn app_here<'a>(config: &'a Config, headers: &HeaderMap) -> Result<&'a App, Problem> {
    let authority = only_value(headers, header::HOST)?.unwrap_or_default();
    let (name, _) = host_and_port(authority)?;
    let mut apps = config.apps.iter();
    apps.find(|app| app.host() == name && !is_own_host(config, app))
        .ok_or_else(|| Problem::absent("no app on another host than Vestibule's is at this one"))
}

/// What a browser that is on its way says.
#[derive(Deserialize, IntoParams)]
pub(in crate::http) struct Entering {
    /// Where it wants to be, sealed by the answer that sent it here.
    to: String,
}

/// Marks a browser, and sends it to the log-in.
#[utoipa::path(
    get, path = "/.vestibule/enter", operation_id = "enter_app", params(Entering),
    responses(
        (status = 303, description = "On to the log-in, with a mark"),
        (status = 404, description = "There is no app on another host here"),
    ),
)]
pub(in crate::http) async fn enter(
    State(host): State<Host>,
    Query(entering): Query<Entering>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let config = host.config();
    let app = app_here(&config, &headers).map_err(Problem::for_a_person)?;
    let wanted = Wanted::opened(&host, &config, &entering.to);
    let Some(wanted) = wanted.filter(|wanted| app_of(&config, &wanted.url) == Some(app)) else {
        return Err(strayed());
    };
    let cookies = Cookies::of_app(app);
    // Several tabs have one mark.
    let mark = cookies.browser(&headers).filter(|mark| is_mark(mark)).map(str::to_owned);
    let mark = mark.unwrap_or_else(|| BASE64_URL_SAFE_NO_PAD.encode(random_bytes::<32>()));
    let wanted = Wanted { browser: Some(digest(&mark)), ..wanted };
    let own = origin(&config.server)?.origin().ascii_serialization();
    let log_in = format!("{own}/auth/login?to={}", wanted.sealed(&host));
    let mut response = redirect(&log_in);
    let cookie = cookies.new_browser(&mark, MARK_SECONDS);
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}

/// What a browser brings from the log-in.
#[derive(Deserialize, IntoParams)]
pub(in crate::http) struct Arriving {
    /// The code that works once.
    code: String,
}

/// Begins the session at an app's host.
#[utoipa::path(
    get, path = "/.vestibule/arrive", operation_id = "arrive_at_app", params(Arriving),
    responses(
        (status = 303, description = "In, and on to what was asked for"),
        (status = 404, description = "There is no app on another host here"),
    ),
)]
pub(in crate::http) async fn arrive(
    State(host): State<Host>,
    Query(arriving): Query<Arriving>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let config = host.config();
    let app = app_here(&config, &headers).map_err(Problem::for_a_person)?;
    let cookies = Cookies::of_app(app);
    let transfer = host.store().open_transfer(&arriving.code).ok_or_else(strayed)?;
    let marked = cookies.browser(&headers).is_some_and(|mark| digest(mark) == transfer.browser);
    if !marked || app_of(&config, &transfer.url) != Some(app) {
        return Err(strayed());
    }
    let begun = host.store().begin_app_session(&transfer, app.host()).await;
    let session = begun.map_err(|error| Problem::from(error).for_a_person())?;
    let session = session.ok_or_else(strayed)?;
    let mut response = redirect(&transfer.url);
    let cookie = cookies.new_session(&session, host.clock().now());
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}

/// Ends the session, here and everywhere.
#[utoipa::path(
    post, path = "/.vestibule/logout", operation_id = "leave_app",
    responses(
        (status = 200, description = "Out: a page that goes on to the sign-in provider's", body = String, content_type = "text/html"),
        (status = 303, description = "Out, and on to Vestibule's own page"),
        (status = 404, description = "There is no app on another host here"),
    ),
)]
pub(in crate::http) async fn leave(
    State(host): State<Host>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let generation = host.registry().current();
    let server = &generation.config().server;
    let app = app_here(generation.config(), &parts.headers)?;
    let asked_from = only_value(&parts.headers, header::ORIGIN)?;
    if asked_from != Some(app.origin.origin().ascii_serialization().as_str()) {
        let told = "a log-out needs the Origin of the app";
        return Err(Problem::forbidden_because(told));
    }
    let session = credential::session(&host, &parts.headers, Door::App(app)).await;
    let page = match session.map(|session| session.map(|session| *session)) {
        Ok(Some(session)) => {
            let trail = Trail::of(&parts, &host, &generation);
            log_out::end_everywhere(&host, &generation, session, &trail).await?
        }
        Ok(None) => None,
        // It is over already.
        Err(problem) if problem.is_bad_credential() => None,
        Err(problem) => return Err(problem),
    };
    let mut response = match page {
        Some(location) => pages::leaving(location.as_str()).into_response(),
        None => redirect(&format!("{}/auth/login", origin(server)?.origin().ascii_serialization())),
    };
    let cookie = HeaderValue::from_static(Cookies::of_app(app).no_session());
    response.headers_mut().append(header::SET_COOKIE, cookie);
    Ok(response)
}

/// Whether it is of the form of ours.
fn is_mark(text: &str) -> bool {
    BASE64_URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == 32)
}

fn digest(mark: &str) -> String {
    hex::encode(&secret::digest_of(mark))
}

fn strayed() -> Problem {
    let told = "Open the page that you wanted to see once more, with cookies allowed.";
    Problem::ambiguous(told).noticed(Notice::Strayed)
}
