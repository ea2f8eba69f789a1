//! The watched kinds, reduced while they are parsed.

use std::borrow::Cow;
use std::fmt::Debug;
use std::marker::PhantomData;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::NamespaceResourceScope;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};

use apportion_core::gpu::GpuResource;
use apportion_core::inventory::dra::resource_served_by;
use apportion_core::inventory::{NamespaceQuota, NodeEntry, PodRecord};
use apportion_core::k8s::Labels;
use apportion_core::k8s::Metadata;
use apportion_core::k8s::namespace::Namespace;
use apportion_core::k8s::namespace::{LimitRange, ResourceQuota};
use apportion_core::k8s::node::DeviceClass;
use apportion_core::k8s::{Node, Pod};
use apportion_core::policy::model;

/// A kind of object, and what is kept of each.
pub trait Kind: Clone + Debug + Send + Sync + 'static {
    /// Empty for the core group.
    const GROUP: &'static str;
    const VERSION: &'static str;
    const KIND: &'static str;
    const PLURAL: &'static str;
    type Kept: Clone + Debug + Send + Sync + 'static;

    /// Deserializes the metadata that a watch needs, and what is kept.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(ObjectMeta, Self::Kept), D::Error>;

    /// Whether anything is kept. Other objects are treated as absent and cost no memory.
    fn is_relevant(_kept: &Self::Kept) -> bool {
        true
    }
}

/// A reduced object.
#[derive(Clone, Debug)]
pub struct Trimmed<K: Kind> {
    meta: ObjectMeta,
    pub kept: K::Kept,
    kind: PhantomData<K>,
}

impl<K: Kind> Trimmed<K> {
    /// `namespace/name`, or the name of a cluster-scoped object.
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
    // Lists cover all namespaces, where the scope does not change the path.
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

/// The metadata that a watch needs to continue.
fn meta(metadata: &Metadata<'_>) -> ObjectMeta {
    let own = |text: &Option<apportion_core::k8s::Text<'_>>| text.as_deref().map(str::to_owned);
    ObjectMeta {
        name: own(&metadata.name),
        namespace: own(&metadata.namespace),
        uid: own(&metadata.uid),
        resource_version: own(&metadata.resource_version),
        ..ObjectMeta::default()
    }
}

/// Nodes, with their offers.
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
        Ok((meta(&node.metadata), NodeEntry::new(node)))
    }
}

/// Namespaces, with their labels.
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

/// Pods that hold GPUs or wait for them.
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
        Ok((meta(&pod.metadata), PodRecord::from_pod(&pod).map(Box::new)))
    }

    fn is_relevant(kept: &Self::Kept) -> bool {
        kept.is_some()
    }
}

/// Policies, as text: an invalid one belongs in its status and must not end the watch.
#[derive(Clone, Debug)]
pub struct Policies;

/// A `GpuSharingPolicy` object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyObject {
    /// The object as JSON, without its status and the fields that change with every write.
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

/// Device classes, reduced to the GPU resource that they serve. Read as `v1`, the first version in
/// which a class can serve an extended resource.
#[derive(Clone, Debug)]
pub struct DeviceClasses;

impl Kind for DeviceClasses {
    const GROUP: &'static str = "resource.k8s.io";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "DeviceClass";
    const PLURAL: &'static str = "deviceclasses";
    type Kept = Option<GpuResource>;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(ObjectMeta, Self::Kept), D::Error> {
        let class = DeviceClass::deserialize(deserializer)?;
        Ok((meta(&class.metadata), resource_served_by(&class)))
    }

    fn is_relevant(kept: &Self::Kept) -> bool {
        kept.is_some()
    }
}

/// Resource quotas, reduced to what they say about GPUs.
#[derive(Clone, Debug)]
pub struct Quotas;

impl Kind for Quotas {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "ResourceQuota";
    const PLURAL: &'static str = "resourcequotas";
    type Kept = Option<NamespaceQuota>;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(ObjectMeta, Self::Kept), D::Error> {
        let quota = ResourceQuota::deserialize(deserializer)?;
        Ok((meta(&quota.metadata), NamespaceQuota::of_quota(&quota)))
    }
}

/// Limit ranges, reduced to what they say about GPUs.
#[derive(Clone, Debug)]
pub struct LimitRanges;

impl Kind for LimitRanges {
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "LimitRange";
    const PLURAL: &'static str = "limitranges";
    type Kept = Option<NamespaceQuota>;

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(ObjectMeta, Self::Kept), D::Error> {
        let range = LimitRange::deserialize(deserializer)?;
        Ok((meta(&range.metadata), NamespaceQuota::of_limit_range(&range)))
    }
}

/// Asserts at compile time that reduced objects can be watched.
const fn is_watchable<K: Resource + Clone + Debug + DeserializeOwned + Send + 'static>() {}
const _: () = is_watchable::<Trimmed<Pods>>();
