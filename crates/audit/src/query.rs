//! The PromQL queries of an audit.
//!
//! Prometheus computes the aggregates: a week of 40,000 GPUs is 80 million values, and the report
//! needs a few numbers per device. Each query names its nodes, so that the nodes of a large cluster
//! are queried in parts.
//!
//! The expressions handle these traits of dcgm-exporter:
//! - The node is in `Hostname` or `hostname`, depending on the version.
//! - Under `honorLabels: false`, the pod is in `exported_pod`, and `pod` names the exporter.
//! - On MIG, the utilization of the whole GPU is missing or 0, and that of a MIG device is in
//!   `GR_ENGINE_ACTIVE`.
//! - A shared GPU may have one series per pod, each with the value of the whole GPU.

use super::window::Window;
use crate::dcgm::{
    ENGINE_ACTIVE, EXPORTED_NAMESPACE, EXPORTED_POD, GPU_UTIL, HOST_NEW, HOST_OLD, INSTANCE, MEMORY_FREE, MEMORY_USED,
    MODEL, NAMESPACE, POD, PROFILE, REPLICA, UUID,
};

/// What a query returns. Utilization is in percent, memory in MiB. The `Pod` queries group by device
/// and pod, the others by device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Query {
    /// The number of steps with a sample.
    Steps,
    Mean,
    P95,
    IdleSteps,
    MemoryMean,
    /// Grouped by product as well.
    MemoryPeak,
    MemoryTotal,
    PodSteps,
    PodMean,
    PodP95,
    PodIdleSteps,
    PodMemoryPeak,
    /// The number of steps in which a device has series for single replicas and one of its own.
    /// Then the exporter measured the replicas one by one.
    ReplicaSteps,
    /// The mean utilization of each bucket.
    Timeline,
    PodTimeline,
}

impl Query {
    pub const ALL: [Query; 15] = [
        Query::Steps,
        Query::Mean,
        Query::P95,
        Query::IdleSteps,
        Query::MemoryMean,
        Query::MemoryPeak,
        Query::MemoryTotal,
        Query::PodSteps,
        Query::PodMean,
        Query::PodP95,
        Query::PodIdleSteps,
        Query::PodMemoryPeak,
        Query::ReplicaSteps,
        Query::Timeline,
        Query::PodTimeline,
    ];

    /// Whether the result has one value per bucket instead of a single value.
    pub fn is_timeline(self) -> bool {
        matches!(self, Query::Timeline | Query::PodTimeline)
    }

    /// Whether the result is grouped by pod.
    pub fn is_by_pod(self) -> bool {
        matches!(
            self,
            Query::PodSteps
                | Query::PodMean
                | Query::PodP95
                | Query::PodIdleSteps
                | Query::PodMemoryPeak
                | Query::PodTimeline
        )
    }
}

/// Parameters that all queries share.
#[derive(Clone, Debug)]
pub struct QueryConfig {
    pub window: Window,
    /// A device is idle while its utilization is below this percentage.
    pub idle_below: f64,
    /// Label matchers for every series, such as `cluster="eu"`; may be empty.
    pub selector: String,
    /// A regular expression for the names of exporter pods. On a series they name the exporter, not
    /// the pod that holds the GPU.
    pub exporters: String,
}

/// Which labels and metrics the series of a node have. Nodes with equal features share queries, so
/// that each query stays as simple as possible: most nodes need no expressions for MIG, for a
/// renamed label or for shared GPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "the features are independent of each other"
)]
pub struct SeriesFeatures {
    /// The node is in [`HOST_OLD`].
    pub old_host_label: bool,
    /// The node is in [`HOST_NEW`]. Both are set if the exporter was updated within the window.
    pub new_host_label: bool,
    pub mig: bool,
    /// Whole GPUs have [`GPU_UTIL`].
    pub gpu_util: bool,
    pub exported_pod: bool,
    pub pod: bool,
    /// Shared GPUs have a series for each replica.
    pub replicas: bool,
}

/// A query for the nodes that have one feature.
#[derive(Clone, Debug)]
pub struct FeatureQuery {
    /// The label whose values are the nodes.
    pub label: &'static str,
    pub selector: String,
    /// Sets the feature.
    pub set: fn(&mut SeriesFeatures),
}

