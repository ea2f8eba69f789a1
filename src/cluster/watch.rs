//! Watching one kind.
//!
//! A relist (after a lost connection, or when the server has forgotten our resource version) reports objects again and says nothing of
//! those that are gone meanwhile. What was known stays until the relist is whole, and what it did not bring goes then: at no moment is
//! the answer that of half a list.
//!
//! Most pods have no GPU. They end here, without their names being remembered: four fifths of a cluster's pods would be some ten MiB of
//! names.

use std::collections::HashSet;
use std::time::Duration;

use futures::StreamExt as _;
use kube::runtime::utils::{Backoff, ResetTimerBackoff};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};
use kube::{Api, Client};
use tokio::sync::mpsc::Sender;

use super::kind::{Kind, Trimmed};

/// What happened to an object.
#[derive(Debug)]
pub enum Change<K: Kind> {
    /// It is there, or has changed.
    Put(String, K::Kept),
    /// It is gone.
    Gone(String),
    /// The list is whole.
    Synced,
    /// The cluster does not have the kind.
    NotInstalled,
    /// The watch broke; it is being taken up again.
    Broken(String),
}

/// Objects in one page of a list: 500 pods are some MiB of JSON.
const PAGE: u32 = 500;

const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(4);

/// How long a broken watch waits before it is taken up again: twice as long each time. Half a minute, kube's longest, is too much:
/// whoever makes a namespace and a pod in it is turned away until then, though the API server has long been back.
struct Waits(Duration);

impl Iterator for Waits {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = self.0;
        self.0 = LONGEST_WAIT.min(wait * 2);
        Some(wait)
    }
}

impl Backoff for Waits {
    fn reset(&mut self) {
        self.0 = FIRST_WAIT;
    }
}

/// Watches all objects of a kind for ever, and sends what happens. Ends when nobody listens any more.
pub async fn follow<K: Kind>(client: Client, changes: Sender<Change<K>>) {
    let config = watcher::Config::default().page_size(PAGE);
    let api: Api<Trimmed<K>> = Api::all(client);
    // Back to the first wait only after a while without an error: a server that answers and breaks off is not asked in a hurry.
    let waits = ResetTimerBackoff::new(Waits(FIRST_WAIT), Duration::from_mins(2));
    let mut events = std::pin::pin!(watch(api, config).backoff(waits));
    let mut known: HashSet<String> = HashSet::new();
    let mut listed: HashSet<String> = HashSet::new();
    while let Some(event) = events.next().await {
        let told = match event {
            Ok(Event::Init) => {
                listed.clear();
                Ok(())
            }
            // One that was of use before goes with the end of the list.
            Ok(Event::InitApply(object)) if !K::is_of_use(&object.kept) => Ok(()),
            Ok(Event::InitApply(object)) => {
                let key = object.key();
                listed.insert(key.clone());
                changes.send(Change::Put(key, object.kept)).await
            }
            Ok(Event::InitDone) => {
                let gone: Vec<String> = known.difference(&listed).cloned().collect();
                known = std::mem::take(&mut listed);
                let mut told = Ok(());
                for key in gone {
                    told = changes.send(Change::Gone(key)).await;
                }
                if told.is_ok() {
                    changes.send(Change::Synced).await
                } else {
                    told
                }
            }
            Ok(Event::Apply(object)) if K::is_of_use(&object.kept) => {
                let key = object.key();
                known.insert(key.clone());
                changes.send(Change::Put(key, object.kept)).await
            }
            // Gone, or of no use any more: a pod that has run to its end.
            Ok(Event::Apply(object) | Event::Delete(object)) => {
                let key = object.key();
                if known.remove(&key) {
                    changes.send(Change::Gone(key)).await
                } else {
                    Ok(())
                }
            }
            // A kind that is not installed has no objects. The watch goes on asking, so it is seen when it comes.
            Err(watcher::Error::InitialListFailed(kube::Error::Api(status))) if status.code == 404 => {
                changes.send(Change::NotInstalled).await
            }
            Err(error) => changes.send(Change::Broken(reason(&error))).await,
        };
        if told.is_err() {
            return;
        }
    }
}

/// What to tell a person: the API server's own sentence where there is one.
fn reason(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => status.message.clone(),
        other => other.to_string(),
    }
}
