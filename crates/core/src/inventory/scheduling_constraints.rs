//! Where a pod may run, as its own spec says: node selector, required node affinity, tolerations.

use crate::gpu::names::NVIDIA_DOMAIN;
use crate::k8s::{LabelSource, Pod, RequiredNodeAffinity, Taint, Toleration};

/// Where a pod may run, as its own spec says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SchedulingConstraints<'a> {
    /// By node labels and names.
    pub constraints: RequiredNodeAffinity<'a>,
    pub tolerations: Vec<Toleration<'a>>,
}

impl<'a> SchedulingConstraints<'a> {
    pub fn from_pod(pod: &Pod<'a>) -> Self {
        SchedulingConstraints {
            constraints: RequiredNodeAffinity::from_pod(pod),
            tolerations: pod.spec.tolerations.clone(),
        }
    }

    pub fn into_owned(self) -> SchedulingConstraints<'static> {
        SchedulingConstraints {
            constraints: self.constraints.into_owned(),
            tolerations: self.tolerations.into_iter().map(Toleration::into_owned).collect(),
        }
    }

    /// Whether the pod may run on a node with this name, these labels and these taints.
    pub fn admit(&self, name: &str, labels: &impl LabelSource, taints: &[Taint<'_>]) -> bool {
        self.tolerate(taints) && self.constraints.matches_node(name, labels)
    }

    /// Whether the pod tolerates every taint that would keep it away.
    ///
    /// Taints whose key is an NVIDIA resource are ignored: the admission plugin
    /// `ExtendedResourceToleration` adds the toleration to pods that request the resource, and it
    /// runs after the webhook has set the resource.
    pub fn tolerate(&self, taints: &[Taint<'_>]) -> bool {
        self.untolerated(taints).is_none()
    }

    /// The first taint that keeps the pod away.
    pub fn untolerated<'t, 'b>(&self, taints: &'t [Taint<'b>]) -> Option<&'t Taint<'b>> {
        taints
            .iter()
            .filter(|taint| taint.repels() && !taint.key.starts_with(NVIDIA_DOMAIN))
            .find(|taint| !self.tolerations.iter().any(|toleration| toleration.tolerates(taint)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k8s::Labels;

    #[test]
    fn nodes_are_admitted_by_taints_and_by_labels() {
        let json = apportion_testing::Pod::new("p")
            .node_selector("zone", "a")
            .tolerate("team")
            .to_string();
        let pod: Pod<'_> = serde_json::from_str(&json).unwrap();
        let scheduling = SchedulingConstraints::from_pod(&pod);
        let taint = |key: &'static str| Taint {
            key: key.into(),
            value: None,
            effect: "NoSchedule".into(),
        };
        let zone = Labels::from_iter([("zone", "a")]);
        assert!(scheduling.admit("n", &zone, &[taint("team")]));
        assert!(
            scheduling.admit("n", &zone, &[taint("nvidia.com/gpu")]),
            "ExtendedResourceToleration adds this toleration"
        );
        assert!(!scheduling.admit("n", &zone, &[taint("other")]));
        assert!(!scheduling.admit("n", &Labels::default(), &[]));
    }
}
