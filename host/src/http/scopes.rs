//! What a key may be used for. Whoever comes without one may do whatever is theirs.

use super::Problem;
use crate::context::{AuthMethod, UserContext};

/// Everything.
pub(super) const FULL: &str = "full";
/// Reading settings, those of `/users/me` among them.
pub(super) const SETTINGS_READ: &str = "settings:read";
/// Changing settings.
pub(super) const SETTINGS_WRITE: &str = "settings:write";
/// Reading the names of secrets.
pub(super) const SECRETS_READ: &str = "secrets:read";
/// Changing secrets and provider tokens.
pub(super) const SECRETS_WRITE: &str = "secrets:write";
/// Starting, pausing and ending sandboxes.
pub(super) const SANDBOXES: &str = "sandboxes";
/// Visiting apps.
pub(super) const APPS: &str = "apps";

const ALL: [&str; 5] = [SETTINGS_READ, SETTINGS_WRITE, SECRETS_READ, SECRETS_WRITE, SANDBOXES];

/// Refuses a key that may not be used for this.
pub(super) fn require(user: &UserContext, scope: &'static str) -> Result<(), Problem> {
    if allows(user, scope) { Ok(()) } else { Err(Problem::insufficient_scope(scope)) }
}

/// What the caller may do.
pub(super) fn permissions(user: &UserContext) -> Vec<&'static str> {
    ALL.into_iter().filter(|scope| allows(user, scope)).collect()
}

/// Whether the caller may do this.
pub(super) fn allows(user: &UserContext, scope: &str) -> bool {
    match user.auth_method() {
        AuthMethod::ApiKey(key) => key.scopes.iter().any(|held| held == FULL || held == scope),
        _ => true,
    }
}
