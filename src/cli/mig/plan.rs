//! `apportion mig plan`: geometries for a demand, on the fewest GPUs.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use super::geometry::{self, GeometryJson, Starts};
use super::node_configs;
use super::{Format, Printing};
use crate::cli::exit::Exit;
use crate::cli::input;
use crate::cli::output;
use crate::cli::page::{BAD, GOOD, Page};
use apportion_core::diagnostics::counted;
use apportion_core::gpu::GpuResource;
use apportion_core::inventory::PodPlacement;
use apportion_core::inventory::dump;
use apportion_mig::{Batch, MODELS, MigProfile, Model, ProfileRef, find_model, parse_instances};
use apportion_nvidia::mig_parted::{self, NodeConfig};

/// The largest demand that is planned: more than any cluster holds.
const MAX_INSTANCES: u64 = 10_000_000;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The product, such as A100-80GB or a node's `nvidia.com/gpu.product`. Without it, the GPUs
    /// that each product needs are listed.
    #[arg(long, value_name = "PRODUCT")]
    product: Option<String>,
    /// The required instances, such as 1g.10gb=9,3g.40gb=2.
    #[arg(long, value_name = "INSTANCES", required_unless_present = "cluster")]
    demand: Option<String>,
    /// Add the demand of pending pods, from the output of `kubectl get nodes,namespaces,pods -A -o
    /// json`.
    #[arg(long, value_name = "FILE")]
    cluster: Option<PathBuf>,
    /// The number of available GPUs. If more are needed, the exit status is 1.
    #[arg(long, value_name = "COUNT", requires = "product")]
    gpus: Option<u64>,
    /// The number of GPUs of a node. The output then has a mig-parted configuration for each kind
    /// of node instead of each geometry.
    #[arg(long, value_name = "COUNT", requires = "product", value_parser = clap::value_parser!(u64).range(1..=64))]
    gpus_per_node: Option<u64>,
    #[command(flatten)]
    printing: Printing,
}

struct Demand {
    instances: Vec<(MigProfile, u64)>,
    /// How many pending pods the demand includes, if a cluster was given.
    pending_pods: Option<usize>,
}

pub fn run(args: &Args) -> Result<Exit> {
    let model = args.product.as_deref().map(find_model).transpose()?;
    let demand = demand(args, model)?;
    let Some(model) = model else {
        return compare_products(args, &demand);
    };
    let missing: Vec<String> = demand
        .instances
        .iter()
        .filter(|(profile, _)| model.profile(*profile).is_none())
        .map(|(profile, _)| profile.to_string())
        .collect();
    if !missing.is_empty() {
        let profiles: Vec<&str> = model.profiles.iter().map(|profile| profile.name).collect();
        bail!(
            "{} has no {}; it has {}",
            model.name,
            missing.join(" and no "),
            profiles.join(", ")
        );
    }
    let batches = model.pack(&demand.instances).context("the demand cannot be placed")?;
    let gpus: u64 = batches.iter().map(|batch| batch.gpus).sum();
    let configs = match args.gpus_per_node {
        Some(per_node) => node_configs::by_node(&batches, per_node),
        None => node_configs::by_geometry(&batches),
    };
    match args.printing.output {
        Format::Text => output::print(&text(args, model, &demand, &batches, &configs), args.printing.color)?,
        Format::Json => output::print_json(&PlanJson {
            product: model.name,
            gpus,
            demand: demand.instances.iter().map(DemandJson::of).collect(),
            batches: batches
                .iter()
                .map(|batch| BatchJson {
                    gpus: batch.gpus,
                    geometry: GeometryJson::of(model, &batch.geometry),
                })
                .collect(),
            mig_parted: mig_parted::config_file(&configs),
        })?,
        Format::MigParted => output::print(&mig_parted::config_file(&configs), args.printing.color)?,
    }
    Ok(match args.gpus {
        Some(available) if available < gpus => Exit::Findings,
        _ => Exit::Fine,
    })
}

fn demand(args: &Args, model: Option<&'static Model>) -> Result<Demand> {
    let mut totals: Vec<(MigProfile, u64)> = Vec::new();
    let mut add = |profile: MigProfile, count: u64| match totals.iter_mut().find(|(known, _)| *known == profile) {
        Some((_, total)) => *total = total.saturating_add(count),
        None => totals.push((profile, count)),
    };
    if let Some(text) = &args.demand {
        for spec in parse_instances(text)? {
            if let Some(start) = spec.start {
                bail!("a plan chooses the start slots itself; remove `:{start}`");
            }
            let profile = match (spec.profile, model) {
                (ProfileRef::Profile(profile), _) => profile,
                (ProfileRef::Id(id), None) => {
                    bail!("profile ID {id} differs between products; set --product, or use profile names")
                }
                (ProfileRef::Id(id), Some(model)) => {
                    let info = model.profile_by_id(id);
                    let info = info.with_context(|| format!("{} has no profile with ID {id}", model.name))?;
                    info.name.parse()?
                }
            };
            add(profile, spec.count);
        }
    }
    let mut pending_pods = None;
    if let Some(file) = &args.cluster {
        let ledger = dump::read(&input::text(file)?).with_context(|| file.display().to_string())?;
        let pending = ledger
            .pods()
            .filter(|(_, pod)| pod.placement == PodPlacement::Unscheduled);
        let mut count = 0;
        for (_, pod) in pending {
            let mut requests_mig = false;
            for (resource, devices) in pod.demand.iter() {
                if let GpuResource::Mig(profile) = resource {
                    add(profile, devices);
                    requests_mig = true;
                }
            }
            count += usize::from(requests_mig);
        }
        pending_pods = Some(count);
    }
    totals.sort();
    if totals.iter().fold(0u64, |sum, (_, count)| sum.saturating_add(*count)) > MAX_INSTANCES {
        bail!("the demand is more than {MAX_INSTANCES} instances; plan a part of it");
    }
    Ok(Demand {
        instances: totals,
        pending_pods,
    })
}

