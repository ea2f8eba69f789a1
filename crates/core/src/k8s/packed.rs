//! Labels in one piece.

use std::fmt;

use super::text::{LabelSource, Pairs};

/// Between a key and its value, and behind each value. Kubernetes allows neither in a label.
const EQUALS: char = '=';
const END: char = '\n';

/// Labels that own their strings, all in one: a tenth of the allocations of a list, for those that are kept by the ten thousand and
/// seldom read.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PackedLabels(Box<str>);

impl PackedLabels {
    /// All pairs, in the order of the document.
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
    fn labels_are_found_again() {
        let pairs: Pairs<'_> = serde_json::from_str(r#"{"a/b":"1","a":"","c":"x=y","a/bc":"2"}"#).unwrap();
        let packed = PackedLabels::from(&pairs);
        let found = ["a/b", "a", "c", "a/bc", "b", ""].map(|key| packed.label(key));
        // The third can not come from an API server.
        assert_eq!(found, [Some("1"), Some(""), None, Some("2"), None, None]);
        assert_eq!(PackedLabels::default().iter().count(), 0);
    }
}
