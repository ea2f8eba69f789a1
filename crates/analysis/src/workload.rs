//! Reads manifests and finds the pods that their objects create.

use serde_json::{Value, json};

use apportion_core::k8s::manifest::{self, ManifestError};
use apportion_core::k8s::template;

/// An object that creates pods, with one of the pods that it creates.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The file that holds the object, as the user named it.
    pub source: String,
    pub kind: String,
    /// Empty if the name is still to be generated.
    pub name: String,
    /// How many such pods run at a time; `None` for a bare pod, and where the number of nodes
    /// decides.
    pub replicas: Option<u64>,
    pub namespace: String,
    /// The pod as its controller would send it to the API server.
    pub pod: Value,
}

/// The objects of a manifest.
#[derive(Debug, Default)]
pub struct Manifest {
    pub workloads: Vec<Workload>,
    /// Kind and name of each object that creates no pods.
    pub others: Vec<String>,
}

/// Why a manifest cannot be read. `place` is the file and, if it has several, the document or item.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    #[error("{file}: {error}")]
    Manifest { file: String, error: ManifestError },
    #[error("{place}: not a Kubernetes object: it has no fields")]
    NotAnObject { place: String },
    #[error("{place}: not a Kubernetes object: it has no kind; write `kind: Pod`, `kind: Deployment` or the like")]
    NoKind { place: String },
    /// The words are kubectl's.
    #[error(
        "{place}: {kind} {name}: the namespace from the provided object \"{own}\" does not match the namespace \"{requested}\". You must pass '--namespace={own}' to perform this operation."
    )]
    Namespace {
        place: String,
        kind: String,
        name: String,
        own: String,
        requested: String,
    },
    #[error("{place}: {kind} {name}: metadata is not an object")]
    Metadata { place: String, kind: String, name: String },
    #[error("{place}: {kind} {name} contains no pod: {path} is missing or has no containers")]
    NoPod {
        place: String,
        kind: String,
        name: String,
        path: String,
    },
}

/// Reads every document of `text`, which comes from the file `source`.
///
/// As in kubectl, `namespace` applies to objects that name none, and must not contradict the
/// others.
pub fn read(source: &str, text: &str, namespace: Option<&str>) -> Result<Manifest, WorkloadError> {
    let documents = manifest::documents(text).map_err(|error| WorkloadError::Manifest {
        file: source.to_owned(),
        error,
    })?;
    let mut manifest = Manifest::default();
    for (at, document) in documents.iter().enumerate() {
        let place = if documents.len() > 1 {
            format!("{source}: document {}", at + 1)
        } else {
            source.to_owned()
        };
        let mut reader = Reader {
            source,
            namespace,
            manifest: &mut manifest,
        };
        reader.object(document, None, &place)?;
    }
    Ok(manifest)
}

struct Reader<'r> {
    source: &'r str,
    namespace: Option<&'r str>,
    manifest: &'r mut Manifest,
}

impl Reader<'_> {
    /// Reads an object, or each object of a list. Items of a `PodList` may omit their kind.
    fn object(&mut self, object: &Value, kind_of_item: Option<&str>, place: &str) -> Result<(), WorkloadError> {
        if !object.is_object() {
            return Err(WorkloadError::NotAnObject {
                place: place.to_owned(),
            });
        }
        let kind = string_at(object, "/kind")
            .or(kind_of_item)
            .ok_or_else(|| WorkloadError::NoKind {
                place: place.to_owned(),
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
        let name = string_at(object, "/metadata/name").unwrap_or_default();
        let namespace = self
            .namespace(object)
            .map_err(|(own, requested)| WorkloadError::Namespace {
                place: place.to_owned(),
                kind: kind.to_owned(),
                name: name.to_owned(),
                own,
                requested,
            })?;
        let pods: Vec<Option<Value>> = if kind == "Pod" {
            vec![pod_in(object, &namespace)]
        } else {
            let templates = template::templates(kind, object).into_iter();
            templates
                .map(|template| template::pod_from_template(template, name, &namespace))
                .collect()
        };
        let pods: Vec<Value> = pods
            .into_iter()
            .collect::<Option<_>>()
            .ok_or_else(|| WorkloadError::Metadata {
                place: place.to_owned(),
                kind: kind.to_owned(),
                name: name.to_owned(),
            })?;
        if pods.is_empty() {
            if let Some(places) = template::template_paths(kind) {
                return Err(WorkloadError::NoPod {
                    place: place.to_owned(),
                    kind: kind.to_owned(),
                    name: name.to_owned(),
                    path: places[0].trim_start_matches('/').replace("/*", "[*]").replace('/', "."),
                });
            }
            self.manifest.others.push(format!("{kind} {name}"));
        }
        for pod in pods {
            self.manifest.workloads.push(Workload {
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

    /// The namespace of an object; on a contradiction, the object's own and the requested one.
    fn namespace(&self, object: &Value) -> Result<String, (String, String)> {
        let own = string_at(object, "/metadata/namespace").filter(|namespace| !namespace.is_empty());
        match (own, self.namespace) {
            (Some(own), Some(requested)) if own != requested => Err((own.to_owned(), requested.to_owned())),
            (own, requested) => Ok(own.or(requested).unwrap_or("default").to_owned()),
        }
    }
}

fn pod_in(object: &Value, namespace: &str) -> Option<Value> {
    let mut pod = object.clone();
    template::metadata_mut(pod.as_object_mut()?)?.insert("namespace".to_owned(), json!(namespace));
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

fn string_at<'v>(object: &'v Value, pointer: &str) -> Option<&'v str> {
    object.pointer(pointer).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(text: &str, namespace: Option<&str>) -> Vec<String> {
        let manifest = read("f", text, namespace).unwrap();
        let describe = |w: &Workload| {
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
        manifest.workloads.iter().map(describe).chain(manifest.others).collect()
    }

    #[test]
    fn each_workload_kind_yields_its_pod_template() {
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
    fn nested_lists_and_several_documents_are_read() {
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
    fn the_namespace_comes_from_the_object_or_the_flag() {
        let text = "kind: Pod\nmetadata: {name: p, namespace: n}";
        assert_eq!(pods(text, Some("n")), ["Pod n/p ?"]);
        assert_eq!(pods("kind: Pod\nmetadata: {name: p}", Some("m")), ["Pod m/p ?"]);
        let error = read("f", text, Some("m")).unwrap_err().to_string();
        assert!(
            error.starts_with("f: Pod p: the namespace from the provided object \"n\" does not match"),
            "{error}"
        );
    }

    #[test]
    fn errors_name_file_and_place() {
        for (text, expected) in [
            ("hello", "f: not a Kubernetes object: it has no fields"),
            ("a: b", "f: not a Kubernetes object: it has no kind"),
            ("kind: Pod\n---\n[1]", "f: document 2: not a Kubernetes object"),
            (
                "kind: List\nitems: [{kind: Pod}, 7]",
                "f: items[1]: not a Kubernetes object",
            ),
            (
                "kind: Deployment\nmetadata: {name: d}",
                "f: Deployment d contains no pod: spec.template is missing",
            ),
            (
                "kind: Deployment\nmetadata: {name: d}\nspec: {template: 7}",
                "f: Deployment d contains no pod: spec.template is missing or has no containers",
            ),
            ("kind: Pod\nmetadata: 7", "f: Pod : metadata is not an object"),
            ("a: [1", "f: line 1, column"),
        ] {
            let error = read("f", text, None).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
