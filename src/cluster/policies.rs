//! The policies of files and of the cluster together.
//!
//! A file wins over a resource of the same name: the administrator who starts the process sees its
//! flags, while anyone with the permission can write a resource.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::kind::PolicyObject;
use apportion_core::policy::{Policy, PolicySet, parse};

/// The policies of files and of the cluster.
#[derive(Clone, Debug, Default)]
pub struct PolicyBook {
    files: Vec<Policy>,
    resources: BTreeMap<String, Entry>,
    /// The policies in force, rebuilt when one changes.
    set: Arc<PolicySet>,
}

#[derive(Clone, Debug)]
struct Entry {
    object: PolicyObject,
    acceptance: Acceptance,
    /// The last valid version of the resource, which stays in force while a later one is invalid.
    valid: Option<Policy>,
}

/// Whether a policy resource is in force: the reason of its `Accepted` condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
    Accepted,
    /// The resource is invalid, with the reasons.
    Invalid(String),
    /// A file has the same name.
    Shadowed,
}

impl PolicyBook {
    /// The policies of files alone.
    pub fn of_files(files: Vec<Policy>) -> Self {
        let mut book = PolicyBook {
            files,
            ..PolicyBook::default()
        };
        book.rebuild();
        book
    }

    /// Replaces the policies of files.
    pub fn set_files(&mut self, files: Vec<Policy>) {
        self.files = files;
        for (name, entry) in std::mem::take(&mut self.resources) {
            let entry = self.checked(&name, entry.object, entry.valid);
            self.resources.insert(name, entry);
        }
        self.rebuild();
    }

    /// Adds or replaces a resource. Returns whether more than its status changed.
    pub fn put(&mut self, name: &str, object: PolicyObject) -> bool {
        let before = match self.resources.get_mut(name) {
            Some(entry) if entry.object.text == object.text => {
                entry.object = object;
                return false;
            }
            entry => entry.and_then(|entry| entry.valid.take()),
        };
        let entry = self.checked(name, object, before);
        self.resources.insert(name.to_owned(), entry);
        self.rebuild();
        true
    }

    fn checked(&self, name: &str, object: PolicyObject, before: Option<Policy>) -> Entry {
        let shadowed = self.files.iter().any(|policy| policy.name.as_str() == name);
        let (acceptance, valid) = match parse::parse(&format!("gpusharingpolicies/{name}"), &object.text) {
            _ if shadowed => (Acceptance::Shadowed, None),
            Ok(mut policies) => (Acceptance::Accepted, policies.pop()),
            Err(findings) => {
                // Without line and column, which an object in the cluster does not have.
                let text: Vec<String> = findings.iter().map(|f| format!("{}: {}", f.field, f.message)).collect();
                (Acceptance::Invalid(text.join("; ")), before)
            }
        };
        Entry {
            object,
            acceptance,
            valid,
        }
    }

    /// Removes a resource.
    pub fn remove(&mut self, name: &str) {
        self.resources.remove(name);
        self.rebuild();
    }

    /// The policies in force.
    pub fn set(&self) -> Arc<PolicySet> {
        Arc::clone(&self.set)
    }

    fn rebuild(&mut self) {
        let resources = self.resources.values().filter_map(|entry| entry.valid.clone());
        self.set = Arc::new(PolicySet::new(self.files.iter().cloned().chain(resources).collect()));
    }

    /// Every resource with its acceptance.
    pub fn resources(&self) -> impl Iterator<Item = (&str, &PolicyObject, &Acceptance)> {
        self.resources
            .iter()
            .map(|(name, entry)| (name.as_str(), &entry.object, &entry.acceptance))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, strategy: &str) -> PolicyObject {
        let text = format!(
            r#"{{"apiVersion":"apportion.dev/v1alpha1","kind":"GpuSharingPolicy","metadata":{{"name":"{name}","generation":1}},"spec":{{"strategies":[{{"strategy":"{strategy}"}}]}},"status":{{"x":1}}}}"#
        );
        PolicyObject {
            text,
            generation: 1,
            status: serde_json::Value::Null,
        }
    }

    fn rules(book: &PolicyBook) -> Vec<String> {
        book.set()
            .iter()
            .map(|p| format!("{} {}", p.name, p.rules[0].sharing))
            .collect()
    }

    #[test]
    fn an_invalid_version_keeps_the_valid_one_and_a_file_wins() {
        let mut book = PolicyBook::default();
        book.put("a", object("a", "mps"));
        assert_eq!(rules(&book), ["a mps"]);
        book.put("a", object("a", "mgi"));
        assert_eq!(rules(&book), ["a mps"]);
        let all: Vec<_> = book.resources().map(|(_, _, acceptance)| acceptance.clone()).collect();
        assert!(
            matches!(&all[..], [Acceptance::Invalid(why)] if why.contains("`mgi` is not a strategy")),
            "{all:?}"
        );
        book.put("a", object("a", "time-slicing"));
        assert_eq!(rules(&book), ["a time-slicing"]);
        let file = parse::parse("f.yaml", &object("a", "exclusive").text).unwrap();
        book.set_files(file);
        assert_eq!(rules(&book), ["a exclusive"]);
        assert_eq!(book.resources().next().unwrap().2, &Acceptance::Shadowed);
        book.set_files(Vec::new());
        assert_eq!(rules(&book), ["a time-slicing"]);
        book.remove("a");
        assert!(rules(&book).is_empty());
    }
}
