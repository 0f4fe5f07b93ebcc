//! `log`: a strategy's lines in the operator's log, bounded and made harmless.

pub(crate) mod denials;
mod rate;

pub(crate) use self::rate::Rate;
use super::Context;
use crate::{
    bindings::vestibule::auth::log::{Field, Host, Level},
    text::escape,
};

/// The most bytes of messages and fields that one call may log.
const MAX_BYTES: usize = 16 * 1024;

/// The most fields of one line.
const MAX_FIELDS: usize = 32;

/// The most lines that one call may log.
const MAX_LINES: u32 = 64;

/// What is left of one call's share of the log.
pub(crate) struct Budget {
    bytes: usize,
    lines: u32,
    /// Lines that did not fit.
    pub(crate) dropped: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self { bytes: MAX_BYTES, lines: MAX_LINES, dropped: 0 }
    }
}

impl Budget {
    /// Takes one line of `bytes` from the budget, or counts it as dropped.
    fn take(&mut self, bytes: usize) -> bool {
        match (self.bytes.checked_sub(bytes), self.lines.checked_sub(1)) {
            (Some(bytes), Some(lines)) => {
                self.bytes = bytes;
                self.lines = lines;
                true
            }
            _ => {
                self.dropped = self.dropped.saturating_add(1);
                false
            }
        }
    }
}

impl Host for Context {
    fn write(&mut self, level: Level, message: String, fields: Vec<Field>) -> wasmtime::Result<()> {
        if fields.len() > MAX_FIELDS {
            self.log.dropped = self.log.dropped.saturating_add(1);
            return Ok(());
        }
        let message = escape(&message);
        let fields = fields
            .iter()
            .map(|field| format!("{}={}", escape(&field.name), escape(&field.value)))
            .collect::<Vec<_>>()
            .join(" ");
        // As it will be written: escaping makes more of it.
        if !self.log.take(message.len() + fields.len()) {
            return Ok(());
        }
        match self.granted.log_rate.take() {
            Some(0) => {}
            Some(lines) => tracing::warn!(
                strategy.name = self.granted.strategy,
                lines,
                "the strategy wrote more lines in a second than it may, they were dropped"
            ),
            None => {
                self.granted.metrics.dropped_lines(1);
                return Ok(());
            }
        }
        let strategy = self.granted.strategy.as_str();
        let request = self.request;
        macro_rules! event {
            ($level:ident) => {
                tracing::$level!(
                    target: "vestibule::strategy",
                    { strategy.name = strategy, request.id = %request, fields },
                    "{message}"
                )
            };
        }
        match level {
            Level::Trace => event!(trace),
            Level::Debug => event!(debug),
            Level::Info => event!(info),
            Level::Warn => event!(warn),
            Level::Error => event!(error),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_ends_by_bytes_and_by_lines_and_counts_what_it_drops() {
        let mut budget = Budget::default();
        assert!(budget.take(MAX_BYTES));
        assert!(!budget.take(1));
        let mut budget = Budget::default();
        for _ in 0..MAX_LINES {
            assert!(budget.take(1));
        }
        assert!(!budget.take(1));
        assert_eq!(budget.dropped, 1);
    }
}
