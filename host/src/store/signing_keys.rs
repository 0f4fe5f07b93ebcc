//! The keys that sign who is calling, shared by all replicas.

use std::time::Duration;

use zeroize::Zeroizing;

use super::{Lease, Store, StoreError, change, instant, read, seconds};
use crate::cipher::{Place, Sealed};

pub(super) const SEALED: &str = "signing_keys.sealed";

/// How long a replica waits for another that makes keys.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn place(id: &str) -> Place<'_> {
    Place { column: SEALED, org: "", user: "", name: id }
}

/// A key that signs.
pub(crate) struct SigningKey {
    /// What signatures name it by.
    pub(crate) id: String,
    /// The private key, in PKCS #8.
    pub(crate) private: Zeroizing<Vec<u8>>,
    /// From when on it signs, until the next one does; in seconds since the Unix epoch.
    pub(crate) active_from: u64,
}

impl Store {
    /// Every key, in the order in which they sign.
    pub(crate) async fn signing_keys(&self) -> Result<Vec<SigningKey>, StoreError> {
        let rows: Vec<(String, String, String, i64)> = read!(self.db, pool => {
            sqlx::query_as(
                "select id, key_id, sealed, active_from from signing_keys order by active_from, id",
            )
            .fetch_all(pool)
            .await?
        });
        let open = |(id, key, token, active_from): (String, String, String, i64)| {
            let private = self.cipher.open_bytes(&place(&id), &Sealed { key, token })?;
            Ok(SigningKey { id, private, active_from: seconds(active_from) })
        };
        rows.into_iter().map(open).collect()
    }

    /// Waits for the sole right to make and forget keys.
    pub(crate) async fn lease_signing_keys(&self) -> Result<Lease, StoreError> {
        self.lease("signing-keys".to_owned(), PATIENCE).await
    }

    /// Stores a key.
    pub(crate) async fn add_signing_key(&self, key: &SigningKey) -> Result<(), StoreError> {
        let sealed = self.cipher.seal_bytes(&place(&key.id), &key.private);
        change!(self.db, pool => {
            sqlx::query(
                "insert into signing_keys (id, key_id, sealed, active_from)
                 values ($1, $2, $3, $4)",
            )
            .bind(&key.id)
            .bind(&sealed.key)
            .bind(&sealed.token)
            .bind(instant(key.active_from))
            .execute(pool)
            .await?;
        });
        Ok(())
    }

    /// Forgets a key that signs no more.
    pub(crate) async fn forget_signing_key(&self, id: &str) -> Result<(), StoreError> {
        change!(self.db, pool => {
            sqlx::query("delete from signing_keys where id = $1").bind(id).execute(pool).await?;
        });
        Ok(())
    }
}
