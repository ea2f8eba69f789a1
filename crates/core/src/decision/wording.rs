//! What a person reads of a decision.
//!
//! A Warning header should stay under 120 characters, and past 4096 in all each is cut (apiserver
//! `endpoints/filters/warning.go`): short sentences, the change first.

use super::outcome::Target;
use super::resource_naming::ResourceNaming;
use crate::gpu::{GpuResource, Strategy};
use crate::inventory::Availability;

/// What a strategy means for a pod that asked for something else.
pub fn consequence(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::Exclusive => "whole GPUs that nobody else touches",
        Strategy::Mig => "a hardware partition of its own",
        Strategy::Mps => "a share under MPS, limited in memory and compute",
        Strategy::TimeSlicing => "time-slicing",
    }
}

/// The change to one container, if there is one: `nvidia.com/gpu 4 -> nvidia.com/gpu.shared 1: time-slicing; more shares ...`.
pub fn change(target: &Target, strategy: Strategy, several: bool) -> Option<String> {
    if !target.is_change() {
        return None;
    }
    let whose = if several {
        format!("container {}: ", target.container.name)
    } else {
        String::new()
    };
    let asked: u64 = target
        .container
        .counts
        .iter()
        .map(|(_, count)| count)
        .fold(0, u64::saturating_add);
    let more = match strategy {
        Strategy::Mps | Strategy::TimeSlicing if asked > 1 => "; more shares give no more compute",
        _ => "",
    };
    Some(format!(
        "{whose}{} -> {}: {}{more}",
        target.container.counts,
        target.after(),
        consequence(strategy)
    ))
}

/// What to know of a target besides the change.
pub fn caveat(target: &Target, strategy: Strategy) -> Option<String> {
    (strategy == Strategy::Mig && target.count > 1).then(|| {
        format!(
            "container {}: a CUDA process uses one MIG device; {} of them serve {} processes",
            target.container.name, target.count, target.count
        )
    })
}

/// Why this candidate and nothing else.
pub fn because(
    strategy: Strategy,
    naming: ResourceNaming,
    availability: Availability,
    conforms: bool,
    first: bool,
) -> String {
    if conforms {
        return format!("the pod asks for {strategy} as its policy allows it");
    }
    match (availability, first) {
        (Availability::Free, true) => format!("{strategy} is the policy's first choice, and {naming} is free"),
        (Availability::Free, false) => {
            format!("{naming} ({strategy}) is the first of the policy's choices that is free now")
        }
        (Availability::Exists, _) => {
            format!("nothing that the policy allows is free now; {naming} ({strategy}) comes first among what exists")
        }
        (Availability::Closed, _) => format!(
            "what the policy allows is on nodes alone that take no pods now; {naming} ({strategy}) comes first among it"
        ),
        (Availability::Delegated, _) => format!(
            "no device plugin offers what the policy allows; {naming} ({strategy}) is left to DRA, which may serve it"
        ),
        (Availability::None, _) => {
            format!("no node offers anything that the policy allows; {naming} ({strategy}) is its first choice")
        }
    }
}

/// What to know when the pod will have to wait.
pub fn wait(resource: GpuResource, strategy: Strategy, availability: Availability) -> Option<String> {
    match availability {
        Availability::Free | Availability::Delegated => None,
        Availability::Exists => Some(format!(
            "all {resource} ({strategy}) that would do is taken or promised; the pod waits"
        )),
        Availability::Closed => Some(format!(
            "the nodes that offer {resource} ({strategy}) take no pods now; the pod waits for one"
        )),
        Availability::None => Some(format!(
            "no node that the pod may run on offers {resource} ({strategy}); the pod waits for one"
        )),
    }
}

/// What to know where a device class serves the resource and no device plugin has it free. Of DRA's devices only whole GPUs are taken,
/// and these where labels vouch for them.
pub fn served(resource: GpuResource, strategy: Strategy, availability: Availability, class: &str) -> String {
    match (availability, strategy) {
        (Availability::Delegated, _) => {
            format!("{resource} is left to DRA (DeviceClass {class}); what is free there is not known here")
        }
        (_, Strategy::Exclusive) => {
            format!("{resource} by DRA (DeviceClass {class}) is taken only on nodes labelled as whole GPUs that fit")
        }
        _ => format!("{resource} by DRA (DeviceClass {class}) is passed over: its isolation can not be seen"),
    }
}
