//! Derives the offers of a node from its labels and allocatable.
//!
//! GPU feature discovery writes the labels (k8s-device-plugin `internal/lm`), the device plugin
//! advertises the resources. Both follow the same configuration, but at different times, so they
//! can contradict each other. A resource in contradiction is not offered.

use super::offer::{NodeOffers, Offer, ReconfigurationState, UnusableResource};
use crate::gpu::names::{
    DEPLOY_DEVICE_PLUGIN, MIG_CONFIG_STATE, SUFFIX_COUNT, SUFFIX_MEMORY, SUFFIX_REPLICAS, SUFFIX_SHARING_STRATEGY,
};
use crate::gpu::{GpuResource, Strategy};
use crate::k8s::{LabelSource, Node};
use apportion_mig::memory::MiB;
use apportion_mig::product::{MigSuffix, Product, ProductLabel};
use apportion_mig::profile::MigProfile;

/// The offers of a node.
pub fn derive(node: &Node<'_>) -> NodeOffers {
    let labels = &node.metadata.labels;
    let mut offers = NodeOffers {
        reconfiguration: reconfiguration(labels),
        ..NodeOffers::default()
    };
    for (key, quantity) in node
        .status
        .allocatable
        .iter()
        .filter(|(key, _)| GpuResource::is_gpu_name(key))
    {
        match (key.parse::<GpuResource>(), quantity.to_count()) {
            // The kubelet keeps a resource that has gone, with the value 0 (nodestatus/setters.go).
            (_, Ok(0)) => {}
            (Ok(resource), Ok(total)) => {
                match ResourceLabels::read(resource, labels).and_then(|labels| labels.offer(total)) {
                    Ok(offer) => offers.offers.push(offer),
                    Err(problem) => offers.problems.push(problem),
                }
            }
            (Err(error), _) => offers.problems.push(UnusableResource {
                resource: None,
                short: "unknown profile",
                detail: error.to_string(),
            }),
            (Ok(resource), Err(error)) => offers.problems.push(UnusableResource {
                resource: Some(resource),
                short: "unreadable allocatable",
                detail: format!("allocatable {resource}: {error}"),
            }),
        }
    }
    offers.offers.sort_by_key(|offer| offer.resource);
    offers
}

/// What the labels alone say about a resource, whatever serves it: an offer with 0 shares.
pub(super) fn offer_from_labels(resource: GpuResource, labels: &impl LabelSource) -> Result<Offer, UnusableResource> {
    ResourceLabels::read(resource, labels)?.offer(0)
}

fn reconfiguration(labels: &impl LabelSource) -> Option<ReconfigurationState> {
    match (labels.label(MIG_CONFIG_STATE), labels.label(DEPLOY_DEVICE_PLUGIN)) {
        (Some(state), _) if state != "success" && !state.is_empty() => {
            Some(ReconfigurationState::MigConfig(state.into()))
        }
        (_, Some("paused-for-mig-change")) => Some(ReconfigurationState::DevicePlugin),
        _ => None,
    }
}

/// The labels of one resource.
struct ResourceLabels<'l> {
    resource: GpuResource,
    product: Option<ProductLabel>,
    product_raw: Option<&'l str>,
    sharing: Sharing,
    replicas: Option<u64>,
    count: Option<u64>,
    memory: Option<MiB>,
}

/// The values of the label `sharing-strategy`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    None,
    TimeSlicing,
    Mps,
}

