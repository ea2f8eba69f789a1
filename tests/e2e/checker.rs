//! An independent check of whether the events on the API server keep every guarantee, from raw
//! JSON.
//!
//! It shares no code with the program, so a misunderstanding there is not repeated here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The guarantees of a cluster, and where its pods are.
pub(crate) struct Checker {
    nodes: BTreeMap<String, NodeFacts>,
    policies: BTreeMap<String, PolicyFacts>,
    namespaces: BTreeMap<String, BTreeMap<String, String>>,
    pods: BTreeMap<String, PodFacts>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Whole,
    Mig,
    Slices,
    Mps,
}

#[derive(Debug)]
struct OfferFacts {
    kind: Kind,
    total: u64,
    gpus: u64,
    /// MiB of a GPU.
    memory: u64,
    /// MiB of a share, if GPUs are shared.
    share: u64,
    product: String,
}

#[derive(Debug)]
struct NodeFacts {
    offers: BTreeMap<String, OfferFacts>,
    labels: BTreeMap<String, String>,
    takes_pods: bool,
    taints: Vec<Value>,
}

#[derive(Debug)]
struct PolicyFacts {
    /// Strategy, profiles and products; empty lists allow all.
    rules: Vec<(Kind, Vec<String>, Vec<String>)>,
    shares_per_gpu: Option<u64>,
    memory_in_total: bool,
    undeclared: u64,
    apart: bool,
    tenant_label: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct PodFacts {
    namespace: String,
    node: Option<String>,
    asks: BTreeMap<String, u64>,
    /// MiB that each share counts.
    declared: Option<u64>,
    selector: BTreeMap<String, String>,
    tolerated: BTreeSet<String>,
}

/// The effect of an event.
#[derive(Debug)]
pub(crate) enum Seen {
    /// Nothing relevant.
    Nothing,
    /// A pod was bound.
    Bound,
    /// A bound pod has another node, which must never happen.
    Moved,
}

impl Checker {
    /// `nodes`, `namespaces` and `policies` as the API server lists them.
    pub(crate) fn new(nodes: &[Value], namespaces: &[Value], policies: &[Value]) -> Self {
        let named = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
        Checker {
            nodes: nodes.iter().map(|node| (named(node), node_facts(node))).collect(),
            policies: policies
                .iter()
                .map(|policy| (named(policy), policy_facts(policy)))
                .collect(),
            namespaces: namespaces
                .iter()
                .map(|one| (named(one), strings(&one["metadata"]["labels"])))
                .collect(),
            pods: BTreeMap::new(),
        }
    }

    /// Applies an event of the watch. Returns the guarantees that are broken on the pod's node
    /// after it.
    pub(crate) fn take(&mut self, kind: &str, pod: &Value) -> (Seen, Vec<String>) {
        let meta = &pod["metadata"];
        let key = format!(
            "{}/{}",
            meta["namespace"].as_str().unwrap(),
            meta["name"].as_str().unwrap()
        );
        let finished = ["Succeeded", "Failed"]
            .iter()
            .any(|phase| pod["status"]["phase"] == *phase);
        if kind == "DELETED" || finished {
            self.pods.remove(&key);
            return (Seen::Nothing, Vec::new());
        }
        let facts = pod_facts(pod);
        let node = facts.node.clone();
        let before = self.pods.insert(key.clone(), facts);
        let was = before.and_then(|before| before.node);
        match (was, node) {
            (_, None) => (Seen::Nothing, Vec::new()),
            (Some(was), Some(node)) if was == node => (Seen::Nothing, Vec::new()),
            (Some(was), Some(node)) => (Seen::Moved, vec![format!("pod {key} moved from {was} to {node}")]),
            (None, Some(node)) => (Seen::Bound, self.broken_on(&node)),
        }
    }

    /// All guarantees that are broken now.
    pub(crate) fn broken(&self) -> Vec<String> {
        self.nodes.keys().flat_map(|node| self.broken_on(node)).collect()
    }

    /// The numbers of bound and waiting pods.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let bound = self.pods.values().filter(|pod| pod.node.is_some()).count();
        (bound, self.pods.len() - bound)
    }

    /// The number of bound pods by strategy.
    pub(crate) fn bound_by_policy(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for pod in self.pods.values().filter(|pod| pod.node.is_some()) {
            let policy = self.policy_name(&pod.namespace).unwrap_or_default().to_owned();
            *counts.entry(policy).or_default() += 1;
        }
        counts
    }

