//! How often an address may ask, and may be refused.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::request::Parts;

use super::Problem;
use crate::{host::Host, limit::Who};

/// Where a request comes from; not known without a socket.
#[derive(Clone, Copy)]
pub(super) struct Peer(Option<IpAddr>);

impl Peer {
    pub(super) fn of(parts: &Parts) -> Self {
        let info = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Self(info.map(|ConnectInfo(address)| address.ip().to_canonical()))
    }

    /// Finds out who is calling, where the address has not asked too often.
    pub(super) async fn asks<T>(
        self,
        host: &Host,
        who: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        if let Some(address) = self.0 {
            host.count(&Who::Address(address)).map_err(Problem::too_many)?;
        }
        who.await.map_err(|problem| self.refused(host, problem))
    }

    /// Counts what is bad. Who presents something good is answered whatever others
    /// from there present.
    pub(super) fn refused(self, host: &Host, problem: Problem) -> Problem {
        match self.0 {
            Some(address) if problem.is_refusal() => {
                host.count(&Who::Refused(address)).map_or_else(Problem::too_many, |()| problem)
            }
            _ => problem,
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}
