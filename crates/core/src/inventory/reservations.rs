//! What was decided and is not in the inventory yet: bindings on their way, and room kept for pods whose victims are leaving.
//!
//! A binding counts from the moment it is decided until the pod is seen on its node, so nothing is given twice in between; one whose
//! outcome is not known counts on. Counting a pod twice for a moment makes it wait, counting it never would break a promise.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::node_map::NodeMap;
use super::node_usage::{NodeUsage, PodRequest};

/// How long a binding counts whose pod is never seen: by then every call has ended and every watch has been taken up again, or nothing
/// is decided at all.
pub const BINDING_LIFETIME: Duration = Duration::from_mins(5);
/// How long room is kept for a pod whose victims were told to leave.
pub const KEPT_LIFETIME: Duration = Duration::from_mins(2);

/// Why something is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The API server has been asked to bind the pod, and has not said no.
    Binding,
    /// Others were told to leave for the pod; it holds against pods of the same priority or lower.
    Kept {
        /// The pod's priority.
        priority: i32,
    },
}

/// What is reserved for one pod on one node.
#[derive(Clone, Debug)]
pub struct Reservation {
    /// What the pod will hold.
    pub pod_request: PodRequest,
    /// Why.
    pub purpose: Purpose,
    since: Duration,
    ticket: Ticket,
}

/// Which of several reservations for a pod on a node one is: who asked for an earlier one gives back no later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

/// All reservations. Owned by whoever decides, under one lock.
#[derive(Clone, Debug, Default)]
pub struct Reservations {
    /// By the pod's UID and the node.
    all: BTreeMap<(Box<str>, Arc<str>), Reservation>,
    reserved: Reserved,
    /// How many there have been.
    count: u64,
}

/// What is reserved, by node: a copy costs nothing, so readers take one and hold no lock.
#[derive(Clone, Debug, Default)]
pub struct Reserved {
    bindings: NodeMap<NodeUsage>,
    kept: NodeMap<Vec<Kept>>,
}

#[derive(Clone, Debug)]
struct Kept {
    uid: Box<str>,
    priority: i32,
    pod_request: PodRequest,
}

impl Reserved {
    /// Whether nothing is reserved anywhere.
    pub fn is_empty(&self) -> bool {
        self.bindings.is_empty() && self.kept.is_empty()
    }

    /// The nodes where room is kept for a pod.
    pub fn kept_for(&self, uid: &str) -> impl Iterator<Item = &str> {
        let kept = self.kept.iter();
        kept.filter(move |(_, all)| all.iter().any(|kept| *kept.uid == *uid))
            .map(|(node, _)| &**node)
    }

    /// What is reserved on a node against a pod of this UID and priority. Of its own, only a binding counts: see
    /// [`Reservations::against`] for a pod that is bound again.
    pub fn on(&self, node: &str, uid: &str, priority: i32) -> Option<NodeUsage> {
        let bindings = self.bindings.get(node);
        let kept = || {
            let all = self.kept.get(node).into_iter().flatten();
            all.filter(|kept| &*kept.uid != uid && kept.priority >= priority)
        };
        if bindings.is_none() && kept().next().is_none() {
            return None;
        }
        let mut held = bindings.cloned().unwrap_or_default();
        for kept in kept() {
            held.add(&kept.pod_request.request());
        }
        Some(held)
    }
}

impl Reservations {
    /// What readers may look at.
    pub fn reserved(&self) -> &Reserved {
        &self.reserved
    }

    /// What is reserved on a node against a pod, its own left out.
    pub fn against(&self, node: &str, uid: &str, priority: i32) -> Option<NodeUsage> {
        let mut held = self.reserved.on(node, uid, priority)?;
        if let Some(own) = self.get(uid, node)
            && own.purpose == Purpose::Binding
        {
            held.subtract(&own.pod_request.request());
        }
        (!held.is_empty()).then_some(held)
    }

    /// What is reserved for a pod on a node.
    pub fn get(&self, uid: &str, node: &str) -> Option<&Reservation> {
        self.all.get(&(uid.into(), node.into()))
    }

