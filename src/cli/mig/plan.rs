//! `apportion mig plan`: geometries for a demand, on the fewest GPUs.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use super::answer::{self, Geometry};
use super::{Format, Printing};
use crate::cli::exit::Exit;
use crate::cli::input;
use crate::cli::output;
use crate::cli::page::{BAD, GOOD, Page};
use apportion_core::gpu::GpuResource;
use apportion_core::inventory::dump;
use apportion_core::inventory::record::PodPlacement;
use apportion_mig::catalog;
use apportion_mig::geometry::{MODELS, Model};
use apportion_mig::instances;
use apportion_mig::instances::Name;
use apportion_mig::packing::Batch;
use apportion_mig::profile::MigProfile;
use apportion_nvidia::mig_parted;
use apportion_nvidia::mig_parted::{NodeConfig, Part};

/// Instances that are planned for at most: more GPUs than any cluster has.
const MOST: u64 = 10_000_000;

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The product, such as A100-80GB or a node's `nvidia.com/gpu.product`. Without it, what each product would need is listed.
    #[arg(long, value_name = "PRODUCT")]
    product: Option<String>,
    /// Instances that are wanted, as 1g.10gb=9,3g.40gb=2.
    #[arg(long, value_name = "INSTANCES", required_unless_present = "cluster")]
    demand: Option<String>,
    /// Add what pods wait for: what `kubectl get nodes,namespaces,pods -A -o json` prints.
    #[arg(long, value_name = "FILE")]
    cluster: Option<PathBuf>,
    /// GPUs that there are. If more are needed, the exit status is 1.
    #[arg(long, value_name = "COUNT", requires = "product")]
    gpus: Option<u64>,
    /// GPUs of a node: the configurations for mig-parted are then one for each kind of node instead of one for each geometry.
    #[arg(long, value_name = "COUNT", requires = "product", value_parser = clap::value_parser!(u64).range(1..=64))]
    gpus_per_node: Option<u64>,
    #[command(flatten)]
    printing: Printing,
}

