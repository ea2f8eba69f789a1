//! Nodes that serve an extended resource without a device plugin: Dynamic Resource Allocation does, through a `DeviceClass`.
//!
//! Where a node's allocatable lacks the resource and a class serves its name, kube-scheduler leaves the count to its `DynamicResources`
//! plugin (`plugins/noderesources/fit.go`, feature `DRAExtendedResource`). What is free there stands in objects that we do not read, and
//! what the devices are in the class's selectors, which are programs. Two things are certain: a device is allocated to one claim, and the
//! claim that is made for an extended resource is one pod's. So:
//!
//! - An `exclusive` rule is left to DRA where the node's labels say what they say of whole GPUs everywhere, of a product that the rule
//!   allows, and no plugin gives anything beside it. How many are free is DRA's to say.
//! - Every other rule is not: no label says that a device is a share, or a partition, and a tenant is promised one that hardware keeps apart.

use std::collections::BTreeMap;

use super::derive::labelled;
use super::node::NodeEntry;
use super::node_usage::PodRequestRef;
use super::unfit_reason::UnfitReason;
use crate::gpu::{Counts, GpuResource, Strategy};
use crate::k8s::device_class::DeviceClass;
use crate::policy::SharingRule;

/// What device classes serve, as far as it is GPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceClasses(BTreeMap<Box<str>, GpuResource>);

/// The GPU resource that a class serves, if it does.
pub fn served_by(class: &DeviceClass<'_>) -> Option<GpuResource> {
    class.spec.extended_resource_name.as_deref()?.parse().ok()
}

impl DeviceClasses {
    /// A class serves this resource now; `None` when it serves none of ours, or is gone. Returns whether that changes anything.
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

    /// A class that serves a resource. Where there are several, the scheduler takes the youngest; here the first by name stands for all.
    pub fn serving(&self, resource: GpuResource) -> Option<&str> {
        self.iter()
            .find(|(_, served)| *served == resource)
            .map(|(class, _)| class)
    }

    /// Every class that serves a GPU resource, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, GpuResource)> {
        self.0.iter().map(|(class, resource)| (&**class, *resource))
    }

    /// Whether no class serves any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether what offers lack may be there all the same, by DRA; then the node's labels have to be looked at.
pub fn is_left_to_dra(unfit_reason: &UnfitReason, classes: &DeviceClasses) -> bool {
    matches!(unfit_reason, UnfitReason::NoOffer(resource) if classes.serving(*resource).is_some())
}

