//! Answers requests from the state of an [`App`].

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures::future::BoxFuture;

use super::app::App;
use super::bind::{self, BindRejection, Binding};
use super::evict::Evictions;
use super::metrics::FilterResult;
use crate::server::endpoints::{Answer, Endpoints, NotReady};
use crate::tls::resolver::Resolver;
use apportion_core::admission::{self, Admission, AdmissionOutcome};
use apportion_core::extender::wire::{Args, PreemptionArgs};
use apportion_core::extender::{self, PodQuery};

/// How long a filter call waits for a watch that is behind the scheduler, before each further
/// attempt. All pods of a scheduler wait as long: 0.3 s in total.
const CATCH_UP_PAUSES: [Duration; 4] = [
    Duration::from_millis(10),
    Duration::from_millis(30),
    Duration::from_millis(80),
    Duration::from_millis(180),
];

/// The service behind the listeners.
#[derive(Debug)]
pub struct Handlers {
    /// The state that requests read and change.
    pub app: Arc<App>,
    /// Binds pods; `None` without `--bind`.
    pub binding: Option<Binding>,
    /// Takes preemption requests; `None` without `--preempt`.
    pub evictions: Option<Evictions>,
    /// The certificate that `/readyz` waits for; `None` without TLS.
    pub certificate: Option<Arc<Resolver>>,
}

impl Handlers {
    /// Handlers that neither bind nor evict, and wait for no certificate.
    pub fn new(app: Arc<App>) -> Self {
        Handlers {
            app,
            binding: None,
            evictions: None,
            certificate: None,
        }
    }

    /// Answers a filter call from the current state.
    pub fn filter_now(&self, body: &[u8]) -> Answer {
        self.try_filter(body, false)
            .unwrap_or_else(|| Answer::refusal(503, "the state of the cluster is behind the scheduler"))
    }

    /// Answers a filter call, or returns `None` if no node fits and the state is known to be behind
    /// the scheduler: a later attempt may find a node.
    pub fn filter_unless_behind(&self, body: &[u8]) -> Option<Answer> {
        self.try_filter(body, true)
    }

    fn try_filter(&self, body: &[u8], may_wait: bool) -> Option<Answer> {
        let answered = self.extend(body, "ExtenderArgs", |args: &Args<'_>, context| {
            let query = PodQuery::of(&args.pod, context);
            let passed = matches!(query, PodQuery::NoGpu);
            let size = self.app.settings().answer_size;
            extender::filter_for(&query, args, context, size, |result| {
                let fits = result.node_names.as_ref().is_some_and(|names| !names.is_empty())
                    || result.nodes.as_ref().is_some_and(|nodes| !nodes.items.is_empty());
                let counted = match (passed, fits, result.error.is_empty()) {
                    (_, _, false) => FilterResult::Error,
                    (true, ..) => FilterResult::Passed,
                    (false, true, _) => FilterResult::Fits,
                    (false, false, _) => FilterResult::NoFit,
                };
                if counted == FilterResult::NoFit && result.stale && may_wait {
                    return None;
                }
                if counted == FilterResult::NoFit {
                    self.reserve_on_nominated_node(args, &query, result);
                    if let Some(evictions) = &self.evictions {
                        evictions.request(args, context, self.app.now());
                    }
                }
                Some((counted, result.unfit_reasons, serde_json::to_vec(result)))
            })
        });
        match answered {
            Err(answer) => Some(answer),
            Ok(None) => None,
            Ok(Some((counted, unfit_reasons, json))) => {
                self.app.metrics().filtered(counted);
                self.app.metrics().left_out(&unfit_reasons);
                Some(json_answer(json))
            }
        }
    }

    /// Reserves capacity on its nominated node for a pod whose victims are terminating there. The
    /// scheduler's own accounting of nominated pods does not cover our limits.
    fn reserve_on_nominated_node(
        &self,
        args: &Args<'_>,
        query: &PodQuery<'_>,
        result: &extender::wire::FilterResult<'_>,
    ) {
        if let (Some((node, _)), Some(uid), Some(pod_request)) = (
            result.failed_nodes.first_key_value(),
            args.pod.metadata.uid.as_deref(),
            query.pod_request(),
        ) {
            let priority = args.pod.spec.priority.unwrap_or(0);
            let now = self.app.now();
            let mut reservations = self.app.reservations();
            reservations.nominate(uid, node, pod_request.clone(), priority, now);
        }
    }

    /// Parses extender arguments of the Kubernetes type `kind` and answers them.
    fn extend<'b, A: serde::Deserialize<'b>, T>(
        &self,
        body: &'b [u8],
        kind: &str,
        answer: impl FnOnce(&A, &extender::ExtenderContext<'_>) -> T,
    ) -> Result<T, Answer> {
        let invalid =
            |error: &dyn std::fmt::Display| Answer::refusal(400, format!("the body is not {kind}: {error}\n"));
        // Checked once here instead of once for each of thousands of names.
        let body = std::str::from_utf8(body).map_err(|error| invalid(&error))?;
        let args = serde_json::from_str(body).map_err(|error| invalid(&error))?;
        // Before the state: a reservation that is settled in between is counted twice but never
        // missed.
        let reserved = self.app.reservations().reserved().clone();
        let state = self.app.current();
        let context = self.app.context(&state, &reserved).map_err(|error| not_ready(&error))?;
        Ok(answer(&args, &context))
    }

    fn record(&self, uid: &str, admission: &Admission<'_>) {
        self.app.metrics().admitted(admission);
        let policy = admission.policy.map_or("", |policy| policy.name.as_str());
        let strategy = admission.strategy.map_or("", apportion_core::gpu::Strategy::as_str);
        let (outcome, pod, because) = (
            admission.outcome.as_str(),
            admission.pod.as_str(),
            admission.reason.as_str(),
        );
        match admission.outcome {
            AdmissionOutcome::Skipped | AdmissionOutcome::Advised | AdmissionOutcome::Ungoverned => {
                tracing::debug!(uid, pod, outcome, because, "passed");
            }
            _ => tracing::info!(uid, pod, policy, outcome, strategy, because, "decided"),
        }
    }
}

