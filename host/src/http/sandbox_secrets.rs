//! `/api/v1/sandboxes/{id}/settings/secrets…`: what a sandbox may have of its
//! owner's, by its session key.

use axum::{Extension, Json, extract::State};
use http::header;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Problem, input::Path, keyed::Running, shown::shown, trail::Trail};
use crate::{
    context::{TokenError, TokenProvider},
    engine::Renewal,
    host::Host,
    identity::{PROVIDERS, RequestId},
    store::{AuditEntry, Sandbox},
};

/// A secret that a sandbox may have.
#[derive(Serialize, ToSchema)]
#[schema(as = SandboxSecret)]
pub(super) struct Named {
    name: String,
    description: Option<String>,
}

/// Every secret that a sandbox may have.
#[derive(Serialize, ToSchema)]
#[schema(as = SandboxSecrets)]
pub(super) struct Names {
    secrets: Vec<Named>,
}

/// The names of the owner's secrets, and of the provider tokens there are.
#[utoipa::path(
    get, path = "/api/v1/sandboxes/{id}/settings/secrets", operation_id = "list_sandbox_secrets",
    responses((status = 200, description = "Names without values", body = Names)),
)]
pub(super) async fn list(
    State(host): State<Host>,
    Extension(request): Extension<RequestId>,
    Running(sandbox): Running,
    Path(id): Path<String>,
) -> Result<Json<Names>, Problem> {
    require_same(&sandbox, &id)?;
    let loaded = host.store().secrets(&sandbox.scope).load().await?;
    let mut secrets: Vec<_> = loaded
        .secrets
        .iter()
        .map(|(name, secret)| Named {
            name: name.clone(),
            description: secret.description.as_ref().map(shown),
        })
        .collect();
    for token in tokens(&host, &sandbox, request).await?.get_all().await.into_iter().flatten() {
        let name = format!("{}_token", token.provider);
        if !loaded.secrets.contains_key(&name) {
            let description = Some(format!("{name} provider token"));
            secrets.push(Named { name, description });
        }
    }
    Ok(Json(Names { secrets }))
}

/// One value, byte for byte: the owner's secret of this name, or else the token
/// of the provider that it names, as it is now.
#[utoipa::path(
    get, path = "/api/v1/sandboxes/{id}/settings/secrets/{name}",
    operation_id = "read_sandbox_secret",
    responses(
        (status = 200, description = "The value", body = String,
            content_type = "text/plain; charset=utf-8"),
        (status = 404, description = "There is no such secret"),
        (status = 409, description = "The provider's account has to be connected again"),
    ),
)]
pub(super) async fn value(
    State(host): State<Host>,
    Extension(request): Extension<RequestId>,
    Running(sandbox): Running,
    trail: Trail,
    Path((id, name)): Path<(String, String)>,
) -> Result<([(header::HeaderName, &'static str); 1], String), Problem> {
    require_same(&sandbox, &id)?;
    let text = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    let read = trail.of_scope("secret.read", &sandbox.scope, &name);
    let read = AuditEntry { reason: Some(format!("by the sandbox {}", sandbox.id)), ..read };
    if let Some(secret) = host.store().secrets(&sandbox.scope).get(&name).await? {
        trail.require(&read).await?;
        return Ok((text, shown(&secret.value)));
    }
    let provider = name.strip_suffix("_token").filter(|name| PROVIDERS.contains(name));
    let provider = provider.ok_or_else(|| Problem::absent("Secret not found"))?;
    match tokens(&host, &sandbox, request).await?.get(provider, Renewal::WhenDue).await {
        Ok(token) => {
            trail.require(&read).await?;
            Ok((text, shown(&token.token)))
        }
        Err(TokenError::Missing(_)) => Err(Problem::absent("Secret not found")),
        Err(error) => Err(error.into()),
    }
}

/// Refuses a sandbox that is not the one that the path names.
pub(super) fn require_same(sandbox: &Sandbox, id: &str) -> Result<(), Problem> {
    if sandbox.id == id {
        Ok(())
    } else {
        Err(Problem::forbidden_because("Session API key does not match sandbox"))
    }
}

/// The tokens of a sandbox's owner, who need not be logged in.
pub(super) async fn tokens(
    host: &Host,
    sandbox: &Sandbox,
    request: RequestId,
) -> Result<TokenProvider, Problem> {
    let owner = host.store().user(&sandbox.scope.user).await?;
    let owner = owner.ok_or_else(|| Problem::no_session_key("Sandbox has no associated user"))?;
    Ok(TokenProvider::new(host.clone(), owner.identity, sandbox.scope.clone(), request))
}
