//! `apportion mig show`: products, or one product's profiles.

use anstyle::Style;
use anyhow::Result;
use serde::Serialize;

use super::drawing;
use super::geometry::{self, GeometryJson};
use crate::cli::exit::Exit;
use crate::cli::output::{self, Format, Printing};
use crate::cli::page::{FAINT, Page, painted};
use apportion_core::gpu::GpuResource;
use apportion_mig::{MODELS, Model, ProfileInfo, find_model};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A product, such as A100-80GB or a node's `nvidia.com/gpu.product`. Without it, all products
    /// are listed.
    #[arg(long, value_name = "PRODUCT")]
    product: Option<String>,
    /// List every geometry of the product to which no instance can be added.
    #[arg(long, requires = "product")]
    geometries: bool,
    #[command(flatten)]
    printing: Printing,
}

pub fn run(args: &Args) -> Result<Exit> {
    let Some(name) = &args.product else {
        match args.printing.output {
            Format::Text => output::print(&products(), args.printing.color)?,
            Format::Json => output::print_json(&MODELS.iter().map(ProductJson::of).collect::<Vec<_>>())?,
        }
        return Ok(Exit::Fine);
    };
    let model = find_model(name)?;
    match args.printing.output {
        Format::Text => output::print(&product(model, args.geometries), args.printing.color)?,
        Format::Json => {
            let mut json = ProductJson::of(model);
            if args.geometries {
                let all = model.geometries();
                json.geometries = Some(all.iter().map(|geometry| GeometryJson::of(model, geometry)).collect());
            }
            output::print_json(&json)?;
        }
    }
    Ok(Exit::Fine)
}

fn products() -> String {
    let mut page = Page::default();
    let mut families: Vec<Vec<&'static Model>> = Vec::new();
    for model in MODELS {
        match families.iter_mut().find(|family| is_same_family(family[0], model)) {
            Some(family) => family.push(model),
            None => families.push(vec![model]),
        }
    }
    for family in &families {
        page.raw("", Style::new(), &family_table(family));
        page.gap();
    }
    if MODELS.iter().any(|model| !model.evidence.ids_seen()) {
        page.field(
            "*",
            "IDs and slots are assumed to be those of similar products, because no listing was found",
        );
    }
    if MODELS
        .iter()
        .any(|model| model.evidence.ids_seen() && !model.evidence.starts_seen())
    {
        page.field("+", "slots are assumed to be those of similar products");
    }
    page.field(
        "memory",
        "is the number before gb in a profile's name, in GB; a device has up to an eighth less",
    );
    page.field("next", "apportion mig show --product A100-80GB");
    page.into_text()
}

/// Whether two models differ only in the names of their profiles.
fn is_same_family(a: &Model, b: &Model) -> bool {
    let shape = |model: &Model| -> Vec<_> {
        let of = |profile: &ProfileInfo| (profile.id, profile.slots, profile.starts, profile.max);
        model.profiles.iter().map(of).collect()
    };
    shape(a) == shape(b)
}

/// The cell of a table line for each profile.
type Cell<'c> = &'c dyn Fn(&ProfileInfo) -> String;

/// The table of a family: a column for each profile, or a line for each if there are too many.
fn family_table(family: &[&'static Model]) -> String {
    let name = |model: &Model| match (model.evidence.ids_seen(), model.evidence.starts_seen()) {
        (true, true) => model.name.to_owned(),
        (true, false) => format!("{} +", model.name),
        _ => format!("{} *", model.name),
    };
    let profiles = family[0].profiles;
    let starts = |profile: &ProfileInfo| match profile.starts {
        [first, .., last] if usize::from(last - first) + 1 == profile.starts.len() => format!("{first}-{last}"),
        starts => starts.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    };
    let lines: [(&str, Cell<'_>); 4] = [
        ("ID", &|profile| profile.id.to_string()),
        ("most on a GPU", &|profile| profile.max.to_string()),
        ("slots", &|profile| profile.slots.to_string()),
        ("starts at", &starts),
    ];
    let line = |(title, cell): &(&str, Cell<'_>)| -> Vec<String> {
        let cells = profiles.iter().map(cell);
        std::iter::once((*title).to_owned()).chain(cells).collect()
    };
    let mut table: Vec<Vec<String>> = lines.iter().map(line).collect();
    if family.len() == 1 && profiles.len() > 7 {
        table.insert(
            0,
            std::iter::once(name(family[0]))
                .chain(profiles.iter().map(|profile| profile.name.to_owned()))
                .collect(),
        );
        table = (0..=profiles.len())
            .map(|column| table.iter().map(|line| line[column].clone()).collect())
            .collect();
    } else {
        table.extend(family.iter().map(|model| {
            let names = model.profiles.iter().map(|profile| profile.name.to_owned());
            std::iter::once(name(model)).chain(names).collect()
        }));
    }
    aligned(&table)
}

/// Pads cells so that columns are aligned.
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
            model.profiles.len()
        ),
    );
    page.gap();
    let lengths = model.profiles.iter().map(|profile| profile.name.len());
    let width = lengths.max().unwrap_or_default();
    let head = format!("{:width$}  ID  MAX  SLOTS  {}", "PROFILE", drawing::ruler(model));
    page.raw("", FAINT, &head);
    for profile in model.profiles {
        let positions = painted(drawing::style_of(model, profile), &drawing::positions(model, profile));
        let ProfileInfo {
            name, id, max, slots, ..
        } = profile;
        let line = format!("{name:width$}  {id:>2}  {max:>3}  {slots:>5}  {positions}");
        page.raw("", Style::new(), &line);
    }
    if geometries {
        let all = model.geometries();
        page.gap();
        page.field(
            "geometries",
            &format!("{} to which no instance can be added", all.len()),
        );
        for geometry in &all {
            page.raw("", Style::new(), &geometry::summary(geometry));
        }
    }
    page.gap();
    let first = model.profiles.first().map(resource).unwrap_or_default();
    page.field(
        "in a pod",
        &format!("such as {first}, with the device plugin's MIG strategy `mixed`"),
    );
    if let Some(assumptions) = geometry::assumptions(model) {
        page.field("note", &assumptions);
    }
    page.into_text()
}

/// The resource that a pod requests to get a profile.
fn resource(profile: &ProfileInfo) -> String {
    profile
        .name
        .parse()
        .map(|profile| GpuResource::Mig(profile).to_string())
        .unwrap_or_default()
}

/// A product in JSON.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProductJson {
    product: &'static str,
    slots: u8,
    ids_assumed: bool,
    slots_assumed: bool,
    profiles: Vec<ProfileJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    geometries: Option<Vec<GeometryJson>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProfileJson {
    #[serde(rename = "profile")]
    name: &'static str,
    resource: String,
    id: u8,
    max: u8,
    slots: u8,
    starts: &'static [u8],
}

impl ProductJson {
    fn of(model: &'static Model) -> Self {
        let profile = |profile: &'static ProfileInfo| ProfileJson {
            name: profile.name,
            resource: resource(profile),
            id: profile.id,
            max: profile.max,
            slots: profile.slots,
            starts: profile.starts,
        };
        ProductJson {
            product: model.name,
            slots: model.slots,
            ids_assumed: !model.evidence.ids_seen(),
            slots_assumed: !model.evidence.starts_seen(),
            profiles: model.profiles.iter().map(profile).collect(),
            geometries: None,
        }
    }
}
