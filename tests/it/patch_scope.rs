//! Which parts of a pod a rewrite may change, and whether it changed only those.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::oracle::{container_ask, containers, is_gpu};

/// The annotation with the decision.
pub const DECISION: &str = "apportion.dev/decision";
/// The variable that hides GPUs from a container.
pub static HIDDEN: LazyLock<Value> = LazyLock::new(|| json!({"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"}));
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

/// A copy of the pod without the parts that a rewrite may change.
///
/// Lists and objects that become empty are removed, but only on the path to such a part.
pub fn without_what_may_change(pod: &Value, before: &Value) -> Value {
    let mut rest = pod.clone();
    for (list, at, _) in containers(before).filter(|(.., container)| !container_ask(container).is_empty()) {
        let resources = &mut rest["spec"][list][at]["resources"];
        for list in ["limits", "requests"] {
            remove_in(resources, list, is_gpu);
        }
    }
    // Our variable is the last one, and is added only if there was none with its name.
    for (list, at, container) in containers(before).filter(|(.., container)| container_ask(container).is_empty()) {
        let env = container["env"].as_array();
        let named = env.is_some_and(|env| env.iter().any(|one| one["name"] == HIDDEN["name"]));
        if !named && let Some(container) = rest["spec"][list][at].as_object_mut() {
            let env = container.get_mut("env").and_then(Value::as_array_mut);
            if let Some(env) = env
                && env.last() == Some(&*HIDDEN)
            {
                env.pop();
            }
            if container
                .get("env")
                .is_some_and(|env| env.is_null() || env == &json!([]))
            {
                container.remove("env");
            }
        }
    }
    remove_in(&mut rest["metadata"], "annotations", |key| key == DECISION);
    if let Some(affinity) = rest["spec"].get_mut("affinity") {
        remove_in(affinity, "nodeAffinity", |key| key == REQUIRED);
    }
    remove_in(&mut rest["spec"], "affinity", |_| false);
    rest
}

/// Removes matching keys from `parent[name]`, and `name` itself if it becomes empty.
fn remove_in(parent: &mut Value, name: &str, doomed: impl Fn(&str) -> bool) {
    let Some(parent) = parent.as_object_mut() else { return };
    if let Some(members) = parent.get_mut(name).and_then(Value::as_object_mut) {
        members.retain(|key, _| !doomed(key));
    }
    if parent
        .get(name)
        .is_some_and(|value| value.is_null() || value.as_object().is_some_and(Map::is_empty))
    {
        parent.remove(name);
    }
}

/// The required node affinity of a pod.
pub fn required(pod: &Value) -> &Value {
    &pod["spec"]["affinity"]["nodeAffinity"][REQUIRED]
}

/// Whether `after` has all terms of `before`, each with its expressions and possibly more after
/// them. A term without expressions, which matches no node, must stay.
pub fn narrows(before: &Value, after: &Value) -> bool {
    let Some(terms) = before["nodeSelectorTerms"].as_array() else {
        let added = after["nodeSelectorTerms"].as_array();
        return before.is_null() && (after.is_null() || added.is_some_and(|terms| terms.len() == 1));
    };
    let now = after["nodeSelectorTerms"].as_array().cloned().unwrap_or_default();
    terms.len() == now.len()
        && terms.iter().zip(&now).all(|(was, is)| {
            let list = |term: &Value, key: &str| term[key].as_array().cloned().unwrap_or_default();
            let empty = list(was, "matchExpressions").is_empty() && list(was, "matchFields").is_empty();
            let others = |term: &Value| {
                let mut term = term.clone();
                term.as_object_mut().unwrap().remove("matchExpressions");
                term
            };
            was == is
                || !empty
                    && list(is, "matchExpressions").starts_with(&list(was, "matchExpressions"))
                    && others(was) == others(is)
        })
}
