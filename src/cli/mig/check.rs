//! `apportion mig check`: whether instances fit on one GPU, and what to type.

use std::io::Write as _;

use anstyle::Style;
use anyhow::Result;
use serde::Serialize;

use super::answer::{self, Geometry};
use super::{Format, Printing};
use crate::cli::exit::Exit;
use crate::cli::output;
use crate::cli::page::{BAD, GOOD, Page};
use apportion_mig::catalog;
use apportion_mig::geometry::{Model, models_with};
use apportion_mig::instances;
use apportion_mig::instances::{Name, Term};
use apportion_mig::misfit::Wanted;
use apportion_mig::placement::Placement;
use apportion_mig::profile::MigProfile;
use apportion_nvidia::mig_parted;

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The product, such as A100-80GB or a node's `nvidia.com/gpu.product`.
    #[arg(long, value_name = "PRODUCT")]
    product: String,
    /// The instances of one GPU: profiles or IDs, as 9,9 or 7x1g.10gb or 1g.10gb=7,3g.40gb or, with places, 9:4,14:0.
    #[arg(value_name = "INSTANCES", required = true)]
    instances: Vec<String>,
    #[command(flatten)]
    printing: Printing,
}

/// Something else that fits.
struct Instead {
    what: &'static str,
    geometry: Vec<Placement>,
}

/// What came of it.
struct Verdict {
    /// The instances, if they fit.
    geometry: Option<Vec<Placement>>,
    /// Why they do not.
    because: Vec<String>,
    /// What would.
    instead: Vec<Instead>,
    /// GPUs that hold them all, and where that is no answer, nothing.
    gpus: Option<u64>,
}

/// Runs the verb.
pub fn run(args: &Args) -> Result<Exit> {
    let model = catalog::find(&args.product)?;
    let terms = instances::parse(&args.instances.join(" "))?;
    let verdict = judge(model, &terms);
    match args.printing.output {
        Format::Text => output::print(&text(model, &terms, &verdict), args.printing.color)?,
        Format::Json => output::print_json(&Shown::of(model, &verdict))?,
        Format::MigParted => {
            let Some(geometry) = &verdict.geometry else {
                // Standard output is for the file alone.
                let because = verdict.because.join("; ");
                writeln!(anstream::stderr(), "apportion: {}: {because}", model.name)?;
                return Ok(Exit::Findings);
            };
            output::print(&mig_parted::document(&[answer::config(geometry)]), args.printing.color)?;
        }
    }
    Ok(if verdict.geometry.is_some() {
        Exit::Fine
    } else {
        Exit::Findings
    })
}

fn judge(model: &'static Model, terms: &[Term]) -> Verdict {
    let rows: Vec<_> = terms.iter().map(|term| (term, model.row_named(term.name))).collect();
    let strangers: Vec<String> = rows
        .iter()
        .filter(|(_, row)| row.is_none())
        .map(|(term, _)| stranger(model, term.name))
        .collect();
    // What the product does not have is read as the profile of the same ID on a product that has it: that is what was meant by the
    // one who copied it from there.
    let meant: Vec<Wanted> = rows
        .iter()
        .filter_map(|(term, row)| {
            let row = row.or_else(|| sibling(model, term.name))?;
            Some(Wanted {
                row,
                count: term.count,
                start: term.start,
            })
        })
        .collect();
    let complete = meant.len() == terms.len();
    let mut instead = Vec::new();
    let mut because = strangers;
    match model.judge(&meant) {
        Ok(geometry) if because.is_empty() => {
            return Verdict {
                geometry: Some(geometry),
                because,
                instead,
                gpus: None,
            };
        }
        Ok(geometry) if complete => instead.push(Instead {
            what: "the same on this product",
            geometry,
        }),
        Ok(_) => {}
        Err(misfits) => {
            because.extend(misfits.iter().map(ToString::to_string));
            if complete {
                let mut offer = |what, geometry: Option<Vec<Placement>>| {
                    instead.extend(geometry.map(|geometry| Instead { what, geometry }));
                };
                let free: Vec<Wanted> = meant.iter().map(|wanted| Wanted { start: None, ..*wanted }).collect();
                let elsewhere = model.judge(&free).ok().filter(|_| meant != free);
                if elsewhere.is_some() {
                    offer("the same, at other places", elsewhere);
                } else {
                    let smaller = model.smaller(&free).or_else(|| model.shrunk(&free));
                    offer("as many, but smaller", smaller);
                    offer("what of it fits", model.first_fitting(&free));
                }
            }
        }
    }
    let demand: Option<Vec<(MigProfile, u64)>> = meant
        .iter()
        .map(|wanted| Some((wanted.row.profile.parse().ok()?, wanted.count)))
        .collect();
    let gpus = demand.filter(|_| complete).and_then(|demand| model.gpus_for(&demand));
    Verdict {
        geometry: None,
        because,
        instead,
        gpus: gpus.filter(|gpus| *gpus > 1),
    }
}

