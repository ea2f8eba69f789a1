//! What is asked of Prometheus, in its own language.
//!
//! Everything is reckoned by the server: a week of 40,000 GPUs is 80 million values, and a few numbers a device are wanted. Questions
//! name their nodes, so that a large cluster is asked about in parts.
//!
//! Traps of dcgm-exporter that the expressions deal with: the node's label is `Hostname` or `hostname` by version; under
//! `honorLabels: false` the pod is in `exported_pod` while `pod` names the exporter; on MIG the GPU's own utilization is missing or 0
//! and a device's is `GR_ENGINE_ACTIVE`; a shared GPU can come once for each pod, always with the value of the whole.

use super::window::Window;
use crate::gpu::dcgm::{
    ENGINE_ACTIVE, GPU_UTIL, HOST_NEW, HOST_OLD, INSTANCE, MEMORY_FREE, MEMORY_USED, MODEL, PROFILE, UUID, VIRTUAL,
};

/// What one question is about. Utilization is in per cent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Steps in which a device was seen.
    Steps,
    /// The mean utilization of a device.
    Mean,
    /// The 95th percentile of a device's utilization.
    P95,
    /// Steps in which a device was idle.
    Idle,
    /// The mean of a device's memory in use, MiB.
    MemoryMean,
    /// The most memory in use, MiB, with the product.
    MemoryPeak,
    /// Memory of a device, MiB.
    MemoryTotal,
    /// Steps in which a device bore a pod's name.
    HolderSteps,
    /// As [`Topic::Mean`], while it bore that name.
    HolderMean,
    /// As [`Topic::P95`], while it bore that name.
    HolderP95,
    /// As [`Topic::Idle`], while it bore that name.
    HolderIdle,
    /// As [`Topic::MemoryPeak`], while it bore that name.
    HolderMemoryPeak,
    /// Steps in which a device had values for each pod, and one of its own beside them: then those of the pods are their own.
    Beside,
    /// A device's mean utilization, bucket by bucket.
    Trend,
    /// The same while it bore a pod's name.
    HolderTrend,
}

impl Topic {
    /// Every topic.
    pub const ALL: [Topic; 15] = [
        Topic::Steps,
        Topic::Mean,
        Topic::P95,
        Topic::Idle,
        Topic::MemoryMean,
        Topic::MemoryPeak,
        Topic::MemoryTotal,
        Topic::HolderSteps,
        Topic::HolderMean,
        Topic::HolderP95,
        Topic::HolderIdle,
        Topic::HolderMemoryPeak,
        Topic::Beside,
        Topic::Trend,
        Topic::HolderTrend,
    ];

    /// Whether the answer has a value for each bucket of the trend, not one.
    pub fn is_trend(self) -> bool {
        matches!(self, Topic::Trend | Topic::HolderTrend)
    }
}

/// How to ask.
#[derive(Clone, Debug)]
pub struct Asking {
    /// The time.
    pub window: Window,
    /// Below this many per cent, a device is idle.
    pub idle_below: f64,
    /// Matchers that every series must meet, such as `cluster="eu"`; may be empty.
    pub selector: String,
    /// A regular expression for pods that are exporters: their names on a series are not those of who holds the GPU.
    pub exporters: String,
}

impl Asking {
    /// The labels that name nodes, each with what selects its series: to find out which nodes there are.
    pub fn node_labels(&self) -> [(&'static str, String); 2] {
        [HOST_OLD, HOST_NEW].map(|label| {
            let names = [GPU_UTIL, ENGINE_ACTIVE, MEMORY_USED].join("|");
            let more = self.joined(&[format!("{label}!=\"\"")]);
            (label, format!("{{__name__=~\"{names}\",{more}}}"))
        })
    }

    /// The expression of a topic for these nodes.
    pub fn expression(&self, topic: Topic, nodes: &[String]) -> String {
        let on = Nodes {
            asking: self,
            pattern: nodes.iter().map(|node| escaped(node)).collect::<Vec<_>>().join("|"),
        };
        let step = self.window.step();
        let over = |expression: &str, seconds: u64| format!("({expression})[{seconds}s:{step}s]");
        let window = |expression: &str| over(expression, self.window.seconds());
        let bucket = |expression: &str| over(expression, self.window.bucket_seconds());
        let idle = |expression: &str| format!("({expression}) < {}", self.idle_below);
        match topic {
            Topic::Steps => format!("count_over_time({})", window(&on.utilization())),
            Topic::Mean => format!("avg_over_time({})", window(&on.utilization())),
            Topic::P95 => format!("quantile_over_time(0.95, {})", window(&on.utilization())),
            Topic::Idle => format!("count_over_time({})", window(&idle(&on.utilization()))),
            Topic::MemoryMean => format!("avg_over_time({})", window(&on.memory(MEMORY_USED, &device()))),
            Topic::MemoryPeak => {
                let by = format!("{}, {MODEL}", device());
                format!("max_over_time({})", window(&on.memory(MEMORY_USED, &by)))
            }
            Topic::MemoryTotal => {
                let [used, free] = [MEMORY_USED, MEMORY_FREE].map(|metric| on.memory(metric, &device()));
                format!("max_over_time({})", window(&format!("({used}) + ({free})")))
            }
            Topic::HolderSteps => format!("count_over_time({})", window(&on.held_utilization())),
            Topic::HolderMean => format!("avg_over_time({})", window(&on.held_utilization())),
            Topic::HolderP95 => format!("quantile_over_time(0.95, {})", window(&on.held_utilization())),
            Topic::HolderIdle => format!("count_over_time({})", window(&idle(&on.held_utilization()))),
            Topic::HolderMemoryPeak => format!("max_over_time({})", window(&on.held_memory())),
            Topic::Beside => format!("count_over_time({})", window(&on.beside())),
            Topic::Trend => format!("avg_over_time({})", bucket(&on.utilization())),
            Topic::HolderTrend => format!("avg_over_time({})", bucket(&on.held_utilization())),
        }
    }

    fn joined(&self, matchers: &[String]) -> String {
        let own = Some(self.selector.clone()).filter(|selector| !selector.is_empty());
        matchers.iter().cloned().chain(own).collect::<Vec<_>>().join(",")
    }
}

/// The labels that tell devices apart.
fn device() -> String {
    [HOST_OLD, UUID, INSTANCE, PROFILE].join(", ")
}

/// The labels that tell apart who holds what.
fn holder() -> String {
    format!("{}, namespace, pod, {VIRTUAL}", device())
}

/// Series of some nodes.
struct Nodes<'a> {
    asking: &'a Asking,
    pattern: String,
}

