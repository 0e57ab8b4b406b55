//! Requests of this server to places that others name (OUT-2, OUT-3): the one client for them.
//!
//! A name is resolved once, every address of it is checked, and the connection goes to one of those that
//! were checked. Nothing follows redirects, nothing asks a proxy, and an answer is bounded in time and size.

pub(crate) mod guard;
mod lookups;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderMap, HeaderValue, USER_AGENT};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use self::guard::{Destination, Rule};
use self::lookups::Lookups;
use crate::config::WebhookSettings;
use crate::error::{Error, Result};

/// Bytes of an answer that are read.
const MOST: usize = 64 << 10;
/// How long one address of several may take to be connected to.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a look at a place may take when it is named.
const LOOK: Duration = Duration::from_secs(5);
const AGENT: &str = concat!("Keyward/", env!("CARGO_PKG_VERSION"));

/// The client.
pub(crate) struct Outbound {
    rules: Vec<Rule>,
    timeout: Duration,
    extra: Vec<CertificateDer<'static>>,
    lookups: Lookups,
    /// Made when it is first needed: who sends nothing does not keep the system's certificates.
    tls: OnceLock<Arc<ClientConfig>>,
}

/// What a place answered.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// As much of the body as came in time and size.
    pub(crate) body: Vec<u8>,
}

impl Outbound {
    /// The client of the settings.
    ///
    /// # Errors
    /// `Error::Startup` when the file of certificates cannot be read.
    pub(crate) fn new(settings: &WebhookSettings) -> Result<Self> {
        let extra = certificates(settings.ca_file.as_deref(), "webhooks.ca_file")?;
        Ok(Self {
            rules: settings.allow.clone(),
            timeout: settings.timeout,
            extra,
            lookups: Lookups::default(),
            tls: OnceLock::new(),
        })
    }

    /// Refuses a place that a tenant must not have reached. A name that resolves to nothing now may do so later,
    /// and is looked at again then.
    ///
    /// # Errors
    /// A sentence about what may not be reached.
    pub(crate) async fn examine(&self, tenant: &str, place: &Destination) -> Result<(), String> {
        let found = tokio::time::timeout(LOOK, self.resolve(tenant, place)).await;
        let addresses = found.ok().and_then(Result::ok).unwrap_or_default();
        place.check(&addresses, &self.rules)
    }

