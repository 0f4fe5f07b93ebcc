//! What the host counts of itself: plain numbers, and nothing that names a user.
//!
//! What every request counts lies on a sheet of its thread's own, so that threads
//! never wait for each other; whoever reads adds the sheets up. How the numbers are
//! told is for `http/admin` to say.

mod denials;
mod histogram;

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use self::histogram::Histogram;
pub(crate) use self::{
    denials::{Denial, Denials},
    histogram::{BOUNDS, Times},
};

/// An enumeration whose cases are the values of one label.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$case_doc:meta])* $case:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name {
            $($(#[$case_doc])* $case,)+
        }

        impl $name {
            /// Every case.
            pub(crate) const ALL: &[Self] = &[$(Self::$case,)+];

            /// The label's value.
            pub(crate) const fn text(self) -> &'static str {
                match self {
                    $(Self::$case => $text,)+
                }
            }
        }
    };
}

label! {
    /// How the question who is calling ended.
    Ending {
        /// Nobody is logged in.
        Anonymous = "anonymous",
        /// Somebody is.
        Authenticated = "authenticated",
        /// A credential is bad.
        Unauthenticated = "unauthenticated",
        /// The caller is known and may not come in.
        Forbidden = "forbidden",
        /// It cannot be said now.
        Unavailable = "unavailable",
        /// The request can be read in more than one way, or is for another host.
        Malformed = "malformed",
        /// Something is at fault here.
        Broken = "broken",
    }
}

label! {
    /// What the caller presented.
    Presented {
        /// Nothing.
        Nothing = "none",
        /// A session's cookie.
        Session = "session",
        /// An API key.
        ApiKey = "api-key",
        /// A bearer token that is no key of ours.
        Bearer = "bearer",
    }
}

label! {
    /// Why a call of the strategy gave no answer.
    Failure {
        /// It broke off.
        Trap = "trap",
        /// It ran for too long.
        Cpu = "cpu",
        /// It took too long.
        Wall = "wall",
        /// It wanted too much memory.
        Memory = "memory",
        /// There was no place for it.
        Saturated = "saturated",
        /// Its answer breaks the contract.
        Malformed = "malformed",
        /// It is out of service.
        Quarantined = "quarantined",
    }
}

label! {
    /// How a request to another server ended.
    Exchange {
        /// With a reply, whatever its status.
        Replied = "replied",
        /// Not in time.
        Timeout = "timeout",
        /// Otherwise without a reply.
        Failed = "failed",
    }
}

label! {
    /// What came of a renewal.
    Refresh {
        /// A session goes on.
        SessionRenewed = "session-renewed",
        /// A session goes on as it was, for now.
        SessionKept = "session-kept",
        /// A session is over.
        SessionOver = "session-over",
        /// A stored token has its successor.
        TokenRenewed = "token-renewed",
        /// A stored token is as it was.
        TokenKept = "token-kept",
        /// The user has to connect the account again.
        TokenReconnect = "token-reconnect",
    }
}

label! {
    /// Which limit on requests was met.
    Limit {
        /// That of a user.
        User = "user",
        /// That of a user's sandboxes.
        Sandboxes = "sandboxes",
        /// That of an address.
        Address = "address",
        /// That of an address for what was refused.
        Refused = "refused",
    }
}

label! {
    /// What a look for something kept found.
    Look {
        /// It is here.
        Hit = "hit",
        /// It had to be fetched.
        Miss = "miss",
        /// It could not be had.
        Failed = "failed",
    }
}

/// The most templates of routes whose answers are told apart; the first is everything
/// else.
pub(crate) const MAX_ROUTES: usize = 128;

/// Classes of statuses, `1xx` to `5xx`.
const CLASSES: usize = 5;

/// What one thread counts. Apart from its neighbours, so that no cache line is shared.
#[repr(align(128))]
struct Sheet {
    decisions: [[AtomicU64; Presented::ALL.len()]; Ending::ALL.len()],
    answers: Box<[[AtomicU64; CLASSES]]>,
    total: Histogram,
    guest: Histogram,
    outbound: Histogram,
    database: Histogram,
}

impl Sheet {
    fn new() -> Self {
        Self {
            decisions: Default::default(),
            answers: (0..MAX_ROUTES).map(|_| Default::default()).collect(),
            total: Histogram::default(),
            guest: Histogram::default(),
            outbound: Histogram::default(),
            database: Histogram::default(),
        }
    }
}

/// Everything that is counted.
pub(crate) struct Metrics {
    sheets: Box<[Sheet]>,
    failures: [AtomicU64; Failure::ALL.len()],
    exchanges: [AtomicU64; Exchange::ALL.len()],
    refreshes: [AtomicU64; Refresh::ALL.len()],
    limits: [AtomicU64; Limit::ALL.len()],
    key_sets: [AtomicU64; Look::ALL.len()],
    dropped_lines: AtomicU64,
    loads: AtomicU64,
    refused_loads: AtomicU64,
    compilations: AtomicU64,
    pub(crate) denials: Denials,
}

impl Default for Metrics {
    fn default() -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        Self {
            sheets: (0..threads).map(|_| Sheet::new()).collect(),
            failures: Default::default(),
            exchanges: Default::default(),
            refreshes: Default::default(),
            limits: Default::default(),
            key_sets: Default::default(),
            dropped_lines: AtomicU64::new(0),
            loads: AtomicU64::new(0),
            refused_loads: AtomicU64::new(0),
            compilations: AtomicU64::new(0),
            denials: Denials::default(),
        }
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// The sheet of this thread.
    fn mine(&self) -> &Sheet {
        &self.sheets[part_of_this_thread(self.sheets.len())]
    }

