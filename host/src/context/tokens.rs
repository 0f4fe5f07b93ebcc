//! A user's tokens of Git providers, as they are at the time of asking: the
//! strategy's, or else those that the user brought.

use std::time::Duration;

use secrecy::SecretString;

use crate::{
    engine::{self, CallError, Renewal, Strategy},
    host::Host,
    identity::{Identity, PROVIDERS, ProviderToken, RequestId, TokenRefusal},
    secret,
    store::{AuditEntry, Scope, StoreError, StoredToken, TokenState},
};

/// How long a change of a user's own token waits for another.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait before a provider that is unavailable is asked to revoke a token
/// again: once, and once more (RFC 7009 section 2.2.1).
const REVOKE_PAUSES: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(1)];

/// Why a token that was renewed has to be connected again.
const REFUSED: &str = "the provider refuses it, and there is no newer one";

/// Why there is no provider token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The name is no provider's.
    #[error("{0:?} is no Git provider; there are {list}", list = PROVIDERS.join(", "))]
    UnknownProvider(String),
    /// The user never connected the provider.
    #[error("no {0} account is connected")]
    Missing(String),
    /// The strategy has none, and says why.
    #[error(transparent)]
    Refused(#[from] TokenRefusal),
    /// The strategy gave no answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Gives one user's tokens of Git providers, as they are at the time of asking.
#[derive(Clone)]
pub struct TokenProvider {
    host: Host,
    identity: Identity,
    pub(super) scope: Scope,
    request: RequestId,
}

impl std::fmt::Debug for TokenProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenProvider").field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl TokenProvider {
    /// For the owner of a sandbox, who has presented nothing.
    pub(crate) fn new(host: Host, identity: Identity, scope: Scope, request: RequestId) -> Self {
        Self { host, identity, scope, request }
    }

    /// The token for one provider: the strategy's, or else one that the user
    /// stored. A user without one is [`TokenError::Missing`].
    pub async fn get(&self, provider: &str, renewal: Renewal) -> Result<ProviderToken, TokenError> {
        let (this, provider) = (self.clone(), provider.to_owned());
        // Even if whoever asks goes away: what the provider gives in exchange for a
        // token that works once must not be lost.
        engine::to_the_end(async move { this.ask(&provider, renewal).await }).await
    }

    pub(super) async fn ask(
        &self,
        provider: &str,
        renewal: Renewal,
    ) -> Result<ProviderToken, TokenError> {
        if !PROVIDERS.contains(&provider) {
            return Err(TokenError::UnknownProvider(provider.to_owned()));
        }
        let strategy = self.host.registry().current();
        let user = self.identity.user_id.as_ref();
        let offered = strategy.provider_token(user, provider, renewal, self.request).await?;
        if let Err(refusal) = &offered {
            let entry = AuditEntry {
                org: Some(self.scope.org.to_string()),
                reason: Some(refusal.to_string()),
                ..AuditEntry::default()
            };
            self.host.note_failed_refresh(&self.scope.user, provider, self.request, entry);
        }
        let offered = offered?;
        if let Some(token) = offered {
            return Ok(token);
        }
        self.brought(provider).await
    }

    /// What becomes of a token that its provider has refused just now: another one.
    /// Where there is none, or the one that was refused is itself new, the user has
    /// to connect the account again, and everybody is told so from then on.
    pub async fn refused(
        &self,
        provider: &str,
        token: &SecretString,
    ) -> Result<ProviderToken, TokenError> {
        let renewed = self.get(provider, Renewal::Now).await?;
        let refused = secret::digest(token);
        if secret::digest(&renewed.token) != refused {
            return Ok(renewed);
        }
        let tokens = self.host.store().tokens(&self.scope.user);
        let is_refused = |stored: Option<StoredToken>| {
            let access = stored.and_then(|stored| stored.pair.access);
            access.is_some_and(|access| secret::digest(&access) == refused)
        };
        for name in [provider, &own(provider)] {
            if !is_refused(tokens.load(name).await?) {
                continue;
            }
            let mut lease = tokens.lease(name, PATIENCE).await?;
            if is_refused(lease.current().await?) {
                lease.mark_reconnect(REFUSED).await?;
            }
            lease.release().await?;
        }
        Err(TokenRefusal::Reconnect(REFUSED.to_owned()).into())
    }

    /// The token that the user stored for a provider.
    async fn brought(&self, provider: &str) -> Result<ProviderToken, TokenError> {
        let stored = self.host.store().tokens(&self.scope.user).load(&own(provider)).await?;
        let missing = || TokenError::Missing(provider.to_owned());
        let stored = stored.ok_or_else(missing)?;
        if let TokenState::Reconnect { reason } = stored.state {
            return Err(TokenRefusal::Reconnect(reason).into());
        }
        Ok(ProviderToken {
            provider: provider.to_owned(),
            token: stored.pair.access.ok_or_else(missing)?,
            host: stored.pair.host,
            account_id: stored.pair.account_id,
            expires_at: stored.pair.access_expires_at,
        })
    }

    /// Every provider for which the user has a token now. One provider's failure
    /// is that provider's only. A strategy may ask the providers whether the tokens
    /// still work, which [`get`](Self::get) does not.
    pub async fn get_all(&self) -> Vec<Result<ProviderToken, TokenError>> {
        let this = self.clone();
        engine::to_the_end(async move { this.ask_for_all().await }).await
    }

    async fn ask_for_all(&self) -> Vec<Result<ProviderToken, TokenError>> {
        let strategy = self.host.registry().current();
        let user = self.identity.user_id.as_ref();
        let offered = match strategy.provider_tokens(user, self.request).await {
            Ok(offered) => offered,
            Err(error) => return vec![Err(error.into())],
        };
        let of_strategy = |name: &&str| offered.iter().any(|(provider, _)| provider == name);
        let rest: Vec<&str> = PROVIDERS.into_iter().filter(|name| !of_strategy(name)).collect();
        let mut found: Vec<_> =
            offered.into_iter().map(|(_, token)| token.map_err(TokenError::from)).collect();
        for provider in rest {
            match self.brought(provider).await {
                Err(TokenError::Missing(_)) => {}
                result => found.push(result),
            }
        }
        found
    }

    /// Disconnects every provider: what the user stored goes, and what the strategy
    /// stored is revoked at its provider and goes as well, whatever the provider
    /// says.
    pub(crate) async fn disconnect(&self) -> Result<(), StoreError> {
        let tokens = self.host.store().tokens(&self.scope.user);
        for provider in PROVIDERS {
            tokens.remove(&own(provider)).await?;
        }
        let strategy = self.host.registry().current();
        let providers = &strategy.description().providers;
        self.revoke(|name| providers.iter().any(|provider| provider == name)).await
    }

    /// Ends everything that lets work go on while the user is away: every token that
    /// the strategy stored for them is revoked where it comes from and goes, whatever is
    /// said there. What the user stored stays.
    pub(crate) async fn disconnect_from_idp(&self) -> Result<(), StoreError> {
        let strategy = self.host.registry().current();
        self.revoke(|name| strategy.may_store(name)).await
    }

    async fn revoke(&self, which: impl Fn(&str) -> bool) -> Result<(), StoreError> {
        let strategy = self.host.registry().current();
        let tokens = self.host.store().tokens(&self.scope.user);
        let mut names = tokens.names().await?;
        names.retain(|name| which(name));
        let this = self.clone();
        // To the end, even if the user goes away: they must not stay here.
        engine::to_the_end(async move {
            let store = this.host.store();
            for name in &names {
                store.tokens(&this.scope.user).begin_removal(name).await?;
            }
            // Conversations have copies of them.
            store.forget_conversation_tokens(&this.scope.user).await?;
            for name in &names {
                this.revoke_one(&strategy, name).await?;
            }
            Ok(())
        })
        .await
    }

    /// Has a token that is about to go revoked where it comes from, as far as that can be
    /// had, and forgets it. One that a log-in stores meanwhile is another, and stays.
    async fn revoke_one(&self, strategy: &Strategy, name: &str) -> Result<(), StoreError> {
        let user = self.identity.user_id.as_ref();
        let tokens = self.host.store().tokens(&self.scope.user);
        let mut pauses = REVOKE_PAUSES.into_iter();
        while tokens.is_removal_begun(name).await? {
            let why = match strategy.revoke_provider_token(user, name, self.request).await {
                Ok(Ok(())) => break,
                Ok(Err(TokenRefusal::Unavailable(why))) => {
                    if let Some(pause) = pauses.next() {
                        tokio::time::sleep(pause).await;
                        continue;
                    }
                    why
                }
                Ok(Err(refusal)) => refusal.to_string(),
                Err(error) => error.to_string(),
            };
            let id = self.request;
            tracing::warn!(request.id = %id, name, why, "a token may live on at its provider");
            break;
        }
        tokens.end_removal(name).await
    }
}

/// The name under which a token rests that the user stored, apart from those
/// that a strategy keeps.
pub(super) fn own(provider: &str) -> String {
    format!("own:{provider}")
}
