//! Pods and their containers.

use std::fmt;

use serde_json::{Value, json};

use crate::json::{entry, push};

const REQUIRED_TERMS: &str =
    "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms";

/// A pod. `Display` prints its JSON.
#[derive(Clone, Debug)]
pub struct Pod(Value);

impl Pod {
    /// A pod without containers.
    pub fn new(name: &str) -> Self {
        Pod(json!({"metadata": {"name": name}, "spec": {"containers": []}}))
    }

    /// Sets the namespace.
    #[must_use]
    pub fn namespace(self, namespace: &str) -> Self {
        self.set("/metadata/namespace", namespace)
    }

    /// Sets the UID.
    #[must_use]
    pub fn uid(self, uid: &str) -> Self {
        self.set("/metadata/uid", uid)
    }

    /// Sets a label.
    #[must_use]
    pub fn label(self, key: &str, value: &str) -> Self {
        self.set(&format!("/metadata/labels/{}", key.replace('/', "~1")), value)
    }

    /// Sets an annotation.
    #[must_use]
    pub fn annotation(self, key: &str, value: &str) -> Self {
        self.set(&format!("/metadata/annotations/{}", key.replace('/', "~1")), value)
    }

    /// Declares the GPU memory that each share needs, by annotation.
    #[must_use]
    pub fn gpu_memory(self, quantity: &str) -> Self {
        self.annotation("apportion.dev/gpu-memory", quantity)
    }

    /// Adds a container.
    #[must_use]
    pub fn container(mut self, container: Container) -> Self {
        push(&mut self.0, "/spec/containers", container.0);
        self
    }

    /// Adds an init container, or a sidecar (see [`Container::sidecar`]).
    #[must_use]
    pub fn init_container(mut self, container: Container) -> Self {
        push(&mut self.0, "/spec/initContainers", container.0);
        self
    }

    /// Adds an ephemeral container.
    #[must_use]
    pub fn ephemeral_container(mut self, container: Container) -> Self {
        push(&mut self.0, "/spec/ephemeralContainers", container.0);
        self
    }

    /// Binds the pod to a node.
    #[must_use]
    pub fn on_node(self, node: &str) -> Self {
        self.set("/spec/nodeName", node)
    }

    /// Requires a node label by `nodeSelector`.
    #[must_use]
    pub fn node_selector(self, key: &str, value: &str) -> Self {
        self.set(&format!("/spec/nodeSelector/{}", key.replace('/', "~1")), value)
    }

    /// Adds an alternative (`nodeSelectorTerm`) to the required node affinity. See [`requirement`].
    #[must_use]
    pub fn node_affinity_term(self, expressions: &[Value]) -> Self {
        self.node_affinity_json(json!({"matchExpressions": expressions}))
    }

    /// Adds an alternative to the required node affinity as JSON, for terms that are empty or have
    /// `matchFields`.
    #[must_use]
    pub fn node_affinity_json(mut self, term: Value) -> Self {
        push(&mut self.0, REQUIRED_TERMS, term);
        self
    }

    /// Adds a toleration of every taint with this key.
    #[must_use]
    pub fn tolerate(mut self, key: &str) -> Self {
        push(
            &mut self.0,
            "/spec/tolerations",
            json!({"key": key, "operator": "Exists"}),
        );
        self
    }

    /// Mounts a path of the node, as volume `v`.
    #[must_use]
    pub fn host_path(mut self, path: &str) -> Self {
        push(
            &mut self.0,
            "/spec/volumes",
            json!({"name": "v", "hostPath": {"path": path}}),
        );
        self
    }

    /// Sets the priority.
    #[must_use]
    pub fn priority(self, priority: i32) -> Self {
        self.set("/spec/priority", priority)
    }

    /// Sets the phase: `Pending`, `Running`, `Succeeded` or `Failed`.
    #[must_use]
    pub fn phase(self, phase: &str) -> Self {
        self.set("/status/phase", phase)
    }

