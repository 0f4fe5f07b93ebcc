//! `/api/v1/secrets…`: the caller's own secrets, and tokens of Git providers that
//! the caller stores. Values go in and never come out here.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, Query, State},
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Problem, body::Document, error::Created, scopes, shown::shown};
use crate::{
    context::{UserContext, own},
    host::Host,
    identity::PROVIDERS,
    store::Secret,
};

/// The most names in one answer.
const MAX_LIMIT: usize = 100;

/// What a list can be asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Search {
    #[serde(default, rename = "name__contains")]
    contains: Option<String>,
    #[serde(default)]
    page_id: Option<String>,
    #[serde(default)]
    limit: Option<usize>,
}

/// A secret without its value.
#[derive(Debug, Serialize)]
pub(super) struct Named {
    name: String,
    description: Option<String>,
}

/// One page of names, in their order.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    items: Vec<Named>,
    next_page_id: Option<String>,
}

/// The names of the caller's secrets.
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
#[derive(Debug, Deserialize)]
pub(super) struct New {
    name: String,
    value: SecretString,
    #[serde(default)]
    description: Option<SecretString>,
}

/// Makes or overwrites one secret; a description that is not given stays.
pub(super) async fn create(
    user: UserContext,
    Document(new): Document<New>,
) -> Result<Created<Value>, Problem> {
    scopes::require(&user, scopes::SECRETS_WRITE)?;
    let secret = Secret { value: new.value, description: new.description };
    user.secrets().put(&new.name, &secret, None).await?;
    Ok(Created(json!({ "name": new.name })))
}

/// What to change of a secret; what is not given stays.
#[derive(Debug, Deserialize)]
pub(super) struct Change {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    value: Option<SecretString>,
    #[serde(default)]
    description: Option<SecretString>,
}

/// Changes one secret's name, value or description.
pub(super) async fn update(
    user: UserContext,
    Path(name): Path<String>,
    Document(change): Document<Change>,
) -> Result<Json<Value>, Problem> {
    scopes::require(&user, scopes::SECRETS_WRITE)?;
    let new_name = change.name.as_deref();
    user.secrets()
        .edit(&name, new_name, change.value.as_ref(), change.description.as_ref(), None)
        .await?;
    Ok(Json(json!({ "name": new_name.unwrap_or(&name) })))
}

/// Deletes one secret.
pub(super) async fn remove(
    user: UserContext,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    scopes::require(&user, scopes::SECRETS_WRITE)?;
    user.secrets().remove(&name, None).await?;
    Ok(Json(json!({ "success": true })))
}

/// Tokens of Git providers by provider.
#[derive(Debug, Deserialize)]
pub(super) struct ProviderTokens {
    provider_tokens: BTreeMap<String, NewToken>,
}

/// One provider's token.
#[derive(Debug, Deserialize)]
pub(super) struct NewToken {
    #[serde(default)]
    token: Option<SecretString>,
    #[serde(default)]
    host: Option<String>,
}

/// Stores tokens of the providers that are named and leaves the others. Without a
/// token, the stored one gets another host.
pub(super) async fn store_tokens(
    user: UserContext,
    Document(tokens): Document<ProviderTokens>,
) -> Result<Json<Value>, Problem> {
    scopes::require(&user, scopes::SECRETS_WRITE)?;
    let unknown = |name: &&String| !PROVIDERS.contains(&name.as_str());
    if let Some(unknown) = tokens.provider_tokens.keys().find(unknown) {
        return Err(Problem::unknown_provider(unknown));
    }
    for (provider, new) in tokens.provider_tokens {
        let token = new.token.filter(|token| crate::secret::len(token) > 0);
        user.store_own_token(&provider, token, new.host).await?;
    }
    Ok(Json(json!({ "success": true })))
}

/// Deletes every token that the caller stored.
pub(super) async fn remove_tokens(
    State(host): State<Host>,
    user: UserContext,
) -> Result<Json<Value>, Problem> {
    scopes::require(&user, scopes::SECRETS_WRITE)?;
    let tokens = host.store().tokens(user.user_id());
    for provider in PROVIDERS {
        tokens.remove(&own(provider)).await?;
    }
    Ok(Json(json!({ "success": true })))
}
