//! For which site a passkey is: told by the configuration, never by a request.

use std::net::IpAddr;

use http::Uri;
use passki::Passki;

use crate::config::ServerSettings;
use crate::error::{Error, Result};

/// What verifies passkeys of this server.
///
/// # Errors
/// 409 `passkeys_not_set_up`, which names the setting.
pub(crate) fn relying_party(server: &ServerSettings) -> Result<Passki> {
    let site = match &server.public_url {
        Some(url) => site_of(url).map_err(|why| format!("server.public_url is {url}: {why}")),
        None => loopback(server),
    };
    let (host, origin) = site.map_err(|why| Error::conflict("passkeys_not_set_up", why))?;
    Ok(Passki::new(&host, &[origin], "Keyward"))
}

/// Host and origin of an address, as browsers write them.
fn site_of(url: &str) -> Result<(String, String), &'static str> {
    let uri: Uri = url.parse().map_err(|_| "this is no address")?;
    let (scheme, host) = (uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default());
    let host = host.to_ascii_lowercase();
    let is_address = host.starts_with('[') || host.parse::<IpAddr>().is_ok();
    if is_address {
        return Err("passkeys are for a name, not for an IP address");
    }
    if scheme != "https" && host != "localhost" {
        return Err("passkeys need https, save for http://localhost");
    }
    let default = if scheme == "https" { 443 } else { 80 };
    let origin = match uri.port_u16().filter(|port| *port != default) {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    };
    Ok((host, origin))
}

/// Without a public address: `localhost`, if that is where the server listens.
fn loopback(server: &ServerSettings) -> Result<(String, String), String> {
    let port = server.listen.port();
    if !server.listen.ip().to_canonical().is_loopback() || port == 0 {
        return Err(
            "server.public_url is empty: passkeys need the name by which browsers reach the server, \
             such as https://keys.example.org"
                .into(),
        );
    }
    let scheme = if server.tls.pair().is_some() { "https" } else { "http" };
    site_of(&format!("{scheme}://localhost:{port}")).map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aut_4_a_site_is_host_and_origin_as_a_browser_writes_them() {
        for (url, host, origin) in [
            ("https://keys.example.org", "keys.example.org", "https://keys.example.org"),
            ("https://Keys.Example.org:443/base", "keys.example.org", "https://keys.example.org"),
            ("https://keys.example.org:8443", "keys.example.org", "https://keys.example.org:8443"),
            ("http://localhost:8700", "localhost", "http://localhost:8700"),
            ("http://localhost:80", "localhost", "http://localhost"),
        ] {
            assert_eq!(site_of(url), Ok((host.into(), origin.into())), "{url}");
        }
        for url in ["https://192.0.2.1", "https://[2001:db8::1]:8443", "http://keys.example.org", "nonsense"]
        {
            assert!(site_of(url).is_err(), "{url}");
        }
    }
}
