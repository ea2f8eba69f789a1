//! What was decided but is not in the inventory yet: bindings on their way, and capacity for
//! nominated pods whose victims are leaving.
//!
//! A binding counts from the decision until the inventory has the pod on its node, so no share is
//! assigned twice in between. A binding with an unknown result keeps counting: counting a pod twice
//! for a moment only delays another pod, but missing one would break a guarantee.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::cluster::NodeMap;
use super::node_usage::{NodeUsage, PodRequest};

/// How long a binding counts if its pod never appears. By then every call has ended and every watch
/// has reconnected, or decisions have stopped altogether.
pub const BINDING_LIFETIME: Duration = Duration::from_mins(5);
/// How long capacity is reserved for a nominated pod.
pub const NOMINATION_LIFETIME: Duration = Duration::from_mins(2);

/// Why capacity is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The API server was asked to bind the pod, and has not refused.
    Binding,
    /// Victims were evicted for the pod. As in kube-scheduler, a nominated pod counts against pods
    /// of the same or a lower priority.
    Nominated {
        /// The priority of the nominated pod.
        priority: i32,
    },
}

/// What is reserved for one pod on one node.
#[derive(Clone, Debug)]
pub struct Reservation {
    /// What the pod will hold.
    pub pod_request: PodRequest,
    pub purpose: Purpose,
    since: Duration,
    id: ReservationId,
}

/// Tells successive reservations for the same pod and node apart, so that cancelling an earlier one
/// leaves a later one in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservationId(u64);

/// All reservations. The caller guards them with the lock under which it decides.
#[derive(Clone, Debug, Default)]
pub struct Reservations {
    /// By the pod's UID and the node.
    all: BTreeMap<(Box<str>, Arc<str>), Reservation>,
    reserved: Reserved,
    last_id: u64,
}

/// What is reserved, by node. Copies share structure, so readers take a copy and hold no lock.
#[derive(Clone, Debug, Default)]
pub struct Reserved {
    bindings: NodeMap<NodeUsage>,
    nominations: NodeMap<Vec<Nomination>>,
}

#[derive(Clone, Debug)]
struct Nomination {
    uid: Box<str>,
    priority: i32,
    pod_request: PodRequest,
}

impl Reserved {
    pub fn is_empty(&self) -> bool {
        self.bindings.is_empty() && self.nominations.is_empty()
    }

    /// The nodes that a pod is nominated for.
    pub fn nominated_nodes(&self, uid: &str) -> impl Iterator<Item = &str> {
        self.nominations
            .iter()
            .filter(move |(_, nominations)| nominations.iter().any(|nomination| *nomination.uid == *uid))
            .map(|(node, _)| &**node)
    }

    /// What is reserved on a node against a pod with this UID and priority. The pod's own binding
    /// counts too: [`Reservations::usage_against`] leaves it out, for a pod that is bound again.
    pub fn usage_against(&self, node: &str, uid: &str, priority: i32) -> Option<NodeUsage> {
        let bindings = self.bindings.get(node);
        let nominations = || {
            let all = self.nominations.get(node).into_iter().flatten();
            all.filter(|nomination| &*nomination.uid != uid && nomination.priority >= priority)
        };
        if bindings.is_none() && nominations().next().is_none() {
            return None;
        }
        let mut usage = bindings.cloned().unwrap_or_default();
        for nomination in nominations() {
            usage.add(&nomination.pod_request.request());
        }
        Some(usage)
    }
}

impl Reservations {
    /// The part that readers copy.
    pub fn reserved(&self) -> &Reserved {
        &self.reserved
    }

    /// What is reserved on a node against a pod, without the pod's own reservations.
    pub fn usage_against(&self, node: &str, uid: &str, priority: i32) -> Option<NodeUsage> {
        let mut usage = self.reserved.usage_against(node, uid, priority)?;
        if let Some(own) = self.get(uid, node)
            && own.purpose == Purpose::Binding
        {
            usage.subtract(&own.pod_request.request());
        }
        (!usage.is_empty()).then_some(usage)
    }

