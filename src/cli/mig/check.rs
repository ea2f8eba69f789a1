//! `apportion mig check`: whether instances fit on one GPU, and the command that creates them.

use std::io::Write as _;

use anstyle::Style;
use anyhow::Result;
use serde::Serialize;

use super::geometry::{self, GeometryJson, Starts};
use super::{Format, Printing};
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::page::{BAD, GOOD, Page};
use apportion_mig::{Alternative, FitReport, InstanceSpec, Model, ProfileRef, find_model, parse_instances};
use apportion_nvidia::mig_parted;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The product, such as A100-80GB or a node's `nvidia.com/gpu.product`.
    #[arg(long, value_name = "PRODUCT")]
    product: String,
    /// The instances of one GPU, by profile or ID: 9,9 or 7x1g.10gb or 1g.10gb=7,3g.40gb. With
    /// start slots: 9:4,14:0.
    #[arg(value_name = "INSTANCES", required = true)]
    instances: Vec<String>,
    #[command(flatten)]
    printing: Printing,
}

pub fn run(args: &Args) -> Result<Exit> {
    let model = find_model(&args.product)?;
    let specs = parse_instances(&args.instances.join(" "))?;
    let report = model.fit(&specs);
    match args.printing.output {
        Format::Text => output::print(&text(model, &specs, &report), args.printing.color)?,
        Format::Json => output::print_json(&ReportJson::of(model, &report))?,
        Format::MigParted => {
            let Some(geometry) = &report.geometry else {
                // Standard output is for the configuration file alone.
                let reasons = reasons(&report).join("; ");
                writeln!(anstream::stderr(), "apportion: {}: {reasons}", model.name)?;
                return Ok(Exit::Findings);
            };
            output::print(
                &mig_parted::config_file(&[geometry::config(geometry)]),
                args.printing.color,
            )?;
        }
    }
    Ok(if report.geometry.is_some() {
        Exit::Fine
    } else {
        Exit::Findings
    })
}

fn reasons(report: &FitReport) -> Vec<String> {
    report.errors.iter().map(ToString::to_string).collect()
}

/// The requested instances: `7 x 3g.40gb (ID 9)`.
fn summary(model: &'static Model, specs: &[InstanceSpec]) -> String {
    let mut totals: Vec<(ProfileRef, u64)> = Vec::new();
    for spec in specs {
        match totals.iter_mut().find(|(profile, _)| *profile == spec.profile) {
            Some((_, count)) => *count = count.saturating_add(spec.count),
            None => totals.push((spec.profile, spec.count)),
        }
    }
    let part = |(profile, count): &(ProfileRef, u64)| {
        let name = match (profile, model.resolve(*profile)) {
            (ProfileRef::Id(id), Some(info)) => format!("{} (ID {id})", info.name),
            (ProfileRef::Id(id), None) => format!("ID {id}"),
            (ProfileRef::Profile(profile), _) => profile.to_string(),
        };
        if *count == 1 { name } else { format!("{count} x {name}") }
    };
    totals.iter().map(part).collect::<Vec<_>>().join(" + ")
}

fn text(model: &'static Model, specs: &[InstanceSpec], report: &FitReport) -> String {
    let mut page = Page::default();
    page.field("product", model.name);
    if let Some(geometry) = &report.geometry {
        page.styled_field("fits", GOOD, &geometry::summary(geometry));
        page.gap();
        geometry::draw(&mut page, "slots", model, geometry);
        page.gap();
        let command = |starts| geometry::command(model, geometry, starts);
        page.raw("nvidia-smi", Style::new(), &command(Starts::Free));
        let has_starts = specs.iter().any(|spec| spec.start.is_some());
        if has_starts || mig_parted::count_profiles(geometry).len() > 1 && model.evidence.starts_seen() {
            page.raw("as drawn", Style::new(), &command(Starts::Fixed));
        }
        page.raw(
            "mig-parted",
            Style::new(),
            &mig_parted::config_file(&[geometry::config(geometry)]),
        );
        page.fields("note", &geometry::notes(model, geometry));
        return page.into_text();
    }
    page.styled_field("does not fit", BAD, &summary(model, specs));
    page.fields("because", &reasons(report));
    for Alternative { kind, geometry } in &report.alternatives {
        page.gap();
        page.styled_field("instead", GOOD, &format!("{kind}: {}", geometry::summary(geometry)));
        geometry::draw(&mut page, "", model, geometry);
        page.raw(
            "nvidia-smi",
            Style::new(),
            &geometry::command(model, geometry, Starts::Free),
        );
        page.raw(
            "mig-parted",
            Style::new(),
            &mig_parted::config_file(&[geometry::config(geometry)]),
        );
    }
    if let Some(gpus) = report.min_gpus {
        page.gap();
        let all = format!(
            "all of it takes {gpus} GPUs: apportion mig plan --product {} shows how",
            model.name
        );
        page.field("or", &all);
    }
    page.gap();
    page.field(
        "-C",
        "also creates the compute instances, without which no workload can run",
    );
    page.fields("note", &Vec::from_iter(geometry::assumptions(model)));
    page.into_text()
}

/// The report in JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ReportJson {
    product: &'static str,
    fits: bool,
    geometry: Option<GeometryJson>,
    #[serde(rename = "because")]
    reasons: Vec<String>,
    #[serde(rename = "instead")]
    alternatives: Vec<AlternativeJson>,
    /// `null` if one GPU holds all instances, or no number does.
    #[serde(rename = "gpusForAll")]
    min_gpus: Option<u64>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct AlternativeJson {
    #[serde(rename = "what")]
    kind: &'static str,
    geometry: GeometryJson,
}

impl ReportJson {
    fn of(model: &'static Model, report: &FitReport) -> Self {
        let alternative = |alternative: &Alternative| AlternativeJson {
            kind: alternative.kind.as_str(),
            geometry: GeometryJson::of(model, &alternative.geometry),
        };
        ReportJson {
            product: model.name,
            fits: report.geometry.is_some(),
            geometry: report
                .geometry
                .as_deref()
                .map(|geometry| GeometryJson::of(model, geometry)),
            reasons: reasons(report),
            alternatives: report.alternatives.iter().map(alternative).collect(),
            min_gpus: report.min_gpus,
            notes: match &report.geometry {
                Some(geometry) => geometry::notes(model, geometry),
                None => geometry::assumptions(model).into_iter().collect(),
            },
        }
    }
}