    /// Waiting pods that fit a node now, with that node.
    pub(crate) fn left_out(&self) -> Vec<(String, String)> {
        let waiting = self.pods.iter().filter(|(_, pod)| pod.node.is_none());
        let mut found = Vec::new();
        let mut known: BTreeMap<String, Option<String>> = BTreeMap::new();
        for (key, pod) in waiting {
            // Pods with the same request have the same result.
            let same = format!("{pod:?}");
            let node = known
                .entry(same)
                .or_insert_with(|| self.nodes.keys().find(|node| self.could_take(node, pod)).cloned());
            if let Some(node) = node {
                found.push((key.clone(), node.clone()));
            }
        }
        found
    }

    fn on<'c>(&'c self, node: &'c str) -> impl Iterator<Item = &'c PodFacts> {
        self.pods.values().filter(move |pod| pod.node.as_deref() == Some(node))
    }

    fn broken_on(&self, node: &str) -> Vec<String> {
        self.broken_with(node, &self.on(node).collect::<Vec<_>>())
    }

    fn broken_with(&self, name: &str, pods: &[&PodFacts]) -> Vec<String> {
        let node = &self.nodes[name];
        let mut broken = Vec::new();
        let mut tenants: BTreeSet<String> = BTreeSet::new();
        let mut keeps_tenants_apart = false;
        for (resource, offer) in &node.offers {
            let holders: Vec<(&PodFacts, u64)> = pods
                .iter()
                .filter_map(|pod| Some((*pod, *pod.asks.get(resource)?)))
                .collect();
            let taken: u64 = holders.iter().map(|(_, count)| count).sum();
            if taken > offer.total {
                broken.push(format!("{name}: {taken} of {} {resource} taken", offer.total));
            }
            if !matches!(offer.kind, Kind::Slices | Kind::Mps) {
                continue;
            }
            let policies = || holders.iter().filter_map(|(pod, _)| self.policy(&pod.namespace));
            if let Some(most) = policies().filter_map(|policy| policy.shares_per_gpu).min()
                && taken > most * offer.gpus
            {
                let all = most * offer.gpus;
                broken.push(format!("{name}: {taken} shares where {all} were promised at most"));
            }
            if offer.kind == Kind::Slices && policies().any(|policy| policy.memory_in_total) {
                let sum: u64 = holders.iter().map(|(pod, count)| count * self.memory(pod)).sum();
                let has = offer.memory * offer.gpus;
                if sum > has {
                    broken.push(format!("{name}: {sum} MiB declared of {has}"));
                }
            }
            keeps_tenants_apart |= policies().any(|policy| policy.apart);
            tenants.extend(holders.iter().map(|(pod, _)| self.tenant(&pod.namespace)));
        }
        if keeps_tenants_apart && tenants.len() > 1 {
            broken.push(format!("{name}: tenants {tenants:?} share GPUs"));
        }
        broken
    }

    fn could_take(&self, name: &str, pod: &PodFacts) -> bool {
        let node = &self.nodes[name];
        let labels_match = pod
            .selector
            .iter()
            .all(|(key, value)| node.labels.get(key) == Some(value));
        let keeps_away = |taint: &Value| {
            taint["effect"] != "PreferNoSchedule" && !pod.tolerated.contains(taint["key"].as_str().unwrap_or_default())
        };
        if !node.takes_pods || !labels_match || node.taints.iter().any(keeps_away) {
            return false;
        }
        let Some(policy) = self.policy(&pod.namespace) else {
            return false;
        };
        for resource in pod.asks.keys() {
            let Some(offer) = node.offers.get(resource) else {
                return false;
            };
            let profile = resource.strip_prefix("nvidia.com/mig-").unwrap_or_default();
            let allowed = policy.rules.iter().any(|(kind, profiles, products)| {
                *kind == offer.kind
                    && (*kind != Kind::Mig || profiles.is_empty() || profiles.iter().any(|one| one == profile))
                    && (products.is_empty() || products.iter().any(|one| offer.product.contains(one.as_str())))
            });
            let enough = pod.declared.is_none_or(|declared| declared <= offer.share);
            if !allowed || !enough {
                return false;
            }
        }
        let mut together: Vec<&PodFacts> = self.on(name).collect();
        together.push(pod);
        self.broken_with(name, &together).is_empty()
    }

    fn policy_name(&self, namespace: &str) -> Option<&str> {
        Some(self.namespaces.get(namespace)?.get("apportion.dev/policy")?)
    }

    fn policy(&self, namespace: &str) -> Option<&PolicyFacts> {
        self.policies.get(self.policy_name(namespace)?)
    }

    fn tenant(&self, namespace: &str) -> String {
        let label = self.policy(namespace).and_then(|policy| policy.tenant_label.as_ref());
        let value = label.and_then(|label| self.namespaces[namespace].get(label));
        value.map_or_else(|| format!("namespace {namespace}"), |value| format!("team {value}"))
    }

