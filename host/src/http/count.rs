//! Where a request comes from, and how often an address may ask and be refused.

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::{Extensions, HeaderMap, request::Parts};

use super::Problem;
use crate::{config::Server, host::Host, identity::RequestId, limit::Who};

/// More addresses than any chain of proxies has.
const MAX_HOPS: usize = 16;

/// Where a request comes from.
#[derive(Clone, Copy)]
pub(super) struct Peer {
    /// Not known without a socket.
    address: Option<IpAddr>,
    request: RequestId,
}

impl Peer {
    pub(super) fn of(parts: &Parts, server: &Server) -> Self {
        let address = socket(&parts.extensions)
            .map(|peer| client(peer, &parts.headers, server).unwrap_or(peer));
        let request = parts.extensions.get().copied().unwrap_or(RequestId::new(0));
        Self { address, request }
    }

    pub(super) fn address(self) -> Option<IpAddr> {
        self.address
    }

    /// The request's id.
    pub(super) fn request(self) -> RequestId {
        self.request
    }

    /// Counts the request as one of somebody's, which are not too many.
    pub(super) fn counts(self, host: &Host, who: &Who) -> Result<(), Problem> {
        host.count(who, self.address, self.request).map_err(Problem::too_many)
    }

    /// Finds out who is calling, where the address has not asked too often.
    pub(super) async fn asks<T>(
        self,
        host: &Host,
        who: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        if let Some(address) = self.address {
            self.counts(host, &Who::Address(address))?;
        }
        who.await.map_err(|problem| self.refused(host, problem))
    }

    /// Counts what is bad. Who presents something good is answered whatever others
    /// from there present.
    pub(super) fn refused(self, host: &Host, problem: Problem) -> Problem {
        match self.address {
            Some(address) if problem.is_refusal() => {
                self.counts(host, &Who::Refused(address)).err().unwrap_or(problem)
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
