//! `/api/keys…`: the caller's own API keys.

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Problem,
    body::{Document, Done},
    error::Created,
    input::Path,
    shown::shown,
    trail::Trail,
};
use crate::{
    context::{AuthMethod, UserContext},
    host::Host,
    identity::OrgId,
    store::{ApiKey, NewApiKey, Scope},
};

/// A key in the shape that clients of the API expect. Times are in seconds since the
/// Unix epoch.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub(super) struct Listed {
    id: String,
    name: String,
    /// How its text begins.
    display: String,
    scopes: Vec<String>,
    /// The organisation that it is bound to.
    org_id: Option<String>,
    created_at: u64,
    last_used_at: Option<u64>,
    not_before: Option<u64>,
    expires_at: Option<u64>,
}

impl From<ApiKey> for Listed {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            display: key.display,
            scopes: key.scopes,
            org_id: key.bound.then(|| key.org.to_string()),
            created_at: key.created_at,
            last_used_at: key.last_used_at,
            not_before: key.not_before,
            expires_at: key.expires_at,
        }
    }
}

/// The caller's keys, without their texts.
#[utoipa::path(
    get, path = "/api/keys", operation_id = "list_keys",
    responses((status = 200, description = "The keys, oldest first", body = Vec<Listed>)),
)]
pub(super) async fn list(
    State(host): State<Host>,
    user: UserContext,
) -> Result<Json<Vec<Listed>>, Problem> {
    refuse_keys(&user)?;
    let keys = host.store().api_keys(user.scope()).list().await?;
    Ok(Json(keys.into_iter().map(Listed::from).collect()))
}

/// A key to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewApiKey)]
pub(super) struct New {
    #[serde(default)]
    name: Option<String>,
    /// Left out: everything.
    #[serde(default)]
    #[schema(min_items = 1)]
    scopes: Option<Vec<String>>,
    /// Seconds since the Unix epoch.
    #[serde(default)]
    expires_at: Option<u64>,
    /// Seconds since the Unix epoch.
    #[serde(default)]
    not_before: Option<u64>,
    /// Left out: the caller's organisation. Null: bound to none.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    org_id: Binding,
}

/// The organisation that a key is to act for.
#[derive(Debug, Default, Deserialize)]
#[serde(from = "Option<String>")]
enum Binding {
    /// The caller's present one.
    #[default]
    Present,
    /// Whichever the caller acts for.
    None,
    /// This one.
    To(String),
}

impl From<Option<String>> for Binding {
    fn from(named: Option<String>) -> Self {
        named.map_or(Self::None, Self::To)
    }
}

/// A key that was just made.
#[derive(Serialize, ToSchema)]
#[schema(as = MadeApiKey)]
pub(super) struct Made {
    #[serde(flatten)]
    listed: Listed,
    /// Its text, which is shown this once.
    key: String,
}

/// Makes a key; its text is in this answer and nowhere else.
#[utoipa::path(
    post, path = "/api/keys", operation_id = "make_key",
    request_body = New,
    responses(
        (status = 201, description = "The key", body = Made),
        (status = 404, description = "The user is gone"),
    ),
)]
pub(super) async fn create(
    State(host): State<Host>,
    trail: Trail,
    user: UserContext,
    Document(new): Document<New>,
) -> Result<Created<Made>, Problem> {
    refuse_keys(&user)?;
    if new.scopes.as_ref().is_some_and(Vec::is_empty) {
        return Err(Problem::unprocessable("a key without a scope is good for nothing"));
    }
    let unbound = matches!(new.org_id, Binding::None);
    let scope = match new.org_id {
        Binding::To(org) => {
            let org = OrgId::new(org).map_err(|_| Problem::unprocessable("org_id is no id"))?;
            Scope::new(user.user_id().clone(), org)
        }
        Binding::Present | Binding::None => user.scope().clone(),
    };
    let key = NewApiKey {
        name: new.name.unwrap_or_else(|| "unnamed".to_owned()),
        scopes: new.scopes.unwrap_or_default(),
        not_before: new.not_before,
        expires_at: new.expires_at,
        unbound,
    };
    let keys = host.store().api_keys(&scope);
    let made = keys.create(&key).await?;
    // A key that nobody was told of is none.
    if let Err(problem) = trail.require(&trail.of_scope("key.create", &scope, &made.key.id)).await {
        keys.revoke(&made.key.id).await?;
        return Err(problem);
    }
    Ok(Created(Made { key: shown(&made.text), listed: made.key.into() }))
}

/// Ends one of the caller's keys at once.
#[utoipa::path(
    delete, path = "/api/keys/{id}", operation_id = "revoke_key",
    responses(
        (status = 200, description = "It is good no more", body = Done),
        (status = 404, description = "The caller has no such key"),
    ),
)]
pub(super) async fn revoke(
    State(host): State<Host>,
    trail: Trail,
    user: UserContext,
    Path(id): Path<String>,
) -> Result<Json<Done>, Problem> {
    refuse_keys(&user)?;
    if host.store().api_keys(user.scope()).revoke(&id).await? {
        trail.did(&user, "key.revoke", &id).await;
        Ok(Done::json())
    } else {
        Err(Problem::absent("API key not found"))
    }
}

/// The key with which the caller has come.
#[derive(Serialize, ToSchema)]
#[schema(as = CurrentApiKey)]
pub(super) struct Current {
    id: String,
    name: String,
    /// The organisation that it acts for now.
    org_id: String,
    /// The organisation that it is bound to.
    bound_org_id: Option<String>,
    user_id: String,
    scopes: Vec<String>,
    auth_type: &'static str,
}

/// The key with which the caller has come; 400 where the caller came without one.
#[utoipa::path(
    get, path = "/api/keys/current", operation_id = "read_current_key",
    responses((status = 200, description = "The key", body = Current)),
)]
pub(super) async fn current(user: UserContext) -> Result<Json<Current>, Problem> {
    let AuthMethod::ApiKey(key) = user.auth_method() else {
        return Err(Problem::ambiguous("this request was not made with an API key"));
    };
    Ok(Json(Current {
        id: key.id.clone(),
        name: key.name.clone(),
        org_id: user.scope().org.to_string(),
        bound_org_id: key.bound.then(|| key.org.to_string()),
        user_id: user.user_id().to_string(),
        scopes: key.scopes.clone(),
        auth_type: "bearer",
    }))
}

/// A key that leaked must not be able to make itself successors.
fn refuse_keys(user: &UserContext) -> Result<(), Problem> {
    match user.auth_method() {
        AuthMethod::ApiKey(_) => Err(Problem::forbidden_because("API keys cannot manage API keys")),
        _ => Ok(()),
    }
}
