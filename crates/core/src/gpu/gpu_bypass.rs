//! Side doors: ways to the GPUs of a node that need no GPU request.
//!
//! Where the NVIDIA container runtime is a node's runtime, it gives a container what the variable `NVIDIA_VISIBLE_DEVICES` names, the
//! image's own included: CUDA images say `all`. The kubelet puts the device plugin's variables first and the pod's behind them
//! (`GenerateRunContainerOptions` in Kubernetes' `pkg/kubelet/kubelet_pods.go`), so a container with a GPU can name more of them too. The
//! rest is what leads around any runtime: the devices themselves, the runtime's sockets, the node's own processes.

use super::demand::{container_counts, container_field};
use super::names::{
    DEVICE_ANNOTATIONS, DEVICE_MOUNTS, HARMLESS_DEVICES, MPS_VARIABLES, NODE_PATHS, RUNTIME_VARIABLES, VISIBLE_DEVICES,
    VISIBLE_NOTHING,
};
use crate::k8s::volume::{is_within, normal_path};
use crate::k8s::{Container, ContainerKind, Pod};

/// Kinds of side doors. A policy shuts them one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BypassKind {
    /// A container without a GPU request says nothing of GPUs, so that its image may.
    Image,
    /// A variable that names GPUs, or speaks to the MPS daemon.
    Variable,
    /// In a container with a GPU request, variables that are named elsewhere, and could be such.
    VariableSource,
    /// An annotation by which runtimes inject devices.
    Annotation,
    /// A container that may do what the node's root may.
    Privileged,
    /// A part of the node's file system that holds devices, or the sockets and files of those who hand them out.
    HostPath,
    /// A mount by which the NVIDIA runtime is asked for devices.
    DeviceMount,
    /// The processes or the shared memory of the node.
    HostNamespace,
    /// A node named by the pod itself, past the scheduler.
    NodeName,
}

/// One of them. Kept for every GPU pod that has any, so it is small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GpuBypass {
    /// Its kind.
    pub kind: BypassKind,
    /// The container that has it, by its list and its place there.
    pub container: Option<(ContainerKind, u32)>,
    /// Its place in a list of the container or of the pod.
    at: u32,
    /// What was found: a variable's name, a path, a field of the spec.
    pub found: Box<str>,
}

impl GpuBypass {
    /// The field to blame, as people write it.
    pub fn field(&self) -> String {
        let at = self.at;
        let own = match self.container {
            Some((kind, index)) => container_field(kind, index as usize),
            None => String::new(),
        };
        match self.kind {
            BypassKind::Image => format!("{own}.env"),
            BypassKind::Variable => format!("{own}.env[{at}]"),
            BypassKind::VariableSource => format!("{own}.envFrom[{at}]"),
            BypassKind::Annotation => format!("metadata.annotations[{}]", self.found),
            BypassKind::Privileged if &*self.found == PRIVILEGED => format!("{own}.securityContext.privileged"),
            BypassKind::Privileged => format!("{own}.securityContext.capabilities.add[{at}]"),
            BypassKind::HostPath => format!("spec.volumes[{at}].hostPath.path"),
            BypassKind::DeviceMount => format!("{own}.volumeMounts[{at}].mountPath"),
            BypassKind::HostNamespace => format!("spec.{}", self.found),
            BypassKind::NodeName => "spec.nodeName".to_owned(),
        }
    }
}

/// What a privileged container is found by, beside the names of capabilities.
const PRIVILEGED: &str = "privileged";

/// Capabilities that are the node's root by another name. `SYS_ADMIN` is also what the NVIDIA runtime takes for privileged
/// (nvidia-container-toolkit `internal/config/image/privileged.go`).
const ROOT_CAPABILITIES: &[&str] = &["ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO"];