fn not_ready(error: &NotReady) -> Answer {
    Answer::refusal(503, format!("{error}\n"))
}

fn json_answer(json: serde_json::Result<Vec<u8>>) -> Answer {
    json.map_or_else(|error| Answer::refusal(500, error.to_string()), Answer::json)
}

impl Endpoints for Handlers {
    fn mutate(&self, body: &[u8]) -> Answer {
        let request = match admission::review::read(body) {
            Ok(request) => request,
            Err(error) => return Answer::refusal(400, format!("{error}\n")),
        };
        let state = self.app.current();
        let inventory = match state.readiness() {
            Ok(inventory) => inventory,
            Err(error) => return not_ready(&error),
        };
        let settings = self.app.settings();
        let mut pending = self.app.pending();
        let now = self.app.now();
        pending.expire(now);
        let mut admission = admission::admit(
            &request,
            &admission::AdmissionContext {
                policies: &state.policies,
                inventory,
                pending: &pending,
                on_unknown: settings.on_unknown,
                own_namespace: settings.own_namespace.as_deref(),
                scheduler_name: settings.scheduler_name.as_deref(),
            },
        );
        if let Some(pending_admission) = admission.pending_admission.take() {
            pending.add(now, pending_admission);
        }
        drop(pending);
        self.record(&request.uid, &admission);
        Answer::json(admission.response.to_json(&request.uid))
    }

    /// Retries while the watch is behind the scheduler: a pod that fits nowhere is not tried again
    /// until something else happens in the cluster, which can take minutes.
    fn filter(self: Arc<Self>, body: Bytes) -> BoxFuture<'static, Answer> {
        Box::pin(async move {
            for pause in CATCH_UP_PAUSES {
                if let Some(answer) = self.filter_unless_behind(&body) {
                    return answer;
                }
                tokio::time::sleep(pause).await;
            }
            self.filter_now(&body)
        })
    }

    fn prioritize(&self, body: &[u8]) -> Answer {
        let answered = self.extend(body, "ExtenderArgs", |args: &Args<'_>, context| {
            extender::prioritize(args, context, |scores| serde_json::to_vec(scores))
        });
        match answered {
            Err(answer) => answer,
            // The scheduler ignores an extender whose scores it cannot get.
            Ok(Err(error)) => Answer::refusal(400, format!("{error}\n")),
            Ok(Ok(json)) => json_answer(json),
        }
    }

    fn preempt(&self, body: &[u8]) -> Answer {
        let answered = self.extend(body, "ExtenderPreemptionArgs", |args: &PreemptionArgs<'_>, context| {
            serde_json::to_vec(&extender::preempt(args, context))
        });
        answered.map_or_else(|answer| answer, json_answer)
    }

    fn bind(self: Arc<Self>, body: Bytes) -> BoxFuture<'static, Answer> {
        Box::pin(async move {
            let Some(binding) = &self.binding else {
                return bind::answer(Err(BindRejection::NotConfigured));
            };
            let bound = bind::bind(&self.app, binding, &body).await;
            self.app.metrics().bound(bound.is_ok());
            bind::answer(bound)
        })
    }

    fn breaches(&self) -> Answer {
        let state = self.app.current();
        match (state.readiness(), &state.violations) {
            (Err(error), _) => not_ready(&error),
            (Ok(_), None) => Answer::refusal(404, "pods are checked against their policies on a live cluster only\n"),
            (Ok(_), Some(violations)) => Answer::json(violations.to_json()),
        }
    }

    fn ready(&self) -> Result<(), NotReady> {
        if self.certificate.as_ref().is_some_and(|resolver| resolver.is_waiting()) {
            return Err(NotReady::NoCertificate);
        }
        self.app.current().readiness().map(drop)
    }

    fn metrics(&self) -> String {
        let metrics = self.app.metrics();
        metrics.reserved(&self.app.reservations());
        metrics.encode(&self.app.current())
    }
}
