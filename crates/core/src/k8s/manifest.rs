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
    // A dump of a large cluster has more in it than the parser takes for sound. What stands in a text has at most as many parts as the text
    // has bytes; more would be aliases that multiply, whose own limits stay.
    let usual = serde_saphyr::Budget::default();
    let all = |usual: usize| usual.max(text.len());
    let options = serde_saphyr::options! {
        strict_booleans: true,
        budget: serde_saphyr::budget! {
            max_events: all(usual.max_events),
            max_nodes: all(usual.max_nodes),
            max_total_scalar_bytes: all(usual.max_total_scalar_bytes),
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
    fn documents_are_told_apart_and_words_stay_words() {
        let found = documents("a: n\nb: yes\nc: true\n---\n---\nd: 010\n").unwrap();
        assert_eq!(found[0], serde_json::json!({"a":"n","b":"yes","c":true}));
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_large_list_is_read_and_one_that_multiplies_is_not() {
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
    fn mistakes_have_a_place() {
        let error = documents("a: b\nc: [1\n").unwrap_err();
        assert_eq!((error.line, error.column > 0), (2, true), "{error}");
    }
}