    /// The nodes where something is reserved for a pod.
    pub fn of<'r>(&'r self, uid: &'r str) -> impl Iterator<Item = (&'r str, &'r Reservation)> {
        self.all
            .range((Box::from(uid), Arc::from(""))..)
            .take_while(move |((own, _), _)| **own == *uid)
            .map(|((_, node), reservation)| (&**node, reservation))
    }

    /// Reserves; what was reserved for the same pod on the same node ends. `now` is the time since a fixed start.
    pub fn reserve(
        &mut self,
        uid: &str,
        node: &str,
        pod_request: PodRequest,
        purpose: Purpose,
        now: Duration,
    ) -> Ticket {
        self.release(uid, node);
        self.count += 1;
        let ticket = Ticket(self.count);
        let node: Arc<str> = node.into();
        match purpose {
            Purpose::Binding => {
                let held = self.reserved.bindings.entry(Arc::clone(&node)).or_default();
                held.add(&pod_request.request());
            }
            Purpose::Kept { priority } => {
                let kept = Kept {
                    uid: uid.into(),
                    priority,
                    pod_request: pod_request.clone(),
                };
                self.reserved.kept.entry(Arc::clone(&node)).or_default().push(kept);
            }
        }
        let reservation = Reservation {
            pod_request,
            purpose,
            since: now,
            ticket,
        };
        self.all.insert((uid.into(), node), reservation);
        ticket
    }

    /// Gives back what a ticket was for, unless it has been reserved anew since. Returns whether there was something.
    pub fn give_back(&mut self, uid: &str, node: &str, ticket: Ticket) -> bool {
        self.get(uid, node).is_some_and(|r| r.ticket == ticket) && self.release(uid, node)
    }

    /// Keeps room, unless the pod is on its way there already: a binding counts against everybody.
    pub fn keep(&mut self, uid: &str, node: &str, pod_request: PodRequest, priority: i32, now: Duration) {
        if self.get(uid, node).is_none_or(|one| one.purpose != Purpose::Binding) {
            self.reserve(uid, node, pod_request, Purpose::Kept { priority }, now);
        }
    }

    /// Keeps room no longer. A binding stays.
    pub fn let_go(&mut self, uid: &str, node: &str) {
        if self.get(uid, node).is_some_and(|one| one.purpose != Purpose::Binding) {
            self.release(uid, node);
        }
    }

    /// Gives back. Returns whether there was something.
    pub fn release(&mut self, uid: &str, node: &str) -> bool {
        let Some(gone) = self.all.remove(&(uid.into(), node.into())) else {
            return false;
        };
        match gone.purpose {
            Purpose::Binding => {
                if let Some(held) = self.reserved.bindings.get_mut(node) {
                    held.subtract(&gone.pod_request.request());
                    if held.is_empty() {
                        self.reserved.bindings.remove(node);
                    }
                }
            }
            Purpose::Kept { .. } => {
                if let Some(kept) = self.reserved.kept.get_mut(node) {
                    kept.retain(|kept| &*kept.uid != uid);
                    if kept.is_empty() {
                        self.reserved.kept.remove(node);
                    }
                }
            }
        }
        true
    }

    /// The inventory has the pod on its node, or knows that it is gone: everything of it ends.
    pub fn settle(&mut self, uid: &str) {
        let nodes: Vec<String> = self.of(uid).map(|(node, _)| node.to_owned()).collect();
        for node in nodes {
            self.release(uid, &node);
        }
    }

    /// Forgets what is too old. Call it only while the inventory is kept up.
    pub fn expire(&mut self, now: Duration) {
        let lifetime = |purpose| match purpose {
            Purpose::Binding => BINDING_LIFETIME,
            Purpose::Kept { .. } => KEPT_LIFETIME,
        };
        let old = self
            .all
            .iter()
            .filter(|(_, r)| now.saturating_sub(r.since) >= lifetime(r.purpose));
        let old: Vec<_> = old.map(|((uid, node), _)| (uid.clone(), Arc::clone(node))).collect();
        for (uid, node) in old {
            self.release(&uid, &node);
        }
    }

    /// How many of them are bindings.
    pub fn bindings(&self) -> usize {
        self.all.values().filter(|r| r.purpose == Purpose::Binding).count()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::{Counts, GpuResource};
    use crate::policy::Guarantees;

    const SHARED: GpuResource = GpuResource::GpuShared;

    fn pod_request(count: u64) -> PodRequest {
        PodRequest {
            demand: Counts::one(SHARED, count),
            memory: None,
            terms: Arc::new(Guarantees::none("n")),
        }
    }

    fn counted(held: Option<NodeUsage>) -> u64 {
        held.map_or(0, |held| held.counts().get(SHARED))
    }

    #[test]
    fn a_binding_counts_until_its_pod_is_there() {
        let mut all = Reservations::default();
        all.reserve("p", "a", pod_request(2), Purpose::Binding, Duration::ZERO);
        all.reserve("p", "a", pod_request(2), Purpose::Binding, Duration::ZERO);
        all.reserve("q", "a", pod_request(1), Purpose::Binding, Duration::ZERO);
        assert_eq!(counted(all.against("a", "r", 0)), 3);
        assert_eq!(counted(all.against("a", "p", 0)), 1, "not against itself");
        assert_eq!(counted(all.against("b", "r", 0)), 0);
        all.settle("p");
        assert_eq!(counted(all.against("a", "r", 0)), 1);
        assert!(all.release("q", "a") && !all.release("q", "a"));
        assert!(all.is_empty() && all.reserved().is_empty());
    }

    #[test]
    fn an_earlier_ticket_gives_back_nothing_later() {
        let mut all = Reservations::default();
        let first = all.reserve("p", "a", pod_request(2), Purpose::Binding, Duration::ZERO);
        let second = all.reserve("p", "a", pod_request(2), Purpose::Binding, Duration::ZERO);
        assert!(!all.give_back("p", "a", first));
        assert_eq!(counted(all.against("a", "q", 0)), 2);
        assert!(all.give_back("p", "a", second) && all.is_empty());
    }

    #[test]
    fn kept_room_holds_against_equals_and_ends() {
        let mut all = Reservations::default();
        let kept = Purpose::Kept { priority: 10 };
        all.reserve("p", "a", pod_request(2), kept, Duration::ZERO);
        for (uid, priority, against) in [("q", 0, 2), ("q", 10, 2), ("q", 11, 0), ("p", 10, 0)] {
            assert_eq!(
                counted(all.reserved().on("a", uid, priority)),
                against,
                "{uid} {priority}"
            );
        }
        all.reserve("r", "a", pod_request(1), Purpose::Binding, Duration::ZERO);
        all.keep("r", "a", pod_request(1), 10, Duration::ZERO);
        all.let_go("r", "a");
        assert_eq!(counted(all.reserved().on("a", "q", 11)), 1, "a binding stays one");
        assert_eq!(all.reserved().kept_for("p").collect::<Vec<_>>(), ["a"]);
        all.release("r", "a");
        all.expire(KEPT_LIFETIME / 2);
        assert_eq!(all.len(), 1);
        all.expire(KEPT_LIFETIME);
        assert!(all.reserved().is_empty());
    }
}
