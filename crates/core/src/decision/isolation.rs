//! What a policy does about GPU bypasses: which containers it hides GPUs from, and which pods it
//! rejects.

use super::model::Denial;
use crate::diagnostics::excerpt;
use crate::gpu::names::{MPS_VARIABLE_PREFIX, VISIBLE_DEVICES, VOID};
use crate::gpu::{BypassKind, GpuBypass};
use crate::k8s::ContainerKind;
use crate::policy::isolation::Isolation;

/// The bypasses of containers that must not see GPUs, but do not hide them on their own.
pub fn unhidden<'d>(isolation: &Isolation, bypasses: &'d [GpuBypass]) -> Vec<&'d GpuBypass> {
    let is_unhidden = |bypass: &&GpuBypass| bypass.kind == BypassKind::Image && isolation.blocks(bypass.kind);
    bypasses.iter().filter(is_unhidden).collect()
}

/// Why a pod with these bypasses is rejected.
pub fn denials(isolation: &Isolation, bypasses: &[GpuBypass]) -> Vec<Denial> {
    // An image is no reason to reject a pod: the webhook overrides its variable.
    let is_denied = |bypass: &&GpuBypass| bypass.kind != BypassKind::Image && isolation.blocks(bypass.kind);
    bypasses.iter().filter(is_denied).map(denial).collect()
}

/// What is wrong with a bypass, and how to fix it.
pub fn denial(bypass: &GpuBypass) -> Denial {
    let name = &*excerpt(&bypass.name);
    let is_ephemeral = matches!(bypass.container, Some((ContainerKind::Ephemeral, _)));
    let request_gpu = if is_ephemeral {
        "remove it; only containers that a pod is created with can get GPUs"
    } else {
        "remove it and ask for nvidia.com/gpu in resources.limits; the container then sees the GPUs it gets"
    };
    let (reason, hint) = match bypass.kind {
        BypassKind::Image => (
            format!("asks for no GPU but may see those that its image names: {VISIBLE_DEVICES}={VOID} is missing"),
            "delete the pod; its controller creates another, which the webhook rewrites",
        ),
        BypassKind::EnvVar if name.starts_with(MPS_VARIABLE_PREFIX) => (
            format!("sets {name}, which only the node may set"),
            "remove it; the device plugin sets the daemon and the limits of a container with an MPS share",
        ),
        BypassKind::EnvVar => (
            format!("sets {name}, which can select devices that the container was not allocated"),
            request_gpu,
        ),
        BypassKind::EnvFrom if name.is_empty() => (
            format!("may set any variable of a container with a GPU, including {VISIBLE_DEVICES}"),
            "give it a prefix, such as APP_, or list the keys in env with valueFrom",
        ),
        BypassKind::EnvFrom => (
            format!("with the prefix {name} may set {VISIBLE_DEVICES} or a similar variable of a container with a GPU"),
            "give it another prefix, such as APP_, or list the keys in env with valueFrom",
        ),
        BypassKind::Annotation => (
            "asks the container runtime for devices, bypassing the scheduler".to_owned(),
            "remove it and ask for nvidia.com/gpu in resources.limits",
        ),
        BypassKind::Privileged if bypass.field().ends_with(".privileged") => (
            "lets the container see every GPU of its node".to_owned(),
            "remove it; if the container needs a capability, add only that one",
        ),
        BypassKind::Privileged => (
            format!("{name} makes the container practically privileged, so that it sees every GPU of its node"),
            "remove it",
        ),
        BypassKind::HostPath => (
            format!("{name} gives access to the devices of the node or to a service that hands them out"),
            "remove the volume and ask for nvidia.com/gpu in resources.limits",
        ),
        BypassKind::DeviceMount => (
            format!("a mount at {name} asks the NVIDIA container runtime for a device"),
            request_gpu,
        ),
        BypassKind::HostNamespace if name == "hostPID" => (
            "shows the pod the processes of all other pods on its node, and through them their devices".to_owned(),
            "remove it; to share processes within the pod, use shareProcessNamespace",
        ),
        BypassKind::HostNamespace => (
            "shares memory with the node's MPS daemon and with other pods".to_owned(),
            "remove it; to share memory within the pod, mount an emptyDir with medium Memory at /dev/shm",
        ),
        BypassKind::NodeName => (
            format!(
                "assigns the pod to {name}, bypassing the scheduler, which knows which GPUs are free there and for which pods"
            ),
            "remove it and select nodes with spec.nodeSelector or spec.affinity",
        ),
    };
    Denial::new(bypass.field(), reason, hint)
}
