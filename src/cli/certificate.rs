//! Where the server's certificate comes from, and who keeps it fresh while the server runs.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use tokio::task::JoinHandle;

use crate::service::Metrics;
use crate::tls::files::PairFiles;
use crate::tls::follower::{DEFAULT_INTERVAL, Follower};
use crate::tls::resolver::Resolver;
use crate::tls::self_signed::{SelfSigned, VALID_DAYS};

/// Flags of the server's own certificate.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_field_names, reason = "the fields are named as their flags")]
pub struct CertificateArgs {
    /// PEM file with the server's certificate and its issuers; read again when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = "TLS")]
    tls_cert: Option<PathBuf>,
    /// PEM file with the certificate's key
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = "TLS")]
    tls_key: Option<PathBuf>,
    /// Make a certificate for this run, to try things out
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key"], help_heading = "TLS")]
    tls_self_signed: bool,
    /// Write the authority of --tls-self-signed here, for clients to trust
    #[arg(long, value_name = "FILE", requires = "tls_self_signed", help_heading = "TLS")]
    tls_self_signed_ca: Option<PathBuf>,
}

/// What listeners serve with.
pub struct Certificate {
    /// The certificate that is shown now.
    pub resolver: Arc<Resolver>,
    /// What keeps it fresh; to be aborted when serving ends.
    pub renewals: Option<JoinHandle<()>>,
}

impl CertificateArgs {
    /// The certificate that the flags ask for. Must be called in a runtime, which renewals then run in.
    pub fn start(&self, metrics: &Arc<Metrics>) -> anyhow::Result<Certificate> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => from_files(
                PairFiles {
                    cert: cert.clone(),
                    key: key.clone(),
                },
                metrics,
            ),
            _ if self.tls_self_signed => self.self_signed(metrics),
            _ => {
                bail!(
                    "the webhook needs a certificate: give --tls-cert and --tls-key, or --tls-self-signed for a trial"
                )
            }
        }
    }

    fn self_signed(&self, metrics: &Metrics) -> anyhow::Result<Certificate> {
        let made = SelfSigned::issue(&[], Timestamp::now())?;
        if let Some(file) = &self.tls_self_signed_ca {
            std::fs::write(file, &made.ca_pem)
                .with_context(|| format!("cannot write {} (--tls-self-signed-ca)", file.display()))?;
        }
        tracing::warn!("serving with a certificate of my own, for trials: it ends in {VALID_DAYS} days");
        metrics.certificate_ends(made.material.not_after().as_second());
        Ok(Certificate {
            resolver: Resolver::new(made.material),
            renewals: None,
        })
    }
}

fn from_files(files: PairFiles, metrics: &Arc<Metrics>) -> anyhow::Result<Certificate> {
    let follower = Follower::start(files)?;
    let resolver = follower.resolver();
    metrics.certificate_ends(resolver.not_after().as_second());
    let metrics = Arc::clone(metrics);
    let renewals = follower.follow(DEFAULT_INTERVAL, move |renewed| {
        if let Ok(end) = renewed {
            metrics.certificate_ends(end.as_second());
        }
    });
    Ok(Certificate {
        resolver,
        renewals: Some(tokio::spawn(renewals)),
    })
}
