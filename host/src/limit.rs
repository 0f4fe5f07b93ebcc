//! How often somebody may ask: per user, per owner of sandboxes, per address, and
//! per address for what was refused.
//!
//! Fixed windows in memory, each replica for itself: a bound on harm, not a bill.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
};

use crate::{config, identity::UserId, metrics::Limit};

/// Counters that are kept at most; beyond that, those whose window is over go.
const MAX_COUNTERS: usize = 100_000;

/// Who is counted, and for what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// A user's requests.
    User(UserId),
    /// Requests of all the sandboxes of a user.
    Sandboxes(UserId),
    /// An address's requests.
    Address(IpAddr),
    /// An address's requests that presented something bad.
    Refused(IpAddr),
    /// Notes of a user's that were refused at a host, of which one a minute is enough.
    Denied(UserId, String),
}

impl Who {
    /// Which limit it is, where it is one on requests.
    pub(crate) fn limit(&self) -> Option<Limit> {
        match self {
            Self::User(_) => Some(Limit::User),
            Self::Sandboxes(_) => Some(Limit::Sandboxes),
            Self::Address(_) => Some(Limit::Address),
            Self::Refused(_) => Some(Limit::Refused),
            Self::Denied(..) => None,
        }
    }

    /// Whose requests are counted, where they are a user's.
    pub(crate) fn user(&self) -> Option<&UserId> {
        match self {
            Self::User(user) | Self::Sandboxes(user) | Self::Denied(user, _) => Some(user),
            Self::Address(_) | Self::Refused(_) => None,
        }
    }

    /// An IPv6 address stands for its /64: whoever has one has all of them.
    fn network(&self) -> Self {
        let network = |address: IpAddr| match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        };
        match self {
            Self::User(_) | Self::Sandboxes(_) | Self::Denied(..) => self.clone(),
            Self::Address(address) => Self::Address(network(*address)),
            Self::Refused(address) => Self::Refused(network(*address)),
        }
    }
}

#[derive(Clone, Copy)]
struct Counter {
    /// The window, counted from the epoch.
    window: u64,
    requests: u32,
    /// Somebody was refused.
    is_over: bool,
}

impl Counter {
    fn new(window: u64) -> Self {
        Self { window, requests: 0, is_over: false }
    }
}

/// A limit that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limited {
    /// Requests in one window.
    pub(crate) limit: u32,
    /// Seconds until the window ends.
    pub(crate) reset: u64,
    /// It is the first time in this window.
    pub(crate) first: bool,
}

/// Counts requests.
#[derive(Default)]
pub(crate) struct Limiter {
    counters: Mutex<Counters>,
}

#[derive(Default)]
struct Counters {
    live: HashMap<(Who, u64), Counter>,
    pruned_at: u64,
}

impl Limiter {
    /// Counts one request, or says that there were too many.
    pub(crate) fn count(
        &self,
        who: &Who,
        limits: &config::RateLimits,
        now: u64,
    ) -> Result<(), Limited> {
        let rules: &[(u64, u32)] = match who {
            Who::User(_) => &[(1, limits.user_second), (60, limits.user_minute)],
            Who::Sandboxes(_) => &[(60, limits.sandbox_minute)],
            Who::Address(_) => &[(60, limits.address_minute)],
            Who::Refused(_) => &[(60, limits.refused_minute)],
            Who::Denied(..) => &[(60, 1)],
        };
        if rules.iter().all(|(_, limit)| *limit == 0) {
            return Ok(());
        }
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        let who = who.network();
        if counters.live.len() >= MAX_COUNTERS && counters.pruned_at != now {
            counters.pruned_at = now;
            counters.live.retain(|(_, seconds), counter| counter.window == now / seconds);
        }
        // Where so many come that they cannot be told apart, those who are known count.
        let full = counters.live.len() >= MAX_COUNTERS;
        for &(seconds, limit) in rules.iter().filter(|(_, limit)| *limit > 0) {
            let window = now / seconds;
            let key = (who.clone(), seconds);
            if full && !counters.live.contains_key(&key) {
                continue;
            }
            let counter = counters.live.entry(key).or_insert(Counter::new(window));
            if counter.window != window {
                *counter = Counter::new(window);
            }
            if counter.requests >= limit {
                let first = !std::mem::replace(&mut counter.is_over, true);
                return Err(Limited { limit, reset: seconds - now % seconds, first });
            }
            counter.requests += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_is_full_is_empty_again_when_it_ends() {
        let limits =
            config::RateLimits { user_second: 2, user_minute: 5, ..config::RateLimits::default() };
        let limiter = Limiter::default();
        let who = |name: &str| Who::User(UserId::new(name).unwrap());
        let allowed = |name, now| limiter.count(&who(name), &limits, now).is_ok();
        assert!(allowed("ada", 600) && allowed("ada", 600));
        let refused = limiter.count(&who("ada"), &limits, 600);
        assert_eq!(refused, Err(Limited { limit: 2, reset: 1, first: true }));
        let again = limiter.count(&who("ada"), &limits, 600);
        assert_eq!(again, Err(Limited { limit: 2, reset: 1, first: false }));
        assert!(allowed("bob", 600));
        assert!(allowed("ada", 601) && allowed("ada", 601) && allowed("ada", 602));
        let refused = limiter.count(&who("ada"), &limits, 603);
        assert_eq!(refused, Err(Limited { limit: 5, reset: 57, first: true }));
        assert!(allowed("ada", 660));
    }

    #[test]
    fn a_flood_of_addresses_takes_no_more_room_and_who_is_known_still_counts() {
        let limits = config::RateLimits { refused_minute: 2, ..config::RateLimits::default() };
        let limiter = Limiter::default();
        let of = |number: u32| Who::Refused(IpAddr::V4(number.into()));
        let allowed = |who: &Who, now| limiter.count(who, &limits, now).is_ok();
        let early = of(u32::MAX);
        assert!(allowed(&early, 600));
        for number in 0..1_000_000 {
            limiter.count(&of(number), &limits, 600).unwrap();
        }
        let counters = || limiter.counters.lock().unwrap().live.len();
        assert_eq!(counters(), MAX_COUNTERS);
        assert!(allowed(&early, 601));
        assert!(!allowed(&early, 602));
        // In the next window there is room again.
        assert!(allowed(&of(2_000_000), 660));
        assert_eq!(counters(), 1);
    }
}
