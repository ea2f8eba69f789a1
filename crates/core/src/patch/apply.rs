//! Our own operations applied to a document, to show what a patch would make of it.
//!
//! The API server applies what the webhook sends; this is for `explain`, which has no API server. So it knows the two operations
//! that [`mod@super::operations`] writes, and follows RFC 6902 to the letter in these.

use serde_json::Value;

use super::operations::Operation;

/// Why an operation does not apply. RFC 6902 has the whole patch fail with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// No JSON Pointer.
    #[error("`{0}` is not a JSON pointer")]
    NotAPointer(String),
    /// Nothing stands where the operation wants to work.
    #[error("`{0}` leads nowhere in the document")]
    Missing(String),
}

/// Applies the operations one after the other. On an error the document holds what went before it.
pub fn apply(document: &mut Value, operations: &[Operation]) -> Result<(), ApplyError> {
    operations.iter().try_for_each(|operation| match operation {
        Operation::Add { path, value } => add(document, path, value.clone()),
        Operation::Remove { path } => remove(document, path),
    })
}

fn add(document: &mut Value, path: &str, value: Value) -> Result<(), ApplyError> {
    let missing = || ApplyError::Missing(path.to_owned());
    let Some((parent, token)) = split(path)? else {
        *document = value;
        return Ok(());
    };
    match document.pointer_mut(parent).ok_or_else(missing)? {
        Value::Object(members) => {
            members.insert(token, value);
        }
        Value::Array(items) => {
            let at = if token == "-" {
                items.len()
            } else {
                index(&token).filter(|at| *at <= items.len()).ok_or_else(missing)?
            };
            items.insert(at, value);
        }
        _ => return Err(missing()),
    }
    Ok(())
}

fn remove(document: &mut Value, path: &str) -> Result<(), ApplyError> {
    let missing = || ApplyError::Missing(path.to_owned());
    let (parent, token) = split(path)?.ok_or_else(missing)?;
    match document.pointer_mut(parent).ok_or_else(missing)? {
        Value::Object(members) => {
            members.remove(&token).ok_or_else(missing)?;
        }
        Value::Array(items) => {
            let at = index(&token).filter(|at| *at < items.len()).ok_or_else(missing)?;
            items.remove(at);
        }
        _ => return Err(missing()),
    }
    Ok(())
}

/// The pointer to the parent and the last token, unescaped; `None` for the document itself.
fn split(path: &str) -> Result<Option<(&str, String)>, ApplyError> {
    if path.is_empty() {
        return Ok(None);
    }
    let (parent, token) = path
        .rsplit_once('/')
        .filter(|_| path.starts_with('/'))
        .ok_or_else(|| ApplyError::NotAPointer(path.to_owned()))?;
    Ok(Some((parent, token.replace("~1", "/").replace("~0", "~"))))
}

/// An index of RFC 6901: digits without a leading zero.
fn index(token: &str) -> Option<usize> {
    let plain = token == "0" || !token.starts_with('0') && token.bytes().all(|b| b.is_ascii_digit());
    if plain { token.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// What an implementation that is not ours makes of it.
    fn oracle(document: &Value, operations: &[Operation]) -> Option<Value> {
        let patch: json_patch::Patch = serde_json::from_value(serde_json::to_value(operations).unwrap()).ok()?;
        let mut document = document.clone();
        json_patch::patch(&mut document, &patch).ok()?;
        Some(document)
    }

    fn ours(document: &Value, operations: &[Operation]) -> Option<Value> {
        let mut document = document.clone();
        apply(&mut document, operations).ok()?;
        Some(document)
    }

    fn document() -> Value {
        json!({"a": {"b/c": 1, "d~e": [1, 2]}, "list": [{"x": 1}, {}], "text": "t", "": 0, "nothing": null})
    }

    const PATHS: &[&str] = &[
        "",
        "/",
        "/a",
        "/a/b~1c",
        "/a/d~0e",
        "/a/d~0e/0",
        "/a/d~0e/2",
        "/a/d~0e/3",
        "/a/d~0e/-",
        "/a/d~0e/01",
        "/a/d~0e/x",
        "/a/new",
        "/a/new/deep",
        "/list/0/x",
        "/list/1/y",
        "/list/9/y",
        "/text/x",
        "/nothing/x",
        "/nothing",
        "/absent",
    ];

    #[test]
    fn each_operation_does_what_the_standard_says() {
        for path in PATHS {
            let add = Operation::Add {
                path: (*path).to_owned(),
                value: json!({"v": 1}),
            };
            assert_eq!(
                ours(&document(), std::slice::from_ref(&add)),
                oracle(&document(), std::slice::from_ref(&add)),
                "{add:?}"
            );
            // The crate refuses to remove the document itself by another error than ours, and empties it in some versions.
            if !path.is_empty() {
                let remove = Operation::Remove {
                    path: (*path).to_owned(),
                };
                assert_eq!(
                    ours(&document(), std::slice::from_ref(&remove)),
                    oracle(&document(), std::slice::from_ref(&remove)),
                    "{remove:?}"
                );
            }
        }
    }

    #[test]
    fn what_does_not_apply_is_named() {
        let mut value = document();
        let remove = |path: &str| Operation::Remove { path: path.to_owned() };
        assert_eq!(
            apply(&mut value, &[remove("/absent")]).unwrap_err().to_string(),
            "`/absent` leads nowhere in the document"
        );
        assert_eq!(
            apply(&mut value, &[remove("a")]).unwrap_err().to_string(),
            "`a` is not a JSON pointer"
        );
    }

    proptest! {
        #[test]
        fn sequences_agree_with_the_oracle(steps in proptest::collection::vec((0..PATHS.len(), any::<bool>(), 0..3u8), 0..6)) {
            let operations: Vec<Operation> = steps
                .into_iter()
                .filter(|(at, adds, _)| *adds || !PATHS[*at].is_empty())
                .map(|(at, adds, value)| {
                    let path = PATHS[at].to_owned();
                    if adds { Operation::Add { path, value: json!(value) } } else { Operation::Remove { path } }
                })
                .collect();
            prop_assert_eq!(ours(&document(), &operations), oracle(&document(), &operations));
        }
    }
}
