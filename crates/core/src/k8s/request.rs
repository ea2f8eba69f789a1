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
    use super::*;
    use crate::k8s::pod::PodSpec;

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
            let mut request = EffectiveRequest::default();
            for (kind, _, container) in spec.containers() {
                request.add(kind, counts[container.name.parse::<usize>().unwrap()]);
            }
            assert_eq!(request.total(overhead), expected, "{name}");
        }
    }
}
