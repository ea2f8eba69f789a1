//! `apportion lint` on configuration files of NVIDIA's components.

use std::fs;

use crate::command::{CLUSTER, Run, apportion};

/// A `ConfigMap` for MPS with common mistakes, as in a widely read article.
const ARTICLE: &str = "\
apiVersion: v1
kind: ConfigMap
metadata:
  name: nvidia-device-plugin
  namespace: kube-system
data:
  config.yaml: |
    version: v1
    sharing:
      mps:
        resources:
        - name: nvidia.com/gpu
          replicas: 4
          memoryLimit: 8Gi
";

/// Lints one file. The output omits its directory.
fn lint(text: &str, more: &[&str]) -> Run {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("f.yaml").display().to_string();
    fs::write(&path, text).unwrap();
    let mut run = apportion(&[&["lint", &path], more].concat());
    run.stdout = run.stdout.replace(&path, "f.yaml");
    run.stderr = run.stderr.replace(&path, "f.yaml");
    run
}

const NAME: &str = "devicePlugin.config.name=nvidia-device-plugin";

/// One row for each mistake of the article in a file or setting. `mig check` covers the one in an
/// nvidia-smi command.
#[test]
fn each_mistake_is_reported_with_the_right_fix() {
    for (mistake, settings, start, correction) in [
        (
            "memoryLimit is not a field",
            vec![],
            "f.yaml:14:11: warning: data[config.yaml] sharing.mps.resources[0].memoryLimit: ",
            "a process gets at most the GPU's memory divided by replicas; remove it, and choose replicas",
        ),
        (
            "mixed and MPS",
            vec!["driver.enabled=true", "mig.strategy=mixed"],
            "--set mig.strategy=mixed: error: mig.strategy: ",
            "set mig.strategy=\"\", and flags.migStrategy in each configuration",
        ),
        (
            "a name without a default",
            vec![NAME],
            "--set devicePlugin.config.name=nvidia-device-plugin: warning: devicePlugin.config.name: ",
            "shares nothing; set devicePlugin.config.default=config.yaml, or label each node nvidia.com/device-plugin.config=config.yaml",
        ),
        (
            "a ConfigMap in another namespace",
            vec![NAME],
            "f.yaml:5:14: error: metadata.namespace: ",
            "hang in ContainerCreating; write namespace: gpu-operator",
        ),
        (
            "a key that no node selects",
            vec![],
            "f.yaml:7:3: warning: data[config.yaml]: ",
            "set devicePlugin.config.default=config.yaml, or label nodes nvidia.com/device-plugin.config=config.yaml",
        ),
    ] {
        let args: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
        let run = lint(ARTICLE, &args);
        assert!(
            run.stdout
                .lines()
                .any(|line| line.starts_with(start) && line.contains(correction)),
            "{mistake}\n{}",
            run.shown()
        );
    }
}

#[test]
fn all_mistakes_in_one_run() {
    let settings = [
        "--set",
        "driver.enabled=true",
        "--set",
        "mig.strategy=mixed",
        "--set",
        NAME,
    ];
    insta::assert_snapshot!(lint(ARTICLE, &settings).shown());
}

/// The article's command in a script.
#[test]
fn helm_commands_in_scripts_are_checked() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    fs::write(path("f.yaml"), ARTICLE).unwrap();
    let script = "helm install gpu-operator nvidia/gpu-operator \\\n  --namespace gpu-operator --create-namespace \\\n  --set driver.enabled=true \\\n  --set mig.strategy=mixed \\\n  --set devicePlugin.config.name=nvidia-device-plugin\n";
    fs::write(path("install.sh"), script).unwrap();
    let run = apportion(&["lint", &path("install.sh"), &path("f.yaml")]);
    let shown = run.stdout.replace(&format!("{}/", directory.path().display()), "");
    for start in [
        "install.sh:4:9: error: mig.strategy: ",
        "install.sh:5:9: warning: devicePlugin.config.name: no default",
        "f.yaml:5:14: error: metadata.namespace: ",
        "f.yaml:14:11: warning: data[config.yaml] sharing.mps.resources[0].memoryLimit: ",
    ] {
        assert!(shown.lines().any(|line| line.starts_with(start)), "{start}\n{shown}");
    }
    assert_eq!(run.status, 2);
}

#[test]
fn corrected_files_have_no_findings() {
    let corrected = ARTICLE
        .replace("kube-system", "gpu-operator")
        .replace("          memoryLimit: 8Gi\n", "")
        .replace("    sharing:", "    flags: {migStrategy: none}\n    sharing:");
    let settings = [
        "--set",
        "driver.enabled=true,mig.strategy=",
        "--set",
        NAME,
        "--set",
        "devicePlugin.config.default=config.yaml",
    ];
    let run = lint(&corrected, &settings);
    assert_eq!(
        (run.status, run.stdout.as_str()),
        (0, "nothing found in 1 file\n"),
        "{}",
        run.shown()
    );
}

