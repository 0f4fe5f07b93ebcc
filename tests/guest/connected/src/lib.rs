//! A strategy for tests that need accounts at Git providers: a header says who it is,
//! and all five providers that the SDK knows are at one place, each below its name.

use serde::Deserialize;
use vestibule_sdk::{
    Credential, Decision, Description, Error, GrantSource, Identity, Login, Plugin, ProposedGrants,
    Request, Setting, SettingType, TokenProvider, UserAuth, export,
    oauth::Margin,
    provider_tokens::{GitProvider, ProviderApp},
    secrets, settings,
    token_provider::{ProviderResult, ProviderToken, Renewal, TokenError},
};

const PROVIDERS: [&GitProvider; 5] = [
    &GitProvider::GITHUB,
    &GitProvider::GITLAB,
    &GitProvider::BITBUCKET,
    &GitProvider::FORGEJO,
    &GitProvider::AZURE_DEVOPS,
];

struct Connected;

#[derive(Deserialize)]
struct Settings {
    url: String,
    host: Option<String>,
    renew_percent: i64,
    renew_seconds: i64,
}

impl Plugin for Connected {
    fn describe() -> Description {
        let secret = Setting::required("client_secret", SettingType::Text, "Of every app.");
        let own = [
            Setting::required("url", SettingType::Url, "Where the providers are."),
            Setting::new("host", SettingType::Text, "What their tokens say of that."),
            Setting { secret: true, ..secret },
        ];
        let names = || PROVIDERS.map(|provider| provider.name.to_owned()).to_vec();
        Description {
            headers: vec!["x-user".into()],
            settings: own.into_iter().chain(Margin::settings()).collect(),
            grants: ProposedGrants {
                http: vec![GrantSource::setting("url")],
                token_store: names(),
                ..ProposedGrants::none()
            },
            providers: names(),
            ..Description::new("connected", env!("CARGO_PKG_VERSION"), "Has accounts elsewhere")
        }
    }

    fn check_settings() -> Result<(), String> {
        let settings: Settings = settings::parse().map_err(|error| format!("{error:?}"))?;
        Margin::chosen(settings.renew_percent, settings.renew_seconds).map(drop)
    }
}

impl UserAuth for Connected {
    fn authenticate(request: Request) -> Result<Decision, Error> {
        match (&request.credential, request.header(0)) {
            (Credential::Absent, None) => Ok(Decision::anonymous()),
            (Credential::Absent, Some(user)) => Ok(Decision::authenticated(Identity::user(user))),
            (Credential::ApiKey(key), _) => {
                let owner = key.owner.clone();
                let owner =
                    owner.ok_or_else(|| Error::unauthenticated("a key without an owner"))?;
                Ok(Decision::authenticated(owner))
            }
            _ => Err(Error::unauthenticated("only x-user and keys count here")),
        }
    }

    fn restore(_: Option<String>, last_known: Option<Identity>) -> Result<Identity, Error> {
        last_known.ok_or_else(|| Error::unauthenticated("never seen"))
    }
}

impl Login for Connected {}

impl TokenProvider for Connected {
    fn get_token(
        user: Option<String>,
        provider: String,
        renewal: Renewal,
    ) -> Result<Option<ProviderToken>, TokenError> {
        match PROVIDERS.into_iter().find(|known| known.name == provider) {
            Some(provider) => token(user.as_deref(), provider, renewal),
            None => Ok(None),
        }
    }

    fn list_tokens(user: Option<String>) -> Vec<ProviderResult> {
        let result = |provider: &'static GitProvider| {
            let token = token(user.as_deref(), provider, Renewal::WhenDue).transpose()?;
            Some(ProviderResult { provider: provider.name.into(), token })
        };
        PROVIDERS.into_iter().filter_map(result).collect()
    }
}

fn token(
    user: Option<&str>,
    provider: &'static GitProvider,
    renewal: Renewal,
) -> Result<Option<ProviderToken>, TokenError> {
    let internal = |error: Error| TokenError::Internal(format!("{error:?}"));
    let settings: Settings = settings::parse().map_err(internal)?;
    let secret = secrets::configured("client_secret").map_err(|e| internal(e.into()))?;
    let secret = secret.ok_or_else(|| TokenError::Internal("there is no client secret".into()))?;
    let app = ProviderApp {
        provider,
        base_url: Some(&format!("{}/{}", settings.url.trim_end_matches('/'), provider.name)),
        client_id: "the-app",
        client_secret: &secret,
        host: settings.host.as_deref(),
        margin: Margin::chosen(settings.renew_percent, settings.renew_seconds).unwrap_or_default(),
        spare: None,
    };
    app.token(user, renewal)
}

export!(Connected);
