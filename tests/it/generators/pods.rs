//! Generators of pods.

use apportion_core::gpu::Strategy as Sharing;
use apportion_testing::set;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::{collection::vec, option};
use serde_json::{Map, Value, json};

use super::nodes::MODELS;

const RESOURCES: &[&str] = &[
    "gpu",
    "gpu",
    "gpu",
    "gpu.shared",
    "gpu.shared",
    "mig-1g.10gb",
    "mig-1g.10gb",
    "mig-1g.10gb.shared",
    "mig-2g.20gb",
    "mig-1g.5gb",
    "mig-1g.10gb.me",
    "mig-9g.99gb",
    "mig-huge",
];

/// A pod with any fields, including unknown ones.
pub fn pod() -> impl Strategy<Value = Value> {
    let lists = (vec(container(), 1..4), vec((container(), any::<bool>()), 0..3));
    let labels = select(vec![json!(null), json!({}), json!({"kind": "batch", "app": "x"})]);
    let annotations = (
        option::weighted(0.2, forged_decision()),
        option::weighted(0.3, memory()),
        option::weighted(0.03, Just("m")),
    );
    let overhead = option::weighted(
        0.05,
        select(vec![
            json!({"nvidia.com/gpu": "1"}),
            json!({"nvidia.com/mig-1g.10gb": 1, "cpu": "1"}),
        ]),
    );
    let tolerations = option::weighted(0.2, Just(json!([{"key": "nvidia.com/gpu", "operator": "Exists"}])));
    let constraints = (option::weighted(0.15, selector()), option::weighted(0.3, affinity()));
    let unknown = vec(
        (
            any::<Index>(),
            select(vec![json!(null), json!({"a": [1, {"b": 2.5}]}), json!("x"), json!([])]),
        ),
        0..4,
    );
    (lists, labels, annotations, overhead, tolerations, constraints, unknown, reach()).prop_map(
        |((main, init), labels, (decision, memory, mirror), overhead, tolerations, (selector, affinity), unknown, reach)| {
            let name = |at: usize, prefix: &str, container: Value| set(container, "/name", json!(format!("{prefix}{at}")));
            let main: Vec<Value> = main.into_iter().enumerate().map(|(at, c)| name(at, "c", c)).collect();
            let init: Vec<Value> = init.into_iter().enumerate().map(|(at, (c, sidecar))| {
                let c = name(at, "i", c);
                if sidecar { set(c, "/restartPolicy", json!("Always")) } else { c }
            }).collect();
            let mut pod = json!({"metadata": {"generateName": "p-", "labels": labels}, "spec": {"containers": main}, "status": {}});
            let parts = [
                ("/spec/initContainers", (!init.is_empty()).then(|| json!(init))),
                ("/metadata/annotations/apportion.dev~1decision", decision.map(Value::from)),
                ("/metadata/annotations/apportion.dev~1gpu-memory", memory.map(Value::from)),
                ("/metadata/annotations/kubernetes.io~1config.mirror", mirror.map(Value::from)),
                ("/spec/overhead", overhead),
                ("/spec/tolerations", tolerations),
                ("/spec/nodeSelector", selector),
                ("/spec/affinity", affinity),
            ];
            for (pointer, value) in parts {
                if let Some(value) = value {
                    pod = set(pod, pointer, value);
                }
            }
            if let Some((pointer, value)) = reach {
                pod = set(pod, pointer, value);
            }
            for (at, (place, value)) in unknown.into_iter().enumerate() {
                inject(&mut pod, place, format!("x-unknown-{at}"), value);
            }
            pod
        },
    )
}

/// Fields that bypass GPU requests, or look as if they did.
fn reach() -> impl Strategy<Value = Option<(&'static str, Value)>> {
    let bad = select(vec![
        ("/spec/hostIPC", json!(true)),
        ("/spec/hostPID", json!(true)),
        ("/spec/nodeName", json!("n0")),
        (
            "/spec/volumes",
            json!([{"name": "d", "hostPath": {"path": "/dev/nvidia0"}}]),
        ),
        ("/spec/containers/0/securityContext", json!({"privileged": true})),
        (
            "/spec/containers/0/env",
            json!([{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}]),
        ),
        (
            "/metadata/annotations/nvidia.cdi.k8s.io~1pod",
            json!("nvidia.com/gpu=all"),
        ),
    ]);
    let good = select(vec![
        ("/spec/hostIPC", json!(false)),
        ("/spec/hostNetwork", json!(true)),
        (
            "/spec/volumes",
            json!([{"name": "l", "hostPath": {"path": "/var/log"}}]),
        ),
        (
            "/spec/containers/0/securityContext",
            json!({"capabilities": {"add": ["IPC_LOCK"]}}),
        ),
        ("/metadata/annotations/a~1b", json!("c")),
    ]);
    option::weighted(0.3, prop_oneof![1 => bad, 2 => good])
}

