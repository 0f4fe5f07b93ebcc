//! What to do about a stored pair, by its dates alone.

use crate::oauth::Margin;

/// A pair is not renewed again before this many seconds, so that a provider
/// whose tokens are over at once is not asked without end.
const YOUTH: u64 = 60;

/// A lifetime of fewer seconds than this is taken for a mistake.
const SHORTEST: u64 = 5;

/// A stored pair without its tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) active: bool,
    pub(super) has_access: bool,
    pub(super) has_refresh: bool,
    pub(super) access_expires_at: Option<u64>,
    pub(super) refresh_expires_at: Option<u64>,
    pub(super) stored_at: u64,
    pub(super) margin: Margin,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The access token is good.
    HandOut,
    /// A new one is needed and can be had.
    Renew,
    /// It is over; its owner must connect the account again.
    Over(&'static str),
}

impl Pair {
    /// Decides at an instant. `asked` says that the provider has just refused
    /// the access token; `draw` is any number and spreads out renewals that
    /// would otherwise come at once.
    pub(super) fn step(self, asked: bool, now: u64, draw: u64) -> Step {
        if !self.active {
            return Step::Over("the provider refused it before, or a renewal was interrupted");
        }
        let wanted = asked || !self.has_access || (self.is_due(now, draw) && !self.is_young(now));
        let renewable =
            self.has_refresh && self.refresh_expires_at.is_none_or(|instant| now < instant);
        match (wanted, renewable) {
            (false, _) => Step::HandOut,
            (true, true) => Step::Renew,
            (true, false) if !asked && self.lives(now) => Step::HandOut,
            (true, false) if asked => {
                Step::Over("the provider refuses it, and it cannot be renewed")
            }
            (true, false) => Step::Over("it has expired and cannot be renewed"),
        }
    }

    /// Whether the access token has not expired.
    pub(super) fn lives(self, now: u64) -> bool {
        self.has_access && self.access_expires_at.is_none_or(|instant| now < instant)
    }

    /// Whether the pair was stored within the last minute, or less where it is meant
    /// to live for less.
    pub(super) fn is_young(self, now: u64) -> bool {
        let youth = match self.lifetime() {
            Some(lifetime) if lifetime >= SHORTEST => {
                YOUTH.min(lifetime - self.margin.of(lifetime).min(lifetime))
            }
            _ => YOUTH,
        };
        now < self.stored_at.saturating_add(youth)
    }

    fn lifetime(self) -> Option<u64> {
        self.access_expires_at.map(|instant| instant.saturating_sub(self.stored_at))
    }

