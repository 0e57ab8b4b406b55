//! TLS by rustls; certificate and key are read again when their files change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::error::{Error, Result};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// The certificate in use.
pub(crate) struct Tls {
    cert_file: PathBuf,
    key_file: PathBuf,
    config: ArcSwap<ServerConfig>,
}

impl Tls {
    /// Reads certificate chain and key.
    pub(crate) fn load(cert_file: &Path, key_file: &Path) -> Result<Arc<Self>> {
        let config = read(cert_file, key_file)?;
        Ok(Arc::new(Self {
            cert_file: cert_file.into(),
            key_file: key_file.into(),
            config: ArcSwap::from_pointee(config),
        }))
    }

    /// An acceptor with the certificate of this moment.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }

    /// Reads the files again whenever they change; a pair that does not fit is told and not used.
    pub(crate) async fn follow(self: Arc<Self>) {
        let mut seen = self.stamp();
        loop {
            tokio::time::sleep(LOOK).await;
            let now = self.stamp();
            if now == seen {
                continue;
            }
            match read(&self.cert_file, &self.key_file) {
                Ok(config) => {
                    self.config.store(Arc::new(config));
                    tracing::info!("the certificate was read anew");
                    seen = now;
                }
                Err(error) => {
                    tracing::error!(%error, "the new certificate cannot be used; the old one stays");
                }
            }
        }
    }

    fn stamp(&self) -> [Option<SystemTime>; 2] {
        [&self.cert_file, &self.key_file].map(|path| path.metadata().and_then(|data| data.modified()).ok())
    }
}

fn read(cert_file: &Path, key_file: &Path) -> Result<ServerConfig> {
    let fail =
        |path: &Path, why: &dyn std::fmt::Display| Error::Startup(format!("{}: {why}", path.display()));
    let chain = CertificateDer::pem_file_iter(cert_file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|why| fail(cert_file, &why))?;
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(|why| fail(key_file, &why))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|why| fail(cert_file, &why))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
