//! What requests, the cluster watches and the leases share: the current state, pending admissions,
//! reservations and the clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, Guard};

use super::metrics::Metrics;
use super::state::State;
use crate::server::endpoints::NotReady;
use apportion_core::extender::{AnswerSize, ExtenderContext};
use apportion_core::gpu::Counts;
use apportion_core::inventory::{PendingAdmissions, PodRecord, Reservations, Reserved};
use apportion_core::policy::Guarantees;
use apportion_core::policy::OnUnknown;

/// Set by the administrator.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What happens to GPU pods whose namespace or policy is not known.
    pub on_unknown: OnUnknown,
    /// How many nodes a filter call returns.
    pub answer_size: AnswerSize,
    /// `spec.schedulerName` of governed GPU pods; `None` leaves it unchanged.
    pub scheduler_name: Option<String>,
    /// The namespace that we run in, whose pods pass untouched.
    pub own_namespace: Option<String>,
}

/// Monotonic time since a fixed start.
#[derive(Clone, Debug)]
pub struct Clock(TimeSource);

#[derive(Clone, Debug)]
enum TimeSource {
    System(Instant),
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The system's monotonic clock, starting now.
    pub fn start() -> Self {
        Clock(TimeSource::System(Instant::now()))
    }

    /// A clock that the caller sets, in milliseconds, for simulations.
    pub fn manual(milliseconds: Arc<AtomicU64>) -> Self {
        Clock(TimeSource::Manual(milliseconds))
    }

    /// The time since the start.
    pub fn now(&self) -> Duration {
        match &self.0 {
            TimeSource::System(start) => start.elapsed(),
            TimeSource::Manual(milliseconds) => Duration::from_millis(milliseconds.load(Ordering::Relaxed)),
        }
    }
}

/// The shared part of the service.
#[derive(Debug)]
pub struct App {
    state: ArcSwap<State>,
    /// Held for one decision, some microseconds: the next one must see what this one promised.
    pending: Mutex<PendingAdmissions>,
    /// Held for one decision, some microseconds: the next one must see what this one reserved.
    reservations: Mutex<Reservations>,
    clock: Clock,
    settings: Settings,
    metrics: Arc<Metrics>,
}

impl App {
    /// A service whose state is `state`, on the system's clock.
    pub fn new(state: State, settings: Settings, metrics: Arc<Metrics>) -> Self {
        App {
            state: ArcSwap::from_pointee(state),
            pending: Mutex::default(),
            reservations: Mutex::default(),
            clock: Clock::start(),
            settings,
            metrics,
        }
    }

    /// The same service on another clock.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        App { clock, ..self }
    }

    /// The current state, to keep.
    pub fn state(&self) -> Arc<State> {
        self.state.load_full()
    }

    /// The current state, for the length of a request.
    pub(super) fn current(&self) -> Guard<Arc<State>> {
        self.state.load()
    }

    /// Replaces the state.
    pub fn replace(&self, state: State) {
        self.state.store(Arc::new(state));
    }

    pub(super) fn pending(&self) -> MutexGuard<'_, PendingAdmissions> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the pending admissions of pods that the state counts now, by namespace and demand.
    pub fn settle_pending<'p>(&self, pods: impl IntoIterator<Item = (&'p str, &'p Counts)>) {
        let mut pending = self.pending();
        for (namespace, demand) in pods {
            pending.settle(namespace, demand);
        }
    }

    /// What is decided and not yet in the inventory, locked until the guard is dropped.
    pub fn reservations(&self) -> MutexGuard<'_, Reservations> {
        self.reservations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time by [`App::clock`].
    pub fn now(&self) -> Duration {
        self.clock.now()
    }

    /// The clock of reservations and leases.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What a pod's policy guarantees it in `state`.
    pub fn guarantees_of(&self, state: &State, pod: &PodRecord) -> Guarantees {
        let namespace = state
            .inventory
            .as_ref()
            .and_then(|inventory| inventory.namespace(&pod.namespace));
        Guarantees::for_pod(&state.policies, &pod.namespace, namespace, &pod.summary.labels)
    }

    /// What the extender decides by.
    pub(super) fn context<'s>(
        &self,
        state: &'s State,
        reserved: &'s Reserved,
    ) -> Result<ExtenderContext<'s>, NotReady> {
        Ok(ExtenderContext {
            policies: &state.policies,
            inventory: state.readiness()?,
            reserved,
            on_unknown: self.settings.on_unknown,
        })
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The metrics of this service.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }
}
