//! YAML without a schema, with the location of every key and value.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use apportion_core::diagnostics::reader::Reader;
use apportion_core::diagnostics::{Finding, Location};

/// A YAML value with its location.
#[derive(Clone, Debug, PartialEq)]
pub struct LocatedValue {
    pub location: Location,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    /// A number that is not an `i64`.
    Float(f64),
    String(String),
    List(Vec<LocatedValue>),
    /// The entries, in the order of the file.
    Map(Vec<(LocatedKey, LocatedValue)>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocatedKey {
    pub text: String,
    pub location: Location,
}

/// Parses all documents of a file. Empty documents are left out.
pub fn parse(file: &str, text: &str) -> Result<Vec<LocatedValue>, Finding> {
    parse_embedded(&Location::file(file), 0, text)
}

/// Parses a text that is embedded in a file: it starts below the line of `origin`, indented by
/// `indent` columns. Locations are those of the file.
pub fn parse_embedded(origin: &Location, indent: u64, text: &str) -> Result<Vec<LocatedValue>, Finding> {
    let reader = Reader::new(&origin.file);
    let locator = Locator { origin, indent };
    let documents: Vec<Spanned<SpannedValue>> = serde_saphyr::from_multiple(text).map_err(|error| {
        let mut finding = reader.unreadable(&error);
        finding.location = locator.in_file(finding.location.line, finding.location.column);
        finding
    })?;
    Ok(documents
        .into_iter()
        .map(|document| locator.value(document))
        .filter(|document| document.value != Value::Null)
        .collect())
}

/// Converts positions in a text to locations in the file that contains it.
struct Locator<'o> {
    origin: &'o Location,
    indent: u64,
}

impl Locator<'_> {
    fn in_file(&self, line: u64, column: u64) -> Location {
        Location {
            file: self.origin.file.clone(),
            line: self.origin.line + line,
            column: if column == 0 { 0 } else { self.indent + column },
        }
    }

    fn location<T>(&self, spanned: &Spanned<T>) -> Location {
        self.in_file(spanned.referenced.line(), spanned.referenced.column())
    }

    fn value(&self, spanned: Spanned<SpannedValue>) -> LocatedValue {
        let location = self.location(&spanned);
        let value = match spanned.value {
            SpannedValue::Null => Value::Null,
            SpannedValue::Bool(value) => Value::Bool(value),
            SpannedValue::Int(value) => Value::Int(value),
            SpannedValue::Float(value) => Value::Float(value),
            SpannedValue::String(value) => Value::String(value),
            SpannedValue::List(items) => Value::List(items.into_iter().map(|item| self.value(item)).collect()),
            SpannedValue::Map(entries) => Value::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| {
                        let location = self.location(&key);
                        let key = LocatedKey {
                            text: key.value,
                            location,
                        };
                        (key, self.value(value))
                    })
                    .collect(),
            ),
        };
        LocatedValue { location, value }
    }
}

impl LocatedValue {
    /// The entries of a map; empty for other values.
    pub fn entries(&self) -> &[(LocatedKey, LocatedValue)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; empty for other values.
    pub fn items(&self) -> &[LocatedValue] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    pub fn get(&self, key: &str) -> Option<&LocatedValue> {
        self.entry(key).map(|(_, value)| value)
    }

    pub fn entry(&self, key: &str) -> Option<(&LocatedKey, &LocatedValue)> {
        self.entries()
            .iter()
            .find(|(known, _)| known.text == key)
            .map(|(key, value)| (key, value))
    }

    /// The value at a path of keys, such as `a.b.c`.
    pub fn get_path(&self, path: &str) -> Option<&LocatedValue> {
        path.split('.').try_fold(self, |value, key| value.get(key))
    }

    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self.value {
            Value::Bool(flag) => Some(flag),
            _ => None,
        }
    }

    pub fn as_i64(&self) -> Option<i64> {
        match self.value {
            Value::Int(number) => Some(number),
            _ => None,
        }
    }

    /// The value as messages show it.
    pub fn quoted(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => format!("`{value}`"),
            Value::Int(value) => format!("`{value}`"),
            Value::Float(value) => format!("`{value}`"),
            Value::String(value) => format!("`{value}`"),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }
}

/// What serde reads, before positions become locations.
enum SpannedValue {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(String),
    List(Vec<Spanned<SpannedValue>>),
    Map(Vec<(Spanned<String>, Spanned<SpannedValue>)>),
}

impl<'de> Deserialize<'de> for SpannedValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = SpannedValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_unit<E>(self) -> Result<SpannedValue, E> {
        Ok(SpannedValue::Null)
    }

    fn visit_none<E>(self) -> Result<SpannedValue, E> {
        Ok(SpannedValue::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<SpannedValue, D::Error> {
        SpannedValue::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<SpannedValue, E> {
        Ok(SpannedValue::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<SpannedValue, E> {
        Ok(SpannedValue::Int(value))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "no count in these files is larger than i64::MAX"
    )]
    fn visit_u64<E>(self, value: u64) -> Result<SpannedValue, E> {
        Ok(i64::try_from(value).map_or(SpannedValue::Float(value as f64), SpannedValue::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<SpannedValue, E> {
        Ok(SpannedValue::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<SpannedValue, E> {
        Ok(SpannedValue::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<SpannedValue, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(SpannedValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<SpannedValue, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(SpannedValue::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_have_locations() {
        let text = "a: 1\nb:\n  c: [x, true, 1.5, null]\n  2: \"7\"\n---\n---\nd: |\n  e: f\n";
        let [first, second] = &parse("f.yaml", text).unwrap()[..] else {
            panic!("expected two documents")
        };
        let location = |value: &LocatedValue| value.location.to_string();
        assert_eq!(first.get("a").unwrap().as_i64(), Some(1));
        assert_eq!(location(first.get("a").unwrap()), "f.yaml:1:4");
        let list = first.get_path("b.c").unwrap().items();
        assert_eq!(
            (list[0].as_str(), list[1].as_bool(), list[1].quoted().as_str()),
            (Some("x"), Some(true), "`true`")
        );
        assert_eq!(location(&list[1]), "f.yaml:3:10");
        assert_eq!(list[3].value, Value::Null);
        let (key, value) = first.get("b").unwrap().entry("2").unwrap();
        assert_eq!(
            (key.location.to_string().as_str(), value.as_str()),
            ("f.yaml:4:3", Some("7"))
        );
        // A block scalar starts at its first line.
        assert_eq!(location(second.get("d").unwrap()), "f.yaml:8:3");
        assert!(second.get_path("d.e").is_none());
    }

    #[test]
    fn embedded_text_has_locations_of_its_file() {
        let origin = Location {
            file: "f.yaml".into(),
            line: 7,
            column: 4,
        };
        let values = parse_embedded(&origin, 2, "e: f\n").unwrap();
        assert_eq!(values[0].get("e").unwrap().location.to_string(), "f.yaml:8:6");
        assert_eq!(parse_embedded(&origin, 2, "e: [\n").unwrap_err().location.line, 8);
    }
}
