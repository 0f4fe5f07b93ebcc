//! What came of an examination, for people and for scripts.

use std::{fmt::Write as _, time::Duration};

use serde::{Serialize, Serializer};

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it has to.
    Passed,
    /// Not so.
    Failed,
    /// There was nothing to check.
    Skipped,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What was checked.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Its slowest call.
    #[serde(rename = "slowest_ms", serialize_with = "milliseconds")]
    pub slowest: Duration,
    /// How many calls it took.
    pub calls: usize,
    /// What there is to say.
    pub notes: Vec<String>,
}

fn milliseconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((time.as_secs_f64() * 1e6).round() / 1e3)
}

/// An examination.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The strategy's name.
    pub strategy: String,
    /// Its version.
    pub version: String,
    /// Nothing failed.
    pub passed: bool,
    /// Every check, in order.
    pub checks: Vec<Check>,
}

impl Report {
    /// A table with a summary.
    #[must_use]
    pub fn table(&self) -> String {
        let width = self.checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
        let mut text = format!("{} {}\n\n", self.strategy, self.version);
        let _ = writeln!(
            text,
            "  {:width$}  {:7}  {:>5}  {:>9}",
            "check", "result", "calls", "slowest"
        );
        for check in &self.checks {
            let result = match check.outcome {
                Outcome::Passed => "passed",
                Outcome::Failed => "FAILED",
                Outcome::Skipped => "-",
            };
            let slowest = match check.slowest {
                Duration::ZERO => String::new(),
                time => format!("{:.1} ms", time.as_secs_f64() * 1e3),
            };
            let Check { name, calls, .. } = check;
            let line = format!("  {name:width$}  {result:7}  {calls:>5}  {slowest:>9}");
            let _ = writeln!(text, "{}", line.trim_end());
            for note in &check.notes {
                let _ = writeln!(text, "    {note}");
            }
        }
        let count = |outcome| self.checks.iter().filter(|check| check.outcome == outcome).count();
        let (passed, failed) = (count(Outcome::Passed), count(Outcome::Failed));
        let _ = writeln!(text, "\n{passed} checks passed, {failed} failed");
        text
    }
}
