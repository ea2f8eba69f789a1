//! The values of a requirement.

use std::ops::Deref;

use serde::de::{Deserialize, Deserializer};

use super::sorted_index::SortedIndex;
use super::text::Text;

/// The values of a requirement, in the order of the document. [`Values::contains`] takes logarithmic
/// time, however many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Values<'a> {
    list: Vec<Text<'a>>,
    index: SortedIndex,
}

impl Values<'_> {
    /// Sorted if the list is long, otherwise in its own order: then sorting costs little.
    pub(super) fn sorted(&self) -> impl Iterator<Item = &str> {
        let positions = self.index.positions();
        let short = if positions.is_empty() { &self.list[..] } else { &[] };
        let long = positions.iter().map(|at| &self.list[*at]);
        short.iter().chain(long).map(|value| &**value)
    }

    pub fn contains(&self, value: &str) -> bool {
        self.index.find(self.list.len(), |at| &self.list[at], value).is_some()
    }

    pub fn into_owned(self) -> Values<'static> {
        Values {
            list: self.list.into_iter().map(Text::into_owned).collect(),
            index: self.index,
        }
    }
}

impl<'a> Deref for Values<'a> {
    type Target = [Text<'a>];

    fn deref(&self) -> &[Text<'a>] {
        &self.list
    }
}

impl<'a> From<Vec<Text<'a>>> for Values<'a> {
    fn from(list: Vec<Text<'a>>) -> Self {
        let index = SortedIndex::new(list.len(), |at| &list[at]);
        Values { list, index }
    }
}

impl<'a> FromIterator<Text<'a>> for Values<'a> {
    fn from_iter<I: IntoIterator<Item = Text<'a>>>(values: I) -> Self {
        values.into_iter().collect::<Vec<_>>().into()
    }
}

impl<'r, 'a> IntoIterator for &'r Values<'a> {
    type Item = &'r Text<'a>;
    type IntoIter = std::slice::Iter<'r, Text<'a>>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.iter()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Values<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::deserialize(deserializer)?.into())
    }
}
