//! The Secret in which replicas share their CAs.
//!
//! It is of type `Opaque`, so a chart can ship it empty, and we do not need the permission to
//! create Secrets, which RBAC cannot restrict to one name. [`crate::tls::stored`] has its format.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};

use super::api::{ApiError, with_timeout};
use crate::tls::authority::Authority;
use crate::tls::stored::{self, Data, StoredError};

#[derive(Clone, Debug)]
pub struct CaSecret {
    api: Api<Secret>,
    namespace: String,
    name: String,
}

/// The Secret as it was read.
pub struct Found {
    /// `None` if there is none.
    object: Option<Secret>,
    /// `None` if the Secret is empty.
    pub authority: Option<Authority>,
}

/// Why the Secret cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaSecretError {
    #[error("cannot {verb} the Secret {secret}: {source}")]
    Refused {
        /// `read`, `create` or `update`.
        verb: &'static str,
        secret: String,
        source: ApiError,
    },
    /// It holds other data, which must not be overwritten.
    #[error(
        "the Secret {secret} does not hold CAs of Apportion: {source}; name another with --tls-managed-secret, or \
         delete it to create new ones"
    )]
    Foreign { secret: String, source: StoredError },
}

impl CaSecret {
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        CaSecret {
            api: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    pub async fn read(&self) -> Result<Found, CaSecretError> {
        let object = with_timeout(self.api.get_opt(&self.name))
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

    /// Writes `authority` over `found`. Returns false if another writer was first: read again then.
    pub async fn write(&self, found: &Found, authority: &Authority) -> Result<bool, CaSecretError> {
        let params = PostParams::default();
        let (verb, written) = match &found.object {
            None => {
                let secret = self.filled(Secret::default(), authority);
                ("create", with_timeout(self.api.create(&params, &secret)).await)
            }
            Some(object) => {
                // Has the resource version that was read, so a later write makes this one a
                // conflict.
                let secret = self.filled(object.clone(), authority);
                (
                    "update",
                    with_timeout(self.api.replace(&self.name, &params, &secret)).await,
                )
            }
        };
        match written {
            Ok(_) => Ok(true),
            Err(error) if error.is_conflict() => Ok(false),
            // Deleted since it was read.
            Err(error) if error.is_not_found() && found.object.is_some() => Ok(false),
            Err(error) => Err(self.refused(verb)(error)),
        }
    }

    /// Keeps keys that are not ours.
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
