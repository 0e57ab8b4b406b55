//! A receiver of webhooks: by the path of its URL it takes, refuses, hangs, or never ends.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;

use crate::support::{Place, wait_until};

/// A request that came.
#[derive(Clone, Debug)]
pub(super) struct Got {
    pub(super) path: String,
    headers: Vec<(String, String)>,
    pub(super) body: String,
    pub(super) at: Instant,
}

impl Got {
    pub(super) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a body is JSON")
    }

    pub(super) fn id(&self) -> String {
        self.header("webhook-id").to_owned()
    }

    fn signatures(&self, version: &str) -> Vec<Vec<u8>> {
        let all = self.header("webhook-signature").split(' ').filter_map(|one| one.split_once(','));
        let own = all.filter(|(known, _)| *known == version);
        own.map(|(_, text)| STANDARD.decode(text).expect("base64")).collect()
    }

    fn signed(&self) -> Vec<u8> {
        format!("{}.{}.{}", self.id(), self.header("webhook-timestamp"), self.body).into_bytes()
    }

    /// Whether one of the signatures `v1` is by this secret.
    pub(super) fn is_by(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("a secret")).expect("base64");
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        self.signatures("v1").iter().any(|tag| hmac::verify(&key, &self.signed(), tag).is_ok())
    }

    /// Whether one of the signatures `v1a` fits this public key.
    pub(super) fn fits(&self, public: &str) -> bool {
        let key = STANDARD.decode(public.strip_prefix("whpk_").expect("a public key")).expect("base64");
        let key = UnparsedPublicKey::new(&ED25519, &key);
        self.signatures("v1a").iter().any(|signature| key.verify(&self.signed(), signature).is_ok())
    }

    /// How many signatures there are of `v1` and `v1a`.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.signatures("v1").len(), self.signatures("v1a").len())
    }

    /// The same with something else in its place.
    pub(super) fn tampered(&self, header: &str, value: &str) -> Self {
        let mut other = self.clone();
        match other.headers.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(header)) {
            Some(found) => found.1 = value.into(),
            None => other.body = value.into(),
        }
        other
    }
}

/// A receiver that lives as long as the test.
pub(super) struct Receiver {
    address: SocketAddr,
    secure: bool,
    got: Arc<Mutex<Vec<Got>>>,
    /// Whether `/down` answers 500.
    down: Arc<AtomicBool>,
}

impl Receiver {
    pub(super) fn open() -> Self {
        Self::start(None)
    }

    /// One that speaks TLS by a certificate for 127.0.0.1; returns the file of that, too.
    pub(super) fn open_secure(place: &Place) -> (Self, PathBuf) {
        let file = |name: &str| place.folder.path().join(name);
        let (cert, key) = (file("hook.crt"), file("hook.key"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
            .args(["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
            .args([&key, &PathBuf::from("-out"), &cert])
            .output()
            .expect("openssl runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let chain = vec![CertificateDer::from_pem_file(&cert).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_file(&key).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("they fit");
        (Self::start(Some(Arc::new(config))), cert)
    }

    fn start(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let got = Arc::new(Mutex::new(Vec::new()));
        let down = Arc::new(AtomicBool::new(true));
        let receiver = Self { address, secure: tls.is_some(), got: got.clone(), down: down.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (got, tls, down) = (got.clone(), tls.clone(), down.clone());
                std::thread::spawn(move || match tls {
                    None => serve(stream, address, &got, &down),
                    Some(config) => {
                        let session = rustls::ServerConnection::new(config).expect("a session");
                        serve(rustls::StreamOwned::new(session, stream), address, &got, &down);
                    }
                });
            }
        });
        receiver
    }

    /// From now on `/down` takes what comes.
    pub(super) fn come_back(&self) {
        self.down.store(false, Ordering::Relaxed);
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http{}://{}{path}", if self.secure { "s" } else { "" }, self.address)
    }

    /// Everything that came, in the order of its coming.
    pub(super) fn got(&self) -> Vec<Got> {
        self.got.lock().expect("no test panics while it holds this lock").clone()
    }

    /// What came to a path.
    pub(super) fn at(&self, path: &str) -> Vec<Got> {
        self.got().into_iter().filter(|got| got.path == path).collect()
    }

    /// Waits until so many came to a path.
    #[track_caller]
    pub(super) fn wait_for(&self, path: &str, count: usize) -> Vec<Got> {
        wait_until(|| self.at(path).len() >= count);
        self.at(path)
    }
}

fn serve(stream: impl Read + Write, address: SocketAddr, got: &Mutex<Vec<Got>>, down: &AtomicBool) {
    let mut stream = BufReader::new(stream);
    let Some(request) = read(&mut stream) else { return };
    let path = request.path.clone();
    let known = {
        let mut got = got.lock().expect("no test panics while it holds this lock");
        let known = got.iter().any(|earlier| earlier.path == path && earlier.id() == request.id());
        got.push(request);
        known
    };
    let path = if path == "/down" && down.load(Ordering::Relaxed) { "/fail" } else { &path };
    let _ = answer(stream.get_mut(), path, known, address);
}

fn read(stream: &mut impl std::io::BufRead) -> Option<Got> {
    let mut lines = stream.lines();
    let path = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
    let mut headers = Vec::new();
    for line in lines.by_ref() {
        let line = line.ok()?;
        match line.split_once(": ") {
            Some((name, value)) => headers.push((name.to_owned(), value.to_owned())),
            None => break,
        }
    }
    let mut got = Got { path, headers, body: String::new(), at: Instant::now() };
    let length = got.header("content-length").parse().ok()?;
    stream.take(length).read_to_string(&mut got.body).ok()?;
    Some(got)
}

fn answer(stream: &mut impl Write, path: &str, known: bool, address: SocketAddr) -> std::io::Result<()> {
    let with = |stream: &mut dyn Write, head: &str, body: &[u8]| {
        let length = body.len();
        write!(stream, "HTTP/1.1 {head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
        stream.write_all(body)?;
        stream.flush()
    };
    match path.split('/').nth(1).unwrap_or_default() {
        "slow" => std::thread::sleep(Duration::from_secs(60)),
        "endless" => {
            write!(stream, "HTTP/1.1 200 OK\r\n\r\n")?;
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
        }
        "redirect" => with(stream, &format!("302 Found\r\nLocation: http://{address}/ok"), b"")?,
        "gone" => with(stream, "410 Gone", b"no more")?,
        "busy" => with(stream, "503 Busy\r\nRetry-After: 3600", b"later")?,
        "fail" => with(stream, "500 Error", b"\x1b[31mno\x00\r\nway\xe2\x80\xae")?,
        "long" => with(stream, "200 OK", &[b'y'; 5_000])?,
        "second" if !known => with(stream, "500 Error", b"not yet")?,
        "break" => {}
        _ => with(stream, "200 OK", b"taken")?,
    }
    Ok(())
}
