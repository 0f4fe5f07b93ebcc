//! What was refused, told to the operator with the lines that would grant it.
//!
//! A strategy can ask on and on, in calls of anybody: each target is told once a
//! minute, and there are only so many of them.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use url::Url;

use crate::{
    capability::Granted, config::Grants, identity::RequestId, metrics::Failure, store::AuditEntry,
    text::escape,
};

/// For how long a target is not told again, in seconds.
const QUIET: u64 = 60;

/// The most targets that are remembered.
const MAX_TARGETS: usize = 64;

/// The longest target that is told, in bytes.
const MAX_TARGET_BYTES: usize = 256;

/// Something that a strategy asked for and may not have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Denied<'a> {
    /// To send a request to this origin.
    Origin(&'a str),
    /// To send a request to this origin, whose name may not stand for this address.
    Address(&'a str, IpAddr),
    /// To send a browser to this origin.
    Browser(&'a str),
    /// To verify a token of this issuer.
    Issuer(&'a str),
    /// A stored token of this name.
    Token(&'a str),
    /// A configured secret of this name.
    Secret(&'a str),
}

impl<'a> Denied<'a> {
    fn what(self) -> &'static str {
        match self {
            Self::Origin(_) => "an origin",
            Self::Address(..) => "an address by its name",
            Self::Browser(_) => "a place for browsers",
            Self::Issuer(_) => "an issuer",
            Self::Token(_) => "a stored token",
            Self::Secret(_) => "a secret",
        }
    }

    /// What there is to say of it, apart from the target.
    fn reason(self) -> String {
        match self {
            Self::Address(_, address) => {
                format!("a name that stands for {address}, which it may not stand for")
            }
            _ => format!("{} that is not granted", self.what()),
        }
    }

    fn target(self) -> &'a str {
        match self {
            Self::Origin(target)
            | Self::Address(target, _)
            | Self::Browser(target)
            | Self::Issuer(target)
            | Self::Token(target)
            | Self::Secret(target) => target,
        }
    }

    /// The key in `[auth.grants]` that would grant it, where there is one.
    fn key(self) -> Option<&'static str> {
        match self {
            Self::Origin(_) | Self::Address(..) => Some("http"),
            Self::Browser(_) => Some("browser"),
            Self::Issuer(_) => Some("jose"),
            Self::Token(_) => Some("token_store"),
            Self::Secret(_) => None,
        }
    }

    /// The target as it is told. An issuer is granted by its whole text; one with a
    /// query is none, and whatever stands in that is nobody's business.
    fn shown(self) -> Option<String> {
        let target = self.target();
        if target.len() > MAX_TARGET_BYTES {
            return None;
        }
        if let Self::Issuer(_) = self {
            let url = Url::parse(target).ok()?;
            let plain = url.query().is_none() && url.fragment().is_none();
            if !plain || !url.username().is_empty() || url.password().is_some() {
                return None;
            }
        }
        Some(escape(target))
    }

    /// What is to be granted: an address by itself, because no grant of a name reaches it.
    fn value(self, shown: &str) -> String {
        let Self::Address(_, address) = self else { return shown.to_owned() };
        let led = |mut url: Url| {
            url.set_ip_host(address).ok()?;
            Some(url.origin().ascii_serialization())
        };
        Url::parse(shown).ok().and_then(led).unwrap_or_else(|| shown.to_owned())
    }

    /// The lines that grant it beside what is granted already.
    fn lines(self, shown: &str, grants: &Grants) -> String {
        let Some(key) = self.key() else {
            return format!(
                "no configuration can give it, because the strategy's description declares no \
                 secret setting {shown:?}"
            );
        };
        let granted = grants.under(key).iter().map(String::as_str);
        let wanted = self.value(shown);
        let values: Vec<String> =
            granted.chain([&*wanted]).map(|text| format!("{text:?}")).collect();
        let values = values.join(", ");
        let how = match self {
            Self::Address(..) => "to mean it, have the strategy ask for the address itself, and",
            _ => "to grant it,",
        };
        format!("{how} the configuration has to say:\n[auth.grants]\n{key} = [{values}]")
    }
}

/// What one target has come to.
#[derive(Default)]
struct Told {
    at: u64,
    suppressed: u64,
}

impl Told {
    /// Whether it is time to tell; else it is counted.
    fn again(&mut self, now: u64) -> Option<u64> {
        if now.abs_diff(self.at) < QUIET {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.at = now;
        Some(std::mem::take(&mut self.suppressed))
    }
}

/// What was told of late.
#[derive(Default)]
pub(crate) struct Denials {
    told: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    targets: HashMap<(String, &'static str, String), Told>,
    /// Targets for which there was no room.
    others: Told,
}

/// What becomes of a denial.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It is told; so many were not since the last time.
    Tell(u64),
    /// It is one of too many, of which so many were not told.
    TooMany(u64),
    /// It is counted.
    Count,
}

impl Denials {
    fn note(&self, strategy: &str, what: &'static str, target: &str, now: u64) -> Verdict {
        let mut memory = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (strategy.to_owned(), what, target.to_owned());
        if let Some(told) = memory.targets.get_mut(&key) {
            return told.again(now).map_or(Verdict::Count, Verdict::Tell);
        }
        if memory.targets.len() >= MAX_TARGETS {
            memory.targets.retain(|_, told| now.abs_diff(told.at) < QUIET);
        }
        if memory.targets.len() >= MAX_TARGETS {
            return memory.others.again(now).map_or(Verdict::Count, Verdict::TooMany);
        }
        memory.targets.insert(key, Told { at: now, suppressed: 0 });
        Verdict::Tell(0)
    }
}

impl Granted {
    /// Tells the operator of a refusal, and how it would be none, and writes it down.
    /// Nothing is told of a component that is only looked at.
    pub(crate) fn deny(&self, request: RequestId, denied: Denied<'_>) {
        let Some(denials) = &self.denials else { return };
        let (reason, strategy) = (denied.reason(), self.strategy.as_str());
        let shown = denied.shown();
        let target = shown.as_deref().unwrap_or("(not shown)");
        match denials.note(strategy, denied.what(), target, self.clock.now()) {
            Verdict::Tell(suppressed) => {
                let lines = match &shown {
                    Some(shown) => denied.lines(shown, &self.grants),
                    None => "it is nothing that could be granted".to_owned(),
                };
                tracing::warn!(
                    strategy.name = strategy,
                    request.id = %request,
                    target,
                    suppressed,
                    "the strategy asked for {reason}; {lines}"
                );
                self.reached(request, Some(target), reason);
            }
            Verdict::TooMany(suppressed) => {
                let many = format!("more than {MAX_TARGETS} things a minute that are not granted");
                tracing::warn!(
                    strategy.name = strategy,
                    request.id = %request,
                    suppressed,
                    "the strategy asks for {many}"
                );
                self.reached(request, None, many);
            }
            Verdict::Count => {}
        }
    }

    /// Writes down that a call broke, once a minute for each cause: callers may be able to
    /// have that as often as they like.
    pub(crate) fn broke(&self, request: RequestId, cause: Failure, why: String) {
        let Some(denials) = &self.denials else { return };
        let now = self.clock.now();
        if denials.note(&self.strategy, "a call", cause.text(), now) != Verdict::Count {
            self.write_down(AuditEntry {
                action: "strategy.break".to_owned(),
                target: Some(cause.text().to_owned()),
                outcome: "failed".to_owned(),
                reason: Some(why),
                request_id: Some(request.to_string()),
                ..AuditEntry::default()
            });
        }
    }

    fn reached(&self, request: RequestId, target: Option<&str>, reason: String) {
        self.write_down(AuditEntry {
            action: "strategy.reach".to_owned(),
            target: target.map(str::to_owned),
            outcome: "refused".to_owned(),
            reason: Some(reason),
            request_id: Some(request.to_string()),
            ..AuditEntry::default()
        });
    }

    /// Writes an entry, while the call goes on.
    fn write_down(&self, entry: AuditEntry) {
        let Some(store) = &self.store else { return };
        store.note_soon(AuditEntry { strategy_digest: Some(self.digest.clone()), ..entry });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants() -> Grants {
        Grants {
            http: vec!["https://a.example".to_owned()],
            token_store: vec!["offline".to_owned()],
            ..Grants::default()
        }
    }

    #[test]
    fn the_lines_keep_what_is_granted_already() {
        let line = |denied: Denied<'_>| {
            let shown = denied.shown().expect("it can be shown");
            denied.lines(&shown, &grants()).lines().last().unwrap().to_owned()
        };
        assert_eq!(
            line(Denied::Origin("https://b.example")),
            r#"http = ["https://a.example", "https://b.example"]"#
        );
        assert_eq!(
            line(Denied::Browser("https://b.example")),
            r#"browser = ["https://b.example"]"#
        );
        assert_eq!(
            line(Denied::Issuer("https://b.example/realms/a")),
            r#"jose = ["https://b.example/realms/a"]"#
        );
        assert_eq!(line(Denied::Token("a")), r#"token_store = ["offline", "a"]"#);
        assert!(line(Denied::Secret("a")).contains("declares no secret setting \"a\""));
    }

    #[test]
    fn what_may_hold_more_than_a_name_is_not_shown() {
        for issuer in ["https://a.example/?hunter2", "https://a:hunter2@a.example", "hunter2"] {
            assert_eq!(Denied::Issuer(issuer).shown(), None, "{issuer}");
        }
        assert_eq!(Denied::Token(&"a".repeat(MAX_TARGET_BYTES + 1)).shown(), None);
    }

    #[test]
    fn each_target_is_told_once_a_minute_with_what_was_not_told() {
        let denials = Denials::default();
        let note = |target: &str, now| denials.note("s", "an origin", target, now);
        assert_eq!(note("a", 1000), Verdict::Tell(0));
        assert_eq!(note("a", 1000), Verdict::Count);
        assert_eq!(note("b", 1001), Verdict::Tell(0));
        assert_eq!(note("a", 1059), Verdict::Count);
        assert_eq!(note("a", 1060), Verdict::Tell(2));
        assert_eq!(denials.note("other", "an origin", "a", 1060), Verdict::Tell(0));
        assert_eq!(denials.note("s", "an issuer", "a", 1060), Verdict::Tell(0));
        // A clock that was put back keeps nobody silent for long.
        assert_eq!(note("a", 10), Verdict::Tell(0));
    }

    #[test]
    fn there_are_only_so_many_targets() {
        let denials = Denials::default();
        let note = |target: usize, now| denials.note("s", "a secret", &target.to_string(), now);
        for target in 0..MAX_TARGETS {
            assert_eq!(note(target, 1000), Verdict::Tell(0));
        }
        assert_eq!(note(1000, 1000), Verdict::TooMany(0));
        assert_eq!(note(1001, 1001), Verdict::Count);
        assert_eq!(note(1, 1001), Verdict::Count);
        assert_eq!(denials.told.lock().unwrap().targets.len(), MAX_TARGETS);
        assert_eq!(note(1000, 1060), Verdict::Tell(0));
        assert_eq!(denials.told.lock().unwrap().targets.len(), 1);
    }
}
