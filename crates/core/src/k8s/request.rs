//! The effective resource request of a pod.

use super::container::ContainerKind;

/// The effective request of a pod for one resource, summed up container by container.
///
/// Follows `AggregateContainerRequests` in `component-helpers/resource/helpers.go`: the main
/// containers run together with all sidecars, and an init container runs together with the sidecars
/// before it. The effective request is the larger of the two, plus the overhead. Sums saturate: one
/// beyond `u64` fits no node anyway.
#[derive(Clone, Copy, Debug, Default)]
pub struct EffectiveRequest {
    main: u64,
    sidecars: u64,
    init_peak: u64,
}

impl EffectiveRequest {
    /// Adds a container, in the order of [`PodSpec::containers`](super::pod::PodSpec::containers).
    /// Those that request nothing may be left out.
    pub fn add(&mut self, kind: ContainerKind, request: u64) {
        match kind {
            ContainerKind::Main => self.main = self.main.saturating_add(request),
            ContainerKind::Sidecar => {
                self.sidecars = self.sidecars.saturating_add(request);
                self.init_peak = self.init_peak.max(self.sidecars);
            }
            // Ephemeral containers cannot request resources.
            ContainerKind::Ephemeral => {}
            ContainerKind::Init => self.init_peak = self.init_peak.max(self.sidecars.saturating_add(request)),
        }
    }

    pub fn total(self, overhead: u64) -> u64 {
        self.main
            .saturating_add(self.sidecars)
            .max(self.init_peak)
            .saturating_add(overhead)
    }
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
            let mut request = EffectiveRequest::default();
            for (kind, _, container) in pod.spec.containers() {
                request.add(kind, container.name.parse().unwrap());
            }
            assert_eq!(request.total(overhead), expected, "{case}");
        }
    }
}
