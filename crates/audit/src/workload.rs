//! The workload that a pod belongs to, by its name.
//!
//! Metrics of last week name pods that no longer exist, so their owner references are unknown. The
//! name decides for all pods, so that old and new pods of a workload stay together.

/// The alphabet of generated name suffixes (`k8s.io/apimachinery/pkg/util/rand`): no vowels, and no
/// digits that look like vowels.
const RANDOM: &str = "bcdfghjklmnpqrstvwxz2456789";

/// Removes the suffixes that controllers add: `api-6d4cf56db6-7xk2p` becomes `api`, `train-0`
/// becomes `train`, `nightly-29384720-zx8qw` becomes `nightly`.
pub fn workload_of(pod: &str) -> &str {
    let Some((rest, last)) = pod.rsplit_once('-') else {
        return pod;
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let random = |part: &str| part.chars().all(|c| RANDOM.contains(c));
    if last.len() == 5 && random(last) {
        return match rest.rsplit_once('-') {
            // The hash of a ReplicaSet, the minute of a CronJob, or the index of a Job's pod.
            Some((front, hash)) if (8..=10).contains(&hash.len()) && random(hash) && !front.is_empty() => front,
            Some((front, number)) if digits(number) && !front.is_empty() => front,
            _ => rest,
        };
    }
    if digits(last) && !rest.is_empty() { rest } else { pod }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controller_suffixes_are_removed() {
        for (pod, workload, case) in [
            ("api-6d4cf56db6-7xk2p", "api", "Deployment"),
            (
                "api-gateway-7d9c6b8f4-zzqw2",
                "api-gateway",
                "Deployment, a shorter hash",
            ),
            ("train-0", "train", "StatefulSet"),
            ("llama-70b-worker-3", "llama-70b-worker", "an operator's replica"),
            ("nightly-29384720-zx8qw", "nightly", "CronJob"),
            ("sweep-4-kq7xz", "sweep", "indexed Job"),
            ("exporter-kq7xz", "exporter", "DaemonSet or Job"),
            ("notebook", "notebook", "a pod without a controller"),
            ("jupyter-alice", "jupyter-alice", "a person's name contains vowels"),
            (
                "resnet-50",
                "resnet",
                "a number that belongs to the name looks like an index",
            ),
            ("-5", "-5", "the whole name would be removed"),
        ] {
            assert_eq!(workload_of(pod), workload, "{case}");
        }
    }
}
