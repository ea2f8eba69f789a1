//! Parses documents into policies, or into findings that say what is wrong where.

use std::collections::HashMap;

use serde_saphyr::Spanned;

use super::document::{Document, StrategyEntry};
use super::isolation::Isolation;
use super::model::{API_VERSION, KIND, Mode, Policy, PolicyName, Rule};
use super::parse_limits::read_limits;
use crate::diagnostics::finding::{Finding, Location};
use crate::diagnostics::reader::Reader;
use crate::gpu::Strategy;
use crate::policy::SharingRule;
use apportion_mig::product::ProductPattern;
use apportion_mig::profile::MigProfile;
use apportion_mig::{MODELS, lookup, product};

/// Parses every policy of one file, which may hold several documents.
pub fn parse(file: &str, text: &str) -> Result<Vec<Policy>, Vec<Finding>> {
    let mut reader = Reader::new(file);
    let documents: Vec<Document> = reader.documents(text, KIND)?;
    let policies: Vec<Policy> = documents
        .iter()
        .filter_map(|document| read_policy(&mut reader, document))
        .collect();
    if reader.findings.is_empty() {
        Ok(policies)
    } else {
        Err(reader.findings)
    }
}

/// Parses several files, given as name and text, into one set of policies with distinct names.
pub fn parse_all<'t>(files: impl IntoIterator<Item = (&'t str, &'t str)>) -> Result<Vec<Policy>, Vec<Finding>> {
    let (mut policies, mut findings) = (Vec::new(), Vec::new());
    for (file, text) in files {
        match parse(file, text) {
            Ok(parsed) => policies.extend(parsed),
            Err(found) => findings.extend(found),
        }
    }
    let mut first: HashMap<PolicyName, Location> = HashMap::new();
    for policy in &policies {
        if let Some(other) = first.get(&policy.name) {
            let message = format!(
                "`{}` is already the name of the policy at {other}; rename one of them",
                policy.name
            );
            findings.push(Finding::error(policy.location.clone(), "metadata.name", message));
        } else {
            first.insert(policy.name.clone(), policy.location.clone());
        }
    }
    if findings.is_empty() {
        Ok(policies)
    } else {
        Err(findings)
    }
}

fn read_policy(reader: &mut Reader, document: &Document) -> Option<Policy> {
    let findings_before = reader.findings.len();
    if document.api_version.value != API_VERSION {
        let message = format!("`{}` is unknown; use {API_VERSION}", document.api_version.value);
        reader.error(&document.api_version, "apiVersion", message);
    }
    if document.kind.value != KIND {
        let message = format!("`{}` is unknown; use {KIND}", document.kind.value);
        reader.error(&document.kind, "kind", message);
    }
    let name = PolicyName::parse(&document.metadata.name.value)
        .map_err(|error| reader.error(&document.metadata.name, "metadata.name", error.to_string()));
    let spec = &document.spec.value;
    let mode = read_mode(reader, spec.mode.as_ref());
    let namespaces = spec
        .namespace_selector
        .as_ref()
        .map(|selector| reader.selector(selector, "spec.namespaceSelector"));
    let pods = spec
        .pod_selector
        .as_ref()
        .map(|selector| reader.selector(selector, "spec.podSelector"))
        .unwrap_or_default();
    let rules = read_rules(reader, &spec.strategies);
    let isolation = spec
        .isolation
        .as_ref()
        .map_or(Ok(Isolation::default()), Isolation::read);
    let isolation = isolation.unwrap_or_else(|invalid| {
        for guard in invalid {
            reader.error(guard.value, &guard.field, guard.message());
        }
        Isolation::default()
    });
    let (limits, tenant_label) = spec
        .limits
        .as_ref()
        .map(|limits| read_limits(reader, limits, &rules))
        .unwrap_or_default();
    let name = name.ok()?;
    if reader.findings.len() > findings_before {
        return None;
    }
    Some(Policy {
        namespaces: namespaces.unwrap_or_else(|| Policy::default_namespaces(&name)),
        name,
        mode,
        pods,
        priority: spec.priority,
        limits,
        tenant_label,
        rules,
        isolation,
        location: reader.at(&document.metadata.name),
    })
}

