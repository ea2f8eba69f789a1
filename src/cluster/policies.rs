//! Policies that live in the cluster, beside those of files.
//!
//! A file wins over a resource of the same name: whoever runs the process can read its flags, while a resource may be anybody's who has
//! the right to write one.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::kind::PolicyObject;
use apportion_core::policy::{Policy, PolicySet, parse};

/// The policies of files and of the cluster.
#[derive(Clone, Debug, Default)]
pub struct PolicyBook {
    files: Vec<Policy>,
    resources: BTreeMap<String, Entry>,
    /// All that govern, made anew when one changes.
    set: Arc<PolicySet>,
}

#[derive(Clone, Debug)]
struct Entry {
    object: PolicyObject,
    verdict: Verdict,
    /// The last version of the resource that could be used: a bad one never replaces it.
    good: Option<Policy>,
}

/// What became of a policy resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It governs.
    Accepted,
    /// It can not be used, and why.
    Invalid(String),
    /// A file of the same name governs.
    Shadowed,
}

impl PolicyBook {
    /// Those of files alone.
    pub fn of_files(files: Vec<Policy>) -> Self {
        let mut book = PolicyBook {
            files,
            ..PolicyBook::default()
        };
        book.settle();
        book
    }

    /// Replaces those of files.
    pub fn set_files(&mut self, files: Vec<Policy>) {
        self.files = files;
        for (name, entry) in std::mem::take(&mut self.resources) {
            let entry = self.judged(&name, entry.object, entry.good);
            self.resources.insert(name, entry);
        }
        self.settle();
    }

    /// A resource is there, or has changed. Returns whether what it says has: its status alone says nothing to us.
    pub fn put(&mut self, name: &str, object: PolicyObject) -> bool {
        let before = match self.resources.get_mut(name) {
            Some(entry) if entry.object.text == object.text => {
                entry.object = object;
                return false;
            }
            entry => entry.and_then(|entry| entry.good.take()),
        };
        let entry = self.judged(name, object, before);
        self.resources.insert(name.to_owned(), entry);
        self.settle();
        true
    }

    fn judged(&self, name: &str, object: PolicyObject, before: Option<Policy>) -> Entry {
        let shadowed = self.files.iter().any(|policy| policy.name.as_str() == name);
        let (verdict, good) = match parse::parse(&format!("gpusharingpolicies/{name}"), &object.text) {
            _ if shadowed => (Verdict::Shadowed, None),
            Ok(mut policies) => (Verdict::Accepted, policies.pop()),
            Err(findings) => {
                // Line and column of an object that has none would lead nowhere.
                let text: Vec<String> = findings.iter().map(|f| format!("{}: {}", f.field, f.message)).collect();
                (Verdict::Invalid(text.join("; ")), before)
            }
        };
        Entry { object, verdict, good }
    }

    /// A resource is gone.
    pub fn remove(&mut self, name: &str) {
        self.resources.remove(name);
        self.settle();
    }

    /// All that govern.
    pub fn set(&self) -> Arc<PolicySet> {
        Arc::clone(&self.set)
    }

    fn settle(&mut self) {
        let resources = self.resources.values().filter_map(|entry| entry.good.clone());
        self.set = Arc::new(PolicySet::new(self.files.iter().cloned().chain(resources).collect()));
    }

    /// Every resource with what became of it.
    pub fn verdicts(&self) -> impl Iterator<Item = (&str, &PolicyObject, &Verdict)> {
        self.resources
            .iter()
            .map(|(name, entry)| (name.as_str(), &entry.object, &entry.verdict))
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
    fn a_bad_version_keeps_the_good_one_and_a_file_wins() {
        let mut book = PolicyBook::default();
        book.put("a", object("a", "mps"));
        assert_eq!(rules(&book), ["a mps"]);
        book.put("a", object("a", "mgi"));
        assert_eq!(rules(&book), ["a mps"]);
        let verdicts: Vec<_> = book.verdicts().map(|(_, _, verdict)| verdict.clone()).collect();
        assert!(
            matches!(&verdicts[..], [Verdict::Invalid(why)] if why.contains("`mgi` is not a strategy")),
            "{verdicts:?}"
        );
        book.put("a", object("a", "time-slicing"));
        assert_eq!(rules(&book), ["a time-slicing"]);
        let file = parse::parse("f.yaml", &object("a", "exclusive").text).unwrap();
        book.set_files(file);
        assert_eq!(rules(&book), ["a exclusive"]);
        assert_eq!(book.verdicts().next().unwrap().2, &Verdict::Shadowed);
        book.set_files(Vec::new());
        assert_eq!(rules(&book), ["a time-slicing"]);
        book.remove("a");
        assert!(rules(&book).is_empty());
    }
}
