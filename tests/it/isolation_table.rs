//! Isolation under the shipped tenant policy: fields that bypass GPU requests are denied, ordinary
//! pods pass.

use apportion_core::admission::AdmissionOutcome;
use apportion_testing::{a100, a100_mig_mixed, set};
use serde_json::{Value, json};

use super::fixtures::{Answer, World, pod};
use super::rows::gpu;
use super::update_table::debug;

pub const TENANT: &str = "multi-tenant";

pub fn world() -> World {
    World::shipped(&[a100_mig_mixed()], &[])
}

/// A pod with a container that requests a GPU, and one that does not.
pub fn two_containers() -> Value {
    let mut pod = gpu("1");
    let log = json!({"name": "log", "image": "busybox"});
    pod["spec"]["containers"].as_array_mut().unwrap().push(log);
    pod
}

/// A change that adds a variable behind another one.
fn env(container: &str, value: &Value) -> (String, Value) {
    (
        format!("/spec/containers/{container}/env"),
        json!([{"name": "A", "value": "b"}, value]),
    )
}

pub fn visible_devices(value: &str) -> Value {
    json!({"name": "NVIDIA_VISIBLE_DEVICES", "value": value})
}

/// The field and the fix that a denial names.
pub fn field_and_fix(answer: &Answer) -> (String, String) {
    let denial = answer.denial.as_ref().unwrap_or_else(|| panic!("{answer:?}"));
    assert_eq!(
        (denial.code, denial.reason, answer.outcome),
        (403, "Forbidden", AdmissionOutcome::Denied)
    );
    let text = denial.message.strip_prefix("apportion (multi-tenant): ").unwrap();
    let (field, rest) = text.split_once(": ").unwrap();
    (field.to_owned(), rest.split_once("; ").unwrap().1.to_owned())
}

/// A field that gives a pod GPUs which it did not request.
struct Bypass {
    name: &'static str,
    /// A JSON pointer and a value, applied to [`two_containers`].
    change: (String, Value),
    /// The field that the message names.
    field: &'static str,
    /// The start of the fix that the message proposes.
    fix: &'static str,
}

