//! Fresh provider tokens before a conversation begins or goes on.
//!
//! A conversation is handed what works for a while, renewed by the strategy where
//! it is due, all providers at once. The value that comes in is never changed:
//! whoever holds it goes on with what they have, and what comes out is another one.

use std::{collections::BTreeMap, fmt, sync::Arc};

use secrecy::SecretString;

use super::{ContextError, TokenError, TokenProvider};
use crate::{
    config::OnRefreshFailure,
    engine::{self, Renewal},
    host::Host,
    identity::{
        ConversationId, Identity, PROVIDERS, ProviderToken, RequestId, TokenRefusal, UserId,
        usual_host,
    },
    secret,
    store::{Scope, Settings, StoreError},
};

/// What a conversation is given to begin with.
#[derive(Clone, Debug, Default)]
pub struct ConversationSettings {
    /// Its user's settings.
    pub settings: Settings,
    /// The tokens of Git providers, by provider; `None` where these settings are no
    /// conversation's.
    pub provider_tokens: Option<BTreeMap<String, HeldToken>>,
}

/// A provider's token in the hands of a conversation. When it expires is for the
/// store to know.
#[derive(Clone, Debug, Default)]
pub struct HeldToken {
    /// The token.
    pub token: Option<Arc<SecretString>>,
    /// The account's id at the provider.
    pub account_id: Option<String>,
    /// The provider's host, where it is not the provider's usual one.
    pub host: Option<String>,
}

/// Why a provider's token is not renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshReason {
    /// The user has to connect the account again.
    Reconnect,
    /// The user has connected another account, or one elsewhere.
    OtherAccount,
    /// Something does not answer now.
    Unavailable,
    /// The strategy is at fault.
    Broken,
}

impl fmt::Display for RefreshReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reconnect => "reconnect",
            Self::OtherAccount => "other account",
            Self::Unavailable => "unavailable",
            Self::Broken => "broken",
        })
    }
}

/// A provider whose token is not renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshFailure {
    /// The provider.
    pub provider: String,
    /// Why; what exactly is in the log.
    pub reason: RefreshReason,
}

impl fmt::Display for RefreshFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.provider, self.reason)
    }
}

/// A conversation gets no fresh tokens.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The user cannot be spoken for.
    #[error(transparent)]
    User(#[from] ContextError),
    /// A name is no provider's.
    #[error("{0:?} is no Git provider; there are {list}", list = PROVIDERS.join(", "))]
    UnknownProvider(String),
    /// These tokens cannot be renewed, and `[provider_tokens] on_refresh_failure` is
    /// `fail`.
    #[error(
        "no fresh provider token of {}",
        .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    )]
    Tokens(Vec<RefreshFailure>),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Host {
    /// Settings whose provider tokens work for a while: those that expire soon are
    /// renewed, all providers at once, and what is new is written down under the
    /// conversation and the user. `None` is the local owner, with the tokens that
    /// belong to no user.
    ///
    /// Answers with the same value where there is nothing new. A token of another
    /// account or host than the settings name is no token for them; one that nobody
    /// has stored here is left as it is.
    pub async fn refresh_provider_tokens(
        &self,
        settings: &Arc<ConversationSettings>,
        conversation: &ConversationId,
        user: Option<&UserId>,
    ) -> Result<Arc<ConversationSettings>, RefreshError> {
        self.refresh(settings, conversation, user, RequestId::new(0)).await
    }

    /// The same on behalf of a request.
    pub(crate) async fn refresh(
        &self,
        settings: &Arc<ConversationSettings>,
        conversation: &ConversationId,
        user: Option<&UserId>,
        request: RequestId,
    ) -> Result<Arc<ConversationSettings>, RefreshError> {
        let same = || Ok(Arc::clone(settings));
        let Some(held) = &settings.provider_tokens else { return same() };
        if let Some(name) = held.keys().find(|name| !PROVIDERS.contains(&name.as_str())) {
            return Err(RefreshError::UnknownProvider(name.clone()));
        }
        if held.is_empty() {
            return same();
        }
        let tokens = self.tokens_of(user, request).await?;
        let mut fresh = Vec::new();
        let mut failures = Vec::new();
        for (provider, answer) in tokens.of_each(held.keys()).await {
            match held[&provider].succeeded_by(answer) {
                Ok(token) => fresh.extend(token),
                Err((reason, why)) => {
                    tracing::warn!(
                        request.id = %request,
                        conversation.id = %conversation,
                        provider,
                        why,
                        "a conversation gets no fresh token: {reason}"
                    );
                    failures.push(RefreshFailure { provider, reason });
                }
            }
        }
        if !fresh.is_empty() {
            let user = &tokens.scope.user;
            self.store().conversation_tokens(user, conversation).save(&fresh).await?;
        }
        match self.config().provider_tokens.on_refresh_failure {
            OnRefreshFailure::Fail if !failures.is_empty() => Err(RefreshError::Tokens(failures)),
            _ if fresh.is_empty() => same(),
            _ => Ok(Arc::new(settings.with(fresh))),
        }
    }

    async fn tokens_of(
        &self,
        user: Option<&UserId>,
        request: RequestId,
    ) -> Result<TokenProvider, ContextError> {
        match user {
            Some(user) => Ok(self.speak_for(user, request).await?.token_provider()),
            // There is nobody of whom the strategy could say who they are.
            None => {
                let (nobody, scope) = (Identity::default(), Scope::local_owner());
                Ok(TokenProvider::new(self.clone(), nobody, scope, request))
            }
        }
    }
}

