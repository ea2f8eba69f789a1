//! From a node's labels and allocatable to its offers.
//!
//! The labels are GPU feature discovery's (k8s-device-plugin `internal/lm`), the resources the device plugin's. Both come from
//! the same configuration but at different times, so they can contradict each other; then the resource is not offered.

use super::offer::{NodeOffers, Offer, ReconfigurationState, UnusableResource};
use crate::gpu::names::{
    DEPLOY_DEVICE_PLUGIN, MIG_CONFIG_STATE, SUFFIX_COUNT, SUFFIX_MEMORY, SUFFIX_REPLICAS, SUFFIX_SHARING_STRATEGY,
};
use crate::gpu::{GpuResource, Strategy};
use crate::k8s::{LabelSource, Node};
use apportion_mig::memory::MiB;
use apportion_mig::product::MigPart;
use apportion_mig::product::{Product, ProductLabel};
use apportion_mig::profile::MigProfile;

/// The offers of a node.
pub fn derive(node: &Node<'_>) -> NodeOffers {
    let labels = &node.metadata.labels;
    let mut found = NodeOffers {
        paused: pause(labels),
        ..NodeOffers::default()
    };
    for (key, quantity) in node
        .status
        .allocatable
        .iter()
        .filter(|(key, _)| GpuResource::is_gpu_name(key))
    {
        match (key.parse::<GpuResource>(), quantity.to_count()) {
            // A plugin resource that has gone stays in the node's status with the value 0 (kubelet, nodestatus/setters.go).
            (_, Ok(0)) => {}
            (Ok(resource), Ok(total)) => match Labels::read(resource, labels).and_then(|read| read.offer(total)) {
                Ok(offer) => found.offers.push(offer),
                Err((short, detail)) => found.problems.push(UnusableResource {
                    resource: Some(resource),
                    short,
                    detail,
                }),
            },
            (Err(error), _) => {
                found.problems.push(UnusableResource {
                    resource: None,
                    short: "unknown profile",
                    detail: error.to_string(),
                });
            }
            (Ok(resource), Err(error)) => {
                let detail = format!("allocatable {resource}: {error}");
                found.problems.push(UnusableResource {
                    resource: Some(resource),
                    short: "unreadable allocatable",
                    detail,
                });
            }
        }
    }
    found.offers.sort_by_key(|offer| offer.resource);
    found
}

/// What the labels alone say that a resource is, whoever serves it: an offer without shares.
pub(super) fn labelled(resource: GpuResource, labels: &impl LabelSource) -> Result<Offer, Doubt> {
    Labels::read(resource, labels)?.offer(0)
}

fn pause(labels: &impl LabelSource) -> Option<ReconfigurationState> {
    match (labels.label(MIG_CONFIG_STATE), labels.label(DEPLOY_DEVICE_PLUGIN)) {
        (Some(state), _) if state != "success" && !state.is_empty() => {
            Some(ReconfigurationState::MigConfig(state.into()))
        }
        (_, Some("paused-for-mig-change")) => Some(ReconfigurationState::DevicePlugin),
        _ => None,
    }
}

/// The labels that bear on one resource.
struct Labels<'l> {
    resource: GpuResource,
    product: Option<ProductLabel>,
    product_raw: Option<&'l str>,
    sharing: Sharing,
    replicas: Option<u64>,
    count: Option<u64>,
    memory: Option<MiB>,
}

/// GFD's `sharing-strategy`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    None,
    TimeSlicing,
    Mps,
}

