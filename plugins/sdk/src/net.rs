//! The contract's addresses as the standard library's, and back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::IpAddress;

impl From<IpAddress> for IpAddr {
    fn from(address: IpAddress) -> Self {
        match address {
            IpAddress::Ipv4(octets) => Ipv4Addr::from(<[u8; 4]>::from(octets)).into(),
            IpAddress::Ipv6(segments) => Ipv6Addr::from(<[u16; 8]>::from(segments)).into(),
        }
    }
}

impl From<IpAddr> for IpAddress {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::Ipv4(address.octets().into()),
            IpAddr::V6(address) => Self::Ipv6(address.segments().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_way_there_and_back() {
        for text in ["192.0.2.7", "2001:db8::7:1", "::ffff:192.0.2.7"] {
            let address: IpAddr = text.parse().expect("an address");
            assert_eq!(IpAddr::from(IpAddress::from(address)), address);
        }
    }
}
