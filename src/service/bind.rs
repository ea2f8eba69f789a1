//! Binding a pod: decide and reserve under one lock, ask the API server, and release the
//! reservation if that refuses.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::watch;

use super::app::App;
use crate::server::endpoints::{Answer, NotReady};
use apportion_core::extender::bind::{BindingArgs, BindingError, BindingResult, check_binding};
use apportion_core::inventory::PodPlacement;
use apportion_core::inventory::{PodRecord, Purpose, ReservationId};

/// Why a call to the API server brought no usable answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// It answered with an error: its message.
    #[error("{0}")]
    Refused(String),
    /// The call failed on the way, or its answer could not be read.
    #[error("the API server cannot be asked: {0}")]
    Failed(String),
    #[error("the API server does not answer")]
    Timeout,
}

/// Calls the API server for bindings.
pub trait Binder: std::fmt::Debug + Send + Sync {
    /// Reads the pod; `None` if there is none.
    fn get_pod<'b>(&'b self, namespace: &'b str, name: &'b str) -> BoxFuture<'b, Result<Option<LivePod>, CallError>>;
    /// Binds the pod of that UID to a node.
    fn bind<'b>(&'b self, args: &'b BindingArgs<'b>) -> BoxFuture<'b, Result<(), BindError>>;
}

/// A pod as the API server has it.
#[derive(Debug)]
pub struct LivePod {
    pub uid: String,
    /// `None` if the pod neither holds a GPU nor waits for one.
    pub record: Option<Box<PodRecord>>,
}

/// What the API server said to a binding, with its message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// The pod is not bound by this call.
    #[error("{0}")]
    Refused(String),
    /// The pod already has a node, or its UID is another one.
    #[error("{0}")]
    Conflict(String),
    /// The pod may have been bound.
    #[error("{0}")]
    Unknown(String),
}

/// What binds pods.
#[derive(Clone, Debug)]
pub struct Binding {
    pub binder: Arc<dyn Binder>,
    pub leadership: BindLeadership,
}

/// Whether this replica may bind. One replica binds at a time, because only a single writer can
/// account for every binding.
#[derive(Clone, Debug)]
pub struct BindLeadership {
    /// Until when this replica may start a call, by the service's clock; `None` while another
    /// leads.
    pub until: watch::Receiver<Option<Duration>>,
    /// Set when this replica is asked to bind while another leads: the active scheduler is ours.
    pub wanted: Arc<AtomicBool>,
}

/// Another replica holds the bind lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another replica of apportion binds pods; it was asked to hand over")]
pub struct NotLeader;

impl BindLeadership {
    /// Fails while another replica leads, and asks it to hand over.
    pub(super) fn check(&self, now: Duration) -> Result<(), NotLeader> {
        if self.until.borrow().is_some_and(|until| now < until) {
            return Ok(());
        }
        self.wanted.store(true, Ordering::Relaxed);
        Err(NotLeader)
    }
}

