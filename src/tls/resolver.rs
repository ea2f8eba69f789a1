//! The certificate that new connections are shown, replaced whole while others are served.

use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::material::Material;

/// One certificate for every name: what a listener is called is the client's business, checked against the names in the
/// certificate. An apiserver that dials an IP address sends no name at all, so choosing by name would leave it with
/// none.
#[derive(Debug)]
pub struct Resolver {
    current: ArcSwap<Material>,
}

impl Resolver {
    /// Starts with `material`.
    pub fn new(material: Material) -> Arc<Self> {
        Arc::new(Resolver {
            current: ArcSwap::from_pointee(material),
        })
    }

    /// Shows `material` to every connection that begins from now on. Those that have begun keep what they were shown.
    pub fn replace(&self, material: Material) {
        self.current.store(Arc::new(material));
    }

    /// What is shown now.
    pub fn current(&self) -> Arc<Material> {
        self.current.load_full()
    }

    /// Until when what is shown now is valid.
    pub fn not_after(&self) -> Timestamp {
        self.current.load().not_after()
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(self.current.load().certified_key()))
    }
}