fn read_mode(reader: &mut Reader, mode: Option<&Spanned<String>>) -> Mode {
    let Some(text) = mode else {
        return Mode::default();
    };
    let mode = Mode::ALL.into_iter().find(|mode| mode.as_str() == text.value);
    mode.unwrap_or_else(|| {
        let message = format!("`{}` is not a mode; use Enforce, Warn or Audit", text.value);
        reader.error(text, "spec.mode", message);
        Mode::default()
    })
}

fn read_rules(reader: &mut Reader, entries: &Spanned<Vec<Spanned<StrategyEntry>>>) -> Vec<Rule> {
    if entries.value.is_empty() {
        let message = "a policy without a strategy allows nothing; list at least one";
        reader.error(entries, "spec.strategies", message);
    }
    let mut rules: Vec<Rule> = Vec::new();
    for (at, entry) in entries.value.iter().enumerate() {
        let field = format!("spec.strategies[{at}]");
        let Some(sharing) = read_rule(reader, &entry.value, &field) else {
            continue;
        };
        let location = reader.at(entry);
        if let Some(earlier) = rules.iter().find(|rule| covers(&rule.sharing, &sharing)) {
            let message = format!(
                "never reached: the entry at {} already allows all of it; remove one, or narrow the earlier one",
                earlier.location
            );
            reader.error(entry, &field, message);
            continue;
        }
        rules.push(Rule {
            sharing,
            location,
            profile_locations: entry.value.profiles.iter().map(|text| reader.at(text)).collect(),
            product_locations: entry.value.products.iter().map(|text| reader.at(text)).collect(),
        });
    }
    rules
}

fn read_rule(reader: &mut Reader, entry: &StrategyEntry, field: &str) -> Option<SharingRule> {
    let strategy = entry
        .strategy
        .value
        .parse::<Strategy>()
        .map_err(|error| reader.error(&entry.strategy, &format!("{field}.strategy"), error.to_string()))
        .ok()?;
    let products: Vec<ProductPattern> = entry
        .products
        .iter()
        .enumerate()
        .filter_map(|(at, text)| {
            let field = format!("{field}.products[{at}]");
            ProductPattern::parse(&text.value)
                .map_err(|error| reader.error(text, &field, error.to_string()))
                .ok()
        })
        .collect();
    if strategy != Strategy::Mig
        && let Some(first) = entry.profiles.first()
    {
        let message = format!("profiles belong to strategy mig; remove them, or change `{strategy}` to mig");
        reader.error(first, &format!("{field}.profiles"), message);
        return None;
    }
    if strategy == Strategy::Mig && entry.profiles.is_empty() {
        let message = "mig needs the profiles that it allows, smallest first, such as profiles: [1g.10gb, 2g.20gb]";
        reader.error(&entry.strategy, field, message);
    }
    if strategy == Strategy::Mig {
        for (at, (text, pattern)) in entry.products.iter().zip(&products).enumerate() {
            if product::WITHOUT_MIG
                .iter()
                .any(|name| pattern.as_str().eq_ignore_ascii_case(name))
            {
                let message = format!("{pattern} has no MIG; use mps or time-slicing for it");
                reader.error(text, &format!("{field}.products[{at}]"), message);
            }
        }
    }
    let mut profiles: Vec<MigProfile> = Vec::new();
    for (at, text) in entry.profiles.iter().enumerate() {
        let field = format!("{field}.profiles[{at}]");
        match text.value.parse::<MigProfile>() {
            Err(error) => reader.error(text, &field, error.to_string()),
            Ok(profile) if profiles.contains(&profile) => {
                reader.error(text, &field, format!("`{profile}` is listed twice; remove one"));
            }
            Ok(profile) => {
                if let Err(error) = check_profile(profile, &products) {
                    reader.error(text, &field, error.to_string());
                }
                profiles.push(profile);
            }
        }
    }
    Some(SharingRule {
        strategy,
        profiles,
        products,
    })
}

