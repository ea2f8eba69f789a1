//! The workload that a pod's name speaks of.
//!
//! Metrics of last week name pods that are gone, whose owners nobody can ask any more; so the name alone decides, for all alike.

/// What Kubernetes makes random parts of names from (`k8s.io/apimachinery/pkg/util/rand`): no vowels, and nothing that looks like one.
const RANDOM: &str = "bcdfghjklmnpqrstvwxz2456789";

/// The name without what controllers add: `api` for `api-6d4cf56db6-7xk2p`, `train` for `train-0`, `nightly` for
/// `nightly-29384720-zx8qw`.
pub fn workload_of(pod: &str) -> &str {
    let Some((rest, last)) = pod.rsplit_once('-') else {
        return pod;
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let random = |part: &str| part.chars().all(|c| RANDOM.contains(c));
    if last.len() == 5 && random(last) {
        return match rest.rsplit_once('-') {
            // A ReplicaSet's hash, a CronJob's minute, or the index of a Job's pod.
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
    fn what_controllers_add_is_taken_off() {
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
            ("notebook", "notebook", "a pod of its own"),
            ("jupyter-alice", "jupyter-alice", "a person's name has vowels"),
            (
                "resnet-50",
                "resnet",
                "a number that belongs to the name is not told apart",
            ),
            ("-5", "-5", "nothing would be left"),
        ] {
            assert_eq!(workload_of(pod), workload, "{case}");
        }
    }
}
