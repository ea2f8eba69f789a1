//! Drawings of a GPU's memory slots.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use crate::cli::page::{FAINT, painted};
use apportion_mig::{Model, Placement, ProfileInfo};

/// Columns of [`boxes`]; the page adds a label before it.
const WIDTH: usize = 81;
/// Columns of [`positions`] and [`ruler`].
const RULER_WIDTH: usize = 40;
/// A colour for each profile of a product, in the order of its table.
const COLORS: [AnsiColor; 6] = [
    AnsiColor::Green,
    AnsiColor::Cyan,
    AnsiColor::Blue,
    AnsiColor::Magenta,
    AnsiColor::Yellow,
    AnsiColor::Red,
];

pub fn style_of(model: &Model, profile: &ProfileInfo) -> Style {
    let index = model.profiles.iter().position(|other| other == profile);
    COLORS[index.unwrap_or_default() % COLORS.len()].on_default()
}

/// Draws instances as boxes over the slots that they take, with the profile and `start:slots` as
/// `nvidia-smi mig -lgi` shows it.
pub fn boxes(model: &Model, geometry: &[Placement]) -> String {
    let slot_width = (WIDTH - 1) / usize::from(model.slots);
    let mut sorted = geometry.to_vec();
    sorted.sort_by_key(|placement| placement.start);
    let mut lines = ["+", "|", "|", "+"].map(str::to_owned);
    let mut next_slot = 0u8;
    let mut cell = |slots: u8, style: Style, above: &str, below: &str| {
        let inner = usize::from(slots) * slot_width - 1;
        let edge = "-".repeat(inner);
        let _ = write!(lines[0], "{edge}+");
        let _ = write!(lines[1], "{}|", painted(style, &format!("{above:inner$}")));
        let _ = write!(lines[2], "{}|", painted(style, &format!("{below:inner$}")));
        let _ = write!(lines[3], "{edge}+");
    };
    for placement in sorted {
        for free in next_slot..placement.start {
            cell(1, FAINT, "free", &format!("{free}:1"));
        }
        let Placement { profile, start } = placement;
        // A slot is narrower than `1g.10gb+me`, so the variant goes to the second line.
        let split = profile.name.find("gb").map_or(profile.name.len(), |gb| gb + 2);
        let (name, variant) = profile.name.split_at(split);
        let below = format!("{start}:{} {variant}", profile.slots);
        cell(profile.slots, style_of(model, profile), name, below.trim_end());
        next_slot = start + profile.slots;
    }
    for free in next_slot..model.slots {
        cell(1, FAINT, "free", &format!("{free}:1"));
    }
    lines.join("\n")
}

/// Draws the positions that instances of a profile can have: `[==][==]`.
pub fn positions(model: &Model, profile: &ProfileInfo) -> String {
    let slot_width = ruler_slot_width(model);
    let mut line = String::new();
    let mut next_slot = 0;
    for start in profile.starts {
        let _ = write!(line, "{}", " ".repeat(usize::from(start - next_slot) * slot_width));
        let _ = write!(line, "[{}]", "=".repeat(usize::from(profile.slots) * slot_width - 2));
        next_slot = start + profile.slots;
    }
    line
}

/// The slot numbers, for the line above [`positions`].
pub fn ruler(model: &Model) -> String {
    let slot_width = ruler_slot_width(model);
    let numbers = (0..model.slots).map(|number| format!("{number:<slot_width$}"));
    numbers.collect::<Vec<_>>().concat().trim_end().to_owned()
}

fn ruler_slot_width(model: &Model) -> usize {
    (RULER_WIDTH / usize::from(model.slots)).max(2)
}
