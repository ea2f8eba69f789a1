//! The answers to requests, from what is known.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::body::Bytes;
use futures::future::BoxFuture;

use super::bind::{self, Binding};
use super::clock::Clock;
use super::evict::Evictions;
use super::metrics::{FilterResult, Metrics};
use super::state::State;
use crate::server::endpoints::{Answer, Endpoints};
use crate::tls::resolver::Resolver;
use apportion_core::admission;
use apportion_core::admission::{Admission, AdmissionOutcome};
use apportion_core::extender;
use apportion_core::extender::wire::{Args, PreemptionArgs};
use apportion_core::extender::{AnswerSize, PodQuery};
use apportion_core::gpu::Counts;
use apportion_core::inventory::{PendingAdmissions, PodRecord, Reservations, Reserved};
use apportion_core::policy::Guarantees;
use apportion_core::policy::governance::OnUnknown;

/// What an administrator sets.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What to do with GPU pods of namespaces or policies that are not known.
    pub on_unknown: OnUnknown,
    /// How many nodes a filter call answers.
    pub answer_size: AnswerSize,
    /// The scheduler that governed GPU pods are given to.
    pub scheduler_name: Option<String>,
    /// The namespace that we run in, whose pods pass.
    pub own_namespace: Option<String>,
}

/// The service behind the listeners.
#[derive(Debug)]
pub struct App {
    state: ArcSwap<State>,
    /// Held for one decision, some microseconds: the next must see what this one promised.
    pending: Mutex<PendingAdmissions>,
    /// Held for one judgement, some microseconds: the next must see what this one gave away.
    reservations: Mutex<Reservations>,
    /// Who binds pods; nobody without a live cluster.
    binding: OnceLock<Binding>,
    /// Who evicts pods where only our own limits keep another out; nobody unless asked for.
    evictions: OnceLock<Evictions>,
    clock: Clock,
    settings: Settings,
    metrics: Arc<Metrics>,
    /// What callers are shown, where that may not be there from the start.
    certificate: OnceLock<Arc<Resolver>>,
}

impl App {
    /// A service that knows `state`.
    pub fn new(state: State, settings: Settings, metrics: Arc<Metrics>) -> Self {
        App {
            state: ArcSwap::from_pointee(state),
            pending: Mutex::default(),
            reservations: Mutex::default(),
            binding: OnceLock::new(),
            evictions: OnceLock::new(),
            clock: Clock::start(),
            settings,
            metrics,
            certificate: OnceLock::new(),
        }
    }

    /// The same by another clock.
    #[must_use]
    pub fn going_by(self, clock: Clock) -> Self {
        App { clock, ..self }
    }

    /// What is known now.
    pub fn state(&self) -> Arc<State> {
        self.state.load_full()
    }

    /// Replaces what is known.
    pub fn replace(&self, state: State) {
        self.state.store(Arc::new(state));
    }

    /// Is not ready before `certificate` has something to show. The first that is given counts.
    pub fn wait_for(&self, certificate: Arc<Resolver>) {
        let _ = self.certificate.set(certificate);
    }

