//! What users read about a decision.
//!
//! A Warning header should have fewer than 120 characters. If all of them together exceed 4096, the
//! API server truncates each (apiserver `endpoints/filters/warning.go`). So the sentences are
//! short, and state the change first.

use super::model::{ContainerRewrite, ResourceNaming};
use crate::diagnostics::excerpt;
use crate::gpu::{GpuResource, Strategy};
use crate::inventory::Availability;

/// What a strategy means for a pod that requested something else.
pub fn strategy_effect(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::Exclusive => "whole GPUs that are not shared",
        Strategy::Mig => "a hardware partition of its own",
        Strategy::Mps => "a share under MPS, limited in memory and compute",
        Strategy::TimeSlicing => "time-slicing",
    }
}

/// The change to one container, if any: `nvidia.com/gpu 4 -> nvidia.com/gpu.shared 1:
/// time-slicing`.
pub fn change(rewrite: &ContainerRewrite, strategy: Strategy, name_container: bool) -> Option<String> {
    if !rewrite.is_change() {
        return None;
    }
    let prefix = if name_container {
        format!("container {}: ", excerpt(&rewrite.container.name))
    } else {
        String::new()
    };
    let requested: u64 = rewrite
        .container
        .counts
        .iter()
        .map(|(_, count)| count)
        .fold(0, u64::saturating_add);
    let note = match strategy {
        Strategy::Mps | Strategy::TimeSlicing if requested > 1 => "; more shares give no more compute",
        _ => "",
    };
    Some(format!(
        "{prefix}{} -> {}: {}{note}",
        excerpt(&rewrite.container.counts.to_string()),
        rewrite.counts(),
        strategy_effect(strategy)
    ))
}

/// What users must know about several MIG devices in one container.
pub fn mig_devices(rewrite: &ContainerRewrite, strategy: Strategy) -> Option<String> {
    (strategy == Strategy::Mig && rewrite.count > 1).then(|| {
        format!(
            "container {}: a CUDA process uses one MIG device; {} of them serve {} processes",
            excerpt(&rewrite.container.name),
            rewrite.count,
            rewrite.count
        )
    })
}

/// Why this candidate was chosen.
pub fn reason(
    strategy: Strategy,
    naming: ResourceNaming,
    availability: Availability,
    is_compliant: bool,
    is_first: bool,
) -> String {
    if is_compliant {
        return format!("the pod already asks for {strategy} as its policy allows");
    }
    match (availability, is_first) {
        (Availability::Free, true) => format!("{strategy} is the policy's first choice, and {naming} is free"),
        (Availability::Free, false) => {
            format!("{naming} ({strategy}) is the first of the policy's choices that is free now")
        }
        (Availability::Taken, _) => {
            format!("nothing that the policy allows is free now; {naming} ({strategy}) comes first among what exists")
        }
        (Availability::Unschedulable, _) => format!(
            "what the policy allows is only on nodes that accept no pods now; {naming} ({strategy}) comes first among it"
        ),
        (Availability::ServedByDra, _) => format!(
            "no device plugin offers what the policy allows; {naming} ({strategy}) is left to DRA, which may serve it"
        ),
        (Availability::None, _) => {
            format!("no node offers anything that the policy allows; {naming} ({strategy}) is its first choice")
        }
    }
}

/// Why the pod has to wait, if it does.
pub fn waiting(resource: GpuResource, strategy: Strategy, availability: Availability) -> Option<String> {
    match availability {
        Availability::Free | Availability::ServedByDra => None,
        Availability::Taken => Some(format!(
            "all suitable {resource} ({strategy}) is taken or promised; the pod waits"
        )),
        Availability::Unschedulable => Some(format!(
            "the nodes that offer {resource} ({strategy}) accept no pods now; the pod waits for one"
        )),
        Availability::None => Some(format!(
            "no node that the pod may run on offers {resource} ({strategy}); the pod waits for one"
        )),
    }
}

/// What users must know if a device class serves the resource and no device plugin has it free. Of
/// the devices that DRA serves, only whole GPUs are used, and only where labels prove that they are
/// whole.
pub fn served_by_dra(resource: GpuResource, strategy: Strategy, availability: Availability, class: &str) -> String {
    match (availability, strategy) {
        (Availability::ServedByDra, _) => {
            format!("{resource} is left to DRA (DeviceClass {class}); what DRA has free is unknown")
        }
        (_, Strategy::Exclusive) => {
            format!("{resource} by DRA (DeviceClass {class}) is used only on nodes labeled with matching whole GPUs")
        }
        _ => format!("{resource} by DRA (DeviceClass {class}) is not used: its isolation cannot be verified"),
    }
}
