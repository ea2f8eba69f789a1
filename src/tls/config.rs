//! TLS settings of a listener: versions, ALPN, and which client certificates it accepts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{Error as PemError, PemObject};

use super::resolver::Resolver;

/// TLS settings of one listener.
#[derive(Clone, Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    checks_clients: bool,
}

/// Why a listener cannot use TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerTlsError {
    #[error("cannot read certificates from {}: {source}; check {CLIENT_CA_FLAG}", file.display())]
    Authorities { file: PathBuf, source: PemError },
    #[error("{} holds no certificate; {CLIENT_CA_FLAG} must name the CA of client certificates", file.display())]
    NoAuthority { file: PathBuf },
    #[error("{} holds a certificate that cannot be a CA: {source}; check {CLIENT_CA_FLAG}", file.display())]
    Authority { file: PathBuf, source: rustls::Error },
    #[error("cannot check client certificates against {}: {source}; check {CLIENT_CA_FLAG}", file.display())]
    Verifier {
        file: PathBuf,
        source: VerifierBuilderError,
    },
    /// The crypto provider of this build lacks a TLS version.
    #[error("cannot use TLS 1.2 and 1.3: {0}; this build is broken")]
    Versions(rustls::Error),
}

/// The flag that names the CA of client certificates.
pub const CLIENT_CA_FLAG: &str = "--extender-client-ca";

impl ServerTls {
    /// TLS 1.2 and 1.3 with `resolver`'s certificate, for any client.
    pub fn for_any_client(resolver: Arc<Resolver>) -> Result<Self, ServerTlsError> {
        let builder = versions(&provider())?.with_no_client_auth();
        Ok(ServerTls {
            config: finish(builder.with_cert_resolver(resolver)),
            checks_clients: false,
        })
    }

    /// The same, only for clients with a certificate signed by a CA in `authorities` (PEM). Every
    /// holder of such a certificate is accepted, so the CA should sign nothing else; do not use the
    /// cluster's.
    pub fn for_clients_of(resolver: Arc<Resolver>, authorities: &Path) -> Result<Self, ServerTlsError> {
        let provider = provider();
        let roots = Arc::new(roots(authorities)?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .build()
            .map_err(|source| ServerTlsError::Verifier {
                file: authorities.to_owned(),
                source,
            })?;
        let builder = versions(&provider)?.with_client_cert_verifier(verifier);
        Ok(ServerTls {
            config: finish(builder.with_cert_resolver(resolver)),
            checks_clients: true,
        })
    }

    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// Whether clients without a certificate are rejected.
    pub fn checks_clients(&self) -> bool {
        self.checks_clients
    }
}

/// Not installed as the process default: a library that installs another must not change our TLS.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

type Versions = rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier>;

/// kube-apiserver and kube-scheduler require 1.2 at least, and negotiate 1.3.
fn versions(provider: &Arc<CryptoProvider>) -> Result<Versions, ServerTlsError> {
    ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(ServerTlsError::Versions)
}

fn finish(mut config: ServerConfig) -> Arc<ServerConfig> {
    // The apiserver offers only http/1.1 except to loopback, and the scheduler prefers h2: both are
    // needed.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // client-go does not resume sessions, so tickets only cost CPU and bytes. A resumed session
    // would also skip the check of the client certificate, and outlive a replaced CA.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Arc::new(config)
}

fn roots(file: &Path) -> Result<RootCertStore, ServerTlsError> {
    let unreadable = |source| ServerTlsError::Authorities {
        file: file.to_owned(),
        source,
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(unreadable)? {
        let added = roots.add(certificate.map_err(unreadable)?);
        added.map_err(|source| ServerTlsError::Authority {
            file: file.to_owned(),
            source,
        })?;
    }
    if roots.is_empty() {
        return Err(ServerTlsError::NoAuthority { file: file.to_owned() });
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::tls::self_signed::SelfSigned;

    #[test]
    fn the_error_for_a_file_without_a_ca_names_its_flag() {
        let issued = SelfSigned::issue(&[], Timestamp::now()).unwrap();
        let resolver = Resolver::new(issued.material);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("clients.crt");
        let error = |resolver| ServerTls::for_clients_of(resolver, &file).unwrap_err().to_string();
        assert!(error(Arc::clone(&resolver)).ends_with("; check --extender-client-ca"));
        std::fs::write(&file, &issued.key_pem).unwrap();
        assert!(
            error(Arc::clone(&resolver)).contains("clients.crt holds no certificate; --extender-client-ca must name")
        );
        std::fs::write(&file, &issued.ca_pem).unwrap();
        assert!(ServerTls::for_clients_of(resolver, &file).unwrap().checks_clients());
    }
}
