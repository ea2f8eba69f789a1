//! The MIG tables against an independent enumeration of every placement of every product.
//!
//! The listings below follow the output of `nvidia-smi mig -lgip` and `-lgipp` (`ID profile
//! {starts}:slots xmax`) and do not use the library's tables. The library is called only to
//! compare.

use std::collections::{BTreeMap, BTreeSet};

use apportion_mig::profile::MigProfile;
use apportion_mig::{MODELS, Model};

/// A listing: names of products, and lines.
const LISTINGS: &[(&[&str], &str)] = &[
    (
        &["A30-24GB"],
        "14 1g.6gb {0,1,2,3}:1 x4
         21 1g.6gb+me {0,1,2,3}:1 x1
         5 2g.12gb {0,2}:2 x2
         6 2g.12gb+me {0,2}:2 x1
         0 4g.24gb {0}:4 x1",
    ),
    (
        &["RTX-PRO-6000-96GB"],
        "14 1g.24gb {0,3,6,9}:3 x4
         21 1g.24gb+me {0,3,6,9}:3 x1
         47 1g.24gb+gfx {0,3,6,9}:3 x4
         65 1g.24gb+me.all {0,3,6,9}:3 x1
         67 1g.24gb-me {0,3,6,9}:3 x4
         5 2g.48gb {0,6}:6 x2
         35 2g.48gb+gfx {0,6}:6 x2
         64 2g.48gb+me.all {0,6}:6 x1
         66 2g.48gb-me {0,6}:6 x2
         0 4g.96gb {0}:12 x1
         32 4g.96gb+gfx {0}:12 x1",
    ),
    (&["A100-40GB", "A800-40GB"], seven("5 10 10 20 20 40")),
    (
        &["A100-80GB", "A800-80GB", "H100-80GB", "H800-80GB"],
        seven("10 20 20 40 40 80"),
    ),
    (&["H100-94GB"], seven("12 24 24 47 47 94")),
    (&["H100-96GB", "GH200-96GB", "H20-96GB"], seven("12 24 24 48 48 96")),
    (&["GH200-144GB"], seven("18 36 36 72 72 144")),
    (&["H200-141GB"], seven("18 35 35 71 71 141")),
    (&["B200-180GB"], seven("23 45 45 90 90 180")),
    (&["GB200-186GB"], seven("23 47 47 93 93 186")),
    (&["GB200-189GB"], seven("23 47 47 95 95 189")),
    (&["B300-269GB"], seven("34 67 67 135 135 269")),
    (&["GB300-278GB"], seven("35 70 70 139 139 278")),
];

/// Gigabytes of the profiles of a GPU with seven slices; [`SEVEN`] has the rest.
const fn seven(gigabytes: &str) -> &str {
    gigabytes
}

/// IDs, compute slices, starts, slots and counts of A100 and H100.
const SEVEN: [&str; 7] = [
    "19 1g.$0gb {0,1,2,3,4,5,6}:1 x7",
    "20 1g.$0gb+me {0,1,2,3,4,5,6}:1 x1",
    "15 1g.$1gb {0,2,4,6}:2 x4",
    "14 2g.$2gb {0,2,4}:2 x3",
    "9 3g.$3gb {0,4}:4 x2",
    "5 4g.$4gb {0}:4 x1",
    "0 7g.$5gb {0}:8 x1",
];

/// A line of a listing.
#[derive(Clone, Debug)]
struct Line {
    id: u8,
    profile: String,
    starts: Vec<u32>,
    slots: u32,
    max: usize,
    media: bool,
}