/// The short form, and the sentence.
pub(super) type Doubt = (&'static str, String);

impl<'l> Labels<'l> {
    fn read(resource: GpuResource, labels: &'l impl LabelSource) -> Result<Self, Doubt> {
        let value = |suffix: &str| labels.label(&resource.label_key(suffix));
        let number = |suffix: &str| match value(suffix).map(str::parse::<u64>) {
            None => Ok(None),
            Some(Ok(number)) => Ok(Some(number)),
            Some(Err(_)) => Err((
                "unreadable labels",
                format!(
                    "label {} is `{}`, not a number",
                    resource.label_key(suffix),
                    value(suffix).unwrap_or("")
                ),
            )),
        };
        let key = resource.label_key(SUFFIX_SHARING_STRATEGY);
        let sharing = match value(SUFFIX_SHARING_STRATEGY) {
            Some("none") => Sharing::None,
            Some("time-slicing") => Sharing::TimeSlicing,
            Some("mps") => Sharing::Mps,
            Some("") => {
                return Err((
                    "invalid MIG configuration",
                    format!("label {key} is empty: GPU feature discovery found the node's MIG configuration invalid"),
                ));
            }
            Some(other) => return Err(("unknown sharing strategy", format!("label {key} is `{other}`"))),
            None => {
                return Err((
                    "no GPU labels",
                    format!(
                        "label {key} is missing, so {resource} could be whole GPUs or shares; run GPU feature discovery v0.15 or newer"
                    ),
                ));
            }
        };
        let product_raw = value("product");
        Ok(Labels {
            resource,
            product: product_raw.map(ProductLabel::parse),
            product_raw,
            sharing,
            replicas: number(SUFFIX_REPLICAS)?,
            count: number(SUFFIX_COUNT)?,
            memory: number(SUFFIX_MEMORY)?.filter(|mib| *mib > 0).map(MiB),
        })
    }

    fn offer(self, total: u64) -> Result<Offer, Doubt> {
        let profile = self.profile()?;
        let strategy = match (self.sharing, profile) {
            (Sharing::None, None) => Strategy::Exclusive,
            (Sharing::None, Some(_)) => Strategy::Mig,
            // A slice of a MIG device has no partition of its own: it is as weak as any other time slice.
            (Sharing::TimeSlicing, _) => Strategy::TimeSlicing,
            (Sharing::Mps, None) => Strategy::Mps,
            // The plugin refuses this (plugin/mps.go), so the label must be another configuration's.
            (Sharing::Mps, Some(_)) => return Err(self.contradicts("MPS does not work on MIG devices")),
        };
        let replicas = self.replicas()?;
        self.check_name()?;
        self.check_total(total, replicas)?;
        let memory = match strategy {
            Strategy::Mps => self.memory.map(|memory| memory.split(replicas)),
            Strategy::Exclusive | Strategy::Mig | Strategy::TimeSlicing => self.memory,
        };
        Ok(Offer {
            resource: self.resource,
            strategy,
            profile,
            product: self
                .product
                .map(|label| label.product)
                .or_else(|| self.product_raw.map(Product::from)),
            product_label: self.product_raw.map(Into::into),
            total,
            replicas,
            memory,
        })
    }

    /// The MIG profile of the devices: from the resource's name, or under MIG `single` from the product label.
    fn profile(&self) -> Result<Option<MigProfile>, Doubt> {
        match (self.resource.profile(), self.product.as_ref().map(|label| label.mig)) {
            (Some(profile), _) | (None, Some(MigPart::Profile(profile))) => Ok(Some(profile)),
            (None, Some(MigPart::Invalid)) => Err((
                "invalid MIG configuration",
                "the product label says MIG-INVALID: strategy single needs one profile on all GPUs".into(),
            )),
            (None, Some(MigPart::None) | None) => Ok(None),
        }
    }

    fn replicas(&self) -> Result<u64, Doubt> {
        match (self.sharing, self.replicas) {
            (Sharing::None, Some(1) | None) => Ok(1),
            (Sharing::None, Some(replicas)) => {
                Err(self.contradicts(&format!("not shared, yet {replicas} replicas a GPU")))
            }
            (Sharing::TimeSlicing | Sharing::Mps, Some(replicas)) if replicas >= 2 => Ok(replicas),
            (Sharing::TimeSlicing | Sharing::Mps, _) => Err(self.contradicts("shared, yet without replicas")),
        }
    }

    /// Sharing shows in the resource's name or in the product label: `.shared`, or `-SHARED` where the plugin does not rename.
    fn check_name(&self) -> Result<(), Doubt> {
        let renamed = self.resource.is_renamed_share();
        let suffixed = self.product.as_ref().map(|label| label.shared);
        match (self.sharing, renamed, suffixed) {
            (Sharing::None, true, _) => Err(self.contradicts("the resource is a share, the labels say not shared")),
            (Sharing::None, false, Some(true)) => {
                Err(self.contradicts("the product says SHARED, the strategy says none"))
            }
            (Sharing::TimeSlicing | Sharing::Mps, false, Some(false)) => {
                Err(self.contradicts("the labels are those of renamed shares, the resource is not renamed"))
            }
            (Sharing::TimeSlicing | Sharing::Mps, true, Some(true)) => {
                Err(self.contradicts("the labels are those of shares that are not renamed, the resource is renamed"))
            }
            _ => Ok(()),
        }
    }

    /// Fewer than the labels promise is normal (unhealthy GPUs, GPUs that are in MIG); more can not be.
    fn check_total(&self, total: u64, replicas: u64) -> Result<(), Doubt> {
        let Some(count) = self.count else { return Ok(()) };
        let most = count.saturating_mul(replicas);
        if total > most {
            return Err(self.contradicts(&format!(
                "{total} allocatable, while the labels promise {most} at most ({count} x {replicas}); two GPU models on one node look like this too"
            )));
        }
        Ok(())
    }

    fn contradicts(&self, what: &str) -> Doubt {
        (
            "labels contradict allocatable",
            format!(
                "labels and allocatable of {} contradict each other: {what}; restart GPU feature discovery",
                self.resource
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Labels under `nvidia.com/`, allocatable under the same, expected offers as `resource strategy total/replicas memory`.
    fn offers(labels: &str, allocatable: &str) -> (Vec<String>, Vec<&'static str>, Option<String>) {
        let object = |pairs: &str| {
            let pairs: Vec<String> = pairs
                .split_whitespace()
                .map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap();
                    format!(r#""nvidia.com/{key}":"{value}""#)
                })
                .collect();
            format!("{{{}}}", pairs.join(","))
        };
        let json = format!(
            r#"{{"metadata":{{"labels":{}}},"status":{{"allocatable":{}}}}}"#,
            object(labels),
            object(allocatable)
        );
        let found = derive(&serde_json::from_str(&json).unwrap());
        let shown = found
            .offers
            .iter()
            .map(|offer| {
                let memory = offer.memory.map_or("?".to_owned(), |m| m.0.to_string());
                let profile = offer.profile.map_or(String::new(), |p| format!(" [{p}]"));
                format!("{offer}{profile} {}/{} {memory}", offer.total, offer.replicas)
            })
            .collect();
        (
            shown,
            found.problems.iter().map(|p| p.short).collect(),
            found.paused.map(|p| p.to_string()),
        )
    }

    const WHOLE: &str =
        "gpu.product=NVIDIA-A100-SXM4-80GB gpu.count=8 gpu.replicas=1 gpu.sharing-strategy=none gpu.memory=81920";

    #[test]
    fn every_kind_of_offer() {
        let single = "gpu.product=NVIDIA-A100-SXM4-40GB-MIG-1g.5gb gpu.count=56 gpu.replicas=1 gpu.sharing-strategy=none gpu.memory=4864 mig.strategy=single gpu.slices.gi=1";
        let mixed = "mig.strategy=mixed mig-1g.10gb.count=28 mig-1g.10gb.replicas=1 mig-1g.10gb.sharing-strategy=none mig-1g.10gb.memory=9728 mig-1g.10gb.product=NVIDIA-A100-SXM4-80GB-MIG-1g.10gb";
        for (case, labels, allocatable, expected) in [
            ("whole", WHOLE.to_owned(), "gpu=8", vec!["gpu exclusive 8/1 81920"]),
            ("whole under the operator's default strategy single", format!("{WHOLE} mig.strategy=single"), "gpu=8", vec!["gpu exclusive 8/1 81920"]),
            ("one GPU unhealthy", WHOLE.to_owned(), "gpu=7", vec!["gpu exclusive 7/1 81920"]),
            (
                "time-sliced, not renamed",
                "gpu.product=Tesla-T4-SHARED gpu.count=4 gpu.replicas=4 gpu.sharing-strategy=time-slicing gpu.memory=15360".to_owned(),
                "gpu=16",
                vec!["gpu time-slicing 16/4 15360"],
            ),
            (
                "time-sliced, renamed; gpu stays behind as 0",
                "gpu.product=Tesla-T4 gpu.count=4 gpu.replicas=4 gpu.sharing-strategy=time-slicing gpu.memory=15360".to_owned(),
                "gpu=0 gpu.shared=16",
                vec!["gpu.shared time-slicing 16/4 15360"],
            ),
            (
                "MPS, not renamed: a share has its part of the memory",
                "gpu.product=Tesla-T4-SHARED gpu.count=4 gpu.replicas=4 gpu.sharing-strategy=mps gpu.memory=15360 mps.capable=true".to_owned(),
                "gpu=16",
                vec!["gpu mps 16/4 3840"],
            ),
            (
                "MPS, renamed",
                "gpu.product=Tesla-T4 gpu.count=4 gpu.replicas=4 gpu.sharing-strategy=mps gpu.memory=15360".to_owned(),
                "gpu.shared=16",
                vec!["gpu.shared mps 16/4 3840"],
            ),
            ("MIG single", single.to_owned(), "gpu=56", vec!["gpu mig [1g.5gb] 56/1 4864"]),
            (
                "MIG single, time-sliced",
                single.replace("1g.5gb", "1g.5gb-SHARED").replace("replicas=1", "replicas=2").replace("=none", "=time-slicing"),
                "gpu=112",
                vec!["gpu time-slicing [1g.5gb] 112/2 4864"],
            ),
            (
                "MIG mixed on all GPUs: replicas of the GPU read 0, gpu stays behind as 0",
                format!("{} {mixed}", WHOLE.replace("replicas=1", "replicas=0")),
                "gpu=0 mig-1g.10gb=28",
                vec!["mig-1g.10gb mig [1g.10gb] 28/1 9728"],
            ),
            (
                "some GPUs whole, some in MIG",
                format!("{WHOLE} {mixed}"),
                "gpu=4 mig-1g.10gb=28",
                vec!["gpu exclusive 4/1 81920", "mig-1g.10gb mig [1g.10gb] 28/1 9728"],
            ),
            (
                "MIG mixed, time-sliced, renamed",
                mixed.replace("replicas=1", "replicas=2").replace("=none", "=time-slicing"),
                "mig-1g.10gb.shared=56",
                vec!["mig-1g.10gb.shared time-slicing [1g.10gb] 56/2 9728"],
            ),
            (
                "MIG mixed, time-sliced, not renamed",
                mixed.replace("replicas=1", "replicas=2").replace("=none", "=time-slicing").replace("-MIG-1g.10gb", "-MIG-1g.10gb-SHARED"),
                "mig-1g.10gb=56",
                vec!["mig-1g.10gb time-slicing [1g.10gb] 56/2 9728"],
            ),
            (
                "a profile with media engines: `.` stands for `+`",
                "mig-1g.10gb.me.count=1 mig-1g.10gb.me.replicas=1 mig-1g.10gb.me.sharing-strategy=none".to_owned(),
                "mig-1g.10gb.me=1",
                vec!["mig-1g.10gb.me mig [1g.10gb+me] 1/1 ?"],
            ),
            ("no GPU", String::new(), "hostdev=4", vec![]),
            ("all gone to 0", WHOLE.to_owned(), "gpu=0", vec![]),
        ] {
            let (found, problems, paused) = offers(&labels, allocatable);
            assert_eq!((found, problems, paused), (expected.iter().map(ToString::to_string).collect(), vec![], None), "{case}");
        }
    }

    #[test]
    fn doubtful_resources_are_offered_to_nobody() {
        let shared = "gpu.product=Tesla-T4-SHARED gpu.count=4 gpu.replicas=4 gpu.sharing-strategy=time-slicing";
        for (case, labels, allocatable, problem) in [
            ("no labels at all", String::new(), "gpu=4", "no GPU labels"),
            (
                "labels of an old feature discovery",
                "gpu.product=Tesla-T4 gpu.count=4 gpu.replicas=1".to_owned(),
                "gpu=4",
                "no GPU labels",
            ),
            (
                "MIG without its labels",
                WHOLE.to_owned(),
                "mig-1g.10gb=7",
                "no GPU labels",
            ),
            (
                "stale: labels say 4 whole, the plugin cuts 16",
                WHOLE.replace("count=8", "count=4"),
                "gpu=16",
                "labels contradict allocatable",
            ),
            (
                "not shared, yet replicas",
                WHOLE.replace("replicas=1", "replicas=4"),
                "gpu=8",
                "labels contradict allocatable",
            ),
            (
                "all GPUs in MIG, yet some whole",
                WHOLE.replace("replicas=1", "replicas=0"),
                "gpu=4",
                "labels contradict allocatable",
            ),
            (
                "shared, yet one replica",
                shared.replace("replicas=4", "replicas=1"),
                "gpu=16",
                "labels contradict allocatable",
            ),
            (
                "renamed by labels, not by name",
                shared.replace("-SHARED", ""),
                "gpu=16",
                "labels contradict allocatable",
            ),
            (
                "renamed by name, not shared by labels",
                WHOLE.to_owned(),
                "gpu.shared=8",
                "labels contradict allocatable",
            ),
            (
                "SHARED, yet not shared",
                WHOLE.replace("80GB", "80GB-SHARED"),
                "gpu=8",
                "labels contradict allocatable",
            ),
            (
                "not renamed by labels, renamed by name",
                shared.to_owned(),
                "gpu.shared=16",
                "labels contradict allocatable",
            ),
            (
                "MPS on MIG",
                "mig-1g.10gb.count=7 mig-1g.10gb.replicas=2 mig-1g.10gb.sharing-strategy=mps".to_owned(),
                "mig-1g.10gb=14",
                "labels contradict allocatable",
            ),
            (
                "invalid MIG single",
                "gpu.product=NVIDIA-A30-MIG-INVALID gpu.count=0 gpu.replicas=0 gpu.sharing-strategy= gpu.memory=0"
                    .to_owned(),
                "gpu=4",
                "invalid MIG configuration",
            ),
            (
                "invalid by product alone",
                WHOLE.replace("80GB", "80GB-MIG-INVALID"),
                "gpu=8",
                "invalid MIG configuration",
            ),
            (
                "a strategy from the future",
                WHOLE.replace("=none", "=quantum"),
                "gpu=8",
                "unknown sharing strategy",
            ),
            (
                "a count that is none",
                WHOLE.replace("count=8", "count=eight"),
                "gpu=8",
                "unreadable labels",
            ),
            (
                "a profile that is none",
                WHOLE.to_owned(),
                "mig-huge=1",
                "unknown profile",
            ),
        ] {
            let (found, problems, _) = offers(&labels, allocatable);
            assert_eq!((found, problems), (vec![], vec![problem]), "{case}");
        }
    }

    #[test]
    fn nodes_that_reconfigure_are_paused() {
        for (labels, paused) in [
            ("mig.config.state=success", None),
            ("mig.config.state=pending", Some("MIG reconfiguration pending")),
            ("mig.config.state=rebooting", Some("MIG reconfiguration rebooting")),
            ("mig.config.state=failed", Some("MIG reconfiguration failed")),
            (
                "gpu.deploy.device-plugin=paused-for-mig-change",
                Some("paused for a MIG change"),
            ),
            ("gpu.deploy.device-plugin=true", None),
        ] {
            let (found, _, pause) = offers(&format!("{WHOLE} {labels}"), "gpu=8");
            assert_eq!((found.len(), pause.as_deref()), (1, paused), "{labels}");
        }
    }
}
