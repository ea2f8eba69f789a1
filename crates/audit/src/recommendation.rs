//! Which kind of sharing suits a workload, and how many GPU hours it saves.
//!
//! Training keeps whole GPUs. Tenants and inference get MIG if the hardware has it; otherwise
//! inference gets MPS. Development gets time slices. The policy of a workload says which of these it
//! is; without a policy, its utilization does.

use serde::Serialize;

use super::window::real;
use apportion_core::gpu::Strategy;
use apportion_core::policy::{Mode, Policy, PolicySet, SharingRule};
use apportion_mig::lookup;
use apportion_mig::memory::MiB;
use apportion_mig::product::Product;
use apportion_mig::profile::{MigProfile, Variant};

/// From this mean utilization (percent) on, a workload without a policy keeps whole GPUs, because
/// sharing would slow it down.
pub const BUSY_FROM: f64 = 40.0;
/// From this idle fraction on, a workload without a policy counts as interactive.
pub const BURSTY_FROM: f64 = 0.5;
/// The least GPU hours to base a recommendation on. A job of minutes does not predict the next one.
pub const ENOUGH_HOURS: f64 = 1.0;
/// The most pods that share one GPU by time slices or MPS.
pub const MAX_SHARES: u64 = 4;
/// The highest sum of the mean utilization of pods that share a GPU, in percent.
const MAX_SHARED_UTILIZATION: f64 = 80.0;
/// A share has at least this multiple of the peak memory.
const MEMORY_HEADROOM: f64 = 1.1;
/// A MIG device has at least this multiple of the mean compute.
const COMPUTE_HEADROOM: f64 = 2.0;

/// How a workload used its GPUs.
#[derive(Clone, Copy, Debug)]
pub struct WorkloadUsage<'a> {
    /// The policy that governs it.
    pub policy: Option<&'a Policy>,
    pub policies: &'a PolicySet,
    /// All GPU hours.
    pub hours: f64,
    /// Hours of whole GPUs that it had alone. `mean` and the fields after it describe only these.
    pub whole_hours: f64,
    pub whole_cost: Option<f64>,
    /// Whether it also held shares or MIG devices.
    pub shared: bool,
    /// GPUs per pod.
    pub devices_per_pod: u64,
    /// Mean utilization in percent.
    pub mean: f64,
    /// The fraction of the time in which the GPUs were idle.
    pub idle_fraction: f64,
    /// Peak memory in use on one GPU, MiB.
    pub memory_peak: Option<f64>,
    /// Memory of one GPU, MiB.
    pub memory_total: Option<f64>,
    pub product: Option<&'a Product>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recommendation {
    /// The strategy to use; `null` without a recommendation.
    pub strategy: Option<&'static str>,
    /// Whether the strategy differs from the current one.
    pub change: bool,
    pub profile: Option<String>,
    /// Pods per GPU under that strategy.
    #[serde(rename = "perGpu")]
    pub pods_per_gpu: Option<u64>,
    /// The policy to set by the namespace's label; `null` if it is set already, or if no policy
    /// allows the strategy.
    pub set_policy: Option<String>,
    /// GPU hours that the change saves.
    pub saving_hours: f64,
    /// The cost of these hours.
    pub saving: Option<f64>,
    #[serde(rename = "because")]
    pub reason: String,
}

struct SharingOption {
    strategy: Strategy,
    profile: Option<MigProfile>,
    pods_per_gpu: u64,
}

