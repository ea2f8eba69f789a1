//! Nodes that serve an extended resource by Dynamic Resource Allocation (DRA) through a
//! `DeviceClass`, without a device plugin.
//!
//! If a resource is missing from a node's allocatable and a class serves its name, kube-scheduler
//! leaves it to its `DynamicResources` plugin (`plugins/noderesources/fit.go`, feature
//! `DRAExtendedResource`). Apportion does not read the objects that say what is free there, and the
//! selectors of a class, which say what its devices are, are CEL programs. Two facts hold: a device
//! is allocated to one claim, and the claim that is made for an extended resource belongs to one
//! pod. Therefore:
//!
//! - An `exclusive` rule is left to DRA if the node's labels describe whole GPUs of a product that
//!   the rule allows, and no device plugin offers anything on the node. DRA decides how many are
//!   free.
//! - Other rules are not: no label says that a device is a share or a partition, and a tenant is
//!   guaranteed a device that hardware isolates.

use std::collections::BTreeMap;

use super::derive::offer_from_labels;
use super::node::NodeEntry;
use super::node_usage::PodRequestRef;
use super::unfit_reason::UnfitReason;
use crate::gpu::{Counts, GpuResource, Strategy};
use crate::k8s::node::DeviceClass;
use crate::policy::SharingRule;

/// The device classes that serve GPU resources, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceClasses(BTreeMap<Box<str>, GpuResource>);

/// The GPU resource that a class serves, if any.
pub fn resource_served_by(class: &DeviceClass<'_>) -> Option<GpuResource> {
    class.spec.extended_resource_name.as_deref()?.parse().ok()
}

impl DeviceClasses {
    /// Records the resource that a class serves. Pass `None` if the class is gone or serves no GPU
    /// resource. Returns whether anything changed.
    pub fn put(&mut self, class: &str, resource: Option<GpuResource>) -> bool {
        if self.0.get(class).copied() == resource {
            return false;
        }
        match resource {
            Some(resource) => drop(self.0.insert(class.into(), resource)),
            None => drop(self.0.remove(class)),
        }
        true
    }

    /// A class that serves a resource. If there are several, the scheduler takes the youngest; this
    /// returns the first by name, since callers need to know only that there is one.
    pub fn class_for(&self, resource: GpuResource) -> Option<&str> {
        self.iter()
            .find(|(_, served)| *served == resource)
            .map(|(class, _)| class)
    }

    /// Every class with the GPU resource that it serves, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, GpuResource)> {
        self.0.iter().map(|(class, resource)| (&**class, *resource))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether DRA may serve what the offers of a node lack. If so, [`NodeEntry::check_dra`] decides.
pub fn may_be_served_by_dra(unfit_reason: &UnfitReason, classes: &DeviceClasses) -> bool {
    matches!(unfit_reason, UnfitReason::NoOffer(resource) if classes.class_for(*resource).is_some())
}

impl NodeEntry {
    /// Like [`NodeEntry::check_fit`], but a resource that device classes serve may also be left to
    /// DRA.
    pub fn check_fit_or_dra<'r>(
        &self,
        pod_request: &PodRequestRef<'_>,
        rules: impl IntoIterator<Item = &'r SharingRule> + Clone,
        classes: &DeviceClasses,
    ) -> Result<(), UnfitReason> {
        match self.offers.check_suitability(pod_request, rules.clone()) {
            Ok(()) => self.check_capacity(pod_request),
            Err(unfit_reason) if may_be_served_by_dra(&unfit_reason, classes) => {
                self.check_dra(pod_request, rules, classes)
            }
            Err(unfit_reason) => Err(unfit_reason),
        }
    }

