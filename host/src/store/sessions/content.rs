//! What a session holds, and how it is laid out before it is sealed.

use std::sync::Arc;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::{
    identity::SessionContent,
    secret::{self, len},
};

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
    pub(in crate::store) fn header(&self) -> Vec<u8> {
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

    /// Whether both hold the same.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        let same = |(ours, theirs): (&(String, Arc<_>), &(String, Arc<_>))| {
            secret::digest(&ours.1) == secret::digest(&theirs.1)
        };
        self.header() == other.header() && self.secrets.iter().zip(&other.secrets).all(same)
    }

    /// What was sealed: a header and the texts after it.
    pub(in crate::store) fn parse(bytes: &[u8]) -> Option<Self> {
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
