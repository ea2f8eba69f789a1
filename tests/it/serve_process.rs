//! `apportion serve` as a process: startup errors, answers over TLS, and reload.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};

use crate::test_server;

const CLUSTER: &str = "examples/cluster/cluster.json";

fn apportion(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_apportion"));
    command
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null());
    command
}

fn fails(args: &[&str]) -> String {
    let Output { status, stderr, .. } = apportion(args).output().unwrap();
    let text = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(2), "{args:?}: {text}");
    text
}

/// A free port. Another process may take it before we do.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

#[test]
fn invalid_settings_exit_2_with_one_message() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let bad_policy = write(
        "bad/p.yaml",
        "apiVersion: apportion.dev/v1alpha1\nkind: GpuSharingPolicy\nmetadata: {name: p}\nspec:\n  strategies:\n  - strategy: mgi\n",
    );
    let bad_policies = Path::new(&bad_policy).parent().unwrap().to_str().unwrap();
    let not_a_cluster = write("cluster.json", r#"{"kind":"Pod"}"#);
    let cert = write("tls.crt", "not a certificate");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let any = [
        "--admin-listen",
        "127.0.0.1:0",
        "--extender-listen",
        "127.0.0.1:0",
        "--webhook-listen",
        "127.0.0.1:0",
    ];
    for (args, words) in [
        (
            vec!["--cluster", CLUSTER, "--tls-self-signed", "--policies", bad_policies],
            "p.yaml:6:15: error: spec.strategies[0].strategy: `mgi` is not a strategy",
        ),
        (
            vec!["--cluster", CLUSTER, "--tls-self-signed", "--policies", "/nonexistent"],
            "cannot read the policies in /nonexistent",
        ),
        (
            vec!["--cluster", &not_a_cluster, "--tls-self-signed"],
            "its kind is `Pod`, not List; make one with `kubectl get",
        ),
        (
            vec!["--cluster", "/nonexistent", "--tls-self-signed"],
            "cannot read /nonexistent",
        ),
        (
            vec!["--cluster", CLUSTER],
            "give --tls-cert and --tls-key, --tls-managed in a cluster, or --tls-self-signed",
        ),
        (
            vec!["--cluster", CLUSTER, "--tls-cert", &cert, "--tls-key", &cert],
            "tls.crt",
        ),
        (
            vec!["--cluster", CLUSTER, "--tls-cert", "/nonexistent", "--tls-key", &cert],
            "cannot read /nonexistent",
        ),
        (
            vec!["--cluster", CLUSTER, "--tls-self-signed", "--log", "=="],
            "`==` is not a log filter (invalid filter directive); write info, debug or apportion=debug\n",
        ),
    ] {
        let text = fails(&[&["serve"], &any[..], &args[..]].concat());
        assert!(text.contains(words), "{args:?}: {text}");
        let messages = text.lines().filter(|line| line.starts_with("apportion: ")).count();
        assert_eq!(messages, 1, "{args:?}: {text}");
    }
    let text = fails(&[
        "serve",
        "--cluster",
        CLUSTER,
        "--tls-self-signed",
        "--admin-listen",
        "127.0.0.1:0",
        "--extender-listen",
        "127.0.0.1:0",
        "--webhook-listen",
        &taken,
    ]);
    assert!(
        text.contains(&format!(
            "cannot listen on {taken} (webhook): address already in use; choose another with --webhook-listen"
        )),
        "{text}"
    );
}

/// A running server that is killed when dropped.
struct Server {
    child: Child,
    ca: String,
    webhook: String,
    extender: String,
    admin: String,
}

