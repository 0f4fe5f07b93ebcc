//! A user, and what they may reach: what handlers are given in the place of a
//! user id to hand around.

mod ended;
mod paths;
mod refresh;
mod sessions;
mod tokens;

use std::sync::Arc;

use secrecy::SecretString;

use self::tokens::{PATIENCE, own};
pub use self::{
    paths::ConversationPaths,
    refresh::{ConversationSettings, HeldToken, RefreshError, RefreshFailure, RefreshReason},
    sessions::SessionError,
    tokens::{TokenError, TokenProvider},
};
pub use crate::identity::{ConversationId, InvalidConversationId};
use crate::{
    engine::CallError,
    host::Host,
    identity::{Identity, Refusal, RequestId, UserId},
    store::{ApiKey, LoadedSettings, Scope, Secrets, SessionId, Settings, StoreError, TokenPair},
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
    /// The session that was presented.
    session: Option<SessionId>,
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

impl Host {
    /// Speaks for a user with no request at hand, for webhooks and automations.
    /// It needs no identity provider and no session.
    pub async fn user_context_for(&self, user: &UserId) -> Result<UserContext, ContextError> {
        self.speak_for(user, RequestId::new(0)).await
    }

    async fn speak_for(
        &self,
        user: &UserId,
        request: RequestId,
    ) -> Result<UserContext, ContextError> {
        let found = self.store().user(user).await?;
        let found = found.ok_or_else(|| ContextError::NoUser(user.clone()))?;
        if found.disabled_at.is_some() {
            return Err(ContextError::Disabled(user.clone()));
        }
        if found.role.is_none() {
            return Err(ContextError::NotMember(user.clone()));
        }
        let strategy = self.registry().current();
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
            session: None,
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
        session: Option<SessionId>,
        request: RequestId,
    ) -> Self {
        Self { host, identity, scope, role, method, session, request }
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
        let (identity, scope) = (self.identity.clone(), self.scope.clone());
        TokenProvider::new(self.host.clone(), identity, scope, self.request)
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