    /// These pods, by namespace and demand, count in the state now: what was claimed for them does not any more.
    pub fn settle<'p>(&self, pods: impl IntoIterator<Item = (&'p str, &'p Counts)>) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for (namespace, demand) in pods {
            pending.settle(namespace, demand);
        }
    }

    /// Lets pods be bound through `binding`. The first that is given counts.
    pub fn bind_through(&self, binding: Binding) {
        let _ = self.binding.set(binding);
    }

    /// Lets pods be evicted through `evictions`. The first that is given counts.
    pub fn evict_through(&self, evictions: Evictions) {
        let _ = self.evictions.set(evictions);
    }

    /// What is decided and not yet in the inventory, for as long as the guard lives.
    pub fn reservations(&self) -> MutexGuard<'_, Reservations> {
        self.reservations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time since the start.
    pub fn now(&self) -> Duration {
        self.clock.now()
    }

    /// What time is told by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// On what terms a pod is, in a state.
    pub fn guarantees_of(&self, state: &State, pod: &PodRecord) -> Guarantees {
        let namespace = state
            .inventory
            .as_ref()
            .and_then(|inventory| inventory.namespace(&pod.namespace));
        Guarantees::from_set(&state.policies, &pod.namespace, namespace, &pod.summary.labels)
    }

    /// What the extender judges by, in a state and beside what is reserved; or why it can not yet.
    pub(super) fn context<'s>(
        &self,
        state: &'s State,
        reserved: &'s Reserved,
    ) -> Result<extender::ExtenderContext<'s>, &'s str> {
        Ok(extender::ExtenderContext {
            policies: &state.policies,
            inventory: state.readiness()?,
            reserved,
            on_unknown: self.settings.on_unknown,
        })
    }

    /// The metrics.
    pub fn metrics_registry(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    fn record(&self, uid: &str, admission: &Admission<'_>) {
        self.metrics.admitted(admission);
        let policy = admission.policy.map_or("", |policy| policy.name.as_str());
        let strategy = admission.strategy.map_or("", apportion_core::gpu::Strategy::as_str);
        let (outcome, pod, because) = (
            admission.outcome.as_str(),
            admission.pod.as_str(),
            admission.because.as_str(),
        );
        match admission.outcome {
            AdmissionOutcome::Skipped | AdmissionOutcome::Advised | AdmissionOutcome::Ungoverned => {
                tracing::debug!(uid, pod, outcome, because, "passed");
            }
            _ => tracing::info!(uid, pod, policy, outcome, strategy, because, "decided"),
        }
    }

    /// Keeps the room on its nominated node for a pod whose victims are leaving there: in-tree the scheduler does so itself, and knows
    /// nothing of our limits.
    fn keep_room(&self, args: &Args<'_>, ask: &PodQuery<'_>, result: &extender::wire::FilterResult<'_>) {
        if let (Some((node, _)), Some(uid), Some(pod_request)) = (
            result.failed_nodes.first_key_value(),
            args.pod.metadata.uid.as_deref(),
            ask.pod_request(),
        ) {
            let priority = args.pod.spec.priority.unwrap_or(0);
            let now = self.now();
            self.reservations().keep(uid, node, pod_request.clone(), priority, now);
        }
    }

    /// Answers a filter call; `None` where nothing fits, what is known is behind and the caller may ask again.
    fn filter_now(&self, body: &[u8], may_wait: bool) -> Option<Answer> {
        let answered = self.extend(body, "ExtenderArgs", |args: &Args<'_>, context| {
            let ask = PodQuery::of(&args.pod, context);
            let passed = matches!(ask, PodQuery::Nothing);
            extender::filter_for(&ask, args, context, self.settings.answer_size, |result| {
                let fits = result.node_names.as_ref().is_some_and(|names| !names.is_empty())
                    || result.nodes.as_ref().is_some_and(|nodes| !nodes.items.is_empty());
                let counted = match (passed, fits, result.error.is_empty()) {
                    (_, _, false) => FilterResult::Error,
                    (true, ..) => FilterResult::Passed,
                    (false, true, _) => FilterResult::Fits,
                    (false, false, _) => FilterResult::NoFit,
                };
                if counted == FilterResult::NoFit && result.behind && may_wait {
                    return None;
                }
                if counted == FilterResult::NoFit {
                    self.keep_room(args, &ask, result);
                    if let Some(evictions) = self.evictions.get() {
                        evictions.wish(args, context, self.now());
                    }
                }
                Some((counted, result.unfit_reasons, serde_json::to_vec(result)))
            })
        });
        match answered {
            Err(answer) => Some(answer),
            Ok(None) => None,
            Ok(Some((counted, unfit_reasons, json))) => {
                self.metrics.filtered(counted);
                self.metrics.left_out(&unfit_reasons);
                Some(json.map_or_else(|error| Answer::refusal(500, error.to_string()), Answer::json))
            }
        }
    }

    /// Reads extender arguments, of the kind that Kubernetes calls `what`, and answers them, or says why not.
    fn extend<'b, A: serde::Deserialize<'b>, T>(
        &self,
        body: &'b [u8],
        what: &str,
        answer: impl FnOnce(&A, &extender::ExtenderContext<'_>) -> T,
    ) -> Result<T, Answer> {
        let not_one =
            |error: &dyn std::fmt::Display| Answer::refusal(400, format!("the body is not {what}: {error}\n"));
        // Looked at once, not again for each of thousands of names.
        let body = std::str::from_utf8(body).map_err(|error| not_one(&error))?;
        let args = serde_json::from_str(body).map_err(|error| not_one(&error))?;
        // Before the state: what is settled in between counts twice then, and never not at all.
        let reserved = self.reservations().reserved().clone();
        let state = self.state.load();
        let context = self
            .context(&state, &reserved)
            .map_err(|why| Answer::refusal(503, format!("{why}\n")))?;
        Ok(answer(&args, &context))
    }
}

