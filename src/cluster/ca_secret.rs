//! The one Secret in which replicas share their authorities.
//!
//! It is of type `Opaque`: a chart can then ship it empty, and we need no right to create Secrets, which cannot be granted for
//! one name alone. What it holds is in [`crate::tls::stored`].

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};

use super::api_error::{ApiError, patiently};
use crate::tls::authority::Authority;
use crate::tls::stored::{self, Data, StoredError};

/// The Secret, read or to be read.
#[derive(Clone, Debug)]
pub struct CaSecret {
    api: Api<Secret>,
    namespace: String,
    name: String,
}

/// What was found.
pub struct Found {
    /// The object, `None` when there is none.
    object: Option<Secret>,
    /// What it holds.
    pub authority: Option<Authority>,
}

/// Why the Secret cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaSecretError {
    /// The API server did not let us read or write it.
    #[error("cannot {verb} the Secret {secret}: {source}")]
    Refused {
        /// `read`, `create` or `update`.
        verb: &'static str,
        /// Which.
        secret: String,
        /// What it said.
        source: ApiError,
    },
    /// It holds something else, which must not be lost.
    #[error(
        "the Secret {secret} does not hold authorities of ours: {source}; name another with --tls-managed-secret, or \
         delete it to start anew"
    )]
    Foreign {
        /// Which.
        secret: String,
        /// What is wrong.
        source: StoredError,
    },
}

impl CaSecret {
    /// The Secret `name` in `namespace`.
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        CaSecret {
            api: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// Reads it.
    pub async fn read(&self) -> Result<Found, CaSecretError> {
        let object = patiently(self.api.get_opt(&self.name))
            .await
            .map_err(self.refused("read"))?;
        let data: Data = object
            .iter()
            .flat_map(|secret| secret.data.iter().flatten())
            .map(|(key, value)| (key.clone(), value.0.clone()))
            .collect();
        let authority = stored::read(&data).map_err(|source| CaSecretError::Foreign {
            secret: self.to_string(),
            source,
        })?;
        Ok(Found { object, authority })
    }

    /// Writes `authority` where `found` was found. `false` when somebody else wrote since: what they wrote counts, and has to
    /// be read.
    pub async fn write(&self, found: &Found, authority: &Authority) -> Result<bool, CaSecretError> {
        let params = PostParams::default();
        let (verb, written) = match &found.object {
            None => {
                let secret = self.filled(Secret::default(), authority);
                ("create", patiently(self.api.create(&params, &secret)).await)
            }
            Some(object) => {
                // With the resource version that was read: the API server refuses when it is not the last.
                let secret = self.filled(object.clone(), authority);
                (
                    "update",
                    patiently(self.api.replace(&self.name, &params, &secret)).await,
                )
            }
        };
        match written {
            Ok(_) => Ok(true),
            Err(refusal) if refusal.is_conflict() => Ok(false),
            // Deleted since it was read.
            Err(refusal) if refusal.is_not_found() && found.object.is_some() => Ok(false),
            Err(refusal) => Err(self.refused(verb)(refusal)),
        }
    }

    /// Other keys stay: they are somebody's.
    fn filled(&self, mut secret: Secret, authority: &Authority) -> Secret {
        secret.metadata = ObjectMeta {
            name: Some(self.name.clone()),
            namespace: Some(self.namespace.clone()),
            ..secret.metadata
        };
        let labels = secret.metadata.labels.get_or_insert_default();
        labels
            .entry("app.kubernetes.io/managed-by".to_owned())
            .or_insert_with(|| "apportion".to_owned());
        let data: &mut BTreeMap<_, _> = secret.data.get_or_insert_default();
        data.retain(|key, _| !stored::KEYS.contains(&key.as_str()));
        data.extend(
            stored::write(authority)
                .into_iter()
                .map(|(key, value)| (key, ByteString(value))),
        );
        secret
    }

    fn refused(&self, verb: &'static str) -> impl FnOnce(ApiError) -> CaSecretError {
        let secret = self.to_string();
        move |source| CaSecretError::Refused { verb, secret, source }
    }
}

impl std::fmt::Display for CaSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