#[test]
fn operator_values_are_checked_alone_and_together_with_files() {
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: shares}\ndata:\n  t4: |\n    flags: {migStrategy: none, failOnInitError: false}\n    sharing: {mps: {resources: [{name: nvidia.com/gpu, replicas: 4}]}}\n---\n";
    for (text, start, words) in [
        ("mig: {strategy: mixd}\n".to_owned(), "f.yaml:1:17: error: mig.strategy", "write none, single or mixed"),
        ("mig: {stratgy: mixed}\n".to_owned(), "f.yaml:1:7: warning: mig.stratgy", "did you mean strategy?"),
        (
            "mig: {}\nmigmanager: {}\n".to_owned(),
            "f.yaml:2:1: warning: migmanager",
            "helm silently ignores this unknown value; did you mean migManager?",
        ),
        (
            "devicePlugin: {mps: {root: /mps}}\n".to_owned(),
            "f.yaml:1:28: warning: devicePlugin.mps.root",
            "the chart ignores this, so the root stays",
        ),
        (
            "devicePlugin: {config: {default: a}}\n".to_owned(),
            "f.yaml:1:34: warning: devicePlugin.config.default",
            "has no effect without devicePlugin.config.name",
        ),
        (
            "devicePlugin: {config: {create: true, name: a}}\n".to_owned(),
            "f.yaml:1:33: error: devicePlugin.config.create",
            "the chart requires devicePlugin.config.data with create: true",
        ),
        (
            "devicePlugin: {config: {name: a, default: b, data: {b: 'version: v1'}}}\n".to_owned(),
            "f.yaml:1:52: warning: devicePlugin.config.data",
            "the chart creates a ConfigMap from it only with devicePlugin.config.create: true",
        ),
        (
            format!("{map}devicePlugin: {{config: {{name: share, default: t4}}}}\n"),
            "f.yaml:9:31: warning: devicePlugin.config.name",
            "did you mean shares?",
        ),
        (
            format!("{map}devicePlugin: {{config: {{name: shares, default: t44}}}}\n"),
            "f.yaml:9:48: error: devicePlugin.config.default",
            "the ConfigMap has no key `t44`",
        ),
        (
            "kind: ConfigMap\nmetadata: {name: shares}\ndata:\n  a100: |\n    version: v1\n    # all of it\n    flags: {migStrategy: mixed}\n---\ndevicePlugin: {config: {name: shares, default: a100}}\n".to_owned(),
            "f.yaml:7:26: warning: data[a100] flags.migStrategy",
            "has no effect: mig.strategy single, the chart's default,",
        ),
        (
            format!("{map}mig: {{strategy: ''}}\n"),
            "f.yaml:6:49: warning: data[t4] flags.failOnInitError",
            "the operator, which sets FAIL_ON_INIT_ERROR on every node",
        ),
        (
            "devicePlugin: {config: {name: shares.v1, default: a}}\n".to_owned(),
            "f.yaml:1:31: error: devicePlugin.config.name",
            "the operator names a volume `shares.v1`, and a volume name has at most 63 characters, no dots",
        ),
        (
            "kind: ConfigMap\nmetadata: {name: m}\ndata:\n  configs: |\n    version: v1\n    mig-configs: {a: [{devices: all, mig-enabled: false}]}\n---\nmigManager: {config: {name: m, default: a}}\n".to_owned(),
            "f.yaml:4:3: error: data[configs]",
            "reads only the key config.yaml; rename this key to config.yaml",
        ),
        (
            "kind: ConfigMap\nmetadata: {name: m}\ndata:\n  config.yaml: |\n    version: v1\n    mig-configs: {a: [{devices: all, mig-enabled: false}]}\n---\nmigManager: {config: {name: m}}\n".to_owned(),
            "f.yaml:4:3: error: migManager.config.default",
            "nodes without a label get `all-disabled`, which mig-configs (f.yaml:4:3) does not have",
        ),
    ] {
        let run = lint(&text, &[]);
        assert!(
            run.status > 0 && run.stdout.lines().any(|line| line.starts_with(start) && line.contains(words)),
            "{text}\n{}",
            run.shown()
        );
    }
    // A ClusterPolicy does not have the defaults of the chart.
    let policy = format!(
        "{map}kind: ClusterPolicy\nspec: {{devicePlugin: {{config: {{name: shares, default: t4}}, mps: {{root: /mps}}}}}}\n"
    );
    let run = lint(&policy.replace(", failOnInitError: false", ""), &[]);
    assert_eq!((run.status, run.stdout.as_str()), (0, "nothing found in 1 file\n"));
}

#[test]
fn files_are_compared_with_a_cluster() {
    let plan = "examples/plan/rendered/fleet";
    let files = [
        "device-plugin-configmap.yaml",
        "mig-parted-configmap.yaml",
        "gpu-operator-values.yaml",
    ]
    .map(|file| format!("{plan}/{file}"));
    let run = apportion(&["lint", &files[0], &files[1], &files[2], "--cluster", CLUSTER]);
    insta::assert_snapshot!(run.shown());
}

#[test]
fn no_default_is_required_if_every_node_selects_a_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = directory.path().join("c.yaml").display().to_string();
    let node = |label: &str| {
        let text = format!(
            "kind: List\nitems:\n- {{kind: Namespace, metadata: {{name: n}}}}\n- kind: Node\n  metadata: {{name: x, labels: {{nvidia.com/gpu.product: Tesla-T4{label}}}}}\n"
        );
        fs::write(&cluster, text).unwrap();
        lint("devicePlugin: {config: {name: shares}}\n", &["--cluster", &cluster])
    };
    let labelled = node(", nvidia.com/device-plugin.config: t4");
    assert_eq!(
        (labelled.status, labelled.stdout.contains("nothing found")),
        (0, true),
        "{}",
        labelled.shown()
    );
    let bare = node("");
    assert!(
        bare.status == 1 && bare.stdout.contains("no default"),
        "{}",
        bare.shown()
    );
}

#[test]
fn other_files_are_invalid_input() {
    for (text, more, words) in [
        ("a: b\n", &[][..], "contains nothing that lint checks"),
        ("a: [\n", &[], "f.yaml:1:4: error: "),
        ("mig: {}\n", &["--set", "mig"], "write KEY=VALUE as for helm --set"),
    ] {
        let run = lint(text, more);
        let told = format!("{}{}", run.stdout, run.stderr);
        assert!(run.status == 2 && told.contains(words), "{text}: {}", run.shown());
    }
}
