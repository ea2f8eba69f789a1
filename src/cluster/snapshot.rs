//! One look at a live cluster, for verbs that do not stay.

use kube::api::ListParams;
use kube::core::Request;
use kube::{Api, Client};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::device_classes::Classes;
use super::kind::{Kind, Namespaces, Nodes, Pods, Policies, Trimmed};
use super::policies::{PolicyBook, Verdict};
use apportion_audit::prometheus::causes;
use apportion_core::inventory::Ledger;
use apportion_core::policy::{Policy, PolicySet};

/// What whoever looks must be allowed to do.
const NEEDED: &str = "to look at a cluster takes the right to list nodes, namespaces, pods and gpusharingpolicies.apportion.dev in all of it";

/// Objects in one page of a list.
const PAGE: u32 = 500;

/// Why the cluster could not be seen. Displayed whole, as what kube says repeats itself.
#[derive(Debug, thiserror::Error)]
#[error("cannot list {resource}: {}", words(.error))]
pub struct SnapshotError {
    resource: &'static str,
    error: kube::Error,
}

/// An answer of the API server in its own words, without the object that they came in; else what went wrong on the way there.
fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 403 => format!("{}; {NEEDED}", status.message),
        kube::Error::Api(status) => status.message.clone(),
        other => causes(other),
    }
}

/// The nodes, namespaces, pods and device classes that there are now.
pub async fn ledger(client: &Client) -> Result<Ledger, SnapshotError> {
    let mut ledger = Ledger::default();
    each::<Nodes>(client, |_, node| {
        ledger.put_node(node);
    })
    .await?;
    each::<Namespaces>(client, |name, labels| {
        ledger.put_namespace(name, labels);
    })
    .await?;
    each::<Pods>(client, |key, record| {
        ledger.put_pod(key, record.map(|record| *record));
    })
    .await?;
    match each::<Classes>(client, |name, resource| {
        ledger.put_device_class(name, resource);
    })
    .await
    {
        // Not installed, or not for us to see: then nothing is left to them.
        Err(SnapshotError {
            error: kube::Error::Api(status),
            ..
        }) if matches!(status.code, 403 | 404) => {}
        listed => listed?,
    }
    Ok(ledger)
}

/// The policies of the cluster beside those of `files`, and what is wrong with those that can not be used.
pub async fn policies(client: &Client, files: Vec<Policy>) -> Result<(PolicySet, Vec<String>), SnapshotError> {
    let mut book = PolicyBook::of_files(files);
    match each::<Policies>(client, |name, object| {
        book.put(name, object);
    })
    .await
    {
        // Not installed here: those of files govern alone.
        Err(SnapshotError {
            error: kube::Error::Api(status),
            ..
        }) if status.code == 404 => {}
        listed => listed?,
    }
    let wrong = book.verdicts().filter_map(|(name, _, verdict)| match verdict {
        Verdict::Invalid(why) => Some(format!("policy {name} can not be used: {why}")),
        Verdict::Accepted | Verdict::Shadowed => None,
    });
    let wrong = wrong.collect();
    Ok((PolicySet::clone(&book.set()), wrong))
}

/// The nodes, namespaces and pods that there are now as one list in JSON: what `kubectl` prints, see [`apportion_core::inventory::dump`].
pub async fn dump(client: &Client) -> Result<String, SnapshotError> {
    #[derive(Deserialize)]
    struct Page<'a> {
        #[serde(default)]
        metadata: Meta,
        #[serde(borrow)]
        items: Vec<&'a RawValue>,
    }
    #[derive(Default, Deserialize)]
    struct Meta {
        #[serde(default, rename = "continue")]
        token: Option<String>,
    }
    let mut items: Vec<String> = Vec::new();
    for (resource, kind) in [("nodes", "Node"), ("namespaces", "Namespace"), ("pods", "Pod")] {
        let failed = |error: kube::Error| SnapshotError { resource, error };
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let request = Request::new(format!("/api/v1/{resource}")).list(&page);
            let request = request.map_err(|error| failed(kube::Error::BuildRequest(error)))?;
            let text = client.request_text(request).await.map_err(failed)?;
            let list: Page<'_> = serde_json::from_str(&text).map_err(|error| failed(kube::Error::SerdeError(error)))?;
            // The items of a list do not repeat their kind; every one has metadata.
            let named = |item: &&RawValue| format!("{{\"kind\":\"{kind}\",{}", item.get().trim_start_matches('{'));
            items.extend(list.items.iter().map(named));
            match list.metadata.token.filter(|token| !token.is_empty()) {
                Some(token) => page = page.continue_token(&token),
                None => break,
            }
        }
    }
    Ok(format!("{{\"kind\":\"List\",\"items\":[{}]}}", items.join(",")))
}

/// Takes every object of a kind, as the API server has it now and not as a cache had it.
pub(super) async fn each<K: Kind>(client: &Client, mut take: impl FnMut(&str, K::Kept)) -> Result<(), SnapshotError> {
    let api: Api<Trimmed<K>> = Api::all(client.clone());
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let list = api.list(&page).await.map_err(|error| SnapshotError {
            resource: K::PLURAL,
            error,
        })?;
        for object in list.items {
            take(&object.key(), object.kept);
        }
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(()),
        }
    }
}
