//! `apportion node-groups`: the labels and resources that the templates of node groups need, so
//! that cluster autoscalers scale them up from zero for the policies' pods.

use std::path::PathBuf;

use anyhow::bail;
use serde::Serialize;

use super::exit::Exit;
use super::input;
use super::output::{self, Format, Printing};
use super::page::{FAINT, Page};
use apportion_core::decision::node_group::{NodeGroup, node_groups};
use apportion_core::policy::Policy;
use apportion_core::policy::SharingRule;
use apportion_mig::product::Product;

/// The prefix of Auto Scaling group tags that declare the labels of future nodes (Cluster
/// Autoscaler's `aws` provider).
const AWS_LABEL: &str = "k8s.io/cluster-autoscaler/node-template/label/";
/// The prefix of the tags that declare their resources.
const AWS_RESOURCE: &str = "k8s.io/cluster-autoscaler/node-template/resources/";
/// The prefix of `MachineDeployment` annotations that declare labels and one extended resource (the
/// `clusterapi` provider).
const CAPI_ANNOTATION: &str = "capacity.cluster-autoscaler.kubernetes.io/";
/// Shown in place of the number of devices or shares if `--count` is not given.
const COUNT_PLACEHOLDER: &str = "<count>";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The directory of policies.
    #[arg(long, value_name = "DIR", default_value = "policies", env = "APPORTION_POLICIES")]
    policies: PathBuf,
    /// A product as GPU feature discovery labels it on a node without sharing and MIG, such as
    /// NVIDIA-A100-SXM4-80GB. Repeatable
    #[arg(long, value_name = "NAME", required = true)]
    product: Vec<String>,
    /// The number of GPUs, MIG devices or shares on one node of the group [default: a placeholder]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    #[command(flatten)]
    printing: Printing,
}

/// A node group in the list that `--output json` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonNodeGroup {
    policy: String,
    strategy: &'static str,
    product: String,
    /// The resource in its nodes' allocatable.
    resource: String,
    /// The labels that its template must have.
    labels: std::collections::BTreeMap<String, String>,
    /// Labels that nodes must not have, as requirements; a missing label satisfies them.
    never: Vec<String>,
    /// An additional label, in MiB, that pods with declared GPU memory require; `null` if the
    /// policy does not use it.
    memory_label: Option<String>,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let policies = input::policy_set(&args.policies)?;
    let mut groups = Vec::new();
    for name in &args.product {
        if name.ends_with("-SHARED") || name.contains("-MIG-") {
            bail!("--product {name}: remove the suffix that sharing or MIG adds to the product's name");
        }
        let product = Product::from(name.as_str());
        for policy in policies.iter() {
            for rule in policy.sharing_rules() {
                let found = node_groups(rule, &product);
                groups.extend(
                    found
                        .into_iter()
                        .map(|group| JsonNodeGroup::new(policy, rule, &product, group)),
                );
            }
        }
    }
    match args.printing.output {
        Format::Text => output::print(&text(&groups, args.count), args.printing.color)?,
        Format::Json => output::print_json(&groups)?,
    }
    Ok(if groups.is_empty() { Exit::Findings } else { Exit::Fine })
}

impl JsonNodeGroup {
    fn new(policy: &Policy, rule: &SharingRule, product: &Product, group: NodeGroup) -> Self {
        JsonNodeGroup {
            policy: policy.name.to_string(),
            strategy: rule.strategy.as_str(),
            product: product.to_string(),
            resource: group.resource.to_string(),
            labels: group.labels,
            never: group.forbidden_labels.iter().map(ToString::to_string).collect(),
            memory_label: group.memory_label,
        }
    }
}

fn text(groups: &[JsonNodeGroup], count: Option<u64>) -> String {
    let count = count.map_or_else(|| COUNT_PLACEHOLDER.to_owned(), |count| count.to_string());
    let mut page = Page::default();
    if groups.is_empty() {
        page.field("Node groups", "no policy allows these products");
    }
    for (index, group) in groups.iter().enumerate() {
        if index > 0 {
            page.rule();
        }
        page.field("Policy", &group.policy);
        page.field(
            "Gives",
            &format!("{}, as {}, on {}", group.strategy, group.resource, group.product),
        );
        let pairs = |prefix: &str, separator: &str| -> Vec<String> {
            let pair = |(key, value): (&String, &String)| format!("{prefix}{key}{separator}{value}");
            group.labels.iter().map(pair).collect()
        };
        page.raw("Labels", FAINT, &pairs("", "=").join("\n"));
        page.fields("Must hold", &group.never);
        if let Some(label) = &group.memory_label {
            page.field(
                "For memory",
                &format!("{label}, in MiB, for pods that declare GPU memory"),
            );
        }
        let mut tags = pairs(AWS_LABEL, "=");
        tags.push(format!("{AWS_RESOURCE}{}={count}", group.resource));
        page.raw("AWS tags", FAINT, &tags.join("\n"));
        let annotations = [
            format!("{CAPI_ANNOTATION}labels: \"{}\"", pairs("", "=").join(",")),
            format!("{CAPI_ANNOTATION}gpu-type: \"{}\"", group.resource),
            format!("{CAPI_ANNOTATION}gpu-count: \"{count}\""),
        ];
        page.raw("Cluster API", FAINT, &annotations.join("\n"));
        let pool = pairs("      ", ": ").join("\n");
        page.raw(
            "NodePool",
            FAINT,
            &format!("template:\n  metadata:\n    labels:\n{pool}"),
        );
        page.raw(
            "NodeOverlay",
            FAINT,
            &format!("capacity:\n  {}: {count}", group.resource),
        );
    }
    page.into_text()
}
