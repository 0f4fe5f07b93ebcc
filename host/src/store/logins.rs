//! Log-ins on their way to an identity provider and back.
//!
//! What is to be found again goes, sealed, with the browser, so that strangers who
//! begin log-ins and never finish them cost no room. Only what is too long for a
//! cookie rests here: the tokens of those who go on a second trip.

use std::sync::Arc;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{Store, StoreError, change, instant};
use crate::{
    cipher::{Place, Sealed},
    hex,
    identity::{LoginState, SessionContent},
    secret,
};

/// How long a browser has for its trip, in seconds.
pub const LOGIN_SECONDS: u64 = 600;

/// One trip of a browser to an identity provider.
pub struct PendingLogin {
    /// The anti-forgery value that the browser must bring back.
    pub state: String,
    /// The PKCE verifier (RFC 7636).
    pub verifier: Arc<SecretString>,
    /// The nonce of an OpenID Connect request.
    pub nonce: String,
    /// Where the browser wants to be afterwards.
    pub return_to: String,
    /// When the trip began, in seconds since the Unix epoch.
    pub begun_at: u64,
    /// What the strategy wants to find again.
    pub kept: LoginState,
}

/// What stands before the strategy's data, as JSON and on a line of its own.
#[derive(Serialize, Deserialize)]
struct Header {
    nonce: String,
    return_to: String,
    begun_at: u64,
}

/// The name under which the verifier rests among the strategy's secrets, whose
/// names are never empty.
const VERIFIER: &str = "";

/// Only with the anti-forgery value of this digest does it open.
pub(super) fn place(state_hash: &str) -> Place<'_> {
    Place { column: "log_ins.sealed", org: "", user: "", name: state_hash }
}

fn hash_of(state: &str) -> String {
    hex::encode(&secret::digest_of(state))
}

/// What fits into one cookie with its name and attributes (RFC 6265bis section 5.6).
const MAX_CARRIED_BYTES: usize = 3_400;

/// What the browser carries instead of what rests here.
const RESTS: &str = "rests";

impl Store {
    /// Keeps a log-in until its browser comes back, and gives what the browser
    /// carries of it; `None` where that is too much, and it may not `rest` here.
    pub async fn keep_login(
        &self,
        login: &PendingLogin,
        rest: bool,
    ) -> Result<Option<String>, StoreError> {
        let state = hash_of(&login.state);
        let sealed = self.seal_login(&state, login);
        if sealed.key.len() + 1 + sealed.token.len() <= MAX_CARRIED_BYTES {
            return Ok(Some(format!("{}.{}", sealed.key, sealed.token)));
        }
        if !rest {
            return Ok(None);
        }
        let until = login.begun_at.saturating_add(LOGIN_SECONDS);
        change!(self.db, pool => {
            sqlx::query(
                "insert into log_ins (state_hash, key_id, sealed, until_at) values ($1, $2, $3, $4)",
            )
            .bind(&state)
            .bind(&sealed.key)
            .bind(&sealed.token)
            .bind(instant(until))
            .execute(pool)
            .await?;
        });
        Ok(Some(RESTS.to_owned()))
    }

    /// The log-in of a browser that comes back with this anti-forgery value and what
    /// it carries. It rests here no longer.
    pub async fn take_login(
        &self,
        state: &str,
        carried: &str,
    ) -> Result<Option<PendingLogin>, StoreError> {
        if carried != RESTS {
            let sealed = carried
                .split_once('.')
                .map(|(key, token)| Sealed { key: key.to_owned(), token: token.to_owned() });
            return Ok(sealed.and_then(|sealed| self.open_login(state, &sealed)));
        }
        let state_hash = hash_of(state);
        let row: Option<(String, String)> = change!(self.db, pool => {
            sqlx::query("delete from log_ins where until_at < $1")
                .bind(self.now())
                .execute(pool)
                .await?;
            sqlx::query_as("delete from log_ins where state_hash = $1 returning key_id, sealed")
                .bind(&state_hash)
                .fetch_optional(pool)
                .await?
        });
        Ok(row.and_then(|(key, token)| self.open_login(state, &Sealed { key, token })))
    }

    /// Seals a log-in.
    fn seal_login(&self, state_hash: &str, login: &PendingLogin) -> Sealed {
        let header = Header {
            nonce: login.nonce.clone(),
            return_to: login.return_to.clone(),
            begun_at: login.begun_at,
        };
        let mut data = serde_json::to_vec(&header)
            .unwrap_or_else(|error| unreachable!("a log-in is plain data: {error}"));
        data.push(b'\n');
        data.extend_from_slice(&login.kept.data);
        let mut secrets = vec![(VERIFIER.to_owned(), Arc::clone(&login.verifier))];
        secrets.extend(login.kept.secrets.iter().cloned());
        let content = SessionContent { data, secrets, ..SessionContent::default() };
        let texts = content.secrets.iter().map(|(_, text)| &**text);
        self.cipher.seal_with(&place(state_hash), &content.header(), texts)
    }

    /// Opens a log-in, where it belongs to this anti-forgery value.
    fn open_login(&self, state: &str, sealed: &Sealed) -> Option<PendingLogin> {
        let bytes = self.cipher.open_bytes(&place(&hash_of(state)), sealed).ok()?;
        let mut content = SessionContent::parse(&bytes)?;
        let end = content.data.iter().position(|byte| *byte == b'\n')?;
        let data = content.data.split_off(end + 1);
        let header: Header = serde_json::from_slice(&content.data).ok()?;
        let mut secrets = content.secrets.into_iter();
        let (_, verifier) = secrets.next().filter(|(name, _)| name == VERIFIER)?;
        Some(PendingLogin {
            state: state.to_owned(),
            verifier,
            nonce: header.nonce,
            return_to: header.return_to,
            begun_at: header.begun_at,
            kept: LoginState { data, secrets: secrets.collect() },
        })
    }

    /// Uses up something that works once and not after `until`; `false` where it
    /// was used before, by whichever replica.
    pub async fn use_once(&self, what: &str, until: u64) -> Result<bool, StoreError> {
        let digest = hex::encode(&secret::digest_of(what));
        let fresh = change!(self.db, pool => {
            sqlx::query(
                "insert into used_once (digest, until_at) values ($1, $2)
                 on conflict (digest) do nothing",
            )
            .bind(&digest)
            .bind(instant(until))
            .execute(pool)
            .await?
            .rows_affected()
        });
        change!(self.db, pool => {
            sqlx::query("delete from used_once where until_at < $1")
                .bind(self.now())
                .execute(pool)
                .await?;
        });
        Ok(fresh > 0)
    }
}
