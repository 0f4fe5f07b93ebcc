//! Samples of interleaved rounds, and how they are told.
//!
//! Absolute figures belong to one machine, so that every goal is a ratio of two
//! cases of one run. A ratio is taken round by round, between neighbours in
//! time, and then summed up: what disturbs both sides disturbs no ratio.

/// The samples of one case, one a round.
#[derive(Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// Adds the sample of a round.
    pub(crate) fn push(&mut self, sample: f64) {
        self.0.push(sample);
    }

    /// The value below which that part of all samples is.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index into a list that fits in memory"
        )]
        let index = ((sorted.len().saturating_sub(1)) as f64 * part).round() as usize;
        sorted.get(index).copied().unwrap_or(f64::NAN)
    }

    /// The median.
    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// This case over another, round by round.
    pub(crate) fn over(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(this, other)| this / other).collect())
    }
}

/// What a ratio should reach.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
}

/// Says what was measured, and on what.
pub(crate) fn heading(title: &str) {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown").to_owned();
    println!("\n{title} (load before: {load})");
    println!("{:<44}{:>12}  {:>10} .. {:<10}", "", "median", "p10", "p90");
}

/// Writes one line of the table.
pub(crate) fn line(name: &str, samples: &Samples, unit: &str) {
    println!("{}", row(name, samples, unit));
}

/// Writes a ratio with its goal and whether it is reached.
pub(crate) fn verdict(name: &str, ratio: &Samples, goal: Goal) {
    let median = ratio.median();
    let (reached, goal) = match goal {
        Goal::AtMost(most) => (median <= most, format!("at most {most}")),
        Goal::AtLeast(least) => (median >= least, format!("at least {least}")),
    };
    let reached = if reached { "reached" } else { "NOT REACHED" };
    println!("{}  goal: {goal}, {reached}", row(name, ratio, "x"));
}

fn row(name: &str, samples: &Samples, unit: &str) -> String {
    let digits = if samples.median() >= 1000.0 { 0 } else { 3 };
    let (median, low, high) = (samples.median(), samples.quantile(0.1), samples.quantile(0.9));
    format!("{name:<44}{median:>12.digits$}  {low:>10.digits$} .. {high:<10.digits$} {unit}")
}
