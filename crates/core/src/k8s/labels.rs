//! Labels and annotations: borrowed, owned, and packed into one allocation.

use std::fmt;
use std::sync::Arc;

use super::text::Pairs;

/// Anything that has labels or annotations.
pub trait LabelSource {
    fn label(&self, key: &str) -> Option<&str>;
}

impl<T: LabelSource> LabelSource for Arc<T> {
    fn label(&self, key: &str) -> Option<&str> {
        (**self).label(key)
    }
}

impl LabelSource for Pairs<'_> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(|value| &**value)
    }
}

/// Owned labels, sorted by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(Box<[(Box<str>, Box<str>)]>);

impl Labels {
    /// In the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (&**k, &**v))
    }
}

impl LabelSource for Labels {
    fn label(&self, key: &str) -> Option<&str> {
        self.0
            .binary_search_by(|(k, _)| (**k).cmp(key))
            .ok()
            .map(|at| &*self.0[at].1)
    }
}

impl<K: Into<Box<str>>, V: Into<Box<str>>> FromIterator<(K, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut pairs: Vec<(Box<str>, Box<str>)> = pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        // The sort is stable, so the last of equal keys wins, as in Go's encoding/json.
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        pairs.reverse();
        pairs.dedup_by(|a, b| a.0 == b.0);
        pairs.reverse();
        Labels(pairs.into())
    }
}

impl From<&Pairs<'_>> for Labels {
    fn from(pairs: &Pairs<'_>) -> Self {
        pairs.iter().map(|(k, v)| (&**k, &**v)).collect()
    }
}

// These separate keys from values, and pairs from each other. Kubernetes allows neither in a label.
const EQUALS: char = '=';
const END: char = '\n';

/// Owned labels in a single allocation, for the labels of tens of thousands of pods, which are kept
/// but rarely read.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PackedLabels(Box<str>);

impl PackedLabels {
    /// In the order of the document.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.split_terminator(END).filter_map(|pair| pair.split_once(EQUALS))
    }
}

impl LabelSource for PackedLabels {
    fn label(&self, key: &str) -> Option<&str> {
        self.iter().find(|(k, _)| *k == key).map(|(_, value)| value)
    }
}

impl From<&Pairs<'_>> for PackedLabels {
    fn from(pairs: &Pairs<'_>) -> Self {
        let is_plain = |text: &str| !text.contains([EQUALS, END]);
        let mut packed = String::new();
        for (key, value) in pairs.iter().filter(|(key, value)| is_plain(key) && is_plain(value)) {
            packed.extend([&**key, "=", &**value, "\n"]);
        }
        PackedLabels(packed.into())
    }
}

impl fmt::Debug for PackedLabels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_labels_are_found_by_key() {
        let pairs: Pairs<'_> = serde_json::from_str(r#"{"a/b":"1","a":"","c":"x=y","a/bc":"2"}"#).unwrap();
        let packed = PackedLabels::from(&pairs);
        let found = ["a/b", "a", "c", "a/bc", "b", ""].map(|key| packed.label(key));
        // No API server accepts `=` in the value of a label, so `c` is left out.
        assert_eq!(found, [Some("1"), Some(""), None, Some("2"), None, None]);
        assert_eq!(PackedLabels::default().iter().count(), 0);
    }

    #[test]
    fn the_last_of_two_equal_keys_wins() {
        let labels = Labels::from_iter([("a", "1"), ("b", "2"), ("a", "3")]);
        assert_eq!((labels.label("a"), labels.iter().count()), (Some("3"), 2));
    }
}
