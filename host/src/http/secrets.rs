//! `/api/v1/secrets…`: the caller's own secrets, and tokens of Git providers that
//! the caller stores. Values go in and never come out here.

use std::collections::BTreeMap;

use axum::Json;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Problem,
    body::{Document, Done, Object},
    error::Created,
    extract::is_authority,
    input::{Path, Query},
    scopes,
    shown::shown,
    trail::Trail,
};
use crate::{context::UserContext, identity::PROVIDERS, secret, store::Secret};

/// The longest token, and the longest host with its port, in bytes.
const MAX_TOKEN_BYTES: usize = 16 << 10;
const MAX_HOST_BYTES: usize = 255;

/// The most names in one answer.
const MAX_LIMIT: usize = 100;

/// What a list can be asked for.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct Search {
    /// Part of the name.
    #[serde(default, rename = "name__contains")]
    contains: Option<String>,
    /// The `next_page_id` of the page before.
    #[serde(default)]
    page_id: Option<String>,
    /// The most names in the answer.
    #[serde(default)]
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
}

/// A secret without its value.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SecretName)]
pub(super) struct Named {
    name: String,
    description: Option<String>,
}

/// One page of names, in their order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SecretPage)]
pub(super) struct Page {
    items: Vec<Named>,
    next_page_id: Option<String>,
}

/// The names of the caller's secrets.
#[utoipa::path(
    get, path = "/api/v1/secrets/search", operation_id = "search_secrets", params(Search),
    responses(
        (status = 200, description = "A page of names", body = Page),
        (status = 422, description = "`limit` is out of bounds"),
    ),
)]
pub(super) async fn search(
    user: UserContext,
    Query(search): Query<Search>,
) -> Result<Json<Page>, Problem> {
    scopes::require(&user, scopes::SECRETS_READ)?;
    let limit = search.limit.unwrap_or(MAX_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::unprocessable("limit is a number from 1 to 100"));
    }
    let loaded = user.secrets().load().await?;
    let wanted = |name: &&str| {
        search.contains.as_deref().is_none_or(|part| name.contains(part))
            && search.page_id.as_deref().is_none_or(|after| *name > after)
    };
    let mut names = loaded.names().into_iter().filter(wanted);
    let items: Vec<Named> = names
        .by_ref()
        .take(limit)
        .map(|name| Named {
            name: name.to_owned(),
            description: loaded
                .secrets
                .get(name)
                .and_then(|secret| secret.description.as_ref())
                .map(shown),
        })
        .collect();
    let more = names.next().is_some();
    let next_page_id = if more { items.last().map(|last| last.name.clone()) } else { None };
    Ok(Json(Page { items, next_page_id }))
}

/// A secret to be made or overwritten.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewSecret)]
pub(super) struct New {
    #[schema(max_length = 256, pattern = "^[A-Za-z_][A-Za-z0-9_]*$")]
    name: String,
    #[schema(value_type = String, write_only)]
    value: SecretString,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Option<SecretString>,
}

/// A secret that was changed.
#[derive(Serialize, ToSchema)]
#[schema(as = ChangedSecret)]
pub(super) struct Changed {
    name: String,
}

/// Makes or overwrites one secret; a description that is not given stays.
#[utoipa::path(
    post, path = "/api/v1/secrets", operation_id = "store_secret",
    request_body = New,
    responses((status = 201, description = "It is stored", body = Changed)),
)]
pub(super) async fn create(
    trail: Trail,
    user: UserContext,
    Document(new): Document<New>,
) -> Result<Created<Changed>, Problem> {
    scopes::require(&user, scopes::SECRETS_WRITE)?;
    let secret = Secret { value: new.value, description: new.description };
    user.secrets().put(&new.name, &secret, None).await?;
    trail.did(&user, "secret.set", &new.name).await;
    Ok(Created(Changed { name: new.name }))
}

/// What to change of a secret; what is not given stays.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = SecretChange)]
pub(super) struct Change {
    #[serde(default)]
    #[schema(max_length = 256, pattern = "^[A-Za-z_][A-Za-z0-9_]*$")]
    name: Option<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, write_only)]
    value: Option<SecretString>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Option<SecretString>,
}

/// Changes one secret's name, value or description.
#[utoipa::path(
    put, path = "/api/v1/secrets/{name}", operation_id = "change_secret",
    request_body = Change,
    responses(
        (status = 200, description = "It is changed", body = Changed),
        (status = 404, description = "There is no such secret"),
        (status = 409, description = "Another secret has the new name"),
    ),
)]
pub(super) async fn update(
    trail: Trail,
    user: UserContext,
    Path(name): Path<String>,
    Document(change): Document<Change>,
) -> Result<Json<Changed>, Problem> {
    scopes::require(&user, scopes::SECRETS_WRITE)?;
    let Change { name: new_name, value, description } = change;
    user.secrets()
        .edit(&name, new_name.as_deref(), value.as_ref(), description.as_ref(), None)
        .await?;
    trail.did(&user, "secret.set", new_name.as_ref().unwrap_or(&name)).await;
    Ok(Json(Changed { name: new_name.unwrap_or(name) }))
}