    /// Marks the pod as being deleted.
    #[must_use]
    pub fn terminating(self) -> Self {
        self.set("/metadata/deletionTimestamp", "2026-01-01T00:00:00Z")
    }

    /// Sets any field, by JSON pointer.
    #[must_use]
    pub fn set(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        *entry(&mut self.0, pointer) = value.into();
        self
    }
}

impl From<Pod> for Value {
    fn from(pod: Pod) -> Value {
        pod.0
    }
}

impl fmt::Display for Pod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A container.
#[derive(Clone, Debug)]
pub struct Container(Value);

impl Container {
    /// A container without resources.
    pub fn new(name: &str) -> Self {
        Container(json!({"name": name}))
    }

    /// Sets a limit. A quantity may be a number or a string, as in Kubernetes.
    #[must_use]
    pub fn limit(self, resource: &str, quantity: impl Into<Value>) -> Self {
        self.set(&format!("/resources/limits/{}", resource.replace('/', "~1")), quantity)
    }

    /// Sets a request.
    #[must_use]
    pub fn request(self, resource: &str, quantity: impl Into<Value>) -> Self {
        self.set(
            &format!("/resources/requests/{}", resource.replace('/', "~1")),
            quantity,
        )
    }

    /// Sets the limit and the request, as the API server does for an extended resource that has a
    /// limit only.
    #[must_use]
    pub fn resource(self, resource: &str, quantity: impl Into<Value>) -> Self {
        let quantity = quantity.into();
        self.limit(resource, quantity.clone()).request(resource, quantity)
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        push(&mut self.0, "/env", json!({"name": name, "value": value}));
        self
    }

    /// Makes an init container a sidecar.
    #[must_use]
    pub fn sidecar(self) -> Self {
        self.set("/restartPolicy", "Always")
    }

    /// Sets any field, by JSON pointer.
    #[must_use]
    pub fn set(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        *entry(&mut self.0, pointer) = value.into();
        self
    }
}

/// A node selector requirement (`matchExpressions` entry).
pub fn requirement(key: &str, operator: &str, values: &[&str]) -> Value {
    json!({"key": key, "operator": operator, "values": values})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_with_every_part_has_the_fields_of_kubernetes() {
        let pod = Pod::new("p")
            .label("app.kubernetes.io/name", "x")
            .gpu_memory("8Gi")
            .init_container(Container::new("s").sidecar().env("A", "b"))
            .container(Container::new("c").resource("nvidia.com/gpu", "1"))
            .ephemeral_container(Container::new("e"))
            .node_selector("zone", "a")
            .node_affinity_term(&[requirement("zone", "In", &["a", "b"])])
            .node_affinity_json(json!({}))
            .tolerate("team")
            .host_path("/dev")
            .on_node("n")
            .priority(7)
            .phase("Running");
        assert_eq!(
            Value::from(pod),
            json!({
                "metadata": {
                    "name": "p",
                    "labels": {"app.kubernetes.io/name": "x"},
                    "annotations": {"apportion.dev/gpu-memory": "8Gi"},
                },
                "spec": {
                    "initContainers": [
                        {"name": "s", "restartPolicy": "Always", "env": [{"name": "A", "value": "b"}]},
                    ],
                    "containers": [
                        {"name": "c", "resources": {"limits": {"nvidia.com/gpu": "1"}, "requests": {"nvidia.com/gpu": "1"}}},
                    ],
                    "ephemeralContainers": [{"name": "e"}],
                    "nodeSelector": {"zone": "a"},
                    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                        {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a", "b"]}]},
                        {},
                    ]}}},
                    "tolerations": [{"key": "team", "operator": "Exists"}],
                    "volumes": [{"name": "v", "hostPath": {"path": "/dev"}}],
                    "nodeName": "n",
                    "priority": 7,
                },
                "status": {"phase": "Running"},
            })
        );
    }
}
