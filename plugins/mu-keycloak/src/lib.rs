//! Many people log in with Keycloak, or with another OpenID provider.
//!
//! Two grants are kept apart: the browser's own, which lives in its session and ends
//! with it, and the offline token, which lives in the token store and ends when its user
//! disconnects. API keys need neither.

mod describe;
mod idp;
mod linked;
mod log_out;
mod offline;
mod person;
mod provider_tokens;
mod rules;
mod session;
mod settings;
mod sign_in;

use vestibule_sdk::{
    Credential, Decision, Description, Error, Identity, Login, Plugin, Request, Secret,
    TokenProvider, UserAuth, export,
    login::{Callback, LogOutRedirect, LogOutRequest, LoginRequest, LoginStep, SessionSelector},
    token_provider::{ProviderResult, ProviderToken, Renewal, TokenError},
};

use idp::Idp;
use settings::Settings;

/// The strategy that lets the people of a realm in.
pub struct ManyUsers;

impl Plugin for ManyUsers {
    fn describe() -> Description {
        describe::description()
    }

    fn check_settings() -> Result<(), String> {
        settings::check()
    }
}

impl UserAuth for ManyUsers {
    fn authenticate(request: Request) -> Result<Decision, Error> {
        match request.credential {
            Credential::Absent => Ok(Decision::anonymous()),
            Credential::Session(presented) => session::decide(presented),
            Credential::ApiKey(key) => known(key.owner).map(Decision::authenticated),
            Credential::Bearer(token) => {
                let settings = Settings::read()?;
                let who = Idp::of(&settings)?.bearer(&token)?;
                settings.rules.admit(&who)?;
                Ok(Decision::authenticated(who))
            }
        }
    }

    fn restore(user_id: Option<String>, last_known: Option<Identity>) -> Result<Identity, Error> {
        known(last_known.filter(|who| who.user_id == user_id))
    }
}

/// Somebody as they were last seen, with no word to the identity provider: whether they
/// are logged in there is of no matter to their keys.
fn known(who: Option<Identity>) -> Result<Identity, Error> {
    let who = who.filter(|who| who.user_id.is_some());
    let who = who.ok_or_else(|| Error::unauthenticated("they have never logged in"))?;
    session::admitted(&vestibule_sdk::settings::parse()?, who)
}

impl Login for ManyUsers {
    fn begin(request: LoginRequest) -> Result<LoginStep, Error> {
        sign_in::begin(&Settings::read()?, &request.attempt, request.hint.as_deref())
    }

    fn complete(callback: Callback) -> Result<LoginStep, Error> {
        sign_in::complete(&Settings::read()?, callback)
    }

    fn log_out(request: LogOutRequest) -> Result<Option<LogOutRedirect>, Error> {
        log_out::page(&Settings::read()?, request)
    }

    fn back_channel(logout_token: Secret) -> Result<Vec<SessionSelector>, Error> {
        log_out::told(&Settings::read()?, &logout_token)
    }
}

impl TokenProvider for ManyUsers {
    fn get_token(
        user_id: Option<String>,
        provider: String,
        renewal: Renewal,
    ) -> Result<Option<ProviderToken>, TokenError> {
        provider_tokens::get(&read()?, user_id.as_deref(), &provider, renewal)
    }

    fn list_tokens(user_id: Option<String>) -> Vec<ProviderResult> {
        read().map_or_else(
            |_| Vec::new(),
            |settings| provider_tokens::list(&settings, user_id.as_deref()),
        )
    }

    fn revoke_token(user_id: Option<String>, name: String) -> Result<(), TokenError> {
        // No provider has a way to revoke that the realm's app could go.
        if name == offline::NAME {
            return offline::revoke(&read()?, user_id.as_deref());
        }
        Ok(())
    }
}

fn read() -> Result<Settings, TokenError> {
    Settings::read().map_err(|error| TokenError::Internal(format!("{error:?}")))
}

export!(ManyUsers);
