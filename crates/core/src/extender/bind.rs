//! Whether a pod may be bound to the node that the scheduler chose.
//!
//! The scheduler decides on a node and binds later, while it already places the next pod: between a filter's answer and the binding the
//! node may have filled up by what Kubernetes does not count. So it is judged again here, with everything that was decided since.

use serde::{Deserialize, Serialize};

use super::pod_query::{ExtenderContext, PodQuery};
use crate::inventory::{PodRecord, PodRequest, Reservations};
use crate::k8s::Text;

/// `ExtenderBindingArgs`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct BindingArgs<'a> {
    /// The pod.
    #[serde(borrow)]
    pub pod_name: Text<'a>,
    /// Its namespace.
    #[serde(borrow)]
    pub pod_namespace: Text<'a>,
    /// Its UID: the name may be another pod's by now.
    #[serde(borrow, rename = "PodUID")]
    pub pod_uid: Text<'a>,
    /// The node.
    #[serde(borrow)]
    pub node: Text<'a>,
}

/// `ExtenderBindingResult`.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct BindingResult {
    /// Why not; empty where it is bound.
    pub error: String,
}

/// What the pod will hold on the node, or why it may not go there. `None` where it holds nothing that is ours to count.
pub fn judge(
    pod: &PodRecord,
    node: &str,
    context: &ExtenderContext<'_>,
    reservations: &Reservations,
) -> Result<Option<PodRequest>, String> {
    let ask = PodQuery::of_record(pod, context);
    if let PodQuery::Refuse(reason) = &ask {
        return Err(reason.clone());
    }
    let known = context.inventory.node(node);
    let reserved = reservations.against(node, &pod.summary.uid, pod.priority);
    let entry = match (known, reserved) {
        (Some(known), Some(reserved)) => Some(known.with(&reserved)),
        (known, _) => known.cloned(),
    };
    match ask.check(entry.as_ref()) {
        Ok(()) => Ok(ask.pod_request().cloned()),
        Err(unfit_reason) => Err(unfit_reason.to_string()),
    }
}