impl Endpoints for App {
    fn mutate(&self, body: &[u8]) -> Answer {
        let request = match admission::review::read(body) {
            Ok(request) => request,
            Err(error) => return Answer::refusal(400, format!("{error}\n")),
        };
        let state = self.state.load();
        let inventory = match state.readiness() {
            Ok(inventory) => inventory,
            Err(why) => return Answer::refusal(503, format!("{why}\n")),
        };
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        pending.expire(now);
        let mut admission = admission::admit(
            &request,
            &admission::AdmissionContext {
                policies: &state.policies,
                inventory,
                pending: &pending,
                on_unknown: self.settings.on_unknown,
                own_namespace: self.settings.own_namespace.as_deref(),
                scheduler_name: self.settings.scheduler_name.as_deref(),
            },
        );
        if let Some(pending_admission) = admission.pending_admission.take() {
            pending.add(now, pending_admission);
        }
        drop(pending);
        self.record(&request.uid, &admission);
        Answer::json(admission.response.to_json(&request.uid))
    }

    fn filter(&self, body: &[u8]) -> Answer {
        self.filter_now(body, false)
            .unwrap_or_else(|| Answer::refusal(503, "what is known of the cluster is behind"))
    }

    fn filter_unless_behind(&self, body: &[u8]) -> Option<Answer> {
        self.filter_now(body, true)
    }

    fn prioritize(&self, body: &[u8]) -> Answer {
        let answered = self.extend(body, "ExtenderArgs", |args: &Args<'_>, context| {
            extender::prioritize(args, context, |scores| serde_json::to_vec(scores))
        });
        match answered {
            Err(answer) => answer,
            // The scheduler passes over an extender whose scores it can not have.
            Ok(Err(error)) => Answer::refusal(400, format!("{error}\n")),
            Ok(Ok(json)) => json.map_or_else(|error| Answer::refusal(500, error.to_string()), Answer::json),
        }
    }

    fn preempt(&self, body: &[u8]) -> Answer {
        let answered = self.extend(body, "ExtenderPreemptionArgs", |args: &PreemptionArgs<'_>, context| {
            serde_json::to_vec(&extender::preempt(args, context))
        });
        match answered {
            Err(answer) => answer,
            Ok(json) => json.map_or_else(|error| Answer::refusal(500, error.to_string()), Answer::json),
        }
    }

    fn bind(self: Arc<Self>, body: Bytes) -> BoxFuture<'static, Answer> {
        Box::pin(async move {
            let Some(binding) = self.binding.get() else {
                let message = "apportion binds pods on a live cluster only, and only if started with --bind";
                return bind::answer(&Err(message.to_owned()));
            };
            let bound = bind::bind(&self, binding, &body).await;
            self.metrics.bound(bound.is_ok());
            bind::answer(&bound)
        })
    }

    fn breaches(&self) -> Answer {
        let state = self.state.load();
        match (state.readiness(), &state.breaches) {
            (Err(why), _) => Answer::refusal(503, format!("{why}\n")),
            (Ok(_), None) => Answer::refusal(404, "only on a live cluster are pods held against their policies\n"),
            (Ok(_), Some(breaches)) => Answer::json(breaches.to_json()),
        }
    }

    fn ready(&self) -> Result<(), String> {
        if self
            .certificate
            .get()
            .is_some_and(|certificate| certificate.is_waiting())
        {
            return Err("there is no certificate yet that callers trust".to_owned());
        }
        self.state.load().readiness().map(drop).map_err(str::to_owned)
    }

    fn metrics(&self) -> String {
        self.metrics.reserved(&self.reservations());
        self.metrics.encode(&self.state.load())
    }
}
