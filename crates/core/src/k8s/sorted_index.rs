//! An order of a list by which long lists are searched.
//!
//! The author of a pod chooses the length of its lists, so a scan per lookup would make the cost of
//! a request quadratic. Nearly all lists are short, and pay nothing for the order: they have none.

/// Lists up to this length are scanned, which is faster than a binary search.
const SCANNED: usize = 16;

/// The positions of a list in the order of its texts; empty for a short list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct SortedIndex(Box<[usize]>);

impl SortedIndex {
    /// Whether a list of this length has an index.
    pub(super) fn is_worthwhile(len: usize) -> bool {
        len > SCANNED
    }

    /// `text` gives the text at a position.
    pub(super) fn new<'t>(len: usize, text: impl Fn(usize) -> &'t str) -> Self {
        if !Self::is_worthwhile(len) {
            return SortedIndex::default();
        }
        let mut positions: Box<[usize]> = (0..len).collect();
        // Stable, so equal texts keep the order of the list.
        positions.sort_by(|a, b| text(*a).cmp(text(*b)));
        SortedIndex(positions)
    }

    pub(super) fn positions(&self) -> &[usize] {
        &self.0
    }

    /// The position of `wanted` in the list that the index was made for.
    pub(super) fn find<'t>(&self, len: usize, text: impl Fn(usize) -> &'t str, wanted: &str) -> Option<usize> {
        if self.0.is_empty() {
            return (0..len).find(|at| text(*at) == wanted);
        }
        let found = self.0.binary_search_by(|at| text(*at).cmp(wanted)).ok()?;
        Some(self.0[found])
    }
}
