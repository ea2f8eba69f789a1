//! Where the server's certificate comes from, and who keeps it fresh while the server runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use tokio::task::JoinSet;

use crate::cluster::client::connect;
use crate::cluster::managed::{self, DEFAULT_INTERVAL, Managed};
use crate::service::Metrics;
use crate::tls::files::PairFiles;
use crate::tls::follower::{self, Follower};
use crate::tls::lifetimes::Lifetimes;
use crate::tls::resolver::Resolver;
use crate::tls::self_signed::{SelfSigned, VALID_DAYS};

/// Flags of the server's own certificate.
#[derive(Debug, clap::Args)]
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

    /// Sign certificates with an authority of our own, kept in a Secret that replicas share, and keep the caBundle of the
    /// webhook configuration right
    #[arg(long, requires = "own_namespace", conflicts_with_all = ["tls_cert", "tls_key", "tls_self_signed"], help_heading = "TLS")]
    tls_managed: bool,
    /// The Secret of --tls-managed, in our own namespace
    #[arg(long, value_name = "NAME", default_value = "apportion-tls", help_heading = "TLS")]
    tls_managed_secret: String,
    /// The Service that the API server calls, in our own namespace; --tls-managed signs for its names
    #[arg(long, value_name = "NAME", default_value = "apportion", help_heading = "TLS")]
    tls_service: String,
    /// The `MutatingWebhookConfiguration` whose caBundle --tls-managed keeps right
    #[arg(long, value_name = "NAME", default_value = "apportion", help_heading = "TLS")]
    webhook_configuration: String,
    /// Seconds that the authority of --tls-managed lives; to try rollovers out
    #[arg(long, value_name = "SECONDS", requires = "tls_managed", hide = true)]
    tls_managed_ca_seconds: Option<u32>,
    /// Seconds that certificates of --tls-managed live; to try renewals out
    #[arg(long, value_name = "SECONDS", requires = "tls_managed", hide = true)]
    tls_managed_leaf_seconds: Option<u32>,
}

impl CertificateArgs {
    /// What listeners show, as the flags ask for. What keeps it fresh is one of `tasks`. `namespace` is our own.
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
                    namespace.context("--tls-managed needs to know our own namespace: set POD_NAMESPACE")?;
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
            // Nothing that lives for seconds may wait a minute to be renewed.
            interval: DEFAULT_INTERVAL.min(lifetimes.leaf() / 12),
            lifetimes,
        })
    }

    fn self_signed(&self, metrics: &Metrics) -> anyhow::Result<Arc<Resolver>> {
        let made = SelfSigned::issue(&[], Timestamp::now())?;
        if let Some(file) = &self.tls_self_signed_ca {
            std::fs::write(file, &made.ca_pem)
                .with_context(|| format!("cannot write {} (--tls-self-signed-ca)", file.display()))?;
        }
        tracing::warn!("serving with a certificate of my own, for trials: it ends in {VALID_DAYS} days");
        metrics.certificate_ends(made.material.not_after().as_second());
        Ok(Resolver::new(made.material))
    }
}

fn from_files(files: PairFiles, metrics: &Arc<Metrics>, tasks: &mut JoinSet<()>) -> anyhow::Result<Arc<Resolver>> {
    let follower = Follower::start(files)?;
    let resolver = follower.resolver();
    metrics.certificate_ends(follower.not_after().as_second());
    let metrics = Arc::clone(metrics);
    tasks.spawn(follower.follow(follower::DEFAULT_INTERVAL, move |renewed| {
        if let Ok(end) = renewed {
            metrics.certificate_ends(end.as_second());
        }
    }));
    Ok(resolver)
}

/// Serves from the start, and shows a certificate as soon as there is one that callers trust.
fn managed(
    client: kube::Client,
    settings: &managed::Settings,
    metrics: &Arc<Metrics>,
    tasks: &mut JoinSet<()>,
) -> Arc<Resolver> {
    let managed = Managed::new(client, settings);
    let resolver = managed.resolver();
    let metrics = Arc::clone(metrics);
    tasks.spawn(managed.follow(move |ends| {
        metrics.certificate_ends(ends.leaf.as_second());
        metrics.authority_ends(ends.authority.as_second());
    }));
    resolver
}
