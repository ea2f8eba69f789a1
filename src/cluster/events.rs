//! Events on pods: policy violations and preemption.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::mpsc::Receiver;

use super::api::{ApiError, with_timeout};
use super::lease::Leadership;
use crate::service::PodViolation;

/// The reporting controller of Events.
const CONTROLLER: &str = "apportion.dev/apportion";
/// The reason of Events on pods that violate their policy.
pub const VIOLATION_REASON: &str = "GpuPolicyBreach";
/// The least time between two Events: a changed policy can cause thousands of violations at once.
const WRITE_INTERVAL: Duration = Duration::from_millis(100);
/// Attempts to write one Event.
const ATTEMPTS: u32 = 4;
/// The action of Events on violations.
const ACTION: &str = "HoldAgainstPolicy";
/// The API server's limit for a note, in bytes.
const MAX_NOTE: usize = 1024;
/// The API server's limit for a name, in bytes.
const MAX_NAME: usize = 253;

/// An Event on a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodEvent {
    namespace: String,
    pod: String,
    uid: String,
    kind: &'static str,
    class: EventClass,
    note: String,
}

/// The fields of an Event that depend on its cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EventClass {
    /// `Warning` or `Normal`.
    severity: &'static str,
    reason: &'static str,
    action: &'static str,
}

impl PodEvent {
    /// A violation of the pod `key` (`namespace/name`).
    pub fn violation(key: &str, found: &PodViolation) -> Self {
        let (namespace, pod) = key.split_once('/').unwrap_or(("default", key));
        let violation = &found.violation;
        let mut note = format!(
            "violates policy {}: {}: {}; {}",
            found.policy, violation.field, violation.reason, violation.hint
        );
        note.truncate(note.floor_char_boundary(MAX_NOTE));
        PodEvent {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            uid: found.uid.to_string(),
            kind: violation.kind.as_str(),
            class: EventClass {
                severity: "Warning",
                reason: VIOLATION_REASON,
                action: ACTION,
            },
            note,
        }
    }

    /// A preemption of or for the pod `key` (`namespace/name`). `kind` distinguishes its Event from
    /// others on the pod.
    pub fn preemption((key, uid): (&str, &str), kind: &'static str, mut note: String) -> Self {
        let (namespace, pod) = key.split_once('/').unwrap_or(("default", key));
        note.truncate(note.floor_char_boundary(MAX_NOTE));
        PodEvent {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            uid: uid.to_owned(),
            kind,
            class: EventClass {
                severity: "Normal",
                reason: "GpuPreempted",
                action: "Preempting",
            },
            note,
        }
    }

    /// The Event. Its name contains its cause instead of the time, so that it exists once,
    /// whichever replica writes it.
    fn to_event(&self, instance: &str, now: Timestamp) -> Event {
        let kind = self.kind.replace('_', "-");
        let room = MAX_NAME.saturating_sub(self.uid.len() + kind.len() + 2);
        let pod = self.pod[..self.pod.floor_char_boundary(room)].trim_end_matches(['.', '-']);
        Event {
            metadata: ObjectMeta {
                namespace: Some(self.namespace.clone()),
                name: Some(format!("{pod}.{}.{kind}", self.uid)),
                ..ObjectMeta::default()
            },
            action: Some(self.class.action.to_owned()),
            reason: Some(self.class.reason.to_owned()),
            type_: Some(self.class.severity.to_owned()),
            note: Some(self.note.clone()),
            event_time: Some(MicroTime(now)),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(instance.to_owned()),
            regarding: Some(ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Pod".to_owned()),
                name: Some(self.pod.clone()),
                namespace: Some(self.namespace.clone()),
                uid: Some(self.uid.clone()),
                ..ObjectReference::default()
            }),
            ..Event::default()
        }
    }
}

/// Writes queued Events one after the other, while this replica leads.
pub async fn write(
    client: Client,
    instance: Option<String>,
    mut queue: Receiver<PodEvent>,
    leadership: Option<Leadership>,
) {
    let instance = instance.unwrap_or_else(|| CONTROLLER.to_owned());
    let mut failing = false;
    while let Some(event) = queue.recv().await {
        // Another leader finds the same and writes it.
        if leadership.as_ref().is_none_or(Leadership::is_ours) {
            let error = publish(&client, &event, &instance).await.err();
            // One line for consecutive failures: a missing permission fails for thousands of pods.
            if let Some(error) = error.as_ref().filter(|_| !failing) {
                let pod = format!("{}/{}", event.namespace, event.pod);
                tracing::warn!(pod, %error, "cannot write Events; /breaches lists the same violations");
            }
            failing = error.is_some();
        }
        tokio::time::sleep(WRITE_INTERVAL).await;
    }
}

pub(super) async fn publish(client: &Client, event: &PodEvent, instance: &str) -> Result<(), ApiError> {
    let events: Api<Event> = Api::namespaced(client.clone(), &event.namespace);
    let event = event.to_event(instance, Timestamp::now());
    let mut wait = Duration::from_secs(1);
    let mut attempts = ATTEMPTS;
    loop {
        attempts -= 1;
        match with_timeout(events.create(&PostParams::default(), &event)).await {
            Ok(_) => return Ok(()),
            // Another replica wrote it, or this one before a restart.
            Err(error) if error.is_conflict() => return Ok(()),
            Err(error) if attempts == 0 || error.is_permanent() => return Err(error),
            Err(_) => {}
        }
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apportion_core::decision::{Violation, ViolationKind};

    #[test]
    fn a_violation_has_one_event_whichever_replica_writes_it() {
        let found = |reason: &str| PodViolation {
            uid: "7c1e0a52-5d0c-4f5f-8d0e-2b7f7b1c9a11".into(),
            policy: "p".into(),
            violation: Violation {
                kind: ViolationKind::NotRewritten,
                field: "spec".to_owned(),
                reason: reason.to_owned(),
                hint: "h".to_owned(),
            },
            since: Timestamp::UNIX_EPOCH,
        };
        let event = |pod: &str, reason: &str, instance: &str| {
            PodEvent::violation(&format!("n/{pod}"), &found(reason)).to_event(instance, Timestamp::UNIX_EPOCH)
        };
        let name = |event: &Event| event.metadata.name.clone().unwrap();
        let one = event("web-0", "x", "a");
        assert_eq!(name(&one), "web-0.7c1e0a52-5d0c-4f5f-8d0e-2b7f7b1c9a11.not-rewritten");
        assert_eq!(name(&event("web-0", "y", "b")), name(&one));
        assert_eq!(one.note.as_deref(), Some("violates policy p: spec: x; h"));
        // The API server allows names of 253 characters, whose parts end in a letter or digit, and
        // notes of 1 KiB.
        let long = event(
            &format!("{}.{}", "a".repeat(196), "b".repeat(56)),
            &"\u{e4}".repeat(2000),
            "a",
        );
        assert!(
            name(&long).len() <= 253 && !name(&long).contains(".."),
            "{}",
            name(&long)
        );
        assert_eq!(long.note.unwrap().len(), 1024 - 1);
    }
}
