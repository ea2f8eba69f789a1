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

    use super::*;
    use crate::policy::Guarantees;
    use apportion_mig::memory::MiB;
    use apportion_mig::product::ProductPattern;

    const WHOLE: &str = r#""nvidia.com/gpu.sharing-strategy":"none","nvidia.com/gpu.product":"NVIDIA-A100-SXM4-80GB","nvidia.com/gpu.memory":"81920""#;

    fn node(labels: &str, allocatable: &str) -> NodeEntry {
        let json = format!(
            r#"{{"metadata":{{"name":"n","labels":{{{labels}}}}},"status":{{"allocatable":{{{allocatable}}}}}}}"#
        );
        NodeEntry::new(serde_json::from_str(&json).unwrap())
    }

    fn classes(names: &[&str]) -> DeviceClasses {
        let mut classes = DeviceClasses::default();
        for name in names {
            let json = format!(r#"{{"metadata":{{"name":"c-{name}"}},"spec":{{"extendedResourceName":"{name}"}}}}"#);
            let class: DeviceClass<'_> = serde_json::from_str(&json).unwrap();
            classes.put(name, resource_served_by(&class));
        }
        classes
    }

    #[test]
    fn only_whole_gpus_by_their_labels_are_left_to_dra() {
        const MIG: &str = "nvidia.com/mig-1g.10gb";
        let exclusive = || SharingRule::any(Strategy::Exclusive);
        let on_h100 = || SharingRule {
            products: vec![ProductPattern::parse("H100").unwrap()],
            ..exclusive()
        };
        for (case, served, labels, allocatable, demand, memory, rules, expected) in [
            (
                "left to DRA",
                vec!["nvidia.com/gpu"],
                WHOLE,
                "",
                vec![("nvidia.com/gpu", 9)],
                None,
                vec![exclusive()],
                "",
            ),
            (
                "a resource that its plugin left behind with the value 0",
                vec!["nvidia.com/gpu"],
                WHOLE,
                r#""nvidia.com/gpu":"0""#,
                vec![("nvidia.com/gpu", 1)],
                None,
                vec![exclusive()],
                "",
            ),
            (
                "no class",
                vec![],
                WHOLE,
                "",
                vec![("nvidia.com/gpu", 1)],
                None,
                vec![exclusive()],
                "no gpu",
            ),
            (
                "a class for another resource",
                vec![MIG],
                WHOLE,
                "",
                vec![("nvidia.com/gpu", 1)],
                None,
                vec![exclusive()],
                "no gpu",
            ),
            (
                "a class for a resource that is not a GPU",
                vec!["example.com/gpu"],
                WHOLE,
                "",
                vec![("nvidia.com/gpu", 1)],
                None,
                vec![exclusive()],
                "no gpu",
            ),
            (
                "the plugin has too few",
                vec!["nvidia.com/gpu"],
                WHOLE,
                r#""nvidia.com/gpu":"8""#,
                vec![("nvidia.com/gpu", 9)],
                None,
                vec![exclusive()],
                "8 gpu in all, 9 needed",
            ),
            (
                "the plugin has it, but there are no labels",
                vec!["nvidia.com/gpu"],
                "",
                r#""nvidia.com/gpu":"8""#,
                vec![("nvidia.com/gpu", 1)],
                None,
                vec![exclusive()],
                "gpu not usable: no GPU labels",
            ),
            (
                "no labels",
                vec!["nvidia.com/gpu"],
                "",
                "",
                vec![("nvidia.com/gpu", 1)],
                None,
                vec![exclusive()],
                "gpu served by DRA: no GPU labels",
            ),
            (
                "labels of shares",
                vec!["nvidia.com/gpu"],
                r#""nvidia.com/gpu.sharing-strategy":"mps","nvidia.com/gpu.replicas":"4""#,
                "",
                vec![("nvidia.com/gpu", 1)],
                None,
                vec![exclusive()],
                "gpu is shared by mps",
            ),
            (
                "labels of MIG single",
                vec!["nvidia.com/gpu"],
                r#""nvidia.com/gpu.sharing-strategy":"none","nvidia.com/gpu.product":"NVIDIA-A100-SXM4-80GB-MIG-1g.10gb""#,
                "",
                vec![("nvidia.com/gpu", 1)],
                None,
                vec![exclusive()],
                "gpu is a MIG device",
            ),
            (
                "another product",
                vec!["nvidia.com/gpu"],
                WHOLE,
                "",
                vec![("nvidia.com/gpu", 1)],
                None,
                vec![on_h100()],
                "GPU product not allowed",
            ),
            (
                "enough memory",
                vec!["nvidia.com/gpu"],
                WHOLE,
                "",
                vec![("nvidia.com/gpu", 1)],
                Some(81_920),
                vec![exclusive()],
                "",
            ),
            (
                "too little memory",
                vec!["nvidia.com/gpu"],
                WHOLE,
                "",
                vec![("nvidia.com/gpu", 1)],
                Some(81_921),
                vec![exclusive()],
                "80Gi GPU memory a share, 81921Mi needed",
            ),
            (
                "a MIG device",
                vec![MIG],
                WHOLE,
                "",
                vec![(MIG, 1)],
                None,
                vec![SharingRule::any(Strategy::Mig)],
                "mig-1g.10gb served by DRA: its isolation cannot be verified",
            ),
            (
                "a share",
                vec!["nvidia.com/gpu"],
                WHOLE,
                "",
                vec![("nvidia.com/gpu", 1)],
                None,
                vec![SharingRule::any(Strategy::TimeSlicing)],
                "gpu served by DRA: its isolation cannot be verified",
            ),
            (
                "one rule of two",
                vec!["nvidia.com/gpu"],
                WHOLE,
                "",
                vec![("nvidia.com/gpu", 1)],
                None,
                vec![SharingRule::any(Strategy::Mig), exclusive()],
                "",
            ),
            (
                "a plugin serves MIG devices on the node",
                vec!["nvidia.com/gpu"],
                WHOLE,
                r#""nvidia.com/gpu":"0","nvidia.com/mig-1g.10gb":"7""#,
                vec![("nvidia.com/gpu", 1)],
                None,
                vec![exclusive()],
                "gpu served by DRA: a device plugin serves other GPU resources",
            ),
            (
                "two resources",
                vec!["nvidia.com/gpu", MIG],
                WHOLE,
                "",
                vec![("nvidia.com/gpu", 1), (MIG, 1)],
                None,
                vec![exclusive()],
                "gpu served by DRA: the pod requests other GPU resources too",
            ),
        ] {
            let demand: Counts = demand
                .iter()
                .map(|(name, count)| (name.parse().unwrap(), *count))
                .collect();
            let guarantees = Arc::new(Guarantees::without_limits("n"));
            let pod_request = PodRequestRef {
                demand: &demand,
                memory: memory.map(MiB),
                guarantees: &guarantees,
            };
            let result = node(labels, allocatable).check_fit_or_dra(&pod_request, &rules, &classes(&served));
            assert_eq!(
                result
                    .err()
                    .map(|unfit_reason| unfit_reason.to_string())
                    .unwrap_or_default(),
                expected,
                "{case}"
            );
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
