//! `GET /metrics`: what is counted, for Prometheus.

use axum::{
    extract::{FromRequestParts as _, Request, State},
    response::IntoResponse,
};
use http::header;

use super::{
    Operator, Problem,
    exposition::{Exposition, Family, Kind, Value},
};
use crate::{
    host::Host,
    http::templates::TEMPLATES,
    metrics::{Pairs, Times},
};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything that is counted, in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", responses((status = 200, description = "The metrics")))]
pub(super) async fn metrics(
    State(host): State<Host>,
    request: Request,
) -> Result<impl IntoResponse, Problem> {
    let open = host.config().server.admin.as_ref().is_some_and(|admin| admin.open_metrics);
    if !open {
        Operator::from_request_parts(&mut request.into_parts().0, &host).await?;
    }
    let text = Exposition::new(families(&host)).text();
    let text = text.map_err(|_| Problem::broken().because("the metrics cannot be written"))?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text))
}

fn families(host: &Host) -> Vec<Family> {
    let read = host.metrics().read();
    let strategy = host.registry().current();
    let description = strategy.description();
    let (running, places) = strategy.places();
    let mut decisions =
        Family::new("decisions", "Questions who is calling, by how they ended", Kind::Counter);
    for (ending, presented, count) in &read.decisions {
        let labels = [("outcome", ending.text()), ("credential", presented.text())];
        decisions.add(&labels, Value::Count(*count));
    }
    let mut answers = Family::new("http_answers", "Answers to requests, by route", Kind::Counter);
    for (number, classes) in read.answers.iter().enumerate() {
        for (class, count) in ["1xx", "2xx", "3xx", "4xx", "5xx"].iter().zip(classes) {
            if *count > 0 {
                let labels = [("route", TEMPLATES.name(number)), ("class", class)];
                answers.add(&labels, Value::Count(*count));
            }
        }
    }
    let mut serving =
        Family::new("strategy", "The generation of the strategy that serves", Kind::Info);
    serving.add(
        &[
            ("name", &description.name),
            ("version", &description.version),
            ("digest", strategy.digest()),
        ],
        Value::Info,
    );
    let mut build = Family::new("build", "The version of Vestibule", Kind::Info);
    build.add(&[("version", env!("CARGO_PKG_VERSION"))], Value::Info);
    let (failing, gaps) = host.store().audit_failures();
    let loads: Pairs = vec![("loaded", read.loads), ("refused", read.refused_loads)];
    vec![
        build,
        serving,
        decisions,
        times("request_seconds", "Time from a request to its answer", &read.total),
        times(
            "strategy_seconds",
            "Time in the component, without what it waited for others",
            &read.guest,
        ),
        times("outbound_seconds", "Time that other servers took to reply", &read.outbound),
        times("database_seconds", "Time that the database took, waiting included", &read.database),
        answers,
        labelled("outbound_requests", "Requests to other servers", "outcome", &read.exchanges),
        labelled(
            "strategy_failures",
            "Calls of the strategy without an answer",
            "cause",
            &read.failures,
        ),
        labelled("strategy_loads", "Components that were loaded or refused", "outcome", &loads),
        counter(
            "strategy_compilations",
            "Components that were compiled; what is known is not",
            read.compilations,
        ),
        gauge(
            "strategy_quarantined",
            "Whether a generation is out of service, and no other was approved since",
            host.registry().quarantined().is_some().into(),
        ),
        gauge("strategy_calls_running", "Calls of the strategy that run now", running as u64),
        gauge("strategy_calls_max", "Calls of the strategy that can run at once", places as u64),
        counter(
            "strategy_log_lines_dropped",
            "Lines of the strategy's that did not go to the log",
            read.dropped_lines,
        ),
        labelled(
            "refreshes",
            "Renewals of sessions and provider tokens",
            "outcome",
            &read.refreshes,
        ),
        gauge(
            "leases_held",
            "Leases that this process holds now",
            host.store().leases_held() as u64,
        ),
        labelled("key_set_lookups", "Looks for the keys of an issuer", "result", &read.key_sets),
        counter("audit_failures", "Entries that the audit does not have", gaps),
        gauge("audit_failing", "Whether the last entry could not be written", failing.into()),
        labelled("rate_limited", "Requests beyond a limit", "limit", &read.limits),
    ]
}

fn labelled(name: &'static str, help: &'static str, label: &'static str, counts: &Pairs) -> Family {
    let mut family = Family::new(name, help, Kind::Counter);
    for (value, count) in counts {
        family.add(&[(label, value)], Value::Count(*count));
    }
    family
}

fn counter(name: &'static str, help: &'static str, count: u64) -> Family {
    let mut family = Family::new(name, help, Kind::Counter);
    family.add(&[], Value::Count(count));
    family
}

fn gauge(name: &'static str, help: &'static str, level: u64) -> Family {
    let mut family = Family::new(name, help, Kind::Gauge);
    family.add(&[], Value::Level(level));
    family
}

fn times(name: &'static str, help: &'static str, times: &Times) -> Family {
    let mut family = Family::new(name, help, Kind::Histogram);
    family.add(&[], Value::of_times(times));
    family
}