/// The side doors of a pod, whatever node it is on.
pub fn gpu_bypasses(pod: &Pod<'_>) -> Vec<GpuBypass> {
    let mut doors = Vec::new();
    let mut of_pod = |kind, at, found: &str| doors.push(door(kind, None, at, found));
    for (key, _) in pod.metadata.annotations.iter() {
        let domain = key.split_once('/').map_or(&**key, |(domain, _)| domain);
        if DEVICE_ANNOTATIONS.contains(&domain) {
            of_pod(BypassKind::Annotation, 0, key);
        }
    }
    for (shared, field) in [(pod.spec.host_pid, "hostPID"), (pod.spec.host_ipc, "hostIPC")] {
        if shared == Some(true) {
            of_pod(BypassKind::HostNamespace, 0, field);
        }
    }
    for (at, volume) in pod.spec.volumes.iter().enumerate() {
        if let Some(path) = &volume.host_path
            && leads_to_devices(&normal_path(&path.path))
        {
            of_pod(BypassKind::HostPath, at, &path.path);
        }
    }
    for (kind, index, container) in pod.spec.all_containers() {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        of_container(container, (kind, index), &mut doors);
    }
    doors
}

/// The door that a pod opens by naming its node when it is made: the kubelet there gives it what it asks for, and nobody has counted.
/// A pod without GPU requests wins nothing by it.
pub fn node_name(pod: &Pod<'_>) -> Option<GpuBypass> {
    let node = pod.spec.bound_to()?;
    let asks = pod.spec.containers().any(|(.., container)| asks_for_gpu(container));
    asks.then(|| door(BypassKind::NodeName, None, 0, node))
}

fn of_container(container: &Container<'_>, place: (ContainerKind, u32), doors: &mut Vec<GpuBypass>) {
    let mut add = |kind, at, found: &str| doors.push(door(kind, Some(place), at, found));
    for (at, variable) in container.env.iter().enumerate() {
        let harmless = variable.literal().is_some_and(|value| VISIBLE_NOTHING.contains(&value));
        let guarded =
            RUNTIME_VARIABLES.contains(&&*variable.name) && !harmless || variable.name.starts_with(MPS_VARIABLES);
        if guarded {
            add(BypassKind::Variable, at, &variable.name);
        }
    }
    if asks_for_gpu(container) {
        for (at, source) in container.env_from.iter().enumerate() {
            if could_name_gpus(&source.prefix) {
                add(BypassKind::VariableSource, at, &source.prefix);
            }
        }
    } else if !container.env.iter().any(|variable| &*variable.name == VISIBLE_DEVICES) {
        add(BypassKind::Image, 0, "");
    }
    if container.security_context.privileged == Some(true) {
        add(BypassKind::Privileged, 0, PRIVILEGED);
    }
    for (at, capability) in container.security_context.capabilities.add.iter().enumerate() {
        let name = capability.to_ascii_uppercase();
        if ROOT_CAPABILITIES.contains(&name.strip_prefix("CAP_").unwrap_or(&name)) {
            add(BypassKind::Privileged, at, capability);
        }
    }
    for (at, mount) in container.volume_mounts.iter().enumerate() {
        // The runtime compares the beginning of the path, not whole names (nvidia-container-toolkit `requestsFromMounts`).
        if normal_path(&mount.mount_path).starts_with(DEVICE_MOUNTS) {
            add(BypassKind::DeviceMount, at, &mount.mount_path);
        }
    }
}

fn door(kind: BypassKind, container: Option<(ContainerKind, u32)>, at: usize, found: &str) -> GpuBypass {
    GpuBypass {
        kind,
        container,
        at: u32::try_from(at).unwrap_or(u32::MAX),
        found: found.into(),
    }
}

/// Whether the container asks for GPUs, so that the device plugin says which it sees. One whose counts can not be read is turned away for
/// that.
fn asks_for_gpu(container: &Container<'_>) -> bool {
    container_counts(container).map_or(true, |counts| !counts.is_empty())
}

/// Whether a key behind this prefix could make the name of a variable that names GPUs.
fn could_name_gpus(prefix: &str) -> bool {
    RUNTIME_VARIABLES.iter().any(|name| name.starts_with(prefix))
        || MPS_VARIABLES.starts_with(prefix)
        || prefix.starts_with(MPS_VARIABLES)
}

