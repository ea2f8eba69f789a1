//! Which listener serves which method and path.

use axum::routing::MethodFilter;

/// What a listener is for. Each has an address of its own, so that a network policy can tell them
/// apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Called by kube-apiserver.
    Webhook,
    /// Called by kube-scheduler.
    Extender,
    /// Called by the kubelet and by metrics collectors.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 3] = [Role::Webhook, Role::Extender, Role::Admin];

    /// The name in messages and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Webhook => "webhook",
            Role::Extender => "extender",
            Role::Admin => "admin",
        }
    }

    /// The flag that sets the listener's address.
    pub fn listen_flag(self) -> &'static str {
        match self {
            Role::Webhook => "--webhook-listen",
            Role::Extender => "--extender-listen",
            Role::Admin => "--admin-listen",
        }
    }

    /// What the listener serves.
    pub fn routes(self) -> &'static [Route] {
        match self {
            Role::Webhook => &[Route::Mutate],
            Role::Extender => &[Route::Filter, Route::Prioritize, Route::Preempt, Route::Bind],
            Role::Admin => &[Route::Livez, Route::Readyz, Route::Metrics, Route::Breaches],
        }
    }
}

/// A method and a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// Rewrites or rejects a pod.
    Mutate,
    /// Says which nodes a pod fits.
    Filter,
    /// Scores these nodes.
    Prioritize,
    /// Selects victims for a pod.
    Preempt,
    /// Binds a pod to a node.
    Bind,
    /// Whether the process runs.
    Livez,
    /// Whether it can take requests.
    Readyz,
    /// Metrics.
    Metrics,
    /// The pods that violate their policy.
    Breaches,
}

impl Route {
    /// Every route.
    pub const ALL: [Route; 9] = [
        Route::Mutate,
        Route::Filter,
        Route::Prioritize,
        Route::Preempt,
        Route::Bind,
        Route::Livez,
        Route::Readyz,
        Route::Metrics,
        Route::Breaches,
    ];

    /// The name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        &self.path()[1..]
    }

    /// The path, with its leading slash.
    pub fn path(self) -> &'static str {
        match self {
            Route::Mutate => "/mutate",
            Route::Filter => "/filter",
            Route::Prioritize => "/prioritize",
            Route::Preempt => "/preempt",
            Route::Bind => "/bind",
            Route::Livez => "/livez",
            Route::Readyz => "/readyz",
            Route::Metrics => "/metrics",
            Route::Breaches => "/breaches",
        }
    }

    /// Whether the method is POST with a body; otherwise it is GET.
    pub fn takes_body(self) -> bool {
        match self {
            Route::Mutate | Route::Filter | Route::Prioritize | Route::Preempt | Route::Bind => true,
            Route::Livez | Route::Readyz | Route::Metrics | Route::Breaches => false,
        }
    }

    /// Method and path, such as `POST /mutate`.
    pub fn summary(self) -> String {
        let method = if self.takes_body() { "POST" } else { "GET" };
        format!("{method} {}", self.path())
    }

    pub(super) fn method(self) -> MethodFilter {
        if self.takes_body() {
            MethodFilter::POST
        } else {
            MethodFilter::GET
        }
    }
}
