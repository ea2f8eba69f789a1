//! From readings, cluster, policies and prices to the report.

use std::collections::{BTreeMap, BTreeSet};

use super::advice::Case;
use super::holding::{Found, Holding, Scope, by_node, node_usage};
use super::pool::Pool;
use super::price::PriceList;
use super::question::Asking;
use super::readings::Readings;
use super::remedy::agreed;
use super::report::{GpuRow, NamespaceRow, Report, Span, Total, Usage, WorkloadRow};
use super::tally::Tally;
use super::unseen::{Gap, Unseen};
use super::window::{moment, real};
use super::workload::workload_of;
use apportion_core::decision;
use apportion_core::gpu::Strategy;
use apportion_core::inventory::record::PodPlacement;
use apportion_core::inventory::{Inventory, Ledger};
use apportion_core::k8s::text::Labels;
use apportion_core::policy::{Governed, Policy, PolicySet};
use apportion_mig::product::Product;

/// What the readings are joined with.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// How it was asked.
    pub asking: &'a Asking,
    /// Nodes, namespaces and pods as they are now.
    pub cluster: &'a Ledger,
    /// The policies.
    pub policies: &'a PolicySet,
    /// The prices.
    pub prices: Option<&'a PriceList>,
}

/// Joins everything.
pub fn assemble(readings: &Readings, subject: &Subject<'_>) -> Report {
    let inventory = subject.cluster.inventory();
    let window = &subject.asking.window;
    let pools = Pool::all(readings, inventory);
    let placed = by_node(subject.cluster);
    let found: Vec<Found<'_>> = pools
        .iter()
        .map(|pool| {
            let present = placed.get(pool.node).map_or(&[][..], Vec::as_slice);
            node_usage(pool, pool.product.as_ref(), readings, present, window)
        })
        .collect();
    let mut by_workload: BTreeMap<(&str, &str), Vec<&Holding<'_>>> = BTreeMap::new();
    for holding in found.iter().flat_map(|found| &found.node_usage) {
        let key = (holding.namespace, workload_of(holding.pod));
        by_workload.entry(key).or_default().push(holding);
    }
    let mut workloads: Vec<WorkloadRow> = by_workload
        .iter()
        .map(|((namespace, workload), node_usage)| subject.workload(namespace, workload, node_usage))
        .collect();
    let mut by_namespace: BTreeMap<&str, Vec<&Holding<'_>>> = BTreeMap::new();
    for holding in found.iter().flat_map(|found| &found.node_usage) {
        by_namespace.entry(holding.namespace).or_default().push(holding);
    }
    let mut namespaces: Vec<NamespaceRow> = by_namespace
        .iter()
        .map(|(namespace, node_usage)| subject.namespace(namespace, node_usage, &workloads))
        .collect();
    let waste = |usage: &Usage| (usage.wasted.unwrap_or(0.0), usage.idle_hours);
    namespaces.sort_by(|a, b| descending(waste(&a.usage), waste(&b.usage)));
    workloads.sort_by(|a, b| descending(waste(&a.usage), waste(&b.usage)));
    let gpus = subject.gpus(&pools, readings);
    Report {
        window: Span {
            start: moment(window.start()),
            end: moment(window.end()),
            step_seconds: window.step(),
            hours: window.hours(real(window.steps())),
            idle_below_percent: subject.asking.idle_below,
            trend_seconds: window.bucket_seconds(),
        },
        currency: subject.prices.map(|prices| prices.currency.clone()),
        total: subject.total(&pools, &found, &workloads),
        unseen: subject.unseen(&pools, &found, readings),
        namespaces,
        workloads,
        gpus,
    }
}

fn descending(a: (f64, f64), b: (f64, f64)) -> std::cmp::Ordering {
    b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1))
}

