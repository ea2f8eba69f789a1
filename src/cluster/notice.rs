//! Events on pods that break their policy.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;

use crate::service::Sighting;

/// The controller that Events name.
const CONTROLLER: &str = "apportion.dev/apportion";
/// The reason of Events on pods that break their policy.
pub const REASON: &str = "GpuPolicyBreach";
/// At least so long between two Events: a policy that changes can make thousands of breaches at once.
const PACE: Duration = Duration::from_millis(100);
/// How often one is tried.
const TRIES: u32 = 4;
/// The most bytes that the API server takes for a note.
const LONGEST: usize = 1024;

/// What is to be said of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    namespace: String,
    pod: String,
    uid: String,
    kind: &'static str,
    note: String,
}

impl Notice {
    /// That of a pod, by `namespace/name`.
    pub fn of(key: &str, sighting: &Sighting) -> Self {
        let (namespace, pod) = key.split_once('/').unwrap_or(("default", key));
        let breach = &sighting.breach;
        let mut note = format!(
            "breaks policy {}: {}: {}; {}",
            sighting.policy, breach.field, breach.reason, breach.hint
        );
        note.truncate(note.floor_char_boundary(LONGEST));
        Notice {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            uid: sighting.uid.to_string(),
            kind: breach.kind.as_str(),
            note,
        }
    }
}

/// Writes Events for ever, one after the other, while we lead.
pub async fn write(
    client: Client,
    instance: Option<String>,
    mut notices: Receiver<Notice>,
    leads: watch::Receiver<bool>,
) {
    let reporter = Reporter {
        controller: CONTROLLER.to_owned(),
        instance,
    };
    let recorder = Recorder::new(client, reporter);
    while let Some(notice) = notices.recv().await {
        // Whoever leads now finds the same and tells it.
        if *leads.borrow() {
            publish(&recorder, &notice).await;
        }
        tokio::time::sleep(PACE).await;
    }
}

async fn publish(recorder: &Recorder, notice: &Notice) {
    let event = Event {
        type_: EventType::Warning,
        reason: REASON.to_owned(),
        note: Some(notice.note.clone()),
        // Two kinds of breaches are two Events, not one that is counted up.
        action: notice.kind.to_owned(),
        secondary: None,
    };
    let pod = ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        name: Some(notice.pod.clone()),
        namespace: Some(notice.namespace.clone()),
        uid: Some(notice.uid.clone()),
        ..ObjectReference::default()
    };
    let mut wait = Duration::from_secs(1);
    for tried in 1..=TRIES {
        let Err(error) = recorder.publish(&event, &pod).await else {
            return;
        };
        let is_final =
            matches!(&error, kube::Error::Api(status) if (400..500).contains(&status.code) && status.code != 429);
        if is_final || tried == TRIES {
            let pod = format!("{}/{}", notice.namespace, notice.pod);
            tracing::warn!(pod, %error, "an Event could not be written; /breaches has what it would say");
            return;
        }
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
}
