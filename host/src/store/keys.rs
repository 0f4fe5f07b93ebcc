//! Which keys sealed what rests, so that the wrong secret is noticed at the start.

use super::{Store, StoreError, change, read};
use crate::cipher::{CipherError, Place, Sealed};

/// What is sealed as the proof of a key.
const PROOF: &[u8] = b"this key seals what rests here";

fn place(key: &str) -> Place<'_> {
    Place { column: "encryption_keys.proof", org: "", user: "", name: key }
}

impl Store {
    /// Refuses to go on where a key is recorded that no configured secret gives.
    pub(super) async fn refuse_unknown_keys(&self) -> Result<(), StoreError> {
        if !self.db.has_table("encryption_keys").await? {
            return Ok(());
        }
        let keys: Vec<(String, String)> = read!(self.db, pool => {
            sqlx::query_as("select id, proof from encryption_keys").fetch_all(pool).await?
        });
        for (key, token) in keys {
            let sealed = Sealed { key: key.clone(), token };
            match self.cipher.open_bytes(&place(&key), &sealed) {
                Ok(proof) if *proof == PROOF => {}
                Err(CipherError::UnknownKey(key)) => {
                    return Err(StoreError::WrongSecret { url: self.url.clone(), key });
                }
                _ => return Err(StoreError::Damaged("encryption_keys")),
            }
        }
        Ok(())
    }

    /// Records the key that seals from now on.
    pub(super) async fn note_active_key(&self) -> Result<(), StoreError> {
        let key = self.cipher.active_key();
        let proof = self.cipher.seal_bytes(&place(key), PROOF);
        change!(self.db, pool => {
            sqlx::query(
                "insert into encryption_keys (id, proof, created_at) values ($1, $2, $3)
                 on conflict (id) do nothing",
            )
            .bind(key)
            .bind(proof.token)
            .bind(self.now())
            .execute(pool)
            .await?;
        });
        Ok(())
    }
}
