//! The authorities that the API server trusts when it calls the webhook: `caBundle` of each webhook of a configuration.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::Stream;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use super::api_error::{ApiError, patiently};
use super::changes::changes;
use crate::tls::ca::Trusted;
use crate::tls::trust::Sight;

/// How often the configuration is read again when others write it between our read and our write.
const ATTEMPTS: usize = 5;

/// The configuration whose webhooks are ours.
#[derive(Clone, Debug)]
pub struct CaBundle {
    api: Api<MutatingWebhookConfiguration>,
    name: String,
}

/// Why callers cannot be told whom to trust.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaBundleError {
    /// The API server did not let us read or write it.
    #[error("cannot {verb} the MutatingWebhookConfiguration {name}: {source}")]
    Refused {
        /// `read` or `patch`.
        verb: &'static str,
        /// Which.
        name: String,
        /// What it said.
        source: ApiError,
    },
    /// Somebody else writes it all the time.
    #[error("cannot set the caBundle of the MutatingWebhookConfiguration {name} in {ATTEMPTS} attempts: {source}")]
    Contended {
        /// Which.
        name: String,
        /// What the API server said last.
        source: ApiError,
    },
}

impl CaBundle {
    /// The configuration `name`.
    pub fn new(client: Client, name: &str) -> Self {
        CaBundle {
            api: Api::all(client),
            name: name.to_owned(),
        }
    }

    /// Which.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Something for each change of it.
    pub(super) fn changes(&self) -> impl Stream<Item = ()> + Send + use<> {
        changes::<MutatingWebhookConfiguration>(Api::all(self.api.clone().into_client()), &self.name)
    }

    /// Sees to it that each webhook trusts exactly `trusted`; writes only where one does not.
    pub async fn hold(&self, trusted: &[Trusted]) -> Result<Sight, CaBundleError> {
        let wanted: String = trusted.iter().map(Trusted::pem).collect();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let read = patiently(self.api.get_opt(&self.name)).await;
            let Some(found) = read.map_err(self.refused("read"))? else {
                return Ok(Sight::Absent);
            };
            let Some(patch) = patch(&found, &wanted) else {
                return Ok(Sight::Held);
            };
            match patiently(self.api.patch(&self.name, &PatchParams::default(), &patch)).await {
                Ok(_) => return Ok(Sight::Written),
                // A test that fails is 422 and not 409: somebody wrote since, and what they wrote has to be read.
                Err(refusal) if refusal.is_conflict() || refusal.is_invalid() || refusal.is_not_found() => {
                    if attempts == ATTEMPTS {
                        return Err(CaBundleError::Contended {
                            name: self.name.clone(),
                            source: refusal,
                        });
                    }
                }
                Err(refusal) => return Err(self.refused("patch")(refusal)),
            }
        }
    }

    fn refused(&self, verb: &'static str) -> impl FnOnce(ApiError) -> CaBundleError {
        let name = self.name.clone();
        move |source| CaBundleError::Refused { verb, name, source }
    }
}

/// What to change, if anything. Paths count webhooks, so the patch holds only for the version that was read: hence the
/// test. Nothing else is named: everything else in the configuration is the administrator's.
fn patch(found: &MutatingWebhookConfiguration, wanted: &str) -> Option<Patch<()>> {
    let webhooks = found.webhooks.iter().flatten().enumerate();
    let mut operations: Vec<_> = webhooks
        .filter(|(_, webhook)| {
            let held = webhook.client_config.ca_bundle.as_ref();
            held.is_none_or(|held| held.0 != wanted.as_bytes())
        })
        .map(|(index, _)| {
            let path = format!("/webhooks/{index}/clientConfig/caBundle");
            json!({"op": "add", "path": path, "value": STANDARD.encode(wanted)})
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
