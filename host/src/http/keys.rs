//! `/api/keys…`: the caller's own API keys.

use axum::{
    Json,
    extract::{Path, State},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Problem, body::Document, error::Created, shown::shown};
use crate::{
    context::{AuthMethod, UserContext},
    host::Host,
    identity::OrgId,
    store::{ApiKey, NewApiKey, Scope},
};

/// A key in the shape that clients of the API expect.
fn listed(key: &ApiKey) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "display": key.display,
        "scopes": key.scopes,
        "org_id": key.bound.then_some(&key.org),
        "created_at": key.created_at,
        "last_used_at": key.last_used_at,
        "not_before": key.not_before,
        "expires_at": key.expires_at,
    })
}

/// The caller's keys, without their texts.
pub(super) async fn list(
    State(host): State<Host>,
    user: UserContext,
) -> Result<Json<Vec<Value>>, Problem> {
    refuse_keys(&user)?;
    let keys = host.store().api_keys(user.scope()).list().await?;
    Ok(Json(keys.iter().map(listed).collect()))
}

/// A key to be made.
#[derive(Debug, Deserialize)]
pub(super) struct New {
    #[serde(default)]
    name: Option<String>,
    /// Left out: everything.
    #[serde(default)]
    scopes: Option<Vec<String>>,
    /// Seconds since the Unix epoch.
    #[serde(default)]
    expires_at: Option<u64>,
    #[serde(default)]
    not_before: Option<u64>,
    /// Left out: the caller's organisation. Null: bound to none.
    #[serde(default)]
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

/// Makes a key; its text is in this answer and nowhere else.
pub(super) async fn create(
    State(host): State<Host>,
    user: UserContext,
    Document(new): Document<New>,
) -> Result<Created<Value>, Problem> {
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
    let made = host.store().api_keys(&scope).create(&key).await?;
    let mut answer = listed(&made.key);
    answer["key"] = Value::from(shown(&made.text));
    Ok(Created(answer))
}

/// Ends one of the caller's keys at once.
pub(super) async fn revoke(
    State(host): State<Host>,
    user: UserContext,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    refuse_keys(&user)?;
    if host.store().api_keys(user.scope()).revoke(&id).await? {
        Ok(Json(json!({ "success": true })))
    } else {
        Err(Problem::absent("API key not found"))
    }
}

/// The key with which the caller has come.
pub(super) async fn current(user: UserContext) -> Result<Json<Value>, Problem> {
    let AuthMethod::ApiKey(key) = user.auth_method() else {
        return Err(Problem::ambiguous("this request was not made with an API key"));
    };
    Ok(Json(json!({
        "id": key.id,
        "name": key.name,
        "org_id": user.scope().org,
        "bound_org_id": key.bound.then_some(&key.org),
        "user_id": user.user_id(),
        "scopes": key.scopes,
        "auth_type": "bearer",
    })))
}

/// A key that leaked must not be able to make itself successors.
fn refuse_keys(user: &UserContext) -> Result<(), Problem> {
    match user.auth_method() {
        AuthMethod::ApiKey(_) => Err(Problem::forbidden_because("API keys cannot manage API keys")),
        _ => Ok(()),
    }
}
