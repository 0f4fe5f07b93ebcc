//! What calls came to, check by check.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use super::{
    canary::{Canaries, Log},
    report::{Check, Outcome, Report},
};
use crate::engine::CallError;

/// How the name of a row ends whose peer hardly answers.
pub(super) const SLOW: &str = "slow answers";

/// The most notes of one check.
const MAX_NOTES: usize = 5;

/// Checks in the order in which they were met.
#[derive(Default)]
pub(super) struct Tally {
    checks: Vec<Check>,
}

impl Tally {
    /// The check of this name.
    pub(super) fn check(&mut self, name: &str) -> &mut Check {
        let at = match self.checks.iter().position(|check| check.name == name) {
            Some(at) => at,
            None => {
                self.checks.push(Check {
                    name: name.to_owned(),
                    outcome: Outcome::Passed,
                    slowest: Duration::ZERO,
                    calls: 0,
                    notes: Vec::new(),
                });
                self.checks.len() - 1
            }
        };
        &mut self.checks[at]
    }

    /// Makes a call and holds it to what is asked of every call: an answer or a
    /// refusal, within the limits.
    pub(super) async fn observe<T, R: Display>(
        &mut self,
        name: &str,
        circumstances: &str,
        call: impl Future<Output = Result<Result<T, R>, CallError>>,
    ) -> Result<T, String> {
        let started = Instant::now();
        let is_slow = name.ends_with(SLOW);
        let answer = call.await;
        let took = started.elapsed();
        let check = self.check(name);
        check.calls += 1;
        check.slowest = check.slowest.max(took);
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(refusal)) => Err(refusal.to_string()),
            // Whoever waits as long as they may is cut off by the host, which is no fault.
            Err(error @ CallError::WallBudget(_)) if is_slow => {
                check.note(format!("{circumstances}: {error}"));
                Err(error.to_string())
            }
            Err(error) => {
                check.fail(format!("{circumstances}: {error}"));
                Err(error.to_string())
            }
        }
    }

    /// Judges what was found in memory and in the log.
    pub(super) fn judge_secrets(&mut self, canaries: &Canaries, log: &Log) {
        let (memories, found) = canaries.in_memory();
        let check = self.check("no secret in memory after a call");
        check.calls = memories;
        if memories == 0 {
            check.fail("no memory could be looked through".to_owned());
        }
        for what in found {
            check.fail(format!("in plain text: {what}; have the host take it out (`capture`)"));
        }
        let found = log.read(|bytes| canaries.found_in(bytes));
        let check = self.check("no secret in the log");
        for what in found {
            check.fail(format!("in plain text: {what}"));
        }
    }

    pub(super) fn report(self, strategy: &str, version: &str, loaded_in: Duration) -> Report {
        let load = Check {
            name: "loads, describes itself, accepts its settings".to_owned(),
            outcome: Outcome::Passed,
            slowest: loaded_in,
            calls: 1,
            notes: Vec::new(),
        };
        let checks: Vec<Check> = std::iter::once(load).chain(self.checks).collect();
        let passed = checks.iter().all(|check| check.outcome != Outcome::Failed);
        Report { strategy: strategy.to_owned(), version: version.to_owned(), passed, checks }
    }
}

impl Check {
    pub(super) fn fail(&mut self, why: String) {
        self.outcome = Outcome::Failed;
        self.note(why);
    }

    pub(super) fn note(&mut self, what: String) {
        if self.notes.len() < MAX_NOTES && !self.notes.contains(&what) {
            self.notes.push(what);
        }
    }

    pub(super) fn skip(&mut self, why: &str) {
        if self.outcome == Outcome::Passed {
            self.outcome = Outcome::Skipped;
        }
        self.note(why.to_owned());
    }
}
