//! What MIG profiles each product has, and which sets of them fit on one GPU.
//!
//! A GPU is a row of memory slots; an instance of a profile takes some of them, from one of a few starts. That is stricter than
//! adding up compute slices: `3g + 3g + 1g` makes seven, but two `3g` take all eight slots.
//!
//! Profile names and counts: NVIDIA MIG User Guide, "Supported MIG Profiles", and gpu-operator
//! `assets/state-mig-manager/0400_configmap.yaml`. IDs: `nvidia-smi mig -lgip`, starts: `nvidia-smi mig -lgipp`, where such a
//! listing of the product is published; each model says where none was found ([`Evidence`]) and its table is taken to be that of
//! its siblings. The placements of go-nvml's mocks for H100, H200 and B200 are wrong and not used.

use super::memory::MiB;
use super::product::{Product, ProductPattern};
use super::profile::MigProfile;
use Evidence::{Assumed, IdsSeen, Seen};

/// A product, or several that partition alike.
#[derive(Debug)]
pub struct Model {
    /// What people call it.
    pub name: &'static str,
    /// Words of the product's name.
    pattern: &'static str,
    /// MiB of a whole GPU as GFD reports it, to tell apart models of one name.
    memory: std::ops::Range<u64>,
    /// Memory slots of the GPU, in the units of `nvidia-smi mig -lgipp`.
    pub slots: u8,
    /// What of the table was seen.
    pub evidence: Evidence,
    /// Its profiles.
    pub rows: &'static [Row],
}

/// How much of a model's table comes from a listing of that very product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// IDs and starts.
    Seen,
    /// IDs; the starts are those of its siblings.
    IdsSeen,
    /// Neither: only names and counts are NVIDIA's word.
    Assumed,
}

impl Evidence {
    /// Whether a listing showed the IDs.
    pub fn ids(self) -> bool {
        self != Evidence::Assumed
    }

    /// Whether a listing showed the starts.
    pub fn starts(self) -> bool {
        self == Evidence::Seen
    }
}

/// One profile of a model.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// The profile, as NVIDIA writes it.
    pub profile: &'static str,
    /// The GPU instance profile ID that `nvidia-smi mig -cgi` takes.
    pub id: u8,
    /// Memory slots that an instance takes.
    pub slots: u8,
    /// The slots that it can start at.
    pub starts: &'static [u8],
    /// How many fit on an otherwise empty GPU.
    pub max: u8,
}

const fn row(profile: &'static str, id: u8, slots: u8, starts: &'static [u8], max: u8) -> Row {
    Row {
        profile,
        id,
        slots,
        starts,
        max,
    }
}

/// The profiles of a GPU with seven compute slices and eight memory slots.
macro_rules! seven_slices {
    ($one:literal, $double:literal, $two:literal, $three:literal, $four:literal, $seven:literal) => {
        &[
            row($one, 19, 1, &[0, 1, 2, 3, 4, 5, 6], 7),
            row(concat!($one, "+me"), 20, 1, &[0, 1, 2, 3, 4, 5, 6], 1),
            row($double, 15, 2, &[0, 2, 4, 6], 4),
            row($two, 14, 2, &[0, 2, 4], 3),
            row($three, 9, 4, &[0, 4], 2),
            row($four, 5, 4, &[0], 1),
            row($seven, 0, 8, &[0], 1),
        ]
    };
}

const fn model(
    name: &'static str,
    pattern: &'static str,
    gib: (u64, u64),
    slots: u8,
    evidence: Evidence,
    rows: &'static [Row],
) -> Model {
    Model {
        name,
        pattern,
        memory: gib.0 * 1024..gib.1 * 1024,
        slots,
        evidence,
        rows,
    }
}

