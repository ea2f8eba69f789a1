//! What a pod asks for, in GPUs.

use std::fmt;

use smallvec::SmallVec;

use super::names::GPU_MEMORY_ANNOTATION;
use super::resource::GpuResource;
use crate::k8s::{Container, ContainerKind, Pod, request};
use apportion_mig::memory::MiB;

/// How many of each resource, in the order of the resources, without zeros.
///
/// Nearly all are of one resource, which stands in the value itself: what a node's pods hold is read for every node that is asked about, and
/// a pointer would lead to memory that no cache holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counts(SmallVec<[(GpuResource, u64); 1]>);

impl Counts {
    /// `count` of one resource.
    pub fn one(resource: GpuResource, count: u64) -> Self {
        let mut counts = Counts::default();
        counts.add(resource, count);
        counts
    }

    /// The count of a resource.
    pub fn get(&self, resource: GpuResource) -> u64 {
        self.0
            .binary_search_by_key(&resource, |(r, _)| *r)
            .map_or(0, |at| self.0[at].1)
    }

    /// Adds; the sum saturates.
    pub fn add(&mut self, resource: GpuResource, count: u64) {
        if count == 0 {
            return;
        }
        match self.0.binary_search_by_key(&resource, |(r, _)| *r) {
            Ok(at) => self.0[at].1 = self.0[at].1.saturating_add(count),
            Err(at) => self.0.insert(at, (resource, count)),
        }
    }

    /// Takes away, down to zero.
    pub fn subtract(&mut self, resource: GpuResource, count: u64) {
        if let Ok(at) = self.0.binary_search_by_key(&resource, |(r, _)| *r) {
            self.0[at].1 = self.0[at].1.saturating_sub(count);
            if self.0[at].1 == 0 {
                self.0.remove(at);
            }
        }
    }

    /// Every resource with its count, none of them zero.
    pub fn iter(&self) -> impl Iterator<Item = (GpuResource, u64)> + '_ {
        self.0.iter().copied()
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of different resources.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl FromIterator<(GpuResource, u64)> for Counts {
    fn from_iter<I: IntoIterator<Item = (GpuResource, u64)>>(counts: I) -> Self {
        let mut sum = Counts::default();
        for (resource, count) in counts {
            sum.add(resource, count);
        }
        sum
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("no GPU");
        }
        for (at, (resource, count)) in self.iter().enumerate() {
            write!(f, "{}{resource} {count}", if at == 0 { "" } else { " + " })?;
        }
        Ok(())
    }
}

/// What one container asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerDemand {
    /// Its kind.
    pub kind: ContainerKind,
    /// Its place in its list.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// What it asks for.
    pub counts: Counts,
}

impl ContainerDemand {
    /// The path of the container, as people write it: `spec.containers[0]`.
    pub fn field(&self) -> String {
        container_field(self.kind, self.index)
    }
}

/// What a pod asks for that can not be read, or that Kubernetes would refuse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct DemandError {
    /// Where, as people write it.
    pub field: String,
    /// Why, and what to write instead.
    pub reason: String,
}

/// What a pod asks for, container by container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodDemand {
    /// The containers that ask for GPUs, init containers first.
    pub containers: Vec<ContainerDemand>,
    /// GPU memory that each of them needs, by the pod's annotation.
    pub memory: Option<MiB>,
}

/// GPU memory that a pod declares for each share, by its annotation.
pub fn declared_memory(pod: &Pod<'_>) -> Result<Option<MiB>, DemandError> {
    let Some(text) = pod.metadata.annotations.get(GPU_MEMORY_ANNOTATION) else {
        return Ok(None);
    };
    let memory = crate::gpu::memory::parse_memory(text).map_err(|error| DemandError {
        field: format!("metadata.annotations[{GPU_MEMORY_ANNOTATION}]"),
        reason: error.to_string(),
    })?;
    Ok(Some(memory))
}

/// What a pod asks of a node at its busiest moment.
pub type Demand = Counts;

impl PodDemand {
    /// Reads the demand of a pod.
    pub fn of(pod: &Pod<'_>) -> Result<Self, DemandError> {
        let containers = containers_of(pod)?;
        let memory = declared_memory(pod)?;
        Ok(PodDemand { containers, memory })
    }

