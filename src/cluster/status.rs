//! The status of policies: what we made of them, written where their authors look.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::Instant;

use super::api_error::patiently;
use super::kind::{Kind as _, Policies, PolicyObject};
use super::lease::Leadership;
use super::policies::{PolicyBook, Verdict};
use apportion_core::inventory::Ledger;
use apportion_core::policy::governance::is_exempt;
use apportion_core::policy::{Governed, Policy, PolicySet};

/// Counts are at least so old before they are made anew.
const COUNT_EVERY: Duration = Duration::from_secs(10);
/// A status that was written and is not seen yet is not written again before.
const PATIENCE: Duration = Duration::from_secs(30);
/// The most characters that the schema takes for a message.
const LONGEST: usize = 2048;
/// The condition that we write.
const ACCEPTED: &str = "Accepted";

/// How much a policy governs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Namespaces with pods that it could govern.
    pub namespaces: u32,
    /// Pods with GPUs that it governs.
    pub pods: u32,
}

/// How much each policy governs. One that governs nothing has no entry.
pub fn reaches(ledger: &Ledger, policies: &PolicySet, own_namespace: Option<&str>) -> BTreeMap<String, Reach> {
    let mut reaches: BTreeMap<String, Reach> = BTreeMap::new();
    let is_ours = |namespace: &str| !is_exempt(namespace) && own_namespace != Some(namespace);
    for (_, labels) in ledger.inventory().namespaces().filter(|(name, _)| is_ours(name)) {
        for policy in policies.iter().filter(|policy| policy.namespaces.matches(labels)) {
            reaches.entry(policy.name.to_string()).or_default().namespaces += 1;
            // It leaves no pod to those behind it.
            if policy.pods.requirements.is_empty() {
                break;
            }
        }
    }
    for (_, record) in ledger.pods().filter(|(_, record)| is_ours(&record.namespace)) {
        let labels = &record.summary.labels;
        if let Governed::By(policy) = ledger.inventory().governing(policies, &record.namespace, labels) {
            reaches.entry(policy.name.to_string()).or_default().pods += 1;
        }
    }
    reaches
}

/// The status that a policy resource is to have, or `None` when it has it.
fn wanted(
    object: &PolicyObject,
    verdict: &Verdict,
    policy: Option<&Policy>,
    reach: Reach,
    now: Timestamp,
) -> Option<Value> {
    let (status, reason, message) = match (verdict, policy) {
        (Verdict::Accepted, policy) => ("True", "Accepted", policy.map(summary).unwrap_or_default()),
        (Verdict::Invalid(why), None) => ("False", "Invalid", why.clone()),
        (Verdict::Invalid(why), Some(_)) => {
            let why = format!("{why}; the version before it stays in force");
            ("False", "Invalid", why)
        }
        (Verdict::Shadowed, _) => {
            let why = "a policy of this name stands in a file, which wins; rename one of them".to_owned();
            ("False", "ShadowedByFile", why)
        }
    };
    let message: String = message.chars().take(LONGEST).collect();
    // What governs under the name of a shadowed resource is the file.
    let reach = if *verdict == Verdict::Shadowed {
        Reach::default()
    } else {
        reach
    };
    let conditions = object.status["conditions"].as_array().map_or(&[][..], Vec::as_slice);
    let there = conditions.iter().find(|condition| condition["type"] == ACCEPTED);
    let since = there
        .filter(|there| there["status"] == status)
        .and_then(|there| there["lastTransitionTime"].as_str())
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
    let wanted = json!({
        "observedGeneration": object.generation,
        "namespaces": reach.namespaces,
        "pods": reach.pods,
        "message": message,
        "conditions": conditions,
    });
    let fields = ["observedGeneration", "namespaces", "pods", "message", "conditions"];
    let same = fields
        .iter()
        .all(|field| match (&object.status[field], &wanted[field]) {
            (Value::Array(there), Value::Array(wanted)) => {
                there.len() == wanted.len() && wanted.iter().all(|condition| there.contains(condition))
            }
            (there, wanted) => there == wanted,
        });
    (!same).then_some(wanted)
}

/// What a policy allows, in one line.
fn summary(policy: &Policy) -> String {
    let rules: Vec<String> = policy.sharing_rules().map(ToString::to_string).collect();
    rules.join("; else ")
}

/// A status to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusWrite {
    name: String,
    status: Value,
}

/// Sees to it that statuses are written when they differ, and not more often.
#[derive(Debug, Default)]
pub struct Statuses {
    counted: Option<Instant>,
    reaches: BTreeMap<String, Reach>,
    /// What was last written of each, and when.
    written: HashMap<String, (Value, Instant)>,
}

