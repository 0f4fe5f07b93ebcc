//! Records with handles in them, between the contract's types and the host's:
//! what is handed out goes into the table of the call, what comes back leaves it.

use std::collections::BTreeSet;

use wasmtime::component::{Resource, ResourceTable, ResourceTableError};

use super::Secret;
use crate::{
    bindings::vestibule::auth::types as wit,
    identity::{MAX_ID_BYTES, NamedSecrets, SessionContent, TokenPair},
    secret,
    text::is_treacherous,
};

/// Bounds of what is kept for a strategy, as the contract states them.
const MAX_SECRETS: usize = 16;
const MAX_NAME_BYTES: usize = 64;
const MAX_SESSION_BYTES: usize = 16 * 1024;
/// The longest text of an identity provider that is kept beside a secret.
const MAX_TEXT_BYTES: usize = 1024;

/// The longest token that is kept, in bytes.
const MAX_TOKEN_BYTES: usize = 64 * 1024;

/// What a component hands over breaks the contract.
pub(crate) type Checked<T> = Result<T, &'static str>;

/// Puts secrets into the table of a call.
pub(crate) fn lower_secrets<'a>(
    table: &mut ResourceTable,
    secrets: &'a NamedSecrets,
) -> Result<Vec<wit::NamedSecretParam<'a>>, ResourceTableError> {
    let lower = |(name, text): &'a (String, _)| {
        let value = table.push(Secret::new(std::sync::Arc::clone(text)))?;
        Ok(wit::NamedSecretParam { name, value })
    };
    secrets.iter().map(lower).collect()
}

/// A session as the contract has it.
pub(crate) fn lower_session<'a>(
    session: &'a SessionContent,
    secrets: &'a [wit::NamedSecretParam<'a>],
) -> wit::SessionParam<'a> {
    wit::SessionParam {
        data: &session.data,
        secrets,
        refresh_at: session.refresh_at,
        expires_at: session.expires_at,
        idp_session_id: session.idp_session_id.as_deref(),
    }
}

/// A session that a component asks for in the middle of a call.
pub(crate) fn give_session(
    table: &mut ResourceTable,
    session: SessionContent,
) -> Result<wit::SessionResult, ResourceTableError> {
    let give =
        |(name, text)| Ok(wit::NamedSecretResult { name, value: table.push(Secret::new(text))? });
    Ok(wit::SessionResult {
        data: session.data,
        secrets: session
            .secrets
            .into_iter()
            .map(give)
            .collect::<Result<_, ResourceTableError>>()?,
        refresh_at: session.refresh_at,
        expires_at: session.expires_at,
        idp_session_id: session.idp_session_id,
    })
}

/// Takes a secret that a component hands over for good.
pub(crate) fn take_secret(table: &mut ResourceTable, handle: Resource<Secret>) -> Checked<Secret> {
    table.delete(handle).map_err(|_| "it hands over a handle that it does not hold")
}

/// Takes named secrets.
pub(crate) fn take_secrets(
    table: &mut ResourceTable,
    secrets: Vec<wit::NamedSecretResult>,
) -> Checked<NamedSecrets> {
    if secrets.len() > MAX_SECRETS {
        return Err("it keeps more than 16 secrets");
    }
    let names: BTreeSet<&str> = secrets.iter().map(|secret| secret.name.as_str()).collect();
    if names.len() < secrets.len() {
        return Err("it keeps two secrets under one name");
    }
    if names.iter().any(|name| !is_name(name)) {
        return Err("the name of a secret is empty, too long or not printable");
    }
    let take = |secret: wit::NamedSecretResult| {
        Ok((secret.name, take_secret(table, secret.value)?.into_text()))
    };
    secrets.into_iter().map(take).collect()
}

/// Takes a session.
pub(crate) fn take_session(
    table: &mut ResourceTable,
    session: wit::SessionResult,
) -> Checked<SessionContent> {
    if session.data.len() > MAX_SESSION_BYTES {
        return Err("the data of a session is longer than 16 KiB");
    }
    let id = session.idp_session_id.as_deref();
    if id.is_some_and(|id| id.len() > MAX_ID_BYTES || id.contains(is_treacherous)) {
        return Err("the identity provider's id of a session is too long or not printable");
    }
    Ok(SessionContent {
        data: session.data,
        secrets: take_secrets(table, session.secrets)?,
        refresh_at: session.refresh_at,
        expires_at: session.expires_at,
        idp_session_id: session.idp_session_id,
    })
}

/// Takes a token and the name it is kept under.
pub(crate) fn take_token(
    table: &mut ResourceTable,
    token: wit::NewToken,
) -> Checked<(String, TokenPair)> {
    if !is_name(&token.name) {
        return Err("the name of a token is empty, too long or not printable");
    }
    let plain = |text: &String| {
        !text.is_empty() && text.len() <= MAX_TEXT_BYTES && !text.contains(is_treacherous)
    };
    if !token.host.iter().chain(&token.account_id).all(plain) {
        return Err("a token's host or account id is empty, too long or unprintable");
    }
    let mut take = |handle: Option<Resource<Secret>>| {
        let Some(handle) = handle else { return Ok(None) };
        let text = take_secret(table, handle)?.into_text();
        if secret::len(&text) > MAX_TOKEN_BYTES {
            return Err("a token is larger than 64 KiB");
        }
        Ok(Some(text))
    };
    let pair = TokenPair {
        access: take(token.access)?,
        refresh: take(token.refresh)?,
        access_expires_at: token.access_expires_at,
        refresh_expires_at: token.refresh_expires_at,
        host: token.host,
        account_id: token.account_id,
    };
    Ok((token.name, pair))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.contains(is_treacherous)
}