/// What is asked for, and what besides.
struct Demand {
    instances: Vec<(MigProfile, u64)>,
    /// Pods that wait for MIG devices.
    pods: Option<usize>,
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<Exit> {
    let model = args.product.as_deref().map(catalog::find).transpose()?;
    let demand = demand(args, model)?;
    let Some(model) = model else {
        return compared(args, &demand);
    };
    let lacking: Vec<String> = demand
        .instances
        .iter()
        .filter(|(profile, _)| model.row(*profile).is_none())
        .map(|(profile, _)| profile.to_string())
        .collect();
    if !lacking.is_empty() {
        let own: Vec<&str> = model.rows.iter().map(|row| row.profile).collect();
        bail!(
            "{} has no {}; it has {}",
            model.name,
            lacking.join(" and no "),
            own.join(", ")
        );
    }
    let batches = model.pack(&demand.instances).context("the demand can not be placed")?;
    let gpus: u64 = batches.iter().map(|batch| batch.gpus).sum();
    let configs = configs(&batches, args.gpus_per_node);
    match args.printing.output {
        Format::Text => output::print(&text(args, model, &demand, &batches, &configs), args.printing.color)?,
        Format::Json => output::print_json(&Shown {
            product: model.name,
            gpus,
            demand: demand.instances.iter().map(Entry::of).collect(),
            batches: batches
                .iter()
                .map(|batch| Alike {
                    gpus: batch.gpus,
                    geometry: Geometry::of(model, &batch.geometry),
                })
                .collect(),
            mig_parted: mig_parted::document(&configs),
        })?,
        Format::MigParted => output::print(&mig_parted::document(&configs), args.printing.color)?,
    }
    Ok(match args.gpus {
        Some(there) if there < gpus => Exit::Findings,
        _ => Exit::Fine,
    })
}

fn demand(args: &Args, model: Option<&'static Model>) -> Result<Demand> {
    let mut sums: Vec<(MigProfile, u64)> = Vec::new();
    let mut add = |profile: MigProfile, count: u64| match sums.iter_mut().find(|(known, _)| *known == profile) {
        Some((_, sum)) => *sum = sum.saturating_add(count),
        None => sums.push((profile, count)),
    };
    if let Some(text) = &args.demand {
        for term in instances::parse(text)? {
            if term.start.is_some() {
                bail!(
                    "a plan chooses the places itself; leave out `:{}`",
                    term.start.unwrap_or_default()
                );
            }
            let profile = match (term.name, model) {
                (Name::Profile(profile), _) => profile,
                (Name::Id(id), None) => bail!("{id} is another profile on each product; name a --product, or profiles"),
                (Name::Id(id), Some(model)) => {
                    let row = model.row_named(term.name);
                    let row = row.with_context(|| format!("{} has no profile with ID {id}", model.name))?;
                    row.profile.parse()?
                }
            };
            add(profile, term.count);
        }
    }
    let mut pods = None;
    if let Some(file) = &args.cluster {
        let ledger = dump::read(&input::text(file)?).with_context(|| file.display().to_string())?;
        let waiting = ledger.pods().filter(|(_, pod)| pod.place == PodPlacement::Waiting);
        let mut count = 0;
        for (_, pod) in waiting {
            let mut counted = false;
            for (resource, devices) in pod.demand.iter() {
                if let GpuResource::Mig(profile) = resource {
                    add(profile, devices);
                    counted = true;
                }
            }
            count += usize::from(counted);
        }
        pods = Some(count);
    }
    sums.sort();
    if sums.iter().fold(0u64, |sum, (_, count)| sum.saturating_add(*count)) > MOST {
        bail!("more than {MOST} instances are wanted; no cluster has the GPUs");
    }
    Ok(Demand { instances: sums, pods })
}

/// What each product would need.
fn compared(args: &Args, demand: &Demand) -> Result<Exit> {
    let needs: Vec<(&Model, u64)> = MODELS
        .iter()
        .filter_map(|model| Some((model, model.gpus_for(&demand.instances)?)))
        .collect();
    let all = sum(&demand.instances);
    if needs.is_empty() {
        bail!("no known product has all of {all}; plan for each product by itself");
    }
    match args.printing.output {
        Format::Text => {
            let mut page = Page::default();
            head(&mut page, demand);
            let rows: Vec<[String; 2]> = needs
                .iter()
                .map(|(model, gpus)| [model.name.to_owned(), gpus.to_string()])
                .collect();
            page.table("GPUs", &rows);
            page.field("next", "choose one by --product");
            output::print(&page.into_text(), args.printing.color)?;
        }
        Format::Json => {
            let needs = needs.iter().map(|(model, gpus)| Need {
                product: model.name,
                gpus: *gpus,
            });
            output::print_json(&needs.collect::<Vec<_>>())?;
        }
        Format::MigParted => bail!("a configuration needs a --product"),
    }
    Ok(Exit::Fine)
}

/// One configuration for each geometry, or for each kind of node.
fn configs(batches: &[Batch], per_node: Option<u64>) -> Vec<NodeConfig> {
    let Some(per_node) = per_node else {
        let config = |batch: &Batch| NodeConfig {
            comment: Some(format!("for {}", gpus(batch.gpus))),
            ..answer::config(&batch.geometry)
        };
        return batches.iter().map(config).collect();
    };
    // Nodes that are filled by one geometry first; what is left of each follows, node after node.
    let mut nodes: Vec<(u64, Vec<Part>)> = Vec::new();
    let mut rest: Vec<(u64, &Batch)> = Vec::new();
    for batch in batches {
        if batch.gpus >= per_node {
            let part = Part {
                devices: Vec::new(),
                geometry: batch.geometry.clone(),
            };
            nodes.push((batch.gpus / per_node, vec![part]));
        }
        rest.push((batch.gpus % per_node, batch));
    }
    let mut open: Vec<Part> = Vec::new();
    let mut at = 0;
    for (gpus, batch) in rest {
        for _ in 0..gpus {
            match open.last_mut() {
                Some(part) if part.geometry == batch.geometry => part.devices.push(at),
                _ => open.push(Part {
                    devices: vec![at],
                    geometry: batch.geometry.clone(),
                }),
            }
            at += 1;
            if at == per_node {
                nodes.push((1, std::mem::take(&mut open)));
                at = 0;
            }
        }
    }
    if !open.is_empty() {
        nodes.push((1, open));
    }
    let config = |(number, (count, parts)): (usize, (u64, Vec<Part>))| {
        let used: usize = parts.iter().map(|part| part.devices.len()).sum();
        let left = match usize::try_from(per_node) {
            Ok(per_node) if used > 0 && used < per_node => {
                format!("; its other {} stay as they are", gpus((per_node - used) as u64))
            }
            _ => String::new(),
        };
        let name = match parts.as_slice() {
            [part] if part.devices.is_empty() => mig_parted::name_of(&part.geometry),
            _ => format!("planned-{}", number + 1),
        };
        NodeConfig {
            name,
            comment: Some(format!("for {count} node{}{left}", if count == 1 { "" } else { "s" })),
            parts,
        }
    };
    nodes.into_iter().enumerate().map(config).collect()
}

fn gpus(count: u64) -> String {
    format!("{count} GPU{}", if count == 1 { "" } else { "s" })
}

fn sum(instances: &[(MigProfile, u64)]) -> String {
    let part = |(profile, count): &(MigProfile, u64)| format!("{count} x {profile}");
    instances.iter().map(part).collect::<Vec<_>>().join(" + ")
}

fn head(page: &mut Page, demand: &Demand) {
    let from = match demand.pods {
        None => String::new(),
        Some(1) => ", with 1 pod that waits".to_owned(),
        Some(pods) => format!(", with {pods} pods that wait"),
    };
    let instances = if demand.instances.is_empty() {
        "nothing".to_owned()
    } else {
        sum(&demand.instances)
    };
    page.field("demand", &format!("{instances}{from}"));
}

fn text(args: &Args, model: &'static Model, demand: &Demand, batches: &[Batch], configs: &[NodeConfig]) -> String {
    let mut page = Page::default();
    page.field("product", model.name);
    head(&mut page, demand);
    let all: u64 = batches.iter().map(|batch| batch.gpus).sum();
    match args.gpus {
        Some(there) if there < all => {
            page.styled_field(
                "needs",
                BAD,
                &format!("{}, and there are {there}; fewer can not hold it", gpus(all)),
            );
        }
        _ => page.styled_field("needs", GOOD, &format!("{}; fewer can not hold it", gpus(all))),
    }
    for batch in batches {
        page.gap();
        page.field(&gpus(batch.gpus), &answer::sum(&batch.geometry));
        answer::put(&mut page, "", model, &batch.geometry);
        page.raw(
            "nvidia-smi",
            anstyle::Style::new(),
            &answer::command(model, &batch.geometry, false),
        );
    }
    if !configs.is_empty() {
        page.gap();
        page.raw("mig-parted", anstyle::Style::new(), &mig_parted::document(configs));
    }
    let mut notes: Vec<String> = batches
        .iter()
        .flat_map(|batch| answer::notes(model, &batch.geometry))
        .collect();
    // Room on one geometry is not room on another.
    notes.retain(|note| !note.starts_with("there is room") || batches.len() == 1);
    let mut said: Vec<String> = Vec::new();
    for note in notes {
        if !said.contains(&note) {
            said.push(note);
        }
    }
    page.fields("mind", &said);
    page.into_text()
}

/// The plan, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    product: &'static str,
    gpus: u64,
    demand: Vec<Entry>,
    batches: Vec<Alike>,
    mig_parted: String,
}

#[derive(Debug, Serialize)]
struct Entry {
    profile: String,
    count: u64,
}

impl Entry {
    fn of((profile, count): &(MigProfile, u64)) -> Self {
        Entry {
            profile: profile.to_string(),
            count: *count,
        }
    }
}

#[derive(Debug, Serialize)]
struct Alike {
    gpus: u64,
    geometry: Geometry,
}

#[derive(Debug, Serialize)]
struct Need {
    product: &'static str,
    gpus: u64,
}
