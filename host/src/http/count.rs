//! Where a request comes from, and how often an address may ask and be refused.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::{Extensions, HeaderMap, request::Parts};

use super::Problem;
use crate::{config::Server, host::Host, limit::Who};

/// More addresses than any chain of proxies has.
const MAX_HOPS: usize = 16;

/// Where a request comes from; not known without a socket.
#[derive(Clone, Copy)]
pub(super) struct Peer(Option<IpAddr>);

impl Peer {
    pub(super) fn of(parts: &Parts, server: &Server) -> Self {
        Self(
            socket(&parts.extensions)
                .map(|peer| client(peer, &parts.headers, server).unwrap_or(peer)),
        )
    }

    pub(super) fn address(self) -> Option<IpAddr> {
        self.0
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

impl FromRequestParts<Host> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, host: &Host) -> Result<Self, Infallible> {
        Ok(Self::of(parts, &host.config().server))
    }
}

/// Whether the other end of the connection is a proxy of the operator's.
pub(super) fn is_from_trusted_proxy(extensions: &Extensions, server: &Server) -> bool {
    socket(extensions).is_some_and(|peer| server.trusts(peer))
}

fn socket(extensions: &Extensions) -> Option<IpAddr> {
    let info = extensions.get::<ConnectInfo<SocketAddr>>();
    info.map(|ConnectInfo(address)| address.ip().to_canonical())
}

/// The address that the last proxy of the operator's saw: what stands left of it,
/// anybody can have written. What cannot be read says nothing.
fn client(peer: IpAddr, headers: &HeaderMap, server: &Server) -> Option<IpAddr> {
    if !server.trusts(peer) {
        return None;
    }
    let mut hops = Vec::new();
    for line in headers.get_all("x-forwarded-for") {
        for hop in line.to_str().ok()?.split(',') {
            if hops.len() == MAX_HOPS {
                return None;
            }
            hops.push(hop.trim().parse::<IpAddr>().ok()?.to_canonical());
        }
    }
    let foreign = hops.iter().rev().find(|hop| !server.trusts(**hop));
    foreign.or_else(|| hops.first()).copied()
}
