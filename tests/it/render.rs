//! `apportion render`: rendered examples, and plans that cannot work.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::command::{Run, apportion, apportion_reading};

const EXAMPLES: [&str; 4] = ["time-slicing", "mps", "mig", "fleet"];

#[test]
fn rendered_examples_are_up_to_date() {
    for name in EXAMPLES {
        let (plan, out) = (
            format!("examples/plan/{name}.yaml"),
            format!("examples/plan/rendered/{name}"),
        );
        let run = apportion(&["render", "-f", &plan, "--out", &out, "--check"]);
        assert_eq!(
            (run.status, run.stderr.as_str()),
            (0, ""),
            "{name}: run `apportion render -f {plan} --out {out}`\n{}",
            run.stdout
        );
    }
    let known = EXAMPLES.map(str::to_owned);
    for entry in fs::read_dir("examples/plan/rendered").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(known.contains(&name), "examples/plan/rendered/{name} has no test");
    }
}

#[test]
fn rendered_files_pass_the_linter() {
    for name in EXAMPLES {
        let plan = format!("examples/plan/{name}.yaml");
        let mut args = vec!["lint".to_owned(), plan];
        for file in [
            "device-plugin-configmap.yaml",
            "mig-parted-configmap.yaml",
            "gpu-operator-values.yaml",
        ] {
            let path = format!("examples/plan/rendered/{name}/{file}");
            if fs::exists(&path).unwrap() {
                args.push(path);
            }
        }
        let run = apportion(&args.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(run.stdout.starts_with("nothing found in"), "{name}: {}", run.shown());
    }
}

/// The chart installs a scheduler with the same configuration. This test keeps their resource lists
/// equal.
#[test]
fn the_scheduler_configuration_matches_the_chart() {
    let installed = fs::read_to_string("deploy/manifests/install.yaml").unwrap();
    let charts = serde_saphyr::from_multiple::<Value>(&installed)
        .unwrap()
        .into_iter()
        .filter_map(|object| object["data"]["config.yaml"].as_str().map(str::to_owned))
        .find(|text| text.contains("KubeSchedulerConfiguration"))
        .unwrap();
    let rendered = fs::read_to_string("examples/plan/rendered/fleet/kube-scheduler-config.yaml").unwrap();
    let read = |text: &str| -> Value { serde_saphyr::from_str(text).unwrap() };
    assert_eq!(read(&rendered), read(&charts));
}

#[test]
fn one_file_or_all_files_are_printed() {
    let plan = "examples/plan/fleet.yaml";
    let alone = apportion(&["render", "-f", plan, "--only", "gpu-operator-values.yaml"]);
    let file = fs::read_to_string("examples/plan/rendered/fleet/gpu-operator-values.yaml").unwrap();
    assert_eq!((alone.status, alone.stdout), (0, file));
    let none = apportion(&["render", "-f", plan, "--only", "x.yaml"]);
    assert_eq!((none.status, none.stdout.as_str()), (2, ""));
    assert!(
        none.stderr.contains("it renders device-plugin-configmap.yaml, "),
        "{}",
        none.stderr
    );
    let all = apportion(&["render", "-f", plan]);
    let documents = serde_saphyr::from_multiple::<Value>(&all.stdout).unwrap();
    let kinds: BTreeSet<&str> = documents.iter().filter_map(|d| d["kind"].as_str()).collect();
    assert_eq!(
        kinds,
        BTreeSet::from(["ConfigMap", "KubeSchedulerConfiguration", "NodeFeature"])
    );
    assert!(
        all.stdout.contains("\n# kubectl label nodes a100-0 a100-1 "),
        "{}",
        all.stdout
    );
}

#[test]
fn files_are_written_and_checked_and_stale_ones_named() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out").display().to_string();
    let render = |plan: &str, more: &[&str]| {
        let plan = format!("examples/plan/{plan}.yaml");
        apportion(&[&["render", "-f", &plan, "--out", &out], more].concat())
    };
    assert_eq!(render("mig", &["--check"]).status, 1);
    assert_eq!(render("mig", &[]).status, 0);
    assert_eq!(render("mig", &["--check"]).status, 0);
    fs::write(format!("{out}/gpu-operator-values.yaml"), "mig: {strategy: mixed}\n").unwrap();
    let changed = render("mig", &["--check"]);
    assert!(
        changed.status == 1 && changed.stdout.contains("\n-mig: {strategy: mixed}\n"),
        "{}",
        changed.shown()
    );
    let left = render("mps", &[]);
    assert!(
        left.status == 1 && left.stdout.contains("mig-parted-configmap.yaml is from another plan"),
        "{}",
        left.shown()
    );
}

