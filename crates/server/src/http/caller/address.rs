//! Where the end client is.

use std::net::IpAddr;

use http::HeaderMap;
use keyward_core::address::{Networks, end_client};

/// The end client's address; forwarded ones count behind trusted proxies only (KEY-13).
pub(crate) fn client_address(headers: &HeaderMap, peer: IpAddr, trusted: &Networks) -> Option<IpAddr> {
    if !trusted.contains(peer) {
        return Some(peer.to_canonical());
    }
    let forwarded = forwarded_for(headers);
    if forwarded.is_empty()
        && let Some(real) = headers.get("x-real-ip")
    {
        return end_client(peer, std::iter::once(real.to_str().unwrap_or("?")), trusted);
    }
    end_client(peer, forwarded.into_iter(), trusted)
}

/// The same behind a gateway that tells apart from the headers who is connected to it: that is the last hop,
/// whatever the client wrote before.
pub(crate) fn client_behind(
    source: &str,
    headers: &HeaderMap,
    peer: IpAddr,
    trusted: &Networks,
) -> Option<IpAddr> {
    end_client(peer, forwarded_for(headers).into_iter().chain(std::iter::once(source)), trusted)
}

/// The hops as proxies told them, the nearest last.
fn forwarded_for(headers: &HeaderMap) -> Vec<&str> {
    let told = headers.get_all("x-forwarded-for").iter();
    told.flat_map(|value| value.to_str().unwrap_or("?").split(',')).collect()
}
