//! A strategy that does what the header `x-script` says, to show what can be done
//! with `http-client`, `jose` and `token-store`, and what cannot.
//!
//! A script is a list of steps in JSON; each answers with a claim of its number.

use vestibule_sdk::{
    Claim, Credential, Decision, Description, Error, Identity, Login, Plugin, Request, Setting,
    SettingType, TokenProvider, UserAuth, export,
};

mod script;
mod tokens;

use script::Stage;

struct Puppet;

impl Plugin for Puppet {
    fn describe() -> Description {
        let secret = Setting::new("client_secret", SettingType::Text, "A secret to be sent.");
        Description {
            headers: vec!["x-script".into()],
            settings: vec![Setting { secret: true, ..secret }],
            ..Description::new("puppet", env!("CARGO_PKG_VERSION"), "Does as it is told")
        }
    }
}

impl UserAuth for Puppet {
    fn authenticate(request: Request) -> Result<Decision, Error> {
        let user = match &request.credential {
            Credential::ApiKey(key) => key.user_id.clone(),
            _ => None,
        };
        let bearer = match request.credential {
            Credential::Bearer(token) => Some(token),
            _ => None,
        };
        let script = request.headers.into_iter().next().flatten();
        let claims = play(script.as_deref().unwrap_or("[]"), bearer)?;
        let user = user.unwrap_or_else(|| "visitor".into());
        Ok(Decision::authenticated(Identity { claims, ..Identity::user(user) }))
    }

    /// The script is the name by which the user was last known.
    fn restore(user_id: Option<String>, last: Option<Identity>) -> Result<Identity, Error> {
        let script = last.and_then(|identity| identity.display_name);
        let claims = play(script.as_deref().unwrap_or("[]"), None)?;
        Ok(Identity { claims, ..Identity::user(user_id.unwrap_or_else(|| "nobody".into())) })
    }
}

fn play(script: &str, bearer: Option<vestibule_sdk::Secret>) -> Result<Vec<Claim>, Error> {
    let steps: Vec<script::Step> = serde_json::from_str(script)
        .map_err(|error| Error::internal(format!("the script: {error}")))?;
    let mut stage = Stage::new(bearer);
    let answers = steps.into_iter().map(|step| stage.play(step)).enumerate();
    Ok(answers.map(|(index, answer)| Claim::new(index.to_string(), answer)).collect())
}

impl Login for Puppet {}
impl TokenProvider for Puppet {}

export!(Puppet);
