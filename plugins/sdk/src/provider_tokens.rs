//! Tokens of Git providers, renewed when they are due: once, under a lease, and
//! stored before anybody is given them.
//!
//! What is particular about a provider is data ([`GitProvider`]), so that every
//! strategy renews in the same way.

mod due;
mod provider;

pub use provider::GitProvider;

use std::fmt;

use crate::{
    NewToken, Secret, clock, log,
    oauth::{Failure, Margin, TokenEndpoint, expires_at},
    random,
    token_provider::{ProviderToken, Renewal, TokenError},
    token_store::{self, Lease, StoreError, StoredToken, TokenState},
};
use due::{Pair, Step};

/// Who has waited for the lease for this many seconds does not ask the provider as
/// well: it has just not answered somebody else, and a call that is cut off over a
/// refresh token loses it.
const WAITED: u64 = 2;

/// An application that the operator has registered with a provider.
pub struct ProviderApp<'a> {
    /// The provider.
    pub provider: &'static GitProvider,
    /// Where the provider is, where it is not at its usual place.
    pub base_url: Option<&'a str>,
    /// The application's client id.
    pub client_id: &'a str,
    /// The application's client secret.
    pub client_secret: &'a Secret,
    /// What the application's tokens say of their host; others are not its own, and
    /// are never sent to it.
    pub host: Option<&'a str>,
    /// How long before their end tokens are renewed.
    pub margin: Margin,
    /// Where another pair may be had before one is given up, such as an identity provider
    /// at which the user has logged in again.
    pub spare: Option<&'a Spare<'a>>,
}

/// Asks for another pair; `None` where there is none.
pub type Spare<'a> = dyn Fn() -> Result<Option<NewToken>, TokenError> + 'a;

impl fmt::Debug for ProviderApp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { provider, base_url, client_id, .. } = self;
        let mut shown = f.debug_struct("ProviderApp");
        shown.field("provider", &provider.name).field("base_url", base_url);
        shown.field("client_id", client_id).finish_non_exhaustive()
    }
}

