//! The change of a pod as a unified diff of its manifest.

use serde_json::Value;
use similar::{ChangeTag, TextDiff};

/// A line of a unified diff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// For example `@@ -1,7 +1,8 @@`.
    Header(String),
    Context(String),
    Removed(String),
    Added(String),
}

/// The unified diff of two documents as YAML, with keys sorted by name as in `kubectl get -o yaml`.
pub fn unified(before: &Value, after: &Value) -> Result<Vec<Line>, serde_saphyr::ser::Error> {
    let (before, after) = (yaml(before)?, yaml(after)?);
    let diff = TextDiff::from_lines(&before, &after);
    let mut lines = Vec::new();
    for hunk in diff.unified_diff().context_radius(3).iter_hunks() {
        lines.push(Line::Header(hunk.header().to_string()));
        for change in hunk.iter_changes() {
            let text = change.value().trim_end_matches('\n').to_owned();
            lines.push(match change.tag() {
                ChangeTag::Equal => Line::Context(text),
                ChangeTag::Delete => Line::Removed(text),
                ChangeTag::Insert => Line::Added(text),
            });
        }
    }
    Ok(lines)
}

/// YAML as kubectl writes it: lists are not indented below their key, and strings are not wrapped.
fn yaml(document: &Value) -> Result<String, serde_saphyr::ser::Error> {
    let options = serde_saphyr::ser_options! { compact_list_indent: true, prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(document, options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn changed_lines_are_shown_with_three_lines_of_context() {
        let pod = |count: &str| {
            json!({"spec": {
                "containers": [{"name": "c", "resources": {"limits": {"cpu": "1", "nvidia.com/gpu": count}}}],
                "z1": 1, "z2": 2, "z3": 3, "z4": "yes",
            }})
        };
        let lines = unified(&pod("4"), &pod("1")).unwrap();
        let context = |text: &str| Line::Context(text.to_owned());
        assert_eq!(
            lines,
            [
                Line::Header("@@ -4,7 +4,7 @@".to_owned()),
                context("    resources:"),
                context("      limits:"),
                context("        cpu: \"1\""),
                Line::Removed("        nvidia.com/gpu: \"4\"".to_owned()),
                Line::Added("        nvidia.com/gpu: \"1\"".to_owned()),
                context("  z1: 1"),
                context("  z2: 2"),
                context("  z3: 3"),
            ]
        );
        assert_eq!(unified(&pod("4"), &pod("4")).unwrap(), []);
    }

    #[test]
    fn long_strings_stay_on_one_line() {
        let long = "word ".repeat(60);
        let text = yaml(&json!({"a": long.trim_end(), "b": "{\"x\":1}"})).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
    }
}
