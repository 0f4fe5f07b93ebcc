//! Sealing anew, with the first key of the list, what older keys sealed.
//!
//! In small transactions, so that a kill at any instant loses nothing and the
//! next run goes on where this one stopped; and only over what is still as it
//! was read, so that nobody's write is undone.

use std::fmt::Write as _;

use sqlx::{AssertSqlSafe, FromRow};

use super::{
    Db, Driver, Store, StoreError, api_keys, change, conversation_tokens, logins, read, secrets,
    sessions, settings, signing_keys, tokens,
};
use crate::cipher::{Place, Sealed};

/// A row under the first key: its name, what it was, and its columns now.
type Resealed = (RowKey, Row, [Option<String>; 2]);

/// Rows at a time.
const BATCH: i64 = 200;

/// How often the tables are gone through while others still write with an older key.
const PASSES: usize = 3;

/// A table with sealed columns.
struct Table {
    name: &'static str,
    /// The columns that name a row; an empty text stands for one too few.
    keys: [&'static str; 3],
    /// The sealed columns; `null` stands for one too few.
    columns: [&'static str; 2],
    place: fn(&RowKey, usize) -> Place<'_>,
}

type RowKey = [String; 3];

const TABLES: [Table; 8] = [
    Table {
        name: "secrets",
        keys: ["org_id", "user_id", "name"],
        columns: ["value", "description"],
        place: |[org, user, name], column| Place {
            column: [secrets::VALUE, secrets::DESCRIPTION][column],
            org,
            user,
            name,
        },
    },
    Table {
        name: "setting_secrets",
        keys: ["org_id", "user_id", "pointer"],
        columns: ["value", "null"],
        place: |[org, user, pointer], _| settings::place(org, user, pointer),
    },
    Table {
        name: "tokens",
        keys: ["user_id", "name", "''"],
        columns: ["access", "refresh"],
        place: |[user, name, _], column| {
            tokens::place([tokens::ACCESS, tokens::REFRESH][column], user, name)
        },
    },
    Table {
        name: "conversation_tokens",
        keys: ["conversation_id", "user_id", "provider"],
        columns: ["token", "null"],
        place: |[conversation, user, provider], _| {
            conversation_tokens::place(conversation, user, provider)
        },
    },
    Table {
        name: "sessions",
        keys: ["user_id", "id_hash", "''"],
        columns: ["sealed", "null"],
        place: |[user, id, _], _| sessions::place(user, id),
    },
    Table {
        name: "api_keys",
        keys: ["org_id", "user_id", "id"],
        columns: ["sealed", "null"],
        place: |[org, user, id], _| api_keys::place(org, user, id),
    },
    Table {
        name: "log_ins",
        keys: ["state_hash", "''", "''"],
        columns: ["sealed", "null"],
        place: |[state_hash, _, _], _| logins::place(state_hash),
    },
    Table {
        name: "signing_keys",
        keys: ["id", "''", "''"],
        columns: ["sealed", "null"],
        place: |[id, _, _], _| signing_keys::place(id),
    },
];

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotationProgress {
    /// Rows that were sealed anew.
    pub done: u64,
    /// Rows that there were to seal at the beginning.
    pub total: u64,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Rows that were sealed anew.
    pub resealed: u64,
    /// Rows that an older key still seals.
    pub left: u64,
    /// Rows that do not open, by table and name.
    pub damaged: Vec<String>,
}

#[derive(FromRow)]
struct Row {
    k1: String,
    k2: String,
    k3: String,
    key_id: String,
    c1: Option<String>,
    c2: Option<String>,
}

impl Table {
    fn select(&self) -> String {
        let [k1, k2, k3] = self.keys;
        let [c1, c2] = self.columns;
        format!(
            "select {k1} as k1, {k2} as k2, {k3} as k3, key_id, {c1} as c1, cast({c2} as text) as c2
             from {} where key_id <> $1 and ({k1}, {k2}, {k3}) > ($2, $3, $4)
             order by 1, 2, 3 limit $5",
            self.name
        )
    }

    fn update(&self) -> String {
        let keys: Vec<String> = self
            .keys
            .iter()
            .enumerate()
            .map(|(index, key)| format!("{key} = ${}", index + 1))
            .collect();
        let columns = self.columns.iter().enumerate().filter(|(_, column)| **column != "null");
        let (mut set, mut same) = (String::new(), String::new());
        for (index, column) in columns {
            let _ = write!(set, ", {column} = ${}", 6 + 2 * index);
            let _ = write!(same, " and {column} is not distinct from ${}", 7 + 2 * index);
        }
        format!(
            "update {} set key_id = $4{set} where {} and key_id = $5{same}",
            self.name,
            keys.join(" and ")
        )
    }
}

impl Store {
    /// Seals anew whatever the first key did not seal. When nothing is left, the
    /// older keys are forgotten, and may go out of the configuration.
    pub async fn rotate(
        &self,
        mut progress: impl FnMut(RotationProgress),
    ) -> Result<Rotation, StoreError> {
        let total = self.sealed_by_others().await?;
        let mut rotation = Rotation::default();
        progress(RotationProgress { done: 0, total });
        for _ in 0..PASSES {
            rotation.damaged.clear();
            for table in &TABLES {
                self.rotate_table(table, &mut rotation, |done| {
                    progress(RotationProgress { done, total: total.max(done) });
                })
                .await?;
            }
            rotation.left = self.sealed_by_others().await?;
            if rotation.left <= rotation.damaged.len() as u64 {
                break;
            }
        }
        if rotation.left == 0 {
            rotation.left = self.forget_other_keys().await?;
        }
        Ok(rotation)
    }

    /// Forgets the older keys. From then on the database refuses what a server
    /// would seal with one of them; where one was faster, its row is left.
    async fn forget_other_keys(&self) -> Result<u64, StoreError> {
        let forgotten = change!(self.db, pool => {
            sqlx::query("delete from encryption_keys where id <> $1")
                .bind(self.cipher.active_key())
                .execute(pool)
                .await
                .map(drop)
        });
        match forgotten {
            Err(error)
                if error
                    .as_database_error()
                    .is_some_and(sqlx::error::DatabaseError::is_foreign_key_violation) =>
            {
                Ok(self.sealed_by_others().await?.max(1))
            }
            done => Ok(done.map(|()| 0)?),
        }
    }

    async fn rotate_table(
        &self,
        table: &Table,
        rotation: &mut Rotation,
        mut progress: impl FnMut(u64),
    ) -> Result<(), StoreError> {
        let (select, update) = (table.select(), table.update());
        let mut last: RowKey = Default::default();
        loop {
            let rows: Vec<Row> = read!(self.db, pool => {
                sqlx::query_as(AssertSqlSafe(select.clone()))
                    .bind(self.cipher.active_key())
                    .bind(&last[0])
                    .bind(&last[1])
                    .bind(&last[2])
                    .bind(BATCH)
                    .fetch_all(pool)
                    .await?
            });
            if rows.is_empty() {
                return Ok(());
            }
            let mut resealed: Vec<Resealed> = Vec::new();
            for row in rows {
                last = [row.k1.clone(), row.k2.clone(), row.k3.clone()];
                match self.reseal(table, &last, &row) {
                    Some(columns) => resealed.push((last.clone(), row, columns)),
                    None => rotation.damaged.push(format!("{} {}", table.name, last.join(" "))),
                }
            }
            macro_rules! update {
                ($row:expr, $executor:expr) => {{
                    let ([k1, k2, k3], row, [c1, c2]): &Resealed = $row;
                    let mut query = sqlx::query(AssertSqlSafe(update.clone()))
                        .bind(k1)
                        .bind(k2)
                        .bind(k3)
                        .bind(self.cipher.active_key())
                        .bind(&row.key_id)
                        .bind(c1)
                        .bind(&row.c1);
                    if table.columns[1] != "null" {
                        query = query.bind(c2).bind(&row.c2);
                    }
                    query.execute($executor).await?.rows_affected()
                }};
            }
            let mut changed = 0;
            match &self.db.driver {
                // One sync for all of them.
                Driver::Sqlite { write, .. } => {
                    let mut tx = write.begin_with("begin immediate").await?;
                    for row in &resealed {
                        changed += update!(row, &mut *tx);
                    }
                    tx.commit().await?;
                }
                // One by one: several at once could meet a user's own in a deadlock.
                Driver::Postgres(pool) => {
                    for row in &resealed {
                        changed += update!(row, pool);
                    }
                }
            }
            rotation.resealed += changed;
            progress(rotation.resealed);
        }
    }

    /// The columns of a row under the first key; `None` where one does not open.
    fn reseal(&self, table: &Table, key: &RowKey, row: &Row) -> Option<[Option<String>; 2]> {
        let reseal = |column: usize, token: &Option<String>| {
            let Some(token) = token else { return Some(None) };
            let place = (table.place)(key, column);
            let sealed = Sealed { key: row.key_id.clone(), token: token.clone() };
            let opened = self.cipher.open_bytes(&place, &sealed).ok()?;
            Some(Some(self.cipher.seal_bytes(&place, &opened).token))
        };
        Some([reseal(0, &row.c1)?, reseal(1, &row.c2)?])
    }

    /// How many rows another key than the first seals.
    async fn sealed_by_others(&self) -> Result<u64, StoreError> {
        let active = self.cipher.active_key();
        let rows = rows_by_key(&self.db).await?;
        Ok(rows.iter().filter(|(key, _)| key != active).map(|(_, rows)| rows).sum())
    }
}

/// How many rows each key seals.
pub(super) async fn rows_by_key(db: &Db) -> Result<Vec<(String, u64)>, StoreError> {
    let mut sealed = Vec::new();
    for table in TABLES.iter().map(|table| table.name) {
        // What an older version has left need not have all of them.
        if db.has_table(table).await? {
            sealed.push(format!("select key_id from {table} where key_id is not null"));
        }
    }
    let count = format!(
        "select key_id, count(*) from ({}) as sealed group by key_id order by key_id",
        sealed.join(" union all ")
    );
    let rows: Vec<(String, i64)> = read!(db, pool => {
        sqlx::query_as(AssertSqlSafe(count)).fetch_all(pool).await?
    });
    Ok(rows.into_iter().map(|(key, rows)| (key, super::seconds(rows))).collect())
}
