//! A user, and what they may reach: what handlers are given in the place of a
//! user id to hand around.

mod paths;
mod sessions;

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;

pub use self::{
    paths::{ConversationPaths, InvalidConversationId},
    sessions::SessionError,
};
use crate::{
    engine::{CallError, Renewal},
    host::Host,
    identity::{Identity, PROVIDERS, ProviderToken, Refusal, RequestId, TokenRefusal, UserId},
    store::{ApiKey, LoadedSettings, Scope, Secrets, Settings, StoreError, TokenPair, TokenState},
};

/// How a user came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// With an API key.
    ApiKey(Box<ApiKey>),
    /// With a bearer token that the strategy knows.
    Bearer,
    /// With the cookie of a session.
    Session,
    /// By what the strategy decided of a request without a credential.
    Strategy,
    /// Without a request: work on the user's behalf.
    Restored,
}

/// A user, and what they may reach.
#[derive(Clone)]
pub struct UserContext {
    host: Host,
    identity: Identity,
    scope: Scope,
    role: Option<String>,
    method: AuthMethod,
    request: RequestId,
}

impl std::fmt::Debug for UserContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserContext")
            .field("scope", &self.scope)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// A user cannot be spoken for.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// No user has this id.
    #[error("there is no user {0}")]
    NoUser(UserId),
    /// The user is disabled.
    #[error("the user {0} is disabled")]
    Disabled(UserId),
    /// The user has left the organisation.
    #[error("the user {0} is no member of the organisation any more")]
    NotMember(UserId),
    /// The strategy refuses.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The strategy gave no answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

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

impl Host {
    /// Speaks for a user with no request at hand, for webhooks and automations.
    /// It needs no identity provider and no session.
    pub async fn user_context_for(&self, user: &UserId) -> Result<UserContext, ContextError> {
        let found = self.store().user(user).await?;
        let found = found.ok_or_else(|| ContextError::NoUser(user.clone()))?;
        if found.disabled_at.is_some() {
            return Err(ContextError::Disabled(user.clone()));
        }
        if found.role.is_none() {
            return Err(ContextError::NotMember(user.clone()));
        }
        let strategy = self.registry().current();
        let request = RequestId::new(0);
        // The local owner has no id of its own outside the store.
        let id = found.identity.user_id.clone();
        let identity = strategy.restore(id.as_ref(), Some(&found.identity), request).await??;
        let scope = found.scope();
        Ok(UserContext {
            host: self.clone(),
            identity,
            scope,
            role: found.role,
            method: AuthMethod::Restored,
            request,
        })
    }
}

impl UserContext {
    /// Puts together what was established about a caller.
    pub(crate) fn new(
        host: Host,
        identity: Identity,
        scope: Scope,
        role: Option<String>,
        method: AuthMethod,
        request: RequestId,
    ) -> Self {
        Self { host, identity, scope, role, method, request }
    }

    /// Who the user is, as the strategy says.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The user's id in the stores.
    #[must_use]
    pub fn user_id(&self) -> &UserId {
        &self.scope.user
    }

    /// Whose rows the user reaches.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The user's role in the organisation.
    #[must_use]
    pub fn role(&self) -> Option<&str> {
        self.role.as_deref()
    }

    /// How the user came in.
    #[must_use]
    pub fn auth_method(&self) -> &AuthMethod {
        &self.method
    }

    /// The same user, acting for another organisation of theirs.
    pub(crate) fn acting_for(mut self, scope: Scope, role: String) -> Self {
        self.scope = scope;
        self.role = Some(role);
        self
    }

    /// The user's settings.
    pub async fn settings(&self) -> Result<LoadedSettings, StoreError> {
        self.host.store().settings(&self.scope).await
    }

    /// Puts settings in the place of those before, with `expected` only where they
    /// still have that version.
    pub async fn store_settings(
        &self,
        settings: &Settings,
        expected: Option<u64>,
    ) -> Result<u64, StoreError> {
        self.host.store().store_settings(&self.scope, settings, expected).await
    }

    /// The user's own secrets.
    #[must_use]
    pub fn secrets(&self) -> Secrets<'_> {
        self.host.store().secrets(&self.scope)
    }

    /// Where the user's conversations are below a folder.
    #[must_use]
    pub fn conversations(&self) -> ConversationPaths {
        ConversationPaths::of(self.identity.user_id.as_ref())
    }

    /// Gives the user's tokens of Git providers.
    #[must_use]
    pub fn token_provider(&self) -> TokenProvider {
        TokenProvider {
            host: self.host.clone(),
            identity: self.identity.clone(),
            scope: self.scope.clone(),
            request: self.request,
        }
    }

    /// Stores a token that the user brings, in the place of the one before; without
    /// one, the one before gets another host.
    pub(crate) async fn store_own_token(
        &self,
        provider: &str,
        token: Option<SecretString>,
        host: Option<String>,
    ) -> Result<(), StoreError> {
        let tokens = self.host.store().tokens(&self.scope.user);
        let mut lease = tokens.lease(&own(provider), PATIENCE).await?;
        let before = lease.current().await?.map(|stored| stored.pair).unwrap_or_default();
        let pair = match token {
            Some(token) => {
                TokenPair { access: Some(Arc::new(token)), host, ..TokenPair::default() }
            }
            None => TokenPair { host, ..before },
        };
        if pair.access.is_some() {
            lease.save(&pair).await?;
        }
        lease.release().await
    }
}

/// How long a change of a user's own token waits for another.
const PATIENCE: Duration = Duration::from_secs(5);

/// Gives one user's tokens of Git providers, as they are at the time of asking.
#[derive(Clone)]
pub struct TokenProvider {
    host: Host,
    identity: Identity,
    scope: Scope,
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
        if !PROVIDERS.contains(&provider) {
            return Err(TokenError::UnknownProvider(provider.to_owned()));
        }
        let strategy = self.host.registry().current();
        let user = self.identity.user_id.as_ref();
        let offered = strategy.provider_token(user, provider, renewal, self.request).await??;
        if let Some(token) = offered {
            return Ok(token);
        }
        self.brought(provider).await
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
        for name in tokens.names().await?.iter().filter(|name| which(name)) {
            let user = self.identity.user_id.as_ref();
            let revoked = strategy.revoke_provider_token(user, name, self.request).await;
            let reason = match revoked {
                Ok(Ok(())) => None,
                Ok(Err(refusal)) => Some(refusal.to_string()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(reason) = reason {
                let id = self.request;
                tracing::warn!(request.id = %id, name, reason, "a token may live on at its provider");
            }
            tokens.remove(name).await?;
        }
        Ok(())
    }
}

/// The name under which a token rests that the user stored, apart from those
/// that a strategy keeps.
pub(crate) fn own(provider: &str) -> String {
    format!("own:{provider}")
}
