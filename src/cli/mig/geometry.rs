//! A geometry as text and as JSON: its name, the command that creates it, and notes on it.

use anstyle::Style;
use serde::Serialize;

use super::drawing;
use crate::cli::page::Page;
use apportion_mig::{Instance, Model, Placement, ProfileInfo};
use apportion_nvidia::mig_parted::{self, GpuGroup, NodeConfig, count_profiles};

/// `3g.40gb + 2 x 2g.20gb`.
pub fn summary(geometry: &[Placement]) -> String {
    let part = |(profile, count): (&ProfileInfo, usize)| match count {
        1 => profile.name.to_owned(),
        _ => format!("{count} x {}", profile.name),
    };
    count_profiles(geometry)
        .into_iter()
        .map(part)
        .collect::<Vec<_>>()
        .join(" + ")
}

/// Whether a command names the start slot of each instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starts {
    /// The driver chooses them.
    Free,
    Fixed,
}

/// The command that creates the instances and their compute instances (`-C`), without which no
/// workload can run.
///
/// `-cgi` takes IDs and names. IDs are used if a listing of the product shows them, else names.
pub fn command(model: &Model, geometry: &[Placement], starts: Starts) -> String {
    let instance = |placement: &Placement| {
        let name = if model.evidence.ids_seen() {
            placement.profile.id.to_string()
        } else {
            placement.profile.name.to_owned()
        };
        match starts {
            Starts::Free => name,
            Starts::Fixed => format!("{name}:{}", placement.start),
        }
    };
    let list = geometry.iter().map(instance).collect::<Vec<_>>().join(",");
    format!("nvidia-smi mig -i 0 -cgi {list} -C")
}

/// The geometry as a mig-parted configuration for all GPUs of a node.
pub fn config(geometry: &[Placement]) -> NodeConfig {
    NodeConfig {
        name: mig_parted::geometry_name(geometry),
        comment: None,
        gpu_groups: vec![GpuGroup {
            devices: Vec::new(),
            geometry: geometry.to_vec(),
        }],
    }
}

/// Everything to know about a geometry that fits.
pub fn notes(model: &'static Model, geometry: &[Placement]) -> Vec<String> {
    let mut notes: Vec<String> = spare_room(model, geometry).into_iter().collect();
    notes.extend(caveats(model, geometry));
    notes
}

/// What to observe when the geometry is used.
pub fn caveats(model: &Model, geometry: &[Placement]) -> Vec<String> {
    let mut caveats = Vec::new();
    let profiles = count_profiles(geometry);
    let takes_half = |profile: &ProfileInfo| u16::from(profile.slots) * 2 >= u16::from(model.slots);
    if profiles.len() > 1 && profiles.iter().any(|(profile, _)| takes_half(profile)) {
        caveats.push(
            "nvidia-smi creates instances in the order typed, and the driver chooses their slots: list large ones first, \
             as here. In NVIDIA's guide, 1g,1g,2g,3g fails with Insufficient Resources because 3g comes last"
                .to_owned(),
        );
    }
    if profiles.len() > 1 {
        caveats.push("different profiles on one GPU need the device plugin's MIG strategy `mixed`".to_owned());
    }
    let takes_all_media = |profile: &ProfileInfo| profile.name.ends_with("+me.all");
    let needs_no_media = |profile: &ProfileInfo| profile.name.ends_with("-me");
    if profiles.iter().any(|(profile, _)| takes_all_media(profile))
        && profiles
            .iter()
            .any(|(profile, _)| !takes_all_media(profile) && !needs_no_media(profile))
    {
        caveats.push(
            "+me.all takes all media engines; no listing shows whether an instance that needs one fits as well. \
             Profiles that end in -me need none"
                .to_owned(),
        );
    }
    caveats.extend(assumptions(model));
    caveats
}

/// What the model's table assumes from similar models.
pub fn assumptions(model: &Model) -> Option<String> {
    match (model.evidence.ids_seen(), model.evidence.starts_seen()) {
        (true, true) => None,
        (true, false) => Some(format!(
            "the slots of {} are assumed to be those of A100 and H100; check with `nvidia-smi mig -lgipp` on the node",
            model.name
        )),
        _ => Some(format!(
            "the IDs and slots of {} are assumed to be those of A100 and H100, because no listing of it was found; names \
             and counts are NVIDIA's. Check with `nvidia-smi mig -lgip` and `-lgipp` on the node",
            model.name
        )),
    }
}

/// The instances that still fit on the GPU.
pub fn spare_room(model: &'static Model, geometry: &[Placement]) -> Option<String> {
    let fits_too = |profile: &&'static ProfileInfo| {
        let mut instances: Vec<Instance> = geometry.iter().map(|placement| placement.profile.into()).collect();
        instances.push(Instance::from(*profile));
        model.place(&instances).is_some()
    };
    let profiles = model.profiles.iter().filter(fits_too);
    let names: Vec<&str> = profiles.map(|profile| profile.name).collect();
    match names.split_last()? {
        (last, []) => Some(format!("there is room for one more {last}")),
        (last, rest) => Some(format!("there is room for more: {} or {last}", rest.join(", "))),
    }
}

/// Adds the drawing of a geometry to a page.
pub fn draw(page: &mut Page, label: &str, model: &Model, geometry: &[Placement]) {
    page.raw(label, Style::new(), &drawing::boxes(model, geometry));
}

/// An instance in JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceJson {
    profile: &'static str,
    id: u8,
    start: u8,
    slots: u8,
}

/// A geometry in JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GeometryJson {
    name: String,
    instances: Vec<InstanceJson>,
    nvidia_smi: String,
}

impl GeometryJson {
    pub fn of(model: &Model, geometry: &[Placement]) -> Self {
        let instance = |placement: &Placement| InstanceJson {
            profile: placement.profile.name,
            id: placement.profile.id,
            start: placement.start,
            slots: placement.profile.slots,
        };
        GeometryJson {
            name: mig_parted::geometry_name(geometry),
            instances: geometry.iter().map(instance).collect(),
            nvidia_smi: command(model, geometry, Starts::Free),
        }
    }
}
