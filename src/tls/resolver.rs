//! The certificate of new connections, which can be replaced while serving.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::material::Material;

/// Serves one certificate whatever name the client sends; the client checks the names in it. An
/// apiserver that connects to an IP address sends no name, so selecting by name would fail.
#[derive(Debug)]
pub struct Resolver {
    current: ArcSwapOption<Material>,
}

impl Resolver {
    pub fn new(material: Material) -> Arc<Self> {
        Arc::new(Resolver {
            current: ArcSwapOption::from_pointee(material),
        })
    }

    /// Starts without a certificate; handshakes fail until there is one.
    pub fn waiting() -> Arc<Self> {
        Arc::new(Resolver {
            current: ArcSwapOption::empty(),
        })
    }

    /// Whether there is no certificate yet.
    pub fn is_waiting(&self) -> bool {
        self.current.load().is_none()
    }

    /// Uses `material` for new connections.
    pub fn replace(&self, material: Material) {
        self.current.store(Some(Arc::new(material)));
    }

    /// The certificate in use.
    pub fn current(&self) -> Option<Arc<Material>> {
        self.current.load_full()
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current
            .load()
            .as_ref()
            .map(|material| Arc::clone(material.certified_key()))
    }
}
