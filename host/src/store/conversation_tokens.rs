//! Provider tokens that were renewed for a conversation, as they were handed to it:
//! what its runtime works with, whatever became of the user's own tokens since.

use std::sync::Arc;

use sqlx::FromRow;

use super::{Store, StoreError, change, instant, read, seconds, transact};
use crate::{
    cipher::{Place, Sealed},
    identity::{ConversationId, ProviderToken, UserId},
};

/// How long after its end a token is kept, in seconds: nobody resumes with it.
const KEPT_AFTER_END: u64 = 30 * 24 * 60 * 60;

/// The tokens of one conversation of a user's.
#[derive(Clone, Copy, Debug)]
pub struct ConversationTokens<'a> {
    store: &'a Store,
    user: &'a UserId,
    conversation: &'a ConversationId,
}

#[derive(FromRow)]
struct Row {
    provider: String,
    key_id: String,
    token: String,
    host: Option<String>,
    account_id: Option<String>,
    expires_at: Option<i64>,
}

/// The conversation stands where an organisation would: a token belongs to none.
pub(super) fn place<'a>(conversation: &'a str, user: &'a str, provider: &'a str) -> Place<'a> {
    Place { column: "conversation_tokens.token", org: conversation, user, name: provider }
}

impl Store {
    /// The tokens of one conversation of a user's.
    #[must_use]
    pub fn conversation_tokens<'a>(
        &'a self,
        user: &'a UserId,
        conversation: &'a ConversationId,
    ) -> ConversationTokens<'a> {
        ConversationTokens { store: self, user, conversation }
    }

    /// Forgets what all conversations of a user were handed.
    pub async fn forget_conversation_tokens(&self, user: &UserId) -> Result<(), StoreError> {
        change!(self.db, pool => {
            sqlx::query("delete from conversation_tokens where user_id = $1")
                .bind(user.as_str())
                .execute(pool)
                .await?;
        });
        Ok(())
    }
}

impl ConversationTokens<'_> {
    /// What was handed to the conversation last, by provider.
    pub async fn load(&self) -> Result<Vec<ProviderToken>, StoreError> {
        let rows: Vec<Row> = read!(self.store.db, pool => {
            sqlx::query_as(
                "select provider, key_id, token, host, account_id, expires_at
                 from conversation_tokens where user_id = $1 and conversation_id = $2
                 order by provider",
            )
            .bind(self.user.as_str())
            .bind(self.conversation.as_str())
            .fetch_all(pool)
            .await?
        });
        rows.into_iter().map(|row| self.open(row)).collect()
    }

    /// Writes down what the conversation is handed, all of it or nothing.
    pub async fn save(&self, tokens: &[ProviderToken]) -> Result<(), StoreError> {
        let Self { store, user, conversation } = *self;
        let (user, conversation) = (user.as_str(), conversation.as_str());
        let now = store.clock.now();
        transact!(store.db, tx => {
            for token in tokens {
                let place = place(conversation, user, &token.provider);
                let sealed = store.cipher.seal(&place, &token.token);
                sqlx::query(
                    "insert into conversation_tokens (user_id, conversation_id, provider, key_id,
                         token, host, account_id, expires_at, refreshed_at)
                     values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                     on conflict (user_id, conversation_id, provider) do update
                         set key_id = excluded.key_id, token = excluded.token,
                         host = excluded.host, account_id = excluded.account_id,
                         expires_at = excluded.expires_at, refreshed_at = excluded.refreshed_at",
                )
                .bind(user)
                .bind(conversation)
                .bind(&token.provider)
                .bind(&sealed.key)
                .bind(&sealed.token)
                .bind(&token.host)
                .bind(&token.account_id)
                .bind(token.expires_at.map(instant))
                .bind(instant(now))
                .execute(&mut *tx)
                .await?;
            }
            // Conversations end without a word.
            sqlx::query("delete from conversation_tokens where user_id = $1 and expires_at < $2")
                .bind(user)
                .bind(instant(now.saturating_sub(KEPT_AFTER_END)))
                .execute(&mut *tx)
                .await?;
        });
        Ok(())
    }

    fn open(&self, row: Row) -> Result<ProviderToken, StoreError> {
        let place = place(self.conversation.as_str(), self.user.as_str(), &row.provider);
        let sealed = Sealed { key: row.key_id, token: row.token };
        Ok(ProviderToken {
            token: Arc::new(self.store.cipher.open(&place, &sealed)?),
            provider: row.provider,
            host: row.host,
            account_id: row.account_id,
            expires_at: row.expires_at.map(seconds),
        })
    }
}