/// Every MIG-capable product known here.
pub static MODELS: &[Model] = &[
    model(
        "A30-24GB",
        "A30",
        (0, 999),
        4,
        Seen,
        &[
            row("1g.6gb", 14, 1, &[0, 1, 2, 3], 4),
            row("1g.6gb+me", 21, 1, &[0, 1, 2, 3], 1),
            row("2g.12gb", 5, 2, &[0, 2], 2),
            row("2g.12gb+me", 6, 2, &[0, 2], 1),
            row("4g.24gb", 0, 4, &[0], 1),
        ],
    ),
    model(
        "A100-40GB",
        "A100",
        (0, 60),
        8,
        Seen,
        seven_slices!("1g.5gb", "1g.10gb", "2g.10gb", "3g.20gb", "4g.20gb", "7g.40gb"),
    ),
    model(
        "A100-80GB",
        "A100",
        (60, 999),
        8,
        Seen,
        seven_slices!("1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"),
    ),
    model(
        "A800-40GB",
        "A800",
        (0, 60),
        8,
        Assumed,
        seven_slices!("1g.5gb", "1g.10gb", "2g.10gb", "3g.20gb", "4g.20gb", "7g.40gb"),
    ),
    model(
        "A800-80GB",
        "A800",
        (60, 999),
        8,
        Assumed,
        seven_slices!("1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"),
    ),
    model(
        "H100-80GB",
        "H100",
        (0, 88),
        8,
        Seen,
        seven_slices!("1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"),
    ),
    model(
        "H100-94GB",
        "H100",
        (88, 94),
        8,
        Seen,
        seven_slices!("1g.12gb", "1g.24gb", "2g.24gb", "3g.47gb", "4g.47gb", "7g.94gb"),
    ),
    model(
        "H100-96GB",
        "H100",
        (94, 999),
        8,
        IdsSeen,
        seven_slices!("1g.12gb", "1g.24gb", "2g.24gb", "3g.48gb", "4g.48gb", "7g.96gb"),
    ),
    model(
        "H800-80GB",
        "H800",
        (0, 999),
        8,
        Assumed,
        seven_slices!("1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"),
    ),
    model(
        "H20-96GB",
        "H20",
        (0, 120),
        8,
        Assumed,
        seven_slices!("1g.12gb", "1g.24gb", "2g.24gb", "3g.48gb", "4g.48gb", "7g.96gb"),
    ),
    model(
        "GH200-96GB",
        "GH200",
        (0, 120),
        8,
        IdsSeen,
        seven_slices!("1g.12gb", "1g.24gb", "2g.24gb", "3g.48gb", "4g.48gb", "7g.96gb"),
    ),
    model(
        "GH200-144GB",
        "GH200",
        (120, 999),
        8,
        IdsSeen,
        seven_slices!("1g.18gb", "1g.36gb", "2g.36gb", "3g.72gb", "4g.72gb", "7g.144gb"),
    ),
    model(
        "H200-141GB",
        "H200",
        (0, 999),
        8,
        IdsSeen,
        seven_slices!("1g.18gb", "1g.35gb", "2g.35gb", "3g.71gb", "4g.71gb", "7g.141gb"),
    ),
    model(
        "B200-180GB",
        "B200",
        (0, 999),
        8,
        IdsSeen,
        seven_slices!("1g.23gb", "1g.45gb", "2g.45gb", "3g.90gb", "4g.90gb", "7g.180gb"),
    ),
    // The operator's table has two sets of names for GB200 and does not say which part has which; their memory decides.
    model(
        "GB200-186GB",
        "GB200",
        (0, 184),
        8,
        IdsSeen,
        seven_slices!("1g.23gb", "1g.47gb", "2g.47gb", "3g.93gb", "4g.93gb", "7g.186gb"),
    ),
    model(
        "GB200-189GB",
        "GB200",
        (184, 999),
        8,
        IdsSeen,
        seven_slices!("1g.23gb", "1g.47gb", "2g.47gb", "3g.95gb", "4g.95gb", "7g.189gb"),
    ),
    model(
        "B300-269GB",
        "B300",
        (0, 999),
        8,
        Assumed,
        seven_slices!("1g.34gb", "1g.67gb", "2g.67gb", "3g.135gb", "4g.135gb", "7g.269gb"),
    ),
    model(
        "GB300-278GB",
        "GB300",
        (0, 999),
        8,
        IdsSeen,
        seven_slices!("1g.35gb", "1g.70gb", "2g.70gb", "3g.139gb", "4g.139gb", "7g.278gb"),
    ),
    model(
        "RTX-PRO-6000-96GB",
        "RTX-PRO-6000",
        (0, 999),
        12,
        Seen,
        &[
            row("1g.24gb", 14, 3, &[0, 3, 6, 9], 4),
            row("1g.24gb+me", 21, 3, &[0, 3, 6, 9], 1),
            row("1g.24gb+gfx", 47, 3, &[0, 3, 6, 9], 4),
            row("1g.24gb+me.all", 65, 3, &[0, 3, 6, 9], 1),
            row("1g.24gb-me", 67, 3, &[0, 3, 6, 9], 4),
            row("2g.48gb", 5, 6, &[0, 6], 2),
            row("2g.48gb+gfx", 35, 6, &[0, 6], 2),
            row("2g.48gb+me.all", 64, 6, &[0, 6], 1),
            row("2g.48gb-me", 66, 6, &[0, 6], 2),
            row("4g.96gb", 0, 12, &[0], 1),
            row("4g.96gb+gfx", 32, 12, &[0], 1),
        ],
    ),
];

