//! Which Git-provider tokens a user holds.

pub use crate::bindings::exports::vestibule::auth::token_provider::{
    ProviderResult, ProviderToken, Renewal, TokenError,
};

/// Hands out Git-provider tokens; never called while a request is decided.
///
/// A user is named by id, the local owner by `None`. Every method has a default
/// which says that there are no tokens.
pub trait TokenProvider {
    /// A user's token for one provider; `None` where the user never connected it.
    fn get_token(
        _user_id: Option<String>,
        _provider: String,
        _renewal: Renewal,
    ) -> Result<Option<ProviderToken>, TokenError> {
        Ok(None)
    }

    /// A user's tokens for every provider that they connected, each with its
    /// own result.
    #[must_use]
    fn list_tokens(_user_id: Option<String>) -> Vec<ProviderResult> {
        Vec::new()
    }

    /// Revokes a stored token at its provider; the host deletes it whatever the
    /// answer is.
    fn revoke_token(_user_id: Option<String>, _name: String) -> Result<(), TokenError> {
        Ok(())
    }
}
