//! Joins samples, cluster, policies and prices into the report.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::allocation::{Allocation, PoolAllocations, Scope, pods_by_node, pool_allocations};
use super::missing_data::missing_data;
use super::namespace_action::namespace_action;
use super::pool::Pool;
use super::price::PriceList;
use super::query::QueryConfig;
use super::recommendation::WorkloadUsage;
use super::report::{GpuRow, NamespaceAction, NamespaceRow, Report, Span, Total, Usage, WorkloadRow};
use super::samples::Samples;
use super::usage_sum::UsageSum;
use super::window::{real, rfc3339};
use super::workload::workload_of;
use apportion_core::gpu::Strategy;
use apportion_core::inventory::{Inventory, Ledger};
use apportion_core::k8s::Labels;
use apportion_core::policy::{Governed, Policy, PolicySet};
use apportion_mig::product::Product;

/// What the samples are joined with.
#[derive(Clone, Copy, Debug)]
pub struct ReportInput<'a> {
    /// The parameters of the queries that returned the samples.
    pub config: &'a QueryConfig,
    /// Nodes, namespaces and pods as they are now.
    pub cluster: &'a Ledger,
    pub policies: &'a PolicySet,
    pub prices: Option<&'a PriceList>,
}

pub fn build_report(samples: &Samples, input: &ReportInput<'_>) -> Report {
    let window = &input.config.window;
    let pools = Pool::all(samples, input.inventory());
    let pods_by_node = pods_by_node(input.cluster);
    let allocations: Vec<PoolAllocations<'_>> = pools
        .iter()
        .map(|pool| {
            let present = pods_by_node.get(pool.node).map_or(&[][..], Vec::as_slice);
            pool_allocations(pool, pool.product.as_ref(), samples, present, window)
        })
        .collect();
    let mut by_workload: BTreeMap<(&str, &str), Vec<&Allocation<'_>>> = BTreeMap::new();
    let mut by_namespace: BTreeMap<&str, Vec<&Allocation<'_>>> = BTreeMap::new();
    for allocation in allocations.iter().flat_map(|pool| &pool.allocations) {
        let workload = (allocation.namespace, workload_of(allocation.pod));
        by_workload.entry(workload).or_default().push(allocation);
        by_namespace.entry(allocation.namespace).or_default().push(allocation);
    }
    let mut workloads: Vec<WorkloadRow> = by_workload
        .iter()
        .map(|((namespace, workload), allocations)| input.workload_row(namespace, workload, allocations))
        .collect();
    let mut namespaces: Vec<NamespaceRow> = by_namespace
        .iter()
        .map(|(namespace, allocations)| input.namespace_row(namespace, allocations, &workloads))
        .collect();
    namespaces.sort_by(|a, b| by_waste(&a.usage, &b.usage));
    workloads.sort_by(|a, b| by_waste(&a.usage, &b.usage));
    Report {
        window: Span {
            start: rfc3339(window.start()),
            end: rfc3339(window.end()),
            step_seconds: window.step(),
            hours: window.hours(real(window.steps())),
            idle_below_percent: input.config.idle_below,
            timeline_seconds: window.bucket_seconds(),
        },
        currency: input.prices.map(|prices| prices.currency.clone()),
        total: input.total(&pools, &allocations, &workloads),
        missing_data: missing_data(samples, input.cluster, input.prices, window, &pools, &allocations),
        namespaces,
        workloads,
        gpus: input.gpu_rows(&pools, samples),
    }
}

/// Orders by idle cost, then by idle hours, highest first.
fn by_waste(a: &Usage, b: &Usage) -> Ordering {
    let cost = |usage: &Usage| usage.idle_cost.unwrap_or(0.0);
    cost(b).total_cmp(&cost(a)).then(b.idle_hours.total_cmp(&a.idle_hours))
}

