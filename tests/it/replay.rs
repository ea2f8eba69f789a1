//! `apportion replay`.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::command::{CLUSTER, apportion};

/// A directory with one policy for namespaces with label `team`.
fn policies(rules: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let text = format!(
        "apiVersion: apportion.dev/v1alpha1\nkind: GpuSharingPolicy\nmetadata: {{name: team}}\nspec:\n  strategies: [{rules}]\n"
    );
    fs::write(directory.path().join("team.yaml"), text).unwrap();
    directory
}

fn node(name: &str, strategy: &str, resource: &str, replicas: u64, shares: u64) -> Value {
    json!({"kind": "Node", "metadata": {"name": name, "labels": {
        "nvidia.com/gpu.product": "NVIDIA-L4", "nvidia.com/gpu.count": "2",
        "nvidia.com/gpu.replicas": replicas.to_string(), "nvidia.com/gpu.sharing-strategy": strategy, "nvidia.com/gpu.memory": "23034"}},
        "status": {"allocatable": {resource: shares.to_string()}, "conditions": [{"type": "Ready", "status": "True"}]}})
}

/// A cluster with two whole GPUs and a Deployment of three pods on time slices.
fn cluster() -> String {
    let mut items = vec![
        json!({"kind": "Namespace", "metadata": {"name": "n", "labels": {"apportion.dev/policy": "team"}}}),
        node("slices", "time-slicing", "nvidia.com/gpu.shared", 4, 8),
        node("whole", "none", "nvidia.com/gpu", 1, 2),
    ];
    for at in 0..3 {
        items.push(json!({"kind": "Pod",
            "metadata": {"name": format!("api-77-{at}"), "namespace": "n", "labels": {"pod-template-hash": "77"},
                "annotations": {"apportion.dev/decision":
                    r#"{"policy":"team","strategy":"time-slicing","before":{"c":{"nvidia.com/gpu":1}},"after":{"c":{"nvidia.com/gpu.shared":1}}}"#}},
            "spec": {"nodeName": "slices",
                "containers": [{"name": "c", "resources": {"limits": {"nvidia.com/gpu.shared": "1"}, "requests": {"nvidia.com/gpu.shared": "1"}}}],
                "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "nvidia.com/gpu.sharing-strategy", "operator": "In", "values": ["time-slicing"]}]}]}}}},
            "status": {"phase": "Running"}}));
    }
    json!({"kind": "List", "items": items}).to_string()
}

fn replay(old: Option<&Path>, new: &Path) -> (i32, Value) {
    let mut args = vec![
        "replay",
        "--cluster",
        "-",
        "--output",
        "json",
        "--policies",
        new.to_str().unwrap(),
    ];
    if let Some(old) = old {
        args.extend(["--old", old.to_str().unwrap()]);
    }
    let run = crate::command::apportion_reading(&cluster(), &args);
    assert!(run.status < 2, "{}", run.stderr);
    (run.status, serde_json::from_str(&run.stdout).unwrap())
}

const SLICES: &str = "{strategy: time-slicing}";
const WHOLE: &str = "{strategy: exclusive}";

#[test]
fn the_same_policies_change_nothing() {
    let (old, new) = (policies(SLICES), policies(SLICES));
    for old in [None, Some(old.path())] {
        let (status, report) = replay(old, new.path());
        assert_eq!(
            (status, &report["unchanged"], &report["changes"]),
            (0, &json!(3), &json!([])),
            "{report}"
        );
    }
}

#[test]
fn pods_that_no_longer_fit_are_counted_and_exit_1() {
    let (old, new) = (policies(SLICES), policies(WHOLE));
    for old in [None, Some(old.path())] {
        let (status, report) = replay(old, new.path());
        assert_eq!(status, 1);
        let changes = report["changes"].as_array().unwrap();
        assert_eq!(changes.len(), 1, "{report}");
        let change = &changes[0];
        assert_eq!(
            (&change["workload"], &change["pods"], &change["withoutPlace"]),
            (&json!("api"), &json!(3), &json!(1))
        );
        assert_eq!(
            change["from"],
            json!({"strategy": "time-slicing", "resources": {"nvidia.com/gpu.shared": 1}})
        );
        assert_eq!(
            change["to"],
            json!({"strategy": "exclusive", "resources": {"nvidia.com/gpu": 1}})
        );
        assert_eq!(change["restored"], true);
        assert_eq!(
            report["missing"],
            json!([{"strategy": "exclusive", "resource": "nvidia.com/gpu", "shares": 1, "pods": 1}])
        );
    }
}

#[test]
fn a_changed_preference_shows_only_in_comparison_with_the_old_policies() {
    let (old, new) = (policies(SLICES), policies(&format!("{WHOLE}, {SLICES}")));
    let (status, report) = replay(Some(old.path()), new.path());
    // Two get whole GPUs, and the third keeps its time slice.
    assert_eq!(
        (status, &report["changes"][0]["pods"], &report["unchanged"]),
        (0, &json!(2), &json!(1)),
        "{report}"
    );
    let (status, report) = replay(None, new.path());
    assert_eq!((status, &report["unchanged"]), (0, &json!(3)), "{report}");
}

#[test]
fn a_denial_exits_1_with_its_reason() {
    let (old, new) = (
        policies(SLICES),
        policies("{strategy: mig, profiles: [1g.10gb], products: [A100]}"),
    );
    fs::write(
        new.path().join("team.yaml"),
        fs::read_to_string(new.path().join("team.yaml"))
            .unwrap()
            .replace("name: team", "name: other"),
    )
    .unwrap();
    let (status, report) = replay(Some(old.path()), new.path());
    assert_eq!(
        (status, &report["changes"][0]["outcome"], &report["changes"][0]["to"]),
        (1, &json!("denied"), &Value::Null),
        "{report}"
    );
    assert!(
        report["changes"][0]["because"]
            .as_str()
            .unwrap()
            .contains("policy team, which does not exist")
    );
}

#[test]
fn limits_that_pods_exceed_move_them() {
    let (old, new) = (policies(SLICES), policies(SLICES));
    let text = fs::read_to_string(new.path().join("team.yaml")).unwrap();
    fs::write(
        new.path().join("team.yaml"),
        format!("{text}  limits: {{sharesPerGPU: 1}}\n"),
    )
    .unwrap();
    let (status, report) = replay(Some(old.path()), new.path());
    assert_eq!(status, 1, "{report}");
    assert_eq!(
        (&report["unchanged"], &report["changes"][0]["outcome"]),
        (&json!(2), &json!("moved")),
        "{report}"
    );
    let (_, report) = replay(None, new.path());
    assert_eq!(report["changes"][0]["withoutPlace"], 1, "{report}");
}

#[test]
fn the_text_output_has_one_line_per_change() {
    let (old, new) = (policies(SLICES), policies(WHOLE));
    let paths = [old.path().to_str().unwrap(), new.path().to_str().unwrap()];
    let run = crate::command::apportion_reading(
        &cluster(),
        &["replay", "--cluster", "-", "--old", paths[0], "--policies", paths[1]],
    );
    assert_eq!(run.status, 1, "{}", run.stderr);
    let line = "n/api (3 pods): time-slicing gpu.shared 1 -> exclusive gpu 1";
    assert!(
        run.stdout.contains(line) && run.stdout.contains("1 of them would fit on no node"),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout.contains("1 nvidia.com/gpu (exclusive) for 1 pod"),
        "{}",
        run.stdout
    );
}

#[test]
fn the_example_cluster_does_not_change_under_its_own_policies() {
    let run = apportion(&[
        "replay",
        "--policies",
        "policies",
        "--old",
        "policies",
        "--cluster",
        CLUSTER,
        "--output",
        "json",
    ]);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(run.status, 0, "{report:#}");
    assert_eq!(report["changes"], json!([]), "{report:#}");
}

#[test]
fn invalid_input_exits_2_and_findings_exit_1() {
    for args in [
        ["replay", "--policies", "/absent", "--cluster", CLUSTER],
        ["replay", "--policies", "policies", "--cluster", "/absent"],
    ] {
        let run = apportion(&args);
        assert!(run.status == 2 && run.stderr.contains("/absent"), "{}", run.stderr);
    }
}
