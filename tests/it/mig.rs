//! `apportion mig`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::command::{CLUSTER, Run, apportion};

fn mig(args: &str) -> Run {
    apportion(&[&["mig"], &args.split(' ').collect::<Vec<_>>()[..]].concat())
}

/// The fields that mig-parted reads. Like its parser (`api/spec/v1/spec.go`), it rejects others.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Spec {
    version: String,
    mig_configs: BTreeMap<String, Vec<Part>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Part {
    devices: Devices,
    mig_enabled: bool,
    mig_devices: BTreeMap<String, u64>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Devices {
    All(String),
    These(Vec<u64>),
}

fn spec(text: &str) -> Spec {
    let spec: Spec = serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(spec.version, "v1");
    for part in spec.mig_configs.values().flatten() {
        assert!(part.mig_enabled && !part.mig_devices.is_empty());
        assert!(
            !matches!(&part.devices, Devices::All(text) if text != "all"),
            "{part:?}"
        );
    }
    spec
}

#[test]
fn all_products_are_shown() {
    insta::assert_snapshot!(mig("show").shown());
}

#[test]
fn one_product_is_drawn() {
    insta::assert_snapshot!(mig("show --product A100-80").shown());
    insta::assert_snapshot!(mig("show --product RTX-PRO-6000").shown());
}

#[test]
fn assumed_placements_are_marked() {
    for (product, ids, slots) in [("A100-40GB", false, false), ("H200", false, true), ("B300", true, true)] {
        let text = mig(&format!("show --product {product}")).stdout;
        assert_eq!(text.contains("the IDs and slots of"), ids, "{text}");
        assert_eq!(text.contains("assumed to be those of"), slots, "{text}");
        let shown: Value =
            serde_json::from_str(&mig(&format!("show --product {product} --output json")).stdout).unwrap();
        assert_eq!(
            (&shown["idsAssumed"], &shown["slotsAssumed"]),
            (&ids.into(), &slots.into())
        );
    }
    // Unverified profile IDs are not printed; `-cgi` takes names as well.
    let text = mig("check --product B300 3x2g.67gb").stdout;
    assert!(text.contains("-cgi 2g.67gb,2g.67gb,2g.67gb -C"), "{text}");
}

#[test]
fn all_geometries_are_listed() {
    let shown: Value = serde_json::from_str(&mig("show --product A30 --geometries --output json").stdout).unwrap();
    let names: Vec<&str> = shown["geometries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|geometry| geometry["name"].as_str().unwrap())
        .collect();
    insta::assert_snapshot!(names.join("\n"));
}

/// A common mistake in tutorials: seven instances of a profile of which two fit, and no `-C`.
#[test]
fn a_geometry_that_does_not_fit_is_explained_with_a_fix() {
    let run = mig("check --product A100-80 9,9,9,9,9,9,9");
    assert!(run.stdout.contains("nvidia-smi mig -i 0 -cgi 19,19,19,19,19,19,19 -C"));
    insta::assert_snapshot!(run.shown());
    insta::assert_snapshot!(mig("check --product A100-80 3g.40gb,3g.40gb,1g.10gb").shown());
}

#[test]
fn a_geometry_that_fits_is_drawn_with_its_commands() {
    insta::assert_snapshot!(mig("check --product NVIDIA-A100-SXM4-80GB 19,19,14,9").shown());
}

#[test]
fn every_reason_for_a_misfit_has_a_message() {
    for (args, words) in [
        (
            "A100-80 1g.5gb*7",
            "A100-80GB has no 1g.5gb: it is a profile of A100-40GB, A800-40GB",
        ),
        ("A100-80 1g.5gb*7", "the same on this product: 7 x 1g.10gb"),
        ("A100-80 21", "A100-80GB has no profile with ID 21; it has 1g.10gb (19)"),
        (
            "A100-80 20,1g.10gb+me",
            "2 x 1g.10gb+me (ID 20): at most 1 fit on one GPU",
        ),
        (
            "A30 1g.6gb+me,2g.12gb+me",
            "one instance of a GPU can have the media engines, not 2",
        ),
        (
            "A30 1g.6gb+me,2g.12gb+me",
            "instead      as many, but smaller: 2g.12gb + 1g.6gb+me",
        ),
        (
            "A100-80 14:6",
            "2g.20gb (ID 14) cannot start at slot 6; it starts at 0, 2 or 4",
        ),
        (
            "A100-80 9:4,14:2,14:2",
            "the same, at other places: 3g.40gb + 2 x 2g.20gb",
        ),
        (
            "A100-80 4g.40gb,4g.40gb",
            "2 x 4g.40gb (ID 5): at most 1 fit on one GPU",
        ),
        (
            "A100-80 3x2g.20gb,2x1g.10gb",
            "they need 8 of 8 memory slots, but their allowed start slots conflict:",
        ),
        (
            "A100-80 3g.40gb+3g.40gb+1g.10gb",
            "together they need 9 memory slots, but the GPU has 8:",
        ),
        ("A100-80 1000000000000x19", "all of it takes 142857142858 GPUs"),
    ] {
        let run = mig(&format!("check --product {args}"));
        // Line breaks do not matter.
        let text = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(run.status == 1 && text.contains(&words), "{args}\n{}", run.shown());
    }
}

#[test]
fn unreadable_input_exits_2() {
    for (args, words) in [
        (
            "check --product A100 9",
            "`A100` can be A100-40GB, A100-80GB; name one of them",
        ),
        (
            "check --product T4 9",
            "T4 does not support MIG, so it cannot be partitioned",
        ),
        (
            "check --product H42 9",
            "`H42` is not a known MIG-capable product; known products are",
        ),
        (
            "check --product A30 3c.4g",
            "`3c.4g` is neither a MIG profile nor a profile ID",
        ),
        ("check --product A30 2x14:0", "puts several instances at one slot"),
        (
            "plan --demand 9=2",
            "profile ID 9 differs between products; set --product",
        ),
        (
            "plan --product A30 --demand 1g.5gb=2",
            "A30-24GB has no 1g.5gb; it has 1g.6gb",
        ),
        ("plan --demand 1g.5gb=1,1g.6gb=1", "no known product has all of"),
        ("plan --product A30 --demand 1g.6gb=99999999999", "; plan a part of it"),
        ("plan --cluster absent.json", "absent.json"),
    ] {
        let run = mig(args);
        assert!(
            run.status == 2 && run.stdout.is_empty() && run.stderr.contains(words),
            "{args}: {}",
            run.shown()
        );
    }
}

#[test]
fn a_plan_lists_gpus_and_their_geometries() {
    insta::assert_snapshot!(mig("plan --product A100-80 --demand 1g.10gb=9,3g.40gb=2 --gpus-per-node 2").shown());
    let short = mig("plan --product A100-80 --demand 1g.10gb=9,3g.40gb=2 --gpus 2");
    assert!(
        short.status == 1
            && short
                .stdout
                .contains("3 GPUs, but only 2 are available; fewer cannot hold the demand")
    );
    assert_eq!(
        mig("plan --product A100-80 --demand 1g.10gb=9,3g.40gb=2 --gpus 3").status,
        0
    );
}

#[test]
fn a_plan_includes_the_requests_of_waiting_pods() {
    let run = mig(&format!(
        "plan --product A100-80 --cluster {CLUSTER} --demand 1g.10gb=6 --output json"
    ));
    let plan: Value = serde_json::from_str(&run.stdout).unwrap();
    // One pod of the example waits for a MIG device.
    assert_eq!(plan["demand"], serde_json::json!([{"profile": "1g.10gb", "count": 7}]));
    assert_eq!(
        (&plan["gpus"], &plan["batches"][0]["geometry"]["name"]),
        (&1.into(), &"7x1g.10gb".into())
    );
    let text = mig(&format!("plan --cluster {CLUSTER}")).stdout;
    assert!(
        text.contains("1 x 1g.10gb, including 1 pending pod") && text.contains("H100-80GB  1"),
        "{text}"
    );
}

/// mig-parted's strict parser accepts every configuration, and each holds what was requested.
#[test]
fn configurations_are_valid_for_mig_parted() {
    let checked = spec(&mig("check --product A30 2x1g.6gb,1g.6gb+me --output mig-parted").stdout);
    let part = &checked.mig_configs["2x1g.6gb-1g.6gb.me"][0];
    assert_eq!(
        part.mig_devices,
        [("1g.6gb".to_owned(), 2), ("1g.6gb+me".to_owned(), 1)].into()
    );
    let misfit = mig("check --product A30 5x1g.6gb --output mig-parted");
    assert!(misfit.status == 1 && misfit.stdout.is_empty(), "{}", misfit.shown());
    assert!(
        misfit
            .stderr
            .contains("A30-24GB: 5 x 1g.6gb (ID 14): at most 4 fit on one GPU")
    );

    for per_node in ["", " --gpus-per-node 8", " --gpus-per-node 3"] {
        let args = format!(
            "plan --product H100-80 --demand 1g.10gb=100,3g.40gb=21,2g.20gb=7,1g.10gb+me=3 --output mig-parted{per_node}"
        );
        let run = mig(&args);
        let spec = spec(&run.stdout);
        // `for 14 GPUs` and `for 2 nodes` precede the configurations that they count.
        let times: Vec<u64> = run
            .stdout
            .lines()
            .filter_map(|line| line.trim().strip_prefix("# for ")?.split(' ').next()?.parse().ok())
            .collect();
        let names: Vec<&str> = run
            .stdout
            .lines()
            .filter_map(|line| {
                line.strip_prefix("  ")?
                    .strip_suffix(':')
                    .filter(|name| !name.starts_with([' ', '-']))
            })
            .collect();
        assert_eq!(
            (times.len(), names.len()),
            (spec.mig_configs.len(), spec.mig_configs.len()),
            "{}",
            run.stdout
        );
        let mut held: BTreeMap<&str, u64> = BTreeMap::new();
        for (times, name) in times.iter().zip(names) {
            for part in &spec.mig_configs[name] {
                let gpus = match &part.devices {
                    Devices::These(devices) => devices.len() as u64,
                    Devices::All(_) => args
                        .rsplit_once("per-node ")
                        .map_or(1, |(_, count)| count.parse().unwrap()),
                };
                for (profile, count) in &part.mig_devices {
                    *held.entry(profile).or_default() += times * gpus * count;
                }
            }
        }
        assert_eq!(
            held,
            [("1g.10gb", 100), ("3g.40gb", 21), ("2g.20gb", 7), ("1g.10gb+me", 3)].into(),
            "{}",
            run.stdout
        );
    }
}

#[test]
fn color_is_for_terminals_only() {
    assert!(!mig("show --product A30").stdout.contains('\u{1b}'));
    assert!(mig("show --product A30 --color always").stdout.contains('\u{1b}'));
}