/// Whether `earlier` allows everything that `later` allows.
fn covers(earlier: &SharingRule, later: &SharingRule) -> bool {
    earlier.strategy == later.strategy
        && (earlier.profiles.is_empty()
            || !later.profiles.is_empty() && later.profiles.iter().all(|p| earlier.profiles.contains(p)))
        && (earlier.products.is_empty()
            || !later.products.is_empty() && later.products.iter().all(|p| earlier.products.contains(p)))
}

/// A MIG profile that cannot exist on the products of its rule.
#[derive(Debug, thiserror::Error)]
enum ProfileError {
    #[error(
        "no known product has the MIG profile {0}; for a product that is newer than this program, name it in `products`"
    )]
    Unknown(MigProfile),
    #[error("none of {products} has the MIG profile {profile}; {}", existing(models))]
    NotOnProducts {
        profile: MigProfile,
        /// The products of the rule, separated by commas.
        products: String,
        /// The models that have the profile, separated by commas.
        models: String,
    },
}

fn existing(models: &str) -> String {
    if models.is_empty() {
        "no known product has it".to_owned()
    } else {
        format!("it exists on {models}")
    }
}

/// Whether a profile can exist on the products of its rule.
///
/// Products that are missing from the tables pass, since they may have profiles that are missing
/// too. So users can name a GPU that is newer than this program in `products`.
fn check_profile(profile: MigProfile, products: &[ProductPattern]) -> Result<(), ProfileError> {
    let models = lookup::models_with_profile(profile)
        .map(|model| model.name)
        .collect::<Vec<_>>()
        .join(", ");
    if products.is_empty() {
        if models.is_empty() {
            return Err(ProfileError::Unknown(profile));
        }
        return Ok(());
    }
    let is_possible = |pattern: &ProductPattern| {
        let known: Vec<_> = MODELS.iter().filter(|model| model.matches_pattern(pattern)).collect();
        known.is_empty() || known.iter().any(|model| model.profile(profile).is_some())
    };
    if products.iter().any(is_possible) {
        return Ok(());
    }
    let products = products.iter().map(ProductPattern::as_str).collect::<Vec<_>>();
    Err(ProfileError::NotOnProducts {
        profile,
        products: products.join(", "),
        models,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "apiVersion: apportion.dev/v1alpha1\nkind: GpuSharingPolicy\nmetadata: {name: p}\n";

    fn errors(spec: &str) -> Vec<String> {
        parse("p.yaml", &format!("{HEAD}{spec}"))
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn every_field_of_a_policy_is_parsed() {
        let policies = parse(
            "p.yaml",
            &format!(
                "{HEAD}spec:\n  mode: Warn\n  priority: 7\n  podSelector: {{matchLabels: {{app: web}}, matchExpressions: [{{key: tier, operator: Exists}}]}}\n  strategies:\n  - strategy: mig\n    profiles: [1g.10gb, 2g.20gb]\n    products: [A100, H100]\n  - strategy: mps\n    products: [T4]\n"
            ),
        )
        .unwrap();
        let [policy] = &policies[..] else {
            panic!("{policies:?}")
        };
        assert_eq!(
            (policy.name.as_str(), policy.mode, policy.priority),
            ("p", Mode::Warn, 7)
        );
        assert_eq!(policy.namespaces, Policy::default_namespaces(&policy.name));
        assert_eq!(policy.pods.requirements.len(), 2);
        let rules: Vec<String> = policy.sharing_rules().map(ToString::to_string).collect();
        assert_eq!(rules, ["mig 1g.10gb, 2g.20gb on A100, H100", "mps on T4"]);
        assert_eq!(policy.rules[1].location.to_string(), "p.yaml:12:5");
    }

    #[test]
    fn each_error_has_a_location_and_a_fix() {
        for (spec, location, text) in [
            (
                "spec:\n  mod: Warn\n  strategies: [{strategy: mps}]\n",
                "p.yaml:5:3",
                "unknown field `mod`",
            ),
            (
                "spec:\n  mode: warn\n  strategies: [{strategy: mps}]\n",
                "p.yaml:5:9",
                "use Enforce, Warn or Audit",
            ),
            ("spec:\n  strategies: []\n", "p.yaml:5:15", "list at least one"),
            ("spec: {}\n", "p.yaml:4:7", "missing field `strategies`"),
            (
                "spec:\n  strategies:\n  - strategy: timeslicing\n",
                "p.yaml:6:15",
                "use exclusive, mig, mps or time-slicing",
            ),
            (
                "spec:\n  strategies:\n  - strategy: mps\n    profiles: [1g.10gb]\n",
                "p.yaml:7:16",
                "belong to strategy mig",
            ),
            (
                "spec:\n  strategies:\n  - strategy: mig\n    profiles: [1g10gb]\n",
                "p.yaml:7:16",
                "is not a MIG profile",
            ),
            (
                "spec:\n  strategies:\n  - strategy: mig\n    profiles: [9g.99gb]\n",
                "p.yaml:7:16",
                "no known product has",
            ),
            (
                "spec:\n  strategies:\n  - strategy: mig\n    profiles: [1g.10gb]\n    products: [A30]\n",
                "p.yaml:7:16",
                "none of A30 has the MIG profile 1g.10gb; it exists on A100-40GB, A100-80GB",
            ),
            (
                "spec:\n  strategies:\n  - strategy: mig\n    profiles: [1g.10gb, 1g.10gb]\n",
                "p.yaml:7:25",
                "listed twice",
            ),
            (
                "spec:\n  strategies:\n  - strategy: mig\n    products: [A100]\n",
                "p.yaml:6:15",
                "mig needs the profiles",
            ),
            (
                "spec:\n  strategies:\n  - strategy: mig\n    profiles: [1g.10gb]\n    products: [A100, T4]\n",
                "p.yaml:8:22",
                "T4 has no MIG",
            ),
            (
                "spec:\n  strategies:\n  - strategy: mps\n    products: ['A 100']\n",
                "p.yaml:7:16",
                "`A 100` is not a valid GPU product name; use letters, digits and dashes",
            ),
            (
                "spec:\n  strategies:\n  - strategy: mps\n  - strategy: mps\n    products: [T4]\n",
                "p.yaml:7:5",
                "never reached: the entry at p.yaml:6:5",
            ),
            (
                "spec:\n  podSelector: {matchExpressions: [{key: a, operator: Gt, values: ['1']}]}\n  strategies: [{strategy: mps}]\n",
                "p.yaml:5:55",
                "use In, NotIn, Exists or DoesNotExist",
            ),
            (
                "spec:\n  podSelector: {matchExpressions: [{key: a, operator: In}]}\n  strategies: [{strategy: mps}]\n",
                "p.yaml:5:36",
                "In needs values",
            ),
            (
                "spec:\n  podSelector: {matchExpressions: [{key: a, operator: Exists, values: [x]}]}\n  strategies: [{strategy: mps}]\n",
                "p.yaml:5:36",
                "Exists takes no values",
            ),
            (
                "spec:\n  namespaceSelector: {matchLabels: {'a b': x}}\n  strategies: [{strategy: mps}]\n",
                "p.yaml:5:44",
                "is not a valid label key",
            ),
            (
                "spec:\n  namespaceSelector: {matchLabels: {a: 'x y'}}\n  strategies: [{strategy: mps}]\n",
                "p.yaml:5:40",
                "is not a valid label value",
            ),
            (
                "spec:\n  strategies: [{strategy: mps}]\n  strategies: [{strategy: mps}]\n",
                "p.yaml:6:3",
                "duplicate mapping key: strategies",
            ),
            (
                "spec:\n  strategies: [{strategy: mps}\n",
                "p.yaml:5:15",
                "unclosed bracket",
            ),
            (
                "spec:\n  isolation:\n    hostpaths: Deny\n  strategies: [{strategy: mps}]\n",
                "p.yaml:6:5",
                "unknown field `hostpaths`",
            ),
            (
                "spec:\n  isolation:\n    privileged: deny\n  strategies: [{strategy: mps}]\n",
                "p.yaml:6:17",
                "spec.isolation.privileged: `deny` is neither Deny nor Allow",
            ),
        ] {
            let found = errors(spec);
            assert!(
                found.len() == 1 && found[0].starts_with(&format!("{location}: error: ")) && found[0].contains(text),
                "{spec}\n{found:#?}"
            );
        }
    }

    #[test]
    fn an_isolation_block_blocks_everything_that_it_does_not_allow() {
        use crate::gpu::BypassKind::{EnvVar, HostPath, Image, NodeName};
        let isolation = |block: &str| {
            let text = format!("{HEAD}spec: {{strategies: [{{strategy: mps}}]{block}}}\n");
            parse("p.yaml", &text).unwrap().remove(0).isolation
        };
        assert!(!isolation("").is_enabled());
        assert_eq!(isolation(", isolation: {}"), Isolation::all());
        for kind in [Image, EnvVar, HostPath, NodeName] {
            assert!(isolation(", isolation: {}").blocks(kind), "{kind:?}");
        }
        let some = isolation(", isolation: {hideGpus: false, hostPaths: Allow, privileged: Deny}");
        assert!(!some.hides_gpus() && !some.blocks(HostPath) && some.blocks(EnvVar));
    }

    #[test]
    fn api_version_kind_and_name_are_checked() {
        let text = "apiVersion: apportion.dev/v1\nkind: GPUSharingPolicy\nmetadata: {name: P}\nspec: {strategies: [{strategy: mps}]}\n";
        let found: Vec<String> = parse("p.yaml", text)
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found.len(), 3, "{found:#?}");
        assert!(found[0].starts_with("p.yaml:1:13: error: apiVersion: "), "{found:#?}");
        assert!(found[1].starts_with("p.yaml:2:7: error: kind: "), "{found:#?}");
        assert!(
            found[2].starts_with("p.yaml:3:18: error: metadata.name: "),
            "{found:#?}"
        );
    }

    #[test]
    fn an_unknown_product_may_have_unknown_profiles() {
        let text = format!("{HEAD}spec: {{strategies: [{{strategy: mig, profiles: [1g.99gb], products: [R200]}}]}}\n");
        assert!(parse("p.yaml", &text).is_ok());
    }

    #[test]
    fn documents_and_files_form_one_set_with_distinct_names() {
        let document = |name: &str| {
            format!(
                "apiVersion: apportion.dev/v1alpha1\nkind: GpuSharingPolicy\nmetadata: {{name: {name}}}\nspec: {{strategies: [{{strategy: mps}}]}}\n"
            )
        };
        let two = format!("{}---\n{}", document("a"), document("b"));
        assert_eq!(
            parse_all([("1.yaml", two.as_str()), ("2.yaml", &document("c"))])
                .unwrap()
                .len(),
            3
        );
        let found = parse_all([("1.yaml", two.as_str()), ("2.yaml", &document("a"))]).unwrap_err();
        assert_eq!(
            found[0].to_string(),
            "2.yaml:3:18: error: metadata.name: `a` is already the name of the policy at 1.yaml:3:18; rename one of them"
        );
        assert_eq!(
            parse("e.yaml", "# nothing\n").unwrap_err()[0].to_string(),
            "e.yaml: error: holds no GpuSharingPolicy"
        );
    }

    #[test]
    fn a_policy_object_from_a_cluster_is_parsed() {
        let text = "apiVersion: apportion.dev/v1alpha1\nkind: GpuSharingPolicy\nmetadata:\n  name: p\n  uid: x\n  generation: 3\n  managedFields: [{manager: kubectl}]\nspec: {strategies: [{strategy: mps}]}\nstatus: {accepted: true}\n";
        assert!(parse("p.yaml", text).is_ok());
    }
}
