//! `map`, `replay`, `explain`, `lint` and `audit` on a live cluster, held against what the API server itself says.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::cluster::{asks, until};
use crate::prometheus::{Prometheus, Sampled};
use crate::verbs::{Verbs, policies_with, text_of};
use crate::world::{World, gpus, pod, spec};

/// Pods that take turns, by a policy of our own that is in the cluster alone.
const TURNS: &str = "insight-turns";
const TENANT: &str = "insight-tenant";
const TRAINING: &str = "insight-training";
/// Nobody governs it.
const FREE: &str = "insight-free";
const NOTEBOOKS: usize = 10;

/// The policy of the notebooks, with these rules.
fn turns(rules: &str) -> String {
    format!(
        "apiVersion: apportion.dev/v1alpha1\nkind: GpuSharingPolicy\nmetadata: {{name: turns}}\nspec: {{strategies: [{rules}]}}\n"
    )
}

const SLICES: &str = "{strategy: time-slicing}";
/// There is one such node, with eight GPUs.
const H100: &str = "{strategy: exclusive, products: [H100]}";

fn notebook(at: usize) -> String {
    pod(TURNS, &format!("notebook-{at}"), &gpus(1))
}

fn admin(world: &World) -> Verbs {
    Verbs::new(world.plane.kubeconfig("admin"))
}

/// Pods of four namespaces, all on nodes.
pub(crate) async fn prepare(world: &World) {
    let (cluster, kubectl) = (&world.cluster, &world.kubectl);
    kubectl.create(&turns(SLICES)).await.fine();
    cluster.governed(TURNS, "turns").await;
    cluster.governed(TENANT, "multi-tenant").await;
    cluster.governed(TRAINING, "training").await;
    cluster.namespace(FREE, json!({})).await;
    let bot = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: bot, namespace: {TENANT}}}\nspec: {{replicas: 3, \
         selector: {{matchLabels: {{app: bot}}}}, template: {{metadata: {{labels: {{app: bot}}}}, spec: {}}}}}\n",
        spec(&gpus(1), "{}")
    );
    let mut manifests: Vec<String> = (0..NOTEBOOKS).map(notebook).collect();
    manifests.push(bot);
    manifests.push(pod(TRAINING, "sft", &gpus(2)));
    let on_a100 = crate::world::pod_with(
        FREE,
        "jupyter",
        &gpus(1),
        "{nvidia.com/gpu.product: NVIDIA-A100-SXM4-80GB}",
    );
    manifests.push(on_a100);
    kubectl.create(&manifests.join("---\n")).await.fine();
    for at in 0..NOTEBOOKS {
        cluster.bound(TURNS, &format!("notebook-{at}")).await;
    }
    cluster.all_bound(TENANT, "app=bot", 3).await;
    cluster.bound(TRAINING, "sft").await;
    cluster.bound(FREE, "jupyter").await;
    until("all pods to run", async || {
        let pods = pods(world).await;
        pods.iter().all(|pod| pod["status"]["phase"] == "Running").then_some(())
    })
    .await;
}

/// Below the scenario that it came of.
fn show(text: &str) {
    for line in text.lines() {
        println!("      {line}");
    }
}

async fn pods(world: &World) -> Vec<Value> {
    let all: Api<Pod> = Api::all(world.cluster.client.clone());
    let list = all.list(&ListParams::default()).await.unwrap();
    list.into_iter().map(|pod| serde_json::to_value(pod).unwrap()).collect()
}

