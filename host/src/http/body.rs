//! JSON documents that callers send, and the one that only says yes.

use axum::{
    Json,
    extract::{FromRequest, Request, rejection::JsonRejection},
};
use serde::{Serialize, de::DeserializeOwned};
use utoipa::ToSchema;

use super::Problem;

/// A JSON document; one that cannot be read is a problem document like any other
/// mistake.
pub(super) struct Document<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Document<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Json::from_request(request, state).await {
            Ok(Json(document)) => Ok(Self(document)),
            Err(rejection) => Err(match rejection {
                // What serde says of a document can quote it, and so a secret.
                JsonRejection::JsonDataError(_) => Problem::unprocessable(
                    "the JSON document lacks a field, or has one of another type",
                ),
                JsonRejection::JsonSyntaxError(_) => {
                    Problem::ambiguous("the body is no JSON document")
                }
                JsonRejection::MissingJsonContentType(_) => Problem::unsupported_media_type(),
                _ => Problem::too_large(),
            }),
        }
    }
}

/// What was asked for is done.
#[derive(Serialize, ToSchema)]
pub(super) struct Done {
    success: bool,
}

impl Done {
    pub(super) fn json() -> Json<Self> {
        Json(Self { success: true })
    }
}
