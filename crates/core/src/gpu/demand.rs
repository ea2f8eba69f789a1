//! The GPU demand of a pod.

use std::collections::BTreeMap;

use super::counts::Counts;
use super::names::GPU_MEMORY_ANNOTATION;
use super::resource::{GpuResource, ResourceError};
use crate::diagnostics::excerpt;
use crate::k8s::quantity::{Quantity, QuantityError, RawQuantity};
use crate::k8s::request::EffectiveRequest;
use crate::k8s::{Container, ContainerKind, Pairs, Pod};
use apportion_mig::memory::MiB;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerDemand {
    pub kind: ContainerKind,
    /// The index in the list of its kind.
    pub index: usize,
    pub name: String,
    pub counts: Counts,
}

impl ContainerDemand {
    /// Such as `spec.containers[0]`.
    pub fn field(&self) -> String {
        self.kind.field(self.index)
    }
}

/// A GPU request that cannot be parsed, or that the API server would reject.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct DemandError {
    /// Such as `spec.containers[0].resources.limits[nvidia.com/gpu]`.
    pub field: String,
    /// What is wrong, and what to write instead.
    pub reason: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodDemand {
    /// The containers that request GPUs, init containers first.
    pub containers: Vec<ContainerDemand>,
    /// The GPU memory that each of them needs, from the pod's annotation.
    pub memory: Option<MiB>,
}

/// The GPU memory that the annotation of a pod declares for each share.
pub fn declared_memory(pod: &Pod<'_>) -> Result<Option<MiB>, DemandError> {
    let Some(text) = pod.metadata.annotations.get(GPU_MEMORY_ANNOTATION) else {
        return Ok(None);
    };
    let memory = parse_memory(text).map_err(|error| DemandError {
        field: format!("metadata.annotations[{GPU_MEMORY_ANNOTATION}]"),
        reason: error.to_string(),
    })?;
    Ok(Some(memory))
}

impl PodDemand {
    pub fn from_pod(pod: &Pod<'_>) -> Result<Self, DemandError> {
        let containers = gpu_containers(pod)?;
        let memory = declared_memory(pod)?;
        Ok(PodDemand { containers, memory })
    }

    /// Whether no container requests a GPU.
    pub fn is_empty(&self) -> bool {
        self.containers.is_empty()
    }

    /// The sum over all containers. The effective request is smaller if init containers run in
    /// turn.
    pub fn total(&self) -> Counts {
        self.containers
            .iter()
            .flat_map(|container| container.counts.iter())
            .collect()
    }
}

