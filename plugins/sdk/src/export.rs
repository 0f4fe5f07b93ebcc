//! From a type with four traits to the exports of a component.

use std::marker::PhantomData;

use crate::bindings::exports::vestibule::auth::{login, plugin, token_provider, user_auth};
use crate::{
    Decision, Description, Error, Identity, Login, Plugin, Request, Secret, TokenProvider, UserAuth,
};

/// Makes a component of a type that implements [`Plugin`](crate::Plugin),
/// [`UserAuth`](crate::UserAuth), [`Login`](crate::Login) and
/// [`TokenProvider`](crate::TokenProvider).
///
/// A panic ends up in the operator's log with its message and location. For
/// that the component imports `log`, which makes each instance about a
/// microsecond dearer unless the strategy logs anyway;
/// `export!(MyStrategy, panics: silent)` does without.
#[macro_export]
macro_rules! export {
    ($strategy:ty) => {
        $crate::export!(@ $strategy, true);
    };
    ($strategy:ty, panics: silent) => {
        $crate::export!(@ $strategy, false);
    };
    (@ $strategy:ty, $panics:literal) => {
        const _: () = {
            type Exports = $crate::export::Exports<$strategy, $panics>;

            // Linkers other than Wasm's do not take a component's export names.
            #[cfg(target_family = "wasm")]
            $crate::bindings::export_bindings!(Exports with_types_in $crate::bindings);
            #[cfg(not(target_family = "wasm"))]
            const _: fn() = $crate::export::check::<Exports>;
        };
    };
}

/// The generated traits, implemented by way of the SDK's own.
pub struct Exports<T, const PANICS: bool>(PhantomData<T>);

/// Compiles where a type can be exported.
pub fn check<T>()
where
    T: plugin::Guest + user_auth::Guest + login::Guest + token_provider::Guest,
{
}

impl<T, const PANICS: bool> Exports<T, PANICS> {
    /// What every export does first.
    fn enter() {
        #[cfg(target_family = "wasm")]
        if PANICS {
            crate::panic::speak();
        }
    }
}

impl<T: Plugin, const PANICS: bool> plugin::Guest for Exports<T, PANICS> {
    fn describe() -> Description {
        Self::enter();
        T::describe()
    }

    fn check_settings() -> Result<(), String> {
        Self::enter();
        T::check_settings()
    }
}

impl<T: UserAuth, const PANICS: bool> user_auth::Guest for Exports<T, PANICS> {
    fn authenticate(request: Request) -> Result<Decision, Error> {
        Self::enter();
        T::authenticate(request)
    }

    fn restore(user_id: Option<String>, last_known: Option<Identity>) -> Result<Identity, Error> {
        Self::enter();
        T::restore(user_id, last_known)
    }
}

impl<T: Login, const PANICS: bool> login::Guest for Exports<T, PANICS> {
    fn begin(request: login::LoginRequest) -> Result<login::LoginStep, Error> {
        Self::enter();
        T::begin(request)
    }

    fn complete(callback: login::Callback) -> Result<login::LoginStep, Error> {
        Self::enter();
        T::complete(callback)
    }

    fn log_out(request: login::LogOutRequest) -> Result<Option<login::LogOutRedirect>, Error> {
        Self::enter();
        T::log_out(request)
    }

    fn back_channel(logout_token: Secret) -> Result<Vec<login::SessionSelector>, Error> {
        Self::enter();
        T::back_channel(logout_token)
    }
}

impl<T: TokenProvider, const PANICS: bool> token_provider::Guest for Exports<T, PANICS> {
    fn get_token(
        user_id: Option<String>,
        provider: String,
        renewal: token_provider::Renewal,
    ) -> Result<Option<token_provider::ProviderToken>, token_provider::TokenError> {
        Self::enter();
        T::get_token(user_id, provider, renewal)
    }

    fn list_tokens(user_id: Option<String>) -> Vec<token_provider::ProviderResult> {
        Self::enter();
        T::list_tokens(user_id)
    }

    fn revoke_token(
        user_id: Option<String>,
        name: String,
    ) -> Result<(), token_provider::TokenError> {
        Self::enter();
        T::revoke_token(user_id, name)
    }
}
