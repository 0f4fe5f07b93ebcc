//! Asking a strategy for the token of a Git provider.

use std::collections::BTreeSet;

use wasmtime::{Store, component::ResourceTable};

use super::{
    call::{Call, CallError},
    output,
    strategy::Strategy,
};
use crate::{
    bindings::{self, exports::vestibule::auth::token_provider as wit},
    capability::{Reach, secrets::handles},
    identity::{PROVIDERS, ProviderToken, RequestId, TokenRefusal, UserId},
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
        let reach = Reach::of(user);
        let user = user.map(UserId::as_str);
        let asked = async |store: &mut Store<Call>, instance: bindings::Strategy| {
            let tokens = instance.vestibule_auth_token_provider();
            tokens.call_get_token(store, user, provider, renewal).await
        };
        self.call(request, reach, asked, |table, answer| match answer {
            Ok(None) => Ok(Ok(None)),
            Ok(Some(token)) => taken(table, token, provider).map(|token| Ok(Some(token))),
            Err(error) => Ok(Err(refusal(error))),
        })
        .await
    }

    /// A user's tokens for every provider that they connected, or why there is none.
    /// One provider's failure is that provider's only.
    pub async fn provider_tokens(
        &self,
        user: Option<&UserId>,
        request: RequestId,
    ) -> Result<Vec<(String, Result<ProviderToken, TokenRefusal>)>, CallError> {
        let reach = Reach::of(user);
        let user = user.map(UserId::as_str);
        let asked = async |store: &mut Store<Call>, instance: bindings::Strategy| {
            instance.vestibule_auth_token_provider().call_list_tokens(store, user).await
        };
        self.call(request, reach, asked, |table, results| {
            let names: Vec<&str> = results.iter().map(|result| result.provider.as_str()).collect();
            if !are_providers(&names) {
                return Err(CallError::MalformedOutput(
                    "it lists a provider that there is none of, or one twice",
                ));
            }
            let take = |result: wit::ProviderResult| {
                let token = match result.token {
                    Ok(token) => Ok(taken(table, token, &result.provider)?),
                    Err(error) => Err(refusal(error)),
                };
                Ok((result.provider, token))
            };
            results.into_iter().map(take).collect()
        })
        .await
    }

    /// Has a user's token revoked at its provider, because the user disconnects it.
    pub async fn revoke_provider_token(
        &self,
        user: Option<&UserId>,
        name: &str,
        request: RequestId,
    ) -> Result<Result<(), TokenRefusal>, CallError> {
        let reach = Reach::of(user);
        let user = user.map(UserId::as_str);
        let asked = async |store: &mut Store<Call>, instance: bindings::Strategy| {
            instance.vestibule_auth_token_provider().call_revoke_token(store, user, name).await
        };
        self.call(request, reach, asked, |_, answer| Ok(answer.map_err(refusal))).await
    }
}

/// Whether each is a provider's name, and none stands there twice.
fn are_providers(names: &[&str]) -> bool {
    let known = names.iter().all(|name| PROVIDERS.contains(name));
    known && names.iter().collect::<BTreeSet<_>>().len() == names.len()
}

/// A token that a component hands over for a provider.
fn taken(
    table: &mut ResourceTable,
    token: wit::ProviderToken,
    provider: &str,
) -> Result<ProviderToken, CallError> {
    if token.provider != provider {
        return Err(CallError::MalformedOutput("it answers with another provider's token"));
    }
    let secret = handles::take_secret(table, token.token).map_err(CallError::MalformedOutput)?;
    Ok(ProviderToken {
        provider: token.provider,
        token: secret.into_text(),
        host: token.host,
        account_id: token.account_id,
        expires_at: token.expires_at,
    })
}

fn refusal(error: wit::TokenError) -> TokenRefusal {
    match error {
        wit::TokenError::Reconnect(why) => TokenRefusal::Reconnect(output::cut(why)),
        wit::TokenError::Unavailable(why) => TokenRefusal::Unavailable(output::cut(why)),
        wit::TokenError::Internal(why) => TokenRefusal::Internal(output::cut(why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_each_provider_once_and_no_other() {
        let [one, other, ..] = PROVIDERS;
        assert!(are_providers(&[]) && are_providers(&[one, other]));
        assert!(!are_providers(&[one, one]));
        assert!(!are_providers(&["somebody"]));
    }
}
