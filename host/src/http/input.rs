//! What the path and the query of a request say. As those of axum, except that
//! what cannot be read is a problem document like any other mistake.

use axum::extract::{self, FromRequestParts};
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::Problem;

/// The parameters of the path.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = extract::Path::from_request_parts(parts, state).await;
        path.map(|extract::Path(path)| Self(path))
            .map_err(|_| Problem::ambiguous("the path is not text in UTF-8"))
    }
}

/// The parameters of the query.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        extract::Query::try_from_uri(&parts.uri).map(|extract::Query(query)| Self(query)).map_err(
            |_| {
                Problem::ambiguous(
                    "a parameter of the query is missing, repeated, or of another type",
                )
            },
        )
    }
}
