//! A strategy that misbehaves as the header `x-behave` says, to prove the sandbox.
//!
//! It loads like any other, so that what is tested is the call.

use vestibule_sdk::{
    Decision, Description, Error, Identity, Login, Plugin, Request, Setting, SettingType,
    TokenProvider, UserAuth, export, getrandom, settings,
};

mod behaviour;

struct Hostile;

#[derive(serde::Deserialize)]
struct Settings {
    greeting: String,
}

impl Plugin for Hostile {
    fn describe() -> Description {
        let greeting = Setting::new(
            "greeting",
            SettingType::Text,
            "`refuse`, `panic` and `trap` do what they say.",
        );
        let token =
            Setting::new("token", SettingType::Text, "A secret that the strategy tries to read.");
        Description {
            headers: vec!["x-behave".into()],
            settings: vec![
                Setting { default: Some("\"hello\"".into()), ..greeting },
                Setting { secret: true, environment: vec!["HOSTILE_TOKEN".into()], ..token },
            ],
            ..Description::new("hostile", env!("CARGO_PKG_VERSION"), "Misbehaves as it is told")
        }
    }

    fn check_settings() -> Result<(), String> {
        let settings: Settings = settings::parse().map_err(|error| format!("{error:?}"))?;
        match settings.greeting.as_str() {
            "refuse" => Err("`greeting` is `refuse`; choose a friendlier one".into()),
            "panic" => panic!("panics while it checks its settings, as told"),
            _ => Ok(()),
        }
    }
}

impl UserAuth for Hostile {
    fn authenticate(request: Request) -> Result<Decision, Error> {
        match request.header(0) {
            Some("getrandom") => Ok(Decision::authenticated(draw_by_crate())),
            Some(how) => behaviour::behave(how),
            None => behaviour::behave(usual()),
        }
    }

    fn restore(user_id: Option<String>, _: Option<Identity>) -> Result<Identity, Error> {
        let user_id = user_id.ok_or_else(|| Error::unauthenticated("there is no local owner"))?;
        Ok(Identity::user(user_id))
    }
}

/// What is done of a request that says nothing.
fn usual() -> &'static str {
    match settings::parse::<Settings>() {
        Ok(Settings { greeting }) if greeting == "trap" => "trap",
        _ => "ok",
    }
}

/// Draws by way of the crate that dependencies draw with: more than one number
/// gives, and no multiple of it.
#[cfg(target_family = "wasm")]
fn draw_by_crate() -> Identity {
    let mut bytes = [0; 21];
    let drawn = ::getrandom::fill(&mut bytes);
    behaviour::claims([("drawn", format!("{drawn:?}")), ("bytes", format!("{bytes:02x?}"))])
}

#[cfg(not(target_family = "wasm"))]
fn draw_by_crate() -> Identity {
    behaviour::claims([])
}

impl Login for Hostile {}
impl TokenProvider for Hostile {}

export!(Hostile);
getrandom!();