impl QueryConfig {
    /// The queries that discover the nodes and their features.
    pub fn feature_queries(&self) -> Vec<FeatureQuery> {
        let names = [GPU_UTIL, ENGINE_ACTIVE, MEMORY_USED].join("|");
        let any_metric = format!("__name__=~\"{names}\"");
        let has_mig = format!("{INSTANCE}!=\"\"");
        let whole_gpu_util = format!("__name__=\"{GPU_UTIL}\",{INSTANCE}=\"\"");
        let has_exported_pod = format!("{EXPORTED_POD}!=\"\"");
        let has_pod = format!("{EXPORTED_POD}=\"\",{POD}!=\"\",{POD}!~\"{}\"", self.exporters);
        let has_replica = format!("{REPLICA}!=\"\"");
        let mut queries = Vec::new();
        for label in [HOST_OLD, HOST_NEW] {
            let set_label: fn(&mut SeriesFeatures) = match label {
                HOST_OLD => |features| features.old_host_label = true,
                _ => |features| features.new_host_label = true,
            };
            let has_label = format!("{label}!=\"\"");
            let mut add = |matchers: &[&str], set| {
                let matchers: Vec<&str> = matchers.iter().copied().chain([&*has_label]).collect();
                queries.push(FeatureQuery {
                    label,
                    selector: format!("{{{}}}", self.join(&matchers)),
                    set,
                });
            };
            add(&[&any_metric], set_label);
            add(&[&any_metric, &has_mig], |features| features.mig = true);
            add(&[&whole_gpu_util], |features| features.gpu_util = true);
            add(&[&any_metric, &has_exported_pod], |features| {
                features.exported_pod = true;
            });
            add(&[&any_metric, &has_pod], |features| features.pod = true);
            add(&[&any_metric, &has_replica], |features| features.replicas = true);
        }
        queries
    }

    /// The PromQL expression of a query for nodes with these features. Returns `None` if the result
    /// would always be empty.
    pub fn expression(&self, query: Query, features: SeriesFeatures, nodes: &[String]) -> Option<String> {
        if (query.is_by_pod() && !features.exported_pod && !features.pod)
            || (query == Query::ReplicaSteps && !features.replicas)
        {
            return None;
        }
        let node = NodeExpressions {
            config: self,
            features,
            nodes: nodes
                .iter()
                .map(|node| escape_regex(node))
                .collect::<Vec<_>>()
                .join("|"),
        };
        let step = self.window.step();
        let subquery = |expression: &str, seconds: u64| format!("({expression})[{seconds}s:{step}s]");
        let window = |expression: &str| subquery(expression, self.window.seconds());
        let bucket = |expression: &str| subquery(expression, self.window.bucket_seconds());
        let idle = |expression: &str| format!("({expression}) < {}", self.idle_below);
        let by_device = node.device_labels();
        Some(match query {
            Query::Steps => format!("count_over_time({})", window(&node.utilization())),
            Query::Mean => format!("avg_over_time({})", window(&node.utilization())),
            Query::P95 => format!("quantile_over_time(0.95, {})", window(&node.utilization())),
            Query::IdleSteps => format!("count_over_time({})", window(&idle(&node.utilization()))),
            Query::MemoryMean => format!("avg_over_time({})", window(&node.memory(MEMORY_USED, &by_device))),
            Query::MemoryPeak => {
                let by = format!("{by_device}, {MODEL}");
                format!("max_over_time({})", window(&node.memory(MEMORY_USED, &by)))
            }
            Query::MemoryTotal => {
                let [used, free] = [MEMORY_USED, MEMORY_FREE].map(|metric| node.memory(metric, &by_device));
                format!("max_over_time({})", window(&format!("({used}) + ({free})")))
            }
            Query::PodSteps => format!("count_over_time({})", window(&node.pod_utilization())),
            Query::PodMean => format!("avg_over_time({})", window(&node.pod_utilization())),
            Query::PodP95 => format!("quantile_over_time(0.95, {})", window(&node.pod_utilization())),
            Query::PodIdleSteps => format!("count_over_time({})", window(&idle(&node.pod_utilization()))),
            Query::PodMemoryPeak => format!("max_over_time({})", window(&node.pod_memory())),
            Query::ReplicaSteps => format!("count_over_time({})", window(&node.device_with_replicas())),
            Query::Timeline => format!("avg_over_time({})", bucket(&node.utilization())),
            Query::PodTimeline => format!("avg_over_time({})", bucket(&node.pod_utilization())),
        })
    }