    /// Sends a body by POST for a tenant.
    ///
    /// # Errors
    /// A sentence about why there was no answer.
    pub(crate) async fn post(
        &self,
        tenant: &str,
        place: &Destination,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Reply, String> {
        self.post_by(place, headers, body, || self.resolve(tenant, place)).await
    }

    /// Every address of a place.
    async fn resolve(&self, tenant: &str, place: &Destination) -> io::Result<Vec<IpAddr>> {
        match place.literal {
            Some(literal) => Ok(vec![literal]),
            None => self.lookups.find(tenant, &place.host, place.port).await,
        }
    }

    /// The same by another way to resolve: one that can be asked only once.
    async fn post_by<F>(
        &self,
        place: &Destination,
        headers: HeaderMap,
        body: Bytes,
        resolve: impl FnOnce() -> F,
    ) -> Result<Reply, String>
    where
        F: Future<Output = io::Result<Vec<IpAddr>>>,
    {
        let request = request(place, headers, body)?;
        let mut tasks = JoinSet::new();
        let head = async {
            let addresses = resolve().await.map_err(|why| format!("{} is not found: {why}", place.host))?;
            if addresses.is_empty() {
                return Err(format!("{} has no address", place.host));
            }
            place.check(&addresses, &self.rules)?;
            let stream = connect(&addresses, place.port).await?;
            self.exchange(place, stream, request, &mut tasks).await
        };
        let deadline = tokio::time::Instant::now() + self.timeout;
        let head = tokio::time::timeout_at(deadline, head).await;
        let answer = head.map_err(|_| format!("no answer within {} s", self.timeout.as_secs()))??;
        let (parts, mut rest) = answer.into_parts();
        let mut body = Vec::new();
        // Whoever has answered but not ended by then has answered.
        let _ = tokio::time::timeout_at(deadline, read(&mut rest, &mut body)).await;
        Ok(Reply { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    async fn exchange(
        &self,
        place: &Destination,
        stream: TcpStream,
        request: http::Request<Full<Bytes>>,
        tasks: &mut JoinSet<()>,
    ) -> Result<http::Response<Incoming>, String> {
        if !place.secure {
            return talk(stream, request, tasks).await;
        }
        let name = ServerName::try_from(place.host.clone()).map_err(|why| why.to_string())?;
        let stream = TlsConnector::from(self.tls()?).connect(name, stream).await;
        talk(stream.map_err(|why| format!("TLS: {why}"))?, request, tasks).await
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, String> {
        if let Some(config) = self.tls.get() {
            return Ok(config.clone());
        }
        let config = tls_client(&self.extra)?;
        Ok(self.tls.get_or_init(|| config).clone())
    }
}

/// TLS that trusts what the system trusts, and these certificates.
///
/// # Errors
/// A sentence about why there is none.
pub(crate) fn tls_client(extra: &[CertificateDer<'static>]) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Verifier::new_with_extra_roots(extra.to_vec(), provider.clone());
    let verifier = verifier.map_err(|why| format!("the certificates of the system: {why}"))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| why.to_string())?
        // The verifier of the platform, which is stricter than none and knows the system's roots.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The certificates of a file that a setting names.
///
/// # Errors
/// `Error::Startup` when it cannot be read.
pub(crate) fn certificates(file: Option<&Path>, setting: &str) -> Result<Vec<CertificateDer<'static>>> {
    let Some(file) = file else { return Ok(Vec::new()) };
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|why| Error::Startup(format!("{setting} {}: {why}", file.display())))
}

fn request(
    place: &Destination,
    headers: HeaderMap,
    body: Bytes,
) -> Result<http::Request<Full<Bytes>>, String> {
    let mut request = http::Request::post(&place.target)
        .body(Full::new(body))
        .map_err(|why| format!("this cannot be asked for: {why}"))?;
    *request.headers_mut() = headers;
    let host = HeaderValue::from_str(place.authority()).map_err(|why| why.to_string())?;
    request.headers_mut().insert(HOST, host);
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
    Ok(request)
}

/// A connection to the first address that takes one.
async fn connect(addresses: &[IpAddr], port: u16) -> Result<TcpStream, String> {
    let mut last = String::new();
    for address in addresses {
        match tokio::time::timeout(CONNECT, TcpStream::connect(SocketAddr::new(*address, port))).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(why)) => last = format!("no connection: {why}"),
            Err(_) => last = format!("no connection within {} s", CONNECT.as_secs()),
        }
    }
    Err(last)
}

/// Sends the request over a connection; what drives that ends with `tasks`.
async fn talk<S>(
    stream: S,
    request: http::Request<Full<Bytes>>,
    tasks: &mut JoinSet<()>,
) -> Result<http::Response<Incoming>, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let broken = |why: hyper::Error| format!("the connection broke: {why}");
    let (mut sender, connection) =
        http1::Builder::new().max_buf_size(MOST).handshake(TokioIo::new(stream)).await.map_err(broken)?;
    tasks.spawn(async move {
        // Whoever waits for the answer hears of it.
        let _ = connection.await;
    });
    sender.send_request(request).await.map_err(broken)
}

/// Reads a body as far as anybody is interested in it.
async fn read(from: &mut Incoming, body: &mut Vec<u8>) {
    while let Some(Ok(frame)) = from.frame().await {
        if let Some(part) = frame.data_ref() {
            body.extend_from_slice(&part[..part.len().min(MOST - body.len())]);
        }
        if body.len() == MOST {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const METADATA: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));

    fn client(allow: &str, timeout: Duration) -> Outbound {
        let rules = vec![Rule::parse(allow).expect("a rule")];
        Outbound { rules, timeout, extra: Vec::new(), lookups: Lookups::default(), tls: OnceLock::new() }
    }

    /// A place that gives each caller the same bytes; `None` never answers.
    async fn place(answer: Option<&'static [u8]>) -> Destination {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut buffer = [0; 2048];
                let _ = stream.read(&mut buffer).await;
                if let Some(bytes) = answer {
                    let _ = stream.write_all(bytes).await;
                }
                held.push(stream);
            }
        });
        Destination::parse(&format!("http://hooks.test:{port}/hook")).expect("a URL")
    }

    async fn post(client: &Outbound, place: &Destination, found: &[IpAddr]) -> Result<Reply, String> {
        let found = found.to_vec();
        client.post_by(place, HeaderMap::new(), Bytes::from_static(b"{}"), || async { Ok(found) }).await
    }

    #[tokio::test]
    async fn out_2_a_name_that_moves_inside_is_refused_and_what_was_checked_is_called() {
        let client = client("127.0.0.1", Duration::from_secs(5));
        let place = place(Some(b"HTTP/1.1 204 No Content\r\n\r\n")).await;
        assert_eq!(post(&client, &place, &[LOCAL]).await.expect("an answer").status, 204);
        // The next answer of the name server leads to the metadata of the cloud.
        let refused = post(&client, &place, &[METADATA]).await.expect_err("refused");
        assert!(refused.contains("webhooks.allow"), "{refused}");
        assert!(post(&client, &place, &[LOCAL, METADATA]).await.is_err(), "one of several is enough");
        assert!(post(&client, &place, &[]).await.is_err());
    }

    #[tokio::test]
    async fn out_2_a_redirect_is_an_answer_like_any() {
        let client = client("127.0.0.1", Duration::from_secs(5));
        let place = place(Some(
            b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n",
        ))
        .await;
        assert_eq!(post(&client, &place, &[LOCAL]).await.expect("an answer").status, 302);
    }

    #[tokio::test]
    async fn out_3_an_answer_is_bounded_in_time_and_size() {
        let client = client("127.0.0.1", Duration::from_millis(300));
        let silent = place(None).await;
        let late = post(&client, &silent, &[LOCAL]).await.expect_err("no answer");
        assert!(late.contains("no answer within"), "{late}");
        // A body without end has a beginning.
        let endless = place(Some(b"HTTP/1.1 200 OK\r\n\r\nhalf an ans")).await;
        let reply = post(&client, &endless, &[LOCAL]).await.expect("an answer");
        assert_eq!((reply.status, reply.body.as_slice()), (200, &b"half an ans"[..]));
        let large: &'static [u8] =
            Box::leak([b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 300_000]].concat().into_boxed_slice());
        let reply = post(&client, &place(Some(large)).await, &[LOCAL]).await.expect("an answer");
        assert_eq!(reply.body.len(), MOST);
    }
}