/// `env` and `envFrom`.
fn environment() -> impl Strategy<Value = (Value, Value)> {
    let env = select(vec![
        json!(null),
        json!([]),
        json!([{"name": "A", "value": "b"}]),
        json!([{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}, {"name": "CUDA_VISIBLE_DEVICES", "value": "0"}]),
        json!([{"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"}, {"name": "A"}]),
    ]);
    let from = json!([{"configMapRef": {"name": "c"}}]);
    let prefixed = json!([{"prefix": "APP_", "configMapRef": {"name": "c"}}]);
    let from = prop_oneof![10 => Just(json!(null)), 3 => Just(prefixed), 1 => Just(from)];
    (env, from)
}

/// Adds an unknown field to an object that is not a map of strings or quantities.
fn inject(pod: &mut Value, place: Index, key: String, value: Value) {
    let mut pointers = Vec::new();
    objects(pod, String::new(), &mut pointers);
    let pointer = &pointers[place.index(pointers.len())];
    pod.pointer_mut(pointer).unwrap()[key] = value;
}

/// The JSON pointers of all such objects.
fn objects(value: &Value, at: String, found: &mut Vec<String>) {
    const MAPS: &[&str] = &[
        "labels",
        "annotations",
        "nodeSelector",
        "limits",
        "requests",
        "overhead",
    ];
    match value {
        Value::Object(map) => {
            for (key, value) in map.iter().filter(|(key, _)| !MAPS.contains(&&***key)) {
                objects(value, format!("{at}/{key}"), found);
            }
            found.push(at);
        }
        Value::Array(list) => list
            .iter()
            .enumerate()
            .for_each(|(n, value)| objects(value, format!("{at}/{n}"), found)),
        _ => {}
    }
}

/// Resource, quantity, and whether limits (1), requests (2) or both (3) have it.
fn resource() -> impl Strategy<Value = (String, Value, u8)> {
    let usual = || {
        select(vec![
            json!("1"),
            json!("1"),
            json!(1),
            json!("2"),
            json!(4),
            json!("1000m"),
            json!("2000m"),
        ])
    };
    let odd = select(vec![
        json!("1k"),
        json!("0"),
        json!(0),
        json!("1e1"),
        json!("8"),
        json!(null),
        json!("0.5"),
        json!("one"),
    ]);
    let quantity = prop_oneof![6 => usual(), 1 => odd];
    let lists = prop_oneof![6 => Just(3u8), 1 => Just(1), 1 => Just(2)];
    (select(RESOURCES), quantity, lists)
        .prop_map(|(name, quantity, lists)| (format!("nvidia.com/{name}"), quantity, lists))
}

fn container() -> impl Strategy<Value = Value> {
    let count = prop_oneof![2 => Just(0usize), 6 => Just(1), 1 => Just(2), 1 => Just(3)];
    let parts = (
        count.prop_flat_map(|count| vec(resource(), count)),
        0..4u8,
        option::of(environment()),
    );
    parts.prop_map(|(resources, shape, environment)| {
        let list = |bit: u8| {
            let mut list: Map<String, Value> = resources
                .iter()
                .filter(|(.., lists)| lists & bit != 0)
                .map(|(k, q, _)| (k.clone(), q.clone()))
                .collect();
            if shape & bit != 0 {
                list.insert("cpu".to_owned(), json!("500m"));
                list.insert("nvidia.com/hostdev".to_owned(), json!(1));
            }
            if list.is_empty() && shape == 0 {
                Value::Null
            } else {
                Value::Object(list)
            }
        };
        let container = json!({"image": "cuda", "resources": {"limits": list(1), "requests": list(2)}});
        match environment {
            Some((env, from)) => set(set(container, "/env", env), "/envFrom", from),
            None => container,
        }
    })
}

/// A pod that exists already.
pub fn other() -> impl Strategy<Value = Value> {
    let namespace = select(vec!["a", "a", "a2", "b", "b", "b2", "b3", "free", "kube-system"]);
    let labels = select(vec![json!({}), json!({"kind": "batch"})]);
    let annotations = option::weighted(0.4, memory());
    (
        vec(container(), 1..3),
        option::weighted(0.2, selector()),
        namespace,
        labels,
        annotations,
    )
        .prop_map(|(containers, selector, namespace, labels, memory)| {
            let annotations = memory.map(|memory| json!({"apportion.dev/gpu-memory": memory}));
            json!({
                "metadata": {"name": "other", "namespace": namespace, "labels": labels, "annotations": annotations},
                "spec": {"containers": containers, "nodeSelector": selector},
            })
        })
}