/// The containers that request GPUs, with what they request.
pub fn gpu_containers(pod: &Pod<'_>) -> Result<Vec<ContainerDemand>, DemandError> {
    let mut containers = Vec::new();
    for (kind, index, container) in pod.spec.containers() {
        let counts = container_counts(container).map_err(|invalid| DemandError {
            field: format!(
                "{}.resources.{}[{}]",
                kind.field(index),
                invalid.list,
                excerpt(&invalid.key)
            ),
            reason: invalid.reason,
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

/// The effective request of a pod for each GPU resource.
///
/// Requests that cannot be parsed are ignored, and only those: the API server has already accepted
/// the pod.
pub fn effective_demand(pod: &Pod<'_>) -> Counts {
    let each: Vec<Counts> = pod
        .spec
        .containers()
        .map(|(_, _, Container { resources, .. })| {
            merge(&parse_valid(&resources.limits), &parse_valid(&resources.requests))
        })
        .collect();
    effective_counts(pod, &each)
}

/// The effective request if the containers request `each`, in the order of
/// [`crate::k8s::pod::PodSpec::containers`].
pub fn effective_counts(pod: &Pod<'_>, each: &[Counts]) -> Counts {
    let overhead = parse_valid(&pod.spec.overhead);
    // One pass over the containers, however many resources they request.
    let mut requests: BTreeMap<GpuResource, EffectiveRequest> = BTreeMap::new();
    for ((kind, ..), counts) in pod.spec.containers().zip(each) {
        for (resource, count) in counts.iter() {
            requests.entry(resource).or_default().add(kind, count);
        }
    }
    for (resource, _) in overhead.iter() {
        requests.entry(resource).or_default();
    }
    requests
        .into_iter()
        .map(|(resource, request)| (resource, request.total(overhead.get(resource))))
        .collect()
}

type ResourceList<'a> = Pairs<'a, RawQuantity<'a>>;

/// A quantity that cannot be used: in limits or requests, its key, and why.
pub(super) struct InvalidQuantity {
    list: &'static str,
    key: String,
    reason: String,
}

/// The GPU requests of a container. Kubernetes fills requests from limits, and requires them to be
/// equal for devices (`SetDefaults_Pod`, `ValidateResourceRequirements`).
pub(super) fn container_counts(container: &Container<'_>) -> Result<Counts, InvalidQuantity> {
    let limits = parse_list("limits", &container.resources.limits)?;
    let requests = parse_list("requests", &container.resources.requests)?;
    for (key, _) in container
        .resources
        .requests
        .iter()
        .filter(|(key, _)| GpuResource::is_gpu_name(key))
    {
        let limited = container.resources.limits.get(key).is_some();
        let (requested, limit) = key
            .parse()
            .map_or((0, 0), |resource| (requests.get(resource), limits.get(resource)));
        if limited && requested != limit {
            let reason =
                format!("asks for {requested} while the limit is {limit}; devices need equal requests and limits");
            return Err(InvalidQuantity {
                list: "requests",
                key: key.to_string(),
                reason,
            });
        }
    }
    Ok(merge(&limits, &requests))
}

/// The API server will reject a request without a limit; until then, it counts.
fn merge(limits: &Counts, requests: &Counts) -> Counts {
    limits
        .iter()
        .chain(requests.iter().filter(|(resource, _)| limits.get(*resource) == 0))
        .collect()
}

/// The counts of a list, without those that cannot be parsed.
fn parse_valid(list: &ResourceList<'_>) -> Counts {
    list.iter()
        .filter(|(key, _)| GpuResource::is_gpu_name(key))
        .filter_map(|(key, quantity)| Some((key.parse().ok()?, quantity.to_count().ok()?)))
        .collect()
}

fn parse_list(name: &'static str, list: &ResourceList<'_>) -> Result<Counts, InvalidQuantity> {
    list.iter()
        .filter(|(key, _)| GpuResource::is_gpu_name(key))
        .map(|(key, quantity)| {
            let invalid = |reason: String| InvalidQuantity {
                list: name,
                key: key.to_string(),
                reason,
            };
            let resource: GpuResource = key.parse().map_err(|error: ResourceError| invalid(error.to_string()))?;
            let count = quantity.to_count().map_err(|error| invalid(error.to_string()))?;
            Ok((resource, count))
        })
        .collect()
}

/// Parses a quantity of bytes. Rounds up to the next MiB, so that the need is never understated.
pub fn parse_memory(text: &str) -> Result<MiB, QuantityError> {
    let bytes = text.parse::<Quantity>()?.to_units_rounded_up();
    if bytes < 0 {
        return Err(QuantityError::NotWhole(excerpt(text).into_owned()));
    }
    let mib = (bytes + (1 << 20) - 1) >> 20;
    u64::try_from(mib)
        .map(MiB)
        .map_err(|_| QuantityError::TooLarge(excerpt(text).into_owned()))
}

#[cfg(test)]
mod tests {
    use apportion_testing::{Container, Pod};
    use serde_json::json;

    use super::*;

    fn demand(pod: &Pod) -> Result<PodDemand, DemandError> {
        PodDemand::from_pod(&serde_json::from_str(&pod.to_string()).unwrap())
    }

    fn container() -> Container {
        Container::new("c")
    }

    const GPU: &str = "nvidia.com/gpu";
    const MIG: &str = "nvidia.com/mig-1g.10gb";

    #[test]
    fn limits_and_requests_count_once() {
        for container in [
            container().resource(GPU, "2"),
            container().limit(GPU, 2).limit("cpu", "1"),
            container().request(GPU, "2000m"),
            container()
                .limit(GPU, "2")
                .limit(MIG, "0")
                .limit("nvidia.com/gpumem", "x"),
        ] {
            let pod = Pod::new("p").container(container);
            let read = demand(&pod).unwrap();
            assert_eq!(read.total(), Counts::one(GpuResource::Gpu, 2), "{pod}");
        }
    }

    #[test]
    fn invalid_requests_are_reported_with_their_field() {
        for (container, field, reason) in [
            (container().limit(GPU, "0.5"), "limits[nvidia.com/gpu]", "whole number"),
            (
                container().limit(GPU, "one"),
                "limits[nvidia.com/gpu]",
                "is not a quantity",
            ),
            (
                container().limit("nvidia.com/mig-big", "1"),
                "limits[nvidia.com/mig-big]",
                "no MIG profile",
            ),
            (
                container().limit(GPU, "2").request(GPU, "1"),
                "requests[nvidia.com/gpu]",
                "equal requests and limits",
            ),
        ] {
            let error = demand(&Pod::new("p").container(container)).unwrap_err();
            assert_eq!(error.field, format!("spec.containers[0].resources.{field}"));
            assert!(error.reason.contains(reason), "{error}");
        }
        let error = demand(&Pod::new("p").gpu_memory("8 GB")).unwrap_err();
        assert_eq!(error.field, "metadata.annotations[apportion.dev/gpu-memory]");
    }

    #[test]
    fn effective_demand_is_the_peak_of_each_resource() {
        let json = Pod::new("p")
            .init_container(Container::new("warm").limit(GPU, "4"))
            .init_container(Container::new("side").sidecar().limit(GPU, "1"))
            .container(Container::new("a").limit(GPU, "1").limit(MIG, "2"))
            .container(Container::new("b"))
            .set("/spec/overhead", json!({GPU: "1", "cpu": "250m"}))
            .to_string();
        let pod = serde_json::from_str(&json).unwrap();
        let demand = effective_demand(&pod);
        assert_eq!(demand.to_string(), "nvidia.com/gpu 5 + nvidia.com/mig-1g.10gb 2");
    }

    #[test]
    fn memory_rounds_up_to_mebibytes() {
        for (text, mib, shown) in [
            ("8Gi", 8192, "8Gi"),
            ("1", 1, "1Mi"),
            ("1G", 954, "954Mi"),
            ("0", 0, "0Mi"),
            ("1500Mi", 1500, "1500Mi"),
        ] {
            let memory = parse_memory(text).unwrap();
            assert_eq!((memory, memory.to_string().as_str()), (MiB(mib), shown), "{text}");
        }
        assert!(parse_memory("-1").is_err());
        assert!(parse_memory("8 Gi").is_err());
    }
}