#[test]
fn policies_without_pools_and_pools_without_policies_are_named() {
    let run = apportion(&[
        "render",
        "-f",
        "examples/plan/mps.yaml",
        "--policies",
        "policies",
        "--only",
        "node-labels.sh",
    ]);
    insta::assert_snapshot!(
        Run {
            stdout: String::new(),
            ..run
        }
        .shown()
    );
}

/// A plan with one pool.
fn refused(spec: &str) -> String {
    let text =
        format!("apiVersion: apportion.dev/v1alpha1\nkind: GpuSharingPlan\nmetadata: {{name: p}}\nspec:\n{spec}\n");
    let run = apportion_reading(&text, &["render", "-f", "-"]);
    assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{spec}: {}", run.shown());
    assert!(run.stderr.ends_with("nothing was rendered\n"), "{}", run.stderr);
    run.stderr
}

#[test]
fn impossible_plans_are_refused_with_place_and_fix() {
    let pool = |pool: &str| format!("  pools:\n  - {{name: a, nodes: [n], {pool}}}");
    let mut wrong = Vec::new();
    for (spec, place, words) in [
        (
            format!("  operator: {{migStrategy: mixed}}\n{}", pool("strategy: mps, replicas: 4")),
            "-:5:27",
            "\"using --mig-strategy=mixed is not supported with MPS\"; remove it, so that each pool uses its own",
        ),
        (
            format!(
                "  operator: {{migStrategy: single}}\n{}",
                pool("product: A30, strategy: mig, mig: {geometry: {1g.6gb: 4}}")
            ),
            "-:5:27",
            "which overrides the mixed that pool `a` needs; remove it, so that each pool uses its own",
        ),
        (
            pool("strategy: mps, replicas: 4, mig: {strategy: mixed}"),
            "-:6:60",
            "does not start with MPS if a GPU is partitioned or the MIG strategy is mixed; remove mig",
        ),
        (pool("strategy: mps, replicas: 1"), "-:6:52", "the device plugin requires at least 2; write 2 or more"),
        (pool("strategy: time-slicing, replicas: 0"), "-:6:61", "0 is too few: the device plugin requires at least 2"),
        (pool("strategy: time-slicing, replicas: -4"), "-:6:61", "-4 is too few: the device plugin requires at least 2"),
        (pool("strategy: mps, replicas: 49"), "-:6:52", "at most 48 shares of any GPU"),
        (
            pool("product: V100, strategy: mps, replicas: 17"),
            "-:6:67",
            "at most 16 shares of a V100 and exits if there are more; write replicas: 16",
        ),
        (pool("product: T4, strategy: mps, replicas: 49"), "-:6:65", "at most 48 shares of a T4"),
        (pool("strategy: mps"), "-:6:37", "mps requires replicas, the number of shares of each GPU; write it"),
        (pool("strategy: exclusive, replicas: 2"), "-:6:58", "exclusive does not share GPUs; remove it"),
        (
            pool("product: A100-80GB, strategy: mig, mig: {geometry: {3g.40gb: 2, 1g.10gb: 1}}"),
            "-:6:78",
            "these do not fit on A100-80GB: together they need 9 memory slots, but the GPU has 8: 1 x 1g.10gb take 1, 2 x 3g.40gb take 4 each; remove a device",
        ),
        (
            pool("product: A100-80GB, strategy: mig, mig: {geometry: {1g.10gb: 8}}"),
            "-:6:78",
            "8 x 1g.10gb (ID 19): at most 7 fit on one GPU; write 1g.10gb: 7",
        ),
        (
            pool("product: A100, strategy: mig, mig: {geometry: {1g.10gb: 7}}"),
            "-:6:73",
            "A100 can mean a product that cannot hold this: these do not fit on A100-40GB: 7 x 1g.10gb (ID 15): at most 4 fit on one GPU; write 1g.10gb: 4; or write product: A100-80GB if that is what you have",
        ),
        (
            pool("strategy: mig, mig: {geometry: {1g.10gb: 7}}"),
            "-:6:47",
            "set the pool's product",
        ),
        (
            pool("product: T4, strategy: mig, mig: {geometry: {1g.10gb: 7}}"),
            "-:6:71",
            "T4 does not support MIG; write strategy: mps or time-slicing",
        ),
        (
            pool("product: A30, strategy: mig, mig: {strategy: single, geometry: {1g.6gb: 2, 2g.12gb: 1}}"),
            "-:6:61",
            "all devices of a node must have the same profile",
        ),
        (
            pool("product: A30, strategy: mig, mig: {gpus: [{indices: [0], geometry: {1g.6gb: 4}}, {indices: [0], geometry: {}}]}"),
            "-:6:118",
            "GPU 0 already has a geometry; list each GPU once",
        ),
        (pool("product: A30, strategy: mig"), "-:6:51", "strategy mig requires a geometry; write it"),
        (
            format!("  devicePlugin: {{configMap: {{namespace: kube-system}}}}\n{}", pool("strategy: exclusive")),
            "-:5:41",
            "the operator's pods in gpu-operator would hang in ContainerCreating; write gpu-operator",
        ),
        (
            "  pools: [{name: a, strategy: time-slicing, replicas: 4}]".to_owned(),
            "-:5:18",
            "no node gets this configuration, because the pool has no nodes and is not the default",
        ),
        (
            format!("  devicePlugin: {{default: b}}\n{}", pool("strategy: exclusive")),
            "-:5:27",
            "no pool is named `b`",
        ),
        (
            "  devicePlugin: {default: a}\n  pools: [{name: a, product: A30, strategy: mig, mig: {geometry: {1g.6gb: 4}}}]".to_owned(),
            "-:6:18",
            "the MIG manager reads a label of the node",
        ),
        (
            format!("{}\n  - {{name: b, nodes: [n], strategy: exclusive}}", pool("strategy: exclusive")),
            "-:7:23",
            "`n` is already in pool `a`",
        ),
        (
            format!("{}\n  - {{name: a, nodes: [m], strategy: exclusive}}", pool("strategy: exclusive")),
            "-:7:12",
            "already the name of spec.pools[0]",
        ),
        ("  pools: [{name: unshared, nodes: [n], strategy: exclusive}]".to_owned(), "-:5:18", "choose another name"),
        ("  pools: [{name: A_, nodes: [n], strategy: exclusive}]".to_owned(), "-:5:18", "`A_` is not a valid name; use at most 63"),
        (
            format!("  devicePlugin: {{configMap: {{name: gpu.shares}}}}\n{}", pool("strategy: exclusive")),
            "-:5:36",
            "the operator names a volume after it, and a volume name has at most 63 characters, no dots",
        ),
        (
            "  pools: [{name: a, nodes: [n_1], strategy: exclusive}]".to_owned(),
            "-:5:29",
            "is not a valid node name; write it as kubectl get nodes shows it",
        ),
        ("  pools: []".to_owned(), "-:5:10", "list at least one"),
        (
            "  pools: [{name: a, nodeSelector: {}, strategy: exclusive}]".to_owned(),
            "-:5:35",
            "an empty selector matches every node, including nodes without GPUs",
        ),
        (pool("strategy: exclusive, memoryLimit: 8Gi"), "-:6:48", "unknown field `memoryLimit`"),
        (pool("strategy: slices"), "-:6:37", "use exclusive, mig, mps or time-slicing"),
        (
            format!("  devicePlugin: {{deviceListStrategy: 'envvar,cdi'}}\n{}", pool("strategy: exclusive")),
            "-:5:38",
            "`cdi` is not known; use envvar or",
        ),
    ] {
        let told = refused(&spec);
        let whole = told.starts_with(&format!("{place}: error: ")) && told.contains(words);
        if !whole || !told.contains("\n1 error in the plan\n") {
            wrong.push(format!("{place} {words}\n{spec}\n{told}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn doubtful_plans_are_rendered_with_a_warning() {
    let plan = |pool: &str| {
        format!(
            "apiVersion: apportion.dev/v1alpha1\nkind: GpuSharingPlan\nmetadata: {{name: p}}\nspec:\n  pools:\n  - {{name: a, {pool}}}\n"
        )
    };
    for (text, words) in [
        (
            plan("nodes: [n], strategy: mps, replicas: 17"),
            "17 is too many for V100 and older GPUs: their MPS daemon exits at more than 16 shares; set the pool's product",
        ),
        (
            plan("nodeSelector: {matchLabels: {nvidia.com/gpu.product: Tesla-T4}}, strategy: mps, replicas: 4"),
            "GPU feature discovery can change nvidia.com/gpu.product when GPUs are shared or partitioned",
        ),
        (
            plan("nodes: [n], product: R200, strategy: mig, mig: {geometry: {1g.99gb: 7}}"),
            "R200 is not a known product, so it is not checked whether this fits",
        ),
    ] {
        let run = apportion_reading(&text, &["render", "-f", "-"]);
        assert!(
            run.status == 1 && run.stderr.contains(words) && run.stdout.contains("kind: ConfigMap"),
            "{text}\n{}",
            run.shown()
        );
    }
}
