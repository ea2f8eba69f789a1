//! Certificates without cert-manager: signed here, by a CA that replicas share in a Secret and that
//! the webhook configuration trusts.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::Client;

use super::ca_bundle::{CaBundle, CaBundleError};
use super::ca_secret::{CaSecret, CaSecretError};
use crate::tls::authority::{Authority, Plan};
use crate::tls::leaf::{Leaf, LeafError};
use crate::tls::lifetimes::Lifetimes;
use crate::tls::resolver::Resolver;
use crate::tls::trust::{BundleState, TrustDelay};

/// How often the certificates are checked. A watch reports changes of the configuration sooner.
pub const DEFAULT_INTERVAL: Duration = Duration::from_mins(1);

/// The first wait after an error. It doubles with each further error, up to the interval.
const MIN_RETRY: Duration = Duration::from_secs(1);

/// The least time between two checks. Another writer of the same `caBundle`, such as a leftover CA
/// injector, would answer each of our writes with its own.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// The most steps of one check, if other replicas write first or several steps are due. It takes
/// far fewer.
const MAX_STEPS: usize = 10;

#[derive(Clone, Debug)]
pub struct Settings {
    /// Our own namespace.
    pub namespace: String,
    /// The Secret of the CAs, in that namespace.
    pub secret: String,
    /// The Service that the API server calls, in that namespace.
    pub service: String,
    /// The name of the `MutatingWebhookConfiguration`.
    pub configuration: String,
    pub lifetimes: Lifetimes,
    /// How often the certificates are checked.
    pub interval: Duration,
}

/// When certificates expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The served certificate.
    pub leaf: Timestamp,
    /// The signing CA.
    pub authority: Timestamp,
}

