//! Which pods held which devices, for how long, and whose utilization was measured.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::device::{Activity, DeviceSamples};
use super::pool::Pool;
use super::samples::Samples;
use super::timeline::TimelineMean;
use super::window::{Window, real};
use apportion_core::gpu::Strategy;
use apportion_core::inventory::PodPlacement;
use apportion_core::inventory::{Ledger, PodRecord};
use apportion_mig::product::Product;
use apportion_mig::profile::MigProfile;

/// What was measured to get the utilization of a pod, from narrow to wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The pod itself: it had the device alone, or the exporter measured its processes.
    Own,
    /// The whole device, which other pods shared.
    Device,
    /// All devices of the node that may be the pod's.
    Node,
}

/// What a pod held of one device, or of equal devices.
#[derive(Clone, Debug)]
pub struct Allocation<'a> {
    pub namespace: &'a str,
    pub pod: &'a str,
    /// Devices, or shares of them.
    pub count: u64,
    /// How the devices are shared; `None` if unknown.
    pub strategy: Option<Strategy>,
    pub product: Option<&'a Product>,
    pub profile: Option<MigProfile>,
    pub scope: Scope,
    /// The sum of the held fractions of GPUs.
    pub gpus: f64,
    /// Its steps are those in which the pod held the devices.
    pub activity: Activity,
    /// Memory of the device, MiB.
    pub memory_total: Option<f64>,
}

/// The allocations of a pool, and the pods whose allocation is unknown.
#[derive(Clone, Debug, Default)]
pub struct PoolAllocations<'a> {
    pub allocations: Vec<Allocation<'a>>,
    /// Pods (namespace, name) that the exporter names on shared devices. It names one of several
    /// pods, so the name is ignored.
    pub ignored_pods: BTreeSet<(&'a str, &'a str)>,
    /// Pods (namespace, name) that hold devices since an unknown time.
    pub pods_without_start: Vec<(&'a str, &'a str)>,
}

/// Returns the allocations of a pool. `present` are the pods that are on its node now.
pub fn pool_allocations<'a>(
    pool: &Pool<'a>,
    product: Option<&'a Product>,
    samples: &'a Samples,
    present: &[&'a PodRecord],
    window: &Window,
) -> PoolAllocations<'a> {
    let mut result = PoolAllocations::default();
    let Some(gpu_fraction) = pool.gpu_fraction else {
        return result;
    };
    let mut named: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut unnamed_devices: Vec<&DeviceSamples> = Vec::new();
    for (key, device) in &pool.devices {
        let pods = samples.pods.get(*key);
        let replicas: BTreeSet<&str> = pods
            .into_iter()
            .flatten()
            .map(|(pod, _)| &*pod.replica)
            .filter(|replica| !replica.is_empty())
            .collect();
        let replicas = replicas.len() as u64;
        let by_replica = replicas > 0;
        let named_before = named.len();
        for (pod, activity) in pods.into_iter().flatten() {
            let id = (&*pod.namespace, &*pod.pod);
            if pod.replica.is_empty() && (pool.is_shared() || by_replica) {
                result.ignored_pods.insert(id);
                continue;
            }
            named.insert(id);
            let shares = if by_replica {
                pool.offer.map_or(replicas, |offer| offer.replicas).max(1)
            } else {
                1
            };
            // The exporter measured the processes of each pod if the device has a series of its own
            // at every step. Otherwise it copied the device's value to each pod.
            let own = !by_replica || device.replica_steps >= activity.steps;
            result.allocations.push(Allocation {
                namespace: id.0,
                pod: id.1,
                count: 1,
                strategy: pool.strategy(),
                product,
                profile: pool.profile,
                scope: if own { Scope::Own } else { Scope::Device },
                gpus: gpu_fraction / real(shares),
                activity: activity.clone(),
                memory_total: device.memory_total,
            });
        }
        if named.len() == named_before && !by_replica && device.activity.steps > 0.0 {
            unnamed_devices.push(device);
        }
    }
    let Some(offer) = pool.offer else { return result };
    let mean = PoolMean::of(&unnamed_devices);
    for record in present {
        let count = record.demand.get(offer.resource);
        let id = (&*record.namespace, &*record.name);
        if count == 0 || named.contains(&id) {
            continue;
        }
        // Without a mean, every device names other pods, and nothing is known about this one.
        let Some(mean) = &mean else { continue };
        let Some(started) = record.start_time else {
            result.pods_without_start.push(id);
            continue;
        };
        let steps = real(window.steps_since(started.as_second()));
        result.allocations.push(Allocation {
            namespace: id.0,
            pod: id.1,
            count,
            strategy: Some(offer.strategy),
            product,
            profile: pool.profile,
            scope: if unnamed_devices.len() == 1 && pool.devices.len() == 1 {
                Scope::Device
            } else {
                Scope::Node
            },
            gpus: real(count) * gpu_fraction / real(offer.replicas),
            activity: Activity {
                steps,
                idle_steps: steps * mean.idle_fraction,
                ..mean.activity.clone()
            },
            memory_total: mean.memory_total,
        });
    }
    result
}

/// Groups the bound pods by node.
pub fn pods_by_node(cluster: &Ledger) -> BTreeMap<&str, Vec<&PodRecord>> {
    let mut pods: BTreeMap<&str, Vec<&PodRecord>> = BTreeMap::new();
    for (_, record) in cluster.pods() {
        if let PodPlacement::Node(node) = &record.placement {
            pods.entry(node).or_default().push(record);
        }
    }
    pods
}

/// The mean of the devices of a pool. The p95 and the memory are maxima.
struct PoolMean {
    activity: Activity,
    idle_fraction: f64,
    memory_total: Option<f64>,
}

impl PoolMean {
    /// Returns `None` if no device has utilization samples.
    fn of(devices: &[&DeviceSamples]) -> Option<Self> {
        let steps: f64 = devices.iter().map(|device| device.activity.steps).sum();
        if steps <= 0.0 {
            return None;
        }
        let activities = || devices.iter().map(|device| &device.activity);
        let mut timeline = TimelineMean::default();
        for activity in activities() {
            timeline.add(&activity.timeline, 1.0);
        }
        Some(PoolMean {
            activity: Activity {
                steps,
                mean: activities().map(|activity| activity.mean * activity.steps).sum::<f64>() / steps,
                p95: activities().map(|activity| activity.p95).fold(0.0, f64::max),
                idle_steps: 0.0,
                memory_peak: activities()
                    .filter_map(|activity| activity.memory_peak)
                    .reduce(f64::max),
                timeline: timeline.mean(),
            },
            idle_fraction: activities().map(|activity| activity.idle_steps).sum::<f64>() / steps,
            memory_total: devices.iter().filter_map(|device| device.memory_total).reduce(f64::max),
        })
    }
}
