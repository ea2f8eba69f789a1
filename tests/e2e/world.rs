//! A control plane with the example cluster, and Apportion as its webhook and scheduler extender.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures::FutureExt as _;

use crate::apportion::Apportion;
use crate::binaries::Binaries;
use crate::cluster::{Cluster, until};
use crate::control_plane::ControlPlane;
use crate::kubectl::Kubectl;
use crate::kubelet::Kubelet;

/// The timeout of a scenario.
const LIMIT: Duration = Duration::from_mins(3);

/// Everything that a scenario uses.
pub(crate) struct World {
    pub(crate) kubelet: Kubelet,
    pub(crate) apportion: Apportion,
    pub(crate) kubectl: Kubectl,
    pub(crate) cluster: Cluster,
    pub(crate) plane: ControlPlane,
}

impl World {
    /// Starts all of it.
    pub(crate) async fn start(binaries: Binaries) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let start = Instant::now();
        println!("{}", binaries.versions());
        let plane = ControlPlane::start(binaries).await;
        let kubectl = Kubectl::new(plane.binaries().path("kubectl"), plane.kubeconfig("admin"), plane.dir());
        install(&kubectl).await;
        let cluster = Cluster::fill(plane.client().await).await;
        let apportion = Apportion::start(&plane, &kubectl).await;
        apportion.register(&cluster.client, "Fail").await;
        plane.schedule(&apportion.extenders());
        let kubelet = Kubelet::start(cluster.client.clone());
        let world = World {
            kubelet,
            apportion,
            kubectl,
            cluster,
            plane,
        };
        world.webhook_is_called().await;
        println!("      {:>6.1?}  control plane, cluster and apportion", start.elapsed());
        world
    }

    /// A new registration takes effect after a moment.
    pub(crate) async fn webhook_is_called(&self) {
        until("the API server to call the webhook", async || {
            let pod = pod("playground", "probe", "{resources: {limits: {nvidia.com/gpu: 1}}}");
            let args = ["create", "--dry-run=server", "-o", "yaml", "-f", "-"];
            let said = self.kubectl.feed(&args, &pod).await;
            said.out.contains("apportion.dev/decision").then_some(())
        })
        .await;
    }
}

/// Applies `deploy/manifests` as documented. `apportion.rs` runs the pods of the Deployments.
async fn install(kubectl: &Kubectl) {
    kubectl
        .run(&["apply", "--server-side", "-f", "deploy/manifests/crds.yaml"])
        .await
        .fine();
    let crd = "crd/gpusharingpolicies.apportion.dev";
    kubectl
        .run(&["wait", crd, "--for=condition=Established", "--timeout=30s"])
        .await
        .fine();
    for file in ["install", "policies"] {
        let file = format!("deploy/manifests/{file}.yaml");
        kubectl.run(&["apply", "--server-side", "-f", &file]).await.fine();
    }
}

/// Runs scenarios one after the other. A failing one does not stop the next.
pub(crate) struct Run {
    only: Option<String>,
    passed: usize,
    failed: Vec<&'static str>,
}

impl Run {
    pub(crate) fn new() -> Self {
        Run {
            only: std::env::var("APPORTION_E2E").ok(),
            passed: 0,
            failed: Vec::new(),
        }
    }

    /// Runs a scenario and prints how long it took. `APPORTION_E2E=words` runs only those whose
    /// names contain the words.
    pub(crate) fn scenario(&mut self, name: &'static str, what: impl Future<Output = ()>) -> impl Future<Output = ()> {
        self.scenario_within(LIMIT, name, what)
    }

    /// The same with another timeout.
    pub(crate) async fn scenario_within(
        &mut self,
        limit: Duration,
        name: &'static str,
        what: impl Future<Output = ()>,
    ) {
        if self.only.as_ref().is_some_and(|only| !name.contains(only)) {
            return;
        }
        let start = Instant::now();
        let ended = AssertUnwindSafe(tokio::time::timeout(limit, what)).catch_unwind().await;
        let verdict = match ended {
            Ok(Ok(())) => {
                self.passed += 1;
                "ok"
            }
            Ok(Err(_)) => {
                println!("not done after {limit:?}");
                self.failed.push(name);
                "FAIL"
            }
            Err(_) => {
                self.failed.push(name);
                "FAIL"
            }
        };
        println!("{verdict:<4}  {:>5.1}s  {name}", start.elapsed().as_secs_f64());
    }

    /// Fails if a scenario failed.
    pub(crate) fn end(self) {
        println!("{} scenarios passed, {} failed", self.passed, self.failed.len());
        assert!(self.failed.is_empty(), "failed: {}", self.failed.join("; "));
    }
}

/// A pod with one container and the toleration for GPU nodes of the example.
pub(crate) fn pod(namespace: &str, name: &str, container: &str) -> String {
    pod_with(namespace, name, container, "{}")
}

/// The same with a nodeSelector.
pub(crate) fn pod_with(namespace: &str, name: &str, container: &str, selector: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}}}
spec: {}
",
        spec(container, selector)
    )
}

/// A pod's spec on one line.
pub(crate) fn spec(container: &str, selector: &str) -> String {
    let container = container.strip_prefix('{').unwrap();
    format!(
        "{{terminationGracePeriodSeconds: 0, nodeSelector: {selector}, \
         tolerations: [{{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}}], \
         containers: [{{name: main, image: registry.fjord.example/main:1, {container}]}}"
    )
}

/// A container that requests `nvidia.com/gpu`.
pub(crate) fn gpus(count: u32) -> String {
    format!("{{resources: {{limits: {{nvidia.com/gpu: {count}}}}}}}")
}