impl<'a> Subject<'a> {
    fn inventory(&self) -> &'a Inventory {
        self.cluster.inventory()
    }

    fn price(&self, product: Option<&Product>) -> Option<f64> {
        self.prices?.hour(product)
    }

    fn tally<'h>(&self, node_usage: impl IntoIterator<Item = &'h Holding<'h>>) -> Tally {
        let mut tally = Tally::default();
        for holding in node_usage {
            tally.add(
                &self.asking.window,
                &holding.activity,
                holding.weight,
                self.price(holding.product),
                holding.memory_total,
            );
        }
        tally
    }

    /// The policy that governs these pods: by their own labels where one of them is there, else by their namespace's.
    fn policy(&self, namespace: &str, pods: &[&str]) -> Option<&'a Policy> {
        let present = pods
            .iter()
            .find_map(|pod| self.cluster.pod(&format!("{namespace}/{pod}")));
        let governed = match present {
            Some(record) => self
                .inventory()
                .governing(self.policies, namespace, &record.summary.labels),
            None => self.inventory().governing(self.policies, namespace, &Labels::default()),
        };
        match governed {
            Governed::By(policy) => Some(policy),
            Governed::ByNone | Governed::ByUnknown(_) | Governed::ByUnknownNamespace => None,
        }
    }

    fn workload(&self, namespace: &str, workload: &str, node_usage: &[&Holding<'_>]) -> WorkloadRow {
        let mut per_pod: BTreeMap<&str, u64> = BTreeMap::new();
        for holding in node_usage {
            *per_pod.entry(holding.pod).or_default() += holding.count;
        }
        let pods: Vec<&str> = per_pod.keys().copied().collect();
        let whole = |holding: &&&Holding<'_>| {
            holding.strategy == Some(Strategy::Exclusive) && holding.scope == Scope::Own && holding.profile.is_none()
        };
        let held_whole: Vec<&Holding<'_>> = node_usage.iter().filter(whole).copied().collect();
        let tally = self.tally(held_whole.iter().copied());
        let memory_total = tally.memory_total;
        let alone = tally.done();
        let all = self.tally(node_usage.iter().copied());
        let advice = Case {
            policy: self.policy(namespace, &pods),
            policies: self.policies,
            hours: all.usage.gpu_hours,
            whole_hours: alone.gpu_hours,
            whole_cost: alone.cost,
            shared: node_usage
                .iter()
                .any(|holding| !matches!(holding.strategy, None | Some(Strategy::Exclusive))),
            devices_per_pod: held_whole
                .iter()
                .map(|holding| per_pod.get(holding.pod).copied().unwrap_or(0))
                .max()
                .unwrap_or(0),
            mean: alone.mean_percent.unwrap_or(0.0),
            idle_part: if alone.gpu_hours > 0.0 {
                alone.idle_hours / alone.gpu_hours
            } else {
                0.0
            },
            memory_peak: alone.memory_peak_mebibytes,
            memory_total,
            product: held_whole.iter().find_map(|holding| holding.product),
        }
        .advice();
        let strategies: BTreeSet<&str> = node_usage
            .iter()
            .filter_map(|h| h.strategy.map(Strategy::as_str))
            .collect();
        let products: BTreeSet<String> = node_usage
            .iter()
            .filter_map(|holding| match (holding.product, holding.profile) {
                (Some(product), Some(profile)) => Some(format!("{product} {profile}")),
                (Some(product), None) => Some(product.to_string()),
                (None, profile) => profile.map(|profile| profile.to_string()),
            })
            .collect();
        WorkloadRow {
            namespace: namespace.to_owned(),
            workload: workload.to_owned(),
            pods: pods.len(),
            devices_per_pod: per_pod.values().copied().max().unwrap_or(0),
            strategies: strategies.into_iter().map(known_name).collect(),
            products: products.into_iter().collect(),
            memory_total_mebibytes: all.memory_total,
            usage: all.done(),
            scope: node_usage
                .iter()
                .map(|holding| holding.scope)
                .max()
                .unwrap_or(Scope::Own),
            advice,
        }
    }

    fn namespace(&self, namespace: &str, node_usage: &[&Holding<'_>], workloads: &[WorkloadRow]) -> NamespaceRow {
        let own: Vec<&WorkloadRow> = workloads.iter().filter(|row| row.namespace == namespace).collect();
        let policy = self.policy(namespace, &[]).map(|policy| policy.name.to_string());
        let (set_policy, how) = agreed(namespace, policy.as_deref(), &own);
        NamespaceRow {
            namespace: namespace.to_owned(),
            policy,
            usage: self.tally(node_usage.iter().copied()).done(),
            scope: node_usage
                .iter()
                .map(|holding| holding.scope)
                .max()
                .unwrap_or(Scope::Own),
            saving_hours: own.iter().map(|row| row.advice.saving_hours).sum(),
            saving: total(own.iter().map(|row| row.advice.saving)),
            set_policy,
            how,
        }
    }

    fn gpus(&self, pools: &[Pool<'_>], readings: &Readings) -> Vec<GpuRow> {
        let window = &self.asking.window;
        let mut rows = Vec::new();
        for pool in pools {
            let price = self.price(pool.product.as_ref());
            for (key, reading) in &pool.devices {
                let mut tally = Tally::default();
                let part = pool.part.unwrap_or(0.0);
                tally.add(window, &reading.activity, part, price, reading.memory_total);
                let mut usage = tally.done();
                // Of a device whose part of a GPU is not known no hours are, but what it did is.
                if reading.activity.steps > 0.0 {
                    usage.mean_percent = Some(reading.activity.mean);
                    usage.trend.clone_from(&reading.activity.trend.0);
                }
                let named = readings.holders.get(*key).into_iter().flatten();
                let believed = named.filter(|(holder, _)| !pool.is_shared() || !holder.replica.is_empty());
                let holders: BTreeSet<String> = believed
                    .map(|(holder, _)| format!("{}/{}", holder.namespace, holder.pod))
                    .collect();
                rows.push(GpuRow {
                    node: key.node.to_string(),
                    uuid: key.uuid.to_string(),
                    instance: Some(key.instance.to_string()).filter(|instance| !instance.is_empty()),
                    profile: pool
                        .profile_text()
                        .or_else(|| key.is_mig().then(|| key.profile.to_string())),
                    product: pool.product.as_ref().map(ToString::to_string),
                    strategy: pool.strategy().map(Strategy::as_str),
                    part: pool.part,
                    seen_part: reading.activity.steps / real(window.steps()),
                    usage,
                    memory_mean_mebibytes: reading.memory_mean,
                    memory_total_mebibytes: reading.memory_total,
                    holders: holders.into_iter().collect(),
                });
            }
        }
        rows
    }

    fn total(&self, pools: &[Pool<'_>], found: &[Found<'_>], workloads: &[WorkloadRow]) -> Total {
        let mut tally = Tally::default();
        let mut gpus: BTreeSet<(&str, &str)> = BTreeSet::new();
        let (mut unheld, mut unheld_cost) = (0.0, None);
        for (pool, found) in pools.iter().zip(found) {
            let price = self.price(pool.product.as_ref());
            let part = pool.part.unwrap_or(0.0);
            let mut idle = 0.0;
            for (key, reading) in &pool.devices {
                gpus.insert((&key.node, &key.uuid));
                tally.add(
                    &self.asking.window,
                    &reading.activity,
                    part,
                    price,
                    reading.memory_total,
                );
                idle += self.asking.window.hours(reading.activity.idle_steps) * part;
            }
            // What is idle for one sharer can be busy with another: then more is idle for pods than is idle in all.
            let nobodys = (idle - self.tally(&found.node_usage).usage.idle_hours).max(0.0);
            unheld += nobodys;
            unheld_cost = total([unheld_cost, price.map(|price| nobodys * price)].into_iter());
        }
        Total {
            gpus: gpus.len(),
            devices: pools.iter().map(|pool| pool.devices.len()).sum(),
            usage: tally.done(),
            held_hours: self
                .tally(found.iter().flat_map(|found| &found.node_usage))
                .usage
                .gpu_hours,
            idle_unheld_hours: unheld,
            idle_unheld_cost: unheld_cost,
            saving_hours: workloads.iter().map(|row| row.advice.saving_hours).sum(),
            saving: total(workloads.iter().map(|row| row.advice.saving)),
        }
    }

    fn unseen(&self, pools: &[Pool<'_>], found: &[Found<'_>], readings: &Readings) -> Vec<Unseen> {
        let inventory = self.inventory();
        let window = &self.asking.window;
        let measured: BTreeSet<&str> = pools.iter().map(|pool| pool.node).collect();
        let devices = || {
            pools
                .iter()
                .flat_map(|pool| pool.devices.iter().map(move |device| (pool, device)))
        };
        let named = |key: &super::device::DeviceKey| match &*key.instance {
            "" => format!("{} {}", key.node, key.uuid),
            instance => format!("{} {} MIG {instance}", key.node, key.uuid),
        };
        let both = |(namespace, pod): &(&str, &str)| format!("{namespace}/{pod}");
        let node_usage = || found.iter().flat_map(|found| &found.node_usage);
        let told: BTreeSet<(&str, &str)> = node_usage()
            .map(|holding| (holding.namespace, holding.pod))
            .chain(found.iter().flat_map(|found| found.undated.iter().copied()))
            .collect();
        let held = self.cluster.pods().map(|(_, record)| record);
        let silent = held
            .filter(|record| matches!(record.place, PodPlacement::Node(_)))
            .map(|record| (&*record.namespace, &*record.name))
            .filter(|who| !told.contains(who));
        [
            Gap::NodesWithoutMetrics.of(inventory
                .nodes()
                .filter(|node| node.offers.has_gpus() && !measured.contains(&*node.name))
                .map(|node| node.name.to_string())),
            Gap::NodesNotInCluster.of(pools
                .iter()
                .filter(|pool| pool.entry.is_none())
                .map(|pool| pool.node.to_owned())),
            Gap::NodesInDoubt.of(pools
                .iter()
                .filter(|pool| pool.entry.is_some() && pool.offer.is_none())
                .map(|pool| pool.node.to_owned())),
            Gap::DevicesWithHoles.of(devices()
                .filter(|(_, (_, reading))| {
                    reading.activity.steps > 0.0 && reading.activity.steps < real(window.steps())
                })
                .map(|(_, (key, _))| named(key))),
            Gap::DevicesWithoutUtilization.of(devices()
                .filter(|(_, (_, reading))| reading.activity.steps == 0.0)
                .map(|(_, (key, _))| named(key))),
            Gap::DevicesOfUnknownSize.of(devices()
                .filter(|(pool, _)| pool.part.is_none())
                .map(|(_, (key, _))| named(key))),
            Gap::PodsBehindSharedDevices.of(node_usage()
                .filter(|holding| holding.scope != Scope::Own)
                .map(|holding| both(&(holding.namespace, holding.pod)))),
            Gap::PodsNamedForOthers.of(found.iter().flat_map(|found| &found.disbelieved).map(both)),
            Gap::PodsWithoutMetrics.of(silent.map(|who| both(&who))),
            Gap::PodsWithoutStart.of(found.iter().flat_map(|found| &found.undated).map(both)),
            Gap::NamespacesNotInCluster.of(readings
                .holders
                .values()
                .flat_map(BTreeMap::keys)
                .filter(|holder| inventory.namespace(&holder.namespace).is_none())
                .map(|holder| holder.namespace.to_string())),
            self.prices.and_then(|prices| {
                let without = pools.iter().filter(|pool| prices.hour(pool.product.as_ref()).is_none());
                Gap::ProductsWithoutPrice.of(without.map(|pool| {
                    pool.product
                        .as_ref()
                        .map_or_else(|| format!("GPUs of {}", pool.node), ToString::to_string)
                }))
            }),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// A strategy's name, as the type has it.
fn known_name(name: &str) -> &'static str {
    Strategy::ALL
        .into_iter()
        .map(Strategy::as_str)
        .find(|known| *known == name)
        .unwrap_or("")
}

fn total(amounts: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    amounts.flatten().reduce(|a, b| a + b)
}
