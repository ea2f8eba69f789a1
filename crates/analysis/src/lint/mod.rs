//! What is doubtful in policies that can be read, alone and beside a cluster.
//!
//! What makes a policy unusable is the parser's to say ([`apportion_core::policy::parse`]); what is found here does not stop a policy from
//! being used, and shows that it does not do what it seems to. Pure: policies and an inventory come in, findings go out.

pub mod cluster;
pub mod limits;
pub mod reach;
pub mod rules;

pub use cluster::lint_cluster;

use apportion_core::diagnostics::Finding;
use apportion_core::policy::{Policy, PolicySet};
use apportion_mig::product::Product;

/// What is doubtful in these policies, in the order of their places. `seen` are products that nodes are known to have, where a
/// cluster is at hand: these are no typing errors.
pub fn lint(policies: &[Policy], seen: &[&Product]) -> Vec<Finding> {
    let set = PolicySet::new(policies.to_vec());
    let mut findings = reach::lint(&set);
    findings.extend(policies.iter().flat_map(|policy| rules::lint(policy, seen)));
    findings.sort_by(|a, b| a.location.cmp(&b.location));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use apportion_core::policy::parse::{parse, parse_all};

    /// The findings on documents of these names and specs, without their file.
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
    fn the_shipped_policies_are_beyond_doubt() {
        let texts: Vec<(String, String)> = std::fs::read_dir("policies")
            .unwrap()
            .map(|entry| entry.unwrap().path())
            // Beside them lie the cases that they are held to.
            .filter(|path| path.is_file())
            .map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap()))
            .collect();
        let policies = parse_all(texts.iter().map(|(file, text)| (file.as_str(), text.as_str()))).unwrap();
        assert_eq!(lint(&policies, &[]), []);
    }

    #[test]
    fn policies_that_meet_are_found() {
        let with = |rest: &str| format!("{rest}\n{MPS}");
        let everywhere = with("  namespaceSelector: {}");
        let batch = with("  namespaceSelector: {}\n  podSelector: {matchLabels: {kind: batch}}");
        let web = with("  namespaceSelector: {}\n  podSelector: {matchLabels: {kind: web}}");
        let high = with("  namespaceSelector: {}\n  priority: 9");
        let vision = with("  namespaceSelector: {matchLabels: {team: vision}}");
        for (case, specs, words) in [
            ("different labels", vec![("a", MPS), ("b", MPS)], vec![]),
            ("different pods", vec![("a", &*batch), ("b", &web)], vec![]),
            (
                "a label and a selector on another label",
                vec![("a", MPS), ("b", &*vision)],
                vec!["`a` (p.yaml:3:18) can govern the same pods as `b`, at the same priority 0"],
            ),
            (
                "everything hides the others at its own priority by name",
                vec![("a", &*everywhere), ("b", MPS)],
                vec!["`b` never governs a pod: `a` (p.yaml:3:18) matches all that it matches, and goes first by name"],
            ),
            (
                "and by priority",
                vec![("z", &*high), ("b", MPS)],
                vec![
                    "`b` never governs a pod: `z` (p.yaml:3:18) matches all that it matches, and goes first by priority, 9 over 0",
                ],
            ),
            (
                "a narrow one before a wide one is how it is meant",
                vec![("a", MPS), ("z", &*with("  namespaceSelector: {}\n  priority: -1"))],
                vec![],
            ),
        ] {
            let found = found(&specs);
            assert_eq!(found.len(), words.len(), "{case}: {found:#?}");
            for (finding, words) in found.iter().zip(&words) {
                assert!(finding.contains(words), "{case}: {finding}");
            }
        }
    }

    #[test]
    fn policies_that_match_nothing_are_found() {
        let with = |rest: &str| format!("{rest}\n{MPS}");
        for (spec, words) in [
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
                "spec.namespaceSelector: matches exempt namespaces alone (kube-system)",
            ),
        ] {
            let found = found(&[("a", &spec)]);
            assert!(found.len() == 1 && found[0].contains(words), "{spec}: {found:#?}");
        }
    }

    #[test]
    fn doubtful_rules_are_found_where_they_stand() {
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
                    "p.yaml:6:32: warning: spec.strategies[0].products[0]: `T44` is no product known here; did you mean T4?",
                ],
            ),
            (
                rule("{strategy: mps, products: [Voodoo]}"),
                vec![
                    "`Voodoo` is no product known here; it is compared with the label nvidia.com/gpu.product of nodes",
                ],
            ),
            (
                rule("{strategy: mig, profiles: [1g.10gb], products: [A100, H200]}"),
                vec![
                    "p.yaml:6:59: warning: spec.strategies[0].products[1]: H200 has none of the profiles of this rule; add one that it has, such as 1g.18gb, or remove it",
                ],
            ),
            (
                rule("{strategy: mps, products: [Tesla-T4, NVIDIA-L40S, A100-SXM4, RTX-A6000, rtx-pro-6000]}"),
                vec![],
            ),
        ] {
            let found = found(&[("a", &spec)]);
            assert_eq!(found.len(), expected.len(), "{spec}: {found:#?}");
            for (finding, words) in found.iter().zip(&expected) {
                assert!(finding.contains(words), "{spec}: {finding}");
            }
        }
    }
}