async fn nodes(world: &World) -> Vec<Value> {
    let all: Api<Node> = Api::all(world.cluster.client.clone());
    let list = all.list(&ListParams::default()).await.unwrap();
    list.into_iter()
        .map(|node| serde_json::to_value(node).unwrap())
        .collect()
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Node, `namespace/pod` and resource, with how many; of one container each, which is all that pods have here.
type Held = BTreeMap<(String, String, String), u64>;

/// What pods hold, by their own words.
fn held(pods: &[Value]) -> Held {
    let mut found = Held::new();
    for pod in pods {
        let who = format!("{}/{}", text(pod, "/metadata/namespace"), text(pod, "/metadata/name"));
        for ask in asks(pod)
            .iter()
            .flat_map(|asks| asks.split(", "))
            .filter(|ask| !ask.is_empty())
        {
            let (resource, count) = ask.split_once(' ').unwrap();
            let node = text(pod, "/spec/nodeName").to_owned();
            found.insert(
                (node, who.clone(), format!("nvidia.com/{resource}")),
                count.parse().unwrap(),
            );
        }
    }
    found
}

/// What a map says that they hold.
fn drawn(map: &Value) -> Held {
    let list = |value: &Value, key: &str| value[key].as_array().unwrap().clone();
    let mut found = Held::new();
    for node in list(map, "groups").iter().flat_map(|group| list(group, "nodes")) {
        let offered = list(&node, "offers")
            .into_iter()
            .flat_map(|offer| list(&offer, "holders"));
        for holder in offered.chain(list(&node, "stray")) {
            let who = format!("{}/{}", text(&holder, "/namespace"), text(&holder, "/pod"));
            let key = (
                text(&node, "/name").to_owned(),
                who,
                text(&holder, "/resource").to_owned(),
            );
            *found.entry(key).or_default() += holder["shares"].as_u64().unwrap();
        }
    }
    found
}

/// A name stays with 0 behind it while a node is being reconfigured.
fn has_gpus(node: &Value) -> bool {
    let allocatable = node["status"]["allocatable"].as_object().unwrap();
    allocatable.keys().any(|name| name.starts_with("nvidia.com/"))
}

/// How many of a resource a node has that no pod holds.
fn free(nodes: &[Value], held: &Held, node: &str, resource: &str) -> u64 {
    let found = nodes.iter().find(|one| text(one, "/metadata/name") == node).unwrap();
    let all: u64 = found["status"]["allocatable"][resource]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let taken = held.iter().filter(|((on, _, what), _)| on == node && what == resource);
    all - taken.map(|(_, count)| count).sum::<u64>()
}

pub(crate) async fn map(world: &World) {
    let verbs = admin(world);
    let (pods, nodes) = (pods(world).await, nodes(world).await);
    let held = held(&pods);
    let live = verbs.run(&["map", "--output", "json"]).await.with(0);
    assert_eq!(drawn(&live.json()), held);
    let shown: BTreeSet<String> = live.json()["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["nodes"].as_array().unwrap())
        .map(|node| text(node, "/name").to_owned())
        .collect();
    let with_gpus = nodes
        .iter()
        .filter(|node| has_gpus(node))
        .map(|node| text(node, "/metadata/name").to_owned());
    assert_eq!(shown, with_gpus.collect());
    for offer in live.json()["groups"][0]["nodes"][0]["offers"].as_array().unwrap() {
        let node = text(&live.json(), "/groups/0/nodes/0/name").to_owned();
        assert_eq!(
            offer["free"],
            free(&nodes, &held, &node, text(offer, "/resource")),
            "{offer}"
        );
    }

    // Of what kubectl prints it is the same.
    for format in ["json", "yaml"] {
        let get = ["get", "nodes,namespaces,pods", "-A", "-o", format];
        let dump = world.kubectl.run(&get).await.fine().out;
        let of_dump = verbs
            .feed(&["map", "--cluster", "-", "--output", "json"], &dump)
            .await
            .with(0);
        assert_eq!(of_dump.json(), live.json(), "{format}");
    }

    // All forms name all pods.
    for form in ["text", "html", "svg"] {
        let told = verbs.run(&["map", "--output", form]).await.with(0);
        for (node, who, _) in held.keys() {
            let name = who.split_once('/').unwrap().1;
            assert!(
                told.out.contains(name) && told.out.contains(node.as_str()),
                "{form} without {who}"
            );
        }
    }
    let picked = verbs
        .run(&[
            "map",
            "--namespace",
            "insight-t*",
            "--node",
            "a100-*",
            "--output",
            "json",
        ])
        .await
        .with(0);
    let is_picked = |pod: &&Value| {
        text(pod, "/metadata/namespace").starts_with("insight-t") && text(pod, "/spec/nodeName").starts_with("a100-")
    };
    let on: BTreeSet<&str> = pods
        .iter()
        .filter(is_picked)
        .map(|pod| text(pod, "/spec/nodeName"))
        .collect();
    let drawn = drawn(&picked.json());
    assert_eq!(
        drawn.keys().map(|(node, ..)| node.as_str()).collect::<BTreeSet<_>>(),
        on
    );
    assert!(!on.is_empty());
    let text = verbs.run(&["map", "--namespace", TURNS]).await.with(0).out;
    show(&text);
}

/// What is forecast of a changed policy comes true when it is changed.
pub(crate) async fn replay(world: &World) {
    let verbs = admin(world);
    let same = policies_with("turns.yaml", &turns(SLICES));
    let told = verbs
        .run(&["replay", "--policies", text_of(same.path()), "--output", "json"])
        .await
        .with(0);
    let held_before = held(&pods(world).await);
    let count = held_before.keys().map(|(_, who, _)| who).collect::<BTreeSet<_>>().len();
    let all = json!({"pods": count, "unchanged": count, "changes": [], "missing": []});
    assert_eq!(told.json(), all);

    // There are GPUs for all of them.
    let roomy = policies_with("turns.yaml", &turns("{strategy: exclusive}"));
    let told = verbs
        .run(&["replay", "--policies", text_of(roomy.path()), "--output", "json"])
        .await
        .with(0);
    assert_eq!(lost(&told.json()), (NOTEBOOKS as u64, 0));

    // And for eight of them.
    let narrow = policies_with("turns.yaml", &turns(H100));
    let narrow_path = text_of(narrow.path());
    let told = verbs
        .run(&["replay", "--policies", narrow_path, "--output", "json"])
        .await
        .with(1);
    let there = free(&nodes(world).await, &held_before, "h100-1", "nvidia.com/gpu");
    let without = NOTEBOOKS as u64 - there;
    assert_eq!(lost(&told.json()), (NOTEBOOKS as u64, without), "{}", told.out);
    let missing = json!([{"strategy": "exclusive", "resource": "nvidia.com/gpu", "shares": without, "pods": without}]);
    assert_eq!(told.json()["missing"], missing);
    for change in told.json()["changes"].as_array().unwrap() {
        let who = format!("{TURNS}/{}", text(change, "/workload"));
        let now: BTreeMap<&String, u64> = held_before
            .iter()
            .filter(|((_, pod, _), _)| *pod == who)
            .map(|((_, _, resource), count)| (resource, *count))
            .collect();
        assert_eq!(
            change["from"],
            json!({"strategy": "time-slicing", "resources": now}),
            "{change}"
        );
        assert_eq!(
            change["to"],
            json!({"strategy": "exclusive", "resources": {"nvidia.com/gpu": 1}})
        );
        assert_eq!(
            (&change["restored"], &change["policy"]),
            (&json!(true), &json!("turns")),
            "{change}"
        );
    }
    let told = verbs.run(&["replay", "--policies", narrow_path]).await.with(1);
    assert!(
        (0..NOTEBOOKS).all(|at| told.out.contains(&format!("{TURNS}/notebook-{at} "))),
        "{}",
        told.out
    );
    show(&told.out);

    // The policy is changed, and every pod is made again.
    world
        .kubectl
        .feed(
            &["apply", "--server-side", "--force-conflicts", "-f", "-"],
            &turns(H100),
        )
        .await
        .fine();
    until("the changed policy to be in force", async || {
        let probe = world
            .kubectl
            .feed(
                &["create", "--dry-run=server", "-o", "yaml", "-f", "-"],
                &pod(TURNS, "probe", &gpus(1)),
            )
            .await;
        probe.out.contains("H100").then_some(())
    })
    .await;
    world.cluster.clear(TURNS).await;
    let manifests: Vec<String> = (0..NOTEBOOKS).map(notebook).collect();
    world.kubectl.create(&manifests.join("---\n")).await.fine();
    let judged = until("every notebook to have a node or none", async || {
        let pods: Vec<Value> = pods(world)
            .await
            .into_iter()
            .filter(|pod| text(pod, "/metadata/namespace") == TURNS)
            .collect();
        let is_judged = |pod: &Value| {
            pod["spec"]["nodeName"].is_string() || pod["status"]["conditions"][0]["reason"] == "Unschedulable"
        };
        (pods.len() == NOTEBOOKS && pods.iter().all(is_judged)).then_some(pods)
    })
    .await;
    let (on, waiting): (Vec<&Value>, Vec<&Value>) = judged.iter().partition(|pod| pod["spec"]["nodeName"].is_string());
    assert_eq!((on.len() as u64, waiting.len() as u64), (there, without));
    assert!(on.iter().all(|pod| pod["spec"]["nodeName"] == "h100-1"));
    // Those that wait are drawn as such.
    let map = verbs.run(&["map", "--output", "json"]).await.with(0).json();
    let drawn: BTreeSet<&str> = map["waiting"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pod| text(pod, "/pod"))
        .collect();
    assert_eq!(drawn, waiting.iter().map(|pod| text(pod, "/metadata/name")).collect());
}

/// Pods of our namespace that change, and those of them without a place; of no other namespace any.
fn lost(report: &Value) -> (u64, u64) {
    let changes = report["changes"].as_array().unwrap();
    assert!(changes.iter().all(|change| change["namespace"] == TURNS), "{report}");
    let sum = |key: &str| changes.iter().map(|change| change[key].as_u64().unwrap()).sum();
    (sum("pods"), sum("withoutPlace"))
}

pub(crate) async fn explain_and_lint(world: &World) {
    let verbs = admin(world);
    let manifest = pod(TENANT, "asked", &gpus(1));
    let told = verbs
        .feed(&["explain", "-f", "-", "--output", "json"], &manifest)
        .await
        .with(0);
    let report = &told.json()[0];
    // As the webhook does it.
    let made = world
        .kubectl
        .feed(&["create", "--dry-run=server", "-o", "json", "-f", "-"], &manifest)
        .await
        .fine();
    let made: Value = serde_json::from_str(&made.out).unwrap();
    assert_eq!(report["outcome"]["result"], "rewritten");
    let after = report["demand"]["containers"][0]["after"].as_object().unwrap();
    let after: Vec<String> = after
        .iter()
        .map(|(name, count)| format!("{} {count}", name.trim_start_matches("nvidia.com/")))
        .collect();
    assert_eq!(after, asks(&made));
    // Rooms as the API server's objects have them.
    let (held, nodes) = (held(&pods(world).await), nodes(world).await);
    let fitting = report["nodes"]["fitting"].as_array().unwrap();
    for node in fitting {
        let share = &node["shares"][0];
        assert_eq!(
            share["free"],
            free(&nodes, &held, text(node, "/name"), text(share, "/resource")),
            "{node}"
        );
    }
    world.kubectl.create(&manifest).await.fine();
    let bound = world.cluster.bound(TENANT, "asked").await;
    let names: Vec<&str> = fitting.iter().map(|node| text(node, "/name")).collect();
    assert!(names.contains(&text(&bound, "/spec/nodeName")), "{names:?}");
    let denied = pod_of_t4(TENANT);
    let told = verbs.feed(&["explain", "-f", "-"], &denied).await.with(1);
    let said = world.kubectl.create(&denied).await;
    let why = said.err.split_once("denied the request: ").unwrap().1.trim();
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        line(&told.out).contains(why.trim_start_matches("apportion (multi-tenant): ")),
        "{why}\n{}",
        told.out
    );

    let get = ["get", "nodes,namespaces,pods", "-A", "-o", "json"];
    let dump = world.kubectl.run(&get).await.fine().out;
    let told = verbs
        .feed(
            &["lint", "--cluster", "-", "--policies", "policies", "--output", "json"],
            &dump,
        )
        .await
        .with(1);
    let fields: BTreeSet<String> = told
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|one| text(one, "/field").to_owned())
        .collect();
    for node in ["a100-paused", "bare-1", "t4-stale"] {
        assert!(fields.contains(&format!("node {node}")), "{fields:?}");
    }
}