/// Why certificates could not be maintained. The current one stays in use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManagedError {
    #[error(transparent)]
    Secret(#[from] CaSecretError),
    #[error(transparent)]
    Bundle(#[from] CaBundleError),
    #[error("cannot create a CA: {0}")]
    Authority(#[from] rcgen::Error),
    #[error(transparent)]
    Leaf(#[from] LeafError),
    /// Other writers changed it between every read and write.
    #[error("the Secret {secret} changed {MAX_STEPS} times during one check")]
    Contended { secret: String },
}

/// Keeps the certificate of a [`Resolver`] valid.
pub struct Managed {
    secret: CaSecret,
    bundle: CaBundle,
    names: Vec<String>,
    lifetimes: Lifetimes,
    interval: Duration,
    resolver: Arc<Resolver>,
    /// The certificate in use.
    leaf: Option<Leaf>,
    trust: TrustDelay,
    /// The error that was logged last, so that each is logged once.
    last_error: Option<String>,
    missed_configuration: bool,
}

impl Managed {
    /// Calls the cluster only in [`Managed::run`] and [`Managed::check`].
    pub fn new(client: Client, settings: &Settings) -> Self {
        Managed {
            secret: CaSecret::new(client.clone(), &settings.namespace, &settings.secret),
            bundle: CaBundle::new(client, &settings.configuration),
            names: names(&settings.service, &settings.namespace),
            lifetimes: settings.lifetimes,
            interval: settings.interval,
            resolver: Resolver::waiting(),
            leaf: None,
            trust: TrustDelay::default(),
            last_error: None,
            missed_configuration: false,
        }
    }

    /// The certificate of the listeners. It is empty until the first certificate is signed and
    /// callers trust its CA; be ready only when [`Resolver::is_waiting`] returns false.
    pub fn resolver(&self) -> Arc<Resolver> {
        Arc::clone(&self.resolver)
    }

    /// Maintains the certificates until the task is aborted. `on_check` is called after each
    /// successful check.
    pub async fn run(mut self, on_check: impl Fn(Expiry)) {
        // The Secret is not watched: that needs the permission to list Secrets, and a replica that
        // changes the CAs changes the caBundle next.
        let mut changes = pin!(self.bundle.changes());
        let mut retry = MIN_RETRY;
        loop {
            let (expiry, pause) = match self.check(Timestamp::now()).await {
                Ok((expiry, pause)) => {
                    retry = MIN_RETRY;
                    if self.last_error.take().is_some() {
                        tracing::info!("certificates are maintained again");
                    }
                    (expiry, pause)
                }
                Err(error) => {
                    self.report(&error);
                    let pause = retry.min(self.interval);
                    retry = retry.saturating_mul(2).min(self.interval);
                    tokio::time::sleep(pause).await;
                    continue;
                }
            };
            if let Some(expiry) = expiry {
                on_check(expiry);
            }
            let checked = tokio::time::Instant::now();
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // The watch never ends; if it did, the sleep would still wake us.
                Some(()) = changes.next() => tokio::time::sleep_until(checked + MIN_INTERVAL).await,
            }
        }
    }

    /// Takes the steps that are due. Returns when the served certificate expires, if there is one,
    /// and how long to wait before the next check.
    pub async fn check(&mut self, now: Timestamp) -> Result<(Option<Expiry>, Duration), ManagedError> {
        let (authority, bundle) = self.authority(now).await?;
        let wait = self.trust.wait(&authority, bundle, now, &self.lifetimes);
        let due = self
            .leaf
            .as_ref()
            .is_none_or(|leaf| leaf.is_due(authority.signing(), now, &self.lifetimes));
        let mut pause = self.interval;
        if due && wait.is_zero() {
            self.serve(Leaf::sign(authority.signing(), &self.names, now, &self.lifetimes)?);
        } else if due {
            pause = pause.min(wait);
        }
        let expiry = self.leaf.as_ref().map(|leaf| Expiry {
            leaf: leaf.material().not_after(),
            authority: authority.signing().cert().not_after(),
        });
        Ok((expiry, pause))
    }

    /// The CAs after the steps that were due, and whether callers trust them.
    async fn authority(&mut self, now: Timestamp) -> Result<(Authority, BundleState), ManagedError> {
        for _ in 0..MAX_STEPS {
            let found = self.secret.read().await?;
            let plan = Plan::of(found.authority.as_ref(), now, &self.lifetimes);
            let bundle = match &found.authority {
                // Callers must trust the published CAs before the next step: a CA signs only if
                // they could.
                Some(authority) if plan != Plan::Create => self.publish(authority, now).await?,
                _ => BundleState::Absent,
            };
            if let (Plan::Keep, Some(authority)) = (plan, &found.authority) {
                return Ok((authority.clone(), bundle));
            }
            let planned = plan.apply(found.authority.as_ref(), now, &self.lifetimes)?;
            if self.secret.write(&found, &planned).await? {
                let secret = self.secret.to_string();
                tracing::info!(secret, end = %planned.signing().cert().not_after(), "{}", plan_message(plan));
            }
        }
        Err(ManagedError::Contended {
            secret: self.secret.to_string(),
        })
    }

    async fn publish(&mut self, authority: &Authority, now: Timestamp) -> Result<BundleState, ManagedError> {
        let shown = self.leaf.as_ref().map(Leaf::issuer);
        let trusted = authority.trusted(shown, now);
        let state = self.bundle.set(&trusted).await?;
        let configuration = self.bundle.name();
        let missed = std::mem::replace(&mut self.missed_configuration, state == BundleState::Absent);
        match state {
            BundleState::Absent if !missed => {
                tracing::warn!(
                    configuration,
                    "the MutatingWebhookConfiguration (--webhook-configuration) does not exist; waiting for it"
                );
            }
            BundleState::Written => tracing::info!(configuration, cas = trusted.len(), "wrote the caBundle"),
            BundleState::Absent | BundleState::Current => {}
        }
        Ok(state)
    }

    fn serve(&mut self, leaf: Leaf) {
        let material = leaf.material().clone();
        tracing::info!(not_after = %material.not_after(), "serving with a managed certificate");
        self.resolver.replace(material);
        self.leaf = Some(leaf);
    }

    /// Logs each different error once.
    fn report(&mut self, error: &ManagedError) {
        let message = error.to_string();
        if self.last_error.as_ref() != Some(&message) {
            if let Some(leaf) = &self.leaf {
                let not_after = leaf.material().not_after();
                tracing::error!(%not_after, "cannot maintain the certificates; keeping the current one: {message}");
            } else {
                tracing::error!("not ready: there is no certificate yet: {message}");
            }
            self.last_error = Some(message);
        }
    }
}

fn plan_message(plan: Plan) -> &'static str {
    match plan {
        Plan::Keep => "kept the CA",
        Plan::Create => "created a CA",
        Plan::Publish => "published the next CA",
        Plan::Switch => "the next CA signs now",
        Plan::Drop => "removed the previous CAs",
    }
}

/// DNS names and addresses of the certificate. The API server uses the first; people and tests use
/// the others.
fn names(service: &str, namespace: &str) -> Vec<String> {
    let inside = format!("{service}.{namespace}");
    vec![
        format!("{inside}.svc"),
        format!("{inside}.svc.cluster.local"),
        inside,
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "::1".to_owned(),
    ]
}
