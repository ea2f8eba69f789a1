//! Selects the nodes and namespaces that a map shows.

use globset::{Glob, GlobMatcher};

/// Patterns of node names and namespaces; an empty list selects all.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    nodes: Vec<GlobMatcher>,
    namespaces: Vec<GlobMatcher>,
}

impl Selection {
    pub fn new(nodes: &[Glob], namespaces: &[Glob]) -> Self {
        let compiled = |globs: &[Glob]| globs.iter().map(Glob::compile_matcher).collect();
        Selection {
            nodes: compiled(nodes),
            namespaces: compiled(namespaces),
        }
    }

    pub fn has_node(&self, name: &str) -> bool {
        matches_any(&self.nodes, name)
    }

    pub fn has_namespace(&self, name: &str) -> bool {
        matches_any(&self.namespaces, name)
    }

    pub fn has_all_namespaces(&self) -> bool {
        self.namespaces.is_empty()
    }
}

fn matches_any(patterns: &[GlobMatcher], name: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| pattern.is_match(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_matches_any_text_and_question_mark_one_character() {
        for (pattern, name, expected) in [
            ("a100-1", "a100-1", true),
            ("a100-1", "a100-10", false),
            ("A100-1", "a100-1", false),
            ("a100-*", "a100-", true),
            ("*-1", "a-1-1", true),
            ("*-1", "a-1-2", false),
            ("a?00*", "a100-mig", true),
            ("a*b*c", "axxbxxbc", true),
            ("a*b*c", "axxcxxb", false),
            ("n*.example", "node.zone.example", true),
            ("", "", true),
            ("", "a", false),
            ("**", "", true),
            ("**", "a100-1", true),
        ] {
            let selection = Selection::new(&[pattern.parse().unwrap()], &[]);
            assert_eq!(selection.has_node(name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn no_pattern_selects_everything() {
        let selection = Selection::default();
        assert!(selection.has_node("x") && selection.has_namespace("x") && selection.has_all_namespaces());
    }

    #[test]
    fn invalid_pattern_is_an_error_that_names_it() {
        let error = "gpu-[1".parse::<Glob>().unwrap_err().to_string();
        assert!(error.contains("'gpu-[1'") && error.contains("']'"), "{error}");
    }
}
