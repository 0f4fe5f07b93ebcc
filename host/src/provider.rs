//! Talking to a Git provider as a user: whom to ask, and with which token.

use std::sync::Arc;

use secrecy::SecretString;

use crate::{
    context::{TokenError, TokenProvider},
    engine::Renewal,
    identity::{ProviderToken, usual_host},
};

/// What an authenticated client of a Git provider needs.
#[derive(Clone, Debug)]
pub struct ProviderClient {
    /// The provider.
    pub provider: String,
    /// The token.
    pub token: Arc<SecretString>,
    /// The host to talk to.
    pub host: String,
}

/// A provider cannot be talked to.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// There is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The provider has no host of its own, and the token names none.
    #[error("{0} has no usual host; store its token together with a host")]
    NoHost(String),
}

/// Gives authenticated clients of Git providers.
#[derive(Clone, Debug)]
pub struct ProviderHandler {
    tokens: TokenProvider,
}

impl ProviderHandler {
    /// Takes tokens from where the user has them.
    #[must_use]
    pub fn new(tokens: TokenProvider) -> Self {
        Self { tokens }
    }

    /// What a client of this provider needs, with a token that works now.
    pub async fn for_provider(&self, provider: &str) -> Result<ProviderClient, ProviderError> {
        client(self.tokens.get(provider, Renewal::WhenDue).await?)
    }

    /// Another one after the provider has refused this one's token (401): its token is
    /// renewed, whenever it expires. Should the provider refuse that one as well, the
    /// user has to connect the account again ([`TokenRefusal::Reconnect`]).
    ///
    /// [`TokenRefusal::Reconnect`]: crate::identity::TokenRefusal::Reconnect
    pub async fn after_refusal(
        &self,
        refused: &ProviderClient,
    ) -> Result<ProviderClient, ProviderError> {
        client(self.tokens.refused(&refused.provider, &refused.token).await?)
    }
}

fn client(token: ProviderToken) -> Result<ProviderClient, ProviderError> {
    let ProviderToken { provider, token, host, .. } = token;
    let host = host
        .or_else(|| usual_host(&provider).map(str::to_owned))
        .ok_or_else(|| ProviderError::NoHost(provider.clone()))?;
    Ok(ProviderClient { provider, token, host })
}
