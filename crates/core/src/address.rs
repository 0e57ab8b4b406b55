//! Addresses and networks (X6, KEY-13): lists in CIDR form, and who the end client is.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A list of networks; IPv4-mapped IPv6 addresses count as the IPv4 address inside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Networks(Vec<IpNet>);

/// Why a text is no network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidNetwork {
    /// Neither an address nor `address/prefix length`.
    Syntax,
    /// Bits are set behind the prefix; holds the network that was probably meant.
    HostBits(IpNet),
}

impl fmt::Display for InvalidNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax => f.write_str("expected a network such as 192.0.2.0/24 or 2001:db8::/32"),
            Self::HostBits(meant) => write!(f, "bits are set behind the prefix; did you mean {meant}?"),
        }
    }
}

impl std::error::Error for InvalidNetwork {}

/// Reads one network; a bare address is the network of that one host.
///
/// # Errors
/// [`InvalidNetwork`] for bad syntax and for host bits, which are more often a slip than a wish.
pub fn parse_network(text: &str) -> Result<IpNet, InvalidNetwork> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    let network = IpNet::from_str(text).map_err(|_| InvalidNetwork::Syntax)?;
    if network.trunc() != network {
        return Err(InvalidNetwork::HostBits(network.trunc()));
    }
    Ok(network)
}

/// The network of what is one site: a /24 of IPv4, a /48 of IPv6.
#[must_use]
pub fn site_of(address: IpAddr) -> IpNet {
    let address = address.to_canonical();
    let bits = if address.is_ipv4() { 24 } else { 48 };
    IpNet::new(address, bits).map_or_else(|_| address.into(), |network| network.trunc())
}

impl Networks {
    /// Whether the address is in one of the networks.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Each network, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = &IpNet> {
        self.0.iter()
    }

    /// Whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<IpNet> for Networks {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

impl Serialize for Networks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(ToString::to_string))
    }
}

impl<'de> Deserialize<'de> for Networks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<String>::deserialize(deserializer)?
            .iter()
            .map(|text| parse_network(text).map_err(|why| serde::de::Error::custom(format!("{text}: {why}"))))
            .collect()
    }
}

/// Whom failures of an address count for: itself, or for IPv6 the network of 64 bits, which one client
/// has to itself.
#[must_use]
pub fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        address @ IpAddr::V4(_) => address,
    }
}

/// The end client's address: the peer, unless the peer is a trusted proxy; then the rightmost
/// address of `X-Forwarded-For` that is not itself a trusted proxy.
///
/// `None` when a trusted proxy sent something that is no address: a condition on the address then
/// fails closed.
#[must_use]
pub fn end_client<'a>(
    peer: IpAddr,
    forwarded_for: impl DoubleEndedIterator<Item = &'a str>,
    trusted: &Networks,
) -> Option<IpAddr> {
    let mut client = peer.to_canonical();
    for hop in forwarded_for.rev() {
        if !trusted.contains(client) {
            break;
        }
        client = parse_hop(hop.trim())?;
    }
    Some(client)
}

/// An address as proxies write it: bare, in brackets, or with a port.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    hop.parse::<IpAddr>()
        .or_else(|_| hop.parse::<std::net::SocketAddr>().map(|socket| socket.ip()))
        .or_else(|_| hop.trim_start_matches('[').trim_end_matches(']').parse())
        .ok()
        .map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn networks(texts: &[&str]) -> Networks {
        texts.iter().map(|text| parse_network(text).expect("a network")).collect()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn x6_networks_of_both_families() {
        let list = networks(&["192.0.2.0/24", "2001:db8::/32", "198.51.100.7"]);
        for (address, inside) in [
            ("192.0.2.200", true),
            ("192.0.3.1", false),
            ("2001:db8:1::1", true),
            ("2001:db9::1", false),
            ("198.51.100.7", true),
            ("198.51.100.8", false),
            ("::ffff:192.0.2.9", true),
        ] {
            assert_eq!(list.contains(ip(address)), inside, "{address}");
        }
    }

    #[test]
    fn host_bits_and_nonsense_are_refused() {
        let meant = "10.0.0.0/8".parse().expect("a network");
        assert_eq!(parse_network("10.1.2.3/8"), Err(InvalidNetwork::HostBits(meant)));
        for text in ["", "10.0.0.0/33", "10.0.0/8", "example.com", "10.0.0.0/8 "] {
            assert_eq!(parse_network(text), Err(InvalidNetwork::Syntax), "{text}");
        }
    }

    #[test]
    fn key_13_forwarded_addresses_count_only_behind_trusted_proxies() {
        let trusted = networks(&["127.0.0.0/8", "10.0.0.0/8"]);
        let find = |peer: &str, list: &[&str]| end_client(ip(peer), list.iter().copied(), &trusted);
        assert_eq!(find("203.0.113.5", &["192.0.2.1"]), Some(ip("203.0.113.5")), "spoofed");
        assert_eq!(find("127.0.0.1", &["192.0.2.1"]), Some(ip("192.0.2.1")));
        assert_eq!(find("127.0.0.1", &["192.0.2.1", "198.51.100.2", "10.0.0.9"]), Some(ip("198.51.100.2")));
        assert_eq!(find("127.0.0.1", &[]), Some(ip("127.0.0.1")));
        assert_eq!(find("127.0.0.1", &["unknown"]), None);
        assert_eq!(find("127.0.0.1", &["192.0.2.1:4711"]), Some(ip("192.0.2.1")));
        assert_eq!(find("127.0.0.1", &["[2001:db8::1]"]), Some(ip("2001:db8::1")));
    }

    proptest! {
        #[test]
        fn key_13_an_untrusted_peer_is_itself_whatever_it_claims(claims in prop::collection::vec(".*", 0..4)) {
            let trusted = networks(&["127.0.0.0/8"]);
            let peer = ip("203.0.113.5");
            prop_assert_eq!(end_client(peer, claims.iter().map(String::as_str), &trusted), Some(peer));
        }
    }
}
