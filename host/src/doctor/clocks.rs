//! Clocks that have to agree.

use super::{Finding, Verdict};
use crate::{
    capability::Probe,
    clock::Clock,
    config::Config,
    store::{Status, Store},
};

const DATABASE: &str = "database";
const ORIGIN: &str = "granted origin";

/// What to do about clocks that disagree.
pub(super) const SYNCHRONISE: &str = "synchronise the clocks (NTP) on both sides";

/// Seconds that clocks may be apart: what comes with an answer is a second old, and
/// tokens that were issued just now are not from the future.
const APART: u64 = 10;

/// Leases between replicas live this many seconds.
const LEASE: u64 = 30;

/// How many seconds a server's clock is off, where that is too many.
pub(super) fn off(probe: &Probe, clock: &Clock) -> Option<u64> {
    let apart = probe.date?.abs_diff(clock.now());
    (apart > APART).then_some(apart)
}

pub(super) fn of_origin(origin: &str, answer: Result<Probe, String>, clock: &Clock) -> Finding {
    match answer {
        Ok(probe) => match off(&probe, clock) {
            None => Finding::ok(ORIGIN, format!("{origin} answers")),
            Some(seconds) => Finding::error(
                ORIGIN,
                format!(
                    "the clock of {origin} is {seconds} seconds off: its tokens may seem expired, or not valid yet"
                ),
                SYNCHRONISE,
            ),
        },
        Err(error) => Finding::error(
            ORIGIN,
            format!("{origin} cannot be reached: {error}"),
            "log-ins and renewals need it: mend the network, or [auth.grants] http",
        ),
    }
}

pub(super) async fn of_database(config: &Config, clock: &Clock) -> Vec<Finding> {
    let url = &config.database.url;
    if url.file().is_some_and(|file| !file.exists()) {
        return vec![Finding::ok(DATABASE, format!("{url} is made at the first start"))];
    }
    let status = match Store::status(config).await {
        Ok(status) => status,
        Err(error) => {
            let mend = "set [database] url, or let this user reach it";
            return vec![Finding::error(DATABASE, error.to_string(), mend)];
        }
    };
    let mut findings = vec![of_version(&status)];
    if let Some(error) = &status.encryption {
        let mend = "nothing that is sealed can be opened without it";
        findings.push(Finding::error("encryption", error.clone(), mend));
    }
    let unopened = status.keys.iter().filter(|key| !key.configured && key.rows > 0);
    for key in unopened.filter(|_| status.encryption.is_none()) {
        findings.push(Finding::error(
            "encryption",
            format!("{} rows are sealed by the key {}, which no secret gives", key.rows, key.id),
            "add its secret to [encryption] previous_secret_files",
        ));
    }
    let apart = status.now.map_or(0, |now| now.abs_diff(clock.now()));
    if apart > APART {
        let mut finding =
            Finding::warning(DATABASE, format!("its clock is {apart} seconds off"), SYNCHRONISE);
        if apart > LEASE {
            finding.verdict = Verdict::Error;
        }
        findings.push(finding);
    }
    findings
}

fn of_version(status: &Status) -> Finding {
    let (database, wanted) = (&status.database, status.wanted);
    match status.version {
        Some(version) if version > wanted => Finding::error(
            DATABASE,
            format!(
                "{database} has version {version}, from a newer Vestibule than this ({wanted})"
            ),
            "run the newer Vestibule, or bring back the backup from before it",
        ),
        Some(version) if version < wanted => Finding::ok(
            DATABASE,
            format!("{database} has version {version}, and the next start brings it to {wanted}"),
        ),
        Some(_) => Finding::ok(DATABASE, format!("{database} is up to date")),
        None => Finding::ok(DATABASE, format!("{database} is empty, the first start makes tables")),
    }
}
