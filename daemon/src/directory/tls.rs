//! TLS towards a directory server: who is believed, and under which name. There is no way to turn the verification
//! off, and nothing below TLS 1.2.

use super::SetupError;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsConnector;
use twinlock_config::{SecretRef, Tls};

/// What it takes to begin TLS with one server.
#[derive(Clone)]
pub(crate) struct TlsIdentity {
    /// Believes the authorities of `tls.ca` only.
    pub(crate) connector: TlsConnector,
    /// What the server's certificate must be made out to: a host name or an address.
    pub(crate) name: ServerName<'static>,
    /// Whether the daemon shows a certificate of its own to servers that ask.
    pub(crate) shows_certificate: bool,
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Reads the authorities, and the daemon's own certificate and key where they are named.
///
/// # Errors
/// A file cannot be read, others can get at the key, or a file does not hold what it should.
pub(crate) fn connector(tls: &Tls) -> Result<TlsConnector, SetupError> {
    let authorities: &Path = &tls.ca;
    let problem = |what: String| SetupError::Authorities { file: authorities.to_owned(), what };
    let certificates = pem(authorities).map_err(problem)?;
    let mut roots = RootCertStore::empty();
    let (believed, _) = roots.add_parsable_certificates(certificates);
    if believed == 0 {
        return Err(problem("no usable certificate is in it".into()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| problem(error.to_string()))?
        .with_root_certificates(roots);
    let config = match (&tls.cert, &tls.key) {
        (Some(certificate), Some(key)) => {
            let (chain, key) = own(certificate, key)?;
            config.with_client_auth_cert(chain, key).map_err(|error| SetupError::Certificate {
                file: certificate.clone(),
                what: format!("it and tls.key do not fit: {error}"),
            })?
        }
        (Some(_), None) | (None, Some(_)) => {
            return Err(problem("tls has only one of cert and key; give both or neither".into()));
        }
        (None, None) => config.with_no_client_auth(),
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

fn own(
    certificate: &Path,
    key: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), SetupError> {
    let problem = |file: &Path, what: String| SetupError::Certificate { file: file.to_owned(), what };
    let chain = pem(certificate).map_err(|what| problem(certificate, what))?;
    if chain.is_empty() {
        return Err(problem(certificate, "no certificate is in it".into()));
    }
    let read = SecretRef::File(key.to_owned()).read().map_err(|error| problem(key, error.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(&read).map_err(|error| problem(key, error.to_string()))?;
    Ok((chain, key))
}

fn pem(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_file_iter(file).and_then(Iterator::collect).map_err(|error| error.to_string())
}
