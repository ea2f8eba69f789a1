//! Preemption for pods that only our own limits keep out: a filter call requests it, and one task
//! carries it out.
//!
//! The scheduler first gets time to preempt by itself. Then the victims are selected again and the
//! capacity that they free is reserved in one step, so that no pod of the same or a lower priority
//! takes it. The API server enforces `PodDisruptionBudgets`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::app::App;
use super::bind::{BindLeadership, CallError, NotLeader};
use crate::server::endpoints::NotReady;
use apportion_core::extender::ExtenderContext;
use apportion_core::extender::evict::{EvictionPlan, PreemptionRequest, plan_eviction, request_preemption};
use apportion_core::extender::wire::Args;
use apportion_core::inventory::{PodEntry, Purpose};

/// Queued requests. When the queue is full, the next filter call of the pod requests again.
const QUEUE: usize = 32;
/// From a request to its evictions: time for the scheduler to preempt on a node that it did not ask
/// us about.
const SCHEDULER_FIRST: Duration = Duration::from_secs(1);
/// The least time between two requests, so that the second sees what the first did.
const PACE: Duration = Duration::from_millis(100);
/// How long a node is avoided for a pod after an eviction there was refused.
const AVOID: Duration = Duration::from_secs(30);
/// Attempts, a second apart, to get the bind lease from another replica.
const LEASE_ATTEMPTS: u32 = 15;

/// Calls the API server for evictions.
pub trait Evictor: std::fmt::Debug + Send + Sync {
    /// Whether the pod is pending without a nominated node.
    fn is_waiting<'e>(&'e self, request: &'e PreemptionRequest) -> BoxFuture<'e, Result<bool, CallError>>;
    /// Evicts the pod of that UID, if its disruption budgets allow it. `dry_run` only asks whether
    /// they do.
    fn evict<'e>(&'e self, victim: &'e PodEntry, dry_run: bool) -> BoxFuture<'e, Result<(), CallError>>;
    /// Writes Events on the preemptor and its victims.
    fn report<'e>(&'e self, request: &'e PreemptionRequest, evicted: &'e [Arc<PodEntry>]) -> BoxFuture<'e, ()>;
}

/// Takes preemption requests.
#[derive(Clone, Debug)]
pub struct Evictions {
    queue: Sender<QueuedRequest>,
    tracked: Arc<Mutex<Tracked>>,
}

/// A request and when it was made.
pub type QueuedRequest = (Duration, PreemptionRequest);

/// What keeps a pod from requesting.
#[derive(Debug, Default)]
struct Tracked {
    /// UIDs of pods whose request is queued or in progress.
    requested: BTreeSet<String>,
    /// By pod UID and node: until when the node is avoided, because an eviction there was refused.
    avoided: BTreeMap<(String, String), Duration>,
}

/// Why a preemption was not carried out.
#[derive(Debug, thiserror::Error)]
enum PreemptionError {
    #[error(transparent)]
    NotLeader(#[from] NotLeader),
    #[error(transparent)]
    NotReady(#[from] NotReady),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("{victim}: {source}")]
    Victim { victim: String, source: CallError },
    #[error("{victim}: {source}")]
    LeaseLost { victim: String, source: NotLeader },
}

/// How a preemption ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Preemption {
    /// The number of victims.
    Evicted(usize),
    NotNeeded,
}

impl Evictions {
    /// The sending and the receiving end of the queue.
    pub fn new() -> (Self, Receiver<QueuedRequest>) {
        let (queue, requests) = channel(QUEUE);
        let tracked = Arc::default();
        (Evictions { queue, tracked }, requests)
    }

    fn tracked(&self) -> MutexGuard<'_, Tracked> {
        self.tracked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests preemption for a pod that fits no node, if evictions would let it fit. Never
    /// blocks.
    pub(super) fn request(&self, args: &Args<'_>, context: &ExtenderContext<'_>, now: Duration) {
        let uid = args.pod.metadata.uid.as_deref().unwrap_or_default();
        let mut tracked = self.tracked();
        tracked.avoided.retain(|_, until| now < *until);
        if tracked.requested.contains(uid) {
            return;
        }
        let avoids = |node: &str| tracked.avoided.contains_key(&(uid.to_owned(), node.to_owned()));
        if let Some(request) = request_preemption(args, context, avoids)
            && self.queue.try_send((now, request)).is_ok()
        {
            tracked.requested.insert(uid.to_owned());
        }
    }

