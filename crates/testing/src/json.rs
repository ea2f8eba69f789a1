//! Changes to JSON documents.

use serde_json::Value;

/// The document with another value at a JSON pointer. Missing objects on the path are created.
pub fn set(mut document: Value, pointer: &str, value: impl Into<Value>) -> Value {
    *entry(&mut document, pointer) = value.into();
    document
}

/// The value at a JSON pointer. Missing objects on the path are created.
///
/// Panics if the path crosses a scalar or names an element that a list does not have.
pub(crate) fn entry<'v>(document: &'v mut Value, pointer: &str) -> &'v mut Value {
    let keys = pointer.split('/').skip(1);
    keys.map(|key| key.replace("~1", "/"))
        .fold(document, |at, key| match at {
            Value::Array(list) => &mut list[key.parse::<usize>().unwrap()],
            other => &mut other[key],
        })
}

/// Appends to the list at a JSON pointer, which is created if it is missing.
pub(crate) fn push(document: &mut Value, pointer: &str, value: Value) {
    let list = entry(document, pointer);
    if list.is_null() {
        *list = Value::Array(Vec::new());
    }
    list.as_array_mut().unwrap().push(value);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn missing_objects_are_created_and_list_elements_replaced() {
        let document = set(json!({"a": [1, {"b": 2}]}), "/a/1/b", 3);
        assert_eq!(document, json!({"a": [1, {"b": 3}]}));
        let document = set(json!({}), "/metadata/annotations/apportion.dev~1gpu-memory", "8Gi");
        assert_eq!(
            document,
            json!({"metadata": {"annotations": {"apportion.dev/gpu-memory": "8Gi"}}})
        );
    }
}
