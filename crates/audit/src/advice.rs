//! Which way of sharing suits a workload, and what that saves.
//!
//! The table: training keeps whole GPUs; tenants and inference get MIG where the hardware has it, inference MPS elsewhere;
//! development takes turns. What a workload is, its policy says; where none governs it, how it behaves.

use serde::Serialize;

use super::window::real;
use apportion_core::gpu::Strategy;
use apportion_core::policy::{Mode, Policy, PolicySet};
use apportion_mig::geometry;
use apportion_mig::memory::MiB;
use apportion_mig::product::Product;
use apportion_mig::profile::MigProfile;

/// Per cent of mean utilization from which on a workload without a policy keeps its GPU: sharing would slow it.
pub const BUSY_FROM: f64 = 40.0;
/// The part of the time from which on an idle workload is one that somebody works with now and then.
pub const BURSTY_FROM: f64 = 0.5;
/// Hours of whole GPUs below which nothing is said: a job of minutes tells nothing of the next.
pub const ENOUGH_HOURS: f64 = 1.0;
/// Pods that take turns on one GPU, or share it by MPS, at most.
pub const MOST_SHARES: u64 = 4;
/// Per cent of a GPU that sharers may use together on average.
const FULL: f64 = 80.0;
/// What is left free above the most memory that was seen.
const MEMORY_ROOM: f64 = 1.1;
/// How much more compute than the mean a MIG device must have.
const COMPUTE_ROOM: f64 = 2.0;

/// What is known of a workload that has whole GPUs.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The policy that governs it.
    pub policy: Option<&'a Policy>,
    /// All policies.
    pub policies: &'a PolicySet,
    /// GPU hours in all.
    pub hours: f64,
    /// GPU hours as whole GPUs that nobody shared.
    pub whole_hours: f64,
    /// What these cost.
    pub whole_cost: Option<f64>,
    /// Ways in which what it held is shared.
    pub shared: bool,
    /// GPUs of one pod.
    pub devices_per_pod: u64,
    /// Mean utilization of the whole GPUs, per cent.
    pub mean: f64,
    /// The part of the time in which they were idle.
    pub idle_part: f64,
    /// The most memory in use on one, MiB.
    pub memory_peak: Option<f64>,
    /// Memory of one, MiB.
    pub memory_total: Option<f64>,
    /// Their product.
    pub product: Option<&'a Product>,
}

/// What to do with a workload.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Advice {
    /// The strategy to use; `null` where nothing is said.
    pub strategy: Option<&'static str>,
    /// Whether that is another than now.
    pub change: bool,
    /// The MIG profile to use.
    pub profile: Option<String>,
    /// Pods that one GPU then holds.
    pub per_gpu: Option<u64>,
    /// The policy for its namespace's label; `null` where it is there, or no policy gives this.
    pub set_policy: Option<String>,
    /// GPU hours saved.
    pub saving_hours: f64,
    /// What these cost.
    pub saving: Option<f64>,
    /// Why.
    pub because: String,
}

/// A way to share.
struct Way {
    strategy: Strategy,
    profile: Option<MigProfile>,
    per_gpu: u64,
}

