//! Violations: what a running pod does that its policy does not allow.

use super::candidate::Candidate;
use super::model::{ContainerRewrite, Denial};
use super::node_requirements;
use crate::diagnostics::excerpt;
use crate::gpu::{ContainerDemand, GpuResource};
use crate::k8s::{NormalizedAffinity, SelectionConflict};
use crate::policy::Policy;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub kind: ViolationKind,
    /// Such as `spec.containers[0].resources.limits`.
    pub field: String,
    pub reason: String,
    /// How to fix it.
    pub hint: String,
}

/// Few enough to be a label of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ViolationKind {
    /// The webhook would have rewritten the pod.
    NotRewritten,
    /// The pod requests several shares of a GPU, but its policy gives one.
    TooManyShares,
    /// The pod requests or selects GPUs that are shared in a way that its policy does not allow.
    ForbiddenStrategy,
    /// The webhook would have rejected the pod.
    Refused,
    /// The pod has access to GPUs that it does not request.
    NotIsolated,
}

impl ViolationKind {
    pub const ALL: [ViolationKind; 5] = [
        ViolationKind::NotRewritten,
        ViolationKind::TooManyShares,
        ViolationKind::ForbiddenStrategy,
        ViolationKind::Refused,
        ViolationKind::NotIsolated,
    ];

    /// The name in metrics and listings.
    pub fn as_str(self) -> &'static str {
        match self {
            ViolationKind::NotRewritten => "not_rewritten",
            ViolationKind::TooManyShares => "too_many_shares",
            ViolationKind::ForbiddenStrategy => "forbidden_strategy",
            ViolationKind::Refused => "refused",
            ViolationKind::NotIsolated => "not_isolated",
        }
    }
}

pub(super) const RECREATE_POD: &str = "delete the pod; its controller creates another, which the webhook rewrites";
const REQUEST_GPU: &str = "ask for nvidia.com/gpu without selecting how it is shared, and recreate the pod";

impl Violation {
    /// The webhook would have rejected the pod with this denial.
    pub(super) fn refused(denial: Denial) -> Self {
        Violation::denied(ViolationKind::Refused, denial)
    }

    pub(super) fn not_isolated(denial: Denial) -> Self {
        Violation::denied(ViolationKind::NotIsolated, denial)
    }

    fn denied(kind: ViolationKind, denial: Denial) -> Self {
        let Denial { field, reason, hint } = denial;
        Violation {
            kind,
            field,
            reason,
            hint,
        }
    }

    /// The node selection of the pod excludes all nodes that serve the candidate.
    pub(super) fn ruled_out(candidate: &Candidate<'_>, affinity: &NormalizedAffinity<'_>) -> Self {
        let conflict = affinity.conflict_with(&node_requirements::identifying_on_any_nodes(candidate));
        let SelectionConflict { field, reason } = conflict.unwrap_or_else(|| SelectionConflict {
            field: "spec.nodeSelector and spec.affinity",
            reason: "the node selection".to_owned(),
        });
        Violation {
            kind: ViolationKind::Refused,
            field: field.to_owned(),
            reason: format!(
                "{reason} rules out every node with {} ({})",
                candidate.naming, candidate.rule.strategy
            ),
            hint: REQUEST_GPU.to_owned(),
        }
    }

    pub(super) fn too_many_shares(candidate: &Candidate<'_>) -> Self {
        let changed = candidate.rewrites.iter().find(|rewrite| rewrite.is_change());
        let (field, counts) = changed.map_or_else(Default::default, |rewrite| {
            (
                limits_field(&rewrite.container),
                excerpt(&rewrite.container.counts.to_string()).into_owned(),
            )
        });
        Violation {
            kind: ViolationKind::TooManyShares,
            field,
            reason: format!("asks for {counts}, but the policy gives one share; more shares give no more compute"),
            hint: RECREATE_POD.to_owned(),
        }
    }

    pub(super) fn not_rewritten(candidate: &Candidate<'_>, affinity: &NormalizedAffinity<'_>, policy: &Policy) -> Self {
        let (field, reason) = match candidate.rewrites.iter().find(|rewrite| rewrite.is_change()) {
            Some(rewrite) => (
                limits_field(&rewrite.container),
                unchanged_request(rewrite, candidate, policy),
            ),
            None => (
                "spec.affinity.nodeAffinity".to_owned(),
                format!(
                    "nothing restricts the pod to nodes that serve {} by {}: {} is missing",
                    candidate.naming.resource(),
                    candidate.rule.strategy,
                    node_requirements::missing_requirement(candidate, affinity).unwrap_or_default()
                ),
            ),
        };
        Violation {
            kind: ViolationKind::NotRewritten,
            field,
            reason,
            hint: RECREATE_POD.to_owned(),
        }
    }

    /// The name of the resource shows that it is shared in a forbidden way.
    pub(super) fn forbidden_resource(container: &ContainerDemand, resource: GpuResource, policy: &Policy) -> Self {
        Violation {
            kind: ViolationKind::ForbiddenStrategy,
            field: limits_field(container),
            reason: format!(
                "asks for {resource}, but policy {} only allows {}",
                policy.name,
                allowed_strategies(policy)
            ),
            hint: REQUEST_GPU.to_owned(),
        }
    }

    /// The pod selects only nodes that share in a forbidden way, by these values of the label
    /// `key`.
    pub(super) fn forbidden_selection(key: &str, values: &[&str], policy: &Policy) -> Self {
        Violation {
            kind: ViolationKind::ForbiddenStrategy,
            field: "spec.nodeSelector and spec.affinity".to_owned(),
            reason: format!(
                "select {key}={}, but policy {} only allows {}",
                excerpt(&values.join(", ")),
                policy.name,
                allowed_strategies(policy)
            ),
            hint: REQUEST_GPU.to_owned(),
        }
    }
}

fn unchanged_request(rewrite: &ContainerRewrite, candidate: &Candidate<'_>, policy: &Policy) -> String {
    format!(
        "asks for {}, but policy {} gives {} ({})",
        excerpt(&rewrite.container.counts.to_string()),
        policy.name,
        rewrite.counts(),
        candidate.rule.strategy
    )
}

fn limits_field(container: &ContainerDemand) -> String {
    format!("{}.resources.limits", container.field())
}

fn allowed_strategies(policy: &Policy) -> String {
    let mut names: Vec<&str> = policy.sharing_rules().map(|rule| rule.strategy.as_str()).collect();
    names.dedup();
    names.join(", ")
}
