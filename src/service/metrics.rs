//! The metrics of the service.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::state::State;
use super::state_metrics::StateGauges;
use crate::server::endpoints::Observer;
use crate::server::route::{Role, Route};
use apportion_core::admission::Admission;
use apportion_core::gpu::Strategy;
use apportion_core::inventory::{Reservations, UnfitReasonKind};
use apportion_core::policy::Mode;

/// Seconds: from 0.1 ms, about the time of an answer, to the extender's default timeout of 5 s.
const DURATION_BUCKETS: [f64; 12] = [
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0,
];

/// How a filter call was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FilterResult {
    /// At least one node fits.
    Fits,
    /// No node fits.
    NoFit,
    /// The pod is not governed.
    Passed,
    /// The answer is an error.
    Error,
}

impl FilterResult {
    fn as_str(self) -> &'static str {
        match self {
            FilterResult::Fits => "fits",
            FilterResult::NoFit => "no_fit",
            FilterResult::Passed => "passed",
            FilterResult::Error => "error",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AdmissionLabels {
    /// Policies are few and written by administrators, so the label has few values.
    policy: String,
    mode: &'static str,
    outcome: &'static str,
    strategy: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    listener: &'static str,
    route: &'static str,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UnfitReasonLabel {
    lack: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PurposeLabel {
    purpose: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabel {
    listener: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResourceLabel {
    resource: &'static str,
}

/// Every metric of the service.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    admissions: Family<AdmissionLabels, Counter>,
    filters: Family<ResultLabel, Counter>,
    bindings: Family<ResultLabel, Counter>,
    left_out: Family<UnfitReasonLabel, Counter>,
    reservations: Family<PurposeLabel, Gauge>,
    evictions: Family<ResultLabel, Counter>,
    requests: Family<RequestLabels, Histogram, fn() -> Histogram>,
    panics: Counter,
    handshake_failures: Family<ListenerLabel, Counter>,
    reloads: Family<ResultLabel, Counter>,
    reload_ok: Gauge,
    certificate_expiry: Gauge,
    watch_breaks: Family<ResourceLabel, Counter>,
    staleness: Gauge<f64, AtomicU64>,
    authority_expiry: Gauge,
    violations_found: Counter,
    state: StateGauges,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("apportion");
        let histogram: fn() -> Histogram = || Histogram::new(DURATION_BUCKETS);
        let metrics = Metrics {
            admissions: Family::default(),
            filters: Family::default(),
            bindings: Family::default(),
            left_out: Family::default(),
            reservations: Family::default(),
            evictions: Family::default(),
            requests: Family::new_with_constructor(histogram),
            panics: Counter::default(),
            handshake_failures: Family::default(),
            reloads: Family::default(),
            reload_ok: Gauge::default(),
            certificate_expiry: Gauge::default(),
            watch_breaks: Family::default(),
            staleness: Gauge::default(),
            authority_expiry: Gauge::default(),
            violations_found: Counter::default(),
            state: StateGauges::default(),
            registry: Mutex::default(),
        };
        registry.register(
            "build",
            "The version of this program",
            Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
        );
        registry.register("admissions", "Admission reviews answered", metrics.admissions.clone());
        registry.register(
            "filters",
            "Filter calls of the scheduler answered",
            metrics.filters.clone(),
        );
        registry.register(
            "bindings",
            "Bind calls of the scheduler answered",
            metrics.bindings.clone(),
        );
        registry.register(
            "filter_nodes_left_out",
            "Nodes that filter calls left out, by reason",
            metrics.left_out.clone(),
        );
        registry.register(
            "reservations",
            "Pods that count on a node before the watch has them there",
            metrics.reservations.clone(),
        );
        registry.register(
            "evictions",
            "Pods evicted for a pod that only Apportion's limits blocked",
            metrics.evictions.clone(),
        );
        registry.register_with_unit(
            "http_request_duration",
            "Time from the head of a request to its answer",
            Unit::Seconds,
            metrics.requests.clone(),
        );
        registry.register(
            "handler_panics",
            "Requests answered with 500 after a panic",
            metrics.panics.clone(),
        );
        registry.register(
            "tls_handshake_failures",
            "Connections whose TLS handshake failed or timed out",
            metrics.handshake_failures.clone(),
        );
        registry.register(
            "reloads",
            "Reloads of policies and the cluster file",
            metrics.reloads.clone(),
        );
        registry.register(
            "last_reload_successful",
            "1 if the last reload succeeded, 0 if the running configuration is older than the files",
            metrics.reload_ok.clone(),
        );
        registry.register_with_unit(
            "tls_certificate_not_after_timestamp",
            "When the served certificate expires; 0 without one",
            Unit::Seconds,
            metrics.certificate_expiry.clone(),
        );
        registry.register(
            "watch_breaks",
            "Watches of the cluster that failed",
            metrics.watch_breaks.clone(),
        );
        registry.register_with_unit(
            "cluster_staleness",
            "How long the oldest broken watch has been silent; 0 while all watches work",
            Unit::Seconds,
            metrics.staleness.clone(),
        );
        registry.register_with_unit(
            "tls_authority_not_after_timestamp",
            "When the CA that Apportion manages expires; 0 without one",
            Unit::Seconds,
            metrics.authority_expiry.clone(),
        );
        registry.register(
            "breaches_found",
            "GPU pods found to violate their policy",
            metrics.violations_found.clone(),
        );
        metrics.state.register(&mut registry);
        Metrics {
            registry: Mutex::new(registry),
            ..metrics
        }
    }
}

impl Metrics {
    /// Counts an admission.
    pub(super) fn admitted(&self, admission: &Admission<'_>) {
        self.admissions
            .get_or_create(&AdmissionLabels {
                policy: admission
                    .policy
                    .map_or_else(String::new, |policy| policy.name.to_string()),
                mode: admission.policy.map_or("", |policy| Mode::as_str(policy.mode)),
                outcome: admission.outcome.as_str(),
                strategy: admission.strategy.map_or("", Strategy::as_str),
            })
            .inc();
    }

    /// Counts a bind call.
    pub(super) fn bound(&self, is_bound: bool) {
        let result = if is_bound { "bound" } else { "refused" };
        self.bindings.get_or_create(&ResultLabel { result }).inc();
    }

    /// Counts an eviction; `result` is `evicted` or `refused`.
    pub(super) fn evicted(&self, result: &'static str) {
        self.evictions.get_or_create(&ResultLabel { result }).inc();
    }

    /// Counts a filter call.
    pub(super) fn filtered(&self, result: FilterResult) {
        self.filters
            .get_or_create(&ResultLabel {
                result: result.as_str(),
            })
            .inc();
    }

    /// Counts the nodes that a filter call left out, by [`UnfitReasonKind::index`].
    pub(super) fn left_out(&self, unfit_reasons: &[u64; UnfitReasonKind::ALL.len()]) {
        for (kind, count) in UnfitReasonKind::ALL
            .iter()
            .zip(unfit_reasons)
            .filter(|(_, count)| **count > 0)
        {
            self.left_out
                .get_or_create(&UnfitReasonLabel { lack: kind.as_str() })
                .inc_by(*count);
        }
    }

    /// Sets the number of pods with reservations.
    pub(super) fn reserved(&self, reservations: &Reservations) {
        let bindings = reservations.bindings();
        let counts = [("binding", bindings), ("kept", reservations.len() - bindings)];
        for (purpose, count) in counts {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.reservations.get_or_create(&PurposeLabel { purpose }).set(count);
        }
    }

    /// Counts a reload.
    pub fn reloaded(&self, succeeded: bool) {
        self.reloads
            .get_or_create(&ResultLabel {
                result: if succeeded { "taken" } else { "refused" },
            })
            .inc();
        self.reload_ok.set(succeeded.into());
    }

    /// Marks the running configuration as current without counting a reload.
    pub fn reload_recovered(&self) {
        self.reload_ok.set(1);
    }

    /// Sets when the served certificate expires, in seconds since 1970.
    pub fn certificate_ends(&self, at: i64) {
        self.certificate_expiry.set(at);
    }

    /// Counts a failed watch.
    pub fn watch_broke(&self, resource: &'static str) {
        self.watch_breaks.get_or_create(&ResourceLabel { resource }).inc();
    }

    /// Sets how long the state may have been out of date.
    pub fn cluster_stale(&self, silent: Duration) {
        self.staleness.set(silent.as_secs_f64());
    }

    /// Sets when the managed CA expires, in seconds since 1970.
    pub fn authority_ends(&self, at: i64) {
        self.authority_expiry.set(at);
    }

    /// Counts pods that were found to violate their policy.
    pub fn found_violations(&self, count: u64) {
        self.violations_found.inc_by(count);
    }

    /// All metrics, in the text format of `OpenMetrics`.
    pub(super) fn encode(&self, state: &State) -> String {
        // Held for the whole scrape, so that gauges of two states are not mixed.
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        self.state.set(state);
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &registry);
        text
    }
}

impl Observer for Metrics {
    fn answered(&self, role: Role, route: Option<Route>, status: u16, took: Duration) {
        let labels = RequestLabels {
            listener: role.as_str(),
            route: route.map_or("", Route::as_str),
            code: status,
        };
        self.requests.get_or_create(&labels).observe(took.as_secs_f64());
    }

    fn panicked(&self, _route: Route) {
        self.panics.inc();
    }

    fn handshake_failed(&self, role: Role) {
        self.handshake_failures
            .get_or_create(&ListenerLabel {
                listener: role.as_str(),
            })
            .inc();
    }
}
