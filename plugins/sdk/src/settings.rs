//! The operator's settings for this strategy, always granted.

pub use crate::bindings::vestibule::auth::settings::all;

use serde::de::DeserializeOwned;

use crate::Error;

/// The settings as a type of the strategy's own.
///
/// The host has checked them against the description and filled in defaults, so
/// that an error here means that the type and the description differ.
pub fn parse<T: DeserializeOwned>() -> Result<T, Error> {
    from_json(&all())
}

fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::Internal(format!("settings: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize, PartialEq)]
    struct Example {
        team: String,
    }

    #[test]
    fn settings_become_the_strategys_own_type() {
        let settings: Example = from_json(r#"{"team":"blue"}"#).expect("settings");
        assert_eq!(settings.team, "blue");
    }

    #[test]
    fn settings_of_another_shape_are_the_strategys_fault() {
        let error = from_json::<Example>("{}").expect_err("no team");
        assert!(matches!(error, Error::Internal(reason) if reason.contains("team")));
    }
}
