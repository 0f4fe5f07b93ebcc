//! One person, known beforehand, logs in with GitHub.
//!
//! Who that is stands in the setting `allowed` and nowhere else: nobody becomes
//! the owner by being the first to log in. The user's id is GitHub's numeric id,
//! because a log-in name can be given up and taken by somebody else.

mod account;
mod allowed;
mod owner;
mod settings;
mod sign_in;
mod tokens;

use vestibule_sdk::{
    ApiKey, Credential, Decision, Description, Error, GrantSource, Identity, Login, Plugin,
    ProposedGrants, Request, Secret, Session, Setting, SettingType, TokenProvider, UserAuth,
    export,
    login::{Callback, LogOutRedirect, LogOutRequest, LoginRequest, LoginStep, SessionSelector},
    oauth::Margin,
    token_provider::{ProviderResult, ProviderToken, Renewal, TokenError},
};

use account::Account;
use settings::{API_URL, BASE_URL, Settings};

/// The strategy that lets one person in.
pub struct SingleUser;

impl Plugin for SingleUser {
    fn describe() -> Description {
        Description {
            aliases: vec!["single_user_github".into(), "su".into()],
            settings: described_settings(),
            grants: ProposedGrants {
                http: vec![GrantSource::setting("base_url"), GrantSource::setting("api_url")],
                token_store: vec![tokens::NAME.into(), owner::NAME.into()],
                ..ProposedGrants::none()
            },
            log_in: Some("Sign in with GitHub".into()),
            providers: vec![tokens::NAME.into()],
            ..Description::new(
                "su-github",
                env!("CARGO_PKG_VERSION"),
                "One person, known beforehand, logs in with GitHub",
            )
        }
    }

    fn check_settings() -> Result<(), String> {
        settings::check()
    }
}

fn described_settings() -> Vec<Setting> {
    let url = |name, default: &str, help| Setting {
        default: Some(format!("{default:?}")),
        ..Setting::new(name, SettingType::Url, help)
    };
    [
        Setting {
            environment: vec!["SU_GITHUB_ALLOWED".into()],
            ..Setting::required(
                "allowed",
                SettingType::Text,
                "The one account that may come in: its numeric id, or its log-in name",
            )
        },
        Setting {
            aliases: vec!["github_client_id".into()],
            environment: vec!["GITHUB_OAUTH_CLIENT_ID".into()],
            ..Setting::required(
                "client_id",
                SettingType::Text,
                "The client id of the OAuth app or GitHub App",
            )
        },
        Setting {
            aliases: vec!["github_client_secret".into()],
            secret: true,
            environment: vec!["GITHUB_OAUTH_CLIENT_SECRET".into()],
            ..Setting::required(
                "client_secret",
                SettingType::Text,
                "The client secret of the OAuth app or GitHub App",
            )
        },
        Setting {
            default: Some("[]".into()),
            ..Setting::new(
                "scopes",
                SettingType::Texts,
                "The scopes that an OAuth app asks for; a GitHub App has permissions instead",
            )
        },
        url("base_url", BASE_URL, "Where GitHub is, for GitHub Enterprise Server"),
        url("api_url", API_URL, "Where its API is; https://HOST/api/v3 for Enterprise Server"),
    ]
    .into_iter()
    .chain(Margin::settings())
    .collect()
}

impl UserAuth for SingleUser {
    fn authenticate(request: Request) -> Result<Decision, Error> {
        let who = match request.credential {
            Credential::Absent => return Ok(Decision::anonymous()),
            Credential::Session(presented) => of_session(&Settings::read()?, &presented.session),
            Credential::ApiKey(key) => of_key(&Settings::read()?, key),
            Credential::Bearer(_) => {
                Err(Error::unauthenticated("there is nobody who could have issued a bearer token"))
            }
        };
        who.map(Decision::authenticated)
    }

    fn restore(user_id: Option<String>, last_known: Option<Identity>) -> Result<Identity, Error> {
        let who = last_known.filter(|who| who.user_id == user_id);
        owned(&Settings::read()?, who)
    }
}

/// Whose session it is, without a word to GitHub.
fn of_session(settings: &Settings, session: &Session) -> Result<Identity, Error> {
    let account = Account::recall(&session.data, settings.host())
        .ok_or_else(|| Error::unauthenticated("the session is of another GitHub"))?;
    if settings.allowed()?.admits(account.id, &account.login) {
        Ok(account.into_identity())
    } else {
        Err(Error::unauthenticated("the session is of somebody who is no longer allowed"))
    }
}

fn of_key(settings: &Settings, key: ApiKey) -> Result<Identity, Error> {
    owned(settings, key.owner)
}

/// The identity, where it is that of the one person.
fn owned(settings: &Settings, who: Option<Identity>) -> Result<Identity, Error> {
    let who = who.ok_or_else(|| Error::unauthenticated("they have never logged in"))?;
    let id = who.user_id.as_ref().and_then(|id| id.parse().ok());
    match id {
        Some(id) if settings.allowed()?.admits(id, account::login_of(&who)) => Ok(who),
        _ => Err(Error::unauthenticated("it belongs to somebody who is not allowed")),
    }
}

impl Login for SingleUser {
    fn begin(request: LoginRequest) -> Result<LoginStep, Error> {
        sign_in::begin(&Settings::read()?, &request.attempt)
    }

    fn complete(callback: Callback) -> Result<LoginStep, Error> {
        sign_in::complete(&Settings::read()?, &callback)
    }

    fn log_out(_: LogOutRequest) -> Result<Option<LogOutRedirect>, Error> {
        Ok(None)
    }

    fn back_channel(_: Secret) -> Result<Vec<SessionSelector>, Error> {
        Err(Error::unauthenticated("GitHub sends no log-out tokens"))
    }
}

impl TokenProvider for SingleUser {
    fn get_token(
        user_id: Option<String>,
        provider: String,
        renewal: Renewal,
    ) -> Result<Option<ProviderToken>, TokenError> {
        tokens::get(user_id.as_deref(), &provider, renewal)
    }

    fn list_tokens(user_id: Option<String>) -> Vec<ProviderResult> {
        tokens::list(user_id.as_deref())
    }

    fn revoke_token(user_id: Option<String>, name: String) -> Result<(), TokenError> {
        tokens::revoke(user_id.as_deref(), &name)
    }
}

export!(SingleUser);
