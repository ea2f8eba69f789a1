//! How a listener speaks TLS: versions, protocols, and whose client certificates it believes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{Error as PemError, PemObject};

use super::resolver::Resolver;

/// TLS for one listener.
#[derive(Clone, Debug)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    checks_clients: bool,
}

/// Why a listener cannot speak TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerTlsError {
    /// The file of client authorities cannot be read as PEM.
    #[error("cannot read certificates from {}: {source}; check {CLIENT_CA_FLAG}", file.display())]
    Authorities {
        /// Which file.
        file: PathBuf,
        /// What the reader met.
        source: PemError,
    },
    /// The file of client authorities holds none.
    #[error("{} holds no certificate; {CLIENT_CA_FLAG} must name the authority of client certificates", file.display())]
    NoAuthority {
        /// Which file.
        file: PathBuf,
    },
    /// An authority that cannot be one.
    #[error("{} holds a certificate that cannot be an authority: {source}; check {CLIENT_CA_FLAG}", file.display())]
    Authority {
        /// Which file.
        file: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
    /// The authorities are good, a verifier of them is not.
    #[error("cannot check client certificates against {}: {source}; check {CLIENT_CA_FLAG}", file.display())]
    Verifier {
        /// Which file.
        file: PathBuf,
        /// What rustls says.
        source: VerifierBuilderError,
    },
    /// The cryptography that this program is built with lacks a version of TLS.
    #[error("cannot speak TLS 1.2 and 1.3: {0}; this is a fault of the build")]
    Versions(rustls::Error),
}

/// The flag that names the authority of client certificates.
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

    /// The same, for clients alone that show a certificate signed by an authority in `authorities` (PEM). Every holder
    /// of such a certificate may ask, so the authority should sign for nothing else: not the cluster's own.
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

    /// What rustls serves with.
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// Whether clients without a certificate are turned away.
    pub fn checks_clients(&self) -> bool {
        self.checks_clients
    }
}

/// Named here and not installed for the process: a library that installs another must not change what we speak.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

type Versions = rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier>;

/// 1.2 is what kube-apiserver and kube-scheduler ask for at least; 1.3 is what they get.
fn versions(provider: &Arc<CryptoProvider>) -> Result<Versions, ServerTlsError> {
    ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(ServerTlsError::Versions)
}

fn finish(mut config: ServerConfig) -> Arc<ServerConfig> {
    // The apiserver offers only http/1.1 except to loopback, the scheduler prefers h2: without both, one of them fails.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // client-go keeps no sessions, so a ticket is CPU and bytes for nothing in every handshake. A resumed session would
    // also skip the check of the client's certificate, and live on after its authority was replaced.
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
    fn a_file_without_an_authority_is_named_with_its_flag() {
        let issued = SelfSigned::issue(&[], Timestamp::now()).unwrap();
        let resolver = Resolver::new(issued.material);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("clients.crt");
        let said = |resolver| ServerTls::for_clients_of(resolver, &file).unwrap_err().to_string();
        assert!(said(Arc::clone(&resolver)).ends_with("; check --extender-client-ca"));
        std::fs::write(&file, &issued.key_pem).unwrap();
        assert!(
            said(Arc::clone(&resolver)).contains("clients.crt holds no certificate; --extender-client-ca must name")
        );
        std::fs::write(&file, &issued.ca_pem).unwrap();
        assert!(ServerTls::for_clients_of(resolver, &file).unwrap().checks_clients());
    }
}
