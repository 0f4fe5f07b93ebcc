//! What problems are to whoever counts them.

use http::StatusCode;

use super::Problem;
use crate::{
    identity::RequestId,
    metrics::{Denial, Ending},
};

impl Problem {
    /// How the question who is calling ended.
    pub(in crate::http) fn ending(&self) -> Ending {
        match self.status {
            StatusCode::UNAUTHORIZED => Ending::Unauthenticated,
            StatusCode::FORBIDDEN => Ending::Forbidden,
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Ending::Unavailable,
            status if status.is_client_error() => Ending::Malformed,
            _ => Ending::Broken,
        }
    }

    /// What an operator who looks is told, where somebody was refused: a caller who
    /// presents nothing only learns that there is something to present.
    pub(in crate::http) fn denial(
        &self,
        at: u64,
        id: RequestId,
        route: &'static str,
    ) -> Option<Denial> {
        let tells = self.is_bad_credential()
            || self.status.is_server_error()
            || matches!(self.status, StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS);
        tells.then(|| Denial {
            at,
            request_id: id.to_string(),
            status: self.status.as_u16(),
            route,
            reason: self.reason.clone().unwrap_or_else(|| self.detail.clone().into_owned()),
            user: self.user.as_ref().map(ToString::to_string),
        })
    }
}
