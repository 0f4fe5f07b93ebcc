//! `GET` and `PATCH /api/v1/settings`: the caller's settings, masked.

mod kept;

use axum::Json;
use serde_json::{Map, Value, json};

use super::{Problem, body::Document, me::MASK, scopes};
use crate::{
    context::UserContext,
    store::{Settings, StoreError},
};

/// How often a change is tried again because somebody else was faster.
const TRIES: usize = 5;

/// The caller's settings, with a mask in the place of each secret.
#[utoipa::path(
    get, path = "/api/v1/settings", operation_id = "read_settings",
    responses((status = 200, description = "The settings", body = Object)),
)]
pub(super) async fn get(user: UserContext) -> Result<Json<Value>, Problem> {
    scopes::require(&user, scopes::SETTINGS_READ)?;
    let settings = user.settings().await?.settings;
    Ok(Json(settings.masked(MASK)))
}

/// Changes what is named and leaves the rest (RFC 7396): null removes, and a mask
/// leaves the secret behind it as it is. An API key without the scope `full` cannot
/// keep a secret and change where it is sent.
#[utoipa::path(
    patch, path = "/api/v1/settings", operation_id = "change_settings",
    request_body = Object,
    responses(
        (status = 200, description = "The settings as they are now; empty for a key that may not \
            read them", body = Object),
        (status = 409, description = "Somebody else changed them at the same time, again and again"),
    ),
)]
pub(super) async fn patch(
    user: UserContext,
    Document(change): Document<Map<String, Value>>,
) -> Result<Json<Value>, Problem> {
    scopes::require(&user, scopes::SETTINGS_WRITE)?;
    // A list is replaced as a whole, and with it what a mask stands for.
    if change.values().any(|value| has_mask_in_list(value, false)) {
        return Err(Problem::unprocessable(
            "a masked secret within a list cannot be kept; send the whole list with its secrets",
        ));
    }
    for _ in 0..TRIES {
        let loaded = user.settings().await?;
        let mut document = loaded.settings.exposed();
        merge(&mut document, &Value::Object(change.clone()));
        let Value::Object(document) = document else {
            return Err(Problem::unprocessable("settings are one JSON object"));
        };
        let settings = Settings::split(document)?;
        if !scopes::allows(&user, scopes::FULL) && kept::redirects(&loaded.settings, &settings) {
            return Err(Problem::would_redirect());
        }
        match user.store_settings(&settings, Some(loaded.version)).await {
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
            // Whoever may only write learns nothing.
            Ok(_) if !scopes::allows(&user, scopes::SETTINGS_READ) => return Ok(Json(json!({}))),
            Ok(_) => return Ok(Json(settings.masked(MASK))),
        }
    }
    Err(StoreError::Conflict.into())
}

fn has_mask_in_list(value: &Value, in_list: bool) -> bool {
    match value {
        Value::String(text) => in_list && text == MASK,
        Value::Array(items) => items.iter().any(|item| has_mask_in_list(item, true)),
        Value::Object(fields) => fields.values().any(|value| has_mask_in_list(value, in_list)),
        _ => false,
    }
}

/// A merge patch (RFC 7396 section 2), except that a mask changes nothing.
fn merge(target: &mut Value, change: &Value) {
    let Value::Object(change) = change else {
        if change.as_str() != Some(MASK) {
            *target = change.clone();
        }
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(target) = target.as_object_mut() else { return };
    for (name, value) in change {
        if value.is_null() {
            target.remove(name);
        } else if value.as_str() != Some(MASK) || target.contains_key(name) {
            merge(target.entry(name).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_changes_what_it_names_and_a_mask_changes_nothing() {
        let mut document = json!({"a": "b", "c": {"d": "e", "f": "g"}, "key": "hush"});
        merge(&mut document, &json!({"a": "z", "c": {"f": null}, "key": MASK, "new": MASK}));
        assert_eq!(document, json!({"a": "z", "c": {"d": "e"}, "key": "hush"}));
        merge(&mut document, &json!({"c": ["list"], "a": {"deep": {"er": 1, "x": null}}}));
        assert_eq!(document, json!({"a": {"deep": {"er": 1}}, "c": ["list"], "key": "hush"}));
    }
}