fn lines(listing: &str) -> Vec<Line> {
    let texts: Vec<String> = if listing.contains('{') {
        listing.lines().map(|line| line.trim().to_owned()).collect()
    } else {
        let gigabytes: Vec<&str> = listing.split(' ').collect();
        let fill = |line: &&str| {
            (0..6).fold((*line).to_owned(), |line, at| {
                line.replace(&format!("${at}"), gigabytes[at])
            })
        };
        SEVEN.iter().map(fill).collect()
    };
    let line = |text: &String| {
        let [id, profile, places, max] = text.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{text}")
        };
        let (starts, slots) = places.split_once(':').unwrap();
        Line {
            id: id.parse().unwrap(),
            profile: profile.to_owned(),
            starts: starts
                .trim_matches(['{', '}'])
                .split(',')
                .map(|start| start.parse().unwrap())
                .collect(),
            slots: slots.parse().unwrap(),
            max: max[1..].parse().unwrap(),
            media: profile.contains("+me"),
        }
    };
    texts.iter().map(line).collect()
}

/// All counts of instances that some placement has, by brute force: every way to place instances on
/// free slots. A GPU has its media engines once.
fn shown(lines: &[Line]) -> BTreeSet<Vec<usize>> {
    let mut found = BTreeSet::new();
    let mut seen: BTreeSet<(u32, Vec<usize>)> = BTreeSet::new();
    let mut open = vec![(0u32, vec![0usize; lines.len()])];
    while let Some((taken, counts)) = open.pop() {
        if !seen.insert((taken, counts.clone())) {
            continue;
        }
        found.insert(counts.clone());
        for (at, line) in lines.iter().enumerate() {
            let media: usize = lines
                .iter()
                .zip(&counts)
                .filter(|(line, _)| line.media)
                .map(|(_, count)| count)
                .sum();
            if counts[at] == line.max || line.media && media > 0 {
                continue;
            }
            for start in &line.starts {
                let mask = ((1 << line.slots) - 1) << start;
                if taken & mask == 0 {
                    let mut more = counts.clone();
                    more[at] += 1;
                    open.push((taken | mask, more));
                }
            }
        }
    }
    found
}

fn model(name: &str) -> &'static Model {
    MODELS
        .iter()
        .find(|model| model.name == name)
        .unwrap_or_else(|| panic!("{name} has no table"))
}

fn instances(lines: &[Line], counts: &[usize]) -> Vec<(MigProfile, u64)> {
    let each = lines.iter().zip(counts).filter(|(_, count)| **count > 0);
    each.map(|(line, count)| (line.profile.parse().unwrap(), *count as u64))
        .collect()
}

/// All counts from zero to one above the maximum of each profile.
fn all_counts(lines: &[Line]) -> Vec<Vec<usize>> {
    lines.iter().fold(vec![Vec::new()], |counts, line| {
        let with = |counts: &Vec<usize>| {
            let counts = counts.clone();
            (0..=line.max + 1).map(move |count| [counts.clone(), vec![count]].concat())
        };
        counts.iter().flat_map(with).collect()
    })
}

#[test]
fn every_mig_table_matches_its_listing() {
    let listed: BTreeSet<&str> = LISTINGS.iter().flat_map(|(names, _)| names.iter().copied()).collect();
    assert_eq!(listed, MODELS.iter().map(|model| model.name).collect());
    for (names, listing) in LISTINGS {
        let lines = lines(listing);
        for name in *names {
            let rows: Vec<_> = model(name)
                .profiles
                .iter()
                .map(|row| (row.id, row.name.to_owned(), row.slots.into(), usize::from(row.max)))
                .collect();
            let expected: Vec<_> = lines
                .iter()
                .map(|line| (line.id, line.profile.clone(), line.slots, line.max))
                .collect();
            assert_eq!(rows, expected, "{name}");
        }
    }
}

