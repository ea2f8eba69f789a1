//! Binding a pod: judged under one lock, reserved, asked of the API server, and given back where that says no.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::watch;

use super::app::App;
use crate::server::endpoints::Answer;
use apportion_core::extender::bind::{BindingArgs, BindingResult, judge};
use apportion_core::inventory::record::PodPlacement;
use apportion_core::inventory::{PodRecord, Purpose, Ticket};

/// Who asks the API server.
pub trait Binder: std::fmt::Debug + Send + Sync {
    /// The pod as the API server has it now; `None` where it is gone.
    fn look<'b>(&'b self, namespace: &'b str, name: &'b str) -> BoxFuture<'b, Result<Option<Looked>, String>>;
    /// Binds the pod of that UID to a node.
    fn bind<'b>(&'b self, args: &'b BindingArgs<'b>) -> BoxFuture<'b, Result<(), BindError>>;
}

/// A pod as the API server has it.
#[derive(Debug)]
pub struct Looked {
    /// Its UID.
    pub uid: String,
    /// What we keep of it; `None` where it neither holds a GPU nor waits for one.
    pub record: Option<Box<PodRecord>>,
}

/// Why a pod was not bound, or may not have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BindError {
    /// The API server said no.
    Refused(String),
    /// It said that somebody was quicker: the pod has a node already, or is another one by now.
    Conflict(String),
    /// Nobody knows.
    Unknown(String),
}

/// The means to bind pods.
#[derive(Clone, Debug)]
pub struct Binding {
    /// Who asks the API server.
    pub binder: Arc<dyn Binder>,
    /// Whether we may.
    pub seat: BindLeadership,
}

/// One of several replicas binds at a time: who decides alone counts right.
#[derive(Clone, Debug)]
pub struct BindLeadership {
    /// Until when it is ours by the service's clock, with time enough for a call; `None` while it is not.
    pub until: watch::Receiver<Option<Duration>>,
    /// Set where somebody asks us to bind while another has the seat: the scheduler that leads now is ours.
    pub wanted: Arc<AtomicBool>,
}

impl BindLeadership {
    pub(super) fn check(&self, now: Duration) -> Result<(), String> {
        if self.until.borrow().is_some_and(|until| now < until) {
            return Ok(());
        }
        self.wanted.store(true, Ordering::Relaxed);
        Err("another replica of apportion binds pods; it was asked to hand over".to_owned())
    }
}

/// The answer that the scheduler reads.
pub(super) fn answer(bound: &Result<(), String>) -> Answer {
    let result = BindingResult {
        error: bound
            .as_ref()
            .err()
            .map(|why| format!("apportion: {why}"))
            .unwrap_or_default(),
    };
    match serde_json::to_vec(&result) {
        Ok(json) => Answer::json(json),
        Err(error) => Answer::refusal(500, error.to_string()),
    }
}

/// Binds. Two calls to the API server at most: one where the pod is known, two where it is not, or where an earlier call of ours may
/// have bound it.
pub(super) async fn bind(app: &App, binding: &Binding, body: &[u8]) -> Result<(), String> {
    let args: BindingArgs<'_> =
        serde_json::from_slice(body).map_err(|error| format!("the body is not ExtenderBindingArgs: {error}"))?;
    let (uid, node) = (&*args.pod_uid, &*args.node);
    binding.seat.check(app.now())?;

    let doubtful = app.reservations().of(uid).any(|(_, r)| r.purpose == Purpose::Binding);
    let known = (!doubtful).then(|| known(app, &args)).flatten();
    let was_known = known.is_some();
    let pod = match known {
        Some(pod) => Some(Box::new(pod)),
        None => match look(binding, &args).await? {
            Found::Pod(pod) => Some(pod),
            Found::WithoutGpu => None,
            Found::Gone => return Err(gone(&args)),
        },
    };
    if let Some(PodPlacement::Node(bound)) = pod.as_ref().map(|pod| &pod.place) {
        return on(bound, node);
    }
    let kept = pod.map_or(Ok(None), |pod| reserve(app, binding, &pod, node))?;
    let bound = binding.binder.bind(&args).await;
    let give_back = || {
        if let Some(Kept { ticket, sole: true }) = kept {
            app.reservations().give_back(uid, node, ticket);
        }
    };
    match bound {
        Ok(()) => Ok(()),
        Err(BindError::Refused(why)) => {
            give_back();
            Err(why)
        }
        // A call of ours before this one may have come through after all; the next try finds out.
        Err(BindError::Conflict(why)) if !was_known => Err(why),
        Err(BindError::Conflict(why)) => match look(binding, &args).await {
            Ok(Found::Pod(pod)) => {
                let place = match &pod.place {
                    PodPlacement::Node(bound) => on(bound, node),
                    PodPlacement::Waiting => Err(why),
                };
                if place.is_err() {
                    give_back();
                }
                place
            }
            Ok(Found::WithoutGpu) => {
                give_back();
                Err(why)
            }
            // The pod of that UID will never be bound.
            Ok(Found::Gone) => {
                give_back();
                Err(gone(&args))
            }
            Err(_) => Err(why),
        },
        Err(BindError::Unknown(why)) => Err(why),
    }
}

fn on(bound: &str, node: &str) -> Result<(), String> {
    if bound == node {
        Ok(())
    } else {
        Err(format!("the pod is on node {bound} already"))
    }
}

/// The pod as the last state has it.
fn known(app: &App, args: &BindingArgs<'_>) -> Option<PodRecord> {
    let key = format!("{}/{}", &*args.pod_namespace, &*args.pod_name);
    let state = app.state();
    let pod = state.inventory.as_ref()?.pod(&key)?;
    (*pod.record.summary.uid == *args.pod_uid).then(|| pod.record.clone())
}

/// What the API server has of a pod.
enum Found {
    /// A pod that holds GPUs or waits for them.
    Pod(Box<PodRecord>),
    /// One that does neither.
    WithoutGpu,
    /// None of that UID.
    Gone,
}

fn gone(args: &BindingArgs<'_>) -> String {
    format!("the pod {}/{} is gone", &*args.pod_namespace, &*args.pod_name)
}

async fn look(binding: &Binding, args: &BindingArgs<'_>) -> Result<Found, String> {
    let looked = binding.binder.look(&args.pod_namespace, &args.pod_name).await?;
    Ok(match looked.filter(|looked| looked.uid == *args.pod_uid) {
        Some(Looked { record: Some(pod), .. }) => Found::Pod(pod),
        Some(_) => Found::WithoutGpu,
        None => Found::Gone,
    })
}

/// What a call has reserved.
#[derive(Clone, Copy)]
struct Kept {
    ticket: Ticket,
    /// Whether no other call for the pod is under way, or has ended without anybody knowing how: such a one may come through after this one
    /// was refused.
    sole: bool,
}

/// Judges and reserves, with nobody in between.
fn reserve(app: &App, binding: &Binding, pod: &PodRecord, node: &str) -> Result<Option<Kept>, String> {
    let mut reservations = app.reservations();
    // What was settled before we had the lock is in this state.
    let state = app.state();
    let reserved = reservations.reserved().clone();
    let context = app.context(&state, &reserved)?;
    binding.seat.check(app.now())?;
    let pod_request = judge(pod, node, &context, &reservations)?;
    let uid = &pod.summary.uid;
    Ok(pod_request.map(|pod_request| {
        let sole = !reservations
            .of(uid)
            .any(|(at, r)| at == node && r.purpose == Purpose::Binding);
        let ticket = reservations.reserve(uid, node, pod_request, Purpose::Binding, app.now());
        Kept { ticket, sole }
    }))
}
