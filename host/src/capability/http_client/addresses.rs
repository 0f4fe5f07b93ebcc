//! Which addresses a granted name may stand for.
//!
//! The answer of the look-up is checked and then connected to, so that no second
//! answer can take its place. An origin whose host is an address was granted as
//! that address, and never comes here.

use std::{
    error::Error,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
    vec,
};

use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tower::Service;

use crate::capability::LookUp;

/// Metadata that is not link-local: of Alibaba Cloud and of Azure.
const METADATA_V4: [[u8; 4]; 2] = [[100, 100, 100, 200], [168, 63, 129, 16]];

/// Metadata among unique local addresses: of Amazon and of Google.
const METADATA_V6: [[u16; 8]; 2] =
    [[0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]];

/// Looks names up, and keeps back the addresses that they may not stand for.
#[derive(Clone)]
pub(super) struct Resolver {
    system: GaiResolver,
    stand_in: Option<LookUp>,
}

impl Resolver {
    pub(super) fn new(stand_in: Option<LookUp>) -> Self {
        Self { system: GaiResolver::new(), stand_in }
    }
}

impl Service<Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.system.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let host = name.as_str().to_owned();
        let system = self.stand_in.is_none().then(|| self.system.call(name));
        let stand_in = self.stand_in.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = match (system, stand_in) {
                (Some(system), _) => system.await?.collect(),
                // The connector puts the port in.
                (None, Some(look_up)) => {
                    look_up(&host).into_iter().map(|address| (address, 0).into()).collect()
                }
                (None, None) => Vec::new(),
            };
            let (open, kept_back): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|found| may_stand_for(&host, found.ip()));
            match kept_back.first() {
                Some(address) if open.is_empty() => {
                    Err(Forbidden { host, address: address.ip() }.into())
                }
                _ => Ok(open.into_iter()),
            }
        })
    }
}

/// A name stands for nothing but addresses that it may not stand for.
#[derive(Debug)]
pub(super) struct Forbidden {
    pub(super) host: String,
    pub(super) address: IpAddr,
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, which a name may not stand for", self.host, self.address)
    }
}

impl Error for Forbidden {}

/// Whether a name that the operator granted may stand for this address.
///
/// It may for one of a private network, because that is where the servers of
/// many a company are. It may not for this machine, unless the name says so
/// itself, and never for what has a meaning of its own: the address of a cloud's
/// metadata, a whole network, everybody.
fn may_stand_for(host: &str, address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => may_stand_for_v4(host, address),
        IpAddr::V6(address) => match embedded(address) {
            Some(inner) => may_stand_for_v4(host, inner),
            None if address.is_loopback() => is_local_name(host),
            // Global unicast without its special parts, and unique local.
            None if METADATA_V6.contains(&address.segments()) => false,
            None => is_global_v6(address) || address.is_unique_local(),
        },
    }
}

fn may_stand_for_v4(host: &str, address: Ipv4Addr) -> bool {
    if address.is_loopback() {
        return is_local_name(host);
    }
    let special = match address.octets() {
        // "This network", IETF assignments, benchmarks, and all from 224 on:
        // multicast, reserved, broadcast (RFC 6890).
        [0 | 224..=255, ..] | [192, 0, 0, _] | [198, 18 | 19, ..] => true,
        octets => {
            METADATA_V4.contains(&octets) || address.is_link_local() || address.is_documentation()
        }
    };
    !special
}

/// A name that means this machine (RFC 6761 section 6.3).
fn is_local_name(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    host == "localhost" || host.ends_with(".localhost")
}

/// The IPv4 address that a translator would make of it (RFC 6052, RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let four = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => Some(four(high, low)),
        _ => None,
    }
}

fn is_global_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // IETF assignments with Teredo in them, and documentation.
        [0x2001, 0..=0x01ff | 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => false,
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(host: &str, address: &str) -> bool {
        may_stand_for(host, address.parse().unwrap())
    }

    #[test]
    fn a_name_may_stand_for_public_and_private_addresses() {
        for address in [
            "140.82.121.4",
            "10.0.0.1",
            "172.16.3.4",
            "192.168.65.2",
            "100.64.0.7",
            "2606:50c0:8000::153",
            "fd00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::8c52:7904",
        ] {
            assert!(may("idp.example", address), "{address}");
        }
    }

    #[test]
    fn only_a_local_name_may_stand_for_this_machine() {
        for address in ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"] {
            assert!(!may("idp.example", address), "{address}");
            assert!(!may("localhost.example", address), "{address}");
            assert!(!may("notlocalhost", address), "{address}");
            assert!(may("localhost", address), "{address}");
            assert!(may("idp.localhost", address), "{address}");
        }
    }

    #[test]
    fn no_name_may_stand_for_what_has_a_meaning_of_its_own() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "100.100.100.200",
            "168.63.129.16",
            "fd00:ec2::254",
            "fd20:ce::254",
            "192.0.0.192",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "::ffff:169.254.169.254",
            "::ffff:0:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "2002:a9fe:a9fe::1",
        ] {
            assert!(!may("idp.example", address), "{address}");
            assert!(!may("localhost", address), "{address}");
        }
    }
}
