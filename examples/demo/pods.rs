//! The pods to send: the examples, and recorded requests of a real kube-apiserver.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use apportion_core::k8s::manifest;
use serde_json::{Value, json};

pub(crate) struct Pod {
    /// The name of its file, without extension.
    pub(crate) source: String,
    pub(crate) namespace: String,
    /// The `AdmissionReview` to send.
    pub(crate) review: Value,
}

/// Returns all pods, the examples first.
pub(crate) fn all() -> anyhow::Result<Vec<Pod>> {
    let mut pods = Vec::new();
    for file in files("examples/pods", "yaml")? {
        let text = std::fs::read_to_string(&file)?;
        for document in manifest::documents(&text).with_context(|| file.display().to_string())? {
            // The webhook never sees workloads, only their pods. Workloads are for `apportion explain`.
            if document["kind"] == "Pod" {
                pods.push(example(&file, document));
            }
        }
    }
    for file in files("tests/data/recorded/admission", "json")? {
        let review: Value = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
        let request = &review["request"];
        if request["kind"]["kind"] == "Pod" && request["operation"] == "CREATE" {
            let namespace = request["namespace"].as_str().unwrap_or_default().to_owned();
            pods.push(Pod {
                source: name(&file),
                namespace,
                review,
            });
        }
    }
    Ok(pods)
}

fn files(directory: &str, extension: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory)
        .with_context(|| format!("cannot read {directory}"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|found| found == extension));
    files.sort();
    Ok(files)
}

fn name(file: &Path) -> String {
    file.file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Returns the review that kube-apiserver would send for a manifest. Before admission, it sets
/// missing requests to the limits.
fn example(file: &Path, mut pod: Value) -> Pod {
    for list in ["containers", "initContainers"] {
        for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
            let Some(limits) = container["resources"]["limits"].as_object().cloned() else {
                continue;
            };
            let mut requests = container["resources"]["requests"]
                .as_object()
                .cloned()
                .unwrap_or_default();
            for (key, value) in limits {
                requests.entry(key).or_insert(value);
            }
            container["resources"]["requests"] = Value::Object(requests);
        }
    }
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or("default").to_owned();
    let kind = json!({ "group": "", "version": "v1", "kind": "Pod" });
    let resource = json!({ "group": "", "version": "v1", "resource": "pods" });
    let review = json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": format!("demo-{}", name(file)),
            "kind": kind,
            "resource": resource,
            "requestKind": kind,
            "requestResource": resource,
            "name": pod["metadata"]["name"],
            "namespace": namespace,
            "operation": "CREATE",
            "userInfo": { "username": "demo" },
            "object": pod,
            "oldObject": null,
            "dryRun": false,
        }
    });
    Pod {
        source: name(file),
        namespace,
        review,
    }
}
