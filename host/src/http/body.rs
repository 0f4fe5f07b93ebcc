//! JSON documents that callers send, and the one that only says yes.

use std::{fmt, marker::PhantomData};

use axum::{
    Json,
    extract::{FromRequest, Request, rejection::JsonRejection},
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};
use tokio::time::timeout;
use utoipa::ToSchema;

use super::Problem;
use crate::host::Host;

/// A JSON document; one that cannot be read is a problem document like any other
/// mistake, and so is one that dribbles in: it would hold its connection for as long
/// as its sender likes.
pub(super) struct Document<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Host> for Document<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, host: &Host) -> Result<Self, Problem> {
        let patience = host.config().server.body_timeout;
        let document = timeout(patience, Json::from_request(request, host)).await;
        match document.map_err(|_| Problem::too_slow())? {
            Ok(Json(Object(document))) => Ok(Self(document)),
            Err(rejection) => Err(match rejection {
                // What serde says of a document can quote it, and so a secret.
                JsonRejection::JsonDataError(_) => Problem::unprocessable(
                    "the JSON document is no object, lacks a field, or has one of another type",
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

/// A JSON object. By itself, serde takes a list of values for one as well.
#[derive(Debug)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields(PhantomData))
    }
}

struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields)).map(Object)
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