impl WorkloadUsage<'_> {
    pub fn recommendation(&self) -> Recommendation {
        let keep = |reason: String| Recommendation {
            strategy: Some(Strategy::Exclusive.as_str()),
            reason,
            ..Recommendation::default()
        };
        if self.whole_hours < ENOUGH_HOURS {
            return Recommendation {
                reason: if self.shared {
                    "it shares GPUs already".to_owned()
                } else if self.hours >= ENOUGH_HOURS {
                    "which GPUs it held, or how they are shared, is unknown".to_owned()
                } else {
                    format!("it used less than {ENOUGH_HOURS} GPU hour, too little for a recommendation")
                },
                ..Recommendation::default()
            };
        }
        if let Some(policy) = self.policy
            && policy.allows(Strategy::Exclusive)
        {
            let more = if self.idle_fraction >= BURSTY_FROM {
                format!(
                    "; but its GPUs were idle {:.0} % of the time: find out what it waits for, or stop it sooner",
                    self.idle_fraction * 100.0
                )
            } else {
                String::new()
            };
            return keep(format!(
                "policy {} gives whole GPUs: training is not shared{more}",
                policy.name
            ));
        }
        if self.policy.is_none() {
            if self.devices_per_pod > 1 {
                return keep(format!(
                    "each pod holds {} GPUs that work together: training is not shared",
                    self.devices_per_pod
                ));
            }
            if self.mean >= BUSY_FROM {
                return keep(format!("it keeps its GPUs busy, {:.0} % on average", self.mean));
            }
        }
        let Some(option) = self.options().into_iter().find(|option| option.pods_per_gpu >= 2) else {
            return keep(match (self.memory_peak, self.memory_total) {
                (Some(peak), Some(total)) => format!(
                    "no share is large enough: it used {:.0} of {:.0} GiB of memory, and {:.0} % of the GPU on average",
                    peak / 1024.0,
                    total / 1024.0,
                    self.mean
                ),
                _ => "its memory use is unknown".to_owned(),
            });
        };
        self.change_to(&option)
    }

    fn change_to(&self, option: &SharingOption) -> Recommendation {
        let kept = 1.0 / real(option.pods_per_gpu);
        let saved = |amount: f64| amount * (1.0 - kept);
        let (set_policy, next) = match self.policy {
            Some(policy) if policy.mode == Mode::Enforce => {
                (None, format!("policy {} allows it: recreate the pods", policy.name))
            }
            Some(policy) => (
                None,
                format!(
                    "policy {} allows it: change its mode from {} to Enforce",
                    policy.name, policy.mode
                ),
            ),
            None => match self.policy_for(option) {
                Some(policy) => (
                    Some(policy.name.to_string()),
                    format!("policy {} allows it", policy.name),
                ),
                None => (None, "no policy allows it yet".to_owned()),
            },
        };
        let used = match self.memory_peak {
            Some(peak) => format!(
                "{:.0} % on average and at most {:.1} GiB used",
                self.mean,
                peak / 1024.0
            ),
            None => format!("{:.0} % on average used", self.mean),
        };
        Recommendation {
            strategy: Some(option.strategy.as_str()),
            change: true,
            profile: option.profile.map(|profile| profile.to_string()),
            pods_per_gpu: Some(option.pods_per_gpu),
            set_policy,
            saving_hours: saved(self.whole_hours),
            saving: self.whole_cost.map(saved),
            reason: format!("{used}, idle {:.0} % of the time; {next}", self.idle_fraction * 100.0),
        }
    }

    /// The options that suit the workload, best first.
    fn options(&self) -> Vec<SharingOption> {
        let option = |strategy: Strategy, policy: Option<&Policy>| match strategy {
            Strategy::Exclusive => None,
            Strategy::Mig => self.mig(policy),
            Strategy::Mps | Strategy::TimeSlicing => self.replicas(strategy),
        };
        if let Some(policy) = self.policy {
            return policy
                .sharing_rules()
                .filter(|rule| rule.allows_product(self.product))
                .filter_map(|rule| option(rule.strategy, Some(policy)))
                .collect();
        }
        let order = if self.idle_fraction >= BURSTY_FROM {
            [Strategy::TimeSlicing, Strategy::Mps, Strategy::Mig]
        } else {
            [Strategy::Mig, Strategy::Mps, Strategy::TimeSlicing]
        };
        order
            .into_iter()
            .filter_map(|strategy| option(strategy, None))
            .collect()
    }

    /// The MIG profile that fits most often on a GPU and is large enough. With a policy, only
    /// profiles that it allows.
    fn mig(&self, policy: Option<&Policy>) -> Option<SharingOption> {
        let (product, peak) = (self.product?, self.memory_peak?);
        let memory = self.memory_total.and_then(model_memory);
        let model = lookup::model_of(product, memory)?;
        let allowed = |profile: &MigProfile| {
            policy.is_none_or(|policy| {
                let mut rules = policy.sharing_rules();
                rules.any(|rule| rule.strategy == Strategy::Mig && rule.allows_profile(*profile))
            })
        };
        let mut profiles: Vec<MigProfile> = model.profiles.iter().filter_map(|row| row.name.parse().ok()).collect();
        profiles.retain(|profile| {
            let compute = model.compute_fraction(*profile).unwrap_or(0.0);
            profile.variant() == Variant::Plain
                && allowed(profile)
                && real(profile.assured_memory().0) >= peak * MEMORY_HEADROOM
                && compute * 100.0 >= self.mean * COMPUTE_HEADROOM
        });
        let per_gpu = |profile: &MigProfile| model.profile(*profile).map_or(0, |row| u64::from(row.max));
        let best = profiles
            .into_iter()
            .max_by_key(|profile| (per_gpu(profile), std::cmp::Reverse(*profile)))?;
        Some(SharingOption {
            strategy: Strategy::Mig,
            profile: Some(best),
            pods_per_gpu: per_gpu(&best),
        })
    }

    /// The most replicas whose memory and utilization fit on one GPU.
    fn replicas(&self, strategy: Strategy) -> Option<SharingOption> {
        let (peak, total) = (self.memory_peak?, self.memory_total?);
        let by_memory = total / (peak * MEMORY_HEADROOM).max(1.0);
        let by_utilization = MAX_SHARED_UTILIZATION / self.mean.max(1.0);
        let pods_per_gpu = (2..=MAX_SHARES)
            .rev()
            .find(|count| real(*count) <= by_memory.min(by_utilization))?;
        Some(SharingOption {
            strategy,
            profile: None,
            pods_per_gpu,
        })
    }

    /// A policy that allows the option and that a namespace label selects. Policies that prefer the
    /// option come first.
    fn policy_for(&self, option: &SharingOption) -> Option<&Policy> {
        let rule_allows = |rule: &SharingRule| {
            rule.strategy == option.strategy
                && rule.allows_product(self.product)
                && option.profile.is_none_or(|profile| rule.allows_profile(profile))
        };
        let allows = |policy: &&Policy| policy.sharing_rules().any(rule_allows);
        let by_label = |policy: &&Policy| {
            policy.namespaces == Policy::default_namespaces(&policy.name) && policy.pods.requirements.is_empty()
        };
        let prefers =
            |policy: &Policy| policy.sharing_rules().next().map(|rule| rule.strategy) == Some(option.strategy);
        self.policies
            .iter()
            .filter(by_label)
            .filter(allows)
            .min_by_key(|policy| (!prefers(policy), policy.name.clone()))
    }
}

