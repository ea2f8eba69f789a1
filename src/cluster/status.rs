//! The status of policies: whether each is accepted, and how much it governs.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::Instant;

use super::api::with_timeout;
use super::kind::{Kind as _, Policies, PolicyObject};
use super::lease::Leadership;
use super::policies::{Acceptance, PolicyBook};
use apportion_core::inventory::Ledger;
use apportion_core::policy::is_exempt;
use apportion_core::policy::{Governed, Policy, PolicySet};

/// The least time between two counts of namespaces and pods.
const COUNT_INTERVAL: Duration = Duration::from_secs(10);
/// How long a written status may take to come back by the watch before it is written again.
const REWRITE_AFTER: Duration = Duration::from_secs(30);
/// The limit of the schema for a message, in characters.
const MAX_MESSAGE: usize = 2048;
/// The type of our condition.
const ACCEPTED: &str = "Accepted";

/// How many namespaces and pods a policy governs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Namespaces whose pods it could govern.
    pub namespaces: u32,
    /// GPU pods that it governs.
    pub pods: u32,
}

/// The reach of each policy. A policy that governs nothing has no entry.
pub fn reaches(ledger: &Ledger, policies: &PolicySet, own_namespace: Option<&str>) -> BTreeMap<String, Reach> {
    let mut reaches: BTreeMap<String, Reach> = BTreeMap::new();
    let is_governed = |namespace: &str| !is_exempt(namespace) && own_namespace != Some(namespace);
    for (_, labels) in ledger.inventory().namespaces().filter(|(name, _)| is_governed(name)) {
        for policy in policies.iter().filter(|policy| policy.namespaces.matches(labels)) {
            reaches.entry(policy.name.to_string()).or_default().namespaces += 1;
            // It selects all pods, so later policies govern none here.
            if policy.pods.requirements.is_empty() {
                break;
            }
        }
    }
    for (_, record) in ledger.pods().filter(|(_, record)| is_governed(&record.namespace)) {
        let labels = &record.summary.labels;
        if let Governed::By(policy) = ledger.inventory().governing(policies, &record.namespace, labels) {
            reaches.entry(policy.name.to_string()).or_default().pods += 1;
        }
    }
    reaches
}

/// The status that a policy resource needs, or `None` if it already has it.
fn desired(
    object: &PolicyObject,
    acceptance: &Acceptance,
    policy: Option<&Policy>,
    reach: Reach,
    now: Timestamp,
) -> Option<Value> {
    let (status, reason, message) = match (acceptance, policy) {
        (Acceptance::Accepted, policy) => ("True", "Accepted", policy.map(summary).unwrap_or_default()),
        (Acceptance::Invalid(why), None) => ("False", "Invalid", why.clone()),
        (Acceptance::Invalid(why), Some(_)) => {
            let why = format!("{why}; the previous version stays in force");
            ("False", "Invalid", why)
        }
        (Acceptance::Shadowed, _) => {
            let why = "a policy file has the same name and wins; rename one of them".to_owned();
            ("False", "ShadowedByFile", why)
        }
    };
    let message: String = message.chars().take(MAX_MESSAGE).collect();
    // The file governs under the name of a shadowed resource.
    let reach = if *acceptance == Acceptance::Shadowed {
        Reach::default()
    } else {
        reach
    };
    let conditions = object.status["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    let current = conditions.iter().find(|condition| condition["type"] == ACCEPTED);
    let since = current
        .filter(|current| current["status"] == status)
        .and_then(|current| current["lastTransitionTime"].as_str())
        .map_or_else(|| now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), str::to_owned);
    let condition = json!({
        "type": ACCEPTED,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": object.generation,
        "lastTransitionTime": since,
    });
    let others = conditions.iter().filter(|condition| condition["type"] != ACCEPTED);
    let conditions: Vec<Value> = std::iter::once(condition).chain(others.cloned()).collect();
    let desired = json!({
        "observedGeneration": object.generation,
        "namespaces": reach.namespaces,
        "pods": reach.pods,
        "message": message,
        "conditions": conditions,
    });
    let fields = ["observedGeneration", "namespaces", "pods", "message", "conditions"];
    let same = fields
        .iter()
        .all(|field| match (&object.status[field], &desired[field]) {
            (Value::Array(current), Value::Array(desired)) => {
                current.len() == desired.len() && desired.iter().all(|condition| current.contains(condition))
            }
            (current, desired) => current == desired,
        });
    (!same).then_some(desired)
}