    /// Carries requests out, one after the other, until the queue closes.
    pub async fn run(
        self,
        app: Arc<App>,
        evictor: Arc<dyn Evictor>,
        leadership: BindLeadership,
        mut requests: Receiver<QueuedRequest>,
    ) {
        while let Some((requested, request)) = requests.recv().await {
            let wait = (requested + SCHEDULER_FIRST).saturating_sub(app.now());
            tokio::time::sleep(wait.max(PACE)).await;
            let (pod, node) = (&request.pod, &request.node);
            match preempt(&app, &*evictor, &leadership, &request).await {
                Ok(Preemption::Evicted(victims)) => {
                    tracing::info!(pod, node, victims, "evicted pods for a pod of higher priority");
                }
                Ok(Preemption::NotNeeded) => tracing::debug!(pod, "no eviction is needed"),
                Err(error) => {
                    app.metrics().evicted("refused");
                    tracing::warn!(pod, node, %error, "preemption failed");
                    let until = app.now() + AVOID;
                    let place = (request.uid.clone(), request.node.clone());
                    self.tracked().avoided.insert(place, until);
                }
            }
            self.tracked().requested.remove(&request.uid);
        }
    }
}

async fn preempt(
    app: &App,
    evictor: &dyn Evictor,
    leadership: &BindLeadership,
    request: &PreemptionRequest,
) -> Result<Preemption, PreemptionError> {
    let mut attempts = LEASE_ATTEMPTS;
    while let Err(error) = leadership.check(app.now()) {
        attempts = attempts.checked_sub(1).ok_or(error)?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    if !evictor.is_waiting(request).await? {
        return Ok(Preemption::NotNeeded);
    }
    let Some(EvictionPlan { victims, .. }) = plan_and_reserve(app, leadership, request)? else {
        return Ok(Preemption::NotNeeded);
    };
    let release = || app.reservations().end_nomination(&request.uid, &request.node);
    // A dry run of all first: one refusal must not cost the other victims for nothing.
    for victim in &victims {
        if let Err(source) = evictor.evict(victim, true).await {
            release();
            let victim = victim.key();
            return Err(PreemptionError::Victim { victim, source });
        }
    }
    for (done, victim) in victims.iter().enumerate() {
        // The call before may have taken long enough for another replica to take the lease.
        let evicted = match leadership.check(app.now()) {
            Ok(()) => evictor.evict(victim, false).await.map_err(|source| {
                let victim = victim.key();
                PreemptionError::Victim { victim, source }
            }),
            Err(source) => {
                let victim = victim.key();
                Err(PreemptionError::LeaseLost { victim, source })
            }
        };
        if let Err(error) = evicted {
            release();
            evictor.report(request, &victims[..done]).await;
            return Err(error);
        }
        app.metrics().evicted("evicted");
    }
    evictor.report(request, &victims).await;
    Ok(Preemption::Evicted(victims.len()))
}

/// Selects the victims and reserves what they free, under one lock.
fn plan_and_reserve(
    app: &App,
    leadership: &BindLeadership,
    request: &PreemptionRequest,
) -> Result<Option<EvictionPlan>, PreemptionError> {
    let mut reservations = app.reservations();
    let state = app.state();
    let reserved = reservations.reserved().clone();
    let context = app.context(&state, &reserved)?;
    leadership.check(app.now())?;
    let pod = context.inventory.pod(&request.pod).map(|pod| &pod.record);
    let Some(pod) = pod.filter(|pod| *pod.summary.uid == *request.uid && !pod.is_bound()) else {
        return Ok(None);
    };
    // Bound by now or about to be, whatever the watch has brought.
    if reservations
        .of(&request.uid)
        .any(|(_, one)| one.purpose == Purpose::Binding)
    {
        return Ok(None);
    }
    let plan = plan_eviction(pod, &request.node, &context);
    if let Some(plan) = &plan {
        reservations.nominate(
            &request.uid,
            &request.node,
            plan.pod_request.clone(),
            pod.priority,
            app.now(),
        );
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use apportion_core::inventory::reservations::NOMINATION_LIFETIME;

    #[test]
    fn a_reservation_outlives_the_wait_for_victims() {
        assert!(NOMINATION_LIFETIME > SCHEDULER_FIRST * 60 && AVOID < NOMINATION_LIFETIME);
    }
}
