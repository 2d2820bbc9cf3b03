//! A server's URL, read once at start: where it is and how the way there is protected. A URL that would send a
//! password in the clear over a network is refused here.

use super::SetupError;
use super::tls::TlsIdentity;
use rustls::pki_types::ServerName;
use std::ffi::OsString;
use std::net::IpAddr;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use tokio_rustls::TlsConnector;
use twinlock_config::{Tls, TlsMode};
use url::{Host, Url};

/// Where a server is.
#[derive(Debug, Clone)]
pub(crate) enum Endpoint {
    /// `ldaps://` and `ldap://`.
    Tcp {
        /// A host name or an address without brackets.
        host: String,
        /// 636 and 389 where the URL names none.
        port: u16,
        /// How the connection is protected.
        protection: Protection,
    },
    /// `ldapi://`: a Unix socket on this host.
    Unix(PathBuf),
}

/// How a TCP connection is protected.
#[derive(Debug, Clone)]
pub(crate) enum Protection {
    /// TLS from the first byte.
    Tls(TlsIdentity),
    /// TLS after a StartTLS request.
    StartTls(TlsIdentity),
    /// Not at all; only loopback addresses are connected to.
    LoopbackOnly,
}

impl Endpoint {
    /// Whether the daemon proves there who it is by its certificate.
    pub(crate) const fn shows_certificate(&self) -> bool {
        match self {
            Self::Tcp { protection: Protection::Tls(identity) | Protection::StartTls(identity), .. } => {
                identity.shows_certificate
            }
            Self::Tcp { protection: Protection::LoopbackOnly, .. } | Self::Unix(_) => false,
        }
    }

    /// Whether TLS protects the way there.
    pub(crate) const fn is_over_tls(&self) -> bool {
        matches!(self, Self::Tcp { protection: Protection::Tls(_) | Protection::StartTls(_), .. })
    }

    /// Reads a URL. `connector` makes what TLS needs and is called only where TLS is used.
    ///
    /// # Errors
    /// [`SetupError::Server`] with the remedy.
    pub(crate) fn read(
        text: &str,
        tls: &Tls,
        connector: impl FnOnce() -> Result<TlsConnector, SetupError>,
    ) -> Result<Self, SetupError> {
        let mode = tls.mode;
        let problem = |what: &str| SetupError::Server { url: text.to_owned(), what: what.to_owned() };
        if text.starts_with("ldapi:") {
            return socket_path(text).map(Self::Unix).ok_or_else(|| {
                problem("write the socket's path with every / as %2F, as in ldapi://%2Frun%2Fslapd%2Fldapi")
            });
        }
        let url =
            Url::parse(text).map_err(|_| problem("it is no URL; write ldaps://host or ldaps://host:port"))?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || !url.username().is_empty() {
            return Err(problem("only a host and a port may stand in it; the search base belongs in `base`"));
        }
        let host = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            Some(Host::Domain(_)) | None => return Err(problem("it names no host")),
        };
        let identity = |connector: Result<TlsConnector, SetupError>| {
            let name = ServerName::try_from(host.clone())
                .map_err(|_| problem("its host is neither a DNS name nor an address"))?;
            Ok(TlsIdentity { connector: connector?, name, shows_certificate: tls.cert.is_some() })
        };
        let (port, protection) = match (url.scheme(), mode) {
            ("ldaps", TlsMode::Ldaps | TlsMode::Starttls) => (636, Protection::Tls(identity(connector())?)),
            ("ldap", TlsMode::Starttls) => (389, Protection::StartTls(identity(connector())?)),
            ("ldap", TlsMode::None) if may_be_loopback(&host) => (389, Protection::LoopbackOnly),
            ("ldap", TlsMode::None) => {
                return Err(problem("tls.mode = \"none\" is only for ldapi:// and loopback addresses"));
            }
            ("ldap", TlsMode::Ldaps) => {
                return Err(problem("it has no TLS; write ldaps://, or set tls.mode = \"starttls\""));
            }
            ("ldaps", TlsMode::None) => {
                return Err(problem("tls.mode is \"none\"; leave it out, or set it to \"ldaps\""));
            }
            _ => return Err(problem("write ldaps://, ldap:// or ldapi://")),
        };
        Ok(Self::Tcp { host, port: url.port().unwrap_or(port), protection })
    }
}

fn may_be_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The percent-decoded, absolute path of an `ldapi://` URL.
fn socket_path(text: &str) -> Option<PathBuf> {
    let encoded = text.strip_prefix("ldapi://")?;
    let encoded = encoded.strip_suffix('/').unwrap_or(encoded);
    let mut path = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            path.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        path.push(digit()? << 4 | digit()?);
    }
    let sound = path.first() == Some(&b'/') && !path.contains(&0);
    sound.then(|| PathBuf::from(OsString::from_vec(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, mode: TlsMode) -> Result<Endpoint, SetupError> {
        let tls = Tls { mode, ..Tls::default() };
        Endpoint::read(text, &tls, || super::super::tls::connector(&tls))
    }

    #[test]
    fn a_socket_path_is_decoded() {
        assert_eq!(socket_path("ldapi://%2Frun%2fa%20b/"), Some("/run/a b".into()));
        assert_eq!(socket_path("ldapi:///run/slapd/ldapi"), Some("/run/slapd/ldapi".into()));
        for odd in
            ["ldapi://", "ldapi:///", "ldapi://run", "ldapi://%2", "ldapi://%2Fa%00", "ldapi://%2Fa%zz"]
        {
            assert!(socket_path(odd).is_none_or(|path| path.as_os_str() == "/"), "{odd}");
        }
    }

    #[test]
    fn a_password_is_never_to_cross_a_network_in_the_clear() {
        for (url, mode) in [
            ("ldap://ldap.example.org", TlsMode::None),
            ("ldap://ldap.example.org", TlsMode::Ldaps),
            ("ldap://192.0.2.1", TlsMode::None),
            ("ldaps://127.0.0.1", TlsMode::None),
        ] {
            assert!(read(url, mode).is_err(), "{url}");
        }
        for url in ["ldap://127.0.0.1:3890", "ldap://[::1]", "ldap://localhost"] {
            assert!(matches!(
                read(url, TlsMode::None),
                Ok(Endpoint::Tcp { protection: Protection::LoopbackOnly, .. })
            ));
        }
    }

    #[test]
    fn an_address_is_reached_and_verified_as_that_address() {
        for (url, host) in [("ldaps://[::1]:6360", "::1"), ("ldaps://192.0.2.1", "192.0.2.1")] {
            let Ok(Endpoint::Tcp { host: read, protection: Protection::Tls(identity), .. }) =
                read(url, TlsMode::Ldaps)
            else {
                panic!("{url}")
            };
            assert_eq!(read, host);
            assert_eq!(identity.name, ServerName::IpAddress(host.parse::<IpAddr>().unwrap().into()));
        }
    }

    #[test]
    fn what_is_no_server_is_refused_with_its_remedy() {
        for url in
            ["", "ldap", "ldap:foo", "ldaps://", "ldaps:///dc=x", "ldaps://h/dc=x", "http://h", "ldaps://u@h"]
        {
            let message = read(url, TlsMode::Ldaps).unwrap_err().to_string();
            assert!(message.contains(url), "{message}");
        }
    }
}
