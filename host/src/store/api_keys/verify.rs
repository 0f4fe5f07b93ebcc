//! Whose key a text is: one query, and no identity provider.

use sqlx::FromRow;
use subtle::ConstantTimeEq as _;

use super::{ApiKey, Row, select, text};
use crate::{
    identity::{Identity, OrgId},
    store::{self, Scope, Store, StoreError, change, instant, read, users::stored_identity},
};

/// How often a key's last use is written down, in seconds.
const USED_EVERY: u64 = 60;

/// A key that was presented and is good.
#[derive(Clone, Debug)]
pub struct VerifiedKey {
    /// The key.
    pub key: ApiKey,
    /// Whose rows it reaches: those of its own organisation, or of the one that
    /// its owner acts for where it is not bound.
    pub scope: Scope,
    /// The owner's role there.
    pub role: String,
    /// The owner as the identity provider last described them.
    pub owner: Identity,
    /// It has never been used before.
    pub first_use: bool,
}

/// Why a text is not taken as a key. For the log: callers learn only that it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// It has not the form of a key, or none has its text.
    #[error("no key has this text")]
    Unknown,
    /// It is not valid yet.
    #[error("the key is not valid yet")]
    NotYet,
    /// It has expired.
    #[error("the key has expired")]
    Expired,
    /// Its owner is disabled.
    #[error("the key's owner is disabled")]
    Disabled,
    /// Its owner has left the organisation.
    #[error("the key's owner is no member of its organisation")]
    NotMember,
}

/// A key and its owner; the membership is that of the organisation it acts for.
macro_rules! owned {
    ($condition:literal) => {
        concat!(
            select!(
                ", u.identity, u.current_org, u.disabled_at, m.role
             from api_keys k join users u on u.id = k.user_id
             left join org_members m on m.user_id = k.user_id
                 and m.org_id = case when k.bound = 1 then k.org_id else u.current_org end
             where "
            ),
            $condition
        )
    };
}

/// A key's row with what is known of its owner.
#[derive(FromRow)]
struct OwnedRow {
    #[sqlx(flatten)]
    row: Row,
    identity: String,
    current_org: String,
    disabled_at: Option<i64>,
    role: Option<String>,
}

impl OwnedRow {
    /// The same by the places of the columns.
    fn looked_up(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            row: Row {
                id: row.get(0)?,
                org_id: row.get(1)?,
                user_id: row.get(2)?,
                name: row.get(3)?,
                hash: row.get(4)?,
                display: row.get(5)?,
                scopes: row.get(6)?,
                bound: row.get(7)?,
                system: row.get(8)?,
                created_at: row.get(9)?,
                not_before: row.get(10)?,
                expires_at: row.get(11)?,
                last_used_at: row.get(12)?,
            },
            identity: row.get(13)?,
            current_org: row.get(14)?,
            disabled_at: row.get(15)?,
            role: row.get(16)?,
        })
    }
}

impl Store {
    /// Whose key a text is. What is refused leaves no trace in the database.
    pub async fn verify_key(
        &self,
        presented: &str,
    ) -> Result<Result<VerifiedKey, KeyRefusal>, StoreError> {
        let Some(form) = text::parse(presented) else { return Ok(Err(KeyRefusal::Unknown)) };
        let hash = text::hash(presented);
        let (sql, by) = match form {
            text::Form::Ours(id) => (owned!("k.id = $1"), id),
            text::Form::Imported => (owned!("k.hash = $1"), hash.clone()),
        };
        let row: Option<OwnedRow> = match self.db.look_up(sql, [&by], OwnedRow::looked_up) {
            Some(rows) => rows.into_iter().next(),
            None => read!(self.db, pool => {
                sqlx::query_as(sql).bind(&by).fetch_optional(pool).await?
            }),
        };
        let Some(found) = row else { return Ok(Err(KeyRefusal::Unknown)) };
        if !bool::from(found.row.hash.as_bytes().ct_eq(hash.as_bytes())) {
            return Ok(Err(KeyRefusal::Unknown));
        }
        let OwnedRow { row, identity, current_org, disabled_at, role } = found;
        let key = ApiKey::try_from(row)?;
        let now = self.clock.now();
        let role = match role {
            _ if disabled_at.is_some() => return Ok(Err(KeyRefusal::Disabled)),
            _ if key.not_before.is_some_and(|at| now < at) => return Ok(Err(KeyRefusal::NotYet)),
            _ if key.expires_at.is_some_and(|at| at <= now) => return Ok(Err(KeyRefusal::Expired)),
            None => return Ok(Err(KeyRefusal::NotMember)),
            Some(role) => role,
        };
        let mut was_noted = false;
        if key.last_used_at.is_none_or(|at| at + USED_EVERY <= now) {
            let noted = async {
                was_noted = self.note_use(&key.id, now).await?;
                Ok(())
            };
            store::note("the use of a key", noted).await;
        }
        // Of several at once, one is the first.
        let first_use = was_noted && key.last_used_at.is_none();
        let org = if key.bound {
            key.org.clone()
        } else {
            OrgId::new(current_org).map_err(|_| StoreError::Damaged("users"))?
        };
        let scope = Scope::new(key.user.clone(), org);
        let owner = stored_identity(&identity)?;
        Ok(Ok(VerifiedKey { key, scope, role, owner, first_use }))
    }

    async fn note_use(&self, id: &str, now: u64) -> Result<bool, StoreError> {
        let noted = change!(self.db, pool => {
            sqlx::query(
                "update api_keys set last_used_at = $2
                 where id = $1 and (last_used_at is null or last_used_at <= $3)",
            )
            .bind(id)
            .bind(instant(now))
            .bind(instant(now.saturating_sub(USED_EVERY)))
            .execute(pool)
            .await?
            .rows_affected()
        });
        Ok(noted > 0)
    }
}
