//! Ways to reach the GPUs of a node without a GPU request.
//!
//! The NVIDIA container runtime gives a container the devices that the variable
//! `NVIDIA_VISIBLE_DEVICES` names, even if the image sets it: CUDA images set it to `all`. The
//! kubelet puts the variables of the pod after those of the device plugin
//! (`GenerateRunContainerOptions` in Kubernetes' `pkg/kubelet/kubelet_pods.go`), so a container
//! with a GPU can select more GPUs too. The other ways bypass any runtime: device files, the
//! sockets of runtimes, the processes of the node.

use super::demand::container_counts;
use super::names::{
    DEVICE_ANNOTATION_DOMAINS, DEVICE_HOST_PATHS, DEVICE_MOUNT_ROOT, DEVICE_SELECTION_VARIABLES, HARMLESS_DEVICES,
    MPS_VARIABLE_PREFIX, NO_VISIBLE_DEVICES, VISIBLE_DEVICES,
};
use crate::diagnostics::excerpt;
use crate::k8s::volume::{is_within, normalize_path};
use crate::k8s::{Container, ContainerKind, Pod};

/// A policy can deny each kind separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BypassKind {
    /// A container without a GPU request does not set `NVIDIA_VISIBLE_DEVICES`, so its image may.
    Image,
    /// A variable that selects GPUs or configures access to the MPS daemon.
    EnvVar,
    /// In a container with a GPU request, an `envFrom` that could set such a variable.
    EnvFrom,
    /// An annotation that makes runtimes inject devices.
    Annotation,
    /// A container with the rights of root on the node.
    Privileged,
    /// A path of the node with devices, or with the sockets and files of services that hand them
    /// out.
    HostPath,
    /// A mount that requests devices from the NVIDIA runtime.
    DeviceMount,
    /// `hostPID` or `hostIPC`.
    HostNamespace,
    /// `nodeName` in a new pod, which bypasses the scheduler.
    NodeName,
}

/// Kept for every GPU pod that has any, so it is small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuBypass {
    pub kind: BypassKind,
    /// The kind of the container and its index in its list; `None` for a field of the pod.
    pub container: Option<(ContainerKind, u32)>,
    /// The index in a list of the container or of the pod, such as `env`.
    index: u32,
    /// A variable's name, a path, a field of the spec, and so on, depending on the kind.
    pub name: Box<str>,
}

impl GpuBypass {
    /// Such as `spec.containers[0].env[1]`.
    pub fn field(&self) -> String {
        let index = self.index;
        let container = self
            .container
            .map_or_else(String::new, |(kind, index)| kind.field(index as usize));
        match self.kind {
            BypassKind::Image => format!("{container}.env"),
            BypassKind::EnvVar => format!("{container}.env[{index}]"),
            BypassKind::EnvFrom => format!("{container}.envFrom[{index}]"),
            BypassKind::Annotation => format!("metadata.annotations[{}]", excerpt(&self.name)),
            BypassKind::Privileged if &*self.name == PRIVILEGED => format!("{container}.securityContext.privileged"),
            BypassKind::Privileged => format!("{container}.securityContext.capabilities.add[{index}]"),
            BypassKind::HostPath => format!("spec.volumes[{index}].hostPath.path"),
            BypassKind::DeviceMount => format!("{container}.volumeMounts[{index}].mountPath"),
            BypassKind::HostNamespace => format!("spec.{}", self.name),
            BypassKind::NodeName => "spec.nodeName".to_owned(),
        }
    }
}

/// The name of the bypass for a privileged container. A capability has its own name.
const PRIVILEGED: &str = "privileged";

/// Capabilities that amount to root on the node. The NVIDIA runtime also treats a container with
/// `SYS_ADMIN` as privileged (nvidia-container-toolkit `internal/config/image/privileged.go`).
const ROOT_CAPABILITIES: &[&str] = &["ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO"];

