//! Users as the host knows them, and the organisations they belong to.

use sqlx::FromRow;

use super::{
    Scope, Store, StoreError, change,
    db::{Db, Missing},
    read, seconds, transact,
};
use crate::{
    config::Config,
    identity::{Identity, OrgId, UserId},
};

/// How often a user's last visit is written down, in seconds.
const SEEN_EVERY: u64 = 60;

/// A user's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's id.
    pub id: UserId,
    /// The organisation the user acts for.
    pub org: OrgId,
    /// The user's role there; `None` where the user has left it.
    pub role: Option<String>,
    /// The user as the identity provider last described them.
    pub identity: Identity,
    /// When the user first came, in seconds since the Unix epoch.
    pub created_at: u64,
    /// When the user last came, to the minute.
    pub seen_at: u64,
    /// When the user was disabled.
    pub disabled_at: Option<u64>,
}

#[derive(FromRow)]
struct Row {
    id: String,
    identity: String,
    current_org: String,
    role: Option<String>,
    created_at: i64,
    seen_at: i64,
    disabled_at: Option<i64>,
}

impl Row {
    /// The same by the places of the columns.
    fn looked_up(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            identity: row.get(1)?,
            current_org: row.get(2)?,
            role: row.get(3)?,
            created_at: row.get(4)?,
            seen_at: row.get(5)?,
            disabled_at: row.get(6)?,
        })
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select u.id, u.identity, u.current_org, m.role, u.created_at, u.seen_at, u.disabled_at
             from users u left join org_members m
             on m.user_id = u.id and m.org_id = u.current_org ",
            $rest
        )
    };
}

impl TryFrom<Row> for User {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let damaged = |_| StoreError::Damaged("users");
        Ok(Self {
            identity: stored_identity(&row.identity)?,
            id: UserId::new(row.id).map_err(damaged)?,
            org: OrgId::new(row.current_org).map_err(damaged)?,
            role: row.role,
            created_at: seconds(row.created_at),
            seen_at: seconds(row.seen_at),
            disabled_at: row.disabled_at.map(seconds),
        })
    }
}

/// An identity as it rests.
pub(super) fn stored_identity(json: &str) -> Result<Identity, StoreError> {
    serde_json::from_str(json).map_err(|_| StoreError::Damaged("users"))
}

impl User {
    /// Whose rows are the user's own at present.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope::new(self.id.clone(), self.org.clone())
    }
}

impl Store {
    /// A user by id.
    pub async fn user(&self, id: &UserId) -> Result<Option<User>, StoreError> {
        const ONE: &str = select!("where u.id = $1");
        let row = match self.db.look_up(ONE, [id.as_str()], Row::looked_up) {
            Some(rows) => rows.into_iter().next(),
            // Boxed, so that the futures of those who ask stay small.
            None => {
                let asked = async {
                    let row = read!(self.db, pool => {
                        sqlx::query_as(ONE).bind(id.as_str()).fetch_optional(pool).await?
                    });
                    Ok::<Option<Row>, StoreError>(row)
                };
                Box::pin(asked).await?
            }
        };
        row.map(User::try_from).transpose()
    }

    /// A user whom an existing database knows, and nothing in it is changed; `None` as
    /// well where there is no database yet.
    pub async fn find_user(config: &Config, id: &UserId) -> Result<Option<User>, StoreError> {
        let url = &config.database.url;
        if url.is_in_memory() || url.file().is_some_and(|file| !file.exists()) {
            return Ok(None);
        }
        let db = Db::open(url, Missing::Refuse).await?;
        if !db.has_table("users").await? {
            return Ok(None);
        }
        let row: Option<Row> = read!(db, pool => {
            sqlx::query_as(select!("where u.id = $1")).bind(id.as_str()).fetch_optional(pool).await?
        });
        row.map(User::try_from).transpose()
    }

    /// Every user, in the order of their ids.
    pub async fn users(&self) -> Result<Vec<User>, StoreError> {
        let rows: Vec<Row> = read!(self.db, pool => {
            sqlx::query_as(select!("order by u.id")).fetch_all(pool).await?
        });
        rows.into_iter().map(User::try_from).collect()
    }

