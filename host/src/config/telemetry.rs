//! `[telemetry]`: where traces go.

use url::Url;

use super::{
    source::{Mistakes, Section, Source},
    values,
};

/// `[telemetry]`: where traces go.
#[derive(Clone, Debug, PartialEq)]
pub struct Telemetry {
    /// The collector, which takes spans by OTLP over HTTP; none is off.
    pub otlp_endpoint: Option<Url>,
    /// By which name the collector knows this process.
    pub service_name: String,
    /// Which part of the traces that begin here is kept, from 0 to 1.
    pub sample: f64,
}

impl Telemetry {
    pub(super) fn read(root: &mut Section<'_>, source: &Source, mistakes: &mut Mistakes) -> Self {
        let mut section = root.section("telemetry", mistakes);
        let service_name = section.take("service_name", mistakes);
        let telemetry = Self {
            otlp_endpoint: section.take("otlp_endpoint", mistakes),
            service_name: service_name.unwrap_or_else(|| "vestibule".to_owned()),
            sample: section.take("sample", mistakes).unwrap_or(1.0),
        };
        section.finish(mistakes);
        if telemetry.otlp_endpoint.as_ref().is_some_and(|url| !values::is_origin(url)) {
            mistakes.push(source.mistake(
                &["telemetry", "otlp_endpoint"],
                "it is not an origin such as \"http://127.0.0.1:4318\"",
            ));
        }
        if !(0.0..=1.0).contains(&telemetry.sample) {
            mistakes.push(source.mistake(&["telemetry", "sample"], "it is not from 0 to 1"));
        }
        telemetry
    }
}