    /// Joins matchers with those of the user.
    fn join(&self, matchers: &[&str]) -> String {
        let own = Some(&*self.selector).filter(|selector| !selector.is_empty());
        matchers.iter().copied().chain(own).collect::<Vec<_>>().join(",")
    }
}

/// Builds expressions over the series of some nodes.
struct NodeExpressions<'a> {
    config: &'a QueryConfig,
    features: SeriesFeatures,
    /// A regular expression that matches the nodes.
    nodes: String,
}

/// Matches the [`INSTANCE`] of a whole GPU.
const WHOLE: &str = "=\"\"";
/// Matches the [`INSTANCE`] of a MIG device.
const MIG: &str = "!=\"\"";

impl NodeExpressions<'_> {
    /// The label that names the node in results.
    fn host_label(&self) -> &'static str {
        if self.features.old_host_label {
            HOST_OLD
        } else {
            HOST_NEW
        }
    }

    /// The labels that identify a device.
    fn device_labels(&self) -> String {
        let host = self.host_label();
        if self.features.mig {
            format!("{host}, {UUID}, {INSTANCE}, {PROFILE}")
        } else {
            format!("{host}, {UUID}")
        }
    }

    /// All series of a metric, with the node under a single label.
    fn series(&self, metric: &str, matchers: &[&str]) -> String {
        let with = |host: &str| {
            let matchers: Vec<&str> = [host].into_iter().chain(matchers.iter().copied()).collect();
            format!("{metric}{{{}}}", self.config.join(&matchers))
        };
        if self.features.old_host_label && self.features.new_host_label {
            let new = with(&format!("{HOST_NEW}=~\"{}\"", self.nodes));
            let old = with(&format!("{HOST_OLD}=~\"{}\",{HOST_NEW}=\"\"", self.nodes));
            return format!("(label_replace({new}, \"{HOST_OLD}\", \"$1\", \"{HOST_NEW}\", \"(.+)\") or {old})");
        }
        with(&format!("{}=~\"{}\"", self.host_label(), self.nodes))
    }

    /// A metric by device and pod.
    fn pod_series(&self, metric: &str, matcher: &str) -> String {
        let device = self.device_labels();
        let replica = if self.features.replicas {
            format!(", {REPLICA}")
        } else {
            String::new()
        };
        let mut alternatives = Vec::new();
        if self.features.exported_pod {
            // Not grouped by `pod`: it is the exporter here, and changes when the exporter restarts.
            let series = self.series(metric, &[matcher, &format!("{EXPORTED_POD}!=\"\"")]);
            alternatives.push(format!(
                "max by ({device}, {EXPORTED_NAMESPACE}, {EXPORTED_POD}{replica}) ({series})"
            ));
        }
        if self.features.pod {
            let has_pod = format!("{POD}!=\"\"");
            let not_exporter = format!("{POD}!~\"{}\"", self.config.exporters);
            let without_exported = format!("{EXPORTED_POD}=\"\"");
            let series = self.series(metric, &[matcher, &without_exported, &has_pod, &not_exporter]);
            alternatives.push(format!("max by ({device}, {NAMESPACE}, {POD}{replica}) ({series})"));
        }
        format!("({})", alternatives.join(" or "))
    }

    /// Combines the expression for MIG devices with those for whole GPUs that are not partitioned.
    /// The first of the `whole` alternatives that has a value wins.
    fn devices(&self, mig: &str, whole: &[String]) -> String {
        if !self.features.mig {
            return whole.join(" or ");
        }
        let matcher = format!("{INSTANCE}{MIG}");
        let [active, memory] = [ENGINE_ACTIVE, MEMORY_USED].map(|metric| self.series(metric, &[&matcher]));
        let not_partitioned = format!("unless on ({}, {UUID}) ({active} or {memory})", self.host_label());
        let whole = whole.iter().map(|whole| format!("({whole} {not_partitioned})"));
        std::iter::once(mig.to_owned())
            .chain(whole)
            .collect::<Vec<_>>()
            .join(" or ")
    }

    /// Utilization in percent; `aggregate` makes an expression from a metric and a matcher.
    fn utilization_by(&self, aggregate: impl Fn(&str, &str) -> String) -> String {
        let (mig, whole) = (format!("{INSTANCE}{MIG}"), format!("{INSTANCE}{WHOLE}"));
        let mut alternatives = Vec::new();
        if self.features.gpu_util {
            alternatives.push(aggregate(GPU_UTIL, &whole));
        }
        // On a node with MIG, GPU_UTIL may exist for only some of the GPUs.
        if self.features.mig || !self.features.gpu_util {
            alternatives.push(format!("100 * {}", aggregate(ENGINE_ACTIVE, &whole)));
        }
        self.devices(&format!("100 * {}", aggregate(ENGINE_ACTIVE, &mig)), &alternatives)
    }

    fn utilization(&self) -> String {
        let by = self.device_labels();
        self.utilization_by(|metric, matcher| format!("max by ({by}) ({})", self.series(metric, &[matcher])))
    }

    fn pod_utilization(&self) -> String {
        self.utilization_by(|metric, matcher| self.pod_series(metric, matcher))
    }

    fn memory(&self, metric: &str, by: &str) -> String {
        let [mig, whole] = [MIG, WHOLE].map(|operator| {
            let matcher = format!("{INSTANCE}{operator}");
            format!("max by ({by}) ({})", self.series(metric, &[&matcher]))
        });
        self.devices(&mig, &[whole])
    }

    fn pod_memory(&self) -> String {
        let [mig, whole] = [MIG, WHOLE].map(|operator| self.pod_series(MEMORY_USED, &format!("{INSTANCE}{operator}")));
        self.devices(&mig, &[whole])
    }

    /// Devices that have series for single replicas and one of their own.
    fn device_with_replicas(&self) -> String {
        let by = self.device_labels();
        let replicas = self.series(GPU_UTIL, &[&format!("{REPLICA}!=\"\"")]);
        let device = self.series(GPU_UTIL, &[&format!("{REPLICA}=\"\"")]);
        format!("group by ({by}) ({replicas}) and on ({by}) {device}")
    }
}

