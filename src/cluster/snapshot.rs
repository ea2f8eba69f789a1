//! Lists of a live cluster, for verbs that do not watch it.

use kube::api::ListParams;
use kube::core::Request;
use kube::{Api, Client};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::api::describe;
use super::kind::{DeviceClasses, Kind, Namespaces, Nodes, Pods, Policies, Trimmed};
use super::policies::{Acceptance, PolicyBook};
use apportion_core::inventory::Ledger;
use apportion_core::policy::{Policy, PolicySet};

/// The permissions that a snapshot needs.
const PERMISSIONS: &str =
    "grant the permission to list nodes, namespaces, pods and gpusharingpolicies.apportion.dev in all namespaces";

/// Objects in one page of a list.
const PAGE: u32 = 500;

/// Why a list failed. The message contains its causes, because kube's errors repeat themselves.
#[derive(Debug, thiserror::Error)]
#[error("cannot list {resource}: {}", reason(.error))]
pub struct SnapshotError {
    resource: &'static str,
    error: kube::Error,
}

fn reason(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 403 => format!("{}; {PERMISSIONS}", status.message),
        other => describe(other),
    }
}

/// The nodes, namespaces, pods and device classes of the cluster.
pub async fn ledger(client: &Client) -> Result<Ledger, SnapshotError> {
    let mut ledger = Ledger::default();
    for_each::<Nodes>(client, |_, node| {
        ledger.put_node(node);
    })
    .await?;
    for_each::<Namespaces>(client, |name, labels| {
        ledger.put_namespace(name, labels);
    })
    .await?;
    for_each::<Pods>(client, |key, record| {
        ledger.put_pod(key, record.map(|record| *record));
    })
    .await?;
    match for_each::<DeviceClasses>(client, |name, resource| {
        ledger.put_device_class(name, resource);
    })
    .await
    {
        // Not installed or forbidden: then nothing is left to DRA.
        Err(SnapshotError {
            error: kube::Error::Api(status),
            ..
        }) if matches!(status.code, 403 | 404) => {}
        listed => listed?,
    }
    Ok(ledger)
}

/// The policies of the cluster and of `files`, and the errors of those that are invalid.
pub async fn policies(client: &Client, files: Vec<Policy>) -> Result<(PolicySet, Vec<String>), SnapshotError> {
    let mut book = PolicyBook::of_files(files);
    match for_each::<Policies>(client, |name, object| {
        book.put(name, object);
    })
    .await
    {
        // Not installed: only policies of files apply.
        Err(SnapshotError {
            error: kube::Error::Api(status),
            ..
        }) if status.code == 404 => {}
        listed => listed?,
    }
    let invalid = book.resources().filter_map(|(name, _, acceptance)| match acceptance {
        Acceptance::Invalid(why) => Some(format!("policy {name} is invalid: {why}")),
        Acceptance::Accepted | Acceptance::Shadowed => None,
    });
    let invalid = invalid.collect();
    Ok((PolicySet::clone(&book.set()), invalid))
}

/// The nodes, namespaces and pods of the cluster as one JSON list, in the format of `kubectl get`;
/// see [`apportion_core::inventory::dump`].
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

/// Lists every object of a kind by a consistent read, which no watch cache answers late.
pub(super) async fn for_each<K: Kind>(
    client: &Client,
    mut take: impl FnMut(&str, K::Kept),
) -> Result<(), SnapshotError> {
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