impl<'l> ResourceLabels<'l> {
    fn read(resource: GpuResource, labels: &'l impl LabelSource) -> Result<Self, UnusableResource> {
        let unusable = |short, detail| UnusableResource {
            resource: Some(resource),
            short,
            detail,
        };
        let value = |suffix: &str| labels.label(&resource.label_key(suffix));
        let number = |suffix: &str| match value(suffix).map(str::parse::<u64>) {
            None => Ok(None),
            Some(Ok(number)) => Ok(Some(number)),
            Some(Err(_)) => Err(unusable(
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
                return Err(unusable(
                    "invalid MIG configuration",
                    format!("label {key} is empty: GPU feature discovery found the node's MIG configuration invalid"),
                ));
            }
            Some(other) => {
                return Err(unusable(
                    "unknown sharing strategy",
                    format!("label {key} is `{other}`"),
                ));
            }
            None => {
                return Err(unusable(
                    "no GPU labels",
                    format!(
                        "label {key} is missing, so {resource} could be whole GPUs or shares; run GPU feature discovery v0.15 or newer"
                    ),
                ));
            }
        };
        let product_raw = value("product");
        Ok(ResourceLabels {
            resource,
            product: product_raw.map(ProductLabel::parse),
            product_raw,
            sharing,
            replicas: number(SUFFIX_REPLICAS)?,
            count: number(SUFFIX_COUNT)?,
            memory: number(SUFFIX_MEMORY)?.filter(|mib| *mib > 0).map(MiB),
        })
    }

    fn offer(self, total: u64) -> Result<Offer, UnusableResource> {
        let profile = self.profile()?;
        let strategy = match (self.sharing, profile) {
            (Sharing::None, None) => Strategy::Exclusive,
            (Sharing::None, Some(_)) => Strategy::Mig,
            // Time slices of a MIG device share its partition, so they isolate no better than other
            // time slices.
            (Sharing::TimeSlicing, _) => Strategy::TimeSlicing,
            (Sharing::Mps, None) => Strategy::Mps,
            // The device plugin rejects this configuration (plugin/mps.go), so the label is out of
            // date.
            (Sharing::Mps, Some(_)) => return Err(self.contradiction("MPS does not work on MIG devices")),
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

    /// The MIG profile of the devices: by the resource's name, or under MIG strategy `single` by
    /// the product label.
    fn profile(&self) -> Result<Option<MigProfile>, UnusableResource> {
        match (self.resource.profile(), self.product.as_ref().map(|label| label.mig)) {
            (Some(profile), _) | (None, Some(MigSuffix::Profile(profile))) => Ok(Some(profile)),
            (None, Some(MigSuffix::Invalid)) => Err(UnusableResource {
                resource: Some(self.resource),
                short: "invalid MIG configuration",
                detail: "the product label says MIG-INVALID: strategy single needs one profile on all GPUs".into(),
            }),
            (None, Some(MigSuffix::None) | None) => Ok(None),
        }
    }

    fn replicas(&self) -> Result<u64, UnusableResource> {
        match (self.sharing, self.replicas) {
            (Sharing::None, Some(1) | None) => Ok(1),
            (Sharing::None, Some(replicas)) => {
                Err(self.contradiction(&format!("not shared, but {replicas} replicas per GPU")))
            }
            (Sharing::TimeSlicing | Sharing::Mps, Some(replicas)) if replicas >= 2 => Ok(replicas),
            (Sharing::TimeSlicing | Sharing::Mps, _) => Err(self.contradiction("shared, but without replicas")),
        }
    }

    /// Shared resources have `.shared` in their name or, if the plugin does not rename them,
    /// `-SHARED` in the product label.
    fn check_name(&self) -> Result<(), UnusableResource> {
        let renamed = self.resource.is_renamed_share();
        let has_suffix = self.product.as_ref().map(|label| label.shared);
        match (self.sharing, renamed, has_suffix) {
            (Sharing::None, true, _) => Err(self.contradiction("the resource is a share, the labels say not shared")),
            (Sharing::None, false, Some(true)) => {
                Err(self.contradiction("the product says SHARED, the strategy says none"))
            }
            (Sharing::TimeSlicing | Sharing::Mps, false, Some(false)) => {
                Err(self.contradiction("the labels are those of renamed shares, the resource is not renamed"))
            }
            (Sharing::TimeSlicing | Sharing::Mps, true, Some(true)) => {
                Err(self.contradiction("the labels are those of shares that are not renamed, the resource is renamed"))
            }
            _ => Ok(()),
        }
    }

    /// Fewer shares than the labels say are normal (unhealthy GPUs, or GPUs in MIG mode). More are
    /// a contradiction.
    fn check_total(&self, total: u64, replicas: u64) -> Result<(), UnusableResource> {
        let Some(count) = self.count else { return Ok(()) };
        let max = count.saturating_mul(replicas);
        if total > max {
            return Err(self.contradiction(&format!(
                "{total} allocatable, but at most {max} ({count} x {replicas}) by the labels; two GPU models on one node look like this too"
            )));
        }
        Ok(())
    }

    fn contradiction(&self, what: &str) -> UnusableResource {
        UnusableResource {
            resource: Some(self.resource),
            short: "labels contradict allocatable",
            detail: format!(
                "labels and allocatable of {} contradict each other: {what}; restart GPU feature discovery",
                self.resource
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use apportion_testing::Node;

    use super::*;

    /// Takes labels and allocatable without `nvidia.com/`. Returns offers as `resource strategy
    /// total/replicas memory`, problems and the reconfiguration state.
    fn offers(labels: &str, allocatable: &str) -> (Vec<String>, Vec<&'static str>, Option<String>) {
        let node = Node::new("n", labels, allocatable).to_string();
        let found = derive(&serde_json::from_str(&node).unwrap());
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
            found.reconfiguration.map(|p| p.to_string()),
        )
    }

    const WHOLE: &str =
        "gpu.product=NVIDIA-A100-SXM4-80GB gpu.count=8 gpu.replicas=1 gpu.sharing-strategy=none gpu.memory=81920";

    #[test]
    fn offers_follow_from_labels_and_allocatable() {
        let single = "gpu.product=NVIDIA-A100-SXM4-40GB-MIG-1g.5gb gpu.count=56 gpu.replicas=1 gpu.sharing-strategy=none gpu.memory=4864 mig.strategy=single gpu.slices.gi=1";
        let mixed = "mig.strategy=mixed mig-1g.10gb.count=28 mig-1g.10gb.replicas=1 mig-1g.10gb.sharing-strategy=none mig-1g.10gb.memory=9728 mig-1g.10gb.product=NVIDIA-A100-SXM4-80GB-MIG-1g.10gb";
        for (case, labels, allocatable, expected) in [
            ("whole", WHOLE.to_owned(), "gpu=8", vec!["gpu exclusive 8/1 81920"]),
            ("whole, under the operator's default MIG strategy single", format!("{WHOLE} mig.strategy=single"), "gpu=8", vec!["gpu exclusive 8/1 81920"]),
            ("one GPU unhealthy", WHOLE.to_owned(), "gpu=7", vec!["gpu exclusive 7/1 81920"]),
            (
                "time-sliced, not renamed",
                "gpu.product=Tesla-T4-SHARED gpu.count=4 gpu.replicas=4 gpu.sharing-strategy=time-slicing gpu.memory=15360".to_owned(),
                "gpu=16",
                vec!["gpu time-slicing 16/4 15360"],
            ),
            (
                "time-sliced, renamed; gpu stays with the value 0",
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
                "MIG mixed on all GPUs: replicas of the GPU read 0, gpu stays with the value 0",
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
            ("only resources with the value 0", WHOLE.to_owned(), "gpu=0", vec![]),
        ] {
            let (found, problems, paused) = offers(&labels, allocatable);
            assert_eq!((found, problems, paused), (expected.iter().map(ToString::to_string).collect(), vec![], None), "{case}");
        }
    }

    #[test]
    fn resources_with_missing_or_contradictory_labels_are_unusable() {
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
                "not shared, but replicas",
                WHOLE.replace("replicas=1", "replicas=4"),
                "gpu=8",
                "labels contradict allocatable",
            ),
            (
                "all GPUs in MIG, but some whole",
                WHOLE.replace("replicas=1", "replicas=0"),
                "gpu=4",
                "labels contradict allocatable",
            ),
            (
                "shared, but one replica",
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
                "SHARED, but not shared",
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
                "an unknown strategy",
                WHOLE.replace("=none", "=quantum"),
                "gpu=8",
                "unknown sharing strategy",
            ),
            (
                "a count that is not a number",
                WHOLE.replace("count=8", "count=eight"),
                "gpu=8",
                "unreadable labels",
            ),
            ("an unknown profile", WHOLE.to_owned(), "mig-huge=1", "unknown profile"),
        ] {
            let (found, problems, _) = offers(&labels, allocatable);
            assert_eq!((found, problems), (vec![], vec![problem]), "{case}");
        }
    }

    #[test]
    fn nodes_report_their_reconfiguration_state() {
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
