//! Events on pods: that they break their policy, that they were evicted.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::mpsc::Receiver;

use super::api_error::{ApiError, patiently};
use super::lease::Leadership;
use crate::service::PodViolation;

/// The controller that Events name.
const CONTROLLER: &str = "apportion.dev/apportion";
/// The reason of Events on pods that break their policy.
pub const REASON: &str = "GpuPolicyBreach";
/// At least so long between two Events: a policy that changes can make thousands of breaches at once.
const PACE: Duration = Duration::from_millis(100);
/// How often one is tried.
const TRIES: u32 = 4;
/// What Events say that was done.
const ACTION: &str = "HoldAgainstPolicy";
/// The most bytes that the API server takes for a note.
const LONGEST: usize = 1024;
/// And for a name.
const LONGEST_NAME: usize = 253;

/// What is to be said of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    namespace: String,
    pod: String,
    uid: String,
    kind: &'static str,
    about: About,
    note: String,
}

/// What an Event is about, in the words of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// `Warning` or `Normal`.
    pub severity: &'static str,
    /// Its reason.
    pub reason: &'static str,
    /// What was done.
    pub action: &'static str,
}

impl Notice {
    /// That of a pod, by `namespace/name`.
    pub fn of(key: &str, sighting: &PodViolation) -> Self {
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
            about: About {
                severity: "Warning",
                reason: REASON,
                action: ACTION,
            },
            note,
        }
    }

    /// That a pod, by `namespace/name`, was evicted, or that others were for it. `kind` tells its Event from others on the pod.
    pub fn evicted((key, uid): (&str, &str), kind: &'static str, mut note: String) -> Self {
        let (namespace, pod) = key.split_once('/').unwrap_or(("default", key));
        note.truncate(note.floor_char_boundary(LONGEST));
        Notice {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            uid: uid.to_owned(),
            kind,
            about: About {
                severity: "Normal",
                reason: "GpuPreempted",
                action: "Preempting",
            },
            note,
        }
    }

    /// The Event. Its name is made of what it says and not of the time, so that it is there once, whoever writes it.
    fn event(&self, instance: &str, now: Timestamp) -> Event {
        let kind = self.kind.replace('_', "-");
        let room = LONGEST_NAME.saturating_sub(self.uid.len() + kind.len() + 2);
        let pod = self.pod[..self.pod.floor_char_boundary(room)].trim_end_matches(['.', '-']);
        Event {
            metadata: ObjectMeta {
                namespace: Some(self.namespace.clone()),
                name: Some(format!("{pod}.{}.{kind}", self.uid)),
                ..ObjectMeta::default()
            },
            action: Some(self.about.action.to_owned()),
            reason: Some(self.about.reason.to_owned()),
            type_: Some(self.about.severity.to_owned()),
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

/// Writes Events for ever, one after the other, while we lead.
pub async fn write(
    client: Client,
    instance: Option<String>,
    mut notices: Receiver<Notice>,
    tenure: Option<Leadership>,
) {
    let instance = instance.unwrap_or_else(|| CONTROLLER.to_owned());
    let mut complained = false;
    while let Some(notice) = notices.recv().await {
        // Whoever leads now finds the same and tells it.
        if tenure.as_ref().is_none_or(Leadership::is_ours) {
            let failed = publish(&client, &notice, &instance).await.err();
            // Once for all that fail one after the other: a right that is missing is missing for thousands of pods.
            if let Some(why) = failed.as_ref().filter(|_| !complained) {
                let pod = format!("{}/{}", notice.namespace, notice.pod);
                tracing::warn!(pod, %why, "Events can not be written; /breaches has what they would say");
            }
            complained = failed.is_some();
        }
        tokio::time::sleep(PACE).await;
    }
}

pub(super) async fn publish(client: &Client, notice: &Notice, instance: &str) -> Result<(), ApiError> {
    let event = notice.event(instance, Timestamp::now());
    let events: Api<Event> = Api::namespaced(client.clone(), &notice.namespace);
    let mut wait = Duration::from_secs(1);
    let mut tries = TRIES;
    loop {
        tries -= 1;
        match patiently(events.create(&PostParams::default(), &event)).await {
            Ok(_) => return Ok(()),
            // Another replica has told it, or we have before we were started anew.
            Err(refusal) if refusal.is_conflict() => return Ok(()),
            Err(refusal) if tries == 0 || refusal.is_final() => return Err(refusal),
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
    fn one_breach_makes_one_event_whoever_writes_it() {
        let sighting = |reason: &str| PodViolation {
            uid: "7c1e0a52-5d0c-4f5f-8d0e-2b7f7b1c9a11".into(),
            policy: "p".into(),
            breach: Violation {
                kind: ViolationKind::NotRewritten,
                field: "spec".to_owned(),
                reason: reason.to_owned(),
                hint: "h".to_owned(),
            },
            since: Timestamp::UNIX_EPOCH,
        };
        let event = |pod: &str, reason: &str, instance: &str| {
            Notice::of(&format!("n/{pod}"), &sighting(reason)).event(instance, Timestamp::UNIX_EPOCH)
        };
        let name = |event: &Event| event.metadata.name.clone().unwrap();
        let one = event("web-0", "x", "a");
        assert_eq!(name(&one), "web-0.7c1e0a52-5d0c-4f5f-8d0e-2b7f7b1c9a11.not-rewritten");
        assert_eq!(name(&event("web-0", "y", "b")), name(&one));
        assert_eq!(one.note.as_deref(), Some("breaks policy p: spec: x; h"));
        // What the API server takes: a name of 253 characters, which ends a part with a letter or digit, and a note of 1 KiB.
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
