//! What a listener is for.

use super::route::Route;

/// A listener's job. Each has an address of its own, so that a network policy can tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// What kube-apiserver calls.
    Webhook,
    /// What kube-scheduler calls.
    Extender,
    /// What the kubelet and a metrics collector call.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 3] = [Role::Webhook, Role::Extender, Role::Admin];

    /// Its name in messages and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Webhook => "webhook",
            Role::Extender => "extender",
            Role::Admin => "admin",
        }
    }

    /// The flag that sets its address.
    pub fn listen_flag(self) -> &'static str {
        match self {
            Role::Webhook => "--webhook-listen",
            Role::Extender => "--extender-listen",
            Role::Admin => "--admin-listen",
        }
    }

    /// What it serves.
    pub fn routes(self) -> &'static [Route] {
        match self {
            Role::Webhook => &[Route::Mutate],
            Role::Extender => &[Route::Filter, Route::Prioritize, Route::Preempt, Route::Bind],
            Role::Admin => &[Route::Livez, Route::Readyz, Route::Metrics, Route::Breaches],
        }
    }
}
