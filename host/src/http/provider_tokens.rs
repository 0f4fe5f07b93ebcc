//! Provider tokens for servers that start work on a user's behalf, and for the
//! runtimes that do the work.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Extension, Json, extract::State};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Problem,
    body::{Document, Object},
    input::{Path, Query},
    keyed::{Running, Service},
    sandbox_secrets,
    secrets::{usable_host, usable_token},
    shown::shown,
    trail::Trail,
};
use crate::{
    context::{ConversationSettings, HeldToken, TokenError},
    engine::Renewal,
    host::Host,
    identity::{ConversationId, MAX_ID_BYTES, PROVIDERS, RequestId, UserId},
    store::Settings,
};

/// The tokens that a conversation is to begin with.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ConversationTokens)]
pub(super) struct Held {
    /// Whose conversation it is; null is the local owner, with the tokens that belong
    /// to no user.
    #[serde(default)]
    #[schema(max_length = 255)]
    user_id: Option<String>,
    /// By provider.
    #[schema(value_type = BTreeMap<String, HeldText>)]
    provider_tokens: BTreeMap<String, Object<HeldText>>,
}

/// A provider's token as the server has it.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = HeldProviderToken)]
pub(super) struct HeldText {
    /// Null where the server has none yet.
    #[serde(default)]
    #[schema(value_type = Option<String>, write_only, max_length = 16_384)]
    token: Option<SecretString>,
    /// The account's id at the provider; a token of another account is none.
    #[serde(default)]
    #[schema(max_length = 255)]
    user_id: Option<String>,
    /// The provider's host; a token for another host is none.
    #[serde(default)]
    #[schema(max_length = 255)]
    host: Option<String>,
}

/// The tokens to begin with.
#[derive(Serialize, ToSchema)]
#[schema(as = FreshConversationTokens)]
pub(super) struct Fresh {
    /// Every provider that was named, with its token as it is now.
    provider_tokens: BTreeMap<String, FreshToken>,
    /// The providers whose token is another than before.
    refreshed: Vec<String>,
}

/// A provider's token as it is now.
#[derive(Serialize, ToSchema)]
#[schema(as = FreshProviderToken)]
pub(super) struct FreshToken {
    /// Null where the server had none, and none is stored.
    token: Option<String>,
    user_id: Option<String>,
    host: Option<String>,
}

/// Renews the provider tokens that a conversation begins or goes on with, where they
/// expire soon: all providers at once, each once, however many servers ask.
///
/// What is new is written down under the conversation and the user. Whether a token
/// that cannot be renewed keeps the conversation from starting is for `[provider_tokens]
/// on_refresh_failure` to say; the answer then names the providers.
#[utoipa::path(
    post, path = "/api/service/conversations/{id}/provider-tokens/refresh",
    operation_id = "refresh_conversation_tokens",
    params(("id" = String, Path, description = "The conversation", max_length = 128,
        pattern = "^[A-Za-z0-9_-]+$")),
    request_body = Held,
    responses(
        (status = 200, description = "The tokens as they are now", body = Fresh),
        (status = 403, description = "The user is disabled, or not let in any more"),
        (status = 404, description = "There is no such user"),
        (status = 409, description = "An account has to be connected again, or is another"),
    ),
)]
pub(super) async fn refresh(
    State(host): State<Host>,
    Extension(request): Extension<RequestId>,
    _: Service,
    Path(id): Path<String>,
    Document(held): Document<Held>,
) -> Result<Json<Fresh>, Problem> {
    let conversation = ConversationId::new(id).map_err(|_| {
        Problem::unprocessable("a conversation's id has 1 to 128 letters, digits, `-` and `_`")
    })?;
    let no_user = |_| Problem::absent("there is no such user");
    let user = held.user_id.map(UserId::new).transpose().map_err(no_user)?;
    let tokens = held.provider_tokens.into_iter().map(|(provider, Object(held))| {
        if held.user_id.as_ref().is_some_and(|id| id.len() > MAX_ID_BYTES) {
            return Err(Problem::unprocessable("an account's id has at most 255 bytes"));
        }
        let token = HeldToken {
            token: usable_token(held.token)?.map(Arc::new),
            account_id: held.user_id,
            host: usable_host(held.host)?,
        };
        Ok((provider, token))
    });
    let before = Arc::new(ConversationSettings {
        settings: Settings::default(),
        provider_tokens: Some(tokens.collect::<Result<_, Problem>>()?),
    });
    let after = host.refresh(&before, &conversation, user.as_ref(), request).await?;
    Ok(Json(fresh(&before, &after)))
}

fn fresh(before: &ConversationSettings, after: &ConversationSettings) -> Fresh {
    let mut fresh = Fresh { provider_tokens: BTreeMap::new(), refreshed: Vec::new() };
    let held = before.provider_tokens.iter().flatten();
    for ((provider, after), (_, before)) in after.provider_tokens.iter().flatten().zip(held) {
        let same = match (&before.token, &after.token) {
            (Some(before), Some(after)) => Arc::ptr_eq(before, after),
            (before, after) => before.is_none() && after.is_none(),
        };
        if !same {
            fresh.refreshed.push(provider.clone());
        }
        let token = FreshToken {
            token: after.token.as_deref().map(shown),
            user_id: after.account_id.clone(),
            host: after.host.clone(),
        };
        fresh.provider_tokens.insert(provider.clone(), token);
    }
    fresh
}

/// What a runtime asks for.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct Wanted {
    /// The provider.
    provider: String,
    /// The sandbox that the session key belongs to.
    sid: String,
}

/// A token that works now.
#[derive(Serialize, ToSchema)]
#[schema(as = RefreshedToken)]
pub(super) struct Token {
    token: String,
}

/// The provider token of a running sandbox's owner, renewed where it expires soon.
#[utoipa::path(
    get, path = "/api/refresh-tokens", operation_id = "refresh_token", params(Wanted),
    responses(
        (status = 200, description = "The token as it is now", body = Token),
        (status = 403, description = "The session key is of another sandbox"),
        (status = 404, description = "The owner has connected no account of this provider"),
        (status = 409, description = "The provider's account has to be connected again"),
        (status = 422, description = "There is no such provider"),
    ),
)]
pub(super) async fn current(
    State(host): State<Host>,
    Extension(request): Extension<RequestId>,
    Running(sandbox): Running,
    trail: Trail,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Token>, Problem> {
    sandbox_secrets::require_same(&sandbox, &wanted.sid)?;
    if !PROVIDERS.contains(&wanted.provider.as_str()) {
        return Err(Problem::unknown_provider(&wanted.provider));
    }
    let tokens = sandbox_secrets::tokens(&host, &sandbox, request).await?;
    match tokens.get(&wanted.provider, Renewal::WhenDue).await {
        Ok(token) => {
            let name = format!("{}_token", wanted.provider);
            trail.require(&trail.of_scope("secret.read", &sandbox.scope, &name)).await?;
            Ok(Json(Token { token: shown(&token.token) }))
        }
        Err(TokenError::Missing(_)) => Err(Problem::absent("No token found for provider")),
        Err(error) => Err(error.into()),
    }
}