    /// Who is calling was found out, or not.
    pub(crate) fn decided(&self, ending: Ending, presented: Presented) {
        add(&self.mine().decisions[ending as usize][presented as usize]);
    }

    /// A request was answered.
    pub(crate) fn answered(&self, route: usize, status: u16, took: Duration) {
        let sheet = self.mine();
        let class = usize::from(status / 100).clamp(1, CLASSES) - 1;
        add(&sheet.answers[route.min(MAX_ROUTES - 1)][class]);
        sheet.total.record(took);
    }

    /// A component has had its call, without what it waited for others.
    pub(crate) fn ran(&self, took: Duration) {
        self.mine().guest.record(took);
    }

    /// Another server was asked.
    pub(crate) fn exchanged(&self, how: Exchange, took: Duration) {
        self.mine().outbound.record(took);
        add(&self.exchanges[how as usize]);
    }

    /// The database was asked.
    pub(crate) fn stored(&self, took: Duration) {
        self.mine().database.record(took);
    }

    /// A call of the strategy gave no answer.
    pub(crate) fn failed(&self, why: Failure) {
        add(&self.failures[why as usize]);
    }

    /// Something was to be renewed.
    pub(crate) fn refreshed(&self, how: Refresh) {
        add(&self.refreshes[how as usize]);
    }

    /// Somebody asked too often.
    pub(crate) fn limited(&self, limit: Limit) {
        add(&self.limits[limit as usize]);
    }

    /// Somebody looked for the keys of an issuer.
    pub(crate) fn looked_for_keys(&self, found: Look) {
        add(&self.key_sets[found as usize]);
    }

    /// Lines of a strategy's did not go to the log.
    pub(crate) fn dropped_lines(&self, lines: u64) {
        self.dropped_lines.fetch_add(lines, Ordering::Relaxed);
    }

    /// A component was loaded, or refused.
    pub(crate) fn loaded(&self, good: bool) {
        add(if good { &self.loads } else { &self.refused_loads });
    }

    /// A component was compiled.
    pub(crate) fn compiled(&self) {
        add(&self.compilations);
    }

    /// All of it, added up.
    pub(crate) fn read(&self) -> Readings {
        let sum = |of: &dyn Fn(&Sheet) -> u64| self.sheets.iter().map(of).sum::<u64>();
        let decisions = Ending::ALL
            .iter()
            .flat_map(|&ending| Presented::ALL.iter().map(move |&presented| (ending, presented)));
        let decisions = decisions.map(|(ending, presented)| {
            let of = |sheet: &Sheet| value(&sheet.decisions[ending as usize][presented as usize]);
            (ending, presented, sum(&of))
        });
        let answers = (0..MAX_ROUTES).map(|route| {
            std::array::from_fn(|class| sum(&|sheet| value(&sheet.answers[route][class])))
        });
        let times = |of: fn(&Sheet) -> &Histogram| Times::sum(self.sheets.iter().map(of));
        Readings {
            decisions: decisions.collect(),
            answers: answers.collect(),
            total: times(|sheet| &sheet.total),
            guest: times(|sheet| &sheet.guest),
            outbound: times(|sheet| &sheet.outbound),
            database: times(|sheet| &sheet.database),
            failures: pairs(Failure::ALL, Failure::text, &self.failures),
            exchanges: pairs(Exchange::ALL, Exchange::text, &self.exchanges),
            refreshes: pairs(Refresh::ALL, Refresh::text, &self.refreshes),
            limits: pairs(Limit::ALL, Limit::text, &self.limits),
            key_sets: pairs(Look::ALL, Look::text, &self.key_sets),
            dropped_lines: value(&self.dropped_lines),
            loads: value(&self.loads),
            refused_loads: value(&self.refused_loads),
            compilations: value(&self.compilations),
        }
    }
}

/// What was counted so far.
pub(crate) struct Readings {
    pub(crate) decisions: Vec<(Ending, Presented, u64)>,
    /// By the number of the route, and by class.
    pub(crate) answers: Vec<[u64; CLASSES]>,
    pub(crate) total: Times,
    pub(crate) guest: Times,
    pub(crate) outbound: Times,
    pub(crate) database: Times,
    pub(crate) failures: Pairs,
    pub(crate) exchanges: Pairs,
    pub(crate) refreshes: Pairs,
    pub(crate) limits: Pairs,
    pub(crate) key_sets: Pairs,
    pub(crate) dropped_lines: u64,
    pub(crate) loads: u64,
    pub(crate) refused_loads: u64,
    pub(crate) compilations: u64,
}

/// The part of this thread among so many: threads are dealt out evenly, and each keeps
/// to its own.
pub(crate) fn part_of_this_thread(parts: usize) -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<Option<usize>> = const { Cell::new(None) };
    }
    let mine = MINE.get().unwrap_or_else(|| {
        let mine = NEXT.fetch_add(1, Ordering::Relaxed);
        MINE.set(Some(mine));
        mine
    });
    mine % parts
}

/// A label's values, each with its count.
pub(crate) type Pairs = Vec<(&'static str, u64)>;

fn pairs<L: Copy>(all: &[L], text: fn(L) -> &'static str, counts: &[AtomicU64]) -> Pairs {
    all.iter().zip(counts).map(|(label, count)| (text(*label), value(count))).collect()
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn value(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
