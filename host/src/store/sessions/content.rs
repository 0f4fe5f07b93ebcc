//! What a session holds, and how it is laid out before it is sealed.

use std::{fmt, sync::Arc};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::secret::len;

/// What a strategy wants to find again.
#[derive(Clone, Default)]
pub struct SessionContent {
    /// In a form of the strategy's own.
    pub data: Vec<u8>,
    /// Secrets by name.
    pub secrets: Vec<(String, Arc<SecretString>)>,
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

/// What stands before the data and the texts of a session's secrets, as JSON and on
/// a line of its own.
#[derive(Serialize, Deserialize)]
struct Header {
    /// Bytes of data, which come first.
    data: usize,
    /// Names, and the bytes of each text.
    secrets: Vec<(String, usize)>,
    refresh_at: Option<u64>,
    expires_at: Option<u64>,
    idp_session_id: Option<String>,
}

impl SessionContent {
    /// What stands before the texts of the secrets, the data included.
    pub(super) fn header(&self) -> Vec<u8> {
        let length = |(name, value): &(String, Arc<SecretString>)| (name.clone(), len(value));
        let header = Header {
            data: self.data.len(),
            secrets: self.secrets.iter().map(length).collect(),
            refresh_at: self.refresh_at,
            expires_at: self.expires_at,
            idp_session_id: self.idp_session_id.clone(),
        };
        let mut line = serde_json::to_vec(&header)
            .unwrap_or_else(|error| unreachable!("a session is plain data: {error}"));
        line.push(b'\n');
        line.extend_from_slice(&self.data);
        line
    }

    /// What was sealed: a header and the texts after it.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let (line, mut texts) = bytes.split_at(end + 1);
        let header: Header = serde_json::from_slice(line).ok()?;
        let (data, rest) = texts.split_at_checked(header.data)?;
        texts = rest;
        let mut secrets = Vec::with_capacity(header.secrets.len());
        for (name, length) in header.secrets {
            let (text, rest) = texts.split_at_checked(length)?;
            secrets.push((name, Arc::new(SecretString::from(str::from_utf8(text).ok()?))));
            texts = rest;
        }
        texts.is_empty().then_some(Self {
            data: data.to_vec(),
            secrets,
            refresh_at: header.refresh_at,
            expires_at: header.expires_at,
            idp_session_id: header.idp_session_id,
        })
    }
}
