//! `apportion explain` on the example cluster.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;

use serde_json::Value;

use crate::command::{CLUSTER, Run, apportion, apportion_reading};

fn explain(file: &str, more: &[&str]) -> Run {
    apportion(&[&["explain", "--cluster", CLUSTER, "-f", file], more].concat())
}

fn explain_text(stdin: &str, more: &[&str]) -> Run {
    apportion_reading(stdin, &[&["explain", "--cluster", CLUSTER, "-f", "-"], more].concat())
}

fn reports(run: &Run) -> Vec<Value> {
    assert!(run.stderr.is_empty(), "{}", run.stderr);
    serde_json::from_str(&run.stdout).unwrap()
}

#[test]
fn a_notebook_gets_one_time_slice() {
    insta::assert_snapshot!(explain("examples/pods/notebook-four-gpus.yaml", &[]).shown());
}

#[test]
fn a_tenant_on_t4_is_denied() {
    insta::assert_snapshot!(explain("examples/pods/tenant-pinned-t4.yaml", &[]).shown());
}

#[test]
fn a_deployment_is_explained_by_its_template() {
    insta::assert_snapshot!(explain("examples/pods/inference-deployment.yaml", &[]).shown());
}

#[test]
fn a_cron_job_is_explained_by_its_template() {
    insta::assert_snapshot!(explain("examples/pods/development-cronjob.yaml", &[]).shown());
}

#[test]
fn an_ungoverned_pod_is_unchanged() {
    insta::assert_snapshot!(explain("examples/pods/ungoverned-legacy.yaml", &[]).shown());
}

#[test]
fn unknown_fields_are_kept() {
    insta::assert_snapshot!(explain("examples/pods/tenant-sidecar.yaml", &[]).shown());
}

#[test]
fn every_reason_against_a_node_is_listed() {
    insta::assert_snapshot!(explain("examples/pods/training-eight-gpus.yaml", &[]).shown());
}

#[test]
fn json_output_matches_its_snapshots() {
    for (name, file) in [
        ("json_of_a_rewritten_pod", "examples/pods/inference-pinned-t4.yaml"),
        ("json_of_a_denied_pod", "examples/pods/tenant-two-profiles.yaml"),
    ] {
        let run = explain(file, &["--output", "json"]);
        let admitted = reports(&run)[0]["outcome"]["admitted"].as_bool().unwrap();
        assert_eq!(run.status, i32::from(!admitted), "{file}");
        insta::assert_snapshot!(name, run.stdout);
    }
}

/// The keys of our own structures. Keys of maps by resource name and keys in patches are not ours.
fn keys(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                into.push(key.clone());
                if !["before", "after", "effective", "value"].contains(&key.as_str()) {
                    keys(member, into);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, into)),
        _ => {}
    }
}

#[test]
fn every_json_key_is_documented() {
    let documented = fs::read_to_string("docs/output-json.md").unwrap();
    let mut found = Vec::new();
    for file in [
        "examples/pods/training-eight-gpus.yaml",
        "examples/pods/tenant-two-profiles.yaml",
    ] {
        for report in reports(&explain(file, &["--output", "json"])) {
            keys(&report, &mut found);
        }
    }
    let lint = apportion(&["lint", "--cluster", CLUSTER, "--output", "json"]).stdout;
    keys(&serde_json::from_str(&lint).unwrap(), &mut found);
    for key in found {
        let words = [
            format!("`{key}`"),
            format!(".{key}`"),
            format!(".{key}[]`"),
            format!("`{key}."),
        ];
        assert!(
            words.iter().any(|word| documented.contains(word)) || documented.contains(&format!("`{key}[]`")),
            "docs/output-json.md does not name `{key}`"
        );
    }
}

#[test]
fn every_example_fits_in_100_columns() {
    for entry in fs::read_dir("examples/pods").unwrap() {
        let file = entry.unwrap().path().display().to_string();
        let run = explain(&file, &[]);
        assert!(run.status < 2 && run.stderr.is_empty(), "{file}: {}", run.stderr);
        for line in run.stdout.lines() {
            assert!(line.chars().count() <= 100 && !line.ends_with(' '), "{file}: {line:?}");
        }
    }
}

