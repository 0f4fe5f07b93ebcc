//! The ids of conversations.

use std::fmt;

/// A text that cannot be a conversation's id: it could lead somewhere else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be a conversation's id: one has 1 to 128 letters, digits, `-` and `_`")]
pub struct InvalidConversationId(pub String);

/// A conversation's id, which may also be the name of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConversationId(String);

impl ConversationId {
    /// Takes an id as whoever runs conversations gives it.
    pub fn new(id: impl Into<String>) -> Result<Self, InvalidConversationId> {
        let id = id.into();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if id.is_empty() || id.len() > 128 || !id.bytes().all(plain) {
            return Err(InvalidConversationId(id));
        }
        Ok(Self(id))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
