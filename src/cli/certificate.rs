//! The source of the server certificate, and its renewal while the server runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use tokio::task::JoinSet;

use crate::cluster::api::connect;
use crate::cluster::managed::{self, DEFAULT_INTERVAL, Managed};
use crate::service::Metrics;
use crate::tls::files::PairFiles;
use crate::tls::follower::{self, Follower};
use crate::tls::lifetimes::Lifetimes;
use crate::tls::resolver::Resolver;
use crate::tls::self_signed::{SelfSigned, VALID_DAYS};

/// Flags of the server certificate.
#[derive(Debug, clap::Args)]
pub struct CertificateArgs {
    /// PEM file with the server certificate and its issuers; reloaded when it changes
    #[arg(long, value_name = "FILE", requires = "tls_key", help_heading = "TLS")]
    tls_cert: Option<PathBuf>,
    /// PEM file with the private key of the certificate
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = "TLS")]
    tls_key: Option<PathBuf>,
    /// Issue a certificate for this run, for trials
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key"], help_heading = "TLS")]
    tls_self_signed: bool,
    /// Write the CA of --tls-self-signed to this file, for clients to trust
    #[arg(long, value_name = "FILE", requires = "tls_self_signed", help_heading = "TLS")]
    tls_self_signed_ca: Option<PathBuf>,

    /// Issue certificates from a CA in a Secret that replicas share, and keep the caBundle of the
    /// webhook configuration up to date
    #[arg(long, requires = "own_namespace", conflicts_with_all = ["tls_cert", "tls_key", "tls_self_signed"], help_heading = "TLS")]
    tls_managed: bool,
    /// The Secret of --tls-managed, in the namespace of this process
    #[arg(long, value_name = "NAME", default_value = "apportion-tls", help_heading = "TLS")]
    tls_managed_secret: String,
    /// The Service that the API server calls, in the namespace of this process; --tls-managed
    /// issues certificates for its names
    #[arg(long, value_name = "NAME", default_value = "apportion", help_heading = "TLS")]
    tls_service: String,
    /// The `MutatingWebhookConfiguration` whose caBundle --tls-managed keeps up to date
    #[arg(long, value_name = "NAME", default_value = "apportion", help_heading = "TLS")]
    webhook_configuration: String,
    /// Lifetime of the CA of --tls-managed in seconds, to test rotations
    #[arg(long, value_name = "SECONDS", requires = "tls_managed", hide = true)]
    tls_managed_ca_seconds: Option<u32>,
    /// Lifetime of the certificates of --tls-managed in seconds, to test renewals
    #[arg(long, value_name = "SECONDS", requires = "tls_managed", hide = true)]
    tls_managed_leaf_seconds: Option<u32>,
}

impl CertificateArgs {
    /// The certificate of the listeners. One of `tasks` renews it. `namespace` is our own.
    pub async fn start(
        &self,
        namespace: Option<&str>,
        metrics: &Arc<Metrics>,
        tasks: &mut JoinSet<()>,
    ) -> anyhow::Result<Arc<Resolver>> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => from_files(
                PairFiles {
                    cert: cert.clone(),
                    key: key.clone(),
                },
                metrics,
                tasks,
            ),
            _ if self.tls_managed => {
                let namespace =
                    namespace.context("--tls-managed needs the namespace of this process: set POD_NAMESPACE")?;
                let client = connect().await?;
                Ok(managed(client, &self.managed(namespace)?, metrics, tasks))
            }
            _ if self.tls_self_signed => self.self_signed(metrics),
            _ => bail!(
                "the webhook needs a certificate: give --tls-cert and --tls-key, --tls-managed in a cluster, or \
                 --tls-self-signed for a trial"
            ),
        }
    }

    fn managed(&self, namespace: &str) -> anyhow::Result<managed::Settings> {
        let seconds = |flag: Option<u32>, default| flag.map_or(default, |seconds| Duration::from_secs(seconds.into()));
        let usual = Lifetimes::default();
        let lifetimes = Lifetimes::new(
            seconds(self.tls_managed_ca_seconds, usual.ca()),
            seconds(self.tls_managed_leaf_seconds, usual.leaf()),
        )?;
        Ok(managed::Settings {
            namespace: namespace.to_owned(),
            secret: self.tls_managed_secret.clone(),
            service: self.tls_service.clone(),
            configuration: self.webhook_configuration.clone(),
            // Certificates with a lifetime of seconds cannot wait a minute for renewal.
            interval: DEFAULT_INTERVAL.min(lifetimes.leaf() / 12),
            lifetimes,
        })
    }

    fn self_signed(&self, metrics: &Metrics) -> anyhow::Result<Arc<Resolver>> {
        let issued = SelfSigned::issue(&[], Timestamp::now())?;
        if let Some(file) = &self.tls_self_signed_ca {
            std::fs::write(file, &issued.ca_pem)
                .with_context(|| format!("cannot write {} (--tls-self-signed-ca)", file.display()))?;
        }
        tracing::warn!("serving with a self-signed certificate, for trials only: it expires in {VALID_DAYS} days");
        metrics.certificate_ends(issued.material.not_after().as_second());
        Ok(Resolver::new(issued.material))
    }
}

fn from_files(files: PairFiles, metrics: &Arc<Metrics>, tasks: &mut JoinSet<()>) -> anyhow::Result<Arc<Resolver>> {
    let follower = Follower::start(files)?;
    let resolver = follower.resolver();
    metrics.certificate_ends(follower.not_after().as_second());
    let metrics = Arc::clone(metrics);
    tasks.spawn(follower.run(follower::DEFAULT_INTERVAL, move |renewed| {
        if let Ok(end) = renewed {
            metrics.certificate_ends(end.as_second());
        }
    }));
    Ok(resolver)
}

/// Handshakes fail until there is a certificate that callers trust.
fn managed(
    client: kube::Client,
    settings: &managed::Settings,
    metrics: &Arc<Metrics>,
    tasks: &mut JoinSet<()>,
) -> Arc<Resolver> {
    let managed = Managed::new(client, settings);
    let resolver = managed.resolver();
    let metrics = Arc::clone(metrics);
    tasks.spawn(managed.run(move |expiry| {
        metrics.certificate_ends(expiry.leaf.as_second());
        metrics.authority_ends(expiry.authority.as_second());
    }));
    resolver
}
