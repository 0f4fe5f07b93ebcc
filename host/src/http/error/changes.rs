//! What keeps an operator's change from taking place, as problems.

use http::StatusCode;

use super::Problem;
use crate::host::StartError;

impl From<StartError> for Problem {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Store(error) => error.into(),
            StartError::Engine(error) => {
                Self::unavailable("the engine cannot do this now").because(error.to_string())
            }
            // Whoever reads it looks after the server, and the text says what to do.
            error => Self::telling(StatusCode::CONFLICT, error.to_string()),
        }
    }
}
