//! The two traits that every strategy implements by itself.

use crate::{Decision, Description, Error, Identity, Request};

/// What a strategy says of itself before anybody calls it.
pub trait Plugin {
    /// Describes the strategy; called at load, with no settings and no grants.
    fn describe() -> Description;

    /// Checks the operator's settings beyond their types.
    ///
    /// The text names the setting and says what to do; the host prints it and
    /// keeps running what it ran before.
    fn check_settings() -> Result<(), String> {
        Ok(())
    }
}

/// Who is calling.
pub trait UserAuth {
    /// Decides who sent a request.
    ///
    /// Absent credentials may be answered with [`Decision::anonymous`]. A
    /// presented credential that is bad is [`Error::Unauthenticated`], never
    /// ignored in favour of another.
    fn authenticate(request: Request) -> Result<Decision, Error>;

    /// Establishes a user's identity with no request at hand: for webhooks,
    /// automations and background work.
    ///
    /// `user_id` is `None` for the local owner; `last_known` is the identity as
    /// the host last saw it, so that this needs no identity provider.
    fn restore(user_id: Option<String>, last_known: Option<Identity>) -> Result<Identity, Error>;
}
