//! The certificate that new connections are shown, replaced whole while others are served.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::material::Material;

/// One certificate for every name: what a listener is called is the client's business, checked against the names in the
/// certificate. An apiserver that dials an IP address sends no name at all, so choosing by name would leave it with
/// none.
#[derive(Debug)]
pub struct Resolver {
    current: ArcSwapOption<Material>,
}

impl Resolver {
    /// Starts with `material`.
    pub fn new(material: Material) -> Arc<Self> {
        Arc::new(Resolver {
            current: ArcSwapOption::from_pointee(material),
        })
    }

    /// Starts with nothing to show: until there is something, no handshake succeeds.
    pub fn waiting() -> Arc<Self> {
        Arc::new(Resolver {
            current: ArcSwapOption::empty(),
        })
    }

    /// Whether there is nothing to show yet.
    pub fn is_waiting(&self) -> bool {
        self.current.load().is_none()
    }

    /// Shows `material` to every connection that begins from now on. Those that have begun keep what they were shown.
    pub fn replace(&self, material: Material) {
        self.current.store(Some(Arc::new(material)));
    }

    /// What is shown now.
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