#[test]
fn several_files_documents_and_lists_give_one_report() {
    let two = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n---\napiVersion: v1\nkind: List\nitems:\n- kind: Pod\n  metadata: {name: a, namespace: playground}\n  spec: {containers: [{name: c, resources: {limits: {nvidia.com/gpu: 1}}}]}\n- kind: Pod\n  metadata: {name: b, namespace: kube-system}\n  spec: {containers: [{name: c, resources: {limits: {nvidia.com/gpu: 1}}}]}\n";
    let run = explain_text(two, &["-f", "examples/pods/ungoverned-legacy.yaml", "--output", "json"]);
    let names: Vec<Value> = serde_json::from_str::<Vec<Value>>(&run.stdout)
        .unwrap()
        .iter()
        .map(|report| report["pod"].clone())
        .collect();
    assert_eq!(names, ["a", "b", "transcode-once"]);
    assert_eq!(
        run.stderr,
        "apportion: standard input: Service web contains no pod, and no pod template at spec.template; skipped\n"
    );
    assert_eq!(run.status, 0);
    let text = explain_text(two, &[]);
    assert_eq!(
        text.stdout.matches("\nFrom         standard input\n").count(),
        2,
        "{}",
        text.stdout
    );
}

#[test]
fn the_namespace_flag_applies_to_objects_without_a_namespace() {
    let pod =
        "kind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, resources: {limits: {nvidia.com/gpu: 2}}}]}\n";
    let governed = |more: &[&str]| {
        let report = reports(&explain_text(pod, &[&["--output", "json"], more].concat())).remove(0);
        (report["namespace"].clone(), report["governance"]["policy"].clone())
    };
    assert_eq!(governed(&["-n", "acme"]), ("acme".into(), "multi-tenant".into()));
    assert_eq!(governed(&[]), ("default".into(), Value::Null));
}

#[test]
fn explaining_the_patched_pod_shows_no_change() {
    let file = "examples/pods/notebook-four-gpus.yaml";
    let report = reports(&explain(file, &["--output", "json"])).remove(0);
    let mut pod: Value = serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    // The API server sets requests from limits before it calls the webhook.
    let limits = pod["spec"]["containers"][0]["resources"]["limits"].clone();
    pod["spec"]["containers"][0]["resources"]["requests"] = limits;
    let patch: json_patch::Patch = serde_json::from_value(report["patch"].clone()).unwrap();
    json_patch::patch(&mut pod, &patch).unwrap();
    let again = reports(&explain_text(&pod.to_string(), &["--output", "json"])).remove(0);
    assert_eq!(again["outcome"]["result"], "unchanged", "{again:#}");
    assert_eq!(again["patch"], Value::Array(vec![]));
    assert_eq!(again["nodes"], report["nodes"]);
}

#[test]
fn modes_warn_and_audit_show_what_enforcement_would_do() {
    let directory = tempfile::tempdir().unwrap();
    let policies = directory.path().display().to_string();
    for (mode, file, result) in [
        ("Warn", "examples/pods/notebook-four-gpus.yaml", "would_rewrite"),
        ("Audit", "examples/pods/notebook-four-gpus.yaml", "would_rewrite"),
        ("Warn", "examples/pods/tenant-pinned-t4.yaml", "would_deny"),
    ] {
        let text = ["development", "multi-tenant"]
            .map(|name| {
                fs::read_to_string(format!("policies/{name}.yaml"))
                    .unwrap()
                    .replace("spec:\n", &format!("spec:\n  mode: {mode}\n"))
            })
            .join("---\n");
        fs::write(directory.path().join("all.yaml"), text).unwrap();
        let more = ["--policies", &policies];
        let report = reports(&explain(file, &[&more[..], &["--output", "json"]].concat())).remove(0);
        assert_eq!(report["outcome"]["result"], result, "{mode} {file}");
        assert_eq!(report["patch"].as_array().unwrap().is_empty(), result == "would_deny");
        let run = explain(file, &more);
        assert_eq!(run.status, 0, "{mode} {file}");
        assert!(
            run.stdout.contains(&format!("in mode {mode}: the pod is not changed")),
            "{}",
            run.stdout
        );
        if mode == "Warn" {
            insta::assert_snapshot!(format!("mode_warn_{result}"), run.shown());
        }
    }
}

