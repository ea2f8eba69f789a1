//! From manifests to the pods that they make.

use anyhow::{Context as _, anyhow, bail};
use serde_json::{Value, json};

use apportion_core::k8s::{manifest, template};

/// An object that makes pods, and the pod that it makes.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The file that it was read from, as the user named it.
    pub source: String,
    /// Its kind.
    pub kind: String,
    /// Its name; empty where it is still to be generated.
    pub name: String,
    /// How many such pods run at a time; `None` for a lone pod, and where the cluster's size decides.
    pub replicas: Option<u64>,
    /// The namespace.
    pub namespace: String,
    /// The pod, as the API server would be sent it.
    pub pod: Value,
}

/// What a text holds.
#[derive(Debug, Default)]
pub struct Found {
    /// What makes pods.
    pub workloads: Vec<Workload>,
    /// What does not: kind and name.
    pub others: Vec<String>,
}

/// Reads every document of a text. `namespace` is the one that the user asks for.
pub fn read(source: &str, text: &str, namespace: Option<&str>) -> anyhow::Result<Found> {
    let documents = manifest::documents(text).with_context(|| source.to_owned())?;
    let mut found = Found::default();
    for (at, document) in documents.iter().enumerate() {
        let place = if documents.len() > 1 {
            format!("{source}: document {}", at + 1)
        } else {
            source.to_owned()
        };
        let mut reader = Reader {
            source,
            namespace,
            found: &mut found,
        };
        reader.object(document, None, &place)?;
    }
    Ok(found)
}

struct Reader<'r> {
    source: &'r str,
    namespace: Option<&'r str>,
    found: &'r mut Found,
}

impl Reader<'_> {
    /// Reads an object, or each object of a list. The items of a `PodList` need not repeat their kind.
    fn object(&mut self, object: &Value, kind_by_list: Option<&str>, place: &str) -> anyhow::Result<()> {
        if !object.is_object() {
            bail!("{place}: not a Kubernetes object: it has no fields");
        }
        let kind = text(object, "/kind").or(kind_by_list).ok_or_else(|| {
            anyhow!(
                "{place}: not a Kubernetes object: it has no kind; write `kind: Pod`, `kind: Deployment` or the like"
            )
        })?;
        if let Some(item_kind) = kind.strip_suffix("List")
            && let Some(items) = object.get("items").and_then(Value::as_array)
        {
            let item_kind = Some(item_kind).filter(|kind| !kind.is_empty());
            return items
                .iter()
                .enumerate()
                .try_for_each(|(at, item)| self.object(item, item_kind, &format!("{place}: items[{at}]")));
        }
        let name = text(object, "/metadata/name").unwrap_or_default();
        let namespace = self
            .namespace(object)
            .with_context(|| format!("{place}: {kind} {name}"))?;
        let pods: Vec<Option<Value>> = if kind == "Pod" {
            vec![whole(object, &namespace)]
        } else {
            let pods = template::templates(kind, object).into_iter();
            pods.map(|template| template::pod_of(template, name, &namespace))
                .collect()
        };
        let pods: Vec<Value> = pods
            .into_iter()
            .collect::<Option<_>>()
            .with_context(|| format!("{place}: {kind} {name}: metadata has no fields"))?;
        if pods.is_empty() {
            if let Some(places) = template::places(kind) {
                let path = places[0].trim_start_matches('/').replace("/*", "[*]").replace('/', ".");
                bail!("{place}: {kind} {name} holds no pod: {path} is missing or has no containers");
            }
            self.found.others.push(format!("{kind} {name}"));
        }
        for pod in pods {
            self.found.workloads.push(Workload {
                source: self.source.to_owned(),
                kind: kind.to_owned(),
                name: name.to_owned(),
                replicas: replicas(kind, object),
                namespace: namespace.clone(),
                pod,
            });
        }
        Ok(())
    }

    /// As `kubectl` has it: the flag fills what is missing, and contradicts nothing.
    fn namespace(&self, object: &Value) -> anyhow::Result<String> {
        let own = text(object, "/metadata/namespace").filter(|namespace| !namespace.is_empty());
        match (own, self.namespace) {
            (Some(own), Some(asked)) if own != asked => bail!(
                "the namespace from the provided object \"{own}\" does not match the namespace \"{asked}\". You must pass '--namespace={own}' to perform this operation."
            ),
            (own, asked) => Ok(own.or(asked).unwrap_or("default").to_owned()),
        }
    }
}

fn whole(object: &Value, namespace: &str) -> Option<Value> {
    let mut pod = object.clone();
    template::metadata(pod.as_object_mut()?)?.insert("namespace".to_owned(), json!(namespace));
    Some(pod)
}

fn replicas(kind: &str, object: &Value) -> Option<u64> {
    let count = |path: &str| object.pointer(path).map_or(Some(1), Value::as_u64);
    match kind {
        "Deployment" | "ReplicaSet" | "StatefulSet" | "ReplicationController" => count("/spec/replicas"),
        "Job" => count("/spec/parallelism"),
        "CronJob" => count("/spec/jobTemplate/spec/parallelism"),
        _ => object.pointer("/spec/replicas").and_then(Value::as_u64),
    }
}

