//! Watching one kind.
//!
//! A relist, after a lost connection or an expired resource version, reports objects again and says
//! nothing about those that were deleted meanwhile. Objects stay known until the relist is
//! complete, and those that it did not report are removed then, so no answer comes from half a
//! list.
//!
//! Most pods have no GPU. They are dropped here without remembering their names: for four fifths of
//! a cluster's pods these would take some ten MiB.

use std::collections::HashSet;
use std::time::Duration;

use futures::StreamExt as _;
use kube::runtime::utils::{Backoff, ResetTimerBackoff};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};
use kube::{Api, Client};
use tokio::sync::mpsc::Sender;

use super::kind::{Kind, Trimmed};

/// What happened to the objects of a kind.
#[derive(Debug)]
pub enum Change<K: Kind> {
    /// An object was created or has changed.
    Put(String, K::Kept),
    /// An object was deleted, or is no longer relevant.
    Gone(String),
    /// The list is complete.
    Synced,
    /// The API server does not have the kind.
    NotInstalled,
    /// The watch failed and is being restarted.
    Broken(String),
}

/// Objects in one page of a list: 500 pods are some MiB of JSON.
const PAGE: u32 = 500;

const MIN_BACKOFF: Duration = Duration::from_millis(500);
const MAX_BACKOFF: Duration = Duration::from_secs(4);

/// Doubles from [`MIN_BACKOFF`] to [`MAX_BACKOFF`]. kube's maximum of 30 s is too long: a new
/// namespace with a pod in it would be rejected until then, though the API server is back.
struct DoublingBackoff(Duration);

impl Iterator for DoublingBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = self.0;
        self.0 = MAX_BACKOFF.min(wait * 2);
        Some(wait)
    }
}

impl Backoff for DoublingBackoff {
    fn reset(&mut self) {
        self.0 = MIN_BACKOFF;
    }
}

/// Watches all objects of a kind and sends what happens, until the receiver is dropped.
pub async fn follow<K: Kind, C: From<Change<K>>>(client: Client, changes: Sender<C>) {
    let config = watcher::Config::default().page_size(PAGE);
    let api: Api<Trimmed<K>> = Api::all(client);
    // Reset only after a while without errors, so that a server that answers and then fails gets
    // few requests.
    let backoff = ResetTimerBackoff::new(DoublingBackoff(MIN_BACKOFF), Duration::from_mins(2));
    let mut events = std::pin::pin!(watch(api, config).backoff(backoff));
    let send = async |change: Change<K>| changes.send(C::from(change)).await;
    let mut known: HashSet<String> = HashSet::new();
    let mut listed: HashSet<String> = HashSet::new();
    while let Some(event) = events.next().await {
        let outcome = match event {
            Ok(Event::Init) => {
                listed.clear();
                Ok(())
            }
            // If it was relevant before, it is removed at the end of the list.
            Ok(Event::InitApply(object)) if !K::is_relevant(&object.kept) => Ok(()),
            Ok(Event::InitApply(object)) => {
                let key = object.key();
                listed.insert(key.clone());
                send(Change::Put(key, object.kept)).await
            }
            Ok(Event::InitDone) => {
                let gone: Vec<String> = known.difference(&listed).cloned().collect();
                known = std::mem::take(&mut listed);
                let mut outcome = Ok(());
                for key in gone {
                    outcome = send(Change::Gone(key)).await;
                }
                if outcome.is_ok() {
                    send(Change::Synced).await
                } else {
                    outcome
                }
            }
            Ok(Event::Apply(object)) if K::is_relevant(&object.kept) => {
                let key = object.key();
                known.insert(key.clone());
                send(Change::Put(key, object.kept)).await
            }
            // Deleted, or no longer relevant, such as a pod that has completed.
            Ok(Event::Apply(object) | Event::Delete(object)) => {
                let key = object.key();
                if known.remove(&key) {
                    send(Change::Gone(key)).await
                } else {
                    Ok(())
                }
            }
            // A kind that is not installed has no objects. The watch retries, so it sees a later
            // installation.
            Err(watcher::Error::InitialListFailed(kube::Error::Api(status))) if status.code == 404 => {
                send(Change::NotInstalled).await
            }
            Err(error) => send(Change::Broken(message(&error))).await,
        };
        if outcome.is_err() {
            return;
        }
    }
}

/// The API server's own message if there is one.
fn message(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => status.message.clone(),
        other => other.to_string(),
    }
}