/// Prints the GPUs that each product needs.
fn compare_products(args: &Args, demand: &Demand) -> Result<Exit> {
    let needs: Vec<(&Model, u64)> = MODELS
        .iter()
        .filter_map(|model| Some((model, model.min_gpus(&demand.instances)?)))
        .collect();
    if needs.is_empty() {
        let all = summary(&demand.instances);
        bail!("no known product has all of {all}; plan each profile separately");
    }
    match args.printing.output {
        Format::Text => {
            let mut page = Page::default();
            put_demand(&mut page, demand);
            let rows: Vec<[String; 2]> = needs
                .iter()
                .map(|(model, gpus)| [model.name.to_owned(), gpus.to_string()])
                .collect();
            page.table("GPUs", &rows);
            page.field("next", "choose one with --product");
            output::print(&page.into_text(), args.printing.color)?;
        }
        Format::Json => {
            let needs = needs.iter().map(|(model, gpus)| NeedJson {
                product: model.name,
                gpus: *gpus,
            });
            output::print_json(&needs.collect::<Vec<_>>())?;
        }
        Format::MigParted => bail!("--output mig-parted requires --product"),
    }
    Ok(Exit::Fine)
}

fn summary(instances: &[(MigProfile, u64)]) -> String {
    let part = |(profile, count): &(MigProfile, u64)| format!("{count} x {profile}");
    instances.iter().map(part).collect::<Vec<_>>().join(" + ")
}

fn put_demand(page: &mut Page, demand: &Demand) {
    let pods = match demand.pending_pods {
        None => String::new(),
        Some(1) => ", including 1 pending pod".to_owned(),
        Some(pods) => format!(", including {pods} pending pods"),
    };
    let instances = if demand.instances.is_empty() {
        "nothing".to_owned()
    } else {
        summary(&demand.instances)
    };
    page.field("demand", &format!("{instances}{pods}"));
}

fn text(args: &Args, model: &'static Model, demand: &Demand, batches: &[Batch], configs: &[NodeConfig]) -> String {
    let mut page = Page::default();
    page.field("product", model.name);
    put_demand(&mut page, demand);
    let all: u64 = batches.iter().map(|batch| batch.gpus).sum();
    match args.gpus {
        Some(available) if available < all => {
            page.styled_field(
                "needs",
                BAD,
                &format!(
                    "{}, but only {available} are available; fewer cannot hold the demand",
                    counted(all, "GPU")
                ),
            );
        }
        _ => page.styled_field(
            "needs",
            GOOD,
            &format!("{}; fewer cannot hold the demand", counted(all, "GPU")),
        ),
    }
    for batch in batches {
        page.gap();
        page.field(&counted(batch.gpus, "GPU"), &geometry::summary(&batch.geometry));
        geometry::draw(&mut page, "", model, &batch.geometry);
        page.raw(
            "nvidia-smi",
            anstyle::Style::new(),
            &geometry::command(model, &batch.geometry, Starts::Free),
        );
    }
    if !configs.is_empty() {
        page.gap();
        page.raw("mig-parted", anstyle::Style::new(), &mig_parted::config_file(configs));
    }
    // Spare room differs between geometries, so it is shown only if there is one geometry.
    let mut notes: Vec<String> = match batches {
        [batch] => geometry::spare_room(model, &batch.geometry).into_iter().collect(),
        _ => Vec::new(),
    };
    for caveat in batches
        .iter()
        .flat_map(|batch| geometry::caveats(model, &batch.geometry))
    {
        if !notes.contains(&caveat) {
            notes.push(caveat);
        }
    }
    page.fields("note", &notes);
    page.into_text()
}

/// The plan in JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PlanJson {
    product: &'static str,
    gpus: u64,
    demand: Vec<DemandJson>,
    batches: Vec<BatchJson>,
    mig_parted: String,
}

#[derive(Debug, Serialize)]
struct DemandJson {
    profile: String,
    count: u64,
}

impl DemandJson {
    fn of((profile, count): &(MigProfile, u64)) -> Self {
        DemandJson {
            profile: profile.to_string(),
            count: *count,
        }
    }
}

#[derive(Debug, Serialize)]
struct BatchJson {
    gpus: u64,
    geometry: GeometryJson,
}

#[derive(Debug, Serialize)]
struct NeedJson {
    product: &'static str,
    gpus: u64,
}
