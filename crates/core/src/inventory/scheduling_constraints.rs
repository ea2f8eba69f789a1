//! What a pod says of where it may run.

use crate::gpu::names::NVIDIA_DOMAIN;
use crate::k8s::{Constraints, LabelSource, Pod, Taint, Toleration};

/// Where a pod may run, as far as the pod itself says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SchedulingConstraints<'a> {
    /// By labels and names.
    pub constraints: Constraints<'a>,
    /// By taints.
    pub tolerations: Vec<Toleration<'a>>,
}

impl<'a> SchedulingConstraints<'a> {
    /// Those of `pod`.
    pub fn of(pod: &Pod<'a>) -> Self {
        SchedulingConstraints {
            constraints: Constraints::of(pod),
            tolerations: pod.spec.tolerations.clone(),
        }
    }

    /// A copy that owns its strings.
    pub fn into_owned(self) -> SchedulingConstraints<'static> {
        SchedulingConstraints {
            constraints: self.constraints.into_owned(),
            tolerations: self.tolerations.into_iter().map(Toleration::into_owned).collect(),
        }
    }

    /// Whether the pod may run on a node of this name, with these labels and taints.
    pub fn admit(&self, name: &str, labels: &impl LabelSource, taints: &[Taint<'_>]) -> bool {
        self.tolerate(taints) && self.constraints.admit(name, labels)
    }

    /// Whether the pod tolerates all taints that would keep it away.
    ///
    /// Taints whose key is a resource of NVIDIA's do not count: the admission plugin `ExtendedResourceToleration` adds the
    /// toleration to pods that ask for the resource, and does so after we have named it.
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
    use crate::k8s::text::Labels;

    #[test]
    fn taints_and_labels_both_count() {
        let pod: Pod<'_> = serde_json::from_str(
            r#"{"spec":{"nodeSelector":{"zone":"a"},"tolerations":[{"key":"team","operator":"Exists"}]}}"#,
        )
        .unwrap();
        let scheduling = SchedulingConstraints::of(&pod);
        let taint = |key: &'static str| Taint {
            key: key.into(),
            value: None,
            effect: "NoSchedule".into(),
        };
        let zone = Labels::from_iter([("zone", "a")]);
        assert!(scheduling.admit("n", &zone, &[taint("team")]));
        assert!(
            scheduling.admit("n", &zone, &[taint("nvidia.com/gpu")]),
            "the admission plugin tolerates this one"
        );
        assert!(!scheduling.admit("n", &zone, &[taint("other")]));
        assert!(!scheduling.admit("n", &Labels::default(), &[]));
    }
}
