//! Ways to GPUs that a pod was not given, row by row: those that are shut, and the ordinary pods that pass beside them. The policy is
//! the one that ships for tenants; the letter is the section of the facts.

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

/// A pod with a container that asks for a GPU and one that does not.
pub fn two() -> Value {
    let mut pod = gpu("1");
    let log = json!({"name": "log", "image": "busybox"});
    pod["spec"]["containers"].as_array_mut().unwrap().push(log);
    pod
}

fn env(container: &str, value: &Value) -> (String, Value) {
    (
        format!("/spec/containers/{container}/env"),
        json!([{"name": "A", "value": "b"}, value]),
    )
}

pub fn variable(value: &str) -> Value {
    json!({"name": "NVIDIA_VISIBLE_DEVICES", "value": value})
}

/// The field and the remedy of a denial.
pub fn blamed(answer: &Answer) -> (String, String) {
    let denial = answer.denial.as_ref().unwrap_or_else(|| panic!("{answer:?}"));
    assert_eq!(
        (denial.code, denial.reason, answer.outcome),
        (403, "Forbidden", AdmissionOutcome::Denied)
    );
    let text = denial.message.strip_prefix("apportion (multi-tenant): ").unwrap();
    let (field, rest) = text.split_once(": ").unwrap();
    (field.to_owned(), rest.split_once("; ").unwrap().1.to_owned())
}