/// Whether a path of the node is, holds, or lies within what leads to devices.
fn leads_to_devices(path: &str) -> bool {
    let leads = |root: &&str| is_within(path, root) || is_within(root, path);
    NODE_PATHS.iter().any(leads) && !HARMLESS_DEVICES.iter().any(|harmless| is_within(path, harmless))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(spec: &str) -> Vec<String> {
        let pod: Pod<'_> = serde_json::from_str(spec).unwrap();
        let doors = gpu_bypasses(&pod).into_iter().chain(node_name(&pod));
        doors.map(|door| format!("{:?} {}", door.kind, door.field())).collect()
    }

    /// A pod with one container that asks for a GPU and holds these fields.
    fn with_gpu(fields: &str) -> String {
        format!(
            r#"{{"spec":{{"containers":[{{"name":"c","resources":{{"limits":{{"nvidia.com/gpu":1}}}}{fields}}}]}}}}"#
        )
    }

    #[test]
    fn variables() {
        for (fields, doors) in [
            (
                r#","env":[{"name":"A","value":"b"},{"name":"NVIDIA_VISIBLE_DEVICES","value":"all"}]"#,
                vec!["Variable spec.containers[0].env[1]"],
            ),
            (
                r#","env":[{"name":"NVIDIA_VISIBLE_DEVICES","valueFrom":{"configMapKeyRef":{"name":"c","key":"k"}}}]"#,
                vec!["Variable spec.containers[0].env[0]"],
            ),
            (
                r#","env":[{"name":"NVIDIA_VISIBLE_DEVICES","value":"$(A)"}]"#,
                vec!["Variable spec.containers[0].env[0]"],
            ),
            // Of two of one name the later counts, and nobody needs two.
            (
                r#","env":[{"name":"NVIDIA_VISIBLE_DEVICES","value":"all"},{"name":"NVIDIA_VISIBLE_DEVICES","value":"void"}]"#,
                vec!["Variable spec.containers[0].env[0]"],
            ),
            (
                r#","env":[{"name":"CUDA_MPS_PIPE_DIRECTORY","value":"/x"},{"name":"NVIDIA_IMEX_CHANNELS","value":"0"}]"#,
                vec![
                    "Variable spec.containers[0].env[0]",
                    "Variable spec.containers[0].env[1]",
                ],
            ),
            (
                r#","env":[{"name":"NVIDIA_VISIBLE_DEVICES","value":"void"},{"name":"NVIDIA_VISIBLE_DEVICES","value":"none"},{"name":"NVIDIA_VISIBLE_DEVICES"}]"#,
                vec![],
            ),
            // What narrows, and what chooses libraries.
            (
                r#","env":[{"name":"CUDA_VISIBLE_DEVICES","value":"0"},{"name":"NVIDIA_DRIVER_CAPABILITIES","value":"all"},{"name":"nvidia_visible_devices","value":"all"}]"#,
                vec![],
            ),
            (
                r#","envFrom":[{"prefix":"APP_","configMapRef":{"name":"a"}},{"secretRef":{"name":"b"}}]"#,
                vec!["VariableSource spec.containers[0].envFrom[1]"],
            ),
            (
                r#","envFrom":[{"prefix":"NVIDIA_"},{"prefix":"CUDA_MPS_PIPE_"},{"prefix":"C"}]"#,
                vec![
                    "VariableSource spec.containers[0].envFrom[0]",
                    "VariableSource spec.containers[0].envFrom[1]",
                    "VariableSource spec.containers[0].envFrom[2]",
                ],
            ),
            (
                r#","envFrom":[{"prefix":"NVIDIA_VISIBLE_DEVICES_"},{"prefix":"CUDA_HOME"}]"#,
                vec![],
            ),
        ] {
            assert_eq!(found(&with_gpu(fields)), doors, "{fields}");
        }
    }

    #[test]
    fn containers_without_gpus_say_so_or_leave_it_to_their_image() {
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
    fn paths_of_the_node() {
        for (path, leads) in [
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
            let expected: &[&str] = if leads {
                &["HostPath spec.volumes[1].hostPath.path"]
            } else {
                &[]
            };
            assert_eq!(found(&volumes), expected, "{path}");
        }
    }

    #[test]
    fn the_rest() {
        for (json, doors) in [
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
            assert_eq!(found(&json), doors, "{json}");
        }
    }
}
