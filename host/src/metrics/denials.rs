//! Who was refused lately, and why: for an operator who looks, and gone with the
//! process.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

/// The most that are remembered.
const MAX_DENIALS: usize = 200;

/// One refusal. No secret and no token has a place here.
#[derive(Clone, Debug)]
pub(crate) struct Denial {
    /// When, in seconds since the Unix epoch.
    pub(crate) at: u64,
    /// The request's id in the log.
    pub(crate) request_id: String,
    /// What the caller was told.
    pub(crate) status: u16,
    /// The template of the route.
    pub(crate) route: &'static str,
    /// What the log says of it.
    pub(crate) reason: String,
    /// The user's id, where one is known.
    pub(crate) user: Option<String>,
}

/// The latest refusals.
#[derive(Default)]
pub(crate) struct Denials {
    latest: Mutex<VecDeque<Denial>>,
}

impl Denials {
    /// Remembers one, and forgets the oldest where there are too many.
    pub(crate) fn add(&self, denial: Denial) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.len() == MAX_DENIALS {
            latest.pop_back();
        }
        latest.push_front(denial);
    }

    /// Those that are remembered, newest first.
    pub(crate) fn latest(&self) -> Vec<Denial> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_remembered_and_no_more_than_there_is_room_for() {
        let denials = Denials::default();
        for at in 0..1_000 {
            let (request_id, reason) = (String::new(), String::new());
            denials.add(Denial { at, request_id, status: 401, route: "/", reason, user: None });
        }
        let latest = denials.latest();
        assert_eq!((latest.len(), latest[0].at, latest[199].at), (MAX_DENIALS, 999, 800));
    }
}