/// Escapes a name for a regular expression inside a PromQL string.
fn escape_regex(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 8);
    for c in name.chars() {
        match c {
            c if c.is_ascii_alphanumeric() || c == '-' || c == '_' => text.push(c),
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\\\\\"),
            // The expression needs one backslash, which a PromQL string writes as two.
            c => {
                text.push_str("\\\\");
                text.push(c);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_nodes_get_simple_queries() {
        let config = QueryConfig {
            window: Window::before(jiff::Timestamp::from_second(6000).unwrap(), 3000, 300).unwrap(),
            idle_below: 5.0,
            selector: "cluster=\"eu\"".to_owned(),
            exporters: ".*exporter.*".to_owned(),
        };
        let plain = SeriesFeatures {
            new_host_label: true,
            gpu_util: true,
            ..SeriesFeatures::default()
        };
        let nodes = ["a".to_owned(), "b.c".to_owned()];
        assert_eq!(
            config.expression(Query::IdleSteps, plain, &nodes).unwrap(),
            r#"count_over_time(((max by (hostname, UUID) (DCGM_FI_DEV_GPU_UTIL{hostname=~"a|b\\.c",GPU_I_ID="",cluster="eu"})) < 5)[3000s:300s])"#
        );
        // Without pod labels, queries by pod have no result.
        assert_eq!(config.expression(Query::PodMean, plain, &nodes), None);
        assert_eq!(config.expression(Query::ReplicaSteps, plain, &nodes), None);
        let both = SeriesFeatures {
            old_host_label: true,
            ..plain
        };
        assert!(
            config
                .expression(Query::Mean, both, &nodes)
                .unwrap()
                .contains("label_replace")
        );
    }

    #[test]
    fn node_names_match_literally() {
        assert_eq!(escape_regex("gpu-1.example"), r"gpu-1\\.example");
        assert_eq!(escape_regex(r#"a"b\c+"#), r#"a\"b\\\\c\\+"#);
    }
}
