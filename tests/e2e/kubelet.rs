//! What kubelets would say: bound pods run, deleted ones go, and those of Jobs finish when they are
//! told to.

use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const INTERVAL: Duration = Duration::from_millis(200);

/// One task for all nodes.
pub(crate) struct Kubelet {
    finish: Rc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Kubelet {
    /// Needs a `LocalSet`, because everything runs on the thread of its test.
    pub(crate) fn start(client: Client) -> Self {
        let finish = Rc::new(AtomicBool::new(false));
        let told = Rc::clone(&finish);
        let task = tokio::task::spawn_local(async move {
            loop {
                // The API server may be down; the next round retries.
                let _ = round(&client, told.load(Ordering::Relaxed)).await;
                tokio::time::sleep(INTERVAL).await;
            }
        });
        Kubelet { finish, task }
    }

    /// Stops all updates: pods stay as they were bound.
    pub(crate) fn fall_silent(&self) {
        self.task.abort();
    }

    /// Whether running pods of Jobs succeed.
    pub(crate) fn finish_jobs(&self, finish: bool) {
        self.finish.store(finish, Ordering::Relaxed);
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn round(client: &Client, finish: bool) -> kube::Result<()> {
    let everywhere: Api<Pod> = Api::all(client.clone());
    let bound = ListParams::default().fields("spec.nodeName!=");
    for pod in everywhere.list(&bound).await? {
        let pods: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
        let name = pod.name_any();
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let status = match phase {
            _ if pod.metadata.deletion_timestamp.is_some() => {
                let _ = pods.delete(&name, &DeleteParams::default().grace_period(0)).await;
                continue;
            }
            Some("Running") if finish && pod.labels().contains_key("job-name") => finished(),
            Some("Pending") => running(),
            _ => continue,
        };
        // It may have been deleted.
        let _ = pods
            .patch_status(
                &name,
                &PatchParams::default(),
                &Patch::Strategic(json!({"status": status})),
            )
            .await;
    }
    Ok(())
}

fn running() -> Value {
    let conditions = ["Initialized", "ContainersReady", "Ready"]
        .map(|kind| json!({"type": kind, "status": "True", "lastTransitionTime": now()}));
    json!({"phase": "Running", "startTime": now(), "conditions": conditions})
}

fn finished() -> Value {
    json!({"phase": "Succeeded", "conditions": [{"type": "Ready", "status": "False", "reason": "PodCompleted"}]})
}

fn now() -> String {
    // In seconds, like metav1.Time.
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
