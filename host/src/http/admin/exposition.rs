//! Numbers in the text format of Prometheus.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text},
    metrics::MetricType,
    registry::Registry,
};

use crate::metrics::{BOUNDS, Times};

/// What the name of every metric begins with.
const PREFIX: &str = "vestibule";

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
}

/// One number, or several that belong together.
#[derive(Debug)]
pub(super) enum Value {
    Count(u64),
    Level(u64),
    Times {
        seconds: f64,
        count: u64,
        buckets: Vec<(f64, u64)>,
    },
    /// The labels are all there is to say.
    Info,
}

impl Value {
    pub(super) fn of_times(times: &Times) -> Self {
        let ends = BOUNDS.iter().map(|nanos| seconds(*nanos)).chain([f64::INFINITY]);
        Self::Times {
            seconds: times.seconds,
            count: times.count(),
            buckets: ends.zip(times.buckets).collect(),
        }
    }
}

/// Nanoseconds in seconds.
pub(super) fn seconds(nanos: u64) -> f64 {
    std::time::Duration::from_nanos(nanos).as_secs_f64()
}

type Labels = Vec<(&'static str, String)>;

/// A metric with all its series.
#[derive(Debug)]
pub(super) struct Family {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    series: Vec<(Labels, Value)>,
}

impl Family {
    pub(super) fn new(name: &'static str, help: &'static str, kind: Kind) -> Self {
        Self { name, help, kind, series: Vec::new() }
    }

    pub(super) fn add(&mut self, labels: &[(&'static str, &str)], value: Value) {
        let labels = labels.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
        self.series.push((labels, value));
    }
}

/// What is exposed at one time.
#[derive(Debug)]
pub(super) struct Exposition(Vec<Family>);

impl Exposition {
    pub(super) fn new(families: Vec<Family>) -> Self {
        Self(families)
    }

    pub(super) fn text(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(text)
    }
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Family { name, help, kind, series } in &self.0 {
            let kind = match kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
                Kind::Info => MetricType::Info,
            };
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for (labels, value) in series {
                match value {
                    Value::Info => family.encode_info(labels)?,
                    value if labels.is_empty() => write(&mut family, value)?,
                    value => write(&mut family.encode_family(labels)?, value)?,
                }
            }
        }
        Ok(())
    }
}

fn write(encoder: &mut MetricEncoder<'_>, value: &Value) -> fmt::Result {
    match value {
        Value::Count(count) => encoder.encode_counter::<NoLabelSet, _, u64>(count, None),
        Value::Level(level) => encoder.encode_gauge(level),
        Value::Times { seconds, count, buckets } => {
            encoder.encode_histogram::<NoLabelSet>(*seconds, *count, buckets, None)
        }
        Value::Info => Ok(()),
    }
}