#[test]
fn gpu_bypasses_are_denied_with_field_and_fix() {
    let from =
        |source: &str| json!({"name": "NVIDIA_VISIBLE_DEVICES", "valueFrom": {source: {"name": "x", "key": "k"}}});
    let at = |pointer: &str, value: Value| (pointer.to_owned(), value);
    let request = "remove it and ask for nvidia.com/gpu";
    for row in [
        Bypass {
            name: "a variable in a container with a GPU, which overrides the device plugin's",
            change: env("0", &visible_devices("all")),
            field: "spec.containers[0].env[1]",
            fix: request,
        },
        Bypass {
            name: "a variable in a container without a GPU",
            change: env("1", &visible_devices("0")),
            field: "spec.containers[1].env[1]",
            fix: request,
        },
        Bypass {
            name: "a variable that refers to another one",
            change: env("1", &visible_devices("$(A)")),
            field: "spec.containers[1].env[1]",
            fix: request,
        },
        Bypass {
            name: "a variable from a ConfigMap",
            change: env("1", &from("configMapKeyRef")),
            field: "spec.containers[1].env[1]",
            fix: request,
        },
        Bypass {
            name: "a variable from a Secret",
            change: env("0", &from("secretKeyRef")),
            field: "spec.containers[0].env[1]",
            fix: request,
        },
        Bypass {
            name: "a variable from a file in a volume",
            change: env("0", &from("fileKeyRef")),
            field: "spec.containers[0].env[1]",
            fix: request,
        },
        Bypass {
            name: "envFrom in a container with a GPU",
            change: at(
                "/spec/containers/0/envFrom",
                json!([{"configMapRef": {"name": "settings"}}]),
            ),
            field: "spec.containers[0].envFrom[0]",
            fix: "give it a prefix",
        },
        Bypass {
            name: "envFrom with a prefix that can form the variable",
            change: at(
                "/spec/containers/0/envFrom",
                json!([{"prefix": "NVIDIA_", "secretRef": {"name": "s"}}]),
            ),
            field: "spec.containers[0].envFrom[0]",
            fix: "give it another prefix",
        },
        Bypass {
            name: "CUDA_MPS_* variables",
            change: env(
                "0",
                &json!({"name": "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "value": "100"}),
            ),
            field: "spec.containers[0].env[1]",
            fix: "remove it; the device plugin sets the daemon and the limits",
        },
        Bypass {
            name: "a privileged container",
            change: at("/spec/containers/1/securityContext", json!({"privileged": true})),
            field: "spec.containers[1].securityContext.privileged",
            fix: "remove it",
        },
        Bypass {
            name: "a capability that amounts to privileged",
            change: at(
                "/spec/containers/1/securityContext",
                json!({"capabilities": {"add": ["SYS_ADMIN"]}}),
            ),
            field: "spec.containers[1].securityContext.capabilities.add[0]",
            fix: "remove it",
        },
        Bypass {
            name: "a privileged init container",
            change: at(
                "/spec/initContainers",
                json!([{"name": "i", "securityContext": {"privileged": true}}]),
            ),
            field: "spec.initContainers[0].securityContext.privileged",
            fix: "remove it",
        },
        Bypass {
            name: "hostPath to a device",
            change: at(
                "/spec/volumes",
                json!([{"name": "e", "emptyDir": {}}, {"name": "d", "hostPath": {"path": "/dev/nvidia0"}}]),
            ),
            field: "spec.volumes[1].hostPath.path",
            fix: "remove the volume",
        },
        Bypass {
            name: "hostPath to the container runtime's socket",
            change: at(
                "/spec/volumes",
                json!([{"name": "d", "hostPath": {"path": "/run/containerd/containerd.sock"}}]),
            ),
            field: "spec.volumes[0].hostPath.path",
            fix: "remove the volume",
        },
        Bypass {
            name: "hostPath to a directory with that socket",
            change: at(
                "/spec/volumes",
                json!([{"name": "d", "hostPath": {"path": "/var/run/"}}]),
            ),
            field: "spec.volumes[0].hostPath.path",
            fix: "remove the volume",
        },
        Bypass {
            name: "a mount path that the NVIDIA runtime reads as a device request",
            change: at(
                "/spec/containers/1/volumeMounts",
                json!([{"name": "n", "mountPath": "/var/run/nvidia-container-devices/all"}]),
            ),
            field: "spec.containers[1].volumeMounts[0].mountPath",
            fix: request,
        },
        Bypass {
            name: "hostIPC",
            change: at("/spec/hostIPC", json!(true)),
            field: "spec.hostIPC",
            fix: "remove it",
        },
        Bypass {
            name: "hostPID",
            change: at("/spec/hostPID", json!(true)),
            field: "spec.hostPID",
            fix: "remove it",
        },
        Bypass {
            name: "nodeName",
            change: at("/spec/nodeName", json!("a100-mixed")),
            field: "spec.nodeName",
            fix: "remove it and select nodes with",
        },
        Bypass {
            name: "an annotation that injects a CDI device",
            change: at(
                "/metadata/annotations",
                json!({"nvidia.cdi.k8s.io/pod": "nvidia.com/gpu=all"}),
            ),
            field: "metadata.annotations[nvidia.cdi.k8s.io/pod]",
            fix: request,
        },
    ] {
        let (pointer, value) = row.change;
        let (field, fix) = field_and_fix(&world().admit(TENANT, &set(two_containers(), &pointer, value)));
        assert_eq!(field, row.field, "{}", row.name);
        assert!(fix.starts_with(row.fix), "{}: {fix}", row.name);
    }
}

#[test]
fn a_denial_lists_the_first_findings_in_one_message() {
    let pod = set(
        two_containers(),
        "/spec/containers/1/env",
        json!([visible_devices("all")]),
    );
    let pod = set(pod, "/spec/hostIPC", json!(true));
    let denial = world().admit(TENANT, &pod).denial.unwrap();
    assert_eq!(
        denial.message,
        "apportion (multi-tenant): spec.hostIPC: shares memory with the node's MPS daemon and with other pods; remove it; to \
         share memory within the pod, mount an emptyDir with medium Memory at /dev/shm. Also spec.containers[1].env[0]: sets \
         NVIDIA_VISIBLE_DEVICES, which can select devices that the container was not allocated; remove it and ask for \
         nvidia.com/gpu in resources.limits; the container then sees the GPUs it gets"
    );
    // Only the first few findings are listed.
    let many: Vec<Value> = (0..9).map(|_| visible_devices("all")).collect();
    let message = world()
        .admit(TENANT, &set(two_containers(), "/spec/containers/1/env", json!(many)))
        .denial
        .unwrap()
        .message;
    assert!(message.ends_with(". Also 4 more"), "{message}");
}

#[test]
fn ordinary_pods_are_admitted_and_hide_gpus_where_none_is_requested() {
    let at = |pointer: &str, value: Value| (pointer.to_owned(), value);
    let ordinary = [
        (
            "variables, also from a field and a Secret",
            at(
                "/spec/containers/0/env",
                json!([{"name": "A", "value": "b"}, {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}, {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}, {"name": "CUDA_VISIBLE_DEVICES", "value": "0"}, {"name": "NVIDIA_DRIVER_CAPABILITIES", "value": "compute,utility"}]),
            ),
        ),
        (
            "envFrom with a prefix in a container with a GPU",
            at(
                "/spec/containers/0/envFrom",
                json!([{"prefix": "APP_", "configMapRef": {"name": "settings"}}]),
            ),
        ),
        (
            "envFrom without a GPU, because env overrides it",
            at(
                "/spec/containers/1/envFrom",
                json!([{"configMapRef": {"name": "settings"}}, {"prefix": "NVIDIA_", "secretRef": {"name": "s"}}]),
            ),
        ),
        (
            "usual volumes",
            at(
                "/spec/volumes",
                json!([{"name": "c", "configMap": {"name": "c"}}, {"name": "s", "secret": {"secretName": "s"}}, {"name": "e", "emptyDir": {"medium": "Memory"}}, {"name": "p", "persistentVolumeClaim": {"claimName": "p"}}]),
            ),
        ),
        (
            "hostPath to logs and data",
            at(
                "/spec/volumes",
                json!([{"name": "l", "hostPath": {"path": "/var/log"}}, {"name": "d", "hostPath": {"path": "/data/models"}}, {"name": "t", "hostPath": {"path": "/etc/localtime"}}, {"name": "i", "hostPath": {"path": "/dev/infiniband"}}]),
            ),
        ),
        (
            "a usual securityContext",
            at(
                "/spec/containers/0/securityContext",
                json!({"privileged": false, "runAsNonRoot": true, "capabilities": {"add": ["IPC_LOCK", "SYS_PTRACE"], "drop": ["ALL"]}}),
            ),
        ),
        ("hostNetwork", at("/spec/hostNetwork", json!(true))),
        (
            "the NVIDIA runtime class",
            at("/spec/runtimeClassName", json!("nvidia")),
        ),
        (
            "unrelated annotations",
            at(
                "/metadata/annotations",
                json!({"prometheus.io/scrape": "true", "k8s.io/cdi": "x"}),
            ),
        ),
    ];
    for (case, (pointer, value)) in ordinary {
        let sent = set(two_containers(), &pointer, value);
        let answer = world().admit(TENANT, &sent);
        assert_eq!(
            (answer.outcome, &answer.denial),
            (AdmissionOutcome::Rewritten, &None),
            "{case}"
        );
        let [main, log] = [0, 1].map(|at| &answer.pod["spec"]["containers"][at]);
        assert_eq!(
            main["env"], sent["spec"]["containers"][0]["env"],
            "{case}: a container with a GPU keeps its variables"
        );
        assert_eq!(log["env"], json!([visible_devices("void")]), "{case}");
        let again = world().admit(TENANT, &answer.pod);
        assert_eq!(
            (again.outcome, again.patched),
            (AdmissionOutcome::Unchanged, false),
            "{case}"
        );
        // No warning about GPUs that the container never requested.
        assert!(
            answer
                .warnings
                .iter()
                .all(|warning| !warning.contains("NVIDIA_VISIBLE_DEVICES")),
            "{case}"
        );
    }
}

#[test]
fn pods_without_gpus_get_a_variable_that_hides_gpus() {
    let container = |env: Value| json!({"name": "c", "image": "cuda", "env": env});
    for (case, env, expected) in [
        ("the image may set all", json!(null), json!([visible_devices("void")])),
        (
            "other variables stay",
            json!([{"name": "A", "value": "b"}]),
            json!([{"name": "A", "value": "b"}, visible_devices("void")]),
        ),
        (
            "already void",
            json!([visible_devices("void")]),
            json!([visible_devices("void")]),
        ),
        (
            "already none",
            json!([visible_devices("none")]),
            json!([visible_devices("none")]),
        ),
        (
            "already empty",
            json!([visible_devices("")]),
            json!([visible_devices("")]),
        ),
    ] {
        let sent = json!({"metadata": {"generateName": "p-"}, "spec": {"initContainers": [container(env.clone())], "containers": [container(env)]}});
        let answer = world().admit(TENANT, &sent);
        for list in ["initContainers", "containers"] {
            assert_eq!(answer.pod["spec"][list][0]["env"], expected, "{case}");
        }
        assert_eq!((answer.pending_admission, answer.strategy), (None, None), "{case}");
        assert_eq!(answer.policy.as_deref(), Some(TENANT), "{case}");
        assert!(answer.warnings.is_empty(), "{case}");
        let again = world().admit(TENANT, &answer.pod);
        assert_eq!(
            (again.outcome, again.patched),
            (AdmissionOutcome::Unchanged, false),
            "{case}"
        );
        for policy in ["training", "development", "inference"] {
            let answer = world().admit(policy, &sent);
            assert_eq!(
                (answer.outcome, answer.patched),
                (AdmissionOutcome::Ungoverned, false),
                "{policy} has no isolation"
            );
        }
    }
    // nodeName gives a pod without GPUs nothing, so it is allowed; other bypasses are not.
    assert!(
        world()
            .admit(TENANT, &set(pod(&[]), "/spec/nodeName", json!("n")))
            .denial
            .is_none()
    );
    assert!(
        world()
            .admit(TENANT, &set(pod(&[]), "/spec/hostIPC", json!(true)))
            .denial
            .is_some()
    );
    let world = World {
        policies: super::fixtures::policies([("multi-tenant", "{strategies: [{strategy: exclusive}]}")]),
        ..world()
    };
    let answer = world.admit(TENANT, &set(two_containers(), "/spec/hostIPC", json!(true)));
    assert_eq!(
        answer.outcome,
        AdmissionOutcome::Rewritten,
        "a policy without isolation checks nothing"
    );
    assert!(answer.pod["spec"]["containers"][1]["env"].is_null());
}

#[test]
fn each_isolation_setting_can_be_turned_off() {
    let bypasses = [
        ("variables", "/spec/containers/1/env", json!([visible_devices("all")])),
        (
            "envFrom",
            "/spec/containers/0/envFrom",
            json!([{"secretRef": {"name": "s"}}]),
        ),
        (
            "deviceAnnotations",
            "/metadata/annotations",
            json!({"cdi.k8s.io/x": "nvidia.com/gpu=0"}),
        ),
        (
            "privileged",
            "/spec/containers/0/securityContext",
            json!({"privileged": true}),
        ),
        (
            "hostPaths",
            "/spec/volumes",
            json!([{"name": "d", "hostPath": {"path": "/dev"}}]),
        ),
        ("hostNamespaces", "/spec/hostPID", json!(true)),
        ("nodeName", "/spec/nodeName", json!("a100-mixed")),
    ];
    for (setting, ..) in &bypasses {
        let spec = format!("{{isolation: {{{setting}: Allow}}, strategies: [{{strategy: exclusive}}]}}");
        let world = World::of(&spec, &[a100()], &[]);
        for (bypass, pointer, value) in &bypasses {
            let answer = world.admit("ns", &set(two_containers(), pointer, value.clone()));
            assert_eq!(
                answer.denial.is_none(),
                bypass == setting,
                "{setting}: Allow, and {bypass}"
            );
        }
    }
    let world = World::of(
        "{isolation: {hideGpus: false}, strategies: [{strategy: exclusive}]}",
        &[],
        &[],
    );
    assert!(world.admit("ns", &two_containers()).pod["spec"]["containers"][1]["env"].is_null());
}

#[test]
fn modes_warn_and_audit_deny_nothing() {
    let bad = set(two_containers(), "/spec/hostIPC", json!(true));
    for (mode, told) in [("Warn", true), ("Audit", false)] {
        let spec = format!("{{mode: {mode}, isolation: {{}}, strategies: [{{strategy: exclusive}}]}}");
        let world = World::of(&spec, &[a100()], &[]);
        let answer = world.admit("ns", &bad);
        assert_eq!((answer.outcome, answer.patched), (AdmissionOutcome::WouldDeny, false));
        let warned = answer
            .warnings
            .iter()
            .any(|w| w.starts_with("apportion (p): would be denied: spec.hostIPC: "));
        assert_eq!(warned, told, "{mode}");
        assert!(answer.because.contains("spec.hostIPC"));
        let answer = world.admit("ns", &two_containers());
        assert_eq!(
            (answer.outcome, answer.patched),
            (AdmissionOutcome::WouldRewrite, false)
        );
        let warned = answer
            .warnings
            .iter()
            .any(|w| w == "apportion (p): would be: NVIDIA_VISIBLE_DEVICES=void in spec.containers[1].env");
        assert_eq!(warned, told, "{mode}: {:?}", answer.warnings);
        let answer = world.admit_body(&debug(
            "ns",
            &[],
            &json!({"name": "d", "env": [visible_devices("all")]}),
        ));
        assert_eq!(
            (answer.outcome, answer.warnings.is_empty()),
            (AdmissionOutcome::WouldDeny, !told)
        );
    }
}
