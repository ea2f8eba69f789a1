//! What `replay` says: `--output json` prints it, and the text shows it.

use std::collections::BTreeMap;

use serde::Serialize;

use apportion_core::gpu::names::NVIDIA_DOMAIN;
use apportion_core::k8s::LabelSource;

/// Counts by resource name.
pub type Resources = BTreeMap<String, u64>;

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Pods that hold or await GPUs, without those that are being deleted.
    pub pods: usize,
    /// Pods for which nothing changes.
    pub unchanged: usize,
    /// The other pods, grouped if everything about them is the same.
    pub changes: Vec<Change>,
    /// The capacity that would let all pods run.
    pub missing: Vec<MissingCapacity>,
}

/// Pods of one workload to which the same happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    pub namespace: String,
    /// What created the pods, according to the labels that controllers set.
    pub workload: String,
    /// How many pods.
    pub pods: usize,
    #[serde(rename = "outcome")]
    pub kind: ChangeKind,
    /// The policy that would govern.
    pub policy: Option<String>,
    /// What the pods have now.
    pub from: Share,
    /// What the pods would get; `null` if they would be denied.
    pub to: Option<Share>,
    /// The reason for the first pod.
    pub because: String,
    /// Pods that would fit on no node.
    pub without_place: usize,
    /// Whether the old policies would do the same if the pods were recreated now; `null` if there
    /// are none to compare.
    pub same_under_old: Option<bool>,
    /// Whether the pods' annotation tells what they requested before admission. If not, they are
    /// replayed as they run.
    pub restored: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ChangeKind {
    /// When recreated, the pods are denied.
    Denied,
    /// When recreated, the pods get something else.
    Changed,
    /// The pods get the same but cannot stay on their node.
    Moved,
}

/// What pods hold or wait for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    /// `null` for waiting pods, and where the node does not tell.
    pub strategy: Option<&'static str>,
    pub resources: Resources,
}

/// Shares that pods need and no node has free.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MissingCapacity {
    /// The strategy that the policy chose.
    pub strategy: Option<&'static str>,
    pub resource: String,
    pub shares: u64,
    /// How many pods need these shares.
    pub pods: usize,
}

impl Change {
    /// Whether the new policies keep pods from running that the old ones would let run.
    pub fn is_finding(&self) -> bool {
        self.same_under_old != Some(true) && (self.kind == ChangeKind::Denied || self.without_place > 0)
    }
}

impl Report {
    /// Whether the exit code reports a finding.
    pub fn is_finding(&self) -> bool {
        self.changes.iter().any(Change::is_finding)
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let strategy = self.strategy.unwrap_or("waiting");
        let short = |name: &str| name.strip_prefix(NVIDIA_DOMAIN).unwrap_or(name).to_owned();
        let resources: Vec<String> = self
            .resources
            .iter()
            .map(|(name, count)| format!("{} {count}", short(name)))
            .collect();
        write!(f, "{strategy} {}", resources.join(" + "))
    }
}

/// The name of the object that created a pod, derived from the pod's name and the labels that
/// controllers set; the pod's own name if they tell nothing.
pub fn workload_name(name: &str, labels: &impl LabelSource) -> String {
    let before_last = |name: &str| name.rsplit_once('-').map(|(front, _)| front.to_owned());
    if let Some(hash) = labels.label("pod-template-hash")
        && let Some((front, _)) = name.rsplit_once(&format!("-{hash}-"))
    {
        return front.to_owned();
    }
    for key in ["batch.kubernetes.io/job-name", "job-name"] {
        if let Some(job) = labels.label(key) {
            return job.to_owned();
        }
    }
    let numbered = [
        "apps.kubernetes.io/pod-index",
        "statefulset.kubernetes.io/pod-name",
        "controller-revision-hash",
    ];
    if numbered.iter().any(|key| labels.label(key).is_some()) {
        return before_last(name).unwrap_or_else(|| name.to_owned());
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use apportion_core::k8s::Labels;

    #[test]
    fn workload_name_follows_from_controller_labels() {
        for (name, labels, expected) in [
            ("api-jxj-lp9rz", vec![("pod-template-hash", "jxj")], "api"),
            ("api-other-lp9rz", vec![("pod-template-hash", "jxj")], "api-other-lp9rz"),
            (
                "train-x-0-ab1",
                vec![("batch.kubernetes.io/job-name", "train-x")],
                "train-x",
            ),
            ("chat-12", vec![("apps.kubernetes.io/pod-index", "12")], "chat"),
            ("plugin-abcde", vec![("controller-revision-hash", "77")], "plugin"),
            ("lone-pod", vec![], "lone-pod"),
        ] {
            assert_eq!(workload_name(name, &Labels::from_iter(labels)), expected);
        }
    }
    #[test]
    fn json_keeps_the_key_outcome() {
        let share = Share {
            strategy: None,
            resources: Resources::new(),
        };
        let change = Change {
            namespace: "n".to_owned(),
            workload: "w".to_owned(),
            pods: 1,
            kind: ChangeKind::Moved,
            policy: None,
            from: share.clone(),
            to: Some(share),
            because: String::new(),
            without_place: 0,
            same_under_old: Some(false),
            restored: false,
        };
        let json = serde_json::to_value(change).unwrap();
        assert_eq!((&json["outcome"], json.get("kind")), (&"moved".into(), None));
    }
}