fn pod_of_t4(namespace: &str) -> String {
    crate::world::pod_with(namespace, "pinned", &gpus(1), "{nvidia.com/gpu.product: Tesla-T4}")
}

pub(crate) async fn audit(world: &World) {
    let Some(tools) = Prometheus::tools() else {
        println!(
            "SKIPPED: audit of a live cluster: no prometheus and promtool on the PATH or in target/tools (.ci/prometheus)"
        );
        return;
    };
    let verbs = admin(world);
    let all = pods(world).await;
    let node_of = |namespace: &str, name: &str| {
        let is_it = |pod: &&Value| text(pod, "/metadata/namespace") == namespace && text(pod, "/metadata/name") == name;
        text(all.iter().find(is_it).unwrap(), "/spec/nodeName").to_owned()
    };
    let (training, free) = (node_of(TRAINING, "sft"), node_of(FREE, "jupyter"));
    let sampled = [
        Sampled::new(&training, 0, (TRAINING, "sft"), 90, 60_000),
        Sampled::new(&training, 1, (TRAINING, "sft"), 70, 50_000),
        Sampled::new(&free, 7, (FREE, "jupyter"), 2, 4000),
    ];
    let prometheus = Prometheus::start(&tools, &sampled, world.plane.dir()).await;
    let url = prometheus.url();
    let window = ["audit", "--prometheus", url.as_str(), "--window", "6h"];
    let with = |more: &[&'static str]| window.iter().copied().chain(more.iter().copied()).collect::<Vec<_>>();
    // One workload should be shared otherwise.
    let report = verbs.run(&with(&["--output", "json"])).await.with(1).json();
    let rows = report["workloads"].as_array().unwrap();
    let row = |workload: &str| rows.iter().find(|row| row["workload"] == workload).unwrap();
    let (sft, jupyter) = (row("sft"), row("jupyter"));
    let near = |value: &Value, expected: f64| (value.as_f64().unwrap() - expected).abs() < 0.2;
    for (row, namespace, mean, hours, memory, change) in [
        (sft, TRAINING, 80.0, 12.0, 60_000.0, false),
        (jupyter, FREE, 2.0, 6.0, 4000.0, true),
    ] {
        assert_eq!(row["namespace"], namespace);
        assert!(
            near(&row["meanPercent"], mean) && near(&row["gpuHours"], hours),
            "{row}"
        );
        assert!(near(&row["memoryPeakMebibytes"], memory), "{row}");
        assert_eq!(
            (&row["scope"], &row["advice"]["change"]),
            (&json!("own"), &json!(change)),
            "{row}"
        );
        assert_eq!(row["strategies"], json!(["exclusive"]));
    }
    // Policies and their governance are the cluster's own.
    let policy = |namespace: &str| {
        report["namespaces"]
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["namespace"] == namespace)
            .unwrap()["policy"]
            .clone()
    };
    assert_eq!((policy(TRAINING), policy(FREE)), (json!("training"), Value::Null));
    assert!(
        ["development", "turns"].contains(&text(jupyter, "/advice/setPolicy")),
        "{jupyter}"
    );
    assert_eq!(report["total"]["gpus"], 3);
    // All other nodes with GPUs were not seen, and it says so.
    let blind = report["unseen"]
        .as_array()
        .unwrap()
        .iter()
        .find(|gap| text(gap, "/note").contains("no metric"))
        .unwrap();
    let seen: BTreeSet<&String> = [&training, &free].into_iter().collect();
    let nodes = nodes(world).await;
    let others = nodes
        .iter()
        .filter(|node| has_gpus(node))
        .filter(|node| !seen.contains(&text(node, "/metadata/name").to_owned()));
    assert_eq!(blind["count"], others.count(), "{blind}");
    for form in ["text", "markdown", "html"] {
        let told = verbs.run(&with(&["--output", form])).await.with(1);
        assert!(
            told.out.contains("jupyter") && told.out.contains("apportion.dev/policy="),
            "{form}: {}",
            told.out
        );
        if form == "text" {
            show(&told.out);
        }
    }
}