#[test]
fn what_is_shut_is_refused_with_the_field_and_the_remedy() {
    let from =
        |source: &str| json!({"name": "NVIDIA_VISIBLE_DEVICES", "valueFrom": {source: {"name": "x", "key": "k"}}});
    let at = |pointer: &str, value: Value| (pointer.to_owned(), value);
    let ask = "remove it and ask for nvidia.com/gpu";
    for (rule, (pointer, value), field, remedy) in [
        (
            "H env, with a GPU: the kubelet puts it behind the device plugin's",
            env("0", &variable("all")),
            "spec.containers[0].env[1]",
            ask,
        ),
        (
            "H env, without a GPU",
            env("1", &variable("0")),
            "spec.containers[1].env[1]",
            ask,
        ),
        (
            "H a reference to another variable",
            env("1", &variable("$(A)")),
            "spec.containers[1].env[1]",
            ask,
        ),
        (
            "H valueFrom a ConfigMap",
            env("1", &from("configMapKeyRef")),
            "spec.containers[1].env[1]",
            ask,
        ),
        (
            "H valueFrom a Secret",
            env("0", &from("secretKeyRef")),
            "spec.containers[0].env[1]",
            ask,
        ),
        (
            "H valueFrom a file of a volume",
            env("0", &from("fileKeyRef")),
            "spec.containers[0].env[1]",
            ask,
        ),
        (
            "H envFrom, with a GPU",
            at(
                "/spec/containers/0/envFrom",
                json!([{"configMapRef": {"name": "settings"}}]),
            ),
            "spec.containers[0].envFrom[0]",
            "give it a prefix",
        ),
        (
            "H envFrom with a prefix that helps",
            at(
                "/spec/containers/0/envFrom",
                json!([{"prefix": "NVIDIA_", "secretRef": {"name": "s"}}]),
            ),
            "spec.containers[0].envFrom[0]",
            "give it another prefix",
        ),
        (
            "H CUDA_MPS_*",
            env(
                "0",
                &json!({"name": "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "value": "100"}),
            ),
            "spec.containers[0].env[1]",
            "remove it; a container with a share under MPS",
        ),
        (
            "H privileged",
            at("/spec/containers/1/securityContext", json!({"privileged": true})),
            "spec.containers[1].securityContext.privileged",
            "remove it",
        ),
        (
            "H privileged by another name",
            at(
                "/spec/containers/1/securityContext",
                json!({"capabilities": {"add": ["SYS_ADMIN"]}}),
            ),
            "spec.containers[1].securityContext.capabilities.add[0]",
            "remove it",
        ),
        (
            "H privileged, in an init container",
            at(
                "/spec/initContainers",
                json!([{"name": "i", "securityContext": {"privileged": true}}]),
            ),
            "spec.initContainers[0].securityContext.privileged",
            "remove it",
        ),
        (
            "H hostPath to the device",
            at(
                "/spec/volumes",
                json!([{"name": "e", "emptyDir": {}}, {"name": "d", "hostPath": {"path": "/dev/nvidia0"}}]),
            ),
            "spec.volumes[1].hostPath.path",
            "remove the volume",
        ),
        (
            "H hostPath to a CRI socket",
            at(
                "/spec/volumes",
                json!([{"name": "d", "hostPath": {"path": "/run/containerd/containerd.sock"}}]),
            ),
            "spec.volumes[0].hostPath.path",
            "remove the volume",
        ),
        (
            "H hostPath to a directory that holds it",
            at(
                "/spec/volumes",
                json!([{"name": "d", "hostPath": {"path": "/var/run/"}}]),
            ),
            "spec.volumes[0].hostPath.path",
            "remove the volume",
        ),
        (
            "H a mount that the runtime takes for a wish",
            at(
                "/spec/containers/1/volumeMounts",
                json!([{"name": "n", "mountPath": "/var/run/nvidia-container-devices/all"}]),
            ),
            "spec.containers[1].volumeMounts[0].mountPath",
            ask,
        ),
        (
            "H hostIPC",
            at("/spec/hostIPC", json!(true)),
            "spec.hostIPC",
            "remove it",
        ),
        (
            "H hostPID",
            at("/spec/hostPID", json!(true)),
            "spec.hostPID",
            "remove it",
        ),
        (
            "H nodeName",
            at("/spec/nodeName", json!("a100-mixed")),
            "spec.nodeName",
            "remove it and choose nodes by",
        ),
        (
            "H an annotation that injects a device",
            at(
                "/metadata/annotations",
                json!({"nvidia.cdi.k8s.io/pod": "nvidia.com/gpu=all"}),
            ),
            "metadata.annotations[nvidia.cdi.k8s.io/pod]",
            ask,
        ),
    ] {
        let (blamed, told) = blamed(&world().admit(TENANT, &set(two(), &pointer, value)));
        assert_eq!(blamed, field, "{rule}");
        assert!(told.starts_with(remedy), "{rule}: {told}");
    }
}

#[test]
fn a_whole_message_reads_well() {
    let pod = set(two(), "/spec/containers/1/env", json!([variable("all")]));
    let pod = set(pod, "/spec/hostIPC", json!(true));
    let denial = world().admit(TENANT, &pod).denial.unwrap();
    assert_eq!(
        denial.message,
        "apportion (multi-tenant): spec.hostIPC: shares the memory of the node's MPS daemon and of others on it; remove it; an \
         emptyDir with medium Memory at /dev/shm serves the containers of one pod. Also spec.containers[1].env[0]: sets \
         NVIDIA_VISIBLE_DEVICES, which names devices whatever the container was given; remove it and ask for nvidia.com/gpu in \
         resources.limits; what is given is visible by itself"
    );
    // A pod that does everything wrong is told of the first few.
    let many: Vec<Value> = (0..9).map(|_| variable("all")).collect();
    let message = world()
        .admit(TENANT, &set(two(), "/spec/containers/1/env", json!(many)))
        .denial
        .unwrap()
        .message;
    assert!(message.ends_with(". Also 4 more"), "{message}");
}

#[test]
fn ordinary_pods_pass() {
    let at = |pointer: &str, value: Value| (pointer.to_owned(), value);
    let ordinary = [
        (
            "variables, also by field and Secret",
            at(
                "/spec/containers/0/env",
                json!([{"name": "A", "value": "b"}, {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}, {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}, {"name": "CUDA_VISIBLE_DEVICES", "value": "0"}, {"name": "NVIDIA_DRIVER_CAPABILITIES", "value": "compute,utility"}]),
            ),
        ),
        (
            "envFrom with a prefix, with a GPU",
            at(
                "/spec/containers/0/envFrom",
                json!([{"prefix": "APP_", "configMapRef": {"name": "settings"}}]),
            ),
        ),
        (
            "envFrom without a GPU: what the pod itself sets goes before it",
            at(
                "/spec/containers/1/envFrom",
                json!([{"configMapRef": {"name": "settings"}}, {"prefix": "NVIDIA_", "secretRef": {"name": "s"}}]),
            ),
        ),
        (
            "volumes of every day",
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
            "a securityContext of every day",
            at(
                "/spec/containers/0/securityContext",
                json!({"privileged": false, "runAsNonRoot": true, "capabilities": {"add": ["IPC_LOCK", "SYS_PTRACE"], "drop": ["ALL"]}}),
            ),
        ),
        ("hostNetwork", at("/spec/hostNetwork", json!(true))),
        (
            "the runtime class of NVIDIA",
            at("/spec/runtimeClassName", json!("nvidia")),
        ),
        (
            "annotations of others",
            at(
                "/metadata/annotations",
                json!({"prometheus.io/scrape": "true", "k8s.io/cdi": "x"}),
            ),
        ),
    ];
    for (case, (pointer, value)) in ordinary {
        let sent = set(two(), &pointer, value);
        let answer = world().admit(TENANT, &sent);
        assert_eq!(
            (answer.outcome, &answer.denial),
            (AdmissionOutcome::Rewritten, &None),
            "{case}"
        );
        let [main, log] = [0, 1].map(|at| &answer.pod["spec"]["containers"][at]);
        assert_eq!(
            main["env"], sent["spec"]["containers"][0]["env"],
            "{case}: a container with a GPU keeps its own"
        );
        assert_eq!(log["env"], json!([variable("void")]), "{case}");
        let again = world().admit(TENANT, &answer.pod);
        assert_eq!(
            (again.outcome, again.patched),
            (AdmissionOutcome::Unchanged, false),
            "{case}"
        );
        // Told of what it gets, and not of what it never wanted.
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
fn pods_without_gpus_are_kept_from_them() {
    let container = |env: Value| json!({"name": "c", "image": "cuda", "env": env});
    for (case, env, expected) in [
        ("its image may say all", json!(null), json!([variable("void")])),
        (
            "other variables stay",
            json!([{"name": "A", "value": "b"}]),
            json!([{"name": "A", "value": "b"}, variable("void")]),
        ),
        (
            "says void by itself",
            json!([variable("void")]),
            json!([variable("void")]),
        ),
        ("says none", json!([variable("none")]), json!([variable("none")])),
        ("says nothing", json!([variable("")]), json!([variable("")])),
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
                "{policy} asks for no isolation"
            );
        }
    }
    // A node of its own choice gives a pod without GPUs nothing, and anything else is refused as it is with them.
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
    let answer = world.admit(TENANT, &set(two(), "/spec/hostIPC", json!(true)));
    assert_eq!(answer.outcome, AdmissionOutcome::Rewritten, "no isolation, no guard");
    assert!(answer.pod["spec"]["containers"][1]["env"].is_null());
}

#[test]
fn each_guard_can_be_let_go() {
    let doors = [
        ("variables", "/spec/containers/1/env", json!([variable("all")])),
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
    for (guard, ..) in &doors {
        let spec = format!("{{isolation: {{{guard}: Allow}}, strategies: [{{strategy: exclusive}}]}}");
        let world = World::of(&spec, &[a100()], &[]);
        for (door, pointer, value) in &doors {
            let answer = world.admit("ns", &set(two(), pointer, value.clone()));
            assert_eq!(answer.denial.is_none(), door == guard, "{guard}: Allow, and {door}");
        }
    }
    let world = World::of(
        "{isolation: {hideGpus: false}, strategies: [{strategy: exclusive}]}",
        &[],
        &[],
    );
    assert!(world.admit("ns", &two()).pod["spec"]["containers"][1]["env"].is_null());
}

#[test]
fn a_policy_that_watches_refuses_nothing() {
    let bad = set(two(), "/spec/hostIPC", json!(true));
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
        let answer = world.admit("ns", &two());
        assert_eq!(
            (answer.outcome, answer.patched),
            (AdmissionOutcome::WouldRewrite, false)
        );
        let warned = answer
            .warnings
            .iter()
            .any(|w| w == "apportion (p): would be: NVIDIA_VISIBLE_DEVICES=void in spec.containers[1].env");
        assert_eq!(warned, told, "{mode}: {:?}", answer.warnings);
        let answer = world.admit_body(&debug("ns", &[], &json!({"name": "d", "env": [variable("all")]})));
        assert_eq!(
            (answer.outcome, answer.warnings.is_empty()),
            (AdmissionOutcome::WouldDeny, !told)
        );
    }
}
