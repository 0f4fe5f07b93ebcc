//! Asking a strategy for the token of a Git provider.

use super::{
    call::CallError,
    output,
    strategy::{Strategy, leave},
};
use crate::{
    bindings::exports::vestibule::auth::token_provider as wit,
    capability::Reach,
    identity::{ProviderToken, RequestId, TokenRefusal, UserId},
};

/// When to renew a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// When it expires soon.
    WhenDue,
    /// Now, because the provider has just refused it.
    Now,
}

impl Strategy {
    /// A user's token for one provider; `None` where the user never connected it.
    pub async fn provider_token(
        &self,
        user: Option<&UserId>,
        provider: &str,
        renewal: Renewal,
        request: RequestId,
    ) -> Result<Result<Option<ProviderToken>, TokenRefusal>, CallError> {
        let renewal = match renewal {
            Renewal::WhenDue => wit::Renewal::WhenDue,
            Renewal::Now => wit::Renewal::Now,
        };
        let (lane, permit) = self.enter()?;
        let mut store = self.store(lane, request, Reach::of(user));
        let user = user.map(UserId::as_str);
        let answer = self
            .within_wall(&mut store, async |store| {
                let instance = lane.pre.instantiate_async(&mut *store).await?;
                let tokens = instance.vestibule_auth_token_provider();
                tokens.call_get_token(store, user, provider, renewal).await
            })
            .await;
        let answer = answer.and_then(|answer| match answer {
            Ok(None) => Ok(Ok(None)),
            Ok(Some(token)) if token.provider != provider => {
                Err(CallError::MalformedOutput("it answers with another provider's token"))
            }
            Ok(Some(token)) => {
                let table = &mut store.data_mut().context.table;
                let secret = table.delete(token.token).map_err(|_| {
                    CallError::MalformedOutput("it answers with a handle that it does not hold")
                })?;
                Ok(Ok(Some(ProviderToken {
                    provider: token.provider,
                    token: secret.into_text(),
                    host: token.host,
                    account_id: token.account_id,
                    expires_at: token.expires_at,
                })))
            }
            Err(error) => Ok(Err(match error {
                wit::TokenError::Reconnect(why) => TokenRefusal::Reconnect(output::cut(why)),
                wit::TokenError::Unavailable(why) => TokenRefusal::Unavailable(output::cut(why)),
                wit::TokenError::Internal(why) => TokenRefusal::Internal(output::cut(why)),
            })),
        });
        leave(store, permit);
        answer
    }
}
