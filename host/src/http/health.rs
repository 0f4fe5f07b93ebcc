//! Is it alive, and should it be sent requests?

use axum::{
    Json,
    extract::{Request, State},
};
use http::Version;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Problem, count::Peer, input::Query};
use crate::{
    engine::{Quarantined, WAY_OUT},
    host::{Generation, GenerationState, Host, Refused},
};

/// That it is alive.
#[derive(Serialize, ToSchema)]
pub(super) struct Alive {
    status: &'static str,
}

/// The process runs.
#[utoipa::path(
    get, path = "/healthz", operation_id = "is_alive",
    responses((status = 200, description = "It does", body = Alive)),
)]
pub(super) async fn healthz() -> Json<Alive> {
    Json(Alive { status: "ok" })
}

/// That it is ready.
#[derive(Serialize, ToSchema)]
pub(super) struct Ready {
    status: &'static str,
    /// The strategy's name.
    strategy: String,
    /// What is loaded, for whoever asks from this machine with `verbose`.
    #[serde(flatten)]
    #[schema(ignore)]
    loaded: Option<Loaded>,
}

/// Which components there are.
#[derive(Serialize)]
struct Loaded {
    generation: Shown,
    /// The last good one, ready to take over again.
    previous: Option<Shown>,
    /// A component that would have served, and why it does not.
    refused: Option<RefusedFile>,
    /// A generation that broke for many, and what serves in its place.
    quarantined: Option<OutOfService>,
}

/// One component that is loaded.
#[derive(Serialize)]
struct Shown {
    name: String,
    version: String,
    digest: String,
    quarantined: bool,
}

/// A component that is refused.
#[derive(Serialize)]
struct RefusedFile {
    file: String,
    digest: Option<String>,
    step: &'static str,
    reason: String,
}

/// A generation that is out of service.
#[derive(Serialize)]
struct OutOfService {
    version: String,
    digest: String,
    in_its_place: Option<String>,
    /// What ends it.
    mend: &'static str,
}

/// How much to tell.
#[derive(Deserialize, IntoParams)]
pub(super) struct Asked {
    /// Tell which components are loaded, refused and quarantined.
    verbose: Option<String>,
}

/// The strategy is loaded, the database answers, and no shutdown has begun.
#[utoipa::path(
    get, path = "/readyz", operation_id = "is_ready",
    params(Asked),
    responses(
        (status = 200, description = "Requests may come", body = Ready),
        (status = 503, description = "They may not: a shutdown has begun, or the database is away"),
    ),
)]
pub(super) async fn readyz(
    State(host): State<Host>,
    Query(asked): Query<Asked>,
    request: Request,
) -> Result<Json<Ready>, Problem> {
    if host.is_draining() {
        return Err(Problem::unavailable("shutting down"));
    }
    host.store().ping().await?;
    let strategy = host.registry().current().description().name.clone();
    let tells = asked.verbose.is_some() && is_from_here(&host, request);
    let loaded = tells.then(|| loaded(&host));
    Ok(Json(Ready { status: "ready", strategy, loaded }))
}

/// Whether it is asked on this machine itself, and not through a proxy on it. What is
/// told names files and settings, which are nobody else's business.
fn is_from_here(host: &Host, request: Request) -> bool {
    let (parts, _) = request.into_parts();
    let passed_on = ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip"];
    // nginx says none of these by default, and HTTP/1.0.
    let forwarded = parts.version < Version::HTTP_11
        || passed_on.into_iter().any(|name| parts.headers.contains_key(name));
    let address = Peer::of(&parts, &host.config().server).address();
    !forwarded && address.is_some_and(|address| address.to_canonical().is_loopback())
}

fn loaded(host: &Host) -> Loaded {
    let strategies = host.strategies();
    let mut generations = strategies.generations.into_iter();
    let none = || unreachable!("one of them serves");
    Loaded {
        generation: generations.next().map_or_else(none, shown),
        previous: generations.next().map(shown),
        refused: strategies.refused.map(|refused| {
            let Refused { file, digest, step, reason, .. } = refused;
            RefusedFile { file: file.display().to_string(), digest, step, reason }
        }),
        quarantined: strategies.quarantined.map(|quarantined| {
            let Quarantined { version, digest, in_its_place, .. } = quarantined;
            OutOfService { version, digest, in_its_place, mend: WAY_OUT }
        }),
    }
}

fn shown(generation: Generation) -> Shown {
    let Generation { name, version, digest, state, .. } = generation;
    Shown { name, version, digest, quarantined: state == GenerationState::Quarantined }
}
