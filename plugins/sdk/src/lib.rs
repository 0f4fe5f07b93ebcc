//! Write an authentication strategy for Vestibule.
//!
//! A strategy is a type that implements four traits: [`Plugin`] says what it is,
//! [`UserAuth`] decides who is calling, [`Login`] brings browsers in and
//! [`TokenProvider`] hands out Git-provider tokens. The last two have defaults
//! for strategies that do neither. [`export!`] makes a component of the type.
//!
//! ```
//! use vestibule_sdk::{
//!     Credential, Decision, Description, Error, Identity, Login, Plugin, Request, TokenProvider,
//!     UserAuth,
//! };
//!
//! /// Believes a proxy that names the user in a header.
//! struct Proxied;
//!
//! impl Plugin for Proxied {
//!     fn describe() -> Description {
//!         Description {
//!             headers: vec!["x-remote-user".into()],
//!             ..Description::new("proxied", "1.0.0", "Believes the proxy in front")
//!         }
//!     }
//! }
//!
//! impl UserAuth for Proxied {
//!     fn authenticate(request: Request) -> Result<Decision, Error> {
//!         match (&request.credential, request.header(0)) {
//!             (Credential::Absent, None) => Ok(Decision::anonymous()),
//!             (Credential::Absent, Some(user)) => Ok(Decision::authenticated(Identity::user(user))),
//!             _ => Err(Error::unauthenticated("nobody but the proxy is believed")),
//!         }
//!     }
//!
//!     fn restore(_: Option<String>, last_known: Option<Identity>) -> Result<Identity, Error> {
//!         last_known.ok_or_else(|| Error::unauthenticated("never seen"))
//!     }
//! }
//!
//! impl Login for Proxied {}
//! impl TokenProvider for Proxied {}
//!
//! vestibule_sdk::export!(Proxied);
//! ```
//!
//! A component imports only what its code can reach: a strategy that never
//! calls [`http::send`] needs no grant for it. Outside of Wasm every capability
//! panics when it is called, so unit tests cover what does not call one.

#[cfg(target_family = "wasm")]
mod allocator;
#[doc(hidden)]
pub mod bindings;
pub mod clock;
mod description;
#[doc(hidden)]
pub mod entropy;
mod error;
#[doc(hidden)]
pub mod export;
pub mod http;
mod identity;
pub mod jose;
pub mod log;
pub mod login;
mod net;
pub mod oauth;
#[cfg(target_family = "wasm")]
mod panic;
pub mod provider_tokens;
pub mod random;
pub mod secrets;
mod session;
pub mod session_store;
pub mod settings;
mod strategy;
pub mod text;
pub mod token_provider;
pub mod token_store;

pub use bindings::exports::vestibule::auth::plugin::{
    Description, GrantSource, ProposedGrants, Setting, SettingType,
};
pub use bindings::vestibule::auth::types::{
    ApiKey, Claim, Credential, Decision, Error, Identity, IpAddress, Method, NamedSecret, NewToken,
    Outcome, Request, Scheme, Session, SessionChange, SessionCredential,
};
pub use login::Login;
pub use secrets::Secret;
pub use strategy::{Plugin, UserAuth};
pub use token_provider::TokenProvider;
