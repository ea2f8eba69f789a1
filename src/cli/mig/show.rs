//! `apportion mig show`: products, or one product's profiles.

use anstyle::Style;
use anyhow::Result;
use serde::Serialize;

use super::answer::{self, Geometry};
use super::drawing;
use crate::cli::exit::Exit;
use crate::cli::output::{self, Format, Printing};
use crate::cli::page::{FAINT, Page, painted};
use apportion_core::gpu::GpuResource;
use apportion_mig::catalog;
use apportion_mig::geometry::{MODELS, Model, Row};

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A product, such as A100-80GB or a node's `nvidia.com/gpu.product`. Without it, all products are listed.
    #[arg(long, value_name = "PRODUCT")]
    product: Option<String>,
    /// List every geometry of the product to which nothing can be added.
    #[arg(long, requires = "product")]
    geometries: bool,
    #[command(flatten)]
    printing: Printing,
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<Exit> {
    let Some(name) = &args.product else {
        match args.printing.output {
            Format::Text => output::print(&products(), args.printing.color)?,
            Format::Json => output::print_json(&MODELS.iter().map(Shown::of).collect::<Vec<_>>())?,
        }
        return Ok(Exit::Fine);
    };
    let model = catalog::find(name)?;
    match args.printing.output {
        Format::Text => output::print(&product(model, args.geometries), args.printing.color)?,
        Format::Json => {
            let mut shown = Shown::of(model);
            if args.geometries {
                let all = model.geometries();
                shown.geometries = Some(all.iter().map(|geometry| Geometry::of(model, geometry)).collect());
            }
            output::print_json(&shown)?;
        }
    }
    Ok(Exit::Fine)
}

fn products() -> String {
    let mut page = Page::default();
    let mut families: Vec<Vec<&'static Model>> = Vec::new();
    for model in MODELS {
        match families.iter_mut().find(|family| alike(family[0], model)) {
            Some(family) => family.push(model),
            None => families.push(vec![model]),
        }
    }
    for family in &families {
        page.raw("", Style::new(), &block(family));
        page.gap();
    }
    if MODELS.iter().any(|model| !model.evidence.ids()) {
        page.field(
            "*",
            "IDs and slots are assumed to be those of its siblings: no listing of it was seen",
        );
    }
    if MODELS
        .iter()
        .any(|model| model.evidence.ids() && !model.evidence.starts())
    {
        page.field("+", "slots are assumed to be those of its siblings");
    }
    page.field(
        "memory",
        "is what the name of a profile says, in GB; a device has up to an eighth less",
    );
    page.field("next", "apportion mig show --product A100-80GB");
    page.into_text()
}

/// Whether two models differ by the names of their profiles alone.
fn alike(a: &Model, b: &Model) -> bool {
    let shape = |model: &Model| -> Vec<_> {
        let of = |row: &Row| (row.id, row.slots, row.starts, row.max);
        model.rows.iter().map(of).collect()
    };
    shape(a) == shape(b)
}

/// What a line says of each profile.
type Value<'v> = &'v dyn Fn(&Row) -> String;

/// Models that are alike: a column for each profile, or where these are too many, a line for each.
fn block(family: &[&'static Model]) -> String {
    let name = |model: &Model| match (model.evidence.ids(), model.evidence.starts()) {
        (true, true) => model.name.to_owned(),
        (true, false) => format!("{} +", model.name),
        _ => format!("{} *", model.name),
    };
    let rows = family[0].rows;
    let starts = |row: &Row| match row.starts {
        [first, .., last] if usize::from(last - first) + 1 == row.starts.len() => format!("{first}-{last}"),
        starts => starts.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    };
    let about: [(&str, Value<'_>); 4] = [
        ("ID", &|row| row.id.to_string()),
        ("most on a GPU", &|row| row.max.to_string()),
        ("slots", &|row| row.slots.to_string()),
        ("starts at", &starts),
    ];
    let head = |(title, value): &(&str, Value<'_>)| -> Vec<String> {
        let values = rows.iter().map(value);
        std::iter::once((*title).to_owned()).chain(values).collect()
    };
    let mut table: Vec<Vec<String>> = about.iter().map(head).collect();
    if family.len() == 1 && rows.len() > 7 {
        table.insert(
            0,
            std::iter::once(name(family[0]))
                .chain(rows.iter().map(|row| row.profile.to_owned()))
                .collect(),
        );
        table = (0..=rows.len())
            .map(|at| table.iter().map(|line| line[at].clone()).collect())
            .collect();
    } else {
        table.extend(family.iter().map(|model| {
            let profiles = model.rows.iter().map(|row| row.profile.to_owned());
            std::iter::once(name(model)).chain(profiles).collect()
        }));
    }
    aligned(&table)
}

/// Columns under each other.
fn aligned(table: &[Vec<String>]) -> String {
    let columns = table.iter().map(Vec::len).max().unwrap_or_default();
    let width = |at: usize| {
        table
            .iter()
            .filter_map(|line| line.get(at))
            .map(String::len)
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |line: &Vec<String>| {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    table.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn product(model: &'static Model, geometries: bool) -> String {
    let mut page = Page::default();
    page.field(
        "product",
        &format!(
            "{}: {} memory slots, {} profiles",
            model.name,
            model.slots,
            model.rows.len()
        ),
    );
    page.gap();
    let width = model.rows.iter().map(|row| row.profile.len()).max().unwrap_or_default();
    let head = format!("{:width$}  ID  MAX  SLOTS  {}", "PROFILE", drawing::ruler(model));
    page.raw("", FAINT, &head);
    for row in model.rows {
        let places = painted(drawing::style_of(model, row), &drawing::places(model, row));
        let line = format!(
            "{:width$}  {:>2}  {:>3}  {:>5}  {places}",
            row.profile, row.id, row.max, row.slots
        );
        page.raw("", Style::new(), &line);
    }
    if geometries {
        let all = model.geometries();
        page.gap();
        page.field("geometries", &format!("{} to which nothing can be added", all.len()));
        for geometry in &all {
            page.raw("", Style::new(), &answer::sum(geometry));
        }
    }
    page.gap();
    let first = model.rows.first().map(resource).unwrap_or_default();
    page.field(
        "in a pod",
        &format!("{first} and so on, under the device plugin's MIG strategy `mixed`"),
    );
    if let Some(doubt) = answer::doubts(model) {
        page.field("mind", &doubt);
    }
    page.into_text()
}

/// The resource by which a pod asks for a profile.
fn resource(row: &Row) -> String {
    row.profile
        .parse()
        .map(|profile| GpuResource::Mig(profile).to_string())
        .unwrap_or_default()
}

/// A product, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    product: &'static str,
    slots: u8,
    ids_assumed: bool,
    slots_assumed: bool,
    profiles: Vec<Profile>,
    #[serde(skip_serializing_if = "Option::is_none")]
    geometries: Option<Vec<Geometry>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    #[serde(rename = "profile")]
    name: &'static str,
    resource: String,
    id: u8,
    max: u8,
    slots: u8,
    starts: &'static [u8],
}

impl Shown {
    fn of(model: &'static Model) -> Self {
        let profile = |row: &'static Row| Profile {
            name: row.profile,
            resource: resource(row),
            id: row.id,
            max: row.max,
            slots: row.slots,
            starts: row.starts,
        };
        Shown {
            product: model.name,
            slots: model.slots,
            ids_assumed: !model.evidence.ids(),
            slots_assumed: !model.evidence.starts(),
            profiles: model.rows.iter().map(profile).collect(),
            geometries: None,
        }
    }
}