/// What somebody may see who may change nothing.
pub(crate) async fn rights(world: &World) {
    let kubectl = &world.kubectl;
    let user = async |name: &str| {
        kubectl
            .run(&["-n", FREE, "create", "serviceaccount", name])
            .await
            .fine();
        let token = kubectl.run(&["-n", FREE, "create", "token", name]).await.fine();
        Verbs::new(world.plane.token_kubeconfig(name, token.out.trim()))
    };
    let may = async |role: &str, name: &str| {
        let (role_flag, who) = (
            format!("--clusterrole={role}"),
            format!("--serviceaccount={FREE}:{name}"),
        );
        kubectl
            .run(&[
                "create",
                "clusterrolebinding",
                &format!("{name}-{role}"),
                &role_flag,
                &who,
            ])
            .await
            .fine();
    };
    let replay = ["replay", "--policies", "policies"];
    let nobody = user("insight-nobody").await;
    for args in [&["map"][..], &replay[..]] {
        let said = nobody.run(args).await.complaint();
        println!("      {said}");
        assert!(
            said.starts_with("apportion: the cluster at https://127.0.0.1:"),
            "{said}"
        );
        assert!(
            said.contains("is forbidden: User \"system:serviceaccount:insight-free:insight-nobody\""),
            "{said}"
        );
    }
    // `view` has neither nodes nor our policies.
    let viewer = user("insight-viewer").await;
    may("view", "insight-viewer").await;
    let said = viewer.run(&["map"]).await.complaint();
    println!("      {said}");
    assert!(said.contains("gpusharingpolicies") || said.contains("nodes"), "{said}");
    let more = [
        "create",
        "clusterrole",
        "insight-more",
        "--verb=list",
        "--resource=nodes,gpusharingpolicies.apportion.dev",
    ];
    kubectl.run(&more).await.fine();
    may("insight-more", "insight-viewer").await;
    // What the chart makes for Apportion itself is enough, too.
    let reader = user("insight-reader").await;
    may("apportion-read", "insight-reader").await;
    let admin = admin(world);
    for verbs in [&viewer, &reader] {
        until("the rights to be in force", async || {
            (verbs.run(&["map"]).await.status == Some(0)).then_some(())
        })
        .await;
        let manifest = pod(TENANT, "asked", &gpus(1));
        for args in [
            &["map", "--output", "json"][..],
            &[&replay[..], &["--output", "json"]].concat(),
            &["explain", "-f", "-", "--output", "json"],
        ] {
            let (theirs, ours) = (verbs.feed(args, &manifest).await, admin.feed(args, &manifest).await);
            assert_eq!(
                (theirs.status, &theirs.out, &*theirs.err),
                (ours.status, &ours.out, ""),
                "{args:?}"
            );
        }
    }
    // And nothing listens there.
    let gone = world.plane.kubeconfig_elsewhere("https://127.0.0.1:9");
    let said = Verbs::new(gone).run(&["map"]).await.complaint();
    println!("      {said}");
    assert!(
        said.contains("127.0.0.1:9") && said.contains("onnection refused"),
        "{said}"
    );
}
