//! A pod's node affinity, merged by label, and what follows from it.

use std::rc::Rc;

use super::required_node_affinity::{RequiredNodeAffinity, SelectionConflict};
use super::requirement::Requirement;
use super::satisfiability::{Conjunction, Joint};

/// A [`RequiredNodeAffinity`], and requirements that are added to it, merged by label.
///
/// The node selector and each term are merged once. They are combined only on the labels that a
/// question is about, so that many terms and a long node selector do not multiply.
///
/// A term that contradicts itself, the node selector or the added requirements says nothing about
/// where the pod may run, so it is left out. Otherwise a rewritten pod, some of whose terms
/// contradict the requirements that were added to them, would be evaluated differently from the
/// original pod.
#[derive(Clone, Debug)]
pub struct NormalizedAffinity<'r> {
    own: Rc<Own<'r>>,
    added: Vec<&'r Requirement<'r>>,
    /// `added`, merged by label.
    merged: Conjunction<'r>,
    /// The indices in [`Own::terms`] of those that some node can satisfy together with `added`.
    satisfiable: Vec<usize>,
}

/// What the pod itself has.
#[derive(Debug)]
struct Own<'r> {
    affinity: &'r RequiredNodeAffinity<'r>,
    node_selector: Conjunction<'r>,
    /// The terms that some node can satisfy together with the node selector. A pod without required
    /// node affinity has one term that requires nothing.
    terms: Vec<Conjunction<'r>>,
}

impl<'r> NormalizedAffinity<'r> {
    pub(super) fn new(affinity: &'r RequiredNodeAffinity<'r>) -> Self {
        let node_selector = Conjunction::new(affinity.node_selector());
        let is_satisfiable = |term: &Conjunction<'r>| {
            let mut keys = term.keys();
            keys.all(|key| Joint([node_selector.get(key), term.get(key), None]).is_satisfiable())
        };
        let terms: Vec<Conjunction<'r>> = match affinity.terms() {
            _ if !node_selector.is_satisfiable() => Vec::new(),
            None => vec![Conjunction::default()],
            Some(terms) => terms
                .iter()
                .filter(|term| !term.is_empty())
                .map(|term| Conjunction::new(term.match_expressions()))
                .filter(is_satisfiable)
                .collect(),
        };
        NormalizedAffinity {
            satisfiable: (0..terms.len()).collect(),
            own: Rc::new(Own {
                affinity,
                node_selector,
                terms,
            }),
            added: Vec::new(),
            merged: Conjunction::default(),
        }
    }

    /// The affinity that the pod has once `requirements` are written into it.
    #[must_use]
    pub fn with_requirements<'s>(&self, requirements: &'s [Requirement<'s>]) -> NormalizedAffinity<'s>
    where
        'r: 's,
    {
        let mut narrower: NormalizedAffinity<'s> = self.clone();
        narrower.added.extend(requirements);
        narrower.merged = Conjunction::new(narrower.added.iter().copied());
        let mut satisfiable = std::mem::take(&mut narrower.satisfiable);
        satisfiable.retain(|term| {
            let mut keys = narrower.merged.keys();
            keys.all(|key| narrower.on_label(key, *term).is_satisfiable())
        });
        NormalizedAffinity {
            satisfiable,
            ..narrower
        }
    }

    /// Whether every node that the pod may run on satisfies `requirement`.
    pub fn implies(&self, requirement: &Requirement<'_>) -> bool {
        self.on_each_term(&requirement.key)
            .all(|label| label.implies(requirement))
    }

    /// Whether some node could satisfy both this affinity and all of `requirements`.
    pub fn is_compatible_with(&self, requirements: &[Requirement<'_>]) -> bool {
        !self.with_requirements(requirements).satisfiable.is_empty()
    }

    /// The values that the label `key` can have, sorted, or `None` unless every satisfiable term
    /// lists them with `In`.
    pub fn pinned_values(&self, key: &str) -> Option<Vec<&'r str>> {
        let mut values = Vec::new();
        for label in self.on_each_term(key) {
            values.extend(label.admitted()?);
        }
        // Values of a long list come sorted, which takes linear time.
        values.sort_unstable();
        values.dedup();
        if values.is_empty() { None } else { Some(values) }
    }

    /// The first requirement of the pod that contradicts one of `requirements`. Disregards those
    /// that were added.
    pub fn conflict_with(&self, requirements: &[Requirement<'_>]) -> Option<SelectionConflict> {
        self.own.affinity.conflict_with(requirements)
    }

    /// What each satisfiable term requires of the label `key`.
    fn on_each_term<'x>(&'x self, key: &'x str) -> impl Iterator<Item = Joint<'x, 'r>> {
        self.satisfiable.iter().map(move |term| self.on_label(key, *term))
    }

    fn on_label(&self, key: &str, term: usize) -> Joint<'_, 'r> {
        let Own {
            node_selector, terms, ..
        } = &*self.own;
        Joint([node_selector.get(key), terms[term].get(key), self.merged.get(key)])
    }
}