/// For each product and each count of each profile up to one too many: it fits if and only if a
/// placement exists.
#[test]
fn exactly_the_geometries_that_can_be_placed_fit() {
    for (names, listing) in LISTINGS {
        let lines = lines(listing);
        let shown = shown(&lines);
        // The eleven profiles of RTX PRO 6000 have some 30 million counts. Up to six instances
        // suffice: five already take more than the GPU, so every larger count contains one that is
        // tested and does not fit.
        let counts: Vec<Vec<usize>> = if lines.len() > 7 {
            up_to(6, &lines)
        } else {
            all_counts(&lines)
        };
        let mut fitting = 0;
        for counts in &counts {
            let fits = shown.contains(counts);
            fitting += usize::from(fits);
            for name in *names {
                let instances = instances(&lines, counts);
                assert_eq!(model(name).fits(&instances), fits, "{name}: {instances:?}");
            }
        }
        assert_eq!(fitting, shown.len(), "{names:?}: some placement was not asked for");
    }
}

/// All counts of at most this many instances.
fn up_to(most: usize, lines: &[Line]) -> Vec<Vec<usize>> {
    let mut counts = vec![vec![0usize; lines.len()]];
    let mut all: BTreeSet<Vec<usize>> = counts.iter().cloned().collect();
    for _ in 0..most {
        counts = counts
            .iter()
            .flat_map(|counts| {
                (0..lines.len()).map(|at| {
                    let mut more = counts.clone();
                    more[at] += 1;
                    more
                })
            })
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        all.extend(counts.iter().cloned());
    }
    all.into_iter().collect()
}

/// The 19 full geometries of an A100 without the two newer `1g` profiles (double memory, media
/// engines): six ways to fill the left half by three for the right one, and the whole GPU.
#[test]
fn an_a100_has_19_full_geometries() {
    let all = lines(seven("5 10 10 20 20 40"));
    let drawn: Vec<&Line> = all.iter().filter(|line| ![15, 20].contains(&line.id)).collect();
    // Placements, not counts: `2g` at 0 and `2g` at 2 differ.
    let mut full: BTreeSet<BTreeSet<(u8, u32)>> = BTreeSet::new();
    let mut open: Vec<(u32, BTreeSet<(u8, u32)>)> = vec![(0, BTreeSet::new())];
    while let Some((taken, placed)) = open.pop() {
        let mut grows = false;
        for line in &drawn {
            for start in &line.starts {
                let mask = ((1 << line.slots) - 1) << start;
                if taken & mask == 0 {
                    grows = true;
                    let mut more = placed.clone();
                    more.insert((line.id, *start));
                    open.push((taken | mask, more));
                }
            }
        }
        if !grows {
            full.insert(placed);
        }
    }
    assert_eq!(full.len(), 19);
    // The library has exactly these, apart from geometries with the two newer profiles.
    let counted = |placed: &BTreeSet<(u8, u32)>| {
        let mut counts: BTreeMap<u8, usize> = BTreeMap::new();
        for (id, _) in placed {
            *counts.entry(*id).or_default() += 1;
        }
        counts
    };
    let ours: BTreeSet<BTreeMap<u8, usize>> = model("A100-40GB")
        .geometries()
        .iter()
        .map(|geometry| counted(&geometry.iter().map(|one| (one.profile.id, one.start.into())).collect()))
        .filter(|counts| !counts.contains_key(&15) && !counts.contains_key(&20))
        .collect();
    assert!(ours.is_subset(&full.iter().map(counted).collect()), "{ours:?}");
}

/// What succeeds and what fails on an A100 in NVIDIA's MIG User Guide ("Instance Geometry").
#[test]
fn examples_of_nvidias_guide_have_its_results() {
    let lines = lines(seven("5 10 10 20 20 40"));
    for (ids, fits) in [
        (&[9, 9][..], true),
        (&[19, 14, 5], true),
        (&[9, 19, 14, 19], true),
        (&[14, 19, 19, 19, 19, 19], true),
        (&[19, 19, 19, 19, 19, 19, 19], true),
        (&[9, 9, 19], false),
        (&[9, 9, 9], false),
    ] {
        let counts: Vec<usize> = lines
            .iter()
            .map(|line| ids.iter().map(|id| usize::from(*id == line.id)).sum())
            .collect();
        assert_eq!(model("A100-40GB").fits(&instances(&lines, &counts)), fits, "{ids:?}");
    }
}

