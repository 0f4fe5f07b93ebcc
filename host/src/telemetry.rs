//! Traces for OpenTelemetry: where spans go, and whose child a request is.
//!
//! Spans are those of `tracing`, with a target of their own, so that the log does not
//! have them. They say what was done and how long it took; who did it, and with what,
//! is not in them. Without `[telemetry] otlp_endpoint` a span is a look at a flag.

mod exporter;

use http::HeaderMap;
use opentelemetry::{
    propagation::TextMapPropagator as _,
    trace::{TraceContextExt as _, TracerProvider as _},
};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{Sampler, SdkTracerProvider},
};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};

use self::exporter::Sender;
use crate::config;

/// The target of every span, and of nothing else.
pub(crate) const TARGET: &str = "vestibule::span";

/// What sends spans away while the process runs.
pub(crate) struct Traces(SdkTracerProvider);

impl Traces {
    /// Begins to collect spans, where there is somewhere to send them. Within a runtime,
    /// which sends them.
    pub(crate) fn start(config: &config::Telemetry) -> Result<Option<Self>, String> {
        let Some(endpoint) = &config.otlp_endpoint else { return Ok(None) };
        let url = endpoint.join("v1/traces").map_err(|error| error.to_string())?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Sender::new()?)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(url)
            .build()
            .map_err(|error| error.to_string())?;
        // What whoever asks has decided holds; else a part is taken.
        let sampler = Sampler::TraceIdRatioBased(config.sample);
        let resource = Resource::builder().with_service_name(config.service_name.clone()).build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::ParentBased(Box::new(sampler)))
            .with_resource(resource)
            .build();
        Ok(Some(Self(provider)))
    }

    /// Takes the spans of this process.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("vestibule"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_tracked_inactivity(false)
            .with_filter(Targets::new().with_target(TARGET, tracing::Level::INFO))
    }

    /// Sends what is left. Not within the runtime, which has to send it meanwhile.
    pub(crate) fn finish(&self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }
}

/// Makes a span a child of the one that a header names.
pub(crate) fn continue_trace(span: &Span, headers: &HeaderMap) {
    let parent = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
    if parent.span().span_context().is_valid() {
        // Without a layer there is nothing to continue.
        let _ = span.set_parent(parent);
    }
}