fn memory() -> impl Strategy<Value = &'static str> {
    select(vec!["4G", "4G", "8Gi", "12Gi", "18Gi", "1Ti", "0", "much"])
}

/// A forged decision annotation.
pub fn forged_decision() -> impl Strategy<Value = String> {
    let record = (
        select(&Sharing::ALL[..]),
        select(vec!["p0", "p1"]),
        select(RESOURCES),
        1..3u64,
    )
        .prop_map(|(strategy, policy, name, count)| {
            let counts = json!({"c0": {format!("nvidia.com/{name}"): count}});
            json!({"policy": policy, "strategy": strategy.as_str(), "before": counts, "after": counts}).to_string()
        });
    prop_oneof![4 => record, 1 => Just("{}".to_owned()), 1 => Just("believe me".to_owned())]
}

fn product_labels() -> impl Strategy<Value = &'static str> {
    let with_profile = ["NVIDIA-A100-SXM4-80GB-MIG-1g.10gb", "Tesla-T4-SHARED", "NVIDIA-L4"];
    select(
        MODELS
            .iter()
            .map(|(product, ..)| *product)
            .chain(with_profile)
            .collect::<Vec<_>>(),
    )
}

fn selector() -> impl Strategy<Value = Value> {
    let strategies = select(vec!["none", "mps", "time-slicing"]);
    prop_oneof![
        2 => select(vec!["a", "b"]).prop_map(|zone| json!({"zone": zone})),
        2 => product_labels().prop_map(|product| json!({"nvidia.com/gpu.product": product})),
        1 => strategies.prop_map(|strategy| json!({"nvidia.com/gpu.sharing-strategy": strategy})),
        1 => Just(json!({})),
    ]
}

fn affinity() -> impl Strategy<Value = Value> {
    let preferred = json!({"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": {}}]});
    let rest = select(vec![
        json!(null),
        json!({}),
        json!({"podAffinity": {}}),
        json!({"nodeAffinity": null}),
        json!({"nodeAffinity": preferred}),
    ]);
    let required = vec(term(), 1..4).prop_map(|terms| {
        json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}})
    });
    prop_oneof![1 => rest, 3 => required]
}

fn term() -> impl Strategy<Value = Value> {
    let fields = json!([{"key": "metadata.name", "operator": "In", "values": ["n0"]}]);
    let odd = select(vec![
        json!({}),
        json!({"matchExpressions": null}),
        json!({"matchExpressions": []}),
        json!({"matchFields": fields.clone()}),
    ]);
    let expressions =
        (vec(expression(), 1..3), option::weighted(0.2, Just(fields))).prop_map(|(expressions, fields)| {
            let term = json!({"matchExpressions": expressions});
            fields.map_or(term.clone(), |fields| set(term, "/matchFields", fields))
        });
    prop_oneof![2 => odd, 5 => expressions]
}

fn expression() -> impl Strategy<Value = Value> {
    let plain = select(vec![
        ("zone", "In", vec!["a"]),
        ("zone", "In", vec!["a", "b"]),
        ("zone", "NotIn", vec!["a"]),
        ("zone", "Exists", vec![]),
        ("nvidia.com/gpu.sharing-strategy", "In", vec!["none"]),
        ("nvidia.com/gpu.sharing-strategy", "In", vec!["mps", "time-slicing"]),
        ("nvidia.com/gpu.sharing-strategy", "NotIn", vec!["mps"]),
        ("nvidia.com/gpu.sharing-strategy", "Exists", vec![]),
        ("nvidia.com/gpu.memory", "Gt", vec!["10000"]),
        ("nvidia.com/gpu.memory", "Lt", vec!["50000"]),
        ("nvidia.com/gpu.slices.gi", "DoesNotExist", vec![]),
        (
            "nvidia.com/mig-1g.10gb.sharing-strategy",
            "NotIn",
            vec!["time-slicing", "mps"],
        ),
    ]);
    let to_json =
        |(key, operator, values): (&str, &str, Vec<&str>)| json!({"key": key, "operator": operator, "values": values});
    prop_oneof![
        4 => plain.prop_map(to_json),
        1 => vec(product_labels(), 1..3).prop_map(move |labels| to_json(("nvidia.com/gpu.product", "In", labels))),
    ]
}