#[test]
fn a_pod_that_fits_no_node_is_a_finding() {
    let pod = "kind: Pod\nmetadata: {name: p, namespace: vision-train}\nspec: {containers: [{name: c, resources: {limits: {nvidia.com/gpu: 9}}}]}\n";
    let run = explain_text(pod, &[]);
    assert_eq!(run.status, 1);
    assert!(
        run.stdout.contains("none can run it, even if no other pod ran"),
        "{}",
        run.stdout
    );
}

#[test]
fn gpu_bypasses_are_shown() {
    let pod = "kind: Pod\nmetadata: {name: p, namespace: acme}\nspec:\n  hostIPC: true\n  initContainers: [{name: warm}]\n  containers: [{name: c, envFrom: [{configMapRef: {name: s}}], resources: {limits: {nvidia.com/gpu: 1}}}]\n";
    let run = explain_text(pod, &["--output", "json"]);
    assert_eq!(run.status, 1);
    let report = &reports(&run)[0];
    let shut = report["isolation"]["shut"].as_array().unwrap();
    let fields: Vec<&str> = shut.iter().map(|shut| shut["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["spec.hostIPC", "spec.containers[0].envFrom[0]"]);
    assert_eq!(report["outcome"]["result"], "denied");
    assert_eq!(report["isolation"]["hidden"], serde_json::json!(["warm"]));
    assert!(report["outcome"]["strategy"].is_null() && report["demand"]["containers"][0]["after"].is_null());
    let text = explain_text(pod, &[]).stdout;
    assert!(
        text.contains("Outcome      denied\n") && text.contains("give it a prefix"),
        "{text}"
    );

    let none = "kind: Pod\nmetadata: {name: p, namespace: acme}\nspec: {containers: [{name: c}]}\n";
    let run = explain_text(none, &[]);
    assert_eq!(run.status, 0);
    assert!(run.stdout.contains("c: cannot see the node's GPUs"), "{}", run.stdout);
}

#[test]
fn an_invalid_count_is_named() {
    let pod =
        "kind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, resources: {limits: {nvidia.com/gpu: 0.5}}}]}\n";
    let run = explain_text(pod, &["-n", "acme"]);
    assert_eq!(run.status, 1);
    insta::assert_snapshot!(run.shown());
    assert_eq!(
        explain_text(pod, &["-n", "legacy"]).status,
        0,
        "the pod is not governed"
    );
}

/// The decision says whether shares are free; the list of nodes says where the patched pod fits.
#[test]
fn the_decision_agrees_with_the_nodes_that_fit() {
    for entry in fs::read_dir("examples/pods").unwrap() {
        let file = entry.unwrap().path().display().to_string();
        for report in reports(&explain(&file, &["--output", "json"])) {
            let ways = report["considered"].as_array().unwrap();
            let Some(taken) = ways.iter().find(|way| way["taken"] == true) else {
                continue;
            };
            let count = |list: &str| report["nodes"][list].as_array().unwrap().len();
            let agree = match taken["verdict"].as_str().unwrap() {
                "free" => count("fitting") > 0,
                "busy" => count("fitting") + count("full") > 0,
                "absent" => count("fitting") + count("full") == 0,
                _ => true,
            };
            assert!(agree, "{file}: {report:#}");
        }
    }
}

#[test]
fn missing_namespaces_and_policies_are_reported() {
    let pod =
        "kind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, resources: {limits: {nvidia.com/gpu: 1}}}]}\n";
    let run = explain_text(pod, &["-n", "playgruond"]);
    assert_eq!(run.status, 1);
    assert!(
        run.stdout
            .contains("the cluster has no namespace playgruond; did you mean playground?"),
        "{}",
        run.stdout
    );

    let directory = tempfile::tempdir().unwrap();
    fs::copy("policies/training.yaml", directory.path().join("training.yaml")).unwrap();
    let run = explain_text(
        pod,
        &["-n", "acme", "--policies", &directory.path().display().to_string()],
    );
    assert_eq!(run.status, 1);
    assert!(
        run.stdout
            .contains("apportion.dev/policy=multi-tenant, which names no policy"),
        "{}",
        run.stdout
    );
}

#[test]
fn color_depends_on_terminal_and_environment() {
    let file = "examples/pods/notebook-four-gpus.yaml";
    let plain = explain(file, &[]).stdout;
    assert!(!plain.contains('\x1b'));
    assert_eq!(explain(file, &["--color", "never"]).stdout, plain);
    let coloured = explain(file, &["--color", "always"]).stdout;
    assert!(
        coloured.contains("\x1b[31m-        nvidia.com/gpu: \"4\"\x1b[0m"),
        "{coloured}"
    );
    assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), plain);
}

