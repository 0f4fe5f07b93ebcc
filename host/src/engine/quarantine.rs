//! A strategy that breaks for many is taken out of service.
//!
//! Who breaks it is counted by distinct sources, a user or a network, so that one
//! attacker who knows how to make it trap cannot have it taken out; and sources for
//! which it works count against that. As long as nothing breaks, a call pays for two
//! loads and no more.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    net::{IpAddr, Ipv6Addr},
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::call::CallError;
use crate::identity::{Credential, Request, UserId};

/// How long a source for which the strategy broke is remembered.
const WINDOW: Duration = Duration::from_mins(1);

/// For how many sources a strategy breaks before it is taken out of service.
const SOURCES: usize = 8;

/// More than one for every so many sources for which it works.
const ONE_IN: usize = 3;

/// Sources that are remembered at most, of either kind.
const MAX_SOURCES: usize = 1024;

/// Who a call is for: a user where one is known, and a network otherwise. Under a key of
/// this process, so that nobody can make two of them one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Source(u64);

impl Source {
    pub(super) fn of_request(request: &Request<'_>) -> Self {
        match &request.credential {
            Credential::ApiKey(key) => Self::of_user(key.owner.user_id.as_ref()),
            Credential::Session(session) => Self::of_user(Some(&session.user)),
            Credential::Absent | Credential::Bearer(_) => Self::of_network(request.client_address),
        }
    }

    /// A number that is its own, and never zero.
    pub(super) fn mark(self) -> u64 {
        self.0 | 1
    }

    pub(super) fn of_user(user: Option<&UserId>) -> Self {
        Self::of(&user.map(UserId::as_str))
    }

    /// Whoever has an IPv6 address has all of its /64, and often all of its /48.
    pub(super) fn of_network(address: Option<IpAddr>) -> Self {
        Self::of(&address.map(|address| match address.to_canonical() {
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 80 << 80).into(),
            v4 @ IpAddr::V4(_) => v4,
        }))
    }

    fn of(what: &impl std::hash::Hash) -> Self {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self(KEY.hash_one(what))
    }
}

/// Whether a generation breaks for many.
#[derive(Default)]
pub(super) struct Quarantine {
    closed: AtomicBool,
    /// Something broke within the window.
    watching: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    broken: HashMap<Source, Instant>,
    fine: HashMap<Source, Instant>,
}

impl Quarantine {
    /// Whether the generation is out of service.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Notes how a call ended.
    pub(super) fn ended<T>(&self, answer: &Result<T, CallError>, source: impl FnOnce() -> Source) {
        match answer {
            Ok(_) if !self.watching.load(Ordering::Relaxed) => {}
            Ok(_) => self.works_for(source(), Instant::now()),
            Err(
                CallError::Trap(_)
                | CallError::CpuBudget(_)
                | CallError::Memory(_)
                | CallError::MalformedOutput(_),
            ) => self.broke_for(source(), Instant::now()),
            // Those are no fault of the component's alone.
            Err(CallError::WallBudget(_) | CallError::Saturated(_) | CallError::Quarantined) => {}
        }
    }

    fn broke_for(&self, source: Source, now: Instant) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.forget(now);
        note(&mut seen.broken, source, now);
        self.watching.store(true, Ordering::Relaxed);
        if seen.broken.len() >= SOURCES && seen.broken.len() * ONE_IN > seen.fine.len() {
            self.closed.store(true, Ordering::Relaxed);
        }
    }

    /// Nobody waits for this: of many that it works for, enough are seen.
    fn works_for(&self, source: Source, now: Instant) {
        let Ok(mut seen) = self.seen.try_lock() else { return };
        seen.forget(now);
        if seen.broken.is_empty() {
            self.watching.store(false, Ordering::Relaxed);
            seen.fine.clear();
        } else {
            note(&mut seen.fine, source, now);
        }
    }
}

impl Seen {
    fn forget(&mut self, now: Instant) {
        let lately = |at: &Instant| now.saturating_duration_since(*at) < WINDOW;
        self.broken.retain(|_, at| lately(at));
        self.fine.retain(|_, at| lately(at));
    }
}

fn note(sources: &mut HashMap<Source, Instant>, source: Source, now: Instant) {
    if sources.len() < MAX_SOURCES || sources.contains_key(&source) {
        sources.insert(source, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: usize) -> Source {
        Source::of_user(UserId::new(format!("user-{number}")).ok().as_ref())
    }

    #[test]
    fn one_source_is_never_enough_and_many_within_the_window_are() {
        let (quarantine, now) = (Quarantine::default(), Instant::now());
        for _ in 0..1000 {
            quarantine.broke_for(user(0), now);
        }
        assert!(!quarantine.is_closed());
        let late = now + WINDOW;
        (1..SOURCES).for_each(|number| quarantine.broke_for(user(number), late));
        assert!(!quarantine.is_closed(), "the first is forgotten");
        quarantine.broke_for(user(SOURCES), late);
        assert!(quarantine.is_closed());
    }

    #[test]
    fn sources_for_which_it_works_weigh_against_those_for_which_it_breaks() {
        let (quarantine, now) = (Quarantine::default(), Instant::now());
        quarantine.broke_for(user(0), now);
        (100..200).for_each(|number| quarantine.works_for(user(number), now));
        (1..20).for_each(|number| quarantine.broke_for(user(number), now));
        assert!(!quarantine.is_closed());
        (20..40).for_each(|number| quarantine.broke_for(user(number), now));
        assert!(quarantine.is_closed());
    }

    #[test]
    fn a_network_is_one_source_however_many_addresses_it_has() {
        let of = |text: &str| Source::of_network(text.parse().ok());
        assert!(of("2001:db8::1") == of("2001:db8:0:1::ffff:2"));
        assert!(of("2001:db8::1") != of("2001:db8:1::1"));
        assert!(of("192.0.2.1") == of("::ffff:192.0.2.1"));
        assert!(of("192.0.2.1") != of("192.0.2.2"));
    }
}
