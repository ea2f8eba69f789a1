//! The effective resource request of a pod.

use super::container::{Container, ContainerKind};
use super::pod::PodSpec;

/// The effective request of a pod for one resource. `request_of` gives the request of each
/// container.
///
/// Follows `AggregateContainerRequests` in `component-helpers/resource/helpers.go`: the main
/// containers run together with all sidecars, and an init container runs together with the sidecars
/// before it. The effective request is the larger of the two, plus the overhead. Sums saturate: one
/// beyond `u64` fits no node anyway.
pub fn effective_request(spec: &PodSpec<'_>, overhead: u64, mut request_of: impl FnMut(&Container<'_>) -> u64) -> u64 {
    let (mut main, mut sidecars, mut init_peak) = (0u64, 0u64, 0u64);
    for (kind, _, container) in spec.containers() {
        let request = request_of(container);
        match kind {
            ContainerKind::Main => main = main.saturating_add(request),
            ContainerKind::Sidecar => {
                sidecars = sidecars.saturating_add(request);
                init_peak = init_peak.max(sidecars);
            }
            // Ephemeral containers cannot request resources.
            ContainerKind::Ephemeral => {}
            ContainerKind::Init => init_peak = init_peak.max(sidecars.saturating_add(request)),
        }
    }
    main.saturating_add(sidecars).max(init_peak).saturating_add(overhead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_request_is_the_peak_over_all_phases_of_a_pod() {
        for (name, init, main, overhead, expected) in [
            ("main containers add up", vec![], vec![1, 2], 0, 3),
            (
                "init containers take turns",
                vec![("init", 4), ("init", 2)],
                vec![1],
                0,
                4,
            ),
            (
                "main containers can need more than init",
                vec![("init", 2)],
                vec![3],
                0,
                3,
            ),
            ("a sidecar runs together with main", vec![("side", 1)], vec![2], 0, 3),
            (
                "an init container runs together with earlier sidecars",
                vec![("side", 1), ("init", 4)],
                vec![1],
                0,
                5,
            ),
            ("and not with later ones", vec![("init", 4), ("side", 1)], vec![1], 0, 4),
            ("overhead comes on top", vec![("init", 4)], vec![1], 1, 5),
            ("no request", vec![], vec![0], 0, 0),
            ("sums saturate", vec![], vec![u64::MAX, 2], 7, u64::MAX),
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
            let request = effective_request(&spec, overhead, |c| counts[c.name.parse::<usize>().unwrap()]);
            assert_eq!(request, expected, "{name}");
        }
    }
}
