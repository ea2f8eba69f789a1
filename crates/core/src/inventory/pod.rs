//! One pod with GPUs, as the inventory knows it.

use std::sync::Arc;

use super::node_usage::{PodRequest, PodRequestRef};
use super::record::{PodPlacement, PodRecord};
use crate::policy::Guarantees;

/// A pod that holds GPUs or waits for them, and on what terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodEntry {
    /// What it says itself.
    pub record: PodRecord,
    /// What it is promised.
    pub terms: Arc<Guarantees>,
}

impl PodEntry {
    /// What it holds, or would.
    pub fn request(&self) -> PodRequestRef<'_> {
        PodRequestRef {
            demand: &self.record.demand,
            memory: self.record.memory(),
            terms: &self.terms,
        }
    }

    /// The same, to be kept.
    pub fn pod_request(&self) -> PodRequest {
        PodRequest {
            demand: self.record.demand.clone(),
            memory: self.record.memory(),
            terms: Arc::clone(&self.terms),
        }
    }

    /// The node that it is on.
    pub fn node(&self) -> Option<&str> {
        match &self.record.place {
            PodPlacement::Node(node) => Some(node),
            PodPlacement::Waiting => None,
        }
    }

    /// `namespace/name`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.record.namespace, self.record.name)
    }
}
