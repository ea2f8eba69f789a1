//! What a pod would rather have: kube-scheduler weighs it, and we only need to know that it is there.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::pod::PodSpec;
use super::text::{Text, null_as_default};

/// A `v1.PodAffinity` or `v1.PodAntiAffinity`, as far as it is a preference.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct PodAffinity {
    /// The preferences.
    #[serde(
        default,
        rename = "preferredDuringSchedulingIgnoredDuringExecution",
        deserialize_with = "null_as_default"
    )]
    pub preferred: Vec<IgnoredAny>,
}

/// A `v1.TopologySpreadConstraint`, as far as we read it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TopologySpread<'a> {
    /// `DoNotSchedule`, which a filter holds, or `ScheduleAnyway`, a preference.
    #[serde(default, borrow)]
    pub when_unsatisfiable: Option<Text<'a>>,
}

impl PodSpec<'_> {
    /// Whether the pod itself says that some nodes are better than others.
    pub fn has_preferences(&self) -> bool {
        let affinity = self.affinity.as_ref();
        let node = affinity.and_then(|affinity| Some(&affinity.node_affinity.as_ref()?.preferred));
        let near = affinity.and_then(|affinity| Some(&affinity.pod_affinity.as_ref()?.preferred));
        let away = affinity.and_then(|affinity| Some(&affinity.pod_anti_affinity.as_ref()?.preferred));
        let mut spreads = self.topology_spread_constraints.iter();
        [node, near, away].into_iter().flatten().any(|list| !list.is_empty())
            || spreads.any(|spread| spread.when_unsatisfiable.as_deref() == Some("ScheduleAnyway"))
    }
}

#[cfg(test)]
mod tests {
    use crate::k8s::Pod;

    #[test]
    fn what_is_asked_for_and_does_not_bind_is_a_preference() {
        let preferred = r#""preferredDuringSchedulingIgnoredDuringExecution":[{"weight":1,"preference":{}}]"#;
        let required = r#""requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"zone"}]"#;
        for (spec, prefers) in [
            ("{}".to_owned(), false),
            (format!(r#"{{"affinity":{{"nodeAffinity":{{{preferred}}}}}}}"#), true),
            (format!(r#"{{"affinity":{{"podAffinity":{{{preferred}}}}}}}"#), true),
            (format!(r#"{{"affinity":{{"podAntiAffinity":{{{preferred}}}}}}}"#), true),
            (format!(r#"{{"affinity":{{"podAntiAffinity":{{{required}}}}}}}"#), false),
            (
                r#"{"affinity":{"nodeAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":null},"podAffinity":null}}"#.to_owned(),
                false,
            ),
            (
                r#"{"topologySpreadConstraints":[{"whenUnsatisfiable":"DoNotSchedule"},{"maxSkew":1,"whenUnsatisfiable":"ScheduleAnyway"}]}"#.to_owned(),
                true,
            ),
            (
                r#"{"topologySpreadConstraints":[{"whenUnsatisfiable":"DoNotSchedule"}]}"#.to_owned(),
                false,
            ),
        ] {
            let json = format!(r#"{{"spec":{spec}}}"#);
            let pod: Pod<'_> = serde_json::from_str(&json).unwrap();
            assert_eq!(pod.spec.has_preferences(), prefers, "{json}");
        }
    }
}
