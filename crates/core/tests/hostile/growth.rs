//! The cost of a request grows in proportion to its size, whatever part of the pod repeats.
//!
//! A part whose cost grows with the square of its length lets one pod stall all others.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::cluster::{Cluster, filter_of, review_of};

/// How many repeated parts the shorter pod has. The longer one has four times as many.
const PARTS: usize = 4_000;
/// Four times the parts take four times as long, sixteen times if the cost is quadratic.
const MAX_GROWTH: f64 = 10.0;

/// A pod with `n` repeated parts, and the pod before the update if it is one.
struct Part {
    name: &'static str,
    pod: fn(usize) -> String,
    old: Option<fn(usize) -> String>,
}

/// `item` for each number, separated by commas.
fn list(n: usize, item: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for at in 0..n {
        let separator = if at == 0 { "" } else { "," };
        write!(text, "{separator}{}", item(at)).unwrap();
    }
    text
}

const GPU: &str = r#"{"name":"g","resources":{"limits":{"nvidia.com/gpu":"1"},"requests":{"nvidia.com/gpu":"1"}}}"#;

/// A pod with a GPU, more members of its metadata, and more members of its spec.
fn pod(metadata: &str, spec: &str) -> String {
    format!(r#"{{"metadata":{{"name":"p","namespace":"mixed"{metadata}}},"spec":{{"containers":[{GPU}]{spec}}}}}"#)
}

/// A pod with one container that has these members.
fn container(members: &str) -> String {
    format!(r#"{{"metadata":{{"name":"p","namespace":"mixed"}},"spec":{{"containers":[{{"name":"c",{members}}}]}}}}"#)
}

/// A pod with a GPU, a node selector and required node affinity.
fn affinity(node_selector: &str, terms: &str) -> String {
    pod(
        "",
        &format!(
            r#","nodeSelector":{{{node_selector}}},"affinity":{{"nodeAffinity":{{"requiredDuringSchedulingIgnoredDuringExecution":{{"nodeSelectorTerms":[{terms}]}}}}}}"#
        ),
    )
}

fn term(expressions: &str) -> String {
    format!(r#"{{"matchExpressions":[{expressions}]}}"#)
}

fn expression(key: &str, operator: &str, values: &str) -> String {
    format!(r#"{{"key":"{key}","operator":"{operator}","values":[{values}]}}"#)
}

const PRODUCT: &str = "nvidia.com/gpu.product";
const MEMORY: &str = "nvidia.com/gpu.memory";

fn products(n: usize) -> String {
    list(n, |at| format!(r#""Model-{at}""#))
}

const fn create(name: &'static str, pod: fn(usize) -> String) -> Part {
    Part { name, pod, old: None }
}

fn ephemeral(n: usize, prefix: &str) -> String {
    let containers = list(n, |at| {
        format!(r#"{{"name":"{prefix}{at}","securityContext":{{"privileged":true}}}}"#)
    });
    pod("", &format!(r#","ephemeralContainers":[{containers}]"#))
}

fn annotations(n: usize, value: &str) -> String {
    let members = list(n, |at| format!(r#""cdi.k8s.io/{at}":"{value}""#));
    pod(&format!(r#","annotations":{{{members}}}"#), "")
}

const PARTS_OF_A_POD: &[Part] = &[
    create("annotations", |n| {
        let members = list(n, |at| format!(r#""a{at}":"v""#));
        pod(&format!(r#","annotations":{{{members}}}"#), "")
    }),
    create("one annotation, repeated", |n| {
        let members = list(n, |at| format!(r#""a{}":"v""#, at % 40));
        pod(&format!(r#","annotations":{{{members}}}"#), "")
    }),
    create("device annotations", |n| annotations(n, "v")),
    create("labels", |n| {
        let members = list(n, |at| format!(r#""l{at}":"v""#));
        pod(&format!(r#","labels":{{{members}}}"#), "")
    }),
    create("nodeSelector keys", |n| {
        let members = list(n, |at| format!(r#""k{at}":"v""#));
        pod("", &format!(r#","nodeSelector":{{{members}}}"#))
    }),
    create("values of In", |n| {
        affinity("", &term(&expression(PRODUCT, "In", &products(n))))
    }),
    create("values of NotIn", |n| {
        affinity("", &term(&expression(PRODUCT, "NotIn", &products(n))))
    }),
    create("values of In and NotIn on one key", |n| {
        let (both, first) = (products(n), products(n - 1));
        affinity(
            "",
            &term(&[expression(PRODUCT, "In", &both), expression(PRODUCT, "NotIn", &first)].join(",")),
        )
    }),
    create("values of In twice on one key", |n| {
        let values = products(n);
        let other = list(n, |at| format!(r#""Model-{}""#, at + n / 2));
        affinity(
            "",
            &term(&[expression(PRODUCT, "In", &values), expression(PRODUCT, "In", &other)].join(",")),
        )
    }),
    create("integers of NotIn between Gt and Lt", |n| {
        let values = list(n, |at| format!(r#""{}""#, at + 1));
        let expressions = [
            expression(MEMORY, "NotIn", &values),
            expression(MEMORY, "Gt", r#""0""#),
            expression(MEMORY, "Lt", &format!(r#""{}""#, n + 1)),
        ];
        affinity("", &term(&expressions.join(",")))
    }),
    create("expressions In on one key", |n| {
        affinity(
            "",
            &term(&list(n, |at| expression(PRODUCT, "In", &format!(r#""all","v{at}""#)))),
        )
    }),
    create("expressions NotIn on one key", |n| {
        affinity(
            "",
            &term(&list(n, |at| expression(PRODUCT, "NotIn", &format!(r#""v{at}""#)))),
        )
    }),
    create("expressions NotIn and values of In on one key", |n| {
        let excluded = list(n, |at| expression(PRODUCT, "NotIn", &format!(r#""v{at}""#)));
        let allowed = list(n, |at| format!(r#""v{at}""#));
        affinity(
            "",
            &term(&format!("{excluded},{}", expression(PRODUCT, "In", &allowed))),
        )
    }),
    create("expressions Gt on one key", |n| {
        affinity(
            "",
            &term(&list(n, |at| expression(MEMORY, "Gt", &format!(r#""{at}""#)))),
        )
    }),
    create("expressions on different keys", |n| {
        affinity(
            "",
            &term(&list(n, |at| expression(&format!("k{at}"), "NotIn", r#""a""#))),
        )
    }),
    create("terms", |n| {
        affinity(
            "",
            &list(n, |at| term(&expression(PRODUCT, "In", &format!(r#""v{at}""#)))),
        )
    }),
    create("terms with different keys", |n| {
        affinity("", &list(n, |at| term(&expression(&format!("k{at}"), "Exists", ""))))
    }),
    create("terms and nodeSelector keys", |n| {
        let node_selector = list(n, |at| format!(r#""k{at}":"v""#));
        affinity(
            &node_selector,
            &list(n, |at| term(&expression(&format!("k{at}"), "In", r#""v","w""#))),
        )
    }),
    create("empty terms", |n| affinity("", &list(n, |_| "{}".to_owned()))),
    create("matchFields", |n| {
        let fields = list(n, |at| expression("metadata.name", "NotIn", &format!(r#""n{at}""#)));
        affinity("", &format!(r#"{{"matchFields":[{fields}]}}"#))
    }),
    create("limits", |n| {
        let members = list(n, |at| format!(r#""r{at}":"1""#));
        container(&format!(
            r#""resources":{{"limits":{{"nvidia.com/gpu":"1",{members}}},"requests":{{{members}}}}}"#
        ))
    }),
    create("limits of MIG profiles", |n| {
        // Unsorted, so that each would be inserted among the others.
        let members = list(n, |at| {
            format!(r#""nvidia.com/mig-1g.{}gb":"1""#, (at * 7_919) % 60_000 + 1)
        });
        container(&format!(
            r#""resources":{{"limits":{{{members}}},"requests":{{{members}}}}}"#
        ))
    }),
    create("env", |n| {
        let variables = list(n, |at| format!(r#"{{"name":"V{at}","value":"x"}}"#));
        container(&format!(
            r#""env":[{variables}],"resources":{{"limits":{{"nvidia.com/gpu":"1"}}}}"#
        ))
    }),
    create("env that selects GPUs", |n| {
        let variables = list(n, |_| r#"{"name":"NVIDIA_VISIBLE_DEVICES","value":"all"}"#.to_owned());
        container(&format!(r#""env":[{variables}]"#))
    }),
    create("envFrom", |n| {
        let sources = list(n, |at| format!(r#"{{"configMapRef":{{"name":"c{at}"}}}}"#));
        container(&format!(
            r#""envFrom":[{sources}],"resources":{{"limits":{{"nvidia.com/gpu":"1"}}}}"#
        ))
    }),
    create("capabilities", |n| {
        let names = list(n, |at| format!(r#""cap_{at}""#));
        container(&format!(r#""securityContext":{{"capabilities":{{"add":[{names}]}}}}"#))
    }),
    create("containers", |n| {
        let containers = list(n, |at| format!(r#"{{"name":"c{at}"}}"#));
        format!(r#"{{"metadata":{{"name":"p"}},"spec":{{"containers":[{GPU},{containers}]}}}}"#)
    }),
    create("containers with a GPU", |n| {
        let containers = list(n, |at| GPU.replacen('g', &format!("c{at}"), 1));
        format!(r#"{{"metadata":{{"name":"p"}},"spec":{{"containers":[{containers}]}}}}"#)
    }),
    create("containers with different MIG profiles", |n| {
        let containers = list(n, |at| {
            format!(
                r#"{{"name":"c{at}","resources":{{"limits":{{"nvidia.com/mig-1g.{}gb":"1"}}}}}}"#,
                at + 1
            )
        });
        format!(r#"{{"metadata":{{"name":"p"}},"spec":{{"containers":[{containers}]}}}}"#)
    }),
    create("init containers with a GPU", |n| {
        let containers = list(n, |at| GPU.replacen('g', &format!("c{at}"), 1));
        pod("", &format!(r#","initContainers":[{containers}]"#))
    }),
    create("volumes and mounts", |n| {
        let volumes = list(n, |at| {
            format!(r#"{{"name":"v{at}","hostPath":{{"path":"/data/{at}"}}}}"#)
        });
        let mounts = list(n, |at| format!(r#"{{"name":"v{at}","mountPath":"/data/{at}"}}"#));
        format!(
            r#"{{"metadata":{{"name":"p"}},"spec":{{"volumes":[{volumes}],"containers":[{GPU},{{"name":"c","volumeMounts":[{mounts}]}}]}}}}"#
        )
    }),
    create("a long host path", |n| {
        pod(
            "",
            &format!(
                r#","volumes":[{{"hostPath":{{"path":"/dev{}"}}}}]"#,
                "/x".repeat(50 * n)
            ),
        )
    }),
    create("tolerations", |n| {
        let tolerations = list(n, |at| format!(r#"{{"key":"k{at}","operator":"Exists"}}"#));
        pod("", &format!(r#","tolerations":[{tolerations}]"#))
    }),
    create("overhead", |n| {
        let members = list(n, |at| format!(r#""r{at}":"1""#));
        pod("", &format!(r#","overhead":{{{members}}}"#))
    }),
    create("topology spread constraints", |n| {
        let constraints = list(n, |_| r#"{"whenUnsatisfiable":"DoNotSchedule"}"#.to_owned());
        pod("", &format!(r#","topologySpreadConstraints":[{constraints}]"#))
    }),
    create("preferences", |n| {
        let preferred = list(n, |_| r#"{"weight":1,"preference":{}}"#.to_owned());
        pod(
            "",
            &format!(
                r#","affinity":{{"nodeAffinity":{{"preferredDuringSchedulingIgnoredDuringExecution":[{preferred}]}}}}"#
            ),
        )
    }),
    Part {
        name: "device annotations, updated",
        pod: |n| annotations(n, "new"),
        old: Some(|n| annotations(n, "old")),
    },
    Part {
        name: "device annotations, kept",
        pod: |n| annotations(n, "same"),
        old: Some(|n| annotations(n, "same")),
    },
    Part {
        name: "ephemeral containers, added",
        pod: |n| ephemeral(n, "new"),
        old: Some(|n| ephemeral(n, "old")),
    },
    Part {
        name: "ephemeral containers, kept",
        pod: |n| ephemeral(n, "same"),
        old: Some(|n| ephemeral(n, "same")),
    },
];

fn time(call: &dyn Fn()) -> Duration {
    let start = Instant::now();
    call();
    start.elapsed()
}

/// How many times as long as `short` the call `long` takes.
///
/// Other processes can only make a run longer, so the shortest of several runs counts, and more
/// runs are made as long as the growth is above the limit.
fn growth(short: &dyn Fn(), long: &dyn Fn()) -> f64 {
    let (mut shortest, mut longest) = (Duration::MAX, Duration::MAX);
    let mut growth = f64::INFINITY;
    for run in 0..20 {
        shortest = shortest.min(time(short));
        longest = longest.min(time(long));
        growth = longest.as_secs_f64() / shortest.as_secs_f64();
        // Noise does not add up to seconds, but quadratic cost does.
        let is_hopeless = longest > Duration::from_secs(2);
        if run >= 1 && (growth < MAX_GROWTH || is_hopeless) {
            break;
        }
    }
    growth
}

#[test]
fn each_part_of_a_pod_costs_in_proportion_to_its_length() {
    let cluster = Cluster::new();
    let mut failures = Vec::new();
    for part in PARTS_OF_A_POD {
        let mut check = |name: &str, call: &dyn Fn(&str), [short, long]: [String; 2]| {
            let growth = growth(&|| call(&short), &|| call(&long));
            println!("{}, {name}: {growth:.1}", part.name);
            if growth >= MAX_GROWTH {
                failures.push(format!("{}, {name}: {growth:.1} times as long", part.name));
            }
        };
        let pods = [PARTS, 4 * PARTS].map(part.pod);
        let old = [PARTS, 4 * PARTS].map(|n| part.old.map(|old| old(n)));
        for namespace in ["mixed", "isolated"] {
            let reviews = [0, 1].map(|at| review_of(namespace, &pods[at], old[at].as_deref()));
            check(namespace, &|body| drop(cluster.admit(body)), reviews);
        }
        check(
            "filter",
            &|body| drop(cluster.filter(body)),
            [0, 1].map(|at| filter_of(&pods[at])),
        );
        check("watch", &|pod| drop(cluster.watch(pod)), pods);
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
