//! Who held what, for how long, and whose value the utilization is.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::device::{Activity, DeviceKey, DeviceReading};
use super::pool::Pool;
use super::readings::Readings;
use super::trend::{Trend, TrendMean};
use super::window::{Window, real};
use apportion_core::gpu::Strategy;
use apportion_core::inventory::record::PodPlacement;
use apportion_core::inventory::{Ledger, PodRecord};
use apportion_mig::product::Product;
use apportion_mig::profile::MigProfile;

/// Whose value a pod's utilization is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The pod's own: it had the device for itself, or the exporter measured its processes.
    Own,
    /// That of the whole device, which others shared.
    Device,
    /// That of all devices of the node which could be the pod's: nothing says which is.
    Node,
}

impl Scope {
    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Own => "own",
            Scope::Device => "device",
            Scope::Node => "node",
        }
    }
}

/// What one pod held of one device, or of devices that are alike.
#[derive(Clone, Debug)]
pub struct Holding<'a> {
    /// The pod's namespace.
    pub namespace: &'a str,
    /// The pod.
    pub pod: &'a str,
    /// The device, where it is known.
    pub device: Option<&'a DeviceKey>,
    /// Devices, or shares of them.
    pub count: u64,
    /// How they are shared, where that is known.
    pub strategy: Option<Strategy>,
    /// The product.
    pub product: Option<&'a Product>,
    /// The profile of a MIG device.
    pub profile: Option<MigProfile>,
    /// Whose value the activity is.
    pub scope: Scope,
    /// The parts of GPUs that were held, in all.
    pub weight: f64,
    /// What it did. The steps are those for which it was held.
    pub activity: Activity,
    /// Memory of the device, MiB.
    pub memory_total: Option<f64>,
}

/// What was found out about a pool, and what was not.
#[derive(Clone, Debug, Default)]
pub struct Found<'a> {
    /// The holdings.
    pub node_usage: Vec<Holding<'a>>,
    /// Pods' names on shared devices that were not believed: the exporter names one of several.
    pub disbelieved: BTreeSet<(&'a str, &'a str)>,
    /// Pods that hold devices here, and when they began is not known.
    pub undated: Vec<(&'a str, &'a str)>,
}

/// Who held the devices of a pool. `present` are the pods that are on its node now.
pub fn node_usage<'a>(
    pool: &Pool<'a>,
    pool_product: Option<&'a Product>,
    readings: &'a Readings,
    present: &[&'a PodRecord],
    window: &Window,
) -> Found<'a> {
    let mut found = Found::default();
    let Some(part) = pool.part else { return found };
    let mut named: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut nameless: Vec<&DeviceReading> = Vec::new();
    for (key, reading) in &pool.devices {
        let holders = readings.holders.get(*key);
        let replicas = holders
            .into_iter()
            .flatten()
            .filter(|(holder, _)| !holder.replica.is_empty());
        let seen = replicas
            .clone()
            .map(|(holder, _)| &holder.replica)
            .collect::<BTreeSet<_>>()
            .len() as u64;
        let told_apart = seen > 0;
        let before = named.len();
        for (holder, activity) in holders.into_iter().flatten() {
            let who = (&*holder.namespace, &*holder.pod);
            if holder.replica.is_empty() && (pool.is_shared() || told_apart) {
                found.disbelieved.insert(who);
                continue;
            }
            named.insert(who);
            let cut = if told_apart {
                pool.offer.map_or(seen, |offer| offer.replicas).max(1)
            } else {
                1
            };
            // What the exporter measured of a process stands beside the device's own value at every step.
            let own = !told_apart || reading.beside_steps >= activity.steps;
            found.node_usage.push(Holding {
                namespace: &holder.namespace,
                pod: &holder.pod,
                device: Some(key),
                count: 1,
                strategy: pool.strategy(),
                product: pool_product,
                profile: pool.profile,
                scope: if own { Scope::Own } else { Scope::Device },
                weight: part / real(cut),
                activity: activity.clone(),
                memory_total: reading.memory_total,
            });
        }
        if (named.len() == before && !told_apart) && reading.activity.steps > 0.0 {
            nameless.push(reading);
        }
    }
    let Some(offer) = pool.offer else { return found };
    let blend = Blend::of(&nameless);
    for record in present {
        let count = record.demand.get(offer.resource);
        let who = (&*record.namespace, &*record.name);
        if count == 0 || named.contains(&who) {
            continue;
        }
        // Every device goes by somebody else's name: nothing is known of this pod.
        let Some(blend) = &blend else { continue };
        let Some(started) = record.started else {
            found.undated.push(who);
            continue;
        };
        let steps = real(window.steps_since(started.as_second()));
        found.node_usage.push(Holding {
            namespace: who.0,
            pod: who.1,
            device: None,
            count,
            strategy: Some(offer.strategy),
            product: pool_product,
            profile: pool.profile,
            scope: if nameless.len() == 1 && pool.devices.len() == 1 {
                Scope::Device
            } else {
                Scope::Node
            },
            weight: real(count) * part / real(offer.replicas),
            activity: Activity {
                steps,
                idle_steps: steps * blend.idle_part,
                ..blend.activity.clone()
            },
            memory_total: blend.memory_total,
        });
    }
    found
}

/// The pods of each node.
pub fn by_node(cluster: &Ledger) -> BTreeMap<&str, Vec<&PodRecord>> {
    let mut placed: BTreeMap<&str, Vec<&PodRecord>> = BTreeMap::new();
    for (_, record) in cluster.pods() {
        if let PodPlacement::Node(node) = &record.place {
            placed.entry(node).or_default().push(record);
        }
    }
    placed
}

/// Several devices as if they were one.
struct Blend {
    activity: Activity,
    idle_part: f64,
    memory_total: Option<f64>,
}

impl Blend {
    fn of(devices: &[&DeviceReading]) -> Option<Self> {
        let steps: f64 = devices.iter().map(|device| device.activity.steps).sum();
        if steps <= 0.0 {
            return None;
        }
        let each = || devices.iter().map(|device| &device.activity);
        let mut trend = TrendMean::default();
        for activity in each() {
            trend.add(&activity.trend, 1.0);
        }
        Some(Blend {
            activity: Activity {
                steps,
                mean: each().map(|activity| activity.mean * activity.steps).sum::<f64>() / steps,
                p95: each().map(|activity| activity.p95).fold(0.0, f64::max),
                idle_steps: 0.0,
                memory_peak: each().filter_map(|activity| activity.memory_peak).reduce(f64::max),
                trend: Trend(trend.mean().0),
            },
            idle_part: each().map(|activity| activity.idle_steps).sum::<f64>() / steps,
            memory_total: devices.iter().filter_map(|device| device.memory_total).reduce(f64::max),
        })
    }
}