impl Statuses {
    /// Hands over the statuses that are to be written.
    pub fn hand_over(
        &mut self,
        ledger: &Ledger,
        book: &PolicyBook,
        own_namespace: Option<&str>,
        writes: &Sender<StatusWrite>,
    ) {
        let policies = book.set();
        if self.counted.is_none_or(|at| at.elapsed() >= COUNT_EVERY) {
            self.counted = Some(Instant::now());
            self.reaches = reaches(ledger, &policies, own_namespace);
            self.written.retain(|_, (_, at)| at.elapsed() < PATIENCE);
        }
        let now = Timestamp::now();
        for (name, object, verdict) in book.verdicts() {
            let reach = self.reaches.get(name).copied().unwrap_or_default();
            let Some(status) = wanted(object, verdict, policies.get(name), reach, now) else {
                continue;
            };
            let is_under_way = |(written, at): &(Value, Instant)| at.elapsed() < PATIENCE && is_alike(written, &status);
            if self.written.get(name).is_some_and(is_under_way) {
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

/// Whether two statuses say the same, whatever the time.
fn is_alike(a: &Value, b: &Value) -> bool {
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

/// Writes statuses for ever, while we lead.
pub async fn write(client: Client, mut writes: Receiver<StatusWrite>, tenure: Option<Leadership>) {
    let kind = GroupVersionKind::gvk(Policies::GROUP, Policies::VERSION, Policies::KIND);
    let resource = ApiResource::from_gvk_with_plural(&kind, Policies::PLURAL);
    let api: Api<DynamicObject> = Api::all_with(client, &resource);
    let mut complained = false;
    while let Some(StatusWrite { name, status }) = writes.recv().await {
        if !tenure.as_ref().is_none_or(Leadership::is_ours) {
            continue;
        }
        let patch = Patch::Merge(json!({ "status": status }));
        match patiently(api.patch_status(&name, &PatchParams::default(), &patch)).await {
            Ok(_) => complained = false,
            // It is gone meanwhile.
            Err(refusal) if refusal.is_not_found() => {}
            // It is tried again. Once for all that fail one after the other.
            Err(why) => {
                if !std::mem::replace(&mut complained, true) {
                    tracing::warn!(policy = name, %why, "the status of policies can not be written");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apportion_core::inventory::PodRecord;
    use apportion_core::k8s::text::Labels;
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
    fn a_status_is_written_once_and_its_time_moves_with_the_verdict_alone() {
        let governs = policy("p", "");
        let at = |second| Timestamp::from_second(second).unwrap();
        let of = |status: &Value, verdict: &Verdict, reach, second| {
            wanted(&object(status.clone()), verdict, Some(&governs), reach, at(second))
        };
        let first = of(&Value::Null, &Verdict::Accepted, REACH, 60).unwrap();
        assert_eq!(
            first,
            json!({"observedGeneration": 3, "namespaces": 2, "pods": 5, "message": "mps on T4; else exclusive", "conditions": [{
                "type": "Accepted", "status": "True", "reason": "Accepted", "message": "mps on T4; else exclusive",
                "observedGeneration": 3, "lastTransitionTime": "1970-01-01T00:01:00Z"}]})
        );
        assert_eq!(of(&first, &Verdict::Accepted, REACH, 120), None);
        let more = of(&first, &Verdict::Accepted, Reach { pods: 6, ..REACH }, 120).unwrap();
        assert_eq!(more["conditions"], first["conditions"]);
        let invalid = Verdict::Invalid("spec.strategies: is missing".to_owned());
        let broken = of(&more, &invalid, REACH, 180).unwrap();
        let condition = &broken["conditions"][0];
        assert_eq!(
            (&condition["status"], &condition["reason"]),
            (&json!("False"), &json!("Invalid"))
        );
        assert_eq!(condition["lastTransitionTime"], "1970-01-01T00:03:00Z");
        assert_eq!(
            condition["message"],
            "spec.strategies: is missing; the version before it stays in force"
        );
        // From one reason for False to another.
        let shadowed = of(&broken, &Verdict::Shadowed, REACH, 240).unwrap();
        let condition = &shadowed["conditions"][0];
        assert_eq!(
            (&condition["reason"], &shadowed["pods"]),
            (&json!("ShadowedByFile"), &json!(0))
        );
        assert_eq!(condition["lastTransitionTime"], "1970-01-01T00:03:00Z");
    }

    #[test]
    fn conditions_of_others_stay() {
        let others = json!({"type": "Reviewed", "status": "True"});
        let there = json!({"conditions": [others]});
        let wanted = wanted(&object(there), &Verdict::Shadowed, None, REACH, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(wanted["conditions"][1], others);
    }

    #[test]
    fn namespaces_and_pods_are_counted_for_who_governs_them() {
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
            ledger.put_pod(key, PodRecord::of(&serde_json::from_str(&json).unwrap()));
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
