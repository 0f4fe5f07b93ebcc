//! Keys as an operator sees them: everybody's.

use super::{ApiKey, Row, select};
use crate::store::{Store, StoreError, change, is_no_text, read};

impl Store {
    /// Keys of everybody, or of one user, newest first; the host's own are not among
    /// them.
    pub async fn keys_of_all(
        &self,
        user: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ApiKey>, StoreError> {
        if user.is_some_and(is_no_text) {
            return Ok(Vec::new());
        }
        let rows: Vec<Row> = read!(self.db, pool => {
            sqlx::query_as(select!(
                " from api_keys k where k.system = 0 and k.user_id = coalesce($1, k.user_id)
                 order by k.created_at desc, k.id limit $2"
            ))
            .bind(user)
            .bind(i64::from(limit))
            .fetch_all(pool)
            .await?
        });
        rows.into_iter().map(ApiKey::try_from).collect()
    }

    /// Ends the key of an id, whosever it is, and says whose it was and where.
    pub async fn revoke_any_key(&self, id: &str) -> Result<Option<(String, String)>, StoreError> {
        if is_no_text(id) {
            return Ok(None);
        }
        Ok(change!(self.db, pool => {
            sqlx::query_as(
                "delete from api_keys where id = $1 and system = 0 returning user_id, org_id",
            )
            .bind(id)
            .fetch_optional(pool)
            .await?
        }))
    }
}