impl NodeEntry {
    /// As [`NodeEntry::hold`]; where the node lacks what device classes serve, whether it can be left to DRA.
    pub fn hold_or_leave<'r>(
        &self,
        pod_request: &PodRequestRef<'_>,
        rules: impl IntoIterator<Item = &'r SharingRule> + Clone,
        classes: &DeviceClasses,
    ) -> Result<(), UnfitReason> {
        match self.offers.suit(pod_request, rules.clone()) {
            Ok(()) => self.has_room(pod_request),
            Err(unfit_reason) if is_left_to_dra(&unfit_reason, classes) => self.leave(pod_request, rules, classes),
            Err(unfit_reason) => Err(unfit_reason),
        }
    }

    /// Whether one of `rules` leaves the newcomer to DRA here: the device plugin has nothing of what it asks for.
    pub fn leave<'r>(
        &self,
        pod_request: &PodRequestRef<'_>,
        rules: impl IntoIterator<Item = &'r SharingRule>,
        classes: &DeviceClasses,
    ) -> Result<(), UnfitReason> {
        let resource = self.sole_delegated(pod_request.demand, classes)?;
        let mut furthest = None;
        for rule in rules.into_iter().filter(|rule| rule.strategy == Strategy::Exclusive) {
            let seen = match labelled(resource, &self.labels) {
                Ok(offer) => offer.serves(rule, pod_request.memory),
                Err((why, _)) => Err(UnfitReason::Delegated(resource, why)),
            };
            match seen {
                Ok(()) => return Ok(()),
                unfit_reason => furthest = Some(unfit_reason),
            }
        }
        furthest.unwrap_or(Err(UnfitReason::Delegated(resource, "its isolation can not be seen")))
    }

    /// The one resource that is asked for, if DRA serves it here; else what is lacking.
    fn sole_delegated(&self, demand: &Counts, classes: &DeviceClasses) -> Result<GpuResource, UnfitReason> {
        let mut asked = demand.iter().map(|(resource, _)| resource);
        let is_plugins = |resource| self.offers.get(resource).is_some() || self.offers.problem(resource).is_some();
        let Some(resource) = asked.find(|resource| !is_plugins(*resource)) else {
            return Err(UnfitReason::NoOffer(
                demand.iter().next().map_or(GpuResource::Gpu, |(resource, _)| resource),
            ));
        };
        if classes.serving(resource).is_none() {
            return Err(UnfitReason::NoOffer(resource));
        }
        if demand.len() > 1 {
            return Err(UnfitReason::Delegated(
                resource,
                "other resources are asked for beside it",
            ));
        }
        // A plugin and a DRA driver know nothing of each other: one GPU could be given twice.
        if !self.offers.offers.is_empty() || !self.offers.problems.is_empty() {
            return Err(UnfitReason::Delegated(resource, "a device plugin gives others there"));
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
        NodeEntry::of(serde_json::from_str(&json).unwrap())
    }

    fn classes(names: &[&str]) -> DeviceClasses {
        let mut classes = DeviceClasses::default();
        for name in names {
            let json = format!(r#"{{"metadata":{{"name":"c-{name}"}},"spec":{{"extendedResourceName":"{name}"}}}}"#);
            let class: DeviceClass<'_> = serde_json::from_str(&json).unwrap();
            classes.put(name, served_by(&class));
        }
        classes
    }

    #[test]
    fn only_whole_gpus_that_labels_vouch_for_are_left_to_dra() {
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
                "a plugin's name that stayed behind",
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
                "a class of another name",
                vec![MIG],
                WHOLE,
                "",
                vec![("nvidia.com/gpu", 1)],
                None,
                vec![exclusive()],
                "no gpu",
            ),
            (
                "a class of no GPU",
                vec!["example.com/gpu"],
                WHOLE,
                "",
                vec![("nvidia.com/gpu", 1)],
                None,
                vec![exclusive()],
                "no gpu",
            ),
            (
                "the plugin has it, and too few",
                vec!["nvidia.com/gpu"],
                WHOLE,
                r#""nvidia.com/gpu":"8""#,
                vec![("nvidia.com/gpu", 9)],
                None,
                vec![exclusive()],
                "8 gpu in all, 9 needed",
            ),
            (
                "the plugin has it, without labels",
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
                "a tenant's partition",
                vec![MIG],
                WHOLE,
                "",
                vec![(MIG, 1)],
                None,
                vec![SharingRule::any(Strategy::Mig)],
                "mig-1g.10gb served by DRA: its isolation can not be seen",
            ),
            (
                "a share",
                vec!["nvidia.com/gpu"],
                WHOLE,
                "",
                vec![("nvidia.com/gpu", 1)],
                None,
                vec![SharingRule::any(Strategy::TimeSlicing)],
                "gpu served by DRA: its isolation can not be seen",
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
                "MIG devices of a plugin beside it",
                vec!["nvidia.com/gpu"],
                WHOLE,
                r#""nvidia.com/gpu":"0","nvidia.com/mig-1g.10gb":"7""#,
                vec![("nvidia.com/gpu", 1)],
                None,
                vec![exclusive()],
                "gpu served by DRA: a device plugin gives others there",
            ),
            (
                "two resources",
                vec!["nvidia.com/gpu", MIG],
                WHOLE,
                "",
                vec![("nvidia.com/gpu", 1), (MIG, 1)],
                None,
                vec![exclusive()],
                "gpu served by DRA: other resources are asked for beside it",
            ),
        ] {
            let demand: Counts = demand
                .iter()
                .map(|(name, count)| (name.parse().unwrap(), *count))
                .collect();
            let terms = Arc::new(Guarantees::none("n"));
            let pod_request = PodRequestRef {
                demand: &demand,
                memory: memory.map(MiB),
                terms: &terms,
            };
            let held = node(labels, allocatable).hold_or_leave(&pod_request, &rules, &classes(&served));
            assert_eq!(
                held.err()
                    .map(|unfit_reason| unfit_reason.to_string())
                    .unwrap_or_default(),
                expected,
                "{case}"
            );
        }
    }

    #[test]
    fn a_class_that_changes_its_name_serves_the_new_one_alone() {
        let mut classes = classes(&["nvidia.com/gpu"]);
        assert_eq!(classes.serving(GpuResource::Gpu), Some("nvidia.com/gpu"));
        assert!(!classes.put("nvidia.com/gpu", Some(GpuResource::Gpu)));
        assert!(classes.put("nvidia.com/gpu", Some(GpuResource::GpuShared)));
        assert_eq!(classes.serving(GpuResource::Gpu), None);
        assert!(classes.put("nvidia.com/gpu", None) && classes.is_empty());
    }
}
