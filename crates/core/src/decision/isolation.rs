//! What a policy makes of side doors: which containers are kept from seeing GPUs, and what a pod is turned away for.

use super::outcome::Denial;
use crate::gpu::names::{MPS_VARIABLES, VISIBLE_DEVICES, VOID};
use crate::gpu::{BypassKind, GpuBypass};
use crate::k8s::ContainerKind;
use crate::policy::isolation::Isolation;

/// The doors of containers that are to see no GPU, and do not say so themselves.
pub fn unhidden<'d>(isolation: &Isolation, doors: &'d [GpuBypass]) -> Vec<&'d GpuBypass> {
    let is_open = |door: &&GpuBypass| door.kind == BypassKind::Image && isolation.shuts(door.kind);
    doors.iter().filter(is_open).collect()
}

/// Why a pod with these doors is turned away.
pub fn denials(isolation: &Isolation, doors: &[GpuBypass]) -> Vec<Denial> {
    // What an image says is not refused: the container is told otherwise.
    let shut = |door: &&GpuBypass| door.kind != BypassKind::Image && isolation.shuts(door.kind);
    doors.iter().filter(shut).map(denial).collect()
}

/// What is wrong with a door, and what to do instead.
pub fn denial(door: &GpuBypass) -> Denial {
    let found = &door.found;
    let is_ephemeral = matches!(door.container, Some((ContainerKind::Ephemeral, _)));
    let ask = if is_ephemeral {
        "remove it; GPUs are given to the containers that a pod is made with"
    } else {
        "remove it and ask for nvidia.com/gpu in resources.limits; what is given is visible by itself"
    };
    let (reason, hint) = match door.kind {
        BypassKind::Image => (
            format!("asks for no GPU and may see those that its image names: {VISIBLE_DEVICES}={VOID} is missing"),
            "delete the pod, so that its controller makes another, which the webhook rewrites",
        ),
        BypassKind::Variable if found.starts_with(MPS_VARIABLES) => (
            format!("sets {found}, which is for the node to say"),
            "remove it; a container with a share under MPS is told its daemon and its limits by itself",
        ),
        BypassKind::Variable => (
            format!("sets {found}, which names devices whatever the container was given"),
            ask,
        ),
        BypassKind::VariableSource if found.is_empty() => (
            format!("may bring any variable into a container with a GPU, {VISIBLE_DEVICES} among them"),
            "give it a prefix, such as APP_, or list the keys in env with valueFrom",
        ),
        BypassKind::VariableSource => (
            format!("with the prefix {found} may bring {VISIBLE_DEVICES} or its like into a container with a GPU"),
            "give it another prefix, such as APP_, or list the keys in env with valueFrom",
        ),
        BypassKind::Annotation => (
            "asks the container runtime for devices past the scheduler".to_owned(),
            "remove it and ask for nvidia.com/gpu in resources.limits",
        ),
        BypassKind::Privileged if door.field().ends_with(".privileged") => (
            "lets the container see every GPU of its node".to_owned(),
            "remove it; if the container needs a capability, add that one alone",
        ),
        BypassKind::Privileged => (
            format!("{found} makes the container as good as privileged, which sees every GPU of its node"),
            "remove it",
        ),
        BypassKind::HostPath => (
            format!("{found} leads to the devices of the node or to those who hand them out"),
            "remove the volume and ask for nvidia.com/gpu in resources.limits",
        ),
        BypassKind::DeviceMount => (
            format!("a mount at {found} asks the NVIDIA container runtime for a device"),
            ask,
        ),
        BypassKind::HostNamespace if &**found == "hostPID" => (
            "shows the pod the processes of all others on its node, and their devices with them".to_owned(),
            "remove it; shareProcessNamespace serves the containers of one pod",
        ),
        BypassKind::HostNamespace => (
            "shares the memory of the node's MPS daemon and of others on it".to_owned(),
            "remove it; an emptyDir with medium Memory at /dev/shm serves the containers of one pod",
        ),
        BypassKind::NodeName => (
            format!("puts the pod on {found} past the scheduler, which knows what GPUs are free there and for whom"),
            "remove it and choose nodes by spec.nodeSelector or spec.affinity",
        ),
    };
    Denial::new(door.field(), reason, hint)
}