/// Measured memory (used plus free) as the memory of a GPU model. It is a few percent below the
/// nominal size, because the driver keeps some memory for itself.
fn model_memory(mebibytes: f64) -> Option<MiB> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = mebibytes as u64;
    (mebibytes >= 1.0).then_some(MiB(whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use apportion_core::policy::parse::parse_all;

    fn shipped() -> PolicySet {
        let texts = ["training", "multi-tenant", "development", "inference"].map(|name| {
            let path = format!("{}/../../policies/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
            (name, std::fs::read_to_string(path).unwrap())
        });
        PolicySet::new(parse_all(texts.iter().map(|(name, text)| (*name, text.as_str()))).unwrap())
    }

    /// A workload without a policy on A100 80GB GPUs, and what is recommended for it.
    struct Row {
        case: &'static str,
        policy: Option<&'static str>,
        product: &'static str,
        total_gib: f64,
        gpus_per_pod: u64,
        /// Mean utilization in percent.
        mean: f64,
        /// The part of the time at which the GPU is idle.
        idle: f64,
        peak_gib: f64,
        strategy: &'static str,
        profile: &'static str,
        /// 0 if nothing changes.
        pods_per_gpu: u64,
        set_policy: &'static str,
    }

    impl Default for Row {
        fn default() -> Self {
            Row {
                case: "",
                policy: None,
                product: "NVIDIA-A100-SXM4-80GB",
                total_gib: 80.0,
                gpus_per_pod: 1,
                mean: 5.0,
                idle: 0.9,
                peak_gib: 4.0,
                strategy: "exclusive",
                profile: "",
                pods_per_gpu: 0,
                set_policy: "",
            }
        }
    }

    #[test]
    fn the_recommendation_follows_from_policy_utilization_and_memory() {
        let policies = shipped();
        for row in [
            Row {
                case: "training stays whole",
                policy: Some("training"),
                ..Row::default()
            },
            Row {
                case: "several GPUs stay whole",
                gpus_per_pod: 4,
                ..Row::default()
            },
            Row {
                case: "a busy workload stays whole",
                mean: 60.0,
                idle: 0.1,
                ..Row::default()
            },
            Row {
                case: "memory is full",
                idle: 0.1,
                peak_gib: 70.0,
                ..Row::default()
            },
            Row {
                case: "a notebook",
                idle: 0.8,
                peak_gib: 12.0,
                strategy: "time-slicing",
                pods_per_gpu: 4,
                set_policy: "development",
                ..Row::default()
            },
            Row {
                case: "a notebook with high memory use",
                idle: 0.8,
                peak_gib: 30.0,
                strategy: "time-slicing",
                pods_per_gpu: 2,
                set_policy: "development",
                ..Row::default()
            },
            Row {
                case: "inference on MIG",
                mean: 6.0,
                idle: 0.2,
                peak_gib: 6.0,
                strategy: "mig",
                profile: "1g.10gb",
                pods_per_gpu: 7,
                set_policy: "inference",
                ..Row::default()
            },
            Row {
                case: "a profile with enough compute",
                mean: 12.0,
                idle: 0.2,
                peak_gib: 6.0,
                strategy: "mig",
                profile: "2g.20gb",
                pods_per_gpu: 3,
                set_policy: "inference",
                ..Row::default()
            },
            Row {
                case: "inference on T4",
                product: "Tesla-T4",
                total_gib: 15.0,
                mean: 12.0,
                idle: 0.2,
                peak_gib: 3.0,
                strategy: "mps",
                pods_per_gpu: 4,
                set_policy: "inference",
                ..Row::default()
            },
            Row {
                case: "MPS that no policy allows",
                product: "NVIDIA-L4",
                total_gib: 23.0,
                mean: 30.0,
                idle: 0.2,
                peak_gib: 3.0,
                strategy: "mps",
                pods_per_gpu: 2,
                ..Row::default()
            },
            Row {
                case: "a tenant gets MIG, however bursty",
                policy: Some("multi-tenant"),
                peak_gib: 6.0,
                strategy: "mig",
                profile: "1g.10gb",
                pods_per_gpu: 7,
                ..Row::default()
            },
            Row {
                case: "a tenant on T4 has no option",
                policy: Some("multi-tenant"),
                product: "Tesla-T4",
                total_gib: 15.0,
                peak_gib: 6.0,
                ..Row::default()
            },
            Row {
                case: "development with several GPUs",
                policy: Some("development"),
                gpus_per_pod: 4,
                mean: 9.0,
                idle: 0.6,
                peak_gib: 6.0,
                strategy: "time-slicing",
                pods_per_gpu: 4,
                ..Row::default()
            },
        ] {
            let case = row.case;
            let product = Product::from(row.product);
            let recommendation = WorkloadUsage {
                policy: row.policy.map(|name| policies.get(name).unwrap()),
                policies: &policies,
                hours: 100.0,
                whole_hours: 100.0,
                whole_cost: Some(200.0),
                shared: false,
                devices_per_pod: row.gpus_per_pod,
                mean: row.mean,
                idle_fraction: row.idle,
                memory_peak: Some(row.peak_gib * 1024.0),
                memory_total: Some(row.total_gib * 1024.0),
                product: Some(&product),
            }
            .recommendation();
            let got = (
                recommendation.strategy.unwrap_or_default(),
                recommendation.profile.as_deref().unwrap_or_default(),
                recommendation.pods_per_gpu.unwrap_or(0),
                recommendation.set_policy.as_deref().unwrap_or_default(),
            );
            let expected = (row.strategy, row.profile, row.pods_per_gpu, row.set_policy);
            assert_eq!(got, expected, "{case}: {}", recommendation.reason);
            let kept = match row.pods_per_gpu {
                0 => 1.0,
                pods => 1.0 / real(pods),
            };
            assert!(
                (recommendation.saving_hours - 100.0 * (1.0 - kept)).abs() < 1e-9,
                "{case}"
            );
            assert_eq!(recommendation.change, row.pods_per_gpu > 0, "{case}");
        }
    }
}