/// What a policy allows, in one line.
fn summary(policy: &Policy) -> String {
    let rules: Vec<String> = policy.sharing_rules().map(ToString::to_string).collect();
    rules.join("; else ")
}

/// A status to write.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusWrite {
    name: String,
    status: Value,
}

/// Queues statuses that differ from what the cluster has.
#[derive(Debug, Default)]
pub struct Statuses {
    counted: Option<Instant>,
    reaches: BTreeMap<String, Reach>,
    /// The last queued status of each policy, and when.
    written: HashMap<String, (Value, Instant)>,
}

impl Statuses {
    /// Queues the statuses that need to be written.
    pub fn queue(
        &mut self,
        ledger: &Ledger,
        book: &PolicyBook,
        own_namespace: Option<&str>,
        writes: &Sender<StatusWrite>,
    ) {
        let policies = book.set();
        if self.counted.is_none_or(|at| at.elapsed() >= COUNT_INTERVAL) {
            self.counted = Some(Instant::now());
            self.reaches = reaches(ledger, &policies, own_namespace);
            self.written.retain(|_, (_, at)| at.elapsed() < REWRITE_AFTER);
        }
        let now = Timestamp::now();
        for (name, object, acceptance) in book.resources() {
            let reach = self.reaches.get(name).copied().unwrap_or_default();
            let Some(status) = desired(object, acceptance, policies.get(name), reach, now) else {
                continue;
            };
            let is_in_flight =
                |(written, at): &(Value, Instant)| at.elapsed() < REWRITE_AFTER && same_except_time(written, &status);
            if self.written.get(name).is_some_and(is_in_flight) {
                continue;
            }
            let write = StatusWrite {
                name: name.to_owned(),
                status: status.clone(),
            };
            if writes.try_send(write).is_err() {
                return;
            }
            self.written.insert(name.to_owned(), (status, Instant::now()));
        }
    }
}

fn same_except_time(a: &Value, b: &Value) -> bool {
    let timeless = |status: &Value| {
        let mut status = status.clone();
        for condition in status["conditions"].as_array_mut().into_iter().flatten() {
            if let Some(condition) = condition.as_object_mut() {
                condition.remove("lastTransitionTime");
            }
        }
        status
    };
    timeless(a) == timeless(b)
}

