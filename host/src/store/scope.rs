//! Whose rows: nothing that belongs to a user is read or written without saying so.

use sqlx::{
    Database, Encode, FromRow, Type,
    query::{Query, QueryAs},
};

use super::db::Db;
use crate::identity::{Identity, LOCAL_ORG, OrgId, UserId};

/// A user within an organisation.
///
/// Collections that belong to users are reached through one, so that a query
/// without it does not compile:
///
/// ```compile_fail
/// async fn everybodys(store: &vestibule::store::Store) {
///     store.secrets().load().await.unwrap();
/// }
/// ```
///
/// ```
/// async fn ones_own(store: &vestibule::store::Store, scope: &vestibule::store::Scope) {
///     store.secrets(scope).load().await.unwrap();
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    /// The user.
    pub user: UserId,
    /// The organisation that the user acts for.
    pub org: OrgId,
}

impl Scope {
    /// A user within an organisation.
    #[must_use]
    pub fn new(user: UserId, org: OrgId) -> Self {
        Self { user, org }
    }

    /// The one user of a strategy without log-in.
    #[must_use]
    pub fn local_owner() -> Self {
        Self { user: UserId::local_owner(), org: OrgId::fixed(LOCAL_ORG) }
    }

    /// Who an identity is, and the organisation that it names or else the
    /// user's own.
    #[must_use]
    pub fn of(identity: &Identity) -> Self {
        let Some(user) = identity.user_id.clone() else { return Self::local_owner() };
        let org = identity.org_id.clone().unwrap_or_else(|| OrgId::personal(&user));
        Self { user, org }
    }

    /// A statement with the organisation as `$1` and the user as `$2`.
    pub(super) fn query<'q, DB>(&'q self, sql: &'static str) -> Query<'q, DB, DB::Arguments>
    where
        DB: Database,
        &'q str: Encode<'q, DB> + Type<DB>,
    {
        sqlx::query(sql).bind(self.org.as_str()).bind(self.user.as_str())
    }

    /// The same for rows of a type.
    pub(super) fn rows<'q, DB, T>(&'q self, sql: &'static str) -> QueryAs<'q, DB, T, DB::Arguments>
    where
        DB: Database,
        T: for<'r> FromRow<'r, DB::Row>,
        &'q str: Encode<'q, DB> + Type<DB>,
    {
        sqlx::query_as(sql).bind(self.org.as_str()).bind(self.user.as_str())
    }

    /// The same without leaving this thread, where that is possible.
    pub(super) fn look_up<T>(
        &self,
        db: &Db,
        sql: &'static str,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Option<Vec<T>> {
        db.look_up(sql, [self.org.as_str(), self.user.as_str()], read)
    }
}