fn text<'v>(object: &'v Value, path: &str) -> Option<&'v str> {
    object.pointer(path).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(text: &str, namespace: Option<&str>) -> Vec<String> {
        let found = read("f", text, namespace).unwrap();
        let one = |w: &Workload| {
            let metadata = &w.pod["metadata"];
            let replicas = w.replicas.map_or(String::new(), |n| format!(" x{n}"));
            format!(
                "{} {}/{}{replicas} {}",
                w.kind,
                w.namespace,
                metadata["name"]
                    .as_str()
                    .or(metadata["generateName"].as_str())
                    .unwrap_or("?"),
                w.pod["spec"]["containers"][0]["name"].as_str().unwrap_or("?"),
            )
        };
        found.workloads.iter().map(one).chain(found.others).collect()
    }

    #[test]
    fn every_kind_gives_its_pod() {
        let template = "{metadata: {labels: {a: b}}, spec: {containers: [{name: c}]}}";
        for (text, expected) in [
            (
                "kind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c}]}".to_owned(),
                "Pod default/p c",
            ),
            (
                format!(
                    "kind: Deployment\nmetadata: {{name: d, namespace: n}}\nspec: {{replicas: 3, template: {template}}}"
                ),
                "Deployment n/d- x3 c",
            ),
            (
                format!("kind: StatefulSet\nmetadata: {{name: d}}\nspec: {{template: {template}}}"),
                "StatefulSet default/d- x1 c",
            ),
            (
                format!("kind: DaemonSet\nmetadata: {{name: d}}\nspec: {{template: {template}}}"),
                "DaemonSet default/d- c",
            ),
            (
                format!("kind: Job\nmetadata: {{name: d}}\nspec: {{parallelism: 2, template: {template}}}"),
                "Job default/d- x2 c",
            ),
            (
                format!(
                    "kind: CronJob\nmetadata: {{name: d}}\nspec: {{jobTemplate: {{spec: {{template: {template}}}}}}}"
                ),
                "CronJob default/d- x1 c",
            ),
            (
                format!("kind: PodTemplate\nmetadata: {{name: d}}\ntemplate: {template}"),
                "PodTemplate default/d- c",
            ),
            (
                format!("kind: Rollout\nmetadata: {{name: d}}\nspec: {{replicas: 5, template: {template}}}"),
                "Rollout default/d- x5 c",
            ),
            ("kind: Service\nmetadata: {name: s}".to_owned(), "Service s"),
        ] {
            assert_eq!(pods(&text, None), [expected], "{text}");
        }
    }

    #[test]
    fn lists_and_documents_are_read_through() {
        let pod = |name: &str| format!("{{kind: Pod, metadata: {{name: {name}}}}}");
        let text = format!(
            "kind: List\nitems: [{}, {{kind: List, items: [{}]}}]\n---\nkind: PodList\nitems: [{{metadata: {{name: c}}}}]\n---\n",
            pod("a"),
            pod("b")
        );
        assert_eq!(
            pods(&text, None),
            ["Pod default/a ?", "Pod default/b ?", "Pod default/c ?"]
        );
    }

    #[test]
    fn the_namespace_is_the_objects_or_the_flags() {
        let text = "kind: Pod\nmetadata: {name: p, namespace: n}";
        assert_eq!(pods(text, Some("n")), ["Pod n/p ?"]);
        assert_eq!(pods("kind: Pod\nmetadata: {name: p}", Some("m")), ["Pod m/p ?"]);
        let error = format!("{:#}", read("f", text, Some("m")).unwrap_err());
        assert!(
            error.starts_with("f: Pod p: the namespace from the provided object \"n\" does not match"),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_object_is_named_with_its_place() {
        for (text, words) in [
            ("hello", "f: not a Kubernetes object: it has no fields"),
            ("a: b", "f: not a Kubernetes object: it has no kind"),
            ("kind: Pod\n---\n[1]", "f: document 2: not a Kubernetes object"),
            (
                "kind: List\nitems: [{kind: Pod}, 7]",
                "f: items[1]: not a Kubernetes object",
            ),
            (
                "kind: Deployment\nmetadata: {name: d}",
                "f: Deployment d holds no pod: spec.template is missing",
            ),
            (
                "kind: Deployment\nmetadata: {name: d}\nspec: {template: 7}",
                "f: Deployment d holds no pod: spec.template is missing or has no containers",
            ),
            ("kind: Pod\nmetadata: 7", "f: Pod : metadata has no fields"),
            ("a: [1", "f: line 1, column"),
        ] {
            let error = format!("{:#}", read("f", text, None).unwrap_err());
            assert!(error.starts_with(words), "{text}: {error}");
        }
    }
}
