//! What is known at one moment.

use std::sync::Arc;

use apportion_core::inventory::Inventory;
use apportion_core::policy::PolicySet;

use super::violations::Violations;

/// Policies and cluster, as of one moment.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The policies.
    pub policies: Arc<PolicySet>,
    /// The cluster; `None` until it was seen whole for the first time.
    pub inventory: Option<Arc<Inventory>>,
    /// What is still to be seen, as long as there is no inventory.
    pub waiting_for: String,
    /// Pods that break their policy; `None` where nobody looks for them.
    pub breaches: Option<Violations>,
}

impl State {
    /// Why requests can not be answered rightly yet.
    pub fn readiness(&self) -> Result<&Inventory, &str> {
        let waiting = if self.waiting_for.is_empty() {
            "the cluster has not been read yet"
        } else {
            &self.waiting_for
        };
        self.inventory.as_deref().ok_or(waiting)
    }
}
