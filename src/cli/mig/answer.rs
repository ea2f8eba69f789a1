//! What people are told of a geometry: its name, the command that makes it, what to mind. And the same for programs.

use anstyle::Style;
use serde::Serialize;

use crate::cli::page::Page;
use apportion_mig::geometry::Model;
use apportion_mig::placement::{Piece, Placement};
use apportion_nvidia::mig_parted;
use apportion_nvidia::mig_parted::{NodeConfig, Part, counted};

/// `3g.40gb + 2 x 2g.20gb`.
pub fn sum(geometry: &[Placement]) -> String {
    let part = |(row, count): (&apportion_mig::geometry::Row, usize)| match count {
        1 => row.profile.to_owned(),
        _ => format!("{count} x {}", row.profile),
    };
    counted(geometry).into_iter().map(part).collect::<Vec<_>>().join(" + ")
}

/// The command that makes the instances, and compute instances in them (`-C`: without those nothing runs).
///
/// By ID where a listing of the product showed the IDs, else by name; both are what `-cgi` takes. `pinned` says each place as well.
pub fn command(model: &Model, geometry: &[Placement], pinned: bool) -> String {
    let one = |placement: &Placement| {
        let name = if model.evidence.ids() {
            placement.row.id.to_string()
        } else {
            placement.row.profile.to_owned()
        };
        if pinned {
            format!("{name}:{}", placement.start)
        } else {
            name
        }
    };
    let list = geometry.iter().map(one).collect::<Vec<_>>().join(",");
    format!("nvidia-smi mig -i 0 -cgi {list} -C")
}

/// The geometry as a configuration for all GPUs of a node.
pub fn config(geometry: &[Placement]) -> NodeConfig {
    NodeConfig {
        name: mig_parted::name_of(geometry),
        comment: None,
        parts: vec![Part {
            devices: Vec::new(),
            geometry: geometry.to_vec(),
        }],
    }
}

/// What is to be known beside a geometry that fits.
pub fn notes(model: &'static Model, geometry: &[Placement]) -> Vec<String> {
    let mut notes = room(model, geometry);
    let kinds = counted(geometry);
    let half = |slots: u8| u16::from(slots) * 2 >= u16::from(model.slots);
    if kinds.len() > 1 && kinds.iter().any(|(row, _)| half(row.slots)) {
        notes.push(
            "nvidia-smi makes them in the order typed, and the driver chooses each place: large ones first, as here. NVIDIA's guide \
             shows 1g,1g,2g,3g fail with Insufficient Resources where 3g comes last"
                .to_owned(),
        );
    }
    if kinds.len() > 1 {
        notes.push("different profiles on one GPU need the device plugin's MIG strategy `mixed`".to_owned());
    }
    if kinds.iter().any(|(row, _)| row.profile.ends_with("+me.all"))
        && kinds
            .iter()
            .any(|(row, _)| !row.profile.ends_with("+me.all") && !row.profile.ends_with("-me"))
    {
        notes.push(
            "+me.all takes all media engines; that an instance which needs one fits beside it was not seen. Those that end in -me \
             need none"
                .to_owned(),
        );
    }
    notes.extend(doubts(model));
    notes
}

/// What of the model's table rests on its siblings.
pub fn doubts(model: &Model) -> Option<String> {
    match (model.evidence.ids(), model.evidence.starts()) {
        (true, true) => None,
        (true, false) => Some(format!(
            "the slots of {} are assumed to be those of A100 and H100; `nvidia-smi mig -lgipp` on the node tells",
            model.name
        )),
        _ => Some(format!(
            "the IDs and slots of {} are assumed to be those of A100 and H100: no listing of it was seen; names and counts are \
             NVIDIA's. `nvidia-smi mig -lgip` and `-lgipp` on the node tell",
            model.name
        )),
    }
}

/// What could still be added.
fn room(model: &'static Model, geometry: &[Placement]) -> Vec<String> {
    let with = |row: &'static apportion_mig::geometry::Row| {
        let mut pieces: Vec<Piece> = geometry.iter().map(|placement| placement.row.into()).collect();
        pieces.push(Piece::from(row));
        model.place(&pieces).is_some()
    };
    let more: Vec<&str> = model
        .rows
        .iter()
        .filter(|row| with(row))
        .map(|row| row.profile)
        .collect();
    match more.split_last() {
        None => Vec::new(),
        Some((last, [])) => vec![format!("there is room for a {last} more")],
        Some((last, rest)) => vec![format!("there is room for more: {} or {last}", rest.join(", "))],
    }
}

/// The lines of a geometry on a page.
pub fn put(page: &mut Page, label: &str, model: &Model, geometry: &[Placement]) {
    page.raw(label, Style::new(), &super::drawing::boxes(model, geometry));
}

/// An instance, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    profile: &'static str,
    id: u8,
    start: u8,
    slots: u8,
}

/// A geometry, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Geometry {
    name: String,
    instances: Vec<Instance>,
    nvidia_smi: String,
}

impl Geometry {
    /// Of these instances.
    pub fn of(model: &Model, geometry: &[Placement]) -> Self {
        let instance = |placement: &Placement| Instance {
            profile: placement.row.profile,
            id: placement.row.id,
            start: placement.start,
            slots: placement.row.slots,
        };
        Geometry {
            name: mig_parted::name_of(geometry),
            instances: geometry.iter().map(instance).collect(),
            nvidia_smi: command(model, geometry, false),
        }
    }
}
