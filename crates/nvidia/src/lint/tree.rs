//! YAML of which nothing is known beforehand, with the place of every key and value.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use apportion_core::diagnostics::reader::Reader;
use apportion_core::diagnostics::{Finding, Location};

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// Where.
    pub location: Location,
    /// What.
    pub content: Content,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Nothing.
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Whole(i64),
    /// A number that is none of those.
    Other(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// A map, in its order.
    Map(Vec<(Key, Value)>),
}

/// The key of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its text.
    pub text: String,
    /// Where it stands.
    pub location: Location,
}

/// All documents of a file that hold anything.
pub fn read(file: &str, text: &str) -> Result<Vec<Value>, Finding> {
    read_at(&Location::file(file), 0, text)
}

/// The same for a text within a file: below the line of `place`, so many columns in.
pub fn read_at(place: &Location, indent: u64, text: &str) -> Result<Vec<Value>, Finding> {
    let reader = Reader::of(&place.file);
    let origin = Origin {
        place,
        line: place.line,
        column: indent,
    };
    let trees: Vec<Spanned<Tree>> = serde_saphyr::from_multiple(text).map_err(|error| {
        let mut finding = reader.unreadable(&error);
        finding.location = origin.shifted(finding.location.line, finding.location.column);
        finding
    })?;
    Ok(trees
        .into_iter()
        .map(|tree| origin.value(tree))
        .filter(|value| value.content != Content::Null)
        .collect())
}

/// Where a text begins in its file.
struct Origin<'p> {
    place: &'p Location,
    line: u64,
    column: u64,
}

impl Origin<'_> {
    fn shifted(&self, line: u64, column: u64) -> Location {
        Location {
            file: self.place.file.clone(),
            line: if line == 0 { self.line } else { self.line + line },
            column: if column == 0 { 0 } else { self.column + column },
        }
    }

    fn at<T>(&self, spanned: &Spanned<T>) -> Location {
        self.shifted(spanned.referenced.line(), spanned.referenced.column())
    }

    fn value(&self, tree: Spanned<Tree>) -> Value {
        let location = self.at(&tree);
        let content = match tree.value {
            Tree::Null => Content::Null,
            Tree::Bool(value) => Content::Bool(value),
            Tree::Whole(value) => Content::Whole(value),
            Tree::Other(value) => Content::Other(value),
            Tree::Text(value) => Content::Text(value),
            Tree::List(items) => Content::List(items.into_iter().map(|item| self.value(item)).collect()),
            Tree::Map(entries) => Content::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| {
                        let location = self.at(&key);
                        let key = Key {
                            text: key.value,
                            location,
                        };
                        (key, self.value(value))
                    })
                    .collect(),
            ),
        };
        Value { location, content }
    }
}

impl Value {
    /// The entries of a map; of anything else, none.
    pub fn entries(&self) -> &[(Key, Value)] {
        match &self.content {
            Content::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; of anything else, none.
    pub fn items(&self) -> &[Value] {
        match &self.content {
            Content::List(items) => items,
            _ => &[],
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entry(key).map(|(_, value)| value)
    }

    /// A key and its value.
    pub fn entry(&self, key: &str) -> Option<(&Key, &Value)> {
        self.entries()
            .iter()
            .find(|(known, _)| known.text == key)
            .map(|(key, value)| (key, value))
    }

    /// What stands at a path of keys, `a.b.c`.
    pub fn at(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(self, |value, key| value.get(key))
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The boolean, if it is one.
    pub fn flag(&self) -> Option<bool> {
        match self.content {
            Content::Bool(flag) => Some(flag),
            _ => None,
        }
    }

    /// The whole number, if it is one.
    pub fn whole(&self) -> Option<i64> {
        match self.content {
            Content::Whole(number) => Some(number),
            _ => None,
        }
    }

    /// As a message quotes it.
    pub fn quoted(&self) -> String {
        match &self.content {
            Content::Null => "nothing".to_owned(),
            Content::Bool(value) => format!("`{value}`"),
            Content::Whole(value) => format!("`{value}`"),
            Content::Other(value) => format!("`{value}`"),
            Content::Text(value) => format!("`{value}`"),
            Content::List(_) => "a list".to_owned(),
            Content::Map(_) => "a map".to_owned(),
        }
    }
}

/// The same, as it is read.
enum Tree {
    Null,
    Bool(bool),
    Whole(i64),
    Other(f64),
    Text(String),
    List(Vec<Spanned<Tree>>),
    Map(Vec<(Spanned<String>, Spanned<Tree>)>),
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Whole(value))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a number that large is no count of anything here"
    )]
    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(i64::try_from(value).map_or(Tree::Other(value as f64), Tree::Whole))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Other(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Tree::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_and_value_has_its_place() {
        let text = "a: 1\nb:\n  c: [x, true, 1.5, null]\n  2: \"7\"\n---\n---\nd: |\n  e: f\n";
        let [first, second] = &read("f.yaml", text).unwrap()[..] else {
            panic!("not two documents")
        };
        let place = |value: &Value| value.location.to_string();
        assert_eq!(first.get("a").unwrap().whole(), Some(1));
        assert_eq!(place(first.get("a").unwrap()), "f.yaml:1:4");
        let list = first.at("b.c").unwrap().items();
        assert_eq!(
            (list[0].text(), list[1].flag(), list[1].quoted().as_str()),
            (Some("x"), Some(true), "`true`")
        );
        assert_eq!(place(&list[1]), "f.yaml:3:10");
        assert_eq!(list[3].content, Content::Null);
        let (key, value) = first.get("b").unwrap().entry("2").unwrap();
        assert_eq!(
            (key.location.to_string().as_str(), value.text()),
            ("f.yaml:4:3", Some("7"))
        );
        // A block begins with its first line.
        assert_eq!(place(second.get("d").unwrap()), "f.yaml:8:3");
        assert!(second.at("d.e").is_none());
    }

    #[test]
    fn a_text_within_a_file_is_placed_there() {
        let place = Location {
            file: "f.yaml".into(),
            line: 7,
            column: 4,
        };
        let values = read_at(&place, 2, "e: f\n").unwrap();
        assert_eq!(values[0].get("e").unwrap().location.to_string(), "f.yaml:8:6");
        assert_eq!(read_at(&place, 2, "e: [\n").unwrap_err().location.line, 8);
    }
}
