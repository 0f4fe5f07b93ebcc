//! Answers with a status of their own that are no problem documents.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use super::CHALLENGE;

/// Nobody is logged in, in the words of the older API.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct NotAuthenticated {
    error: &'static str,
}

/// A 401 in the words of the older API, which deletes the session's cookie.
pub(in crate::http) struct Unauthenticated(pub(in crate::http) &'static str);

impl IntoResponse for Unauthenticated {
    fn into_response(self) -> Response {
        let document = Json(NotAuthenticated { error: "User is not authenticated" });
        let headers = [(header::SET_COOKIE, self.0), (header::WWW_AUTHENTICATE, CHALLENGE)];
        (StatusCode::UNAUTHORIZED, headers, document).into_response()
    }
}

/// A 201 with what was made.
pub(in crate::http) struct Created<T>(pub(in crate::http) T);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, Json(self.0)).into_response()
    }
}
