//! Users as the host knows them.

use super::{Store, StoreError};
use crate::identity::{LOCAL_OWNER, UserId};

/// A user's row.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct User {
    /// The user's id.
    pub id: String,
    /// The organisation the user acts for.
    pub org_id: String,
    /// The user's role there.
    pub role: String,
    /// A name to show to people.
    pub display_name: Option<String>,
    /// The user's e-mail address.
    pub email: Option<String>,
    /// When the user was disabled, in seconds since the Unix epoch.
    pub disabled_at: Option<i64>,
}

impl Store {
    /// A user by id; `None` is the local owner.
    pub async fn user(&self, id: Option<&UserId>) -> Result<Option<User>, StoreError> {
        let id = id.map_or(LOCAL_OWNER, UserId::as_str);
        Ok(sqlx::query_as(
            "select id, org_id, role, display_name, email, disabled_at from users where id = ?",
        )
        .bind(id)
        .fetch_optional(&self.pool)
        .await?)
    }
}