/// The model of a product. Where several share its name, the memory of a whole GPU tells which; without it, the first.
pub fn model_of(product: &Product, memory: Option<MiB>) -> Option<&'static Model> {
    memory
        .and_then(|memory| models_named_by(product).find(|model| model.memory.contains(&memory.0)))
        .or_else(|| models_named_by(product).next())
}

/// The models that a product's name can stand for.
pub fn models_named_by(product: &Product) -> impl Iterator<Item = &'static Model> {
    MODELS.iter().filter(move |model| model.is_named_by(product))
}

/// The models that have a profile.
pub fn models_with(profile: MigProfile) -> impl Iterator<Item = &'static Model> {
    MODELS.iter().filter(move |model| model.row(profile).is_some())
}

impl Model {
    /// The row of a profile.
    pub fn row(&self, profile: MigProfile) -> Option<&'static Row> {
        self.rows.iter().find(|row| row.profile.parse() == Ok(profile))
    }

    /// The part of a GPU that an instance of a profile takes: of its compute slices or its memory slots, whichever is more. Nobody else
    /// can have the rest of what it takes, so seven `1g` are a whole GPU, and so are two `3g`.
    pub fn part(&self, profile: MigProfile) -> Option<f64> {
        let row = self.row(profile)?;
        let whole = self
            .rows
            .iter()
            .filter_map(|row| row.profile.parse::<MigProfile>().ok());
        let compute = whole.map(MigProfile::compute).max()?;
        let slots = self.rows.iter().map(|row| row.slots).max()?;
        let part = |of: u8, all: u8| f64::from(of) / f64::from(all);
        Some(part(profile.compute(), compute).max(part(row.slots, slots)))
    }

    /// The compute slices of a profile beside those of the whole GPU.
    pub fn compute_part(&self, profile: MigProfile) -> Option<f64> {
        self.row(profile)?;
        let whole = self
            .rows
            .iter()
            .filter_map(|row| row.profile.parse::<MigProfile>().ok());
        let compute = whole.map(MigProfile::compute).max()?;
        Some(f64::from(profile.compute()) / f64::from(compute))
    }

    /// The shortest word by which a policy can mean it.
    pub fn word(&self) -> &'static str {
        self.pattern
    }

    /// Whether a policy that writes `pattern` means this model: its word is part of the pattern, or the other way around.
    pub fn is_meant_by(&self, pattern: &ProductPattern) -> bool {
        self.is_named_by(&pattern.as_str().into()) || pattern.matches(&self.pattern.into())
    }

    fn is_named_by(&self, product: &Product) -> bool {
        ProductPattern::parse(self.pattern).is_ok_and(|pattern| pattern.matches(product))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> Vec<(MigProfile, u64)> {
        let mut instances: Vec<(MigProfile, u64)> = Vec::new();
        for profile in text.split_whitespace().map(|p| p.parse().unwrap()) {
            match instances.iter_mut().find(|(p, _)| *p == profile) {
                Some((_, count)) => *count += 1,
                None => instances.push((profile, 1)),
            }
        }
        instances
    }

    fn named(name: &str) -> &'static Model {
        MODELS.iter().find(|model| model.name == name).unwrap()
    }

    #[test]
    fn every_profile_of_every_model_is_one() {
        for model in MODELS {
            for row in model.rows {
                let profile: MigProfile = row.profile.parse().unwrap();
                assert_eq!(model.row(profile).unwrap().id, row.id, "{} {}", model.name, row.profile);
                assert!(
                    model.fits(&[(profile, row.max.into())]),
                    "{} {}",
                    model.name,
                    row.profile
                );
                assert!(
                    !model.fits(&[(profile, u64::from(row.max) + 1)]),
                    "{} {}",
                    model.name,
                    row.profile
                );
            }
            let mut ids: Vec<u8> = model.rows.iter().map(|row| row.id).collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), model.rows.len(), "{}", model.name);
        }
    }

    /// Facts E.1.
    #[test]
    fn geometries_need_slots_and_not_only_slices() {
        for (instances, fits) in [
            ("3g.40gb 3g.40gb 1g.10gb", false),
            ("3g.40gb 2g.20gb 1g.10gb 1g.10gb", true),
            ("4g.40gb 3g.40gb", true),
            ("4g.40gb 2g.20gb 1g.10gb", true),
            ("3g.40gb 2g.20gb 2g.20gb", true),
            ("1g.10gb 1g.10gb 1g.10gb 1g.10gb 1g.10gb 1g.10gb 1g.10gb", true),
            ("1g.20gb 1g.20gb 1g.20gb 1g.20gb", true),
            ("3g.40gb 3g.40gb", true),
            ("4g.40gb 4g.40gb", false),
            ("7g.80gb 1g.10gb", false),
            ("1g.10gb+me 1g.10gb", true),
            ("1g.10gb+me 1g.10gb+me", false),
            ("1g.5gb", false),
        ] {
            assert_eq!(named("A100-80GB").fits(&set(instances)), fits, "{instances}");
        }
    }

    #[test]
    fn one_name_costs_different_shares_of_different_products() {
        let seven = [("1g.10gb".parse().unwrap(), 7)];
        assert_eq!(named("A100-80GB").gpus_for(&seven), Some(1));
        assert_eq!(named("A100-40GB").gpus_for(&seven), Some(2));
        assert_eq!(named("A30-24GB").gpus_for(&seven), None);
    }

    #[test]
    fn gpus_are_filled_before_another_is_counted() {
        for (instances, gpus) in [
            ("3g.40gb 3g.40gb 3g.40gb", 2),
            ("4g.40gb 4g.40gb 3g.40gb 3g.40gb", 2),
            ("7g.80gb 1g.10gb", 2),
            ("2g.20gb 2g.20gb 2g.20gb 1g.10gb 1g.10gb", 2),
            ("", 0),
        ] {
            assert_eq!(named("A100-80GB").gpus_for(&set(instances)), Some(gpus), "{instances}");
        }
        let absurd = [
            ("1g.10gb".parse().unwrap(), u64::MAX),
            ("3g.40gb".parse().unwrap(), u64::MAX / 3),
        ];
        assert!(
            named("A100-80GB")
                .gpus_for(&absurd)
                .is_some_and(|gpus| gpus > u64::MAX / 8)
        );
    }

    #[test]
    fn models_are_found_by_name_and_memory() {
        for (product, memory, model) in [
            ("NVIDIA-A100-SXM4-40GB", Some(40960), Some("A100-40GB")),
            ("NVIDIA-A100-SXM4-80GB", Some(81920), Some("A100-80GB")),
            ("NVIDIA-H100-NVL", Some(95830), Some("H100-94GB")),
            ("NVIDIA-H100-80GB-HBM3", Some(81559), Some("H100-80GB")),
            ("NVIDIA-GH200-480GB", Some(97871), Some("GH200-96GB")),
            ("NVIDIA-H200", Some(143_771), Some("H200-141GB")),
            ("NVIDIA-A30", None, Some("A30-24GB")),
            ("Tesla-T4", Some(15360), None),
        ] {
            assert_eq!(
                model_of(&product.into(), memory.map(MiB)).map(|m| m.name),
                model,
                "{product}"
            );
        }
    }
}