/// Why a pod is not bound, as the scheduler reads it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindRejection {
    #[error("apportion binds pods on a live cluster only, and only if started with --bind")]
    NotConfigured,
    #[error("the body is not ExtenderBindingArgs: {0}")]
    Args(#[from] serde_json::Error),
    #[error(transparent)]
    NotLeader(#[from] NotLeader),
    #[error(transparent)]
    NotReady(#[from] NotReady),
    #[error("the pod {namespace}/{name} is gone")]
    Gone { namespace: String, name: String },
    #[error("the pod is already on node {0}")]
    OnOtherNode(String),
    #[error(transparent)]
    Unfit(#[from] BindingError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Bind(#[from] BindError),
}

/// The answer that the scheduler reads.
pub(super) fn answer(bound: Result<(), BindRejection>) -> Answer {
    let error = bound
        .err()
        .map(|error| format!("apportion: {error}"))
        .unwrap_or_default();
    match serde_json::to_vec(&BindingResult { error }) {
        Ok(json) => Answer::json(json),
        Err(error) => Answer::refusal(500, error.to_string()),
    }
}

/// Binds. Calls the API server at most twice: once if the pod is known, twice if it is not, or if
/// an earlier call may have bound it.
pub(super) async fn bind(app: &App, binding: &Binding, body: &[u8]) -> Result<(), BindRejection> {
    let args: BindingArgs<'_> = serde_json::from_slice(body)?;
    let (uid, node) = (&*args.pod_uid, &*args.node);
    binding.leadership.check(app.now())?;

    let may_be_bound = app.reservations().of(uid).any(|(_, r)| r.purpose == Purpose::Binding);
    let known = (!may_be_bound).then(|| known_pod(app, &args)).flatten();
    let was_known = known.is_some();
    let pod = match known {
        Some(pod) => Some(Box::new(pod)),
        None => match find(binding, &args).await? {
            Found::Pod(pod) => Some(pod),
            Found::WithoutGpu => None,
            Found::Gone => return Err(gone(&args)),
        },
    };
    if let Some(PodPlacement::Node(bound)) = pod.as_ref().map(|pod| &pod.placement) {
        return already_on(bound, node);
    }
    let reserved = pod.map_or(Ok(None), |pod| reserve(app, binding, &pod, node))?;
    let bound = binding.binder.bind(&args).await;
    let release = || {
        if let Some(Reserved { ticket, sole: true }) = reserved {
            app.reservations().cancel(uid, node, ticket);
        }
    };
    let Err(error) = bound else { return Ok(()) };
    match error {
        BindError::Refused(_) => {
            release();
            Err(error.into())
        }
        // An earlier call of ours may have bound the pod after all.
        BindError::Conflict(_) if was_known => match find(binding, &args).await {
            Ok(Found::Pod(pod)) => {
                let outcome = match &pod.placement {
                    PodPlacement::Node(bound) => already_on(bound, node),
                    PodPlacement::Unscheduled => Err(error.into()),
                };
                if outcome.is_err() {
                    release();
                }
                outcome
            }
            Ok(Found::WithoutGpu) => {
                release();
                Err(error.into())
            }
            // The pod of that UID will never be bound.
            Ok(Found::Gone) => {
                release();
                Err(gone(&args))
            }
            Err(_) => Err(error.into()),
        },
        BindError::Conflict(_) | BindError::Unknown(_) => Err(error.into()),
    }
}

/// Binding again to the same node succeeds.
fn already_on(bound: &str, node: &str) -> Result<(), BindRejection> {
    if bound == node {
        Ok(())
    } else {
        Err(BindRejection::OnOtherNode(bound.to_owned()))
    }
}

/// The pod from the current state.
fn known_pod(app: &App, args: &BindingArgs<'_>) -> Option<PodRecord> {
    let key = format!("{}/{}", &*args.pod_namespace, &*args.pod_name);
    let state = app.state();
    let pod = state.inventory.as_ref()?.pod(&key)?;
    (*pod.record.summary.uid == *args.pod_uid).then(|| pod.record.clone())
}

/// A pod read from the API server.
enum Found {
    /// It holds GPUs or waits for them.
    Pod(Box<PodRecord>),
    WithoutGpu,
    /// No pod has that UID.
    Gone,
}

fn gone(args: &BindingArgs<'_>) -> BindRejection {
    BindRejection::Gone {
        namespace: (*args.pod_namespace).to_owned(),
        name: (*args.pod_name).to_owned(),
    }
}

async fn find(binding: &Binding, args: &BindingArgs<'_>) -> Result<Found, CallError> {
    let pod = binding.binder.get_pod(&args.pod_namespace, &args.pod_name).await?;
    Ok(match pod.filter(|pod| pod.uid == *args.pod_uid) {
        Some(LivePod { record: Some(pod), .. }) => Found::Pod(pod),
        Some(_) => Found::WithoutGpu,
        None => Found::Gone,
    })
}

/// What a bind call has reserved.
#[derive(Clone, Copy)]
struct Reserved {
    ticket: ReservationId,
    /// Whether no other call for the pod is in flight or ended without a known outcome: such a call
    /// may still succeed after this one was refused.
    sole: bool,
}

/// Decides and reserves under one lock.
fn reserve(app: &App, binding: &Binding, pod: &PodRecord, node: &str) -> Result<Option<Reserved>, BindRejection> {
    let mut reservations = app.reservations();
    // Taken after the lock, so this state has everything that was settled before.
    let state = app.state();
    let reserved = reservations.reserved().clone();
    let context = app.context(&state, &reserved)?;
    binding.leadership.check(app.now())?;
    let pod_request = check_binding(pod, node, &context, &reservations)?;
    let uid = &pod.summary.uid;
    Ok(pod_request.map(|pod_request| {
        let sole = !reservations
            .of(uid)
            .any(|(at, r)| at == node && r.purpose == Purpose::Binding);
        let ticket = reservations.reserve(uid, node, pod_request, Purpose::Binding, app.now());
        Reserved { ticket, sole }
    }))
}
