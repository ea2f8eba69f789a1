//! `apportion node-groups`: what node groups that scale from zero must say of themselves, for the policies' pods to fit them.

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

/// In front of the tags of an Auto Scaling group from which Cluster Autoscaler makes the labels of a node to come (its `aws` provider).
const AWS_LABEL: &str = "k8s.io/cluster-autoscaler/node-template/label/";
/// Likewise its resources.
const AWS_RESOURCE: &str = "k8s.io/cluster-autoscaler/node-template/resources/";
/// The annotations of a `MachineDeployment` for the same (its `clusterapi` provider): labels, and one extended resource.
const CAPI: &str = "capacity.cluster-autoscaler.kubernetes.io/";
/// What stands for the number of devices or shares until it is known.
const COUNT: &str = "<count>";

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The policies.
    #[arg(long, value_name = "DIR", default_value = "policies", env = "APPORTION_POLICIES")]
    policies: PathBuf,
    /// A product as GPU feature discovery names it on a node that neither shares nor uses MIG: NVIDIA-A100-SXM4-80GB. May be repeated
    #[arg(long, value_name = "NAME", required = true)]
    product: Vec<String>,
    /// How many of the resource one node of the group has: GPUs, MIG devices, or shares of all its GPUs. Without it, a placeholder
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    #[command(flatten)]
    printing: Printing,
}

/// A node group as `--output json` prints it; the answer is a list of them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    /// The policy.
    policy: String,
    /// How the group's GPUs are shared.
    strategy: &'static str,
    /// The product.
    product: String,
    /// The resource that its nodes advertise.
    resource: String,
    /// The labels that its template must carry.
    labels: std::collections::BTreeMap<String, String>,
    /// What its labels must not say, as requirements that a node must meet; a missing label meets them.
    never: Vec<String>,
    /// The label that pods which declare GPU memory need beside these, in MiB; `null` where the policy asks for none.
    memory_label: Option<String>,
}

/// Runs the verb.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let policies = input::policy_set(&args.policies)?;
    let mut entries = Vec::new();
    for name in &args.product {
        if name.ends_with("-SHARED") || name.contains("-MIG-") {
            bail!("--product {name}: leave out what sharing or MIG adds to the product's name");
        }
        let product = Product::from(name.as_str());
        for policy in policies.iter() {
            for rule in policy.sharing_rules() {
                let groups = node_groups(rule, &product);
                entries.extend(groups.into_iter().map(|group| Entry::of(policy, rule, &product, group)));
            }
        }
    }
    match args.printing.output {
        Format::Text => output::print(&text(&entries, args.count), args.printing.color)?,
        Format::Json => output::print_json(&entries)?,
    }
    Ok(if entries.is_empty() { Exit::Findings } else { Exit::Fine })
}

impl Entry {
    fn of(policy: &Policy, rule: &SharingRule, product: &Product, group: NodeGroup) -> Self {
        Entry {
            policy: policy.name.to_string(),
            strategy: rule.strategy.as_str(),
            product: product.to_string(),
            resource: group.resource.to_string(),
            labels: group.labels,
            never: group.never.iter().map(ToString::to_string).collect(),
            memory_label: group.memory_label,
        }
    }
}

fn text(entries: &[Entry], count: Option<u64>) -> String {
    let count = count.map_or_else(|| COUNT.to_owned(), |count| count.to_string());
    let mut page = Page::default();
    if entries.is_empty() {
        page.field("Node groups", "no policy allows anything on these products");
    }
    for (at, entry) in entries.iter().enumerate() {
        if at > 0 {
            page.rule();
        }
        page.field("Policy", &entry.policy);
        page.field(
            "Gives",
            &format!("{}, as {}, on {}", entry.strategy, entry.resource, entry.product),
        );
        let pairs = |prefix: &str, between: &str| -> Vec<String> {
            let pair = |(key, value): (&String, &String)| format!("{prefix}{key}{between}{value}");
            entry.labels.iter().map(pair).collect()
        };
        page.raw("Labels", FAINT, &pairs("", "=").join("\n"));
        page.fields("Must hold", &entry.never);
        if let Some(label) = &entry.memory_label {
            page.field(
                "For memory",
                &format!("{label}, in MiB, for pods that declare GPU memory"),
            );
        }
        let mut tags = pairs(AWS_LABEL, "=");
        tags.push(format!("{AWS_RESOURCE}{}={count}", entry.resource));
        page.raw("AWS tags", FAINT, &tags.join("\n"));
        let annotations = [
            format!("{CAPI}labels: \"{}\"", pairs("", "=").join(",")),
            format!("{CAPI}gpu-type: \"{}\"", entry.resource),
            format!("{CAPI}gpu-count: \"{count}\""),
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
            &format!("capacity:\n  {}: {count}", entry.resource),
        );
    }
    page.into_text()
}