    /// Whether the access token ends within its margin, of which up to a quarter
    /// is left to chance.
    fn is_due(self, now: u64, draw: u64) -> bool {
        self.access_expires_at.zip(self.lifetime()).is_some_and(|(instant, lifetime)| {
            let margin = self.margin.of(lifetime);
            let margin = margin - draw % (margin / 4 + 1);
            instant <= now.saturating_add(margin)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORED: u64 = 1_800_000_000;
    const HOUR: u64 = 60 * 60;

    /// Stored with eight hours and half a year to live.
    fn pair() -> Pair {
        Pair {
            active: true,
            has_access: true,
            has_refresh: true,
            access_expires_at: Some(STORED + 8 * HOUR),
            refresh_expires_at: Some(STORED + 4380 * HOUR),
            stored_at: STORED,
            margin: Margin::default(),
        }
    }

    fn after(pair: Pair, seconds: u64) -> Step {
        pair.step(false, STORED + seconds, 0)
    }

    #[test]
    fn a_token_is_renewed_within_its_margin_and_not_before() {
        assert_eq!(after(pair(), 0), Step::HandOut);
        assert_eq!(after(pair(), 8 * HOUR - 301), Step::HandOut);
        assert_eq!(after(pair(), 8 * HOUR - 300), Step::Renew);
        assert_eq!(after(pair(), 9 * HOUR), Step::Renew);
    }

    #[test]
    fn a_token_of_two_hours_is_left_alone_for_most_of_them() {
        let short = Pair { access_expires_at: Some(STORED + 2 * HOUR), ..pair() };
        for draw in 0..1000 {
            assert_eq!(short.step(false, STORED + HOUR / 2, draw), Step::HandOut);
            assert_eq!(short.step(false, STORED + 2 * HOUR - 60, draw), Step::Renew);
        }
    }

    #[test]
    fn renewals_are_spread_over_a_quarter_of_the_margin() {
        let renewed = |draw| pair().step(false, STORED + 8 * HOUR - 260, draw) == Step::Renew;
        assert!(renewed(0) && !renewed(75));
        assert_eq!(pair().step(false, STORED + 8 * HOUR - 225, 75), Step::Renew);
    }

    #[test]
    fn a_token_that_never_expires_is_never_renewed() {
        let everlasting = Pair {
            has_refresh: false,
            access_expires_at: None,
            refresh_expires_at: None,
            ..pair()
        };
        assert_eq!(after(everlasting, 1000 * HOUR), Step::HandOut);
    }

    #[test]
    fn a_token_that_is_over_at_once_is_renewed_once_a_minute_at_most() {
        let over = Pair { access_expires_at: Some(STORED), ..pair() };
        assert_eq!(after(over, 0), Step::HandOut);
        assert_eq!(after(over, 59), Step::HandOut);
        assert_eq!(after(over, 60), Step::Renew);
    }

    #[test]
    fn a_token_that_lives_for_seconds_is_renewed_when_it_ends() {
        let short = Pair { access_expires_at: Some(STORED + SHORTEST), ..pair() };
        assert_eq!(after(short, SHORTEST - 1), Step::HandOut);
        assert_eq!(after(short, SHORTEST), Step::Renew);
        let mistaken = Pair { access_expires_at: Some(STORED + SHORTEST - 1), ..pair() };
        assert_eq!(after(mistaken, 59), Step::HandOut);
        assert_eq!(after(mistaken, 60), Step::Renew);
    }

    #[test]
    fn an_operator_can_choose_another_margin() {
        let early = Pair { margin: Margin { percent: 50, seconds: HOUR }, ..pair() };
        assert_eq!(after(early, 7 * HOUR - 1), Step::HandOut);
        assert_eq!(after(early, 7 * HOUR), Step::Renew);
        let late = Pair { margin: Margin { percent: 0, seconds: 0 }, ..pair() };
        assert_eq!(after(late, 8 * HOUR - 1), Step::HandOut);
        assert_eq!(after(late, 8 * HOUR), Step::Renew);
    }

    #[test]
    fn what_cannot_be_renewed_serves_to_its_end() {
        for single in [
            Pair { has_refresh: false, ..pair() },
            Pair { refresh_expires_at: Some(STORED + HOUR), ..pair() },
        ] {
            assert_eq!(after(single, 8 * HOUR - 1), Step::HandOut);
            assert!(matches!(after(single, 8 * HOUR), Step::Over(_)));
        }
    }

    #[test]
    fn a_token_that_was_refused_is_renewed_or_over() {
        assert_eq!(pair().step(true, STORED, 0), Step::Renew);
        let everlasting = Pair { has_refresh: false, access_expires_at: None, ..pair() };
        assert!(matches!(everlasting.step(true, STORED, 0), Step::Over(_)));
    }

    #[test]
    fn nothing_is_asked_about_a_pair_that_is_over() {
        let over = Pair { active: false, ..pair() };
        assert!(matches!(over.step(false, STORED, 0), Step::Over(_)));
        assert!(matches!(over.step(true, STORED, 0), Step::Over(_)));
    }

    #[test]
    fn a_refresh_token_alone_is_enough() {
        assert_eq!(after(Pair { has_access: false, ..pair() }, 0), Step::Renew);
    }
}