#[test]
fn invalid_input_is_reported_with_a_fix() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let pod = "examples/pods/notebook-four-gpus.yaml";
    let broken = write("broken.yaml", "kind: Pod\nmetadata: {name: p\n");
    let kindless = write("kindless.yaml", "metadata: {name: p}\n");
    let service = write("service.yaml", "kind: Service\nmetadata: {name: web}\n");
    let empty = write("empty.yaml", "# nothing\n");
    let odd = write("odd.yaml", "kind: Pod\nmetadata: {name: p}\nspec: {containers: 7}\n");
    let policy = write(
        "wrong-policy.yaml",
        "apiVersion: apportion.dev/v1alpha1\nkind: GpuSharingPolicy\nmetadata: {name: p}\nspec: {strategies: [{strategy: mpss}]}\n",
    );
    let wrong_policies = directory.path().join("policies");
    fs::create_dir(&wrong_policies).unwrap();
    fs::rename(&policy, wrong_policies.join("wrong.yaml")).unwrap();
    let wrong_policies = wrong_policies.display().to_string();
    let cases: Vec<(&str, Vec<&str>)> = vec![
        ("no cluster", vec!["-f", pod]),
        ("no such file", vec!["-f", "absent.yaml", "--cluster", CLUSTER]),
        ("not YAML", vec!["-f", &broken, "--cluster", CLUSTER]),
        ("no kind", vec!["-f", &kindless, "--cluster", CLUSTER]),
        ("another namespace", vec!["-f", pod, "-n", "acme", "--cluster", CLUSTER]),
        ("a kind without a pod", vec!["-f", &service, "--cluster", CLUSTER]),
        ("no object", vec!["-f", &empty, "--cluster", CLUSTER]),
        ("an unreadable pod", vec!["-f", &odd, "--cluster", CLUSTER]),
        ("no cluster file", vec!["-f", pod, "--cluster", pod]),
        ("no such cluster file", vec!["-f", pod, "--cluster", "absent.json"]),
        (
            "wrong policies",
            vec!["-f", pod, "--cluster", CLUSTER, "--policies", &wrong_policies],
        ),
        (
            "no policies",
            vec!["-f", pod, "--cluster", CLUSTER, "--policies", "examples/cluster/absent"],
        ),
    ];
    let shown: Vec<String> = cases
        .into_iter()
        .map(|(case, args)| {
            let run = apportion(&[&["explain"], &args[..]].concat());
            assert_eq!((run.status, run.stdout.as_str()), (2, ""), "{case}");
            let stderr = run.stderr.replace(&directory.path().display().to_string(), "DIR");
            format!("{case}\n{stderr}\n")
        })
        .collect();
    insta::assert_snapshot!(shown.concat());
}