    pub fn get(&self, uid: &str, node: &str) -> Option<&Reservation> {
        self.all.get(&(uid.into(), node.into()))
    }

    /// The reservations of a pod, by node.
    pub fn of<'r>(&'r self, uid: &'r str) -> impl Iterator<Item = (&'r str, &'r Reservation)> {
        self.all
            .range((Box::from(uid), Arc::from(""))..)
            .take_while(move |((own, _), _)| **own == *uid)
            .map(|((_, node), reservation)| (&**node, reservation))
    }

    /// Reserves capacity. Replaces an earlier reservation for the same pod and node. `now` is the
    /// time since a fixed start.
    pub fn reserve(
        &mut self,
        uid: &str,
        node: &str,
        pod_request: PodRequest,
        purpose: Purpose,
        now: Duration,
    ) -> ReservationId {
        self.release(uid, node);
        self.last_id += 1;
        let id = ReservationId(self.last_id);
        let node: Arc<str> = node.into();
        match purpose {
            Purpose::Binding => {
                let usage = self.reserved.bindings.entry(Arc::clone(&node)).or_default();
                usage.add(&pod_request.request());
            }
            Purpose::Nominated { priority } => {
                let nomination = Nomination {
                    uid: uid.into(),
                    priority,
                    pod_request: pod_request.clone(),
                };
                let nominations = self.reserved.nominations.entry(Arc::clone(&node)).or_default();
                nominations.push(nomination);
            }
        }
        let reservation = Reservation {
            pod_request,
            purpose,
            since: now,
            id,
        };
        self.all.insert((uid.into(), node), reservation);
        id
    }

    /// Releases a reservation, unless a later one has replaced it. Returns whether it was there.
    pub fn cancel(&mut self, uid: &str, node: &str, id: ReservationId) -> bool {
        self.get(uid, node).is_some_and(|reservation| reservation.id == id) && self.release(uid, node)
    }

    /// Reserves capacity for a nominated pod, unless a binding for it is on its way, which counts
    /// against all pods.
    pub fn nominate(&mut self, uid: &str, node: &str, pod_request: PodRequest, priority: i32, now: Duration) {
        if !self.is_binding(uid, node) {
            self.reserve(uid, node, pod_request, Purpose::Nominated { priority }, now);
        }
    }

    /// Ends a nomination. A binding stays.
    pub fn end_nomination(&mut self, uid: &str, node: &str) {
        if !self.is_binding(uid, node) {
            self.release(uid, node);
        }
    }

    fn is_binding(&self, uid: &str, node: &str) -> bool {
        self.get(uid, node)
            .is_some_and(|reservation| reservation.purpose == Purpose::Binding)
    }

    /// Releases the reservation of a pod on a node. Returns whether there was one.
    pub fn release(&mut self, uid: &str, node: &str) -> bool {
        let Some(released) = self.all.remove(&(uid.into(), node.into())) else {
            return false;
        };
        match released.purpose {
            Purpose::Binding => {
                if let Some(usage) = self.reserved.bindings.get_mut(node) {
                    usage.subtract(&released.pod_request.request());
                    if usage.is_empty() {
                        self.reserved.bindings.remove(node);
                    }
                }
            }
            Purpose::Nominated { .. } => {
                if let Some(nominations) = self.reserved.nominations.get_mut(node) {
                    nominations.retain(|nomination| &*nomination.uid != uid);
                    if nominations.is_empty() {
                        self.reserved.nominations.remove(node);
                    }
                }
            }
        }
        true
    }

    /// Releases everything that is reserved for a pod: the inventory has it on its node, or knows
    /// that it is gone.
    pub fn settle(&mut self, uid: &str) {
        let nodes: Vec<String> = self.of(uid).map(|(node, _)| node.to_owned()).collect();
        for node in nodes {
            self.release(uid, &node);
        }
    }

    /// Releases reservations whose lifetime has ended. Call it only while the inventory is up to
    /// date.
    pub fn expire(&mut self, now: Duration) {
        let lifetime = |purpose| match purpose {
            Purpose::Binding => BINDING_LIFETIME,
            Purpose::Nominated { .. } => NOMINATION_LIFETIME,
        };
        let expired: Vec<_> = self
            .all
            .iter()
            .filter(|(_, reservation)| now.saturating_sub(reservation.since) >= lifetime(reservation.purpose))
            .map(|((uid, node), _)| (uid.clone(), Arc::clone(node)))
            .collect();
        for (uid, node) in expired {
            self.release(&uid, &node);
        }
    }

    /// The number of reservations that are bindings.
    pub fn bindings(&self) -> usize {
        self.all
            .values()
            .filter(|reservation| reservation.purpose == Purpose::Binding)
            .count()
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

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
            guarantees: Arc::new(Guarantees::without_limits("n")),
        }
    }

    fn shares(usage: Option<NodeUsage>) -> u64 {
        usage.map_or(0, |usage| usage.counts().get(SHARED))
    }

    #[test]
    fn a_binding_counts_until_the_inventory_has_its_pod() {
        let mut all = Reservations::default();
        all.reserve("p", "a", pod_request(2), Purpose::Binding, Duration::ZERO);
        all.reserve("p", "a", pod_request(2), Purpose::Binding, Duration::ZERO);
        all.reserve("q", "a", pod_request(1), Purpose::Binding, Duration::ZERO);
        assert_eq!(shares(all.usage_against("a", "r", 0)), 3);
        assert_eq!(
            shares(all.usage_against("a", "p", 0)),
            1,
            "its own binding does not count"
        );
        assert_eq!(shares(all.usage_against("b", "r", 0)), 0);
        all.settle("p");
        assert_eq!(shares(all.usage_against("a", "r", 0)), 1);
        assert!(all.release("q", "a") && !all.release("q", "a"));
        assert!(all.is_empty() && all.reserved().is_empty());
    }

    #[test]
    fn cancelling_an_earlier_reservation_keeps_a_later_one() {
        let mut all = Reservations::default();
        let first = all.reserve("p", "a", pod_request(2), Purpose::Binding, Duration::ZERO);
        let second = all.reserve("p", "a", pod_request(2), Purpose::Binding, Duration::ZERO);
        assert!(!all.cancel("p", "a", first));
        assert_eq!(shares(all.usage_against("a", "q", 0)), 2);
        assert!(all.cancel("p", "a", second) && all.is_empty());
    }

    #[test]
    fn a_nomination_counts_against_equal_and_lower_priorities_and_expires() {
        let mut all = Reservations::default();
        let nominated = Purpose::Nominated { priority: 10 };
        all.reserve("p", "a", pod_request(2), nominated, Duration::ZERO);
        for (uid, priority, expected) in [("q", 0, 2), ("q", 10, 2), ("q", 11, 0), ("p", 10, 0)] {
            assert_eq!(
                shares(all.reserved().usage_against("a", uid, priority)),
                expected,
                "{uid} {priority}"
            );
        }
        all.reserve("r", "a", pod_request(1), Purpose::Binding, Duration::ZERO);
        all.nominate("r", "a", pod_request(1), 10, Duration::ZERO);
        all.end_nomination("r", "a");
        assert_eq!(
            shares(all.reserved().usage_against("a", "q", 11)),
            1,
            "the binding stays"
        );
        assert_eq!(all.reserved().nominated_nodes("p").collect::<Vec<_>>(), ["a"]);
        all.release("r", "a");
        all.expire(NOMINATION_LIFETIME / 2);
        assert_eq!(all.len(), 1);
        all.expire(NOMINATION_LIFETIME);
        assert!(all.reserved().is_empty());
    }
}