impl Case<'_> {
    /// What to do.
    pub fn advice(&self) -> Advice {
        let stays = |because: String| Advice {
            strategy: Some(Strategy::Exclusive.as_str()),
            because,
            ..Advice::default()
        };
        if self.whole_hours < ENOUGH_HOURS {
            return Advice {
                because: if self.shared {
                    "it shares already".to_owned()
                } else if self.hours >= ENOUGH_HOURS {
                    "which GPUs it held, or how they are shared, is not known".to_owned()
                } else {
                    format!("it was seen for less than {ENOUGH_HOURS} GPU hour, too little to judge by")
                },
                ..Advice::default()
            };
        }
        let idle = self.idle_part * 100.0;
        if let Some(policy) = self.policy
            && policy.allows(Strategy::Exclusive)
        {
            let more = if self.idle_part >= BURSTY_FROM {
                format!("; yet its GPUs idled {idle:.0} % of the time, so look at what it waits for, or end it sooner")
            } else {
                String::new()
            };
            return stays(format!(
                "policy {} gives whole GPUs: training is not shared{more}",
                policy.name
            ));
        }
        if self.policy.is_none() {
            if self.devices_per_pod > 1 {
                return stays(format!(
                    "each pod holds {} GPUs that work in step: training is not shared",
                    self.devices_per_pod
                ));
            }
            if self.mean >= BUSY_FROM {
                return stays(format!("it keeps its GPUs busy, {:.0} % on average", self.mean));
            }
        }
        let Some(way) = self.ways().into_iter().find(|way| way.per_gpu >= 2) else {
            return stays(match (self.memory_peak, self.memory_total) {
                (Some(peak), Some(total)) => format!(
                    "no share holds it: it used {:.0} of {:.0} GiB of memory, and {:.0} % of the GPU on average",
                    peak / 1024.0,
                    total / 1024.0,
                    self.mean
                ),
                _ => "how much memory it needs was not seen".to_owned(),
            });
        };
        self.change(&way)
    }

    fn change(&self, way: &Way) -> Advice {
        let kept = 1.0 / real(way.per_gpu);
        let saved = |all: f64| all * (1.0 - kept);
        let (set_policy, then) = match self.policy {
            Some(policy) if policy.mode == Mode::Enforce => {
                (None, format!("policy {} gives it that: recreate the pods", policy.name))
            }
            Some(policy) => (
                None,
                format!(
                    "policy {} gives it that once its mode is Enforce, not {}",
                    policy.name, policy.mode
                ),
            ),
            None => match self.policy_for(way) {
                Some(policy) => (
                    Some(policy.name.to_string()),
                    format!("policy {} gives it that", policy.name),
                ),
                None => (None, "no policy gives it that yet".to_owned()),
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
        let idle = self.idle_part * 100.0;
        Advice {
            strategy: Some(way.strategy.as_str()),
            change: true,
            profile: way.profile.map(|profile| profile.to_string()),
            per_gpu: Some(way.per_gpu),
            set_policy,
            saving_hours: saved(self.whole_hours),
            saving: self.whole_cost.map(saved),
            because: format!("{used}, idle {idle:.0} % of the time; {then}"),
        }
    }

    /// The ways that suit it, the best first.
    fn ways(&self) -> Vec<Way> {
        let of = |strategy: Strategy, policy: Option<&Policy>| match strategy {
            Strategy::Exclusive => None,
            Strategy::Mig => self.mig(policy),
            Strategy::Mps | Strategy::TimeSlicing => self.turns(strategy),
        };
        if let Some(policy) = self.policy {
            return policy
                .sharing_rules()
                .filter(|rule| rule.allows_product(self.product))
                .filter_map(|rule| of(rule.strategy, Some(policy)))
                .collect();
        }
        let order = if self.idle_part >= BURSTY_FROM {
            [Strategy::TimeSlicing, Strategy::Mps, Strategy::Mig]
        } else {
            [Strategy::Mig, Strategy::Mps, Strategy::TimeSlicing]
        };
        order.into_iter().filter_map(|strategy| of(strategy, None)).collect()
    }

    /// The smallest profile that has room enough; of those that the policy allows, where there is one.
    fn mig(&self, policy: Option<&Policy>) -> Option<Way> {
        let (product, peak) = (self.product?, self.memory_peak?);
        let memory = self.memory_total.and_then(whole);
        let model = geometry::model_of(product, memory)?;
        let allowed = |profile: &MigProfile| {
            policy.is_none_or(|policy| {
                let mut rules = policy.sharing_rules();
                rules.any(|rule| rule.strategy == Strategy::Mig && rule.allows_profile(*profile))
            })
        };
        let mut profiles: Vec<MigProfile> = model.rows.iter().filter_map(|row| row.profile.parse().ok()).collect();
        profiles.retain(|profile| {
            let compute = model.compute_part(*profile).unwrap_or(0.0);
            profile.variant() == apportion_mig::profile::Variant::Plain
                && allowed(profile)
                && real(profile.assured_memory().0) >= peak * MEMORY_ROOM
                && compute * 100.0 >= self.mean * COMPUTE_ROOM
        });
        let most = |profile: &MigProfile| model.row(*profile).map_or(0, |row| u64::from(row.max));
        let best = profiles
            .into_iter()
            .max_by_key(|profile| (most(profile), std::cmp::Reverse(*profile)))?;
        Some(Way {
            strategy: Strategy::Mig,
            profile: Some(best),
            per_gpu: most(&best),
        })
    }

    /// How many fit on one GPU together, by memory and by use.
    fn turns(&self, strategy: Strategy) -> Option<Way> {
        let (peak, total) = (self.memory_peak?, self.memory_total?);
        let by_memory = total / (peak * MEMORY_ROOM).max(1.0);
        let by_use = FULL / self.mean.max(1.0);
        let per_gpu = (2..=MOST_SHARES)
            .rev()
            .find(|count| real(*count) <= by_memory.min(by_use))?;
        Some(Way {
            strategy,
            profile: None,
            per_gpu,
        })
    }

    /// The policy that a label can choose and that gives this: best one that prefers it.
    fn policy_for(&self, way: &Way) -> Option<&Policy> {
        let gives = |policy: &&Policy| {
            let mut rules = policy.sharing_rules();
            rules.any(|rule| {
                rule.strategy == way.strategy
                    && rule.allows_product(self.product)
                    && way.profile.is_none_or(|profile| rule.allows_profile(profile))
            })
        };
        let by_label = |policy: &&Policy| {
            policy.namespaces == Policy::default_namespaces(&policy.name) && policy.pods.requirements.is_empty()
        };
        let prefers = |policy: &Policy| policy.sharing_rules().next().map(|rule| rule.strategy) == Some(way.strategy);
        self.policies
            .iter()
            .filter(by_label)
            .filter(gives)
            .min_by_key(|policy| (!prefers(policy), policy.name.clone()))
    }
}

/// Memory in use and free, as the size of a model: what the driver keeps for itself is a few per cent.
fn whole(mebibytes: f64) -> Option<MiB> {
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
            let path = format!("{}/policies/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
            (name, std::fs::read_to_string(path).unwrap())
        });
        PolicySet::new(parse_all(texts.iter().map(|(name, text)| (*name, text.as_str()))).unwrap())
    }

    #[test]
    fn every_row_of_the_table() {
        // Case; policy, product, GiB in all; GPUs a pod, mean, idle part, GiB at most -> strategy, profile, a GPU, policy.
        type Row<'r> = (
            &'r str,
            Option<&'r str>,
            &'r str,
            f64,
            u64,
            f64,
            f64,
            f64,
            (&'r str, &'r str, u64, &'r str),
        );
        let policies = shipped();
        let a100 = "NVIDIA-A100-SXM4-80GB";
        let rows: &[Row<'_>] = &[
            (
                "training stays whole",
                Some("training"),
                a100,
                80.0,
                1,
                5.0,
                0.9,
                4.0,
                ("exclusive", "", 0, ""),
            ),
            (
                "several GPUs stay whole",
                None,
                a100,
                80.0,
                4,
                5.0,
                0.9,
                4.0,
                ("exclusive", "", 0, ""),
            ),
            (
                "a busy one stays whole",
                None,
                a100,
                80.0,
                1,
                60.0,
                0.1,
                4.0,
                ("exclusive", "", 0, ""),
            ),
            (
                "memory is full",
                None,
                a100,
                80.0,
                1,
                5.0,
                0.1,
                70.0,
                ("exclusive", "", 0, ""),
            ),
            (
                "a notebook",
                None,
                a100,
                80.0,
                1,
                5.0,
                0.8,
                12.0,
                ("time-slicing", "", 4, "development"),
            ),
            (
                "a notebook with much memory",
                None,
                a100,
                80.0,
                1,
                5.0,
                0.8,
                30.0,
                ("time-slicing", "", 2, "development"),
            ),
            (
                "inference on MIG",
                None,
                a100,
                80.0,
                1,
                6.0,
                0.2,
                6.0,
                ("mig", "1g.10gb", 7, "inference"),
            ),
            (
                "a profile with the compute",
                None,
                a100,
                80.0,
                1,
                12.0,
                0.2,
                6.0,
                ("mig", "2g.20gb", 3, "inference"),
            ),
            (
                "inference on T4",
                None,
                "Tesla-T4",
                15.0,
                1,
                12.0,
                0.2,
                3.0,
                ("mps", "", 4, "inference"),
            ),
            (
                "MPS that no policy gives",
                None,
                "NVIDIA-L4",
                23.0,
                1,
                30.0,
                0.2,
                3.0,
                ("mps", "", 2, ""),
            ),
            (
                "a tenant gets MIG, however bursty",
                Some("multi-tenant"),
                a100,
                80.0,
                1,
                5.0,
                0.9,
                6.0,
                ("mig", "1g.10gb", 7, ""),
            ),
            (
                "a tenant on T4 has nothing to go to",
                Some("multi-tenant"),
                "Tesla-T4",
                15.0,
                1,
                5.0,
                0.9,
                6.0,
                ("exclusive", "", 0, ""),
            ),
            (
                "development with several GPUs",
                Some("development"),
                a100,
                80.0,
                4,
                9.0,
                0.6,
                6.0,
                ("time-slicing", "", 4, ""),
            ),
        ];
        for (case, policy, product, total, devices, mean, idle, peak, expected) in rows {
            let product = Product::from(*product);
            let advice = Case {
                policy: policy.map(|name| policies.get(name).unwrap()),
                policies: &policies,
                hours: 100.0,
                whole_hours: 100.0,
                whole_cost: Some(200.0),
                shared: false,
                devices_per_pod: *devices,
                mean: *mean,
                idle_part: *idle,
                memory_peak: Some(peak * 1024.0),
                memory_total: Some(total * 1024.0),
                product: Some(&product),
            }
            .advice();
            let got = (
                advice.strategy.unwrap_or_default(),
                advice.profile.as_deref().unwrap_or_default(),
                advice.per_gpu.unwrap_or(0),
                advice.set_policy.as_deref().unwrap_or_default(),
            );
            assert_eq!(got, *expected, "{case}: {}", advice.because);
            let kept = if expected.2 == 0 { 1.0 } else { 1.0 / real(expected.2) };
            assert!((advice.saving_hours - 100.0 * (1.0 - kept)).abs() < 1e-9, "{case}");
            assert_eq!(advice.change, expected.2 > 0, "{case}");
        }
    }
}
