//! Where instances stand on a GPU: which sets of them fit, and on which slots.

use super::geometry::{Model, Row};
use super::profile::{MigProfile, Variant};

/// An instance and the slot that it starts at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The profile.
    pub row: &'static Row,
    /// The first of its slots.
    pub start: u8,
}

/// An instance that is to be placed, at one start or at any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The profile.
    pub row: &'static Row,
    /// The only start that will do.
    pub start: Option<u8>,
}

impl From<&'static Row> for Piece {
    fn from(row: &'static Row) -> Self {
        Piece { row, start: None }
    }
}

impl Row {
    /// Whether its instances hold the engine for which there is one on a GPU (`OFA` in `nvidia-smi mig -lgip`).
    pub fn is_media(&self) -> bool {
        let variant = self.profile.parse().map(MigProfile::variant);
        matches!(variant, Ok(Variant::Media | Variant::AllMedia))
    }

    /// The slots of an instance that starts at `start`, one bit each.
    fn mask(&self, start: u8) -> u32 {
        ((1u32 << self.slots) - 1) << start
    }

    /// Who is placed first: large instances, and of one size those with the fewest starts. That cuts the search short, and it is
    /// the order in which a driver that places one after the other has the least chance to block a later one.
    pub fn precedence(&self) -> impl Ord + use<> {
        (std::cmp::Reverse(self.slots), self.starts.len(), self.id)
    }
}

impl Model {
    /// Whether these instances fit on one GPU together.
    pub fn fits(&'static self, instances: &[(MigProfile, u64)]) -> bool {
        let mut pieces = Vec::new();
        for (profile, count) in instances.iter().filter(|(_, count)| *count > 0) {
            match self.row(*profile) {
                Some(row) if *count <= u64::from(row.max) => pieces.extend((0..*count).map(|_| Piece::from(row))),
                _ => return false,
            }
        }
        self.place(&pieces).is_some()
    }

    /// Places for all pieces, in the order in which they should be created; `None` where there are none.
    ///
    /// Several ways may exist; the one with the lowest starts for the largest instances is given.
    pub fn place(&self, pieces: &[Piece]) -> Option<Vec<Placement>> {
        let over = |row: &Row| pieces.iter().filter(|piece| piece.row == row).count() > usize::from(row.max);
        if pieces.iter().any(|piece| over(piece.row)) || pieces.iter().filter(|piece| piece.row.is_media()).count() > 1
        {
            return None;
        }
        let mut order = pieces.to_vec();
        // What was said where to stand goes first among its equals: the others have a choice.
        order.sort_by_key(|piece| (piece.row.precedence(), piece.start.is_none(), piece.start));
        let mut placed = Vec::with_capacity(order.len());
        place(&order, 0, 0, &mut placed).then_some(placed)
    }
}

/// Whether all pieces from `at` on find a place beside the slots that are `taken`; if so, `placed` holds it.
fn place(pieces: &[Piece], at: usize, taken: u32, placed: &mut Vec<Placement>) -> bool {
    let Some(piece) = pieces.get(at) else {
        return true;
    };
    let row = piece.row;
    // Equal pieces are placed from left to right: any other order of them is the same geometry.
    let least = match at.checked_sub(1).and_then(|before| pieces.get(before)) {
        Some(before) if before == piece => placed.last().map_or(0, |last| last.start),
        _ => 0,
    };
    let starts = row.starts.iter().copied().filter(|start| match piece.start {
        Some(only) => *start == only,
        None => *start >= least,
    });
    for start in starts {
        let mask = row.mask(start);
        if taken & mask == 0 {
            placed.push(Placement { row, start });
            if place(pieces, at + 1, taken | mask, placed) {
                return true;
            }
            placed.pop();
        }
    }
    false
}