impl ProviderApp<'_> {
    /// A user's token, renewed where that is due or asked for; `None` where the
    /// user never connected an account.
    ///
    /// A pair that is younger than a minute is not renewed again, whoever asks:
    /// to renew it would end the token that somebody has just been given.
    pub fn token(
        &self,
        user: Option<&str>,
        renewal: Renewal,
    ) -> Result<Option<ProviderToken>, TokenError> {
        let Some(stored) = token_store::load(user, self.provider.name)? else {
            return Ok(None);
        };
        if !self.is_own(&stored) {
            return Ok(None);
        }
        let asked = match renewal {
            Renewal::WhenDue => false,
            Renewal::Now => !self.pair(&stored).is_young(clock::now()),
        };
        match self.step(&stored, asked) {
            Step::HandOut => self.hand_out(stored).map(Some),
            Step::Over(reason) if stored.state == TokenState::Reconnect => {
                Err(TokenError::Reconnect(reason.into()))
            }
            Step::Renew | Step::Over(_) => self.renew(user, stored, asked),
        }
    }

    /// What becomes of a token that the provider has just refused: another one,
    /// or the end of it.
    pub fn refused(
        &self,
        user: Option<&str>,
        token: &Secret,
    ) -> Result<Option<ProviderToken>, TokenError> {
        match token_store::load(user, self.provider.name)? {
            Some(stored) if holds(&stored, token) => self.renew(user, stored, true),
            _ => self.token(user, Renewal::WhenDue),
        }
    }

    fn renew(
        &self,
        user: Option<&str>,
        stored: StoredToken,
        asked: bool,
    ) -> Result<Option<ProviderToken>, TokenError> {
        let started = clock::now();
        let lease = match token_store::acquire_lease(user, self.provider.name) {
            Ok(lease) => lease,
            // Whoever has it renews this very token.
            Err(StoreError::Busy) if !asked && self.pair(&stored).lives(clock::now()) => {
                return self.hand_out(stored).map(Some);
            }
            Err(error) => return Err(error.into()),
        };
        let Some(current) = lease.current()?.filter(|current| self.is_own(current)) else {
            return Ok(None);
        };
        // The holder before may have done what this call came for.
        let asked = asked && same(&stored, &current);
        match self.step(&current, asked) {
            Step::HandOut => self.hand_out(current),
            Step::Renew if clock::now() >= started + WAITED => {
                self.old_one(current, asked, "another call has just tried")
            }
            Step::Renew => self.rotate(&lease, current, asked),
            Step::Over(reason) if current.state == TokenState::Active => {
                self.give_up(&lease, &current, reason)
            }
            Step::Over(reason) => Err(TokenError::Reconnect(reason.into())),
        }
        .map(Some)
    }

    /// Sends the refresh token and stores what comes back, before anything else
    /// can go wrong.
    fn rotate(
        &self,
        lease: &Lease,
        stored: StoredToken,
        asked: bool,
    ) -> Result<ProviderToken, TokenError> {
        let Some(refresh) = &stored.refresh else {
            return Err(TokenError::Internal("there is nothing to renew it with".into()));
        };
        let endpoint = TokenEndpoint {
            url: &self.provider.token_url(self.base_url),
            client_id: self.client_id,
            client_secret: self.client_secret,
            client_auth: self.provider.client_auth,
        };
        if self.provider.single_use {
            lease.begin_rotation()?;
        }
        let reason = match endpoint.refresh_where(refresh, self.provider.refusals) {
            Ok(tokens) => {
                let now = clock::now();
                let refresh_expires_at = match tokens.refresh {
                    Some(_) => expires_at(now, tokens.answer.refresh_expires_in),
                    None => stored.refresh_expires_at,
                };
                let renewed = lease.save(NewToken {
                    name: self.provider.name.into(),
                    access: Some(tokens.access),
                    // RFC 6749 section 6: none means that the old one goes on.
                    refresh: tokens.refresh.or(stored.refresh),
                    access_expires_at: expires_at(now, tokens.answer.expires_in),
                    refresh_expires_at,
                    host: stored.host,
                    account_id: stored.account_id,
                });
                renewed.map_err(|error| self.lost(&error))?;
                let current = lease.current().map_err(|error| self.lost(&error))?;
                let current = current.ok_or_else(|| self.lost(&StoreError::LeaseLost))?;
                return self.hand_out(current);
            }
            Err(Failure::Definite(reason)) => {
                // A log-in may have stored another pair in the meantime.
                return match lease.current()? {
                    Some(current) if !same(&stored, &current) => self.hand_out(current),
                    _ => self.give_up(lease, &stored, &reason),
                };
            }
            Err(Failure::Client(reason)) => {
                log::error(
                    "a provider refuses the client: check its id, its secret and [auth.grants] http",
                    &[("provider", self.provider.name), ("reason", &reason)],
                );
                reason
            }
            Err(Failure::Transient(reason)) => {
                let fields = [("provider", self.provider.name), ("reason", &reason)];
                log::warn("a provider renews no token", &fields);
                reason
            }
        };
        if self.provider.single_use {
            lease.abandon_rotation()?;
        }
        self.old_one(stored, asked, &reason)
    }

    /// The end of a pair, unless there is another one.
    fn give_up(
        &self,
        lease: &Lease,
        stored: &StoredToken,
        reason: &str,
    ) -> Result<ProviderToken, TokenError> {
        let spare = self.spare.map_or(Ok(None), |spare| spare());
        match spare {
            Ok(Some(spare)) if !spare.access.as_ref().is_some_and(|new| holds(stored, new)) => {
                lease.save(NewToken { account_id: stored.account_id.clone(), ..spare })?;
                let current = lease.current()?.ok_or_else(|| self.lost(&StoreError::LeaseLost))?;
                self.hand_out(current)
            }
            Ok(_) => {
                lease.mark_reconnect(reason)?;
                Err(TokenError::Reconnect(reason.into()))
            }
            // Whether there is another will be known later.
            Err(error) => {
                lease.abandon_rotation()?;
                Err(error)
            }
        }
    }

    /// Renewal begins before the end: until then the old token serves.
    fn old_one(
        &self,
        stored: StoredToken,
        asked: bool,
        reason: &str,
    ) -> Result<ProviderToken, TokenError> {
        if !asked && self.pair(&stored).lives(clock::now()) {
            return self.hand_out(stored);
        }
        Err(TokenError::Unavailable(format!("it cannot be renewed now: {reason}")))
    }

    /// The old pair is used up and the new one is not stored.
    fn lost(&self, error: &StoreError) -> TokenError {
        let name = self.provider.name;
        TokenError::Reconnect(format!("{name}: the renewed token could not be stored: {error:?}"))
    }

    fn hand_out(&self, stored: StoredToken) -> Result<ProviderToken, TokenError> {
        let token = stored.access;
        let token = token.ok_or_else(|| TokenError::Internal("there is no access token".into()))?;
        Ok(ProviderToken {
            provider: self.provider.name.into(),
            token,
            host: stored.host,
            account_id: stored.account_id,
            expires_at: stored.access_expires_at,
        })
    }

    /// Whether a token was given by this application's provider and not by another
    /// one of its kind, which was configured before.
    fn is_own(&self, stored: &StoredToken) -> bool {
        stored.host.as_deref() == self.host
    }

    fn step(&self, stored: &StoredToken, asked: bool) -> Step {
        self.pair(stored).step(asked, clock::now(), random::number())
    }

    fn pair(&self, stored: &StoredToken) -> Pair {
        Pair {
            active: stored.state == TokenState::Active,
            has_access: stored.access.is_some(),
            has_refresh: stored.refresh.is_some(),
            access_expires_at: stored.access_expires_at,
            refresh_expires_at: stored.refresh_expires_at,
            stored_at: stored.stored_at,
            margin: self.margin,
        }
    }
}

/// Whether this is the stored access token.
fn holds(stored: &StoredToken, token: &Secret) -> bool {
    stored.access.as_ref().is_some_and(|access| access.equals(token))
}

/// Whether nobody has replaced the token between two readings.
fn same(before: &StoredToken, now: &StoredToken) -> bool {
    match &now.access {
        Some(token) => holds(before, token),
        None => before.access.is_none(),
    }
}
