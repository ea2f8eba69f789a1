//! Borrowed strings and string maps.
//!
//! `serde` always copies a `Cow<str>` inside a `Vec` or a map, even where it could borrow. [`Text`]
//! borrows there too.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

use super::sorted_index::SortedIndex;

/// A string that borrows from the parsed bytes unless they contain an escape.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text<'a>(pub Cow<'a, str>);

impl Text<'_> {
    pub fn into_owned(self) -> Text<'static> {
        Text(Cow::Owned(self.0.into_owned()))
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Text(Cow::Borrowed(text))
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Text(Cow::Owned(text))
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text)))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

/// A JSON object as a list of pairs, in the order of the document.
///
/// The last value of a repeated key wins, as in Go's `encoding/json`; `null` reads as empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairs<'a, V = Text<'a>> {
    /// No key appears twice.
    list: Vec<(Text<'a>, V)>,
    index: SortedIndex,
}

impl<V> Default for Pairs<'_, V> {
    fn default() -> Self {
        Pairs {
            list: Vec::new(),
            index: SortedIndex::default(),
        }
    }
}

impl<'a, V> Pairs<'a, V> {
    pub fn get(&self, key: &str) -> Option<&V> {
        let at = self.index.find(self.list.len(), |at| &self.list[at].0, key)?;
        Some(&self.list[at].1)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Text<'a>, &V)> {
        self.list.iter().map(|(k, v)| (k, v))
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// The pairs of a list that is too long to scan for each key. A repeated key keeps its first
    /// position and gets its last value.
    fn from_long(mut list: Vec<(Text<'a>, V)>) -> Self {
        let index = SortedIndex::new(list.len(), |at| &list[at].0);
        let mut is_repeated = vec![false; list.len()];
        let mut has_repeated = false;
        let mut start = 0;
        let order = index.positions();
        for end in 1..=order.len() {
            if end < order.len() && list[order[start]].0 == list[order[end]].0 {
                continue;
            }
            // Equal keys are in the order of the document.
            let (first, newest) = (order[start], order[end - 1]);
            if first != newest {
                let (before, rest) = list.split_at_mut(newest);
                std::mem::swap(&mut before[first].1, &mut rest[0].1);
                order[start + 1..end].iter().for_each(|at| is_repeated[*at] = true);
                has_repeated = true;
            }
            start = end;
        }
        if !has_repeated {
            return Pairs { list, index };
        }
        let mut repeated = is_repeated.into_iter();
        list.retain(|_| !repeated.next().unwrap_or(false));
        let index = SortedIndex::new(list.len(), |at| &list[at].0);
        Pairs { list, index }
    }
}

impl<'de: 'a, 'a, V: Deserialize<'de>> Deserialize<'de> for Pairs<'a, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor<V>(std::marker::PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for PairsVisitor<V> {
            type Value = Pairs<'de, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Pairs::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut list: Vec<(Text<'de>, V)> = Vec::with_capacity(map.size_hint().unwrap_or(0));
                while let Some((key, value)) = map.next_entry::<Text<'de>, V>()? {
                    // Repeated keys of a long list are found all at once, at the end.
                    let repeated = if SortedIndex::is_worthwhile(list.len()) {
                        None
                    } else {
                        list.iter_mut().find(|(k, _)| *k == key)
                    };
                    match repeated {
                        Some(slot) => slot.1 = value,
                        None => list.push((key, value)),
                    }
                }
                if SortedIndex::is_worthwhile(list.len()) {
                    return Ok(Pairs::from_long(list));
                }
                Ok(Pairs {
                    list,
                    index: SortedIndex::default(),
                })
            }
        }

        deserializer.deserialize_any(PairsVisitor(std::marker::PhantomData))
    }
}

/// Reads `null` as the default value: Go writes `null` for a nil map or slice.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_strings_borrow_and_escaped_strings_are_owned() {
        let pairs: Pairs<'_> = serde_json::from_str(r#"{"plain":"a","escaped":"\u0061\n"}"#).unwrap();
        assert!(matches!(pairs.get("plain"), Some(Text(Cow::Borrowed("a")))));
        assert!(matches!(pairs.get("escaped"), Some(Text(Cow::Owned(text))) if text == "a\n"));
    }

    #[test]
    fn the_last_of_two_equal_keys_wins_and_null_reads_as_empty() {
        let pairs: Pairs<'_> = serde_json::from_str(r#"{"a":"1","b":"2","a":"3"}"#).unwrap();
        assert_eq!((pairs.get("a"), pairs.len()), (Some(&"3".into()), 2));
        assert!(serde_json::from_str::<Pairs<'_>>("null").unwrap().is_empty());
    }
}
