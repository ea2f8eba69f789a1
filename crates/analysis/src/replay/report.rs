//! What `replay` says: the structure that `--output json` prints and the text is made from.

use std::collections::BTreeMap;

use serde::Serialize;

use apportion_core::gpu::names::NVIDIA_DOMAIN;
use apportion_core::k8s::LabelSource;

/// Counts by the name of the resource.
pub type Resources = BTreeMap<String, u64>;

/// The whole answer.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Pods that hold GPUs or wait for them, and are not on their way out.
    pub pods: usize,
    /// Those for which nothing changes.
    pub unchanged: usize,
    /// The others, together where everything about them is alike.
    pub changes: Vec<Change>,
    /// What is lacking for all of them to run.
    pub missing: Vec<Missing>,
}

/// Pods of one workload to which the same happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// The namespace.
    pub namespace: String,
    /// What made the pods, by the labels that controllers write.
    pub workload: String,
    /// How many pods.
    pub pods: usize,
    /// What happens.
    pub outcome: Outcome,
    /// The policy that would govern.
    pub policy: Option<String>,
    /// What they have now.
    pub from: Share,
    /// What they would get; `null` where they would be denied.
    pub to: Option<Share>,
    /// Why, of the first of them.
    pub because: String,
    /// Pods that would find no place.
    pub without_place: usize,
    /// Whether the old policies would do the same to the pods if they were made again now; `null` where these are not known.
    pub same_under_old: Option<bool>,
    /// Whether what the pods asked for before admission is known from their annotation. If not, they are judged as they are.
    pub restored: bool,
}

/// What happens to pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// Once made again, they are turned away.
    Denied,
    /// Once made again, they get something else.
    Changed,
    /// They get what they have, and can not stay where they are.
    Moved,
}

/// What pods hold or wait for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    /// How it is shared; `null` for pods that wait, and where nodes do not say.
    pub strategy: Option<&'static str>,
    /// Of what, how much.
    pub resources: Resources,
}

/// Shares that are lacking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Missing {
    /// The strategy that the policy chose.
    pub strategy: Option<&'static str>,
    /// The resource.
    pub resource: String,
    /// How many.
    pub shares: u64,
    /// For how many pods.
    pub pods: usize,
}

impl Change {
    /// Whether it is the new policies' doing that pods can not run.
    pub fn is_finding(&self) -> bool {
        self.same_under_old != Some(true) && (self.outcome == Outcome::Denied || self.without_place > 0)
    }
}

impl Report {
    /// Whether somebody should look at it before the policies are changed.
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

/// What made a pod of this name, by the labels that controllers write; else the pod itself.
pub fn workload(name: &str, labels: &impl LabelSource) -> String {
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
    use apportion_core::k8s::text::Labels;

    #[test]
    fn pods_are_traced_to_what_made_them() {
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
            assert_eq!(workload(name, &Labels::from_iter(labels)), expected);
        }
    }
}
