//! What is asked of Prometheus, in its own language.
//!
//! Everything is reckoned by the server: a week of 40,000 GPUs is 80 million values, and a few numbers a device are wanted. Questions
//! name their nodes, so that a large cluster is asked about in parts.
//!
//! Traps of dcgm-exporter that the expressions deal with: the node's label is `Hostname` or `hostname` by version; under
//! `honorLabels: false` the pod is in `exported_pod` while `pod` names the exporter; on MIG the GPU's own utilization is missing or 0
//! and a device's is `GR_ENGINE_ACTIVE`; a shared GPU can come once for each pod, always with the value of the whole.

use super::window::Window;
use crate::dcgm::{
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

    /// Whether it is about devices that bear a pod's name.
    pub fn is_of_holders(self) -> bool {
        matches!(
            self,
            Topic::HolderSteps
                | Topic::HolderMean
                | Topic::HolderP95
                | Topic::HolderIdle
                | Topic::HolderMemoryPeak
                | Topic::HolderTrend
        )
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

/// What the series of some nodes are like. Nodes are asked about together with those that are alike, so that each question is as simple
/// as it can be: most nodes need none of what MIG, a change of names, or shared names take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(clippy::struct_excessive_bools, reason = "each is there or not, whatever the others")]
pub struct Traits {
    /// The node is named under the old label.
    pub old_label: bool,
    /// The node is named under the new label; under both, where the exporter was replaced within the window.
    pub new_label: bool,
    /// There are MIG devices.
    pub mig: bool,
    /// Whole GPUs have a utilization of their own.
    pub utilization: bool,
    /// Pods are named under `exported_pod`.
    pub exported: bool,
    /// Pods are named under `pod`.
    pub named: bool,
    /// Shared GPUs have values for each replica.
    pub replicas: bool,
}

/// A question that finds out about traits: the nodes that it names have one.
#[derive(Clone, Debug)]
pub struct TraitQuestion {
    /// The label whose values are asked for.
    pub label: &'static str,
    /// What selects the series.
    pub matching: String,
    /// Marks the trait.
    pub mark: fn(&mut Traits),
}

impl Asking {
    /// The questions that find out which nodes there are, and their traits.
    pub fn trait_questions(&self) -> Vec<TraitQuestion> {
        let names = [GPU_UTIL, ENGINE_ACTIVE, MEMORY_USED].join("|");
        let any = format!("__name__=~\"{names}\"");
        let not_exporter = format!("exported_pod=\"\",pod!=\"\",pod!~\"{}\"", self.exporters);
        let mut questions = Vec::new();
        for label in [HOST_OLD, HOST_NEW] {
            let mark: fn(&mut Traits) = match label {
                HOST_OLD => |found| found.old_label = true,
                _ => |found| found.new_label = true,
            };
            let mut ask = |matchers: &[&str], mark| {
                let own = [format!("{label}!=\"\"")];
                let all: Vec<String> = matchers.iter().map(|one| (*one).to_owned()).chain(own).collect();
                questions.push(TraitQuestion {
                    label,
                    matching: format!("{{{}}}", self.joined(&all)),
                    mark,
                });
            };
            ask(&[&any], mark);
            ask(&[&any, &format!("{INSTANCE}!=\"\"")], |found| found.mig = true);
            let whole = format!("__name__=\"{GPU_UTIL}\",{INSTANCE}=\"\"");
            ask(&[&whole], |found| found.utilization = true);
            ask(&[&any, "exported_pod!=\"\""], |found| found.exported = true);
            ask(&[&any, &not_exporter], |found| found.named = true);
            ask(&[&any, &format!("{VIRTUAL}!=\"\"")], |found| found.replicas = true);
        }
        questions
    }

    /// The expression of a topic for nodes of these traits; `None` where it can have no answer.
    pub fn expression(&self, topic: Topic, traits: Traits, nodes: &[String]) -> Option<String> {
        if (topic.is_of_holders() && !traits.exported && !traits.named) || (topic == Topic::Beside && !traits.replicas)
        {
            return None;
        }
        let on = Nodes {
            asking: self,
            traits,
            pattern: nodes.iter().map(|node| escaped(node)).collect::<Vec<_>>().join("|"),
        };
        let step = self.window.step();
        let over = |expression: &str, seconds: u64| format!("({expression})[{seconds}s:{step}s]");
        let window = |expression: &str| over(expression, self.window.seconds());
        let bucket = |expression: &str| over(expression, self.window.bucket_seconds());
        let idle = |expression: &str| format!("({expression}) < {}", self.idle_below);
        let device = on.device();
        Some(match topic {
            Topic::Steps => format!("count_over_time({})", window(&on.utilization())),
            Topic::Mean => format!("avg_over_time({})", window(&on.utilization())),
            Topic::P95 => format!("quantile_over_time(0.95, {})", window(&on.utilization())),
            Topic::Idle => format!("count_over_time({})", window(&idle(&on.utilization()))),
            Topic::MemoryMean => format!("avg_over_time({})", window(&on.memory(MEMORY_USED, &device))),
            Topic::MemoryPeak => {
                let by = format!("{device}, {MODEL}");
                format!("max_over_time({})", window(&on.memory(MEMORY_USED, &by)))
            }
            Topic::MemoryTotal => {
                let [used, free] = [MEMORY_USED, MEMORY_FREE].map(|metric| on.memory(metric, &device));
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
        })
    }

    fn joined(&self, matchers: &[String]) -> String {
        let own = Some(self.selector.clone()).filter(|selector| !selector.is_empty());
        matchers.iter().cloned().chain(own).collect::<Vec<_>>().join(",")
    }
}

/// Series of some nodes.
struct Nodes<'a> {
    asking: &'a Asking,
    traits: Traits,
    pattern: String,
}

/// A whole GPU, and a MIG device.
const WHOLE: &str = "=\"\"";
const CUT: &str = "!=\"\"";

impl Nodes<'_> {
    /// The label that names the node in answers.
    fn host(&self) -> &'static str {
        if self.traits.old_label { HOST_OLD } else { HOST_NEW }
    }

    /// The labels that tell devices apart.
    fn device(&self) -> String {
        let host = self.host();
        if self.traits.mig {
            format!("{host}, {UUID}, {INSTANCE}, {PROFILE}")
        } else {
            format!("{host}, {UUID}")
        }
    }

    /// All series of a metric, the node under one name.
    fn series(&self, metric: &str, matchers: &[&str]) -> String {
        let with = |first: String| {
            let mut all = vec![first];
            all.extend(matchers.iter().map(|matcher| (*matcher).to_owned()));
            format!("{metric}{{{}}}", self.asking.joined(&all))
        };
        if self.traits.old_label && self.traits.new_label {
            let new = with(format!("{HOST_NEW}=~\"{}\"", self.pattern));
            let old = with(format!("{HOST_OLD}=~\"{}\",{HOST_NEW}=\"\"", self.pattern));
            return format!("(label_replace({new}, \"{HOST_OLD}\", \"$1\", \"{HOST_NEW}\", \"(.+)\") or {old})");
        }
        with(format!("{}=~\"{}\"", self.host(), self.pattern))
    }

    /// A metric by device and by the pod that it names.
    fn named_series(&self, metric: &str, matcher: &str) -> String {
        let (device, replica) = (
            self.device(),
            if self.traits.replicas {
                format!(", {VIRTUAL}")
            } else {
                String::new()
            },
        );
        let mut ways = Vec::new();
        if self.traits.exported {
            // Without `pod`: it is the exporter's, and changes when that is replaced.
            let series = self.series(metric, &[matcher, "exported_pod!=\"\""]);
            ways.push(format!(
                "max by ({device}, exported_namespace, exported_pod{replica}) ({series})"
            ));
        }
        if self.traits.named {
            let not_exporter = format!("pod!~\"{}\"", self.asking.exporters);
            let series = self.series(metric, &[matcher, "exported_pod=\"\"", "pod!=\"\"", &not_exporter]);
            ways.push(format!("max by ({device}, namespace, pod{replica}) ({series})"));
        }
        format!("({})", ways.join(" or "))
    }

    /// MIG devices as they are, whole GPUs where they are not cut into such. Of several ways to see whole GPUs the first that has a
    /// value counts.
    fn devices(&self, cut: &str, whole: &[String]) -> String {
        if !self.traits.mig {
            return whole.join(" or ");
        }
        let matcher = format!("{INSTANCE}{CUT}");
        let [active, memory] = [ENGINE_ACTIVE, MEMORY_USED].map(|metric| self.series(metric, &[&matcher]));
        let parents = format!("unless on ({}, {UUID}) ({active} or {memory})", self.host());
        let whole = whole.iter().map(|whole| format!("({whole} {parents})"));
        std::iter::once(cut.to_owned())
            .chain(whole)
            .collect::<Vec<_>>()
            .join(" or ")
    }

    /// Utilization by what `of` makes of a metric and a matcher.
    fn utilization_by(&self, of: impl Fn(&str, &str) -> String) -> String {
        let (cut, whole) = (format!("{INSTANCE}{CUT}"), format!("{INSTANCE}{WHOLE}"));
        let active = format!("100 * {}", of(ENGINE_ACTIVE, &whole));
        let mut ways = Vec::new();
        if self.traits.utilization {
            ways.push(of(GPU_UTIL, &whole));
        }
        // On a node with MIG, GPU_UTIL may be there for some GPUs alone.
        if self.traits.mig || !self.traits.utilization {
            ways.push(active);
        }
        self.devices(&format!("100 * {}", of(ENGINE_ACTIVE, &cut)), &ways)
    }

    fn utilization(&self) -> String {
        let by = self.device();
        self.utilization_by(|metric, matcher| format!("max by ({by}) ({})", self.series(metric, &[matcher])))
    }

    fn held_utilization(&self) -> String {
        self.utilization_by(|metric, matcher| self.named_series(metric, matcher))
    }

    fn memory(&self, metric: &str, by: &str) -> String {
        let [cut, whole] = [CUT, WHOLE].map(|operator| {
            let matcher = format!("{INSTANCE}{operator}");
            format!("max by ({by}) ({})", self.series(metric, &[&matcher]))
        });
        self.devices(&cut, &[whole])
    }

    fn held_memory(&self) -> String {
        let [cut, whole] =
            [CUT, WHOLE].map(|operator| self.named_series(MEMORY_USED, &format!("{INSTANCE}{operator}")));
        self.devices(&cut, &[whole])
    }

    fn beside(&self) -> String {
        let by = self.device();
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
    fn plain_nodes_get_plain_questions() {
        let asking = Asking {
            window: Window::before(jiff::Timestamp::from_second(6000).unwrap(), 3000, 300).unwrap(),
            idle_below: 5.0,
            selector: "cluster=\"eu\"".to_owned(),
            exporters: ".*exporter.*".to_owned(),
        };
        let plain = Traits {
            new_label: true,
            utilization: true,
            ..Traits::default()
        };
        let nodes = ["a".to_owned(), "b.c".to_owned()];
        assert_eq!(
            asking.expression(Topic::Idle, plain, &nodes).unwrap(),
            r#"count_over_time(((max by (hostname, UUID) (DCGM_FI_DEV_GPU_UTIL{hostname=~"a|b\\.c",GPU_I_ID="",cluster="eu"})) < 5)[3000s:300s])"#
        );
        // Without pods' names there is nothing to ask about holders.
        assert_eq!(asking.expression(Topic::HolderMean, plain, &nodes), None);
        assert_eq!(asking.expression(Topic::Beside, plain, &nodes), None);
        let both = Traits {
            old_label: true,
            ..plain
        };
        assert!(
            asking
                .expression(Topic::Mean, both, &nodes)
                .unwrap()
                .contains("label_replace")
        );
    }

    #[test]
    fn names_of_nodes_are_taken_literally() {
        assert_eq!(escaped("gpu-1.example"), r"gpu-1\\.example");
        assert_eq!(escaped(r#"a"b\c+"#), r#"a\"b\\\\c\\+"#);
    }
}
