//! Certificates that need nobody: signed here, by an authority that replicas share in a Secret, which the webhook
//! configuration is told to trust.

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
use crate::tls::trust::{Sight, Trust};

/// How often all is looked at, changes of the configuration aside, which a watch tells of.
pub const DEFAULT_INTERVAL: Duration = Duration::from_mins(1);

/// How long the first repetition waits after an error; each further one twice as long, up to the interval.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The least time between looks. Whoever else sets the same `caBundle`, such as a certificate injector that somebody left on,
/// answers each write of ours with one of theirs.
const BREATH: Duration = Duration::from_secs(1);

/// Steps that one look may take, where others are quicker or several are due: far more than there ever are.
const STEPS: usize = 10;

/// What is managed.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The namespace that we run in.
    pub namespace: String,
    /// The Secret of the authorities, in that namespace.
    pub secret: String,
    /// The Service in front of us, in that namespace.
    pub service: String,
    /// The webhook configuration.
    pub configuration: String,
    /// How long certificates live.
    pub lifetimes: Lifetimes,
    /// How often all is looked at.
    pub interval: Duration,
}

/// When what is served with ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The certificate that is shown.
    pub leaf: Timestamp,
    /// The authority that signs.
    pub authority: Timestamp,
}

/// Why certificates could not be seen to. What is served with stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManagedError {
    /// The Secret.
    #[error(transparent)]
    Secret(#[from] CaSecretError),
    /// The webhook configuration.
    #[error(transparent)]
    Bundle(#[from] CaBundleError),
    /// An authority that could not be made.
    #[error("cannot make an authority: {0}")]
    Authority(#[from] rcgen::Error),
    /// A certificate that could not be signed.
    #[error(transparent)]
    Leaf(#[from] LeafError),
    /// Others write the Secret all the time.
    #[error("the Secret {secret} changed {STEPS} times while it was being seen to")]
    Contended {
        /// Which.
        secret: String,
    },
}

/// Keeps a [`Resolver`] fresh.
pub struct Managed {
    secret: CaSecret,
    bundle: CaBundle,
    names: Vec<String>,
    lifetimes: Lifetimes,
    interval: Duration,
    resolver: Arc<Resolver>,
    /// What the resolver shows.
    leaf: Option<Leaf>,
    trust: Trust,
    /// What was said last, so that it is said once and not every minute.
    trouble: Option<String>,
    missed_configuration: bool,
}

impl Managed {
    /// Manages certificates by way of `client`. Nothing is asked of the cluster before [`Managed::follow`] or
    /// [`Managed::look`].
    pub fn new(client: Client, settings: &Settings) -> Self {
        Managed {
            secret: CaSecret::new(client.clone(), &settings.namespace, &settings.secret),
            bundle: CaBundle::new(client, &settings.configuration),
            names: names(&settings.service, &settings.namespace),
            lifetimes: settings.lifetimes,
            interval: settings.interval,
            resolver: Resolver::waiting(),
            leaf: None,
            trust: Trust::default(),
            trouble: None,
            missed_configuration: false,
        }
    }

    /// What listeners serve with. It shows nothing until the first certificate is signed and callers trust its authority:
    /// be ready only when [`Resolver::is_waiting`] is over.
    pub fn resolver(&self) -> Arc<Resolver> {
        Arc::clone(&self.resolver)
    }

    /// Sees to the certificates for ever. `on_look` hears after each look that went well when they end.
    pub async fn follow(mut self, on_look: impl Fn(Ends)) {
        // The Secret is not watched: that would need the right to list Secrets, and whoever changes the authorities changes the
        // caBundle next.
        let mut changes = pin!(self.bundle.changes());
        let mut retry = FIRST_RETRY;
        loop {
            let (ends, pause) = match self.look(Timestamp::now()).await {
                Ok((ends, pause)) => {
                    retry = FIRST_RETRY;
                    if self.trouble.take().is_some() {
                        tracing::info!("certificates are seen to again");
                    }
                    (ends, pause)
                }
                Err(error) => {
                    self.complain(&error);
                    let pause = retry.min(self.interval);
                    retry = retry.saturating_mul(2).min(self.interval);
                    tokio::time::sleep(pause).await;
                    continue;
                }
            };
            if let Some(ends) = ends {
                on_look(ends);
            }
            let looked = tokio::time::Instant::now();
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // The watch never ends; if it did, the clock would do.
                Some(()) = changes.next() => tokio::time::sleep_until(looked + BREATH).await,
            }
        }
    }

    /// Looks once: does what is due, and returns when what is shown ends, if anything is, and when to look again.
    pub async fn look(&mut self, now: Timestamp) -> Result<(Option<Ends>, Duration), ManagedError> {
        let (authority, sight) = self.authority(now).await?;
        let wait = self.trust.wait(&authority, sight, now, &self.lifetimes);
        let due = self
            .leaf
            .as_ref()
            .is_none_or(|leaf| leaf.is_due(authority.signing(), now, &self.lifetimes));
        let mut pause = self.interval;
        if due && wait.is_zero() {
            self.show(Leaf::sign(authority.signing(), &self.names, now, &self.lifetimes)?);
        } else if due {
            pause = pause.min(wait);
        }
        let ends = self.leaf.as_ref().map(|leaf| Ends {
            leaf: leaf.material().not_after(),
            authority: authority.signing().cert().not_after(),
        });
        Ok((ends, pause))
    }

    /// The authorities, after all that was due was done, and whether callers know them.
    async fn authority(&mut self, now: Timestamp) -> Result<(Authority, Sight), ManagedError> {
        for _ in 0..STEPS {
            let found = self.secret.read().await?;
            let plan = Plan::of(found.authority.as_ref(), now, &self.lifetimes);
            let sight = match &found.authority {
                // Callers are told before anything further is done: the next authority signs only if they could be.
                Some(authority) if plan != Plan::Create => self.tell(authority, now).await?,
                _ => Sight::Absent,
            };
            if let (Plan::Keep, Some(authority)) = (plan, &found.authority) {
                return Ok((authority.clone(), sight));
            }
            let planned = plan.carry_out(found.authority.as_ref(), now, &self.lifetimes)?;
            if self.secret.write(&found, &planned).await? {
                let secret = self.secret.to_string();
                tracing::info!(secret, end = %planned.signing().cert().not_after(), "{}", done(plan));
            }
        }
        Err(ManagedError::Contended {
            secret: self.secret.to_string(),
        })
    }

    async fn tell(&mut self, authority: &Authority, now: Timestamp) -> Result<Sight, ManagedError> {
        let shown = self.leaf.as_ref().map(Leaf::issuer);
        let trusted = authority.trusted(shown, now);
        let sight = self.bundle.hold(&trusted).await?;
        let configuration = self.bundle.name();
        let missed = std::mem::replace(&mut self.missed_configuration, sight == Sight::Absent);
        match sight {
            Sight::Absent if !missed => {
                tracing::warn!(
                    configuration,
                    "there is no such MutatingWebhookConfiguration (--webhook-configuration), so nobody calls; waiting for it"
                );
            }
            Sight::Written => tracing::info!(configuration, authorities = trusted.len(), "wrote the caBundle"),
            Sight::Absent | Sight::Held => {}
        }
        Ok(sight)
    }

    fn show(&mut self, leaf: Leaf) {
        let material = leaf.material().clone();
        tracing::info!(not_after = %material.not_after(), "serving with a certificate of our authority");
        self.resolver.replace(material);
        self.leaf = Some(leaf);
    }

    /// Once for each different complaint.
    fn complain(&mut self, error: &ManagedError) {
        let said = error.to_string();
        if self.trouble.as_ref() != Some(&said) {
            if let Some(leaf) = &self.leaf {
                let not_after = leaf.material().not_after();
                tracing::error!(%not_after, "cannot see to the certificates, what is served with stays: {said}");
            } else {
                tracing::error!("cannot serve yet, there is no certificate: {said}");
            }
            self.trouble = Some(said);
        }
    }
}

fn done(plan: Plan) -> &'static str {
    match plan {
        Plan::Keep => "kept the authority",
        Plan::Create => "made an authority",
        Plan::Publish => "published the next authority",
        Plan::Switch => "the next authority signs now",
        Plan::Drop => "the authority before is trusted no more",
    }
}

/// What callers may call us: the API server by the first name; people and tests by the others.
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