    /// Whether one of `rules` lets DRA serve the pod on this node. No device plugin may offer the
    /// requested resource.
    pub fn check_dra<'r>(
        &self,
        pod_request: &PodRequestRef<'_>,
        rules: impl IntoIterator<Item = &'r SharingRule>,
        classes: &DeviceClasses,
    ) -> Result<(), UnfitReason> {
        let resource = self.resource_for_dra(pod_request.demand, classes)?;
        let mut last = None;
        for rule in rules.into_iter().filter(|rule| rule.strategy == Strategy::Exclusive) {
            let result = match offer_from_labels(resource, &self.labels) {
                Ok(offer) => offer.serves(rule, pod_request.memory),
                Err(problem) => Err(UnfitReason::ServedByDra(resource, problem.short)),
            };
            match result {
                Ok(()) => return Ok(()),
                Err(unfit_reason) => last = Some(unfit_reason),
            }
        }
        Err(last.unwrap_or(UnfitReason::ServedByDra(resource, "its isolation cannot be verified")))
    }

    /// The requested resource, if DRA serves it on this node and the pod requests no other.
    fn resource_for_dra(&self, demand: &Counts, classes: &DeviceClasses) -> Result<GpuResource, UnfitReason> {
        let mut requested = demand.iter().map(|(resource, _)| resource);
        let has_plugin = |resource| self.offers.get(resource).is_some() || self.offers.problem(resource).is_some();
        let Some(resource) = requested.find(|resource| !has_plugin(*resource)) else {
            return Err(UnfitReason::NoOffer(
                demand.iter().next().map_or(GpuResource::Gpu, |(resource, _)| resource),
            ));
        };
        if classes.class_for(resource).is_none() {
            return Err(UnfitReason::NoOffer(resource));
        }
        if demand.len() > 1 {
            return Err(UnfitReason::ServedByDra(
                resource,
                "the pod requests other GPU resources too",
            ));
        }
        // A device plugin and a DRA driver do not know of each other, so both could allocate the
        // same GPU.
        if !self.offers.offers.is_empty() || !self.offers.problems.is_empty() {
            return Err(UnfitReason::ServedByDra(
                resource,
                "a device plugin serves other GPU resources",
            ));
        }
        Ok(resource)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use apportion_testing::Node;
    use serde_json::json;

    use super::*;
    use crate::policy::Guarantees;
    use apportion_mig::memory::MiB;
    use apportion_mig::product::ProductPattern;

    const WHOLE: &str = "gpu.sharing-strategy=none gpu.product=NVIDIA-A100-SXM4-80GB gpu.memory=81920";

    /// Takes labels and allocatable without `nvidia.com/`.
    fn node(labels: &str, allocatable: &str) -> NodeEntry {
        let node = Node::new("n", labels, allocatable).to_string();
        NodeEntry::new(serde_json::from_str(&node).unwrap())
    }

    fn classes(names: &[&str]) -> DeviceClasses {
        let mut classes = DeviceClasses::default();
        for name in names {
            let class = json!({"metadata": {"name": format!("c-{name}")}, "spec": {"extendedResourceName": name}});
            let json = class.to_string();
            let class: DeviceClass<'_> = serde_json::from_str(&json).unwrap();
            classes.put(name, resource_served_by(&class));
        }
        classes
    }

    const GPU: &str = "nvidia.com/gpu";
    const MIG: &str = "nvidia.com/mig-1g.10gb";

    fn exclusive() -> SharingRule {
        SharingRule::any(Strategy::Exclusive)
    }

    struct Row {
        case: &'static str,
        /// Resources that a device class serves.
        served: Vec<&'static str>,
        labels: &'static str,
        allocatable: &'static str,
        demand: Vec<(&'static str, u64)>,
        /// In MiB.
        memory: Option<u64>,
        rules: Vec<SharingRule>,
        /// Why the pod does not fit; empty if it does.
        expected: &'static str,
    }

    impl Default for Row {
        fn default() -> Self {
            Row {
                case: "",
                served: vec![GPU],
                labels: WHOLE,
                allocatable: "",
                demand: vec![(GPU, 1)],
                memory: None,
                rules: vec![exclusive()],
                expected: "",
            }
        }
    }

    #[test]
    fn only_whole_gpus_by_their_labels_are_left_to_dra() {
        let on_h100 = || SharingRule {
            products: vec![ProductPattern::parse("H100").unwrap()],
            ..exclusive()
        };
        for row in [
            Row {
                case: "left to DRA",
                demand: vec![(GPU, 9)],
                ..Row::default()
            },
            Row {
                case: "a resource that its plugin left behind with the value 0",
                allocatable: "gpu=0",
                ..Row::default()
            },
            Row {
                case: "no class",
                served: vec![],
                expected: "no gpu",
                ..Row::default()
            },
            Row {
                case: "a class for another resource",
                served: vec![MIG],
                expected: "no gpu",
                ..Row::default()
            },
            Row {
                case: "a class for a resource that is not a GPU",
                served: vec!["example.com/gpu"],
                expected: "no gpu",
                ..Row::default()
            },
            Row {
                case: "the plugin has too few",
                allocatable: "gpu=8",
                demand: vec![(GPU, 9)],
                expected: "8 gpu in all, 9 needed",
                ..Row::default()
            },
            Row {
                case: "the plugin has it, but there are no labels",
                labels: "",
                allocatable: "gpu=8",
                expected: "gpu not usable: no GPU labels",
                ..Row::default()
            },
            Row {
                case: "no labels",
                labels: "",
                expected: "gpu served by DRA: no GPU labels",
                ..Row::default()
            },
            Row {
                case: "labels of shares",
                labels: "gpu.sharing-strategy=mps gpu.replicas=4",
                expected: "gpu is shared by mps",
                ..Row::default()
            },
            Row {
                case: "labels of MIG single",
                labels: "gpu.sharing-strategy=none gpu.product=NVIDIA-A100-SXM4-80GB-MIG-1g.10gb",
                expected: "gpu is a MIG device",
                ..Row::default()
            },
            Row {
                case: "another product",
                rules: vec![on_h100()],
                expected: "GPU product not allowed",
                ..Row::default()
            },
            Row {
                case: "enough memory",
                memory: Some(81_920),
                ..Row::default()
            },
            Row {
                case: "too little memory",
                memory: Some(81_921),
                expected: "80Gi GPU memory a share, 81921Mi needed",
                ..Row::default()
            },
            Row {
                case: "a MIG device",
                served: vec![MIG],
                demand: vec![(MIG, 1)],
                rules: vec![SharingRule::any(Strategy::Mig)],
                expected: "mig-1g.10gb served by DRA: its isolation cannot be verified",
                ..Row::default()
            },
            Row {
                case: "a share",
                rules: vec![SharingRule::any(Strategy::TimeSlicing)],
                expected: "gpu served by DRA: its isolation cannot be verified",
                ..Row::default()
            },
            Row {
                case: "one rule of two",
                rules: vec![SharingRule::any(Strategy::Mig), exclusive()],
                ..Row::default()
            },
            Row {
                case: "a plugin serves MIG devices on the node",
                allocatable: "gpu=0 mig-1g.10gb=7",
                expected: "gpu served by DRA: a device plugin serves other GPU resources",
                ..Row::default()
            },
            Row {
                case: "two resources",
                served: vec![GPU, MIG],
                demand: vec![(GPU, 1), (MIG, 1)],
                expected: "gpu served by DRA: the pod requests other GPU resources too",
                ..Row::default()
            },
        ] {
            let demand: Counts = row
                .demand
                .iter()
                .map(|(name, count)| (name.parse().unwrap(), *count))
                .collect();
            let guarantees = Arc::new(Guarantees::without_limits("n"));
            let pod_request = PodRequestRef {
                demand: &demand,
                memory: row.memory.map(MiB),
                guarantees: &guarantees,
            };
            let node = node(row.labels, row.allocatable);
            let result = node.check_fit_or_dra(&pod_request, &row.rules, &classes(&row.served));
            let reason = result.err().map(|reason| reason.to_string()).unwrap_or_default();
            assert_eq!(reason, row.expected, "{}", row.case);
        }
    }

    #[test]
    fn a_class_serves_only_its_current_resource() {
        let mut classes = classes(&["nvidia.com/gpu"]);
        assert_eq!(classes.class_for(GpuResource::Gpu), Some("nvidia.com/gpu"));
        assert!(!classes.put("nvidia.com/gpu", Some(GpuResource::Gpu)));
        assert!(classes.put("nvidia.com/gpu", Some(GpuResource::GpuShared)));
        assert_eq!(classes.class_for(GpuResource::Gpu), None);
        assert!(classes.put("nvidia.com/gpu", None) && classes.is_empty());
    }
}