impl Server {
    async fn start(dir: &Path, policies: &str, cluster: &str) -> Self {
        let ca = dir.join("ca.pem");
        let ports = [free_port(), free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
        let child = apportion(&[
            "serve",
            "--cluster",
            cluster,
            "--policies",
            policies,
            "--tls-self-signed",
            "--drain-delay",
            "0",
            "--reload-interval",
            "1",
        ])
        .args([
            "--tls-self-signed-ca",
            ca.to_str().unwrap(),
            "--webhook-listen",
            &ports[0],
        ])
        .args(["--extender-listen", &ports[1], "--admin-listen", &ports[2]])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
        let [webhook, extender, admin] = ports;
        let mut server = Server {
            child,
            ca: String::new(),
            webhook,
            extender,
            admin,
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        let client = test_server::plain_client();
        loop {
            let url = format!("http://{}/readyz", server.admin);
            if client.get(&url).send().await.is_ok_and(|answer| answer.status() == 200) {
                server.ca = std::fs::read_to_string(&ca).unwrap();
                return server;
            }
            assert!(
                Instant::now() < deadline && server.child.try_wait().unwrap().is_none(),
                "{}",
                server.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn log(&mut self) -> String {
        let _ = self.child.kill();
        let mut text = String::new();
        let _ = self.child.stderr.take().unwrap().read_to_string(&mut text);
        text
    }

    async fn metric(&self, line: &str) -> bool {
        let url = format!("http://{}/metrics", self.admin);
        let text = test_server::plain_client()
            .get(url)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        text.lines().any(|found| found == line)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The cluster and namespaces of the recorded requests.
fn recorded_cluster(dir: &Path) -> String {
    let filter: Value = serde_json::from_str(&recorded("extender/filter-full-nodes.json")).unwrap();
    let mut slices = filter["Nodes"]["items"][0].clone();
    slices["kind"] = json!("Node");
    let node = |name: &str, labels: Value, allocatable: Value| json!({"kind":"Node","apiVersion":"v1","metadata":{"name":name,"labels":labels},"status":{"allocatable":allocatable}});
    let namespace = |name: &str, policy: &str| json!({"kind":"Namespace","apiVersion":"v1","metadata":{"name":name,"labels":{"apportion.dev/policy":policy}}});
    let list = json!({"kind":"List","apiVersion":"v1","items":[
        slices,
        node("a100-whole",
            json!({"nvidia.com/gpu.product":"NVIDIA-A100-SXM4-80GB","nvidia.com/gpu.count":"8","nvidia.com/gpu.replicas":"1","nvidia.com/gpu.sharing-strategy":"none","nvidia.com/gpu.memory":"81920"}),
            json!({"nvidia.com/gpu":"8"})),
        node("a100-mig",
            json!({"nvidia.com/mig.strategy":"mixed","nvidia.com/mig-1g.10gb.count":"56","nvidia.com/mig-1g.10gb.replicas":"1","nvidia.com/mig-1g.10gb.sharing-strategy":"none","nvidia.com/mig-1g.10gb.memory":"9728","nvidia.com/mig-1g.10gb.product":"NVIDIA-A100-SXM4-80GB-MIG-1g.10gb"}),
            json!({"nvidia.com/gpu":"0","nvidia.com/mig-1g.10gb":"56"})),
        namespace("train", "training"), namespace("tenants", "multi-tenant"), namespace("dev", "development"),
    ]});
    let path = dir.join("recorded.json");
    std::fs::write(&path, list.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

fn recorded(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/recorded")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

/// The limits of all containers, init containers first. Requests must equal them.
fn asks(pod: &Value) -> Vec<String> {
    ["initContainers", "containers"]
        .iter()
        .flat_map(|list| pod["spec"][list].as_array().cloned().unwrap_or_default())
        .map(|container| {
            let gpus = |list: &str| {
                let found = container["resources"][list].as_object().cloned().unwrap_or_default();
                let gpus: Vec<String> = found
                    .iter()
                    .filter(|(key, _)| key.starts_with("nvidia.com/"))
                    .map(|(key, count)| format!("{} {}", &key["nvidia.com/".len()..], count.as_str().unwrap()))
                    .collect();
                gpus.join("+")
            };
            assert_eq!(gpus("limits"), gpus("requests"), "{container}");
            gpus("limits")
        })
        .collect()
}

#[tokio::test]
async fn recorded_requests_are_answered_over_tls_with_http1_and_http2() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = recorded_cluster(dir.path());
    let server = Server::start(dir.path(), "policies", &cluster).await;
    for (version, client) in [
        (
            reqwest::Version::HTTP_11,
            test_server::client(&server.ca).http1_only().build().unwrap(),
        ),
        (
            reqwest::Version::HTTP_2,
            test_server::client(&server.ca).build().unwrap(),
        ),
    ] {
        for (name, expected) in [
            ("deployment-create", None),
            ("job-create-gpu-8", None),
            ("pod-create-dry-run-generate-name", Some(vec!["gpu 1"])),
            ("pod-create-from-job-gpu-8", Some(vec!["gpu 8"])),
            (
                "pod-create-generated-sidecar-mig-and-gpu",
                Some(vec!["mig-1g.10gb 1", "mig-1g.10gb 1", "mig-1g.10gb 1"]),
            ),
            ("pod-create-gpu-1", Some(vec!["gpu 1"])),
            ("pod-create-priority-gpu-10", Some(vec!["gpu 10"])),
            ("pod-update-ephemeralcontainers-subresource", None),
            ("pod-update-resize-subresource", None),
            ("pod-update", None),
        ] {
            let body = recorded(&format!("admission/{name}.json"));
            let sent: Value = serde_json::from_str(&body).unwrap();
            let answer = client
                .post(format!("https://{}/mutate?timeout=10s", server.webhook))
                .body(body)
                .send()
                .await
                .unwrap();
            assert_eq!((answer.status().as_u16(), answer.version()), (200, version), "{name}");
            let answer: Value = answer.json().await.unwrap();
            let response = &answer["response"];
            assert_eq!(
                (&answer["kind"], &answer["apiVersion"]),
                (&json!("AdmissionReview"), &json!("admission.k8s.io/v1"))
            );
            assert_eq!(
                (&response["uid"], &response["allowed"]),
                (&sent["request"]["uid"], &json!(true)),
                "{name}"
            );
            let Some(expected) = expected else {
                assert_eq!(response.get("patch"), None, "{name}: {response}");
                // The review of a workload gets the warnings of its pods; updates and subresources
                // get none.
                let told = response.get("warnings").is_some();
                assert!(
                    if name == "deployment-create" {
                        told
                    } else {
                        !told || !name.starts_with("pod")
                    },
                    "{name}: {response}"
                );
                continue;
            };
            assert_eq!(response["patchType"], "JSONPatch", "{name}");
            let patch = base64::engine::general_purpose::STANDARD
                .decode(response["patch"].as_str().unwrap())
                .unwrap();
            let patch: json_patch::Patch = serde_json::from_slice(&patch).unwrap();
            let mut pod = sent["request"]["object"].clone();
            json_patch::patch(&mut pod, &patch).unwrap();
            assert_eq!(asks(&pod), expected, "{name}");
            assert!(
                pod["metadata"]["annotations"]["apportion.dev/decision"].is_string(),
                "{name}"
            );
        }
        // The development pod fits only the time slices; a job of ten fits no node; full nodes are
        // returned unchanged.
        let post = async |path: &str, name: &str| -> Value {
            let request = client
                .post(format!("https://{}{path}", server.extender))
                .body(recorded(&format!("extender/{name}.json")));
            let answer = request.send().await.unwrap();
            assert_eq!((answer.status().as_u16(), answer.version()), (200, version), "{name}");
            answer.json().await.unwrap()
        };
        let named = post("/filter", "filter-node-cache-capable").await;
        assert_eq!(
            (&named["NodeNames"], &named["Nodes"], &named["Error"]),
            (&json!(["t4-ts"]), &Value::Null, &json!(""))
        );
        let full = post("/filter", "filter-full-nodes").await;
        assert_eq!(
            (&full["Nodes"]["items"], &full["NodeNames"]),
            (&json!([]), &Value::Null)
        );
        assert_eq!(
            full["FailedAndUnresolvableNodes"],
            json!({"t4-ts": "gpu is shared by time-slicing"})
        );
        assert_eq!(full["FailedNodes"], json!({}));
        // A node with time slices cannot hold a training pod, whatever is preempted.
        for name in ["preempt-node-cache-capable", "preempt-full-nodes"] {
            assert_eq!(
                post("/preempt", name).await,
                json!({"NodeNameToMetaVictims": {}}),
                "{name}"
            );
        }
        let scores = post("/prioritize", "prioritize-node-cache-capable").await;
        assert!(
            scores
                .as_array()
                .unwrap()
                .iter()
                .all(|s| s["Host"].is_string() && (0..=10).contains(&s["Score"].as_i64().unwrap()))
        );
    }
}

/// A recorded `kubectl debug` in a namespace with isolation, and attempts to bypass it.
#[tokio::test]
async fn ephemeral_containers_are_checked_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = recorded_cluster(dir.path());
    let server = Server::start(dir.path(), "policies", &cluster).await;
    let client = test_server::client(&server.ca).build().unwrap();
    let text = recorded("admission/pod-update-ephemeralcontainers-subresource.json");
    let mutate = async |namespace: &str, env: Option<Value>| -> (Value, Value) {
        let mut body: Value = serde_json::from_str(&text).unwrap();
        body["request"]["namespace"] = json!(namespace);
        for object in ["object", "oldObject"] {
            body["request"][object]["metadata"]["namespace"] = json!(namespace);
        }
        if let Some(env) = env {
            body["request"]["object"]["spec"]["ephemeralContainers"][0]["env"] = env;
        }
        let call = client.post(format!("https://{}/mutate", server.webhook));
        let answer = call.body(body.to_string()).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        (body["request"]["object"].clone(), answer["response"].clone())
    };
    let all = json!([{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}]);
    let (_, response) = mutate("tenants", Some(all.clone())).await;
    assert_eq!(
        (&response["allowed"], &response["status"]["code"]),
        (&json!(false), &json!(403))
    );
    let message = response["status"]["message"].as_str().unwrap();
    let start = "apportion (multi-tenant): spec.ephemeralContainers[0].env[0]: sets NVIDIA_VISIBLE_DEVICES, ";
    assert!(
        message.starts_with(start)
            && message.contains("; remove it; only containers that a pod is created with can get GPUs"),
        "{message}"
    );
    assert!(response.get("patch").is_none());

    let (mut pod, response) = mutate("tenants", None).await;
    assert_eq!(response["allowed"], true);
    let patch = response["patch"].as_str().unwrap();
    let patch = base64::engine::general_purpose::STANDARD.decode(patch).unwrap();
    let mut expected = pod.clone();
    expected["spec"]["ephemeralContainers"][0]["env"] = json!([{"name": "NVIDIA_VISIBLE_DEVICES", "value": "void"}]);
    json_patch::patch(&mut pod, &serde_json::from_slice::<json_patch::Patch>(&patch).unwrap()).unwrap();
    assert_eq!(pod, expected, "and nothing else of the running pod");

    let (_, response) = mutate("dev", Some(all)).await;
    assert_eq!(
        (&response["allowed"], response.get("patch")),
        (&json!(true), None),
        "no isolation asked for"
    );
    let denied = r#"apportion_admissions_total{policy="multi-tenant",mode="Enforce",outcome="denied",strategy=""} 1"#;
    assert!(server.metric(denied).await);
}

#[tokio::test]
async fn changed_policies_are_loaded_and_invalid_ones_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let policies = dir.path().join("policies");
    std::fs::create_dir(&policies).unwrap();
    let write = |strategy: &str| {
        let text = format!(
            "apiVersion: apportion.dev/v1alpha1\nkind: GpuSharingPolicy\nmetadata: {{name: development}}\nspec: {{strategies: [{{strategy: {strategy}}}]}}\n"
        );
        std::fs::write(policies.join("development.yaml"), text).unwrap();
    };
    write("time-slicing");
    let cluster = recorded_cluster(dir.path());
    let server = Server::start(dir.path(), policies.to_str().unwrap(), &cluster).await;
    let client = test_server::client(&server.ca).build().unwrap();
    let strategy = async || -> String {
        let answer = client
            .post(format!("https://{}/mutate", server.webhook))
            .body(recorded("admission/pod-create-gpu-1.json"));
        let answer: Value = answer.send().await.unwrap().json().await.unwrap();
        answer["response"]["auditAnnotations"]["because"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let until = async |line: &str| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !server.metric(line).await {
            assert!(Instant::now() < deadline, "no {line}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    assert!(strategy().await.contains("time-slicing"));
    write("time-slicng");
    until("apportion_last_reload_successful 0").await;
    assert!(strategy().await.contains("time-slicing"));
    write("exclusive");
    until("apportion_last_reload_successful 1").await;
    assert!(strategy().await.contains("exclusive"));
}