impl Nodes<'_> {
    /// All series of a metric, the node under its old name.
    fn series(&self, metric: &str, matchers: &[&str]) -> String {
        let with = |first: String| {
            let mut all = vec![first];
            all.extend(matchers.iter().map(|matcher| (*matcher).to_owned()));
            format!("{metric}{{{}}}", self.asking.joined(&all))
        };
        let new = with(format!("{HOST_NEW}=~\"{}\"", self.pattern));
        let old = with(format!("{HOST_OLD}=~\"{}\",{HOST_NEW}=\"\"", self.pattern));
        format!("(label_replace({new}, \"{HOST_OLD}\", \"$1\", \"{HOST_NEW}\", \"(.+)\") or {old})")
    }

    /// All series of a metric that bear a pod's name, under `pod` and `namespace`.
    fn named_series(&self, metric: &str, matcher: &str) -> String {
        let exported = self.series(metric, &[matcher, "exported_pod!=\"\""]);
        let exported = ["pod", "namespace"].iter().fold(exported, |inner, label| {
            format!("label_replace({inner}, \"{label}\", \"$1\", \"exported_{label}\", \"(.*)\")")
        });
        let not_exporter = format!("pod!~\"{}\"", self.asking.exporters);
        let plain = self.series(metric, &[matcher, "exported_pod=\"\"", "pod!=\"\"", &not_exporter]);
        format!("({exported} or {plain})")
    }

    /// One of each MIG device.
    fn mig(&self) -> String {
        let matcher = format!("{INSTANCE}!=\"\"");
        let [active, memory] = [ENGINE_ACTIVE, MEMORY_USED].map(|metric| self.series(metric, &[&matcher]));
        format!("({active} or {memory})")
    }

    /// MIG devices as they are, whole GPUs where they are not cut into such.
    fn devices(&self, mig: &str, whole: &[String]) -> String {
        let but_parents = |whole: &String| format!("({whole} unless on ({HOST_OLD}, {UUID}) {})", self.mig());
        std::iter::once(mig.to_owned())
            .chain(whole.iter().map(but_parents))
            .collect::<Vec<_>>()
            .join(" or ")
    }

    fn utilization(&self) -> String {
        let by = device();
        let (cut, whole) = (format!("{INSTANCE}!=\"\""), format!("{INSTANCE}=\"\""));
        let active = |matcher: &str| format!("100 * max by ({by}) ({})", self.series(ENGINE_ACTIVE, &[matcher]));
        let plain = format!("max by ({by}) ({})", self.series(GPU_UTIL, &[&whole]));
        self.devices(&active(&cut), &[plain, active(&whole)])
    }

    fn held_utilization(&self) -> String {
        let by = holder();
        let (cut, whole) = (format!("{INSTANCE}!=\"\""), format!("{INSTANCE}=\"\""));
        let active = |matcher: &str| format!("100 * max by ({by}) ({})", self.named_series(ENGINE_ACTIVE, matcher));
        let plain = format!("max by ({by}) ({})", self.named_series(GPU_UTIL, &whole));
        self.devices(&active(&cut), &[plain, active(&whole)])
    }

    fn memory(&self, metric: &str, by: &str) -> String {
        let [cut, whole] = ["!=", "="].map(|operator| {
            let matcher = format!("{INSTANCE}{operator}\"\"");
            format!("max by ({by}) ({})", self.series(metric, &[&matcher]))
        });
        self.devices(&cut, &[whole])
    }

    fn held_memory(&self) -> String {
        let by = holder();
        let [cut, whole] = ["!=", "="].map(|operator| {
            let matcher = format!("{INSTANCE}{operator}\"\"");
            format!("max by ({by}) ({})", self.named_series(MEMORY_USED, &matcher))
        });
        self.devices(&cut, &[whole])
    }

    fn beside(&self) -> String {
        let by = device();
        let named = self.series(GPU_UTIL, &[&format!("{VIRTUAL}!=\"\"")]);
        let alone = self.series(GPU_UTIL, &[&format!("{VIRTUAL}=\"\"")]);
        format!("group by ({by}) ({named}) and on ({by}) {alone}")
    }
}

/// A name as a part of a regular expression, in a string of the query language.
fn escaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 8);
    for c in name.chars() {
        match c {
            c if c.is_ascii_alphanumeric() || c == '-' || c == '_' => text.push(c),
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\\\\\"),
            // One backslash for the expression, written as two in a string.
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
    fn names_of_nodes_are_taken_literally() {
        assert_eq!(escaped("gpu-1.example"), r"gpu-1\\.example");
        assert_eq!(escaped(r#"a"b\c+"#), r#"a\"b\\\\c\\+"#);
    }
}
