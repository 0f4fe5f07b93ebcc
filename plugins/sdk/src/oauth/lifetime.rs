//! How long a token lives, and how long before its end it is renewed.

/// Longer than any token lives that is renewed at all.
const LONGEST: u64 = 10 * 365 * 24 * 60 * 60;

/// The longest that a token is renewed before its end.
const LONGEST_MARGIN: u64 = 5 * 60;

/// A lifetime as a provider states it, in seconds; `None` means forever.
///
/// Providers write 0 for a token that does not expire. What is over before it
/// began counts as over, and what outlives the century as everlasting.
pub(super) fn believed(seconds: i64) -> Option<u64> {
    match u64::try_from(seconds) {
        Ok(0) => None,
        Ok(seconds) if seconds > LONGEST => None,
        Ok(seconds) => Some(seconds),
        Err(_) => Some(0),
    }
}

/// When a token expires that lives for so many seconds from `now` on.
#[must_use]
pub fn expires_at(now: u64, lifetime: Option<u64>) -> Option<u64> {
    lifetime.map(|seconds| now.saturating_add(seconds))
}

/// How long before its end a token of this lifetime is renewed: a tenth of it,
/// and at most five minutes. A fixed margin would renew a token that lives for
/// less than that at every call.
#[must_use]
pub fn margin(lifetime: u64) -> u64 {
    (lifetime / 10).min(LONGEST_MARGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_follows_the_lifetime() {
        assert_eq!(margin(8 * 60 * 60), 300);
        assert_eq!(margin(2 * 60 * 60), 300);
        assert_eq!(margin(10 * 60), 60);
        assert_eq!(margin(0), 0);
    }

    #[test]
    fn a_token_without_a_lifetime_never_expires() {
        assert_eq!(expires_at(1000, None), None);
        assert_eq!(expires_at(1000, Some(60)), Some(1060));
    }
}
