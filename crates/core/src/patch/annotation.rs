//! The annotation that says what was decided: for people and programs to read, never for us to believe.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::decision::Grant;
use crate::gpu::Counts;
use crate::gpu::names::DECISION_ANNOTATION;
use crate::k8s::Pod;
use crate::policy::PolicyName;

/// Counts by resource name.
type Resources = BTreeMap<String, u64>;

/// The value of `apportion.dev/decision`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DecisionRecord {
    /// The policy that governed.
    pub policy: String,
    /// The strategy chosen.
    pub strategy: String,
    /// By container: what it asked for.
    pub before: BTreeMap<String, Resources>,
    /// By container: what it asks for now.
    pub after: BTreeMap<String, Resources>,
}

impl DecisionRecord {
    fn of(policy: &PolicyName, grant: &Grant) -> Self {
        let by_container = |counts: &dyn Fn(&crate::decision::Target) -> Counts| {
            grant
                .targets
                .iter()
                .map(|target| {
                    let counts = counts(target).iter().map(|(r, count)| (r.to_string(), count)).collect();
                    (target.container.name.clone(), counts)
                })
                .collect()
        };
        DecisionRecord {
            policy: policy.to_string(),
            strategy: grant.strategy.to_string(),
            before: by_container(&|target| target.container.counts.clone()),
            after: by_container(&crate::decision::Target::after),
        }
    }
}

/// The annotation that the pod is to have, or `None` when the one that it has is right.
///
/// A record that is there stays only where it agrees with the pod that it is on: written on an earlier pass, it knows what the pod asked
/// for before, which can not be seen any more. One that anybody else made up is replaced.
pub fn annotation(pod: &Pod<'_>, policy: &PolicyName, grant: &Grant) -> Option<String> {
    let now = DecisionRecord::of(policy, grant);
    let unchanged = grant.targets.iter().all(|target| !target.is_change());
    let kept = pod.metadata.annotations.get(DECISION_ANNOTATION).and_then(|text| {
        let there: DecisionRecord = serde_json::from_str(text).ok()?;
        let agrees = there.policy == now.policy
            && there.strategy == now.strategy
            && there.after == now.after
            && there.before.keys().eq(now.before.keys());
        (unchanged && agrees).then_some(())
    });
    match kept {
        Some(()) => None,
        None => serde_json::to_string(&now).ok(),
    }
}
