//! What a strategy has the host remember: of a browser, of a log-in, of a user.

use std::{fmt, sync::Arc};

use secrecy::SecretString;

use super::UserId;

/// Secrets by name.
pub type NamedSecrets = Vec<(String, Arc<SecretString>)>;

/// What a strategy wants to find again of a browser that has logged in.
#[derive(Clone, Default)]
pub struct SessionContent {
    /// In a form of the strategy's own.
    pub data: Vec<u8>,
    /// Secrets by name.
    pub secrets: NamedSecrets,
    /// From when on the session should be renewed.
    pub refresh_at: Option<u64>,
    /// When it is over, whatever the host's own limits say.
    pub expires_at: Option<u64>,
    /// The identity provider's own id of the session.
    pub idp_session_id: Option<String>,
}

impl fmt::Debug for SessionContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.secrets.iter().map(|(name, _)| name).collect();
        f.debug_struct("SessionContent")
            .field("secrets", &names)
            .field("refresh_at", &self.refresh_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A session as a browser presents it.
#[derive(Clone, Debug)]
pub struct PresentedSession {
    /// Whose it is.
    pub user: UserId,
    /// What the strategy keeps in it.
    pub content: SessionContent,
}

/// A token with what renews it.
#[derive(Clone, Debug, Default)]
pub struct TokenPair {
    /// The access token, where there is one.
    pub access: Option<Arc<SecretString>>,
    /// The token to renew it with, where there is one.
    pub refresh: Option<Arc<SecretString>>,
    /// When the access token expires; `None` means never.
    pub access_expires_at: Option<u64>,
    /// When the refresh token expires; `None` means never.
    pub refresh_expires_at: Option<u64>,
    /// The provider's host, where it is not the provider's usual one.
    pub host: Option<String>,
    /// The user's account id at the provider.
    pub account_id: Option<String>,
}

/// What a strategy wants to find again when a browser comes back from its trip.
#[derive(Clone, Default)]
pub struct LoginState {
    /// In a form of the strategy's own.
    pub data: Vec<u8>,
    /// Secrets by name.
    pub secrets: NamedSecrets,
}
