//! Where requests of this server may go (OUT-2): public addresses over TLS, and what the operator
//! listed in `webhooks.allow`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use reqwest::Url;

/// Longest URL.
const LONGEST: usize = 2_000;

/// A place that requests go to, read once and in one way only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    /// Name or address, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// Over TLS.
    pub(crate) secure: bool,
    /// The address that stands in the URL in place of a name.
    pub(crate) literal: Option<IpAddr>,
    /// Scheme, host, and port where it is not the usual one.
    pub(crate) origin: String,
    /// Path and query.
    pub(crate) target: String,
}

impl Destination {
    /// Reads a URL as browsers do: `127.1`, `0x7f.1` and `2130706433` are the address that they mean.
    ///
    /// # Errors
    /// A sentence about what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("the URL is longer than {LONGEST} bytes"));
        }
        if text.bytes().any(|byte| byte.is_ascii_control() || byte == b' ' || byte == b'\\') {
            return Err("the URL holds blanks, backslashes or control characters".into());
        }
        let url = Url::parse(text).map_err(|why| format!("this is no URL: {why}"))?;
        let secure = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err("the URL must begin with https://".into()),
        };
        if !url.username().is_empty() || url.password().is_some() || text.contains('@') {
            return Err("the URL must not hold a user name, a password or an @".into());
        }
        if url.fragment().is_some() {
            return Err("the URL must not hold a #".into());
        }
        // The root of all names, written out, is no part of the name in TLS nor in the file of hosts.
        let host =
            url.host_str().unwrap_or_default().trim_matches(['[', ']']).trim_end_matches('.').to_owned();
        let port = url.port_or_known_default().filter(|port| *port != 0).ok_or("the URL has no port")?;
        let target = url.query().map_or(url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        Ok(Self {
            literal: host.parse().ok(),
            host,
            port,
            secure,
            origin: url.origin().ascii_serialization(),
            target,
        })
    }

    /// What stands in the header `Host`.
    pub(crate) fn authority(&self) -> &str {
        self.origin.split_once("://").map_or(&self.origin, |(_, authority)| authority)
    }

    /// Refuses unless every address of this place may be reached; without addresses, where only its
    /// name is known, unless some could be.
    ///
    /// # Errors
    /// A sentence about what may not be reached.
    pub(crate) fn check(&self, addresses: &[IpAddr], rules: &[Rule]) -> Result<(), String> {
        let listed = |address: Option<IpAddr>| rules.iter().any(|rule| rule.covers(self, address));
        if listed(None) {
            return Ok(());
        }
        let usual = self.secure && [443, 8443].contains(&self.port);
        let mut unlisted = addresses.iter().filter(|address| !listed(Some(**address))).peekable();
        if !usual && (unlisted.peek().is_some() || addresses.is_empty()) {
            return Err("only https:// on port 443 or 8443 may be called; the operator can allow more in \
                        webhooks.allow"
                .into());
        }
        if unlisted.all(|address| is_public(*address)) {
            return Ok(());
        }
        // The address itself is nobody's business: it would draw a map of the inside.
        Err(format!(
            "{} is not on the public internet; the operator can allow it in webhooks.allow",
            self.host
        ))
    }
}

/// A place that the operator lets requests go to, also where it is private or unencrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    scope: Scope,
    /// Any port where there is none.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Scope {
    Host(String),
    Network(IpNet),
}

impl Rule {
    /// Reads `hooks.internal`, `hooks.internal:8080`, `10.1.0.0/16`, `10.1.0.0/16:8080`, `fd00::/8` or
    /// `[fd00::/8]:8080`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(network) = network(text) {
            return Some(Self { scope: Scope::Network(network), port: None });
        }
        let (place, port) = match text.rsplit_once(':') {
            Some((place, port)) => (place, Some(port.parse().ok().filter(|port| *port != 0)?)),
            None => (text, None),
        };
        let bare = place.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
        let scope = match network(bare.unwrap_or(place)) {
            Some(network) => Scope::Network(network),
            None => Scope::Host(name(place)?),
        };
        Some(Self { scope, port })
    }

    /// Whether a place falls under this: by its name, where no address is given.
    fn covers(&self, place: &Destination, address: Option<IpAddr>) -> bool {
        let fits = match (&self.scope, address) {
            (Scope::Host(name), None) => *name == place.host,
            (Scope::Network(network), Some(address)) => network.contains(&address),
            _ => false,
        };
        fits && self.port.is_none_or(|port| port == place.port)
    }
}

