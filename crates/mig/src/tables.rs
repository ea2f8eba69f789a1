//! The profiles of every GPU model that this crate knows.
//!
//! Sources: NVIDIA MIG User Guide, "Supported MIG Profiles", and gpu-operator
//! `assets/state-mig-manager/0400_configmap.yaml` for names and counts; `nvidia-smi mig -lgip` for
//! IDs and `nvidia-smi mig -lgipp` for starts. [`Evidence`] says for each model whether such a
//! listing of it is published; where none is, its IDs or starts are assumed to equal those of its
//! siblings. go-nvml's mocks for H100, H200 and B200 have wrong placements and are not used.

use super::model::Evidence::{self, Assumed, IdsSeen, Seen};
use super::model::{Model, ProfileInfo};

const fn profile(name: &'static str, id: u8, slots: u8, starts: &'static [u8], max: u8) -> ProfileInfo {
    ProfileInfo {
        name,
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
            profile($one, 19, 1, &[0, 1, 2, 3, 4, 5, 6], 7),
            profile(concat!($one, "+me"), 20, 1, &[0, 1, 2, 3, 4, 5, 6], 1),
            profile($double, 15, 2, &[0, 2, 4, 6], 4),
            profile($two, 14, 2, &[0, 2, 4], 3),
            profile($three, 9, 4, &[0, 4], 2),
            profile($four, 5, 4, &[0], 1),
            profile($seven, 0, 8, &[0], 1),
        ]
    };
}

/// `gib` is the range of memory of a whole GPU, upper bound excluded.
const fn model(
    name: &'static str,
    short_name: &'static str,
    gib: (u64, u64),
    slots: u8,
    evidence: Evidence,
    profiles: &'static [ProfileInfo],
) -> Model {
    Model {
        name,
        short_name,
        memory: gib.0 * 1024..gib.1 * 1024,
        slots,
        evidence,
        profiles,
    }
}

/// Every MIG-capable GPU model that this crate knows.
pub static MODELS: &[Model] = &[
    model(
        "A30-24GB",
        "A30",
        (0, 999),
        4,
        Seen,
        &[
            profile("1g.6gb", 14, 1, &[0, 1, 2, 3], 4),
            profile("1g.6gb+me", 21, 1, &[0, 1, 2, 3], 1),
            profile("2g.12gb", 5, 2, &[0, 2], 2),
            profile("2g.12gb+me", 6, 2, &[0, 2], 1),
            profile("4g.24gb", 0, 4, &[0], 1),
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
    // The operator's table has two sets of names for GB200 and does not say which part has which.
    // Memory tells them apart.
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
            profile("1g.24gb", 14, 3, &[0, 3, 6, 9], 4),
            profile("1g.24gb+me", 21, 3, &[0, 3, 6, 9], 1),
            profile("1g.24gb+gfx", 47, 3, &[0, 3, 6, 9], 4),
            profile("1g.24gb+me.all", 65, 3, &[0, 3, 6, 9], 1),
            profile("1g.24gb-me", 67, 3, &[0, 3, 6, 9], 4),
            profile("2g.48gb", 5, 6, &[0, 6], 2),
            profile("2g.48gb+gfx", 35, 6, &[0, 6], 2),
            profile("2g.48gb+me.all", 64, 6, &[0, 6], 1),
            profile("2g.48gb-me", 66, 6, &[0, 6], 2),
            profile("4g.96gb", 0, 12, &[0], 1),
            profile("4g.96gb+gfx", 32, 12, &[0], 1),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MigProfile;

    #[test]
    fn every_profile_fits_as_often_as_its_table_row_says() {
        for model in MODELS {
            for info in model.profiles {
                let profile: MigProfile = info.name.parse().unwrap();
                let case = format!("{} {}", model.name, info.name);
                assert_eq!(model.profile(profile).unwrap().id, info.id, "{case}");
                assert!(model.fits(&[(profile, info.max.into())]), "{case}");
                assert!(!model.fits(&[(profile, u64::from(info.max) + 1)]), "{case}");
            }
        }
    }

    #[test]
    fn profile_ids_are_unique_within_a_model() {
        for model in MODELS {
            let mut ids: Vec<u8> = model.profiles.iter().map(|info| info.id).collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), model.profiles.len(), "{}", model.name);
        }
    }
}