/// Writes queued statuses while this replica leads.
pub async fn write(client: Client, mut writes: Receiver<StatusWrite>, leadership: Option<Leadership>) {
    let kind = GroupVersionKind::gvk(Policies::GROUP, Policies::VERSION, Policies::KIND);
    let resource = ApiResource::from_gvk_with_plural(&kind, Policies::PLURAL);
    let api: Api<DynamicObject> = Api::all_with(client, &resource);
    let mut failing = false;
    while let Some(StatusWrite { name, status }) = writes.recv().await {
        if !leadership.as_ref().is_none_or(Leadership::is_ours) {
            continue;
        }
        let patch = Patch::Merge(json!({ "status": status }));
        match with_timeout(api.patch_status(&name, &PatchParams::default(), &patch)).await {
            Ok(_) => failing = false,
            // Deleted meanwhile.
            Err(error) if error.is_not_found() => {}
            // The status is queued again. One line for consecutive failures.
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(policy = name, %error, "cannot write the status of policies");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apportion_core::inventory::PodRecord;
    use apportion_core::k8s::Labels;
    use apportion_core::policy::parse;

    fn policy(name: &str, rest: &str) -> Policy {
        let text = format!(
            "apiVersion: apportion.dev/v1alpha1\nkind: GpuSharingPolicy\nmetadata: {{name: {name}}}\nspec: {{strategies: [{{strategy: mps, products: [T4]}}, {{strategy: exclusive}}]{rest}}}\n"
        );
        parse::parse("t.yaml", &text).unwrap().remove(0)
    }

    fn object(status: Value) -> PolicyObject {
        PolicyObject {
            text: String::new(),
            generation: 3,
            status,
        }
    }

    const REACH: Reach = Reach { namespaces: 2, pods: 5 };

    #[test]
    fn the_transition_time_changes_only_with_the_condition_status() {
        let governs = policy("p", "");
        let at = |second| Timestamp::from_second(second).unwrap();
        let of = |status: &Value, acceptance: &Acceptance, reach, second| {
            desired(&object(status.clone()), acceptance, Some(&governs), reach, at(second))
        };
        let first = of(&Value::Null, &Acceptance::Accepted, REACH, 60).unwrap();
        assert_eq!(
            first,
            json!({"observedGeneration": 3, "namespaces": 2, "pods": 5, "message": "mps on T4; else exclusive", "conditions": [{
                "type": "Accepted", "status": "True", "reason": "Accepted", "message": "mps on T4; else exclusive",
                "observedGeneration": 3, "lastTransitionTime": "1970-01-01T00:01:00Z"}]})
        );
        assert_eq!(of(&first, &Acceptance::Accepted, REACH, 120), None);
        let more = of(&first, &Acceptance::Accepted, Reach { pods: 6, ..REACH }, 120).unwrap();
        assert_eq!(more["conditions"], first["conditions"]);
        let invalid = Acceptance::Invalid("spec.strategies: is missing".to_owned());
        let broken = of(&more, &invalid, REACH, 180).unwrap();
        let condition = &broken["conditions"][0];
        assert_eq!(
            (&condition["status"], &condition["reason"]),
            (&json!("False"), &json!("Invalid"))
        );
        assert_eq!(condition["lastTransitionTime"], "1970-01-01T00:03:00Z");
        assert_eq!(
            condition["message"],
            "spec.strategies: is missing; the previous version stays in force"
        );
        // From one reason for False to another.
        let shadowed = of(&broken, &Acceptance::Shadowed, REACH, 240).unwrap();
        let condition = &shadowed["conditions"][0];
        assert_eq!(
            (&condition["reason"], &shadowed["pods"]),
            (&json!("ShadowedByFile"), &json!(0))
        );
        assert_eq!(condition["lastTransitionTime"], "1970-01-01T00:03:00Z");
    }

    #[test]
    fn conditions_of_other_writers_are_kept() {
        let others = json!({"type": "Reviewed", "status": "True"});
        let current = json!({"conditions": [others]});
        let desired = desired(
            &object(current),
            &Acceptance::Shadowed,
            None,
            REACH,
            Timestamp::UNIX_EPOCH,
        )
        .unwrap();
        assert_eq!(desired["conditions"][1], others);
    }

    #[test]
    fn namespaces_and_pods_count_for_the_policy_that_governs_them() {
        let mut ledger = Ledger::default();
        for namespace in ["a", "b", "kube-system", "own"] {
            ledger.put_namespace(namespace, Labels::from_iter([("team", "x")]));
        }
        ledger.put_namespace("c", Labels::default());
        for key in ["a/batch", "a/web", "b/web", "c/web", "kube-system/web", "own/web"] {
            let (namespace, name) = key.split_once('/').unwrap();
            let json = format!(
                r#"{{"metadata":{{"namespace":"{namespace}","name":"{name}","labels":{{"kind":"{name}"}}}},"spec":{{"containers":[{{"resources":{{"limits":{{"nvidia.com/gpu":1}}}}}}]}}}}"#
            );
            ledger.put_pod(key, PodRecord::from_pod(&serde_json::from_str(&json).unwrap()));
        }
        let team = ", namespaceSelector: {matchLabels: {team: x}}";
        let policies = PolicySet::new(vec![
            policy(
                "batch",
                &format!("{team}, podSelector: {{matchLabels: {{kind: batch}}}}, priority: 2"),
            ),
            policy("rest", &format!("{team}, priority: 1")),
            policy("never", team),
        ]);
        let reaches = reaches(&ledger, &policies, Some("own"));
        let of = |name: &str| reaches.get(name).map(|reach| (reach.namespaces, reach.pods));
        assert_eq!(
            (of("batch"), of("rest"), of("never")),
            (Some((2, 1)), Some((2, 2)), None)
        );
    }
}
