//! Evicting pods for one that only our own limits keep out: wished for by a filter call, done by one task beside the requests.
//!
//! The scheduler is given time to make room itself first. Then it is found out anew who has to go, with nobody in between, and the room is
//! kept, so that nobody of the same priority or lower takes it; the API server holds the evictions to `PodDisruptionBudgets`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::app::App;
use super::bind::BindLeadership;
use apportion_core::extender::ExtenderContext;
use apportion_core::extender::evict::{Plan, PreemptionRequest, plan, wish};
use apportion_core::extender::wire::Args;
use apportion_core::inventory::{PodEntry, Purpose};

/// Wishes that may wait. One that finds no place is made again by the next filter call.
const WISHES: usize = 32;
/// From a wish to its evictions: time in which the scheduler says that it makes room itself on a node that we were not asked about.
const SETTLE: Duration = Duration::from_secs(1);
/// At least so long between two wishes: what the first does is to be seen before the next.
const PACE: Duration = Duration::from_millis(100);
/// How long a node is left alone for a pod after an eviction there was refused.
const AVOID: Duration = Duration::from_secs(30);
/// How long a wish waits for the seat, which another replica may have to hand over.
const SEAT_PATIENCE: u32 = 15;

/// Who asks the API server.
pub trait Evictor: std::fmt::Debug + Send + Sync {
    /// Whether the pod still waits, without a node that the scheduler makes room on.
    fn is_waiting<'e>(&'e self, wish: &'e PreemptionRequest) -> BoxFuture<'e, Result<bool, String>>;
    /// Evicts a pod, of that UID alone, if its disruption budgets let it; with `rehearsal`, finds out only whether they would.
    fn evict<'e>(&'e self, victim: &'e PodEntry, rehearsal: bool) -> BoxFuture<'e, Result<(), String>>;
    /// Tells on the pods what was done.
    fn tell<'e>(&'e self, wish: &'e PreemptionRequest, evicted: &'e [Arc<PodEntry>]) -> BoxFuture<'e, ()>;
}

/// The means to evict pods.
#[derive(Clone, Debug)]
pub struct Evictions {
    wishes: Sender<Wished>,
    known: Arc<Mutex<Known>>,
}

/// A wish, and when it was made.
pub type Wished = (Duration, PreemptionRequest);

/// What keeps wishes from being made.
#[derive(Debug, Default)]
struct Known {
    /// UIDs of pods that one is being worked on for.
    wished: BTreeSet<String>,
    /// Pods by UID, the nodes where an eviction for them was refused, and until when these are left alone.
    avoided: BTreeMap<(String, String), Duration>,
}

/// What became of a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// So many were told to leave.
    Evicted(usize),
    /// Nobody has to.
    NotNeeded,
}

impl Evictions {
    /// The means, and what is wished for by them.
    pub fn new() -> (Self, Receiver<Wished>) {
        let (wishes, waiting) = channel(WISHES);
        let known = Arc::default();
        (Evictions { wishes, known }, waiting)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wishes for what would let a pod in that no node could hold; never waits.
    pub(super) fn wish(&self, args: &Args<'_>, context: &ExtenderContext<'_>, now: Duration) {
        let uid = args.pod.metadata.uid.as_deref().unwrap_or_default();
        let mut known = self.known();
        known.avoided.retain(|_, until| now < *until);
        if known.wished.contains(uid) {
            return;
        }
        let avoids = |node: &str| known.avoided.contains_key(&(uid.to_owned(), node.to_owned()));
        if let Some(wish) = wish(args, context, avoids)
            && self.wishes.try_send((now, wish)).is_ok()
        {
            known.wished.insert(uid.to_owned());
        }
    }

    /// Fulfils wishes for ever, one after the other.
    pub async fn fulfil(
        self,
        app: Arc<App>,
        evictor: Arc<dyn Evictor>,
        seat: BindLeadership,
        mut wished: Receiver<Wished>,
    ) {
        while let Some((made, wish)) = wished.recv().await {
            let settled = (made + SETTLE).saturating_sub(app.now());
            tokio::time::sleep(settled.max(PACE)).await;
            match fulfil(&app, &*evictor, &seat, &wish).await {
                Ok(Outcome::Evicted(pods)) => {
                    tracing::info!(pod = wish.pod, node = wish.node, pods, "evicted for a pod");
                }
                Ok(Outcome::NotNeeded) => tracing::debug!(pod = wish.pod, "no eviction is needed"),
                Err(why) => {
                    app.metrics_registry().evicted("refused");
                    tracing::warn!(pod = wish.pod, node = wish.node, why, "not evicted for a pod");
                    let until = app.now() + AVOID;
                    let place = (wish.uid.clone(), wish.node.clone());
                    self.known().avoided.insert(place, until);
                }
            }
            self.known().wished.remove(&wish.uid);
        }
    }
}

/// Fulfils one.
async fn fulfil(
    app: &App,
    evictor: &dyn Evictor,
    seat: &BindLeadership,
    wish: &PreemptionRequest,
) -> Result<Outcome, String> {
    let mut patience = SEAT_PATIENCE;
    while let Err(why) = seat.check(app.now()) {
        patience = patience.checked_sub(1).ok_or(why)?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    if !evictor.is_waiting(wish).await? {
        return Ok(Outcome::NotNeeded);
    }
    let Some(Plan { victims, .. }) = keep(app, seat, wish)? else {
        return Ok(Outcome::NotNeeded);
    };
    let give_back = || app.reservations().let_go(&wish.uid, &wish.node);
    // One that is refused must not have cost the others for nothing.
    for victim in &victims {
        if let Err(why) = evictor.evict(victim, true).await {
            give_back();
            return Err(format!("{}: {why}", victim.key()));
        }
    }
    for (done, victim) in victims.iter().enumerate() {
        // A call may have taken its time, and another replica the seat.
        let evicted = match seat.check(app.now()) {
            Ok(()) => evictor.evict(victim, false).await,
            Err(why) => Err(why),
        };
        if let Err(why) = evicted {
            give_back();
            evictor.tell(wish, &victims[..done]).await;
            return Err(format!("{}: {why}", victim.key()));
        }
        app.metrics_registry().evicted("evicted");
    }
    evictor.tell(wish, &victims).await;
    Ok(Outcome::Evicted(victims.len()))
}

/// Finds out who has to go, and keeps the room, with nobody in between.
fn keep(app: &App, seat: &BindLeadership, wish: &PreemptionRequest) -> Result<Option<Plan>, String> {
    let mut reservations = app.reservations();
    let state = app.state();
    let reserved = reservations.reserved().clone();
    let context = app.context(&state, &reserved)?;
    seat.check(app.now())?;
    let pod = context.inventory.pod(&wish.pod).map(|pod| &pod.record);
    let Some(pod) = pod.filter(|pod| *pod.summary.uid == *wish.uid && !pod.is_on_a_node()) else {
        return Ok(None);
    };
    // Bound by now, or about to be: whatever the watch says.
    if reservations
        .of(&wish.uid)
        .any(|(_, one)| one.purpose == Purpose::Binding)
    {
        return Ok(None);
    }
    let plan = plan(pod, &wish.node, &context);
    if let Some(plan) = &plan {
        reservations.keep(&wish.uid, &wish.node, plan.pod_request.clone(), pod.priority, app.now());
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use apportion_core::inventory::reservations::KEPT_LIFETIME;

    #[test]
    fn room_is_kept_for_longer_than_it_takes_to_notice_who_leaves() {
        assert!(KEPT_LIFETIME > SETTLE * 60 && AVOID < KEPT_LIFETIME);
    }
}
