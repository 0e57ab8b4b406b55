//! What each fuzz target does with its bytes (SUP-3). `crates/core/tests/fuzz.rs` runs the same over
//! the seeds and over random bytes, so that no target rots between two nights.

use std::net::IpAddr;

use keyward_core::address::{self, Networks, parse_network};
use keyward_core::decide;
use keyward_core::jwt::{self, Compact, SIGNATURE_LEN};
use keyward_core::right::{Resource, Right, RightSet};
use keyward_core::token::{self, AccessKey, MAX_LEN, Prefixes};

/// A body.
pub(crate) type Body = fn(&[u8]);

/// Every target by the name of its folder of seeds.
pub(crate) const TARGETS: [(&str, Body); 6] = [
    ("token", token),
    ("jwt", jwt),
    ("right", right),
    ("networks", networks),
    ("end_client", end_client),
    ("path_matches", path_matches),
];

/// Credentials: what parses is whole, and no other spelling of it parses to another key.
pub(crate) fn token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let prefixes = Prefixes::default();
    if let Some(key) = AccessKey::parse(text) {
        assert_eq!(key.to_string(), text);
    }
    let Some(parsed) = token::parse(text, &prefixes) else { return };
    assert_eq!(parsed.expose(), text);
    assert!(text.len() <= MAX_LEN && text.starts_with(prefixes.of(parsed.class)));
    assert!(text.contains(parsed.access_key.digits()));
    for at in 0..text.len() {
        let mut other = text.as_bytes().to_vec();
        other[at] ^= 1;
        let other = String::from_utf8(other).expect("ASCII stays ASCII");
        assert!(token::parse(&other, &prefixes).is_none(), "one changed character passes: {other}");
        assert!(token::parse(&text[..at], &prefixes).is_none(), "a cut token passes");
    }
}

/// Access tokens: what parses is in one piece, and what it says can be written and read again.
pub(crate) fn jwt(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(token) = Compact::parse(text) else { return };
    assert!(jwt::is_compact(text) && text.len() <= jwt::MAX_LEN);
    assert_eq!(token.signature.len(), SIGNATURE_LEN);
    assert!(text.starts_with(token.signed));
    for at in 0..text.len() {
        assert!(Compact::parse(&text[..at]).is_none(), "a cut token passes");
    }
    let Some(claims) = token.claims() else { return };
    let again = jwt::finish(jwt::signing_input(token.algorithm, &token.kid, &claims), &token.signature);
    let read = Compact::parse(&again).and_then(|token| token.claims());
    assert!(again.len() > jwt::MAX_LEN || read.as_ref() == Some(&claims), "{again}");
}

/// Rights, two by line: written and read again they are the same, and what both hold each holds.
pub(crate) fn right(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (first, second) = text.split_once('\n').unwrap_or((text, "**:*"));
    if let Ok(resource) = first.parse::<Resource>() {
        assert_eq!(resource.to_string().parse(), Ok(resource.clone()));
        assert!(resource.covers(&resource));
    }
    let Ok(a) = first.parse::<Right>() else { return };
    assert_eq!(a.to_string().parse(), Ok(a.clone()));
    assert!(a.covers(&a));
    let Ok(b) = second.parse::<Right>() else { return };
    if let Some(both) = a.intersect(&b) {
        assert!(a.covers(&both) && b.covers(&both), "{both} is more than {a} and {b}");
    }
    let everything = RightSet::everything();
    assert_ne!(everything.covers(&a), a.is_reserved(), "{a}");
    let set: RightSet = [a.clone(), b.clone()].into_iter().collect();
    assert!(set.covers(&a) && set.covers(&b) && set.intersect(&set) == set);
}

/// Networks: one that parses is written back as such and holds its own address.
pub(crate) fn networks(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(network) = parse_network(text) else { return };
    assert_eq!(parse_network(&network.to_string()), Ok(network));
    let list: Networks = [network].into_iter().collect();
    // An IPv4 address in IPv6 clothes is judged as the IPv4 address.
    if network.addr() == network.addr().to_canonical() {
        assert!(list.contains(network.addr()), "{network}");
    }
}

/// Forwarded addresses, the peer in the first line: nobody but a trusted proxy is believed.
pub(crate) fn end_client(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let Some(peer) = lines.next().and_then(|line| line.parse::<IpAddr>().ok()) else { return };
    let hops: Vec<&str> = lines.collect();
    let trusted: Networks = ["127.0.0.0/8", "::1/128", "10.0.0.0/8"]
        .iter()
        .map(|text| parse_network(text).expect("a network"))
        .collect();
    let client = address::end_client(peer, hops.iter().copied(), &trusted);
    if !trusted.contains(peer) || hops.is_empty() {
        assert_eq!(client, Some(peer.to_canonical()), "an untrusted peer is itself");
    }
}

/// A pattern and a path by line: only plain paths match, each its own spelling and `/**`.
pub(crate) fn path_matches(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (pattern, path) = text.split_once('\n').unwrap_or(("/**", text));
    let plain = path.starts_with('/') && !decide::is_ambiguous(path);
    assert!(plain || !decide::path_matches(pattern, path), "an ambiguous path matches");
    assert_eq!(decide::path_matches(path, path), plain);
    assert_eq!(decide::path_matches("/**", path), plain);
}
