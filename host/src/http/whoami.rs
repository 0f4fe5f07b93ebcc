//! `GET /auth/session`: who am I?

use axum::Json;
use serde::Serialize;

use super::Caller;
use crate::identity::{Identity, Outcome};

/// What a caller learns about itself.
#[derive(Debug, Serialize)]
pub(super) struct Session {
    /// Somebody is calling, and not just anybody.
    authenticated: bool,
    /// The caller is the local owner of a strategy without log-in.
    local_owner: bool,
    #[serde(flatten)]
    identity: Identity,
    strategy: String,
}

/// Nobody being logged in is an answer here, not an error.
pub(super) async fn session(caller: Caller) -> Json<Session> {
    let strategy = caller.strategy;
    Json(match caller.outcome {
        Outcome::Anonymous => Session {
            authenticated: false,
            local_owner: false,
            identity: Identity::default(),
            strategy,
        },
        Outcome::Authenticated(identity) => Session {
            authenticated: true,
            local_owner: identity.user_id.is_none(),
            identity,
            strategy,
        },
    })
}
