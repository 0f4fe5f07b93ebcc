//! Talking to a Git provider as a user: whom to ask, and with which token.

use std::sync::Arc;

use secrecy::SecretString;

use crate::{
    context::{TokenError, TokenProvider},
    engine::Renewal,
    identity::usual_host,
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
        self.client(provider, Renewal::WhenDue).await
    }

    /// The same after the provider has refused the token that it got before.
    pub async fn after_refusal(&self, provider: &str) -> Result<ProviderClient, ProviderError> {
        self.client(provider, Renewal::Now).await
    }

    async fn client(
        &self,
        provider: &str,
        renewal: Renewal,
    ) -> Result<ProviderClient, ProviderError> {
        let token = self.tokens.get(provider, renewal).await?;
        let host = token
            .host
            .or_else(|| usual_host(provider).map(str::to_owned))
            .ok_or_else(|| ProviderError::NoHost(provider.to_owned()))?;
        Ok(ProviderClient { provider: token.provider, token: token.token, host })
    }
}