    /// Whether no container asks for a GPU.
    pub fn is_empty(&self) -> bool {
        self.containers.is_empty()
    }

    /// The sum over all containers, as a person would say it; a node needs less when init containers take turns.
    pub fn total(&self) -> Counts {
        self.containers
            .iter()
            .flat_map(|container| container.counts.iter())
            .collect()
    }
}

/// What the containers of a pod ask for, of those that ask for GPUs.
pub fn containers_of(pod: &Pod<'_>) -> Result<Vec<ContainerDemand>, DemandError> {
    let mut containers = Vec::new();
    for (kind, index, container) in pod.spec.containers() {
        let counts = container_counts(container).map_err(|(list, key, reason)| DemandError {
            field: format!("{}.resources.{list}[{key}]", container_field(kind, index)),
            reason,
        })?;
        if !counts.is_empty() {
            containers.push(ContainerDemand {
                kind,
                index,
                name: container.name.to_string(),
                counts,
            });
        }
    }
    Ok(containers)
}

/// What a pod asks of its node: Kubernetes' effective request for each GPU resource.
///
/// What can not be read counts as nothing here, and takes nothing else with it: this is for pods that the API server has already taken.
pub fn effective_demand(pod: &Pod<'_>) -> Demand {
    let each: Vec<Counts> = pod
        .spec
        .containers()
        .map(|(_, _, Container { resources, .. })| merged(&readable(&resources.limits), &readable(&resources.requests)))
        .collect();
    effective_of(pod, &each)
}

/// The effective request when `each` says what the containers ask for, in the order of [`crate::k8s::pod::PodSpec::containers`].
pub fn effective_of(pod: &Pod<'_>, each: &[Counts]) -> Demand {
    let overhead = readable(&pod.spec.overhead);
    let mut resources: Vec<GpuResource> = each
        .iter()
        .chain([&overhead])
        .flat_map(|counts| counts.iter().map(|(resource, _)| resource))
        .collect();
    resources.sort_unstable();
    resources.dedup();
    resources
        .into_iter()
        .map(|resource| {
            let mut at = each.iter();
            let count = request::effective(&pod.spec, overhead.get(resource), |_| {
                at.next().map_or(0, |counts| counts.get(resource))
            });
            (resource, count)
        })
        .collect()
}

/// The path of a container, as people write it.
pub fn container_field(kind: ContainerKind, index: usize) -> String {
    format!("spec.{}[{index}]", kind.list())
}

