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
    use super::*;

    fn found(spec: &str) -> Vec<String> {
        let pod: Pod<'_> = serde_json::from_str(spec).unwrap();
        let bypasses = gpu_bypasses(&pod).into_iter().chain(node_name(&pod));
        bypasses
            .map(|bypass| format!("{:?} {}", bypass.kind, bypass.field()))
            .collect()
    }

    /// A pod with one container that requests a GPU and has these fields.
    fn with_gpu(fields: &str) -> String {
        format!(
            r#"{{"spec":{{"containers":[{{"name":"c","resources":{{"limits":{{"nvidia.com/gpu":1}}}}{fields}}}]}}}}"#
        )
    }

    #[test]
    fn variables_that_select_devices_are_bypasses() {
        for (fields, bypasses) in [
            (
                r#","env":[{"name":"A","value":"b"},{"name":"NVIDIA_VISIBLE_DEVICES","value":"all"}]"#,
                vec!["EnvVar spec.containers[0].env[1]"],
            ),
            (
                r#","env":[{"name":"NVIDIA_VISIBLE_DEVICES","valueFrom":{"configMapKeyRef":{"name":"c","key":"k"}}}]"#,
                vec!["EnvVar spec.containers[0].env[0]"],
            ),
            (
                r#","env":[{"name":"NVIDIA_VISIBLE_DEVICES","value":"$(A)"}]"#,
                vec!["EnvVar spec.containers[0].env[0]"],
            ),
            // The later of two variables with the same name wins, but no pod needs both.
            (
                r#","env":[{"name":"NVIDIA_VISIBLE_DEVICES","value":"all"},{"name":"NVIDIA_VISIBLE_DEVICES","value":"void"}]"#,
                vec!["EnvVar spec.containers[0].env[0]"],
            ),
            (
                r#","env":[{"name":"CUDA_MPS_PIPE_DIRECTORY","value":"/x"},{"name":"NVIDIA_IMEX_CHANNELS","value":"0"}]"#,
                vec!["EnvVar spec.containers[0].env[0]", "EnvVar spec.containers[0].env[1]"],
            ),
            (
                r#","env":[{"name":"NVIDIA_VISIBLE_DEVICES","value":"void"},{"name":"NVIDIA_VISIBLE_DEVICES","value":"none"},{"name":"NVIDIA_VISIBLE_DEVICES"}]"#,
                vec![],
            ),
            // These only narrow the selection, or select libraries.
            (
                r#","env":[{"name":"CUDA_VISIBLE_DEVICES","value":"0"},{"name":"NVIDIA_DRIVER_CAPABILITIES","value":"all"},{"name":"nvidia_visible_devices","value":"all"}]"#,
                vec![],
            ),
            (
                r#","envFrom":[{"prefix":"APP_","configMapRef":{"name":"a"}},{"secretRef":{"name":"b"}}]"#,
                vec!["EnvFrom spec.containers[0].envFrom[1]"],
            ),
            (
                r#","envFrom":[{"prefix":"NVIDIA_"},{"prefix":"CUDA_MPS_PIPE_"},{"prefix":"C"}]"#,
                vec![
                    "EnvFrom spec.containers[0].envFrom[0]",
                    "EnvFrom spec.containers[0].envFrom[1]",
                    "EnvFrom spec.containers[0].envFrom[2]",
                ],
            ),
            (
                r#","envFrom":[{"prefix":"NVIDIA_VISIBLE_DEVICES_"},{"prefix":"CUDA_HOME"}]"#,
                vec![],
            ),
        ] {
            assert_eq!(found(&with_gpu(fields)), bypasses, "{fields}");
        }
    }

    #[test]
    fn containers_without_gpus_must_not_leave_the_variable_to_their_image() {
        let spec = r#"{"spec":{"initContainers":[{"name":"i"}],"containers":[{"name":"c","envFrom":[{"configMapRef":{"name":"a"}}]},{"name":"d","env":[{"name":"NVIDIA_VISIBLE_DEVICES","value":"void"}]},{"name":"e","resources":{"limits":{"nvidia.com/gpu":"0"}}}],"ephemeralContainers":[{"name":"debug"}]}}"#;
        assert_eq!(
            found(spec),
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
            let volumes = format!(
                r#"{{"spec":{{"volumes":[{{"name":"e","emptyDir":{{}}}},{{"name":"v","hostPath":{{"path":"{path}"}}}}]}}}}"#
            );
            let expected: &[&str] = if exposes {
                &["HostPath spec.volumes[1].hostPath.path"]
            } else {
                &[]
            };
            assert_eq!(found(&volumes), expected, "{path}");
        }
    }

    #[test]
    fn other_fields_are_bypasses() {
        for (json, bypasses) in [
            (with_gpu(r#","securityContext":{"privileged":true}"#), vec!["Privileged spec.containers[0].securityContext.privileged"]),
            (with_gpu(r#","securityContext":{"privileged":false,"capabilities":{"add":["NET_ADMIN","SYS_PTRACE","IPC_LOCK"],"drop":["ALL"]}}"#), vec![]),
            (with_gpu(r#","securityContext":{"capabilities":{"add":["NET_ADMIN","CAP_SYS_ADMIN"]}}"#), vec!["Privileged spec.containers[0].securityContext.capabilities.add[1]"]),
            (with_gpu(r#","volumeMounts":[{"name":"n","mountPath":"/data"},{"name":"n","mountPath":"/var/run/nvidia-container-devices/all"}]"#), vec!["DeviceMount spec.containers[0].volumeMounts[1].mountPath"]),
            (r#"{"spec":{"hostPID":true,"hostIPC":true,"hostNetwork":true}}"#.to_owned(), vec!["HostNamespace spec.hostPID", "HostNamespace spec.hostIPC"]),
            (r#"{"metadata":{"annotations":{"nvidia.cdi.k8s.io/container.c":"nvidia.com/gpu=all","cdi.k8s.io/x":"y","prometheus.io/scrape":"true"}}}"#.to_owned(), vec!["Annotation metadata.annotations[nvidia.cdi.k8s.io/container.c]", "Annotation metadata.annotations[cdi.k8s.io/x]"]),
            (with_gpu("").replace(r#""spec":{"#, r#""spec":{"nodeName":"n","#), vec!["NodeName spec.nodeName"]),
            (r#"{"spec":{"nodeName":"n","containers":[]}}"#.to_owned(), vec![]),
            (r#"{"spec":{"volumes":null,"ephemeralContainers":null,"containers":[{"env":null,"envFrom":null,"volumeMounts":null,"securityContext":null,"resources":{"limits":{"nvidia.com/gpu":1}}}]}}"#.to_owned(), vec![]),
        ] {
            assert_eq!(found(&json), bypasses, "{json}");
        }
    }
}
