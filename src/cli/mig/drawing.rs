//! Drawings of a GPU's memory slots.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use crate::cli::page::{FAINT, painted};
use apportion_mig::geometry::{Model, Row};
use apportion_mig::placement::Placement;

/// Columns of a drawing; the page has a label before it.
const WIDTH: usize = 81;
/// One colour for each profile of a product, in the order of its rows.
const COLORS: [AnsiColor; 6] = [
    AnsiColor::Green,
    AnsiColor::Cyan,
    AnsiColor::Blue,
    AnsiColor::Magenta,
    AnsiColor::Yellow,
    AnsiColor::Red,
];

/// The colour of a profile.
pub fn style_of(model: &Model, row: &Row) -> Style {
    let at = model.rows.iter().position(|other| other == row).unwrap_or_default();
    COLORS[at % COLORS.len()].on_default()
}

/// Instances as boxes over the slots that they take: the profile, and `start:slots` as `nvidia-smi mig -lgi` shows it.
pub fn boxes(model: &Model, geometry: &[Placement]) -> String {
    let slot = (WIDTH - 1) / usize::from(model.slots);
    let mut sorted = geometry.to_vec();
    sorted.sort_by_key(|placement| placement.start);
    let mut lines = ["+", "|", "|", "+"].map(str::to_owned);
    let mut at = 0u8;
    let mut cell = |slots: u8, style: Style, above: &str, below: &str| {
        let inner = usize::from(slots) * slot - 1;
        let edge = "-".repeat(inner);
        let _ = write!(lines[0], "{edge}+");
        let _ = write!(lines[1], "{}|", painted(style, &format!("{above:inner$}")));
        let _ = write!(lines[2], "{}|", painted(style, &format!("{below:inner$}")));
        let _ = write!(lines[3], "{edge}+");
    };
    for placement in sorted {
        for free in at..placement.start {
            cell(1, FAINT, "free", &format!("{free}:1"));
        }
        let (row, start) = (placement.row, placement.start);
        // What stands behind the memory goes to the second line: a slot is narrower than `1g.10gb+me`.
        let split = row.profile.find("gb").map_or(row.profile.len(), |gb| gb + 2);
        let (name, variant) = row.profile.split_at(split);
        let below = format!("{start}:{} {variant}", row.slots);
        cell(row.slots, style_of(model, row), name, below.trim_end());
        at = start + row.slots;
    }
    for free in at..model.slots {
        cell(1, FAINT, "free", &format!("{free}:1"));
    }
    lines.join("\n")
}

/// Where a profile's instances can stand: `[  ][  ]..`, one after the other, over a row of slots.
pub fn places(model: &Model, row: &Row) -> String {
    let slot = (40 / usize::from(model.slots)).max(2);
    let mut line = String::new();
    let mut at = 0;
    for start in row.starts {
        let _ = write!(line, "{}", " ".repeat(usize::from(start - at) * slot));
        let _ = write!(line, "[{}]", "=".repeat(usize::from(row.slots) * slot - 2));
        at = start + row.slots;
    }
    line
}

/// The numbers of the slots, to stand over [`places`].
pub fn ruler(model: &Model) -> String {
    let slot = (40 / usize::from(model.slots)).max(2);
    let numbers = (0..model.slots).map(|number| format!("{number:<slot$}"));
    numbers.collect::<Vec<_>>().concat().trim_end().to_owned()
}