/// Deletes one secret.
#[utoipa::path(
    delete, path = "/api/v1/secrets/{name}", operation_id = "delete_secret",
    responses(
        (status = 200, description = "It is gone", body = Done),
        (status = 404, description = "There is no such secret"),
    ),
)]
pub(super) async fn remove(
    trail: Trail,
    user: UserContext,
    Path(name): Path<String>,
) -> Result<Json<Done>, Problem> {
    scopes::require(&user, scopes::SECRETS_WRITE)?;
    user.secrets().remove(&name, None).await?;
    trail.did(&user, "secret.rm", &name).await;
    Ok(Done::json())
}

/// Tokens of Git providers by provider.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct ProviderTokens {
    #[schema(value_type = BTreeMap<String, NewToken>)]
    provider_tokens: BTreeMap<String, Object<NewToken>>,
}

/// One provider's token.
#[derive(Debug, Deserialize, ToSchema)]
pub(super) struct NewToken {
    #[serde(default)]
    #[schema(value_type = Option<String>, write_only, max_length = 16_384)]
    token: Option<SecretString>,
    /// A name or address, with a port where it is not the usual one.
    #[serde(default)]
    #[schema(max_length = 255)]
    host: Option<String>,
}

/// Stores tokens of the providers that are named and leaves the others. Without a
/// token, the stored one gets another host.
#[utoipa::path(
    post, path = "/api/v1/secrets/git-providers", operation_id = "store_provider_tokens",
    request_body = ProviderTokens,
    responses((status = 200, description = "They are stored", body = Done)),
)]
pub(super) async fn store_tokens(
    trail: Trail,
    user: UserContext,
    Document(tokens): Document<ProviderTokens>,
) -> Result<Json<Done>, Problem> {
    scopes::require(&user, scopes::SECRETS_WRITE)?;
    let unknown = |name: &&String| !PROVIDERS.contains(&name.as_str());
    if let Some(unknown) = tokens.provider_tokens.keys().find(unknown) {
        return Err(Problem::unknown_provider(unknown));
    }
    // All of them or none.
    let tokens: Vec<_> = tokens
        .provider_tokens
        .into_iter()
        .map(|(provider, Object(new))| {
            Ok((provider, usable_token(new.token)?, usable_host(new.host)?))
        })
        .collect::<Result<_, Problem>>()?;
    for (provider, token, host) in tokens {
        user.store_own_token(&provider, token, host).await?;
        trail.did(&user, "token.set", &provider).await;
    }
    Ok(Done::json())
}

/// Deletes every token that the caller stored.
#[utoipa::path(
    delete, path = "/api/v1/secrets/git-providers", operation_id = "delete_provider_tokens",
    responses((status = 200, description = "They are gone", body = Done)),
)]
pub(super) async fn remove_tokens(trail: Trail, user: UserContext) -> Result<Json<Done>, Problem> {
    scopes::require(&user, scopes::SECRETS_WRITE)?;
    user.token_provider().disconnect().await?;
    trail.did(&user, "token.rm", "every provider").await;
    Ok(Done::json())
}

/// Disconnects the caller from the identity provider: what lets work go on while they
/// are away is revoked there and goes. Log-ins, API keys and secrets stay.
#[utoipa::path(
    post, path = "/auth/disconnect", operation_id = "disconnect",
    responses((status = 200, description = "It is done", body = Done)),
)]
pub(super) async fn disconnect(trail: Trail, user: UserContext) -> Result<Json<Done>, Problem> {
    scopes::require(&user, scopes::SECRETS_WRITE)?;
    user.token_provider().disconnect_from_idp().await?;
    trail.did(&user, "token.rm", "everything from the identity provider").await;
    Ok(Done::json())
}

/// Nothing where the text is empty.
pub(super) fn usable_token(token: Option<SecretString>) -> Result<Option<SecretString>, Problem> {
    let Some(token) = token.filter(|token| secret::len(token) > 0) else { return Ok(None) };
    if secret::len(&token) > MAX_TOKEN_BYTES || !secret::is_printable(&token) {
        return Err(Problem::unprocessable(
            "a provider's token is printable ASCII of at most 16384 bytes",
        ));
    }
    Ok(Some(token))
}

/// Nothing where the text is empty, as clients send it that ask for no other host.
pub(super) fn usable_host(host: Option<String>) -> Result<Option<String>, Problem> {
    let Some(host) = host.filter(|host| !host.is_empty()) else { return Ok(None) };
    if host.len() > MAX_HOST_BYTES || !is_authority(&host) {
        return Err(Problem::unprocessable(
            "a provider's host is a name or an address, with a port or not, such as \
             \"git.example.com\" or \"git.example.com:8443\"",
        ));
    }
    Ok(Some(host))
}
