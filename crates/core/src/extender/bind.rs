//! Whether a pod may be bound to the node that the scheduler chose.
//!
//! The scheduler binds a pod while it already schedules the next one. Between the answer to a
//! filter call and the binding, the node can fill up in ways that Kubernetes does not count. So the
//! node is checked again here, against everything decided since.

use serde::{Deserialize, Serialize};

use super::context::ExtenderContext;
use super::pod_query::{PodQuery, RejectReason};
use crate::inventory::{PodRecord, PodRequest, Reservations, UnfitReason};
use crate::k8s::Text;

/// `ExtenderBindingArgs`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct BindingArgs<'a> {
    #[serde(borrow)]
    pub pod_name: Text<'a>,
    #[serde(borrow)]
    pub pod_namespace: Text<'a>,
    /// Identifies the pod: the name may belong to another pod by now.
    #[serde(borrow, rename = "PodUID")]
    pub pod_uid: Text<'a>,
    #[serde(borrow)]
    pub node: Text<'a>,
}

/// `ExtenderBindingResult`.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct BindingResult {
    /// Why the pod is not bound; empty if it is.
    pub error: String,
}

/// Why a pod may not be bound to a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    #[error(transparent)]
    Rejected(#[from] RejectReason),
    #[error("{0}")]
    Unfit(UnfitReason),
}

/// What the pod will use on the node; `None` if it uses nothing that is counted.
pub fn check_binding(
    pod: &PodRecord,
    node: &str,
    context: &ExtenderContext<'_>,
    reservations: &Reservations,
) -> Result<Option<PodRequest>, BindingError> {
    let query = PodQuery::of_record(pod, context);
    if let PodQuery::Reject(reason) = &query {
        return Err(reason.clone().into());
    }
    let known = context.inventory.node(node);
    let reserved = reservations.usage_against(node, &pod.summary.uid, pod.priority);
    let entry = match (known, reserved) {
        (Some(known), Some(reserved)) => Some(known.with_usage(&reserved)),
        (known, _) => known.cloned(),
    };
    query.check(entry.as_ref()).map_err(BindingError::Unfit)?;
    Ok(query.pod_request().cloned())
}