type List<'a> = crate::k8s::Pairs<'a, crate::k8s::quantity::RawQuantity<'a>>;
pub(super) type UnparsedQuantity = (&'static str, String, String);

/// Limits and requests as one: Kubernetes fills requests from limits, and for devices wants them equal
/// (`SetDefaults_Pod`, `ValidateResourceRequirements`).
pub(super) fn container_counts(container: &Container<'_>) -> Result<Counts, UnparsedQuantity> {
    let name = |list: &'static str| move |(key, reason)| (list, key, reason);
    let limits = read_list(&container.resources.limits).map_err(name("limits"))?;
    let requests = read_list(&container.resources.requests).map_err(name("requests"))?;
    for (key, _) in container
        .resources
        .requests
        .iter()
        .filter(|(key, _)| GpuResource::is_gpu_name(key))
    {
        let limited = container.resources.limits.get(key).is_some();
        let (asked, limit) = key
            .parse()
            .map_or((0, 0), |resource| (requests.get(resource), limits.get(resource)));
        if limited && asked != limit {
            let reason = format!("asks for {asked} while the limit is {limit}; devices need equal requests and limits");
            return Err(("requests", key.to_string(), reason));
        }
    }
    Ok(merged(&limits, &requests))
}

/// A request without a limit is refused by Kubernetes; counting it keeps the answer right until then.
fn merged(limits: &Counts, requests: &Counts) -> Counts {
    limits
        .iter()
        .chain(requests.iter().filter(|(resource, _)| limits.get(*resource) == 0))
        .collect()
}

/// The counts of a list that can be read.
fn readable(list: &List<'_>) -> Counts {
    list.iter()
        .filter(|(key, _)| GpuResource::is_gpu_name(key))
        .filter_map(|(key, quantity)| Some((key.parse().ok()?, quantity.to_count().ok()?)))
        .collect()
}

fn read_list(list: &List<'_>) -> Result<Counts, (String, String)> {
    let mut counts = Counts::default();
    for (key, quantity) in list.iter().filter(|(key, _)| GpuResource::is_gpu_name(key)) {
        let resource: GpuResource = key
            .parse()
            .map_err(|error: super::resource::ResourceError| (key.to_string(), error.to_string()))?;
        let count = quantity
            .to_count()
            .map_err(|error| (key.to_string(), error.to_string()))?;
        counts.add(resource, count);
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demand(json: &str) -> Result<PodDemand, DemandError> {
        PodDemand::of(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn limits_and_requests_are_one_demand() {
        for resources in [
            r#"{"limits":{"nvidia.com/gpu":"2"},"requests":{"nvidia.com/gpu":"2"}}"#,
            r#"{"limits":{"nvidia.com/gpu":2,"cpu":"1"}}"#,
            r#"{"requests":{"nvidia.com/gpu":"2000m"}}"#,
            r#"{"limits":{"nvidia.com/gpu":"2","nvidia.com/mig-1g.10gb":"0","nvidia.com/gpumem":"x"}}"#,
        ] {
            let read = demand(&format!(
                r#"{{"spec":{{"containers":[{{"name":"c","resources":{resources}}}]}}}}"#
            ))
            .unwrap();
            assert_eq!(read.total(), Counts::one(GpuResource::Gpu, 2), "{resources}");
        }
    }

    #[test]
    fn what_can_not_be_read_is_named_with_its_place() {
        for (resources, field, reason) in [
            (
                r#"{"limits":{"nvidia.com/gpu":"0.5"}}"#,
                "spec.containers[0].resources.limits[nvidia.com/gpu]",
                "whole number",
            ),
            (
                r#"{"limits":{"nvidia.com/gpu":"one"}}"#,
                "spec.containers[0].resources.limits[nvidia.com/gpu]",
                "is not a quantity",
            ),
            (
                r#"{"limits":{"nvidia.com/mig-big":"1"}}"#,
                "spec.containers[0].resources.limits[nvidia.com/mig-big]",
                "no MIG profile",
            ),
            (
                r#"{"limits":{"nvidia.com/gpu":"2"},"requests":{"nvidia.com/gpu":"1"}}"#,
                "spec.containers[0].resources.requests[nvidia.com/gpu]",
                "equal requests and limits",
            ),
        ] {
            let error = demand(&format!(
                r#"{{"spec":{{"containers":[{{"name":"c","resources":{resources}}}]}}}}"#
            ))
            .unwrap_err();
            assert_eq!(error.field, field);
            assert!(error.reason.contains(reason), "{error}");
        }
        let error = demand(r#"{"metadata":{"annotations":{"apportion.dev/gpu-memory":"8 GB"}}}"#).unwrap_err();
        assert_eq!(error.field, "metadata.annotations[apportion.dev/gpu-memory]");
    }

    #[test]
    fn a_node_is_asked_for_the_busiest_moment_of_each_resource() {
        let json = r#"{"spec":{
            "initContainers":[
                {"name":"warm","resources":{"limits":{"nvidia.com/gpu":"4"}}},
                {"name":"side","restartPolicy":"Always","resources":{"limits":{"nvidia.com/gpu":"1"}}}],
            "containers":[
                {"name":"a","resources":{"limits":{"nvidia.com/gpu":"1","nvidia.com/mig-1g.10gb":"2"}}},
                {"name":"b"}],
            "overhead":{"nvidia.com/gpu":"1","cpu":"250m"}}}"#;
        let pod = serde_json::from_str(json).unwrap();
        let demand = effective_demand(&pod);
        assert_eq!(demand.to_string(), "nvidia.com/gpu 5 + nvidia.com/mig-1g.10gb 2");
    }
}
