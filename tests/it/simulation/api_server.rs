//! The simulated API server: pods, their history, and one Lease.

use std::collections::BTreeMap;

use apportion_core::inventory::PodRecord;
use k8s_openapi::api::coordination::v1::Lease;

/// A pod.
#[derive(Clone, Debug)]
pub struct Object {
    pub namespace: &'static str,
    pub name: String,
    pub uid: String,
    pub resource: &'static str,
    pub count: u64,
    /// GiB that each share declares.
    pub memory: Option<u64>,
    pub node: Option<String>,
    pub finished: bool,
}

impl Object {
    pub fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    pub fn json(&self) -> String {
        let Object {
            namespace,
            name,
            uid,
            resource,
            count,
            ..
        } = self;
        let memory = self.memory.map_or_else(String::new, |memory| {
            format!(r#","annotations":{{"apportion.dev/gpu-memory":"{memory}Gi"}}"#)
        });
        let node = self
            .node
            .as_ref()
            .map_or_else(String::new, |node| format!(r#","nodeName":"{node}""#));
        let phase = if self.finished { "Succeeded" } else { "Pending" };
        format!(
            r#"{{"metadata":{{"namespace":"{namespace}","name":"{name}","uid":"{uid}"{memory}}},"spec":{{"containers":[{{"name":"c","resources":{{"limits":{{"{resource}":"{count}"}}}}}}]{node}}},"status":{{"phase":"{phase}"}}}}"#
        )
    }

    pub fn record(&self) -> Option<PodRecord> {
        PodRecord::from_pod(&serde_json::from_str(&self.json()).unwrap())
    }
}

/// An event of a watch.
#[derive(Clone, Debug)]
pub struct Event {
    pub key: String,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    /// What the inventory keeps of the pod.
    Put(Option<PodRecord>),
    Gone,
}

/// The result of binding a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    Done,
    Conflict(String),
    NotFound,
}

#[derive(Debug, Default)]
pub struct Api {
    pub pods: BTreeMap<String, Object>,
    /// What the inventory keeps of each pod.
    pub records: BTreeMap<String, Option<PodRecord>>,
    pub history: Vec<Event>,
    lease: Option<Lease>,
    version: u64,
}

impl Api {
    pub fn put(&mut self, pod: Object) {
        let (key, record) = (pod.key(), pod.record());
        self.records.insert(key.clone(), record.clone());
        self.pods.insert(key.clone(), pod);
        let what = What::Put(record);
        self.history.push(Event { key, what });
    }

    pub fn delete(&mut self, key: &str) {
        self.records.remove(key);
        if self.pods.remove(key).is_some() {
            self.history.push(Event {
                key: key.to_owned(),
                what: What::Gone,
            });
        }
    }

    /// `POST pods/<name>/binding`.
    pub fn bind(&mut self, key: &str, uid: &str, node: &str) -> Bound {
        let Some(pod) = self.pods.get(key) else {
            return Bound::NotFound;
        };
        if pod.uid != uid {
            return Bound::Conflict("the UID in the precondition is another".to_owned());
        }
        if let Some(node) = &pod.node {
            return Bound::Conflict(format!("pod is already assigned to node {node}"));
        }
        let mut pod = pod.clone();
        pod.node = Some(node.to_owned());
        self.put(pod);
        Bound::Done
    }

    /// The pods that hold shares on a node.
    pub fn on(&self, node: &str) -> Vec<&Object> {
        let all = self.pods.values();
        all.filter(|pod| pod.node.as_deref() == Some(node) && !pod.finished)
            .collect()
    }

    pub fn waiting(&self) -> Vec<&Object> {
        self.pods
            .values()
            .filter(|pod| pod.node.is_none() && !pod.finished)
            .collect()
    }

    pub fn lease(&self) -> Option<Lease> {
        self.lease.clone()
    }

    /// Creates or replaces the Lease if its resource version is current. Returns whether it was.
    pub fn write_lease(&mut self, mut lease: Lease) -> bool {
        let last = self
            .lease
            .as_ref()
            .and_then(|lease| lease.metadata.resource_version.clone());
        if lease.metadata.resource_version != last {
            return false;
        }
        self.version += 1;
        lease.metadata.resource_version = Some(self.version.to_string());
        self.lease = Some(lease);
        true
    }
}
