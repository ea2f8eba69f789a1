//! What can be asked of a listener: a method and a path.

use axum::routing::MethodFilter;

/// One thing that can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// Rewrite or refuse a pod.
    Mutate,
    /// Which nodes a pod fits.
    Filter,
    /// Which of them it had better go to.
    Prioritize,
    /// Whom to evict for a pod.
    Preempt,
    /// Bind a pod to a node.
    Bind,
    /// Whether the process runs at all.
    Livez,
    /// Whether it may be sent requests.
    Readyz,
    /// What it counted.
    Metrics,
    /// Which pods break their policy.
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

    /// Its name in logs and metrics.
    pub fn as_str(self) -> &'static str {
        &self.path()[1..]
    }

    /// Its path.
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

    /// Whether it takes a body by POST; else it is asked by GET.
    pub fn takes_body(self) -> bool {
        match self {
            Route::Mutate | Route::Filter | Route::Prioritize | Route::Preempt | Route::Bind => true,
            Route::Livez | Route::Readyz | Route::Metrics | Route::Breaches => false,
        }
    }

    /// Its method and path as a person would write them.
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
