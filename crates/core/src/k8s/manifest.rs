//! Manifests: one or more YAML documents, which may be JSON.

use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ManifestError {
    /// Starts at 1; 0 if unknown.
    pub line: u64,
    /// Starts at 1; 0 if unknown.
    pub column: u64,
    pub message: String,
}

/// Parses all documents that are not empty.
///
/// Only `true` and `false` are booleans, as in `kubectl`: a node may be named `n`.
pub fn documents(text: &str) -> Result<Vec<Value>, ManifestError> {
    // A dump of a large cluster exceeds the default limits of the parser. A text has at most as
    // many nodes as bytes, unless aliases multiply them; the limits on aliases stay as they are.
    let defaults = serde_saphyr::Budget::default();
    let at_least = |default: usize| default.max(text.len());
    let options = serde_saphyr::options! {
        strict_booleans: true,
        budget: serde_saphyr::budget! {
            max_events: at_least(defaults.max_events),
            max_nodes: at_least(defaults.max_nodes),
            max_total_scalar_bytes: at_least(defaults.max_total_scalar_bytes),
        },
    };
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
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn documents_are_separate_and_words_stay_strings() {
        let found = documents("a: n\nb: yes\nc: true\n---\n---\nd: 010\n").unwrap();
        assert_eq!(found[0], serde_json::json!({"a":"n","b":"yes","c":true}));
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_large_list_parses_and_an_alias_bomb_does_not() {
        let mut text = "items:\n".to_owned();
        for number in 0..300_000 {
            let _ = writeln!(text, "- {number}");
        }
        let found = documents(&text).unwrap();
        assert_eq!(found[0]["items"].as_array().map(Vec::len), Some(300_000));
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let below = vec![format!("*a{}", level - 1); 10].join(", ");
            let _ = writeln!(bomb, "a{level}: &a{level} [{below}]");
        }
        assert!(documents(&bomb).is_err());
    }

    #[test]
    fn errors_have_a_position() {
        let error = documents("a: b\nc: [1\n").unwrap_err();
        assert_eq!((error.line, error.column > 0), (2, true), "{error}");
    }
}
