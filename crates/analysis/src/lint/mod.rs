//! Lints valid policies, on their own and against a cluster.
//!
//! The parser rejects invalid policies ([`apportion_core::policy::parse`]). The linter warns about
//! valid policies that do not do what their author probably expects.

mod cluster;
mod limits;
mod rules;
mod selectors;

pub use cluster::lint_cluster;

use apportion_core::diagnostics::Finding;
use apportion_core::policy::{Policy, PolicySet};
use apportion_mig::product::Product;

/// Checks policies, and returns the findings ordered by location. `cluster_products` are the
/// products of nodes, if a cluster is given; they are not reported as unknown.
pub fn lint(policies: &[Policy], cluster_products: &[&Product]) -> Vec<Finding> {
    let set = PolicySet::new(policies.to_vec());
    let mut findings = selectors::lint(&set);
    findings.extend(policies.iter().flat_map(|policy| rules::lint(policy, cluster_products)));
    findings.sort_by(|a, b| a.location.cmp(&b.location));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use apportion_core::policy::parse::{parse, parse_all};

    /// The findings about policies with these names and specs.
    fn found(specs: &[(&str, &str)]) -> Vec<String> {
        let texts: Vec<String> = specs
            .iter()
            .map(|(name, spec)| {
                format!("apiVersion: apportion.dev/v1alpha1\nkind: GpuSharingPolicy\nmetadata: {{name: {name}}}\nspec:\n{spec}\n")
            })
            .collect();
        let policies = parse("p.yaml", &texts.join("---\n")).unwrap();
        lint(&policies, &[&"NVIDIA-RTX-A6000".into()])
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    const MPS: &str = "  strategies: [{strategy: mps}]";

    #[test]
    fn shipped_policies_have_no_findings() {
        let texts: Vec<(String, String)> = std::fs::read_dir("../../policies")
            .unwrap()
            .map(|entry| entry.unwrap().path())
            // The directory of test cases is skipped.
            .filter(|path| path.is_file())
            .map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap()))
            .collect();
        let policies = parse_all(texts.iter().map(|(file, text)| (file.as_str(), text.as_str()))).unwrap();
        assert_eq!(lint(&policies, &[]), []);
    }

    #[test]
    fn overlapping_policies_are_found() {
        let with = |rest: &str| format!("{rest}\n{MPS}");
        let everywhere = with("  namespaceSelector: {}");
        let batch = with("  namespaceSelector: {}\n  podSelector: {matchLabels: {kind: batch}}");
        let web = with("  namespaceSelector: {}\n  podSelector: {matchLabels: {kind: web}}");
        let high = with("  namespaceSelector: {}\n  priority: 9");
        let vision = with("  namespaceSelector: {matchLabels: {team: vision}}");
        for (case, specs, expected) in [
            ("different labels", vec![("a", MPS), ("b", MPS)], vec![]),
            ("different pods", vec![("a", &*batch), ("b", &web)], vec![]),
            (
                "a label and a selector on another label",
                vec![("a", MPS), ("b", &*vision)],
                vec!["`a` (p.yaml:3:18) can govern the same pods as `b`, at the same priority 0"],
            ),
            (
                "a policy for all namespaces hides later names at the same priority",
                vec![("a", &*everywhere), ("b", MPS)],
                vec![
                    "`b` never governs a pod: `a` (p.yaml:3:18) matches everything that it matches, and takes precedence by name",
                ],
            ),
            (
                "and lower priorities",
                vec![("z", &*high), ("b", MPS)],
                vec![
                    "`b` never governs a pod: `z` (p.yaml:3:18) matches everything that it matches, and takes precedence by priority, 9 over 0",
                ],
            ),
            (
                "a narrow policy before a wide one is intended",
                vec![("a", MPS), ("z", &*with("  namespaceSelector: {}\n  priority: -1"))],
                vec![],
            ),
        ] {
            let found = found(&specs);
            assert_eq!(found.len(), expected.len(), "{case}: {found:#?}");
            for (finding, expected) in found.iter().zip(&expected) {
                assert!(finding.contains(expected), "{case}: {finding}");
            }
        }
    }

    #[test]
    fn policies_that_match_nothing_are_found() {
        let with = |rest: &str| format!("{rest}\n{MPS}");
        for (spec, expected) in [
            (
                with(
                    "  namespaceSelector: {matchExpressions: [{key: a, operator: Exists}, {key: a, operator: DoesNotExist}]}",
                ),
                "spec.namespaceSelector: no namespace can satisfy this",
            ),
            (
                with(
                    "  podSelector: {matchLabels: {a: b}, matchExpressions: [{key: a, operator: NotIn, values: [b]}]}",
                ),
                "spec.podSelector: no pod can satisfy this",
            ),
            (
                with("  namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}"),
                "spec.namespaceSelector: matches only exempt namespaces (kube-system)",
            ),
        ] {
            let found = found(&[("a", &spec)]);
            assert!(found.len() == 1 && found[0].contains(expected), "{spec}: {found:#?}");
        }
    }

    #[test]
    fn ineffective_rules_are_located() {
        let rule = |rule: &str| format!("  strategies:\n  - {rule}");
        for (spec, expected) in [
            (
                rule("{strategy: mig, profiles: [2g.20gb, 1g.10gb, 1g.5gb]}"),
                vec![
                    "p.yaml:6:41: warning: spec.strategies[0].profiles[1]: `1g.10gb` is smaller than `2g.20gb` before it",
                ],
            ),
            (
                rule("{strategy: mps, products: [T44]}"),
                vec![
                    "p.yaml:6:32: warning: spec.strategies[0].products[0]: `T44` is not a known product; did you mean T4?",
                ],
            ),
            (
                rule("{strategy: mps, products: [Voodoo]}"),
                vec![
                    "`Voodoo` is not a known product; it is compared word by word with the node label nvidia.com/gpu.product",
                ],
            ),
            (
                rule("{strategy: mig, profiles: [1g.10gb], products: [A100, H200]}"),
                vec![
                    "p.yaml:6:59: warning: spec.strategies[0].products[1]: H200 has none of this rule's profiles; add one that it has, such as 1g.18gb, or remove it",
                ],
            ),
            (
                rule("{strategy: mps, products: [Tesla-T4, NVIDIA-L40S, A100-SXM4, RTX-A6000, rtx-pro-6000]}"),
                vec![],
            ),
        ] {
            let found = found(&[("a", &spec)]);
            assert_eq!(found.len(), expected.len(), "{spec}: {found:#?}");
            for (finding, expected) in found.iter().zip(&expected) {
                assert!(finding.contains(expected), "{spec}: {finding}");
            }
        }
    }
}