impl<'a> ReportInput<'a> {
    fn inventory(&self) -> &'a Inventory {
        self.cluster.inventory()
    }

    fn price(&self, product: Option<&Product>) -> Option<f64> {
        self.prices?.per_hour(product)
    }

    fn sum<'h>(&self, allocations: impl IntoIterator<Item = &'h Allocation<'h>>) -> UsageSum {
        let mut sum = UsageSum::default();
        for allocation in allocations {
            sum.add(
                &self.config.window,
                &allocation.activity,
                allocation.gpus,
                self.price(allocation.product),
                allocation.memory_total,
            );
        }
        sum
    }

    /// The policy that governs these pods: by the labels of the first pod that still exists, or else
    /// by those of the namespace.
    fn policy(&self, namespace: &str, pods: &[&str]) -> Option<&'a Policy> {
        let inventory = self.inventory();
        let present = pods
            .iter()
            .find_map(|pod| self.cluster.pod(&format!("{namespace}/{pod}")));
        let governed = match present {
            Some(record) => inventory.governing(self.policies, namespace, &record.summary.labels),
            None => inventory.governing(self.policies, namespace, &Labels::default()),
        };
        match governed {
            Governed::By(policy) => Some(policy),
            Governed::ByNone | Governed::ByUnknownPolicy(_) | Governed::ByUnknownNamespace => None,
        }
    }

    fn workload_row(&self, namespace: &str, workload: &str, allocations: &[&Allocation<'_>]) -> WorkloadRow {
        let mut devices_by_pod: BTreeMap<&str, u64> = BTreeMap::new();
        for allocation in allocations {
            *devices_by_pod.entry(allocation.pod).or_default() += allocation.count;
        }
        let pods: Vec<&str> = devices_by_pod.keys().copied().collect();
        let whole: Vec<&Allocation<'_>> = allocations
            .iter()
            .filter(|allocation| {
                allocation.strategy == Some(Strategy::Exclusive)
                    && allocation.scope == Scope::Own
                    && allocation.profile.is_none()
            })
            .copied()
            .collect();
        let whole_sum = self.sum(whole.iter().copied());
        let whole_memory_total = whole_sum.memory_total;
        let whole_usage = whole_sum.finish();
        let sum = self.sum(allocations.iter().copied());
        let recommendation = WorkloadUsage {
            policy: self.policy(namespace, &pods),
            policies: self.policies,
            hours: sum.usage.gpu_hours,
            whole_hours: whole_usage.gpu_hours,
            whole_cost: whole_usage.cost,
            shared: allocations
                .iter()
                .any(|allocation| !matches!(allocation.strategy, None | Some(Strategy::Exclusive))),
            devices_per_pod: whole
                .iter()
                .filter_map(|allocation| devices_by_pod.get(allocation.pod).copied())
                .max()
                .unwrap_or(0),
            mean: whole_usage.mean_percent.unwrap_or(0.0),
            idle_fraction: if whole_usage.gpu_hours > 0.0 {
                whole_usage.idle_hours / whole_usage.gpu_hours
            } else {
                0.0
            },
            memory_peak: whole_usage.memory_peak_mebibytes,
            memory_total: whole_memory_total,
            product: whole.iter().find_map(|allocation| allocation.product),
        }
        .recommendation();
        let strategies: BTreeSet<&'static str> = allocations
            .iter()
            .filter_map(|allocation| allocation.strategy.map(Strategy::as_str))
            .collect();
        let products: BTreeSet<String> = allocations
            .iter()
            .filter_map(|allocation| match (allocation.product, allocation.profile) {
                (Some(product), Some(profile)) => Some(format!("{product} {profile}")),
                (Some(product), None) => Some(product.to_string()),
                (None, profile) => profile.map(|profile| profile.to_string()),
            })
            .collect();
        WorkloadRow {
            namespace: namespace.to_owned(),
            workload: workload.to_owned(),
            pods: pods.len(),
            devices_per_pod: devices_by_pod.values().copied().max().unwrap_or(0),
            strategies: strategies.into_iter().collect(),
            products: products.into_iter().collect(),
            memory_total_mebibytes: sum.memory_total,
            usage: sum.finish(),
            scope: widest_scope(allocations),
            recommendation,
        }
    }

    fn namespace_row(
        &self,
        namespace: &str,
        allocations: &[&Allocation<'_>],
        workloads: &[WorkloadRow],
    ) -> NamespaceRow {
        let own: Vec<&WorkloadRow> = workloads.iter().filter(|row| row.namespace == namespace).collect();
        let policy = self.policy(namespace, &[]).map(|policy| policy.name.to_string());
        let action = namespace_action(namespace, policy.as_deref(), &own);
        NamespaceRow {
            namespace: namespace.to_owned(),
            policy,
            usage: self.sum(allocations.iter().copied()).finish(),
            scope: widest_scope(allocations),
            saving_hours: own.iter().map(|row| row.recommendation.saving_hours).sum(),
            saving: sum_known(own.iter().map(|row| row.recommendation.saving)),
            set_policy: match &action {
                Some(NamespaceAction::SetPolicy { policy, .. }) => Some(policy.clone()),
                _ => None,
            },
            action,
        }
    }

    fn gpu_rows(&self, pools: &[Pool<'_>], samples: &Samples) -> Vec<GpuRow> {
        let window = &self.config.window;
        let mut rows = Vec::new();
        for pool in pools {
            let price = self.price(pool.product.as_ref());
            for (key, device) in &pool.devices {
                let mut sum = UsageSum::default();
                let gpus = pool.gpu_fraction.unwrap_or(0.0);
                sum.add(window, &device.activity, gpus, price, device.memory_total);
                let mut usage = sum.finish();
                // The hours of a device of unknown size are unknown, but not its utilization.
                if device.activity.steps > 0.0 {
                    usage.mean_percent = Some(device.activity.mean);
                    usage.timeline.clone_from(&device.activity.timeline.0);
                }
                let pods: BTreeSet<String> = samples
                    .pods
                    .get(*key)
                    .into_iter()
                    .flatten()
                    .filter(|(pod, _)| !pool.is_shared() || !pod.replica.is_empty())
                    .map(|(pod, _)| format!("{}/{}", pod.namespace, pod.pod))
                    .collect();
                rows.push(GpuRow {
                    node: key.node.to_string(),
                    uuid: key.uuid.to_string(),
                    instance: Some(key.instance.to_string()).filter(|instance| !instance.is_empty()),
                    profile: pool
                        .profile
                        .map(|profile| profile.to_string())
                        .or_else(|| key.is_mig().then(|| key.profile.to_string())),
                    product: pool.product.as_ref().map(ToString::to_string),
                    strategy: pool.strategy().map(Strategy::as_str),
                    gpu_fraction: pool.gpu_fraction,
                    sampled_fraction: device.activity.steps / real(window.steps()),
                    usage,
                    memory_mean_mebibytes: device.memory_mean,
                    memory_total_mebibytes: device.memory_total,
                    pods: pods.into_iter().collect(),
                });
            }
        }
        rows
    }

    fn total(&self, pools: &[Pool<'_>], allocations: &[PoolAllocations<'_>], workloads: &[WorkloadRow]) -> Total {
        let window = &self.config.window;
        let mut sum = UsageSum::default();
        let mut gpus: BTreeSet<(&str, &str)> = BTreeSet::new();
        let (mut unallocated, mut unallocated_cost) = (0.0, None);
        for (pool, pool_allocations) in pools.iter().zip(allocations) {
            let price = self.price(pool.product.as_ref());
            let gpu_fraction = pool.gpu_fraction.unwrap_or(0.0);
            let mut idle = 0.0;
            for (key, device) in &pool.devices {
                gpus.insert((&key.node, &key.uuid));
                sum.add(window, &device.activity, gpu_fraction, price, device.memory_total);
                idle += window.hours(device.activity.idle_steps) * gpu_fraction;
            }
            // A shared device can be idle for one pod and busy for another. Then the idle hours of
            // the pods exceed those of the devices.
            let allocated_idle = self.sum(&pool_allocations.allocations).usage.idle_hours;
            let rest = (idle - allocated_idle).max(0.0);
            unallocated += rest;
            unallocated_cost = sum_known([unallocated_cost, price.map(|price| rest * price)].into_iter());
        }
        Total {
            gpus: gpus.len(),
            devices: pools.iter().map(|pool| pool.devices.len()).sum(),
            usage: sum.finish(),
            allocated_hours: self
                .sum(allocations.iter().flat_map(|pool| &pool.allocations))
                .usage
                .gpu_hours,
            idle_unallocated_hours: unallocated,
            idle_unallocated_cost: unallocated_cost,
            saving_hours: workloads.iter().map(|row| row.recommendation.saving_hours).sum(),
            saving: sum_known(workloads.iter().map(|row| row.recommendation.saving)),
        }
    }
}

fn widest_scope(allocations: &[&Allocation<'_>]) -> Scope {
    allocations
        .iter()
        .map(|allocation| allocation.scope)
        .max()
        .unwrap_or(Scope::Own)
}

/// The sum of the known amounts; `None` if all are unknown.
fn sum_known(amounts: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    amounts.flatten().reduce(|a, b| a + b)
}