type Answer = Result<ProviderToken, TokenError>;

impl TokenProvider {
    /// The token for each of these providers, asked for at once. One provider's
    /// failure is that provider's only.
    async fn of_each<'a>(
        &self,
        providers: impl Iterator<Item = &'a String>,
    ) -> Vec<(String, Answer)> {
        let ask = |provider: &String| {
            let (this, provider) = (self.clone(), provider.clone());
            async move {
                let answer = this.ask(&provider, Renewal::WhenDue).await;
                (provider, answer)
            }
        };
        engine::all_to_the_end(providers.map(ask)).await
    }
}

impl ConversationSettings {
    /// The same with new tokens. What was said of account and host stays.
    fn with(&self, fresh: Vec<ProviderToken>) -> Self {
        let mut renewed = self.clone();
        for token in fresh {
            let held = renewed.provider_tokens.get_or_insert_default();
            let held = held.entry(token.provider).or_default();
            held.token = Some(token.token);
            held.account_id = held.account_id.take().or(token.account_id);
            held.host = held.host.take().or(token.host);
        }
        renewed
    }
}

impl HeldToken {
    /// The token to put in its place, where there is another one.
    fn succeeded_by(
        &self,
        answer: Answer,
    ) -> Result<Option<ProviderToken>, (RefreshReason, String)> {
        match answer {
            Ok(token) if self.is_of_another(&token) => {
                let why = "the account that is connected now is another, or elsewhere";
                Err((RefreshReason::OtherAccount, why.to_owned()))
            }
            Ok(token) => Ok(Some(token).filter(|token| !self.is(&token.token))),
            Err(TokenError::Missing(_)) => Ok(None),
            Err(error) => {
                let reason = match &error {
                    TokenError::Refused(TokenRefusal::Reconnect(_)) => RefreshReason::Reconnect,
                    TokenError::Refused(TokenRefusal::Internal(_)) => RefreshReason::Broken,
                    _ => RefreshReason::Unavailable,
                };
                Err((reason, error.to_string()))
            }
        }
    }

    fn is(&self, token: &SecretString) -> bool {
        self.token.as_ref().is_some_and(|own| secret::digest(own) == secret::digest(token))
    }

    /// Whether a token is of another account than this one names, or for another
    /// host, which must never be sent it.
    fn is_of_another(&self, token: &ProviderToken) -> bool {
        let differs = |own: &Option<String>, other: Option<&str>| {
            own.as_deref().zip(other).is_some_and(|(own, other)| !own.eq_ignore_ascii_case(other))
        };
        let host = token.host.as_deref().or_else(|| usual_host(&token.provider));
        differs(&self.account_id, token.account_id.as_deref()) || differs(&self.host, host)
    }
}
