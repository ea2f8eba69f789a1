//! The annotation that records the decision. Others read it; Apportion never trusts it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::decision::{ContainerRewrite, Grant};
use crate::gpu::Counts;
use crate::gpu::names::DECISION_ANNOTATION;
use crate::k8s::Pod;
use crate::policy::PolicyName;

type Resources = BTreeMap<String, u64>;

/// The value of `apportion.dev/decision`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DecisionRecord {
    pub policy: String,
    pub strategy: String,
    /// What each container requested, by container and resource.
    pub before: BTreeMap<String, Resources>,
    /// What each container requests now, by container and resource.
    pub after: BTreeMap<String, Resources>,
}

impl DecisionRecord {
    fn new(policy: &PolicyName, grant: &Grant) -> Self {
        let by_container = |counts: &dyn Fn(&ContainerRewrite) -> Counts| {
            grant
                .rewrites
                .iter()
                .map(|rewrite| {
                    let counts = counts(rewrite)
                        .iter()
                        .map(|(r, count)| (r.to_string(), count))
                        .collect();
                    (rewrite.container.name.clone(), counts)
                })
                .collect()
        };
        DecisionRecord {
            policy: policy.to_string(),
            strategy: grant.strategy.to_string(),
            before: by_container(&|rewrite| rewrite.container.counts.clone()),
            after: by_container(&ContainerRewrite::counts),
        }
    }
}

/// The annotation to set, or `None` if the pod has the right one.
///
/// An existing record stays only if it agrees with its pod: an earlier pass wrote it, and only the
/// record still knows what the pod requested before. Any other record is replaced, because anyone
/// who creates a pod can write one.
pub fn decision_annotation(pod: &Pod<'_>, policy: &PolicyName, grant: &Grant) -> Option<String> {
    let record = DecisionRecord::new(policy, grant);
    let unchanged = grant.rewrites.iter().all(|rewrite| !rewrite.is_change());
    let kept = pod.metadata.annotations.get(DECISION_ANNOTATION).and_then(|text| {
        let existing: DecisionRecord = serde_json::from_str(text).ok()?;
        let agrees = existing.policy == record.policy
            && existing.strategy == record.strategy
            && existing.after == record.after
            && existing.before.keys().eq(record.before.keys());
        (unchanged && agrees).then_some(())
    });
    match kept {
        Some(()) => None,
        None => serde_json::to_string(&record).ok(),
    }
}
