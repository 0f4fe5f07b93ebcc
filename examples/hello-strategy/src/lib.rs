//! Admits one team: requests whose header `x-team` names the team in the settings.

use vestibule_sdk::{
    Credential, Decision, Description, Error, Identity, Login, Plugin, Request, Setting,
    SettingType, TokenProvider, UserAuth, export, settings,
};

struct Hello;

#[derive(serde::Deserialize)]
struct Settings {
    team: String,
}

impl Plugin for Hello {
    fn describe() -> Description {
        Description {
            headers: vec!["x-team".into()],
            settings: vec![Setting::required("team", SettingType::Text, "Who comes in.")],
            ..Description::new("hello-strategy", "0.1.0", "Admits one team")
        }
    }
}

impl UserAuth for Hello {
    fn authenticate(request: Request) -> Result<Decision, Error> {
        match (&request.credential, request.header(0)) {
            (Credential::Absent, None) => Ok(Decision::anonymous()),
            (Credential::Absent, Some(team)) => Ok(Decision::authenticated(member(team)?)),
            _ => Err(Error::unauthenticated("only x-team counts here")),
        }
    }

    fn restore(user_id: Option<String>, _: Option<Identity>) -> Result<Identity, Error> {
        member(user_id.as_deref().unwrap_or_default())
    }
}

fn member(team: &str) -> Result<Identity, Error> {
    let admitted = team == settings::parse::<Settings>()?.team;
    let identity = admitted.then(|| Identity::user(team));
    identity.ok_or_else(|| Error::unauthenticated("another team"))
}

impl Login for Hello {}
impl TokenProvider for Hello {}

export!(Hello);
