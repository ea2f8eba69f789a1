//! Why instances do not fit on one GPU, and what would.

use super::geometry::{Model, Row};
use super::placement::{Piece, Placement};

/// Some instances of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The profile.
    pub row: &'static Row,
    /// How many.
    pub count: u64,
    /// The only start that will do.
    pub start: Option<u8>,
}

/// Why they do not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// More of one profile than there are places for it.
    #[error("{asked} x {} (ID {}): at most {} fit on one GPU", row.profile, row.id, row.max)]
    TooMany {
        /// The profile.
        row: &'static Row,
        /// How many are wanted.
        asked: u64,
    },
    /// Several with the media engines.
    #[error("{0}: one instance of a GPU can have the media engines, not {1}")]
    Media(String, u64),
    /// A start that the profile does not have.
    #[error("{} (ID {}) can not start at slot {start}; it starts at {}", row.profile, row.id, listed(row.starts))]
    Start {
        /// The profile.
        row: &'static Row,
        /// Where it is wanted.
        start: u8,
    },
    /// More slots than there are.
    #[error("together they take {needed} of {slots} memory slots: {parts}")]
    Slots {
        /// Slots that all of them take.
        needed: u64,
        /// Slots of the GPU.
        slots: u8,
        /// What each takes.
        parts: String,
    },
    /// Enough slots, but not where they can start.
    #[error("their {needed} of {slots} memory slots can not be had at once: {parts}")]
    Starts {
        /// Slots that all of them take.
        needed: u64,
        /// Slots of the GPU.
        slots: u8,
        /// Where each starts.
        parts: String,
    },
}

/// Numbers for people: `0, 2 or 4`.
fn listed(starts: &[u8]) -> String {
    let texts: Vec<String> = starts.iter().map(ToString::to_string).collect();
    match texts.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => texts.concat(),
    }
}

impl Model {
    /// Places for the instances, or every reason why there are none.
    pub fn judge(&'static self, wanted: &[Wanted]) -> Result<Vec<Placement>, Vec<Misfit>> {
        let merged = merged(wanted);
        let mut misfits: Vec<Misfit> = merged
            .iter()
            .filter(|(row, asked)| *asked > u64::from(row.max))
            .map(|(row, asked)| Misfit::TooMany { row, asked: *asked })
            .collect();
        let media: Vec<_> = merged.iter().filter(|(row, _)| row.is_media()).collect();
        if media.len() > 1 {
            let names: Vec<&str> = media.iter().map(|(row, _)| row.profile).collect();
            let count = media.iter().map(|(_, count)| count).sum();
            misfits.push(Misfit::Media(names.join(" and "), count));
        }
        misfits.extend(wanted.iter().filter_map(|one| {
            let start = one.start.filter(|start| !one.row.starts.contains(start))?;
            Some(Misfit::Start { row: one.row, start })
        }));
        if !misfits.is_empty() {
            return Err(misfits);
        }
        if let Some(placed) = self.place(&pieces(wanted)) {
            return Ok(placed);
        }
        let needed = merged.iter().map(|(row, count)| u64::from(row.slots) * count).sum();
        let several = |count: u64| if count > 1 { " each" } else { "" };
        let part = |(row, count): &(&Row, u64)| {
            if needed > u64::from(self.slots) {
                format!("{count} x {} take {}{}", row.profile, row.slots, several(*count))
            } else {
                format!("{} takes {} from {}", row.profile, row.slots, listed(row.starts))
            }
        };
        let parts = merged.iter().map(part).collect::<Vec<_>>().join(", ");
        let slots = self.slots;
        Err(vec![if needed > u64::from(slots) {
            Misfit::Slots { needed, slots, parts }
        } else {
            Misfit::Starts { needed, slots, parts }
        }])
    }