    fn memory(&self, pod: &PodFacts) -> u64 {
        let undeclared = || self.policy(&pod.namespace).map_or(0, |policy| policy.undeclared);
        pod.declared.unwrap_or_else(undeclared)
    }
}

fn strings(value: &Value) -> BTreeMap<String, String> {
    let pairs = value.as_object().into_iter().flatten();
    pairs
        .map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()))
        .collect()
}

fn list(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items.map(|one| one.as_str().unwrap().to_owned()).collect()
}

/// A quantity in the forms of this suite: whole numbers, and `Gi`.
fn mebibytes(value: &Value) -> Option<u64> {
    let number = value.as_str()?.strip_suffix("Gi").expect("memory in Gi");
    Some(number.parse::<u64>().unwrap() * 1024)
}

fn node_facts(node: &Value) -> NodeFacts {
    let labels = strings(&node["metadata"]["labels"]);
    let offers = strings(&node["status"]["allocatable"])
        .into_iter()
        .filter(|(name, total)| name.starts_with("nvidia.com/") && total != "0")
        .filter_map(|(name, total)| {
            // The labels of `gpu.shared` are those of `gpu`.
            let prefix = name.strip_suffix(".shared").unwrap_or(&name);
            let label = |suffix: &str| labels.get(&format!("{prefix}.{suffix}")).cloned();
            let number = |suffix: &str| label(suffix).and_then(|text| text.parse::<u64>().ok());
            let kind = match label("sharing-strategy")?.as_str() {
                "none" if prefix.starts_with("nvidia.com/mig-") => Kind::Mig,
                "none" => Kind::Whole,
                "time-slicing" => Kind::Slices,
                "mps" => Kind::Mps,
                other => panic!("sharing strategy {other}"),
            };
            let memory = number("memory").unwrap_or(u64::MAX / 1024);
            let replicas = number("replicas").unwrap_or(1).max(1);
            let total: u64 = total.parse().unwrap();
            let facts = OfferFacts {
                kind,
                total,
                gpus: total / replicas,
                memory,
                share: if kind == Kind::Mps { memory / replicas } else { memory },
                product: label("product").unwrap_or_default(),
            };
            Some((name, facts))
        })
        .collect();
    let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
    let is_ready = conditions
        .into_iter()
        .any(|one| one["type"] == "Ready" && one["status"] == "True");
    NodeFacts {
        offers,
        labels,
        takes_pods: is_ready && node["spec"]["unschedulable"] != true,
        taints: node["spec"]["taints"].as_array().cloned().unwrap_or_default(),
    }
}

fn policy_facts(policy: &Value) -> PolicyFacts {
    let limits = &policy["spec"]["limits"];
    let rules = policy["spec"]["strategies"].as_array().unwrap().iter().map(|rule| {
        let kind = match rule["strategy"].as_str().unwrap() {
            "exclusive" => Kind::Whole,
            "mig" => Kind::Mig,
            "time-slicing" => Kind::Slices,
            "mps" => Kind::Mps,
            other => panic!("strategy {other}"),
        };
        (kind, list(&rule["profiles"]), list(&rule["products"]))
    });
    PolicyFacts {
        rules: rules.collect(),
        shares_per_gpu: limits["sharesPerGPU"].as_u64(),
        memory_in_total: limits["memory"] == "Total",
        undeclared: mebibytes(&limits["undeclaredMemory"]).unwrap_or(0),
        apart: limits["tenants"] == "Apart",
        tenant_label: limits["tenantLabel"].as_str().map(str::to_owned),
    }
}

fn pod_facts(pod: &Value) -> PodFacts {
    let mut asks: BTreeMap<String, u64> = BTreeMap::new();
    assert!(
        pod["spec"]["initContainers"].is_null(),
        "this arithmetic is for containers alone"
    );
    for container in pod["spec"]["containers"].as_array().unwrap() {
        for (name, count) in strings(&container["resources"]["limits"]) {
            if name.starts_with("nvidia.com/") {
                *asks.entry(name).or_default() += count.parse::<u64>().unwrap();
            }
        }
    }
    let tolerations = pod["spec"]["tolerations"].as_array().into_iter().flatten();
    PodFacts {
        namespace: pod["metadata"]["namespace"].as_str().unwrap().to_owned(),
        node: pod["spec"]["nodeName"].as_str().map(str::to_owned),
        asks,
        declared: mebibytes(&pod["metadata"]["annotations"]["apportion.dev/gpu-memory"]),
        selector: strings(&pod["spec"]["nodeSelector"]),
        tolerated: tolerations
            .filter_map(|one| one["key"].as_str().map(str::to_owned))
            .collect(),
    }
}