/// All bypasses of a pod except [`node_name`], which only counts in a new pod.
pub fn gpu_bypasses(pod: &Pod<'_>) -> Vec<GpuBypass> {
    let mut bypasses = Vec::new();
    let mut add = |kind, index, name: &str| bypasses.push(bypass(kind, None, index, name));
    for (key, _) in pod.metadata.annotations.iter() {
        let domain = key.split_once('/').map_or(&**key, |(domain, _)| domain);
        if DEVICE_ANNOTATION_DOMAINS.contains(&domain) {
            add(BypassKind::Annotation, 0, key);
        }
    }
    for (shared, field) in [(pod.spec.host_pid, "hostPID"), (pod.spec.host_ipc, "hostIPC")] {
        if shared == Some(true) {
            add(BypassKind::HostNamespace, 0, field);
        }
    }
    for (index, volume) in pod.spec.volumes.iter().enumerate() {
        if let Some(path) = &volume.host_path
            && exposes_devices(&normalize_path(&path.path))
        {
            add(BypassKind::HostPath, index, &path.path);
        }
    }
    for (kind, index, container) in pod.spec.all_containers() {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        add_container_bypasses(container, (kind, index), &mut bypasses);
    }
    bypasses
}

/// The bypass of a new pod that names its node: the kubelet gives it the GPUs it requests, although
/// no scheduler counted them. A pod without GPU requests gains nothing from it.
pub fn node_name(pod: &Pod<'_>) -> Option<GpuBypass> {
    let node = pod.spec.assigned_node()?;
    let requests_gpu = pod.spec.containers().any(|(.., container)| requests_gpu(container));
    requests_gpu.then(|| bypass(BypassKind::NodeName, None, 0, node))
}

fn add_container_bypasses(container: &Container<'_>, place: (ContainerKind, u32), bypasses: &mut Vec<GpuBypass>) {
    let mut add = |kind, index, name: &str| bypasses.push(bypass(kind, Some(place), index, name));
    for (index, variable) in container.env.iter().enumerate() {
        let harmless = variable
            .literal()
            .is_some_and(|value| NO_VISIBLE_DEVICES.contains(&value));
        let is_bypass = DEVICE_SELECTION_VARIABLES.contains(&&*variable.name) && !harmless
            || variable.name.starts_with(MPS_VARIABLE_PREFIX);
        if is_bypass {
            add(BypassKind::EnvVar, index, &variable.name);
        }
    }
    if requests_gpu(container) {
        for (index, source) in container.env_from.iter().enumerate() {
            if could_select_gpus(&source.prefix) {
                add(BypassKind::EnvFrom, index, &source.prefix);
            }
        }
    } else if !container.env.iter().any(|variable| &*variable.name == VISIBLE_DEVICES) {
        add(BypassKind::Image, 0, "");
    }
    if container.security_context.privileged == Some(true) {
        add(BypassKind::Privileged, 0, PRIVILEGED);
    }
    for (index, capability) in container.security_context.capabilities.add.iter().enumerate() {
        let name = capability.to_ascii_uppercase();
        if ROOT_CAPABILITIES.contains(&name.strip_prefix("CAP_").unwrap_or(&name)) {
            add(BypassKind::Privileged, index, capability);
        }
    }
    for (index, mount) in container.volume_mounts.iter().enumerate() {
        // The runtime compares prefixes, not whole path components (nvidia-container-toolkit
        // `requestsFromMounts`).
        if normalize_path(&mount.mount_path).starts_with(DEVICE_MOUNT_ROOT) {
            add(BypassKind::DeviceMount, index, &mount.mount_path);
        }
    }
}

fn bypass(kind: BypassKind, container: Option<(ContainerKind, u32)>, index: usize, name: &str) -> GpuBypass {
    GpuBypass {
        kind,
        container,
        index: u32::try_from(index).unwrap_or(u32::MAX),
        name: name.into(),
    }
}

/// Whether the container requests GPUs, so that the device plugin sets the GPUs it sees. A
/// container whose requests cannot be parsed is rejected for that anyway.
fn requests_gpu(container: &Container<'_>) -> bool {
    container_counts(container).map_or(true, |counts| !counts.is_empty())
}

/// Whether this prefix and some key could form the name of a variable that selects GPUs.
fn could_select_gpus(prefix: &str) -> bool {
    DEVICE_SELECTION_VARIABLES.iter().any(|name| name.starts_with(prefix))
        || MPS_VARIABLE_PREFIX.starts_with(prefix)
        || prefix.starts_with(MPS_VARIABLE_PREFIX)
}

