//! The kinds that are watched, reduced while they are parsed.

use std::borrow::Cow;
use std::fmt::Debug;
use std::marker::PhantomData;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::NamespaceResourceScope;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};

use apportion_core::inventory::{NodeEntry, PodRecord};
use apportion_core::k8s::node::Namespace;
use apportion_core::k8s::pod::Metadata;
use apportion_core::k8s::text::Labels;
use apportion_core::k8s::{Node, Pod};
use apportion_core::policy::model;

/// A kind of object, and what is kept of one.
pub trait Kind: Clone + Debug + Send + Sync + 'static {
    /// Its group; empty for the core group.
    const GROUP: &'static str;
    /// Its version.
    const VERSION: &'static str;
    /// Its kind.
    const KIND: &'static str;
    /// Its plural name.
    const PLURAL: &'static str;
    /// What is kept of an object.
    type Kept: Clone + Debug + Send + Sync + 'static;

    /// Reads an object, keeping little.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(ObjectMeta, Self::Kept), D::Error>;

    /// Whether anything is kept of it at all. What is not is as good as not there, and costs nothing more once it was read.
    fn is_of_use(_kept: &Self::Kept) -> bool {
        true
    }
}

/// An object of a kind, reduced.
#[derive(Clone, Debug)]
pub struct Trimmed<K: Kind> {
    meta: ObjectMeta,
    /// What was kept.
    pub kept: K::Kept,
    kind: PhantomData<K>,
}

impl<K: Kind> Trimmed<K> {
    /// `namespace/name`, or the name alone where there is no namespace.
    pub fn key(&self) -> String {
        let name = self.meta.name.as_deref().unwrap_or_default();
        match self.meta.namespace.as_deref() {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.to_owned(),
        }
    }
}

impl<'de, K: Kind> Deserialize<'de> for Trimmed<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (meta, kept) = K::read(deserializer)?;
        Ok(Trimmed {
            meta,
            kept,
            kind: PhantomData,
        })
    }
}

impl<K: Kind> Resource for Trimmed<K> {
    type DynamicType = ();
    // All are listed over all namespaces, where the scope makes no difference to the path.
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        K::KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        K::GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        K::VERSION.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        K::PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

/// The part of the metadata that a watch needs to go on.
pub(super) fn meta(metadata: &Metadata<'_>) -> ObjectMeta {
    let own = |text: &Option<apportion_core::k8s::Text<'_>>| text.as_deref().map(str::to_owned);
    ObjectMeta {
        name: own(&metadata.name),
        namespace: own(&metadata.namespace),
        uid: own(&metadata.uid),
        resource_version: own(&metadata.resource_version),
        ..ObjectMeta::default()
    }
}

/// Nodes: their offers.
#[derive(Clone, Debug)]
pub struct Nodes;

impl Kind for Nodes {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Node";
    const PLURAL: &'static str = "nodes";
    type Kept = NodeEntry;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(ObjectMeta, NodeEntry), D::Error> {
        let node = Node::deserialize(deserializer)?;
        Ok((meta(&node.metadata), NodeEntry::of(node)))
    }
}

/// Namespaces: their labels.
#[derive(Clone, Debug)]
pub struct Namespaces;

impl Kind for Namespaces {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Namespace";
    const PLURAL: &'static str = "namespaces";
    type Kept = Labels;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(ObjectMeta, Labels), D::Error> {
        let namespace = Namespace::deserialize(deserializer)?;
        Ok((meta(&namespace.metadata), Labels::from(&namespace.metadata.labels)))
    }
}

/// Pods: what they hold or wait for; nothing of those without GPUs.
#[derive(Clone, Debug)]
pub struct Pods;

impl Kind for Pods {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Pod";
    const PLURAL: &'static str = "pods";
    type Kept = Option<Box<PodRecord>>;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(ObjectMeta, Self::Kept), D::Error> {
        let pod = Pod::deserialize(deserializer)?;
        Ok((meta(&pod.metadata), PodRecord::of(&pod).map(Box::new)))
    }

    fn is_of_use(kept: &Self::Kept) -> bool {
        kept.is_some()
    }
}

/// Policies, as text: what is wrong with one is for its status, and must not end the watch.
#[derive(Clone, Debug)]
pub struct Policies;

/// A policy as it stands in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyObject {
    /// The object as JSON, without its status and what changes with every write.
    pub text: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// `status`, as JSON.
    pub status: serde_json::Value,
}

impl Kind for Policies {
    const GROUP: &'static str = "apportion.dev";
    const VERSION: &'static str = "v1alpha1";
    const KIND: &'static str = model::KIND;
    const PLURAL: &'static str = "gpusharingpolicies";
    type Kept = PolicyObject;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(ObjectMeta, PolicyObject), D::Error> {
        let mut object = serde_json::Value::deserialize(deserializer)?;
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
        let meta = meta(&Metadata::deserialize(&object["metadata"]).map_err(serde::de::Error::custom)?);
        let status = object["status"].take();
        let generation = object["metadata"]["generation"].as_i64().unwrap_or(0);
        if let Some(object) = object.as_object_mut() {
            object.remove("status");
            if let Some(metadata) = object.get_mut("metadata").and_then(serde_json::Value::as_object_mut) {
                metadata.remove("resourceVersion");
            }
        }
        let kept = PolicyObject {
            text: object.to_string(),
            generation,
            status,
        };
        Ok((meta, kept))
    }
}

/// Asserts at compile time that what is watched can be.
const fn is_watchable<K: Resource + Clone + Debug + DeserializeOwned + Send + 'static>() {}
const _: () = is_watchable::<Trimmed<Pods>>();
