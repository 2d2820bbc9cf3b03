//! TLS towards a directory server: who is believed, and under which name. There is no way to turn the verification
//! off, and nothing below TLS 1.2.

use super::SetupError;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// What it takes to begin TLS with one server.
#[derive(Clone)]
pub(crate) struct TlsIdentity {
    /// Believes the authorities of `tls.ca` only.
    pub(crate) connector: TlsConnector,
    /// What the server's certificate must be made out to: a host name or an address.
    pub(crate) name: ServerName<'static>,
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Reads the authorities.
///
/// # Errors
/// The file cannot be read or holds no certificate.
pub(crate) fn connector(authorities: &Path) -> Result<TlsConnector, SetupError> {
    let problem = |what: String| SetupError::Authorities { file: authorities.to_owned(), what };
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(authorities)
        .and_then(Iterator::collect)
        .map_err(|error| problem(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    let (believed, _) = roots.add_parsable_certificates(certificates);
    if believed == 0 {
        return Err(problem("no usable certificate is in it".into()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| problem(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