fn network(text: &str) -> Option<IpNet> {
    let network: IpNet = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()?;
    (network.trunc() == network).then_some(network)
}

/// A host name in the form that URLs are read to: no wildcard, no address in disguise.
fn name(text: &str) -> Option<String> {
    let url = Url::parse(&format!("http://{text}/")).ok()?;
    let is_plain = url.host_str() == Some(text) && !text.starts_with('[') && !text.contains('*');
    (is_plain && text.parse::<IpAddr>().is_err()).then(|| text.to_owned())
}

/// Whether an address belongs to the public internet. What is not known to is not.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// RFC 6890 and the registry behind it.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !matches!(
        (a, b, c),
        // This network, private, loopback, multicast, reserved and broadcast.
        (0 | 10 | 127 | 224..=255, _, _)
            // Shared by carriers (RFC 6598).
            | (100, 64..=127, _)
            // Link-local, where clouds keep their metadata.
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 168, _)
            // Protocol assignments, documentation, relays of 6to4.
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            // Benchmarks and documentation.
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    )
}

/// Global unicast is 2000::/3 alone: that leaves out loopback, IPv4 in any disguise (::ffff:0:0/96,
/// NAT64), unique local, link-local and multicast.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let is_global = a & 0xe000 == 0x2000;
    let is_special = match a {
        // Teredo and other protocol assignments (2001::/23), documentation.
        0x2001 => b < 0x200 || b == 0xdb8,
        // 6to4, and documentation once more (3fff::/20).
        0x2002 => true,
        0x3fff => b < 0x1000,
        _ => false,
    };
    is_global && !is_special
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Destination {
        Destination::parse(text).expect("a URL")
    }

    fn addresses(text: &str) -> Vec<IpAddr> {
        text.split_whitespace().map(|address| address.parse().expect("an address")).collect()
    }

    #[test]
    fn out_2_only_addresses_of_the_public_internet_are_public() {
        let inside = "0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.254 \
            169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.8 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 \
            198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 \
            :: ::1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::7f00:1 64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1::1 100::1 \
            2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:2::1 2001:10::1 2001:db8::1 2002:7f00:1::1 \
            2002:808:808::1 3fff::1 5f00::1 fc00::1 fd12:3456::1 fe80::1 fec0::1 ff02::1";
        for address in addresses(inside) {
            assert!(!is_public(address), "{address}");
        }
        let outside = "1.1.1.1 8.8.8.8 100.63.255.255 100.128.0.1 172.15.255.255 172.32.0.1 192.0.1.1 \
            198.17.255.255 198.20.0.1 223.255.255.255 2001:4860:4860::8888 2606:4700::1111 2a00:1450::1";
        for address in addresses(outside) {
            assert!(is_public(address), "{address}");
        }
    }

    #[test]
    fn out_2_an_address_is_known_in_any_spelling() {
        for form in ["127.1", "127.0.0.1", "0x7f.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.0.0.1."] {
            let place = at(&format!("https://{form}/hook"));
            assert_eq!(place.literal, Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), "{form}");
            assert!(place.check(&addresses("127.0.0.1"), &[]).is_err(), "{form}");
        }
        for form in ["[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[fe80::1]"] {
            let place = at(&format!("https://{form}/hook"));
            let literal = place.literal.expect("an address");
            assert!(place.check(&[literal], &[]).is_err(), "{form}");
        }
        // A name, whatever it resolves to.
        let place = at("https://localhost./hook");
        assert_eq!((place.literal, place.host.as_str()), (None, "localhost"));
        assert!(place.check(&addresses("127.0.0.1 ::1"), &[]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn out_2_no_spelling_of_an_inner_address_passes(bits: u32, form in 0..6) {
            let address = Ipv4Addr::from(bits);
            let [a, b, c, d] = address.octets();
            let host = match form {
                0 => address.to_string(),
                1 => bits.to_string(),
                2 => format!("{bits:#x}"),
                3 => format!("{a}.{}", bits & 0xff_ffff),
                4 => format!("0{a:o}.{b:#x}.0{c:o}.{d}"),
                _ => format!("{a}.{b}.{}.", bits & 0xffff),
            };
            let place = at(&format!("https://{host}/"));
            proptest::prop_assert_eq!(place.literal, Some(IpAddr::V4(address)));
            proptest::prop_assert_eq!(place.check(&[address.into()], &[]).is_ok(), is_public(address.into()));
            let mapped = at(&format!("https://[{}]/", address.to_ipv6_mapped()));
            proptest::prop_assert!(mapped.check(&[mapped.literal.expect("an address")], &[]).is_err());
        }

        #[test]
        fn out_2_any_text_is_a_place_or_refused(text in "(https?://)?\\PC{0,40}") {
            if let Ok(place) = Destination::parse(&text) {
                proptest::prop_assert!(!place.host.contains('@') && place.port != 0);
                proptest::prop_assert!(place.target.starts_with('/') && place.target.is_ascii());
            }
        }
    }

    #[test]
    fn out_2_every_address_counts_not_the_first() {
        let place = at("https://hooks.example.com/a?b=c");
        assert_eq!((place.target.as_str(), place.authority()), ("/a?b=c", "hooks.example.com"));
        assert!(place.check(&addresses("8.8.8.8 2606:4700::1111"), &[]).is_ok());
        for mixed in ["8.8.8.8 10.0.0.1", "10.0.0.1 8.8.8.8", "8.8.8.8 ::1", "8.8.8.8 ::ffff:10.0.0.1"] {
            assert!(place.check(&addresses(mixed), &[]).is_err(), "{mixed}");
        }
    }

    #[test]
    fn out_2_schemes_ports_and_users_are_few() {
        for url in [
            "ftp://example.com/",
            "file:///etc/passwd",
            "gopher://example.com/",
            "https://user@example.com/",
            "https://user:secret@example.com/",
            "https://@example.com/",
            "https://example.com/#part",
            "https://exa mple.com/",
            "https://example.com\\@10.0.0.1/",
            "https://",
            "example.com",
            "https://example.com:0/",
            "https://example.com/\r\nX: y",
        ] {
            assert!(Destination::parse(url).is_err(), "{url}");
        }
        let public = addresses("8.8.8.8");
        for url in ["https://example.com/", "https://example.com:443/", "https://example.com:8443/"] {
            assert!(at(url).check(&public, &[]).is_ok(), "{url}");
        }
        for url in ["http://example.com/", "https://example.com:22/", "http://example.com:8443/"] {
            assert!(at(url).check(&public, &[]).is_err(), "{url}");
            assert!(at(url).check(&[], &[]).is_err(), "{url}");
        }
    }

    #[test]
    fn out_2_the_operator_allows_exact_places() {
        let rules = |text: &str| vec![Rule::parse(text).expect("a rule")];
        let (inside, mixed) = (addresses("10.1.2.3"), addresses("10.1.2.3 10.2.0.1"));
        let plain = at("http://hooks.internal:8080/");
        for rule in ["hooks.internal", "hooks.internal:8080", "10.1.0.0/16", "10.1.2.3:8080", "10.1.2.3"] {
            assert!(plain.check(&inside, &rules(rule)).is_ok(), "{rule}");
        }
        for rule in
            ["hooks.internal:80", "other.internal", "internal", "10.2.0.0/16", "10.1.0.0/16:81", "::/0"]
        {
            assert!(plain.check(&inside, &rules(rule)).is_err(), "{rule}");
        }
        assert!(plain.check(&mixed, &rules("10.1.0.0/16")).is_err(), "every address");
        assert!(plain.check(&[], &rules("10.1.0.0/16")).is_err(), "a name without addresses");
        // What is public and usual needs no rule, and what a rule covers may stand beside it.
        let usual = at("https://hooks.example.com/");
        assert!(usual.check(&addresses("8.8.8.8 10.1.2.3"), &rules("10.1.2.3")).is_ok());
        let local = at("http://[fd00::1]:9000/");
        for rule in ["fd00::/8", "[fd00::/8]:9000", "[fd00::1]:9000", "fd00::1"] {
            assert!(local.check(&addresses("fd00::1"), &rules(rule)).is_ok(), "{rule}");
        }
        for bad in
            ["", "*", "*.example.com", "127.1", "10.0.0.1/8", "host:0", "host:x", "a b", "http://x", "[::1"]
        {
            assert!(Rule::parse(bad).is_none(), "{bad}");
        }
    }
}