/// The fewest GPUs for every demand of up to this many instances, by a search that adds one GPU at
/// a time.
#[test]
fn plans_use_the_fewest_gpus() {
    for (names, listing, most) in [
        (&["A30-24GB"][..], LISTINGS[0].1, 12),
        (&["RTX-PRO-6000-96GB"], LISTINGS[1].1, 5),
        (&["A100-80GB"], seven("10 20 20 40 40 80"), 8),
    ] {
        let lines = lines(listing);
        let one: Vec<Vec<usize>> = shown(&lines)
            .into_iter()
            .filter(|counts| counts.iter().sum::<usize>() > 0)
            .collect();
        let mut fewest: BTreeMap<Vec<usize>, u64> = BTreeMap::new();
        let mut demands = up_to(most, &lines);
        demands.sort_by_key(|counts| counts.iter().sum::<usize>());
        for demand in &demands {
            let rest = |one: &Vec<usize>| -> Option<Vec<usize>> {
                demand.iter().zip(one).map(|(all, one)| all.checked_sub(*one)).collect()
            };
            let least = one
                .iter()
                .filter_map(rest)
                .map(|rest| 1 + fewest[&rest])
                .min()
                .unwrap_or(0);
            fewest.insert(demand.clone(), least);
            let instances = instances(&lines, demand);
            for name in names {
                assert_eq!(model(name).min_gpus(&instances), Some(least), "{name}: {instances:?}");
                let batches = model(name).pack(&instances).unwrap();
                assert_eq!(
                    batches.iter().map(|batch| batch.gpus).sum::<u64>(),
                    least,
                    "{name}: {instances:?}"
                );
                let mut held = vec![0usize; lines.len()];
                for batch in &batches {
                    let mut taken = 0u32;
                    for placement in &batch.geometry {
                        let at = lines
                            .iter()
                            .position(|line| line.profile == placement.profile.name)
                            .unwrap();
                        let line = &lines[at];
                        let mask = ((1u32 << line.slots) - 1) << placement.start;
                        assert!(
                            line.starts.contains(&placement.start.into()) && taken & mask == 0,
                            "{name}: {batch:?}"
                        );
                        taken |= mask;
                        held[at] += usize::try_from(batch.gpus).unwrap();
                    }
                    assert!(batch.geometry.iter().filter(|one| one.profile.has_media()).count() <= 1);
                }
                assert_eq!(&held, demand, "{name}");
            }
        }
    }
}

/// Plans for thousands of GPUs are as fast as for one, and have few batches.
#[test]
fn large_demands_are_planned_quickly() {
    let demand: Vec<(MigProfile, u64)> = [
        ("1g.10gb", 40_000),
        ("1g.10gb+me", 900),
        ("1g.20gb", 7_001),
        ("2g.20gb", 9_999),
        ("3g.40gb", 5_003),
        ("4g.40gb", 801),
    ]
    .map(|(profile, count)| (profile.parse().unwrap(), count))
    .into();
    let batches = model("A100-80GB").pack(&demand).unwrap();
    let gpus: u64 = batches.iter().map(|batch| batch.gpus).sum();
    assert_eq!(model("A100-80GB").min_gpus(&demand), Some(gpus));
    // A lower bound by slots.
    let slots: u64 = 40_900 + 2 * 17_000 + 4 * 5_804;
    assert!(
        gpus >= slots.div_ceil(8) && batches.len() < 20,
        "{gpus} GPUs, {} batches",
        batches.len()
    );
    for (profile, count) in demand {
        let held: u64 = batches
            .iter()
            .map(|batch| {
                batch.gpus
                    * batch
                        .geometry
                        .iter()
                        .filter(|one| one.profile.name.parse() == Ok(profile))
                        .count() as u64
            })
            .sum();
        assert_eq!(held, count, "{profile}");
    }
}
