//! What a pod asks of its node, by Kubernetes' own rule.

use super::container::{Container, ContainerKind};
use super::pod::PodSpec;

/// The effective request of a pod for one resource, given what each container and the overhead ask of it.
///
/// `component-helpers/resource/helpers.go` (`AggregateContainerRequests`): the main containers and all sidecars run together;
/// an init container runs together with the sidecars before it; a pod needs the largest of these moments, and its overhead
/// on top. Counts saturate instead of wrapping: a sum beyond `u64` fits no node either way.
pub fn effective(spec: &PodSpec<'_>, overhead: u64, mut of: impl FnMut(&Container<'_>) -> u64) -> u64 {
    let (mut together, mut sidecars, mut init_peak) = (0u64, 0u64, 0u64);
    for (kind, _, container) in spec.containers() {
        let asked = of(container);
        match kind {
            ContainerKind::Main => together = together.saturating_add(asked),
            ContainerKind::Sidecar => {
                sidecars = sidecars.saturating_add(asked);
                init_peak = init_peak.max(sidecars);
            }
            // Ephemeral containers can not ask for anything.
            ContainerKind::Ephemeral => {}
            ContainerKind::Init => init_peak = init_peak.max(sidecars.saturating_add(asked)),
        }
    }
    together
        .saturating_add(sidecars)
        .max(init_peak)
        .saturating_add(overhead)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Facts C: `max(sum(containers) + sum(all sidecars), max over init of its moment) + overhead`.
    #[test]
    fn each_moment_of_a_pod_counts() {
        for (name, init, main, overhead, expected) in [
            ("main containers add up", vec![], vec![1, 2], 0, 3),
            (
                "init containers take turns",
                vec![("init", 4), ("init", 2)],
                vec![1],
                0,
                4,
            ),
            ("a large main part hides init", vec![("init", 2)], vec![3], 0, 3),
            ("a sidecar runs beside main", vec![("side", 1)], vec![2], 0, 3),
            (
                "an init container runs beside earlier sidecars",
                vec![("side", 1), ("init", 4)],
                vec![1],
                0,
                5,
            ),
            (
                "and not beside later ones",
                vec![("init", 4), ("side", 1)],
                vec![1],
                0,
                4,
            ),
            ("overhead comes on top", vec![("init", 4)], vec![1], 1, 5),
            ("nothing asked", vec![], vec![0], 0, 0),
            ("absurd counts do not wrap", vec![], vec![u64::MAX, 2], 7, u64::MAX),
        ] {
            let mut counts = Vec::new();
            let inits: Vec<String> = init
                .iter()
                .map(|(kind, count)| {
                    counts.push(*count);
                    let policy = if *kind == "side" {
                        r#","restartPolicy":"Always""#
                    } else {
                        ""
                    };
                    format!(r#"{{"name":"{}"{policy}}}"#, counts.len() - 1)
                })
                .collect();
            let mains: Vec<String> = main
                .iter()
                .map(|count| {
                    counts.push(*count);
                    format!(r#"{{"name":"{}"}}"#, counts.len() - 1)
                })
                .collect();
            let json = format!(
                r#"{{"initContainers":[{}],"containers":[{}]}}"#,
                inits.join(","),
                mains.join(",")
            );
            let spec: PodSpec<'_> = serde_json::from_str(&json).unwrap();
            let asked = effective(&spec, overhead, |c| counts[c.name.parse::<usize>().unwrap()]);
            assert_eq!(asked, expected, "{name}");
        }
    }
}
