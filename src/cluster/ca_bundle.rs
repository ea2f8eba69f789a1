//! The `caBundle` of a webhook configuration: the CAs that the API server trusts when it calls the
//! webhook.

use std::fmt::Debug;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::api::{Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, Event, watcher};
use kube::{Api, Client, Resource};
use serde_json::json;

use super::api::{ApiError, with_timeout};
use crate::tls::ca::CaCertificate;
use crate::tls::trust::BundleState;

/// Attempts to write when others write the configuration between our read and our write.
const ATTEMPTS: usize = 5;

/// The configuration of our webhooks.
#[derive(Clone, Debug)]
pub struct CaBundle {
    api: Api<MutatingWebhookConfiguration>,
    name: String,
}

/// Why the `caBundle` could not be set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaBundleError {
    #[error("cannot {verb} the MutatingWebhookConfiguration {name}: {source}")]
    Refused {
        /// `read` or `patch`.
        verb: &'static str,
        name: String,
        source: ApiError,
    },
    /// Another writer changed it between every read and write.
    #[error("cannot set the caBundle of the MutatingWebhookConfiguration {name} in {ATTEMPTS} attempts: {source}")]
    Contended { name: String, source: ApiError },
}

impl CaBundle {
    pub fn new(client: Client, name: &str) -> Self {
        CaBundle {
            api: Api::all(client),
            name: name.to_owned(),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// An item for each change of the configuration.
    pub(super) fn changes(&self) -> impl Stream<Item = ()> + Send + use<> {
        changes::<MutatingWebhookConfiguration>(Api::all(self.api.clone().into_client()), &self.name)
    }

    /// Makes each webhook trust exactly `trusted`. Writes only where one does not.
    pub async fn set(&self, trusted: &[CaCertificate]) -> Result<BundleState, CaBundleError> {
        let desired: String = trusted.iter().map(CaCertificate::to_pem).collect();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let read = with_timeout(self.api.get_opt(&self.name)).await;
            let Some(found) = read.map_err(self.refused("read"))? else {
                return Ok(BundleState::Absent);
            };
            let Some(patch) = patch(&found, &desired) else {
                return Ok(BundleState::Current);
            };
            match with_timeout(self.api.patch(&self.name, &PatchParams::default(), &patch)).await {
                Ok(_) => return Ok(BundleState::Written),
                // A failed test is 422 instead of 409: another writer was first, so read again.
                Err(error) if error.is_conflict() || error.is_invalid() || error.is_not_found() => {
                    if attempts == ATTEMPTS {
                        return Err(CaBundleError::Contended {
                            name: self.name.clone(),
                            source: error,
                        });
                    }
                }
                Err(error) => return Err(self.refused("patch")(error)),
            }
        }
    }

    fn refused(&self, verb: &'static str) -> impl FnOnce(ApiError) -> CaBundleError {
        let name = self.name.clone();
        move |source| CaBundleError::Refused { verb, name, source }
    }
}

/// The patch that is needed, if any. Its paths contain indexes of webhooks, so a test pins the
/// version that was read. It names no other field: the rest of the configuration is the
/// administrator's.
fn patch(found: &MutatingWebhookConfiguration, desired: &str) -> Option<Patch<()>> {
    let webhooks = found.webhooks.iter().flatten().enumerate();
    let mut operations: Vec<_> = webhooks
        .filter(|(_, webhook)| {
            let current = webhook.client_config.ca_bundle.as_ref();
            current.is_none_or(|current| current.0 != desired.as_bytes())
        })
        .map(|(index, _)| {
            let path = format!("/webhooks/{index}/clientConfig/caBundle");
            json!({"op": "add", "path": path, "value": STANDARD.encode(desired)})
        })
        .collect();
    if operations.is_empty() {
        return None;
    }
    let version = &found.metadata.resource_version;
    operations.insert(
        0,
        json!({"op": "test", "path": "/metadata/resourceVersion", "value": version}),
    );
    serde_json::from_value(operations.into()).map(Patch::Json).ok()
}

/// An item for each change of the object `name`. It only shortens the wait for the next periodic
/// look: without the permission to watch there are no items.
fn changes<K>(api: Api<PartialObjectMeta<K>>, name: &str) -> impl Stream<Item = ()> + Send + use<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + 'static,
{
    let only = Config::default().fields(&format!("metadata.name={name}"));
    watcher(api, only).default_backoff().filter_map(|event| async move {
        match event {
            // The begin and end of a list are no change; its items may be.
            Ok(Event::Init | Event::InitDone) => None,
            Ok(_) => Some(()),
            Err(error) => {
                tracing::debug!(%error, "cannot watch the webhook configuration; it is read periodically");
                None
            }
        }
    })
}
