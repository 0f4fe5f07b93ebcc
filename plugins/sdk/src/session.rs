//! What a strategy wants to find again of a browser that has logged in.

use crate::{NamedSecret, Secret, Session};

impl Session {
    /// A session that holds `data`, no secrets and no instants.
    #[must_use]
    pub fn new(data: impl Into<Vec<u8>>) -> Self {
        Self {
            data: data.into(),
            secrets: Vec::new(),
            refresh_at: None,
            expires_at: None,
            idp_session_id: None,
        }
    }

    /// The secret that the session keeps under this name.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<&Secret> {
        let named = self.secrets.iter().find(|secret| secret.name == name)?;
        Some(&named.value)
    }
}

impl NamedSecret {
    /// A secret and the name it is kept under.
    #[must_use]
    pub fn new(name: impl Into<String>, value: Secret) -> Self {
        Self { name: name.into(), value }
    }
}