    /// As many instances of one smaller profile, where all that are wanted are of one; the largest of which so many fit.
    pub fn smaller(&'static self, wanted: &[Wanted]) -> Option<Vec<Placement>> {
        let [(row, count)] = merged(wanted)[..] else {
            return None;
        };
        let mut smaller = row;
        loop {
            smaller = self.next_smaller(smaller)?;
            if count <= u64::from(smaller.max) {
                return self.place(&(0..count).map(|_| Piece::from(smaller)).collect::<Vec<_>>());
            }
        }
    }

    /// As many instances as are wanted, each as large as fits: the largest are exchanged for the next smaller ones of their kind until
    /// all fit. `None` where they fit as they are, or never do.
    pub fn shrunk(&'static self, wanted: &[Wanted]) -> Option<Vec<Placement>> {
        let most: u64 = self.rows.iter().map(|row| u64::from(row.max)).max()?;
        let count = wanted.iter().fold(0u64, |sum, one| sum.saturating_add(one.count));
        if count > most || self.place(&pieces(wanted)).is_some() {
            return None;
        }
        let mut rows: Vec<&'static Row> = pieces(wanted).into_iter().map(|piece| piece.row).collect();
        loop {
            let fit: Vec<Piece> = rows.iter().map(|row| Piece::from(*row)).collect();
            if let Some(placed) = self.place(&fit) {
                return Some(placed);
            }
            // A second instance with the media engines becomes one without; else the largest gives way.
            let surplus = rows.iter().filter(|row| row.is_media()).count() > 1;
            let candidates = rows.iter().enumerate().filter(|(_, row)| !surplus || row.is_media());
            let (at, row) = candidates
                .filter_map(|(at, row)| Some((at, self.next_smaller(row)?, row.slots)))
                .max_by_key(|(at, _, slots)| (*slots, *at))
                .map(|(at, smaller, _)| (at, smaller))?;
            rows[at] = row;
        }
    }

    /// The next smaller profile of the same kind: without what `+me` adds first, then less memory, then less compute.
    fn next_smaller(&'static self, row: &Row) -> Option<&'static Row> {
        let kind = |row: &Row| row.profile.split_once("gb").map(|(_, variant)| variant);
        let size = |row: &Row| (row.slots, row.profile.as_bytes().first().copied());
        if row.is_media() {
            return self
                .rows
                .iter()
                .find(|other| kind(other) == Some("") && size(other) == size(row));
        }
        self.rows
            .iter()
            .filter(|other| kind(other) == kind(row) && size(other) < size(row))
            .max_by_key(|other| size(other))
    }

    /// What fits of the instances when they are taken one by one in the order given; `None` where none does or all do.
    pub fn first_fitting(&'static self, wanted: &[Wanted]) -> Option<Vec<Placement>> {
        let mut kept: Vec<Piece> = Vec::new();
        let all = wanted.iter().map(|one| one.count).fold(0, u64::saturating_add);
        for one in wanted {
            for _ in 0..one.count.min(u64::from(one.row.max)) {
                kept.push(Piece {
                    row: one.row,
                    start: one.start,
                });
                if self.place(&kept).is_none() {
                    kept.pop();
                    break;
                }
            }
        }
        let fewer = (kept.len() as u64) < all && !kept.is_empty();
        fewer.then(|| self.place(&kept)).flatten()
    }
}

/// One row of each kind with the sum of its counts, in the order in which they are met.
fn merged(wanted: &[Wanted]) -> Vec<(&'static Row, u64)> {
    let mut merged: Vec<(&'static Row, u64)> = Vec::new();
    for one in wanted {
        match merged.iter_mut().find(|(row, _)| *row == one.row) {
            Some((_, count)) => *count = count.saturating_add(one.count),
            None => merged.push((one.row, one.count)),
        }
    }
    merged
}

/// Each instance by itself. Of any row one more than fit is as good as a billion.
fn pieces(wanted: &[Wanted]) -> Vec<Piece> {
    let each = wanted.iter().flat_map(|one| {
        let piece = Piece {
            row: one.row,
            start: one.start,
        };
        (0..one.count.min(u64::from(one.row.max) + 1)).map(move |_| piece)
    });
    each.collect()
}
