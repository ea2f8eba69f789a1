//! One pod with GPUs, as the inventory knows it.

use std::sync::Arc;

use super::holdings::{Holding, Newcomer};
use super::record::{Place, PodRecord};
use crate::policy::Terms;

/// A pod that holds GPUs or waits for them, and on what terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodEntry {
    /// What it says itself.
    pub record: PodRecord,
    /// What it is promised.
    pub terms: Arc<Terms>,
}

impl PodEntry {
    /// What it holds, or would.
    pub fn holding(&self) -> Holding<'_> {
        Holding {
            demand: &self.record.demand,
            memory: self.record.memory(),
            terms: &self.terms,
        }
    }

    /// The same, to be kept.
    pub fn newcomer(&self) -> Newcomer {
        Newcomer {
            demand: self.record.demand.clone(),
            memory: self.record.memory(),
            terms: Arc::clone(&self.terms),
        }
    }

    /// The node that it is on.
    pub fn node(&self) -> Option<&str> {
        match &self.record.place {
            Place::Node(node) => Some(node),
            Place::Waiting => None,
        }
    }

    /// `namespace/name`.
    pub fn key(&self) -> String {
        format!("{}/{}", self.record.namespace, self.record.name)
    }
}
