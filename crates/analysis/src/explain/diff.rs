//! What changes on a pod, as a person would see it in the manifest.

use serde_json::Value;
use similar::{ChangeTag, TextDiff};

/// A line of a unified diff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// `@@ -1,7 +1,8 @@`.
    Header(String),
    /// Context.
    Same(String),
    /// Taken out.
    Removed(String),
    /// Put in.
    Added(String),
}

/// The unified diff of two documents, as YAML. Its lines keep the order of keys that `kubectl get -o yaml` has: by name.
pub fn unified(before: &Value, after: &Value) -> anyhow::Result<Vec<Line>> {
    let (before, after) = (yaml(before)?, yaml(after)?);
    let diff = TextDiff::from_lines(&before, &after);
    let mut lines = Vec::new();
    for hunk in diff.unified_diff().context_radius(3).iter_hunks() {
        lines.push(Line::Header(hunk.header().to_string()));
        for change in hunk.iter_changes() {
            let text = change.value().trim_end_matches('\n').to_owned();
            lines.push(match change.tag() {
                ChangeTag::Equal => Line::Same(text),
                ChangeTag::Delete => Line::Removed(text),
                ChangeTag::Insert => Line::Added(text),
            });
        }
    }
    Ok(lines)
}

/// As `kubectl` writes it: lists at the height of their key, a string on one line however long it is.
fn yaml(document: &Value) -> anyhow::Result<String> {
    let options = serde_saphyr::ser_options! { compact_list_indent: true, prefer_block_scalars: false };
    Ok(serde_saphyr::to_string_with_options(document, options)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_changes_is_shown_with_what_stands_around_it() {
        let pod = |count: &str| {
            json!({"spec": {
                "containers": [{"name": "c", "resources": {"limits": {"cpu": "1", "nvidia.com/gpu": count}}}],
                "z1": 1, "z2": 2, "z3": 3, "z4": "yes",
            }})
        };
        let lines = unified(&pod("4"), &pod("1")).unwrap();
        let same = |text: &str| Line::Same(text.to_owned());
        assert_eq!(
            lines,
            [
                Line::Header("@@ -4,7 +4,7 @@".to_owned()),
                same("    resources:"),
                same("      limits:"),
                same("        cpu: \"1\""),
                Line::Removed("        nvidia.com/gpu: \"4\"".to_owned()),
                Line::Added("        nvidia.com/gpu: \"1\"".to_owned()),
                same("  z1: 1"),
                same("  z2: 2"),
                same("  z3: 3"),
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
