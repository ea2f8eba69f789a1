//! Manifests: one or more documents of YAML, or of JSON, which is YAML too.

use serde_json::Value;

/// A text that is not YAML.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ManifestError {
    /// Counted from 1; 0 where it is not known.
    pub line: u64,
    /// Counted from 1; 0 where it is not known.
    pub column: u64,
    /// What is wrong.
    pub message: String,
}

/// The documents of a text; empty ones are passed over.
///
/// Only `true` and `false` are booleans, as `kubectl` has it: a node may be called `n`.
pub fn documents(text: &str) -> Result<Vec<Value>, ManifestError> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_multiple_with_options::<Value>(text, options)
        .map(|documents| documents.into_iter().filter(|document| !document.is_null()).collect())
        .map_err(|error| {
            let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
            let message = error.without_snippet().to_string();
            let message = message.split(" at line ").next().unwrap_or(&message).to_owned();
            ManifestError { line, column, message }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_told_apart_and_words_stay_words() {
        let found = documents("a: n\nb: yes\nc: true\n---\n---\nd: 010\n").unwrap();
        assert_eq!(found[0], serde_json::json!({"a":"n","b":"yes","c":true}));
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn mistakes_have_a_place() {
        let error = documents("a: b\nc: [1\n").unwrap_err();
        assert_eq!((error.line, error.column > 0), (2, true), "{error}");
    }
}