/// Whether a path of the node is, contains, or lies below a path that exposes devices.
fn exposes_devices(path: &str) -> bool {
    let overlaps = |root: &&str| is_within(path, root) || is_within(root, path);
    DEVICE_HOST_PATHS.iter().any(overlaps) && !HARMLESS_DEVICES.iter().any(|harmless| is_within(path, harmless))
}

#[cfg(test)]
mod tests {
    use apportion_testing::{Container, Pod};
    use serde_json::{Value, json};

    use super::*;

    fn found(pod: &Pod) -> Vec<String> {
        let json = pod.to_string();
        let pod: super::Pod<'_> = serde_json::from_str(&json).unwrap();
        let bypasses = gpu_bypasses(&pod).into_iter().chain(node_name(&pod));
        bypasses
            .map(|bypass| format!("{:?} {}", bypass.kind, bypass.field()))
            .collect()
    }

    fn pod() -> Pod {
        Pod::new("p")
    }

    /// A container that requests a GPU.
    fn gpu() -> Container {
        Container::new("c").limit("nvidia.com/gpu", 1)
    }

    #[test]
    fn variables_that_select_devices_are_bypasses() {
        const DEVICES: &str = "NVIDIA_VISIBLE_DEVICES";
        let first = "EnvVar spec.containers[0].env[0]";
        let second = "EnvVar spec.containers[0].env[1]";
        let config_map_key = json!([{"name": DEVICES, "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]);
        for (container, bypasses) in [
            (gpu().env("A", "b").env(DEVICES, "all"), vec![second]),
            (gpu().set("/env", config_map_key), vec![first]),
            (gpu().env(DEVICES, "$(A)"), vec![first]),
            // The later of two variables with the same name wins, but no pod needs both.
            (gpu().env(DEVICES, "all").env(DEVICES, "void"), vec![first]),
            (
                gpu()
                    .env("CUDA_MPS_PIPE_DIRECTORY", "/x")
                    .env("NVIDIA_IMEX_CHANNELS", "0"),
                vec![first, second],
            ),
            (gpu().env(DEVICES, "void").env(DEVICES, "none"), vec![]),
            (gpu().set("/env", json!([{"name": DEVICES}])), vec![]),
            // These only narrow the selection, or select libraries.
            (
                gpu()
                    .env("CUDA_VISIBLE_DEVICES", "0")
                    .env("NVIDIA_DRIVER_CAPABILITIES", "all")
                    .env("nvidia_visible_devices", "all"),
                vec![],
            ),
        ] {
            let pod = pod().container(container);
            assert_eq!(found(&pod), bypasses, "{pod}");
        }
    }

    #[test]
    fn sources_of_variables_are_bypasses_unless_their_prefix_excludes_devices() {
        let prefixes = |prefixes: &[&str]| prefixes.iter().map(|prefix| json!({"prefix": prefix})).collect();
        for (sources, bypasses) in [
            (
                json!([{"prefix": "APP_", "configMapRef": {"name": "a"}}, {"secretRef": {"name": "b"}}]),
                vec!["EnvFrom spec.containers[0].envFrom[1]"],
            ),
            (
                prefixes(&["NVIDIA_", "CUDA_MPS_PIPE_", "C"]),
                vec![
                    "EnvFrom spec.containers[0].envFrom[0]",
                    "EnvFrom spec.containers[0].envFrom[1]",
                    "EnvFrom spec.containers[0].envFrom[2]",
                ],
            ),
            (prefixes(&["NVIDIA_VISIBLE_DEVICES_", "CUDA_HOME"]), vec![]),
        ] {
            let pod = pod().container(gpu().set("/envFrom", sources));
            assert_eq!(found(&pod), bypasses, "{pod}");
        }
    }

    #[test]
    fn containers_without_gpus_must_not_leave_the_variable_to_their_image() {
        let from_config_map = json!([{"configMapRef": {"name": "a"}}]);
        let pod = pod()
            .init_container(Container::new("i"))
            .container(Container::new("c").set("/envFrom", from_config_map))
            .container(Container::new("d").env("NVIDIA_VISIBLE_DEVICES", "void"))
            .container(Container::new("e").limit("nvidia.com/gpu", "0"))
            .ephemeral_container(Container::new("debug"));
        assert_eq!(
            found(&pod),
            [
                "Image spec.initContainers[0].env",
                "Image spec.containers[0].env",
                "Image spec.containers[2].env",
                "Image spec.ephemeralContainers[0].env"
            ]
        );
    }

    #[test]
    fn host_paths_to_devices_are_bypasses() {
        for (path, exposes) in [
            ("/dev", true),
            ("/dev/nvidia0", true),
            ("/dev/char", true),
            ("//dev/./nvidia-uvm", true),
            ("/", true),
            ("/run", true),
            ("/var", true),
            ("/var/run/containerd/containerd.sock", true),
            ("/run/crio/crio.sock", true),
            ("/var/lib/kubelet/device-plugins", true),
            ("/var/lib/kubelet/pod-resources/kubelet.sock", true),
            ("/proc/1/root", true),
            ("/sys/fs/cgroup", true),
            ("/run/nvidia/mps", true),
            ("/etc", true),
            ("/var/log", false),
            ("/var/log/pods", false),
            ("/data/models", false),
            ("/etc/localtime", false),
            ("/etc/ssl/certs", false),
            ("/usr/share/zoneinfo", false),
            ("/dev/shm", false),
            ("/dev/infiniband", false),
            ("/dev/shmoo", true),
            ("/development", false),
            ("/mnt/dev", false),
            ("/run/user", false),
        ] {
            let expected: &[&str] = if exposes {
                &["HostPath spec.volumes[1].hostPath.path"]
            } else {
                &[]
            };
            let pod = pod()
                .set("/spec/volumes", json!([{"name": "e", "emptyDir": {}}]))
                .host_path(path);
            assert_eq!(found(&pod), expected, "{path}");
        }
    }

    #[test]
    fn security_contexts_that_grant_devices_are_bypasses() {
        let add = |capabilities: &[&str]| json!({"capabilities": {"add": capabilities, "drop": ["ALL"]}});
        for (context, bypasses) in [
            (
                json!({"privileged": true}),
                vec!["Privileged spec.containers[0].securityContext.privileged"],
            ),
            (json!({"privileged": false}), vec![]),
            (add(&["NET_ADMIN", "SYS_PTRACE", "IPC_LOCK"]), vec![]),
            (
                add(&["NET_ADMIN", "CAP_SYS_ADMIN"]),
                vec!["Privileged spec.containers[0].securityContext.capabilities.add[1]"],
            ),
        ] {
            let pod = pod().container(gpu().set("/securityContext", context));
            assert_eq!(found(&pod), bypasses, "{pod}");
        }
    }

    #[test]
    fn host_namespaces_device_mounts_and_device_annotations_are_bypasses() {
        let mounts = json!([
            {"name": "n", "mountPath": "/data"},
            {"name": "n", "mountPath": "/var/run/nvidia-container-devices/all"},
        ]);
        for (pod, bypasses) in [
            (
                pod().container(gpu().set("/volumeMounts", mounts)),
                vec!["DeviceMount spec.containers[0].volumeMounts[1].mountPath"],
            ),
            (
                pod()
                    .set("/spec/hostPID", true)
                    .set("/spec/hostIPC", true)
                    .set("/spec/hostNetwork", true),
                vec!["HostNamespace spec.hostPID", "HostNamespace spec.hostIPC"],
            ),
            (
                pod()
                    .annotation("nvidia.cdi.k8s.io/container.c", "nvidia.com/gpu=all")
                    .annotation("cdi.k8s.io/x", "y")
                    .annotation("prometheus.io/scrape", "true"),
                vec![
                    "Annotation metadata.annotations[cdi.k8s.io/x]",
                    "Annotation metadata.annotations[nvidia.cdi.k8s.io/container.c]",
                ],
            ),
        ] {
            assert_eq!(found(&pod), bypasses, "{pod}");
        }
    }

    #[test]
    fn a_node_name_is_a_bypass_only_in_a_pod_with_gpus() {
        assert_eq!(found(&pod().on_node("n").container(gpu())), ["NodeName spec.nodeName"]);
        assert!(found(&pod().on_node("n")).is_empty());
    }

    #[test]
    fn null_fields_are_no_bypasses() {
        let container = ["/env", "/envFrom", "/volumeMounts", "/securityContext"]
            .iter()
            .fold(gpu(), |container, field| container.set(field, Value::Null));
        let pod = pod()
            .container(container)
            .set("/spec/volumes", Value::Null)
            .set("/spec/ephemeralContainers", Value::Null);
        assert!(found(&pod).is_empty());
    }
}