    /// Notes who an identity provider says has arrived, and makes the user
    /// where there is none. The user acts for the organisation that the identity
    /// names, or else for the one before, or else for the user's own.
    ///
    /// Writes only where something changed, or the last visit is a minute ago.
    pub async fn establish_user(&self, identity: &Identity) -> Result<User, StoreError> {
        let scope = Scope::of(identity);
        if let Some(user) = self.user(&scope.user).await?
            && (user.identity == *identity || identity.user_id.is_none())
            && user.seen_at + SEEN_EVERY > self.clock.now()
        {
            return Ok(user);
        }
        // The strategy has nothing to say of the one user whom it cannot tell apart.
        let known = if identity.user_id.is_none() { self.user(&scope.user).await? } else { None };
        let identity = known.as_ref().map_or(identity, |known| &known.identity);
        let now = self.now();
        let json = serde_json::to_string(identity)
            .unwrap_or_else(|error| unreachable!("an identity is plain data: {error}"));
        let row: Row = transact!(self.db, tx => {
            sqlx::query(
                "insert into users
                     (id, display_name, email, identity, current_org, created_at, seen_at)
                 values ($1, $2, $3, $4, $5, $6, $6)
                 on conflict (id) do update set display_name = excluded.display_name,
                     email = excluded.email, identity = excluded.identity,
                     seen_at = excluded.seen_at",
            )
            .bind(scope.user.as_str())
            .bind(identity.display_name.as_deref())
            .bind(identity.email.as_deref())
            .bind(&json)
            .bind(scope.org.as_str())
            .bind(now)
            .execute(&mut *tx)
            .await?;
            // Whoever has an organisation to themselves owns it.
            let role = if identity.org_id.is_none() { "owner" } else { "member" };
            sqlx::query(
                "insert into org_members (org_id, user_id, role, created_at)
                 values ($1, $2, $3, $4) on conflict (org_id, user_id) do nothing",
            )
            .bind(scope.org.as_str())
            .bind(scope.user.as_str())
            .bind(role)
            .bind(now)
            .execute(&mut *tx)
            .await?;
            if identity.org_id.is_some() {
                sqlx::query("update users set current_org = $1 where id = $2")
                    .bind(scope.org.as_str())
                    .bind(scope.user.as_str())
                    .execute(&mut *tx)
                    .await?;
            }
            // Here, since after it the organisation can be that of another log-in.
            sqlx::query_as(select!("where u.id = $1"))
                .bind(scope.user.as_str())
                .fetch_one(&mut *tx)
                .await?
        });
        row.try_into()
    }

    /// Shuts a user out, or lets them in again. Sessions, keys and sandboxes of
    /// a disabled user stop at once; the sessions are over for good.
    pub async fn set_user_disabled(&self, id: &UserId, disabled: bool) -> Result<(), StoreError> {
        let found = transact!(self.db, tx => {
            // Both ways: a log-in may have been half done when the user was shut out.
            sqlx::query("delete from sessions where user_id = $1")
                .bind(id.as_str())
                .execute(&mut *tx)
                .await?;
            sqlx::query(
                "update users set disabled_at = case when $2 = 0 then null
                     else coalesce(disabled_at, $3) end where id = $1",
            )
            .bind(id.as_str())
            .bind(i64::from(disabled))
            .bind(self.now())
            .execute(&mut *tx)
            .await?
            .rows_affected()
        });
        if found == 0 { Err(StoreError::NoUser(id.clone())) } else { Ok(()) }
    }

    /// A user's role in an organisation; `None` where the user is no member.
    pub async fn role(&self, scope: &Scope) -> Result<Option<String>, StoreError> {
        Ok(read!(self.db, pool => {
            let row: Option<(String,)> = scope
                .rows("select role from org_members where org_id = $1 and user_id = $2")
                .fetch_optional(pool)
                .await?;
            row.map(|(role,)| role)
        }))
    }

    /// Makes a user a member of an organisation, or changes the role there.
    pub async fn add_member(&self, scope: &Scope, role: &str) -> Result<(), StoreError> {
        if self.user(&scope.user).await?.is_none() {
            return Err(StoreError::NoUser(scope.user.clone()));
        }
        change!(self.db, pool => {
            scope
                .query(
                    "insert into org_members (org_id, user_id, role, created_at)
                     values ($1, $2, $3, $4)
                     on conflict (org_id, user_id) do update set role = excluded.role",
                )
                .bind(role)
                .bind(self.now())
                .execute(pool)
                .await?;
        });
        Ok(())
    }

    /// Ends a membership. What the user kept there rests until they come back;
    /// keys that are bound to the organisation stop at once.
    pub async fn remove_member(&self, scope: &Scope) -> Result<bool, StoreError> {
        Ok(change!(self.db, pool => {
            scope
                .query("delete from org_members where org_id = $1 and user_id = $2")
                .execute(pool)
                .await?
                .rows_affected()
                > 0
        }))
    }

    /// Refuses who does not belong to the organisation.
    pub(super) async fn require_member(&self, scope: &Scope) -> Result<(), StoreError> {
        if self.role(scope).await?.is_some() {
            return Ok(());
        }
        if self.user(&scope.user).await?.is_none() {
            return Err(StoreError::NoUser(scope.user.clone()));
        }
        Err(StoreError::NotMember { user: scope.user.clone(), org: scope.org.clone() })
    }

    /// The one user of a strategy without log-in is there from the start.
    pub(super) async fn make_local_owner(&self) -> Result<(), StoreError> {
        let scope = Scope::local_owner();
        if self.user(&scope.user).await?.is_none() {
            let owner =
                Identity { display_name: Some("Local owner".to_owned()), ..Identity::default() };
            self.establish_user(&owner).await?;
        }
        Ok(())
    }
}
