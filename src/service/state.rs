//! What is known at one moment.

use std::sync::Arc;

use crate::inventory::Inventory;
use crate::policy::PolicySet;

use super::sightings::Sightings;

/// Policies and cluster, as of one moment.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The policies.
    pub policies: Arc<PolicySet>,
    /// The cluster; `None` until it was seen whole for the first time.
    pub inventory: Option<Arc<Inventory>>,
    /// Pods that break their policy; `None` where nobody looks for them.
    pub breaches: Option<Sightings>,
}

impl State {
    /// Why requests can not be answered rightly yet.
    pub fn readiness(&self) -> Result<&Inventory, &'static str> {
        self.inventory.as_deref().ok_or("the cluster has not been read yet")
    }
}