/// The row that has the ID which a name has on another product.
fn sibling(model: &'static Model, name: Name) -> Option<&'static apportion_mig::geometry::Row> {
    let Name::Profile(profile) = name else {
        return None;
    };
    // Only products of one family share IDs: that of A30 says nothing on an A100.
    let other = models_with(profile).find(|other| other.slots == model.slots)?;
    model.row_named(Name::Id(other.row(profile)?.id))
}

/// Why a name means nothing on a product.
fn stranger(model: &'static Model, name: Name) -> String {
    let own: Vec<String> = model
        .rows
        .iter()
        .map(|row| format!("{} ({})", row.profile, row.id))
        .collect();
    let own = own.join(", ");
    match name {
        Name::Id(id) => format!("{} has no profile with ID {id}; it has {own}", model.name),
        Name::Profile(profile) => {
            let elsewhere = catalog::names(models_with(profile));
            let of = match elsewhere.as_str() {
                "" => "no known product has it".to_owned(),
                elsewhere => format!("it is one of {elsewhere}"),
            };
            format!("{} has no {profile}: {of}. {} has {own}", model.name, model.name)
        }
    }
}

/// The instances as they were meant: `7 x 3g.40gb (ID 9)`.
fn asked(model: &'static Model, terms: &[Term]) -> String {
    let mut sums: Vec<(Name, u64)> = Vec::new();
    for term in terms {
        match sums.iter_mut().find(|(name, _)| *name == term.name) {
            Some((_, count)) => *count = count.saturating_add(term.count),
            None => sums.push((term.name, term.count)),
        }
    }
    let part = |(name, count): &(Name, u64)| {
        let which = match (name, model.row_named(*name)) {
            (Name::Id(id), Some(row)) => format!("{} (ID {id})", row.profile),
            (Name::Id(id), None) => format!("ID {id}"),
            (Name::Profile(profile), _) => profile.to_string(),
        };
        if *count == 1 {
            which
        } else {
            format!("{count} x {which}")
        }
    };
    sums.iter().map(part).collect::<Vec<_>>().join(" + ")
}

fn text(model: &'static Model, terms: &[Term], verdict: &Verdict) -> String {
    let mut page = Page::default();
    page.field("product", model.name);
    if let Some(geometry) = &verdict.geometry {
        page.styled_field("fits", GOOD, &answer::sum(geometry));
        page.gap();
        answer::put(&mut page, "slots", model, geometry);
        page.gap();
        page.raw("nvidia-smi", Style::new(), &answer::command(model, geometry, false));
        let pinned = terms.iter().any(|term| term.start.is_some());
        if pinned || mig_parted::counted(geometry).len() > 1 && model.evidence.starts() {
            page.raw("as drawn", Style::new(), &answer::command(model, geometry, true));
        }
        page.raw(
            "mig-parted",
            Style::new(),
            &mig_parted::document(&[answer::config(geometry)]),
        );
        page.fields("mind", &answer::notes(model, geometry));
        return page.into_text();
    }
    page.styled_field("does not fit", BAD, &asked(model, terms));
    page.fields("because", &verdict.because);
    for Instead { what, geometry } in &verdict.instead {
        page.gap();
        page.styled_field("instead", GOOD, &format!("{what}: {}", answer::sum(geometry)));
        answer::put(&mut page, "", model, geometry);
        page.raw("nvidia-smi", Style::new(), &answer::command(model, geometry, false));
        page.raw(
            "mig-parted",
            Style::new(),
            &mig_parted::document(&[answer::config(geometry)]),
        );
    }
    if let Some(gpus) = verdict.gpus {
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
        "also makes the compute instances; without it nothing can run in what was made",
    );
    page.fields("mind", &Vec::from_iter(answer::doubts(model)));
    page.into_text()
}

/// The verdict, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'v> {
    product: &'static str,
    fits: bool,
    geometry: Option<Geometry>,
    because: &'v [String],
    instead: Vec<Alternative>,
    /// GPUs that hold all of it; `null` where one does, or none ever will.
    gpus_for_all: Option<u64>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Alternative {
    what: &'static str,
    geometry: Geometry,
}

impl<'v> Shown<'v> {
    fn of(model: &'static Model, verdict: &'v Verdict) -> Self {
        let alternative = |instead: &Instead| Alternative {
            what: instead.what,
            geometry: Geometry::of(model, &instead.geometry),
        };
        Shown {
            product: model.name,
            fits: verdict.geometry.is_some(),
            geometry: verdict
                .geometry
                .as_deref()
                .map(|geometry| Geometry::of(model, geometry)),
            because: &verdict.because,
            instead: verdict.instead.iter().map(alternative).collect(),
            gpus_for_all: verdict.gpus,
            notes: match &verdict.geometry {
                Some(geometry) => answer::notes(model, geometry),
                None => answer::doubts(model).into_iter().collect(),
            },
        }
    }
}
