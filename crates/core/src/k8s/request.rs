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
    use apportion_testing::{Container, Pod};

    use super::*;

    /// A container that is named for the count that it requests.
    fn requesting(count: u64) -> Container {
        Container::new(&count.to_string())
    }

    #[test]
    fn the_effective_request_is_the_peak_over_all_phases_of_a_pod() {
        let pod = || Pod::new("p");
        let main = |counts: &[u64]| {
            counts
                .iter()
                .map(|count| requesting(*count))
                .fold(pod(), Pod::container)
        };
        for (case, pod, overhead, expected) in [
            ("main containers add up", main(&[1, 2]), 0, 3),
            (
                "init containers take turns",
                main(&[1]).init_container(requesting(4)).init_container(requesting(2)),
                0,
                4,
            ),
            (
                "main containers can need more than init",
                main(&[3]).init_container(requesting(2)),
                0,
                3,
            ),
            (
                "a sidecar runs together with main",
                main(&[2]).init_container(requesting(1).sidecar()),
                0,
                3,
            ),
            (
                "an init container runs together with earlier sidecars",
                main(&[1])
                    .init_container(requesting(1).sidecar())
                    .init_container(requesting(4)),
                0,
                5,
            ),
            (
                "and not with later ones",
                main(&[1])
                    .init_container(requesting(4))
                    .init_container(requesting(1).sidecar()),
                0,
                4,
            ),
            ("overhead comes on top", main(&[1]).init_container(requesting(4)), 1, 5),
            ("no request", main(&[0]), 0, 0),
            ("sums saturate", main(&[u64::MAX, 2]), 7, u64::MAX),
        ] {
            let json = pod.to_string();
            let pod: crate::k8s::Pod<'_> = serde_json::from_str(&json).unwrap();
            let request = effective_request(&pod.spec, overhead, |c| c.name.parse().unwrap());
            assert_eq!(request, expected, "{case}");
        }
    }
}
