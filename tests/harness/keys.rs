//! Credentials of users, as a test gives them out.

use secrecy::SecretString;
use vestibule::store::{NewApiKey, Scope};

use crate::{Caller, TestApp, run::note_secret};

/// A key of a user's.
pub async fn key(app: &TestApp, scope: &Scope, new: &NewApiKey) -> SecretString {
    let key = app.host.store().api_keys(scope).create(new).await.expect("a key is made").text;
    note_secret(&key);
    key
}

/// Whoever shows a key of a user's.
pub async fn by_key(app: &TestApp, scope: &Scope) -> Caller {
    by_narrow_key(app, scope, &[]).await
}

/// Whoever shows a key of a user's that is for these scopes alone.
pub async fn by_narrow_key(app: &TestApp, scope: &Scope, scopes: &[&str]) -> Caller {
    let scopes = scopes.iter().map(|&scope| scope.to_owned()).collect();
    let new = NewApiKey { name: "test".to_owned(), scopes, ..NewApiKey::default() };
    app.anonymous().with_key(&key(app, scope, &new).await)
}

/// The session key of a new sandbox of a user's.
pub async fn sandbox(app: &TestApp, scope: &Scope, id: &str) -> SecretString {
    let key = app.host.store().sandboxes(scope).register(id).await.expect("a sandbox is noted");
    note_secret(&key);
    key
}
