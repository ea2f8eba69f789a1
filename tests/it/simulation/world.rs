//! The simulated cluster and its events.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use k8s_openapi::api::coordination::v1::Lease;

use super::api_calls::Call;
use super::api_server::{Api, Object};
use super::behavior::{Action, Behavior};
use super::guarantees::{self, GuaranteeSet, NAMESPACES, NODES};
use super::random::Random;
use super::replica::{ApiCall, Replica};
use super::statistics::Statistics;

const LONGEST_PAUSE: u64 = 1200;
pub(super) const NAMES: [&str; 2] = ["a", "b"];

pub struct World {
    seed: u64,
    pub(super) random: Random,
    pub(super) clock: Arc<AtomicU64>,
    pub(super) api: Api,
    pub(super) replicas: Vec<Replica>,
    pub(super) calls: Vec<Call>,
    /// Writes of the Lease whose sender has given up, and until when they may arrive.
    pub(super) late_lease_writes: Vec<(u64, Lease)>,
    pub(super) promises: Vec<GuaranteeSet>,
    made: u64,
    pub(super) statistics: Statistics,
    pub(super) behavior: Behavior,
    /// Until when each replica has no access to the Lease.
    pub(super) cut: [u64; 2],
    log: Option<Vec<String>>,
}

pub(super) type Found = Result<(), String>;

impl World {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let clock = Arc::new(AtomicU64::new(1000));
        let promises = vec![guarantees::any(&mut random)];
        let behavior = Behavior::draw(&mut random);
        let replicas = NAMES.map(|name| Replica::start(name, &clock, 0, &promises[0])).into();
        World {
            seed,
            random,
            clock,
            api: Api::default(),
            replicas,
            calls: Vec::new(),
            late_lease_writes: Vec::new(),
            promises,
            made: 0,
            statistics: Statistics::default(),
            behavior,
            cut: [0; 2],
            log: None,
        }
    }

    /// Runs the seed again and returns its events.
    pub fn log(&self) -> Vec<String> {
        let mut again = World::new(self.seed);
        again.log = Some(Vec::new());
        let _ = again.run();
        again.log.unwrap_or_default()
    }

    pub(super) fn now(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    pub(super) fn note(&mut self, what: impl FnOnce() -> String) {
        let now = self.now();
        if let Some(log) = &mut self.log {
            log.push(format!(
                "{:>7.3} s  {}",
                f64::from(u32::try_from(now).unwrap()) / 1000.0,
                what()
            ));
        }
    }

    /// Runs the seed. Returns statistics, or which guarantee was broken.
    pub fn run(&mut self) -> Result<Statistics, String> {
        for replica in &mut self.replicas {
            replica.deliver(&self.api, 0);
            replica.publish();
        }
        for _ in 0..self.behavior.moves {
            self.step()?;
        }
        self.settle()?;
        Ok(self.statistics.clone())
    }

    fn step(&mut self) -> Found {
        let (replica, now) = (self.random.index(2), self.now());
        match self.behavior.action(&mut self.random) {
            Action::MakePod => self.make_pod(),
            Action::Schedule => self.schedule(replica)?,
            Action::Api => self.api_moves()?,
            Action::Deliver if self.random.percent(self.behavior.lazy) => {}
            Action::Deliver => {
                let most = self.random.index(4) + 1;
                self.replicas[replica].deliver(&self.api, most);
            }
            Action::Publish => self.replicas[replica].publish(),
            Action::Lease => drop(self.lease(replica, true)),
            Action::Open => drop(self.replicas[replica].open(&self.api, now)),
            Action::EndPod => self.pod_ends(),
            Action::Crash => self.crash(replica),
            Action::Break => {
                self.note(|| format!("the watch of {} breaks", NAMES[replica]));
                self.replicas[replica].break_watch();
            }
            Action::ChangePolicies => self.policies_change(),
            Action::Tick => self.replicas[replica].tick(),
            Action::Learn => {
                let last = self.promises.len() - 1;
                self.replicas[replica].learn(last, &self.promises[last]);
            }
            Action::Pause => {
                let pause = self.random.below(LONGEST_PAUSE);
                self.pass(pause)?;
            }
        }
        // Leader election proceeds with every step, or no replica would ever become leader.
        let pause = self.random.below(self.behavior.pace);
        if self.random.percent(self.behavior.cut) {
            self.cut[replica] = now + 5000 + self.random.below(25_000);
            self.note(|| format!("{} loses access to the Lease for a while", NAMES[replica]));
        }
        self.pass(pause)?;
        self.late_lease_writes();
        let mut in_flight = self.calls.iter().filter(|call| call.is_in_flight() && call.is_awaited);
        if let Some(sender) = in_flight.next().map(|call| call.replica)
            && self.random.percent(self.behavior.dies)
        {
            self.crash(sender);
        }
        let now = self.now();
        for replica in 0..2 {
            if self.behavior.busy == 100 {
                while self.lease(replica, true) || self.replicas[replica].open(&self.api, now) {}
            } else if self.random.percent(self.behavior.busy) {
                self.lease(replica, true);
                self.replicas[replica].open(&self.api, now);
            }
        }
        Ok(())
    }

    fn make_pod(&mut self) {
        self.made += 1;
        let (namespace, policy, _) = *self.random.one_of(&NAMESPACES);
        let (resource, memory) = match policy {
            "slices" => (
                "nvidia.com/gpu.shared",
                *self.random.one_of(&[None, Some(3), Some(6), Some(12)]),
            ),
            "mps" => ("nvidia.com/gpu.shared", *self.random.one_of(&[None, Some(2)])),
            _ => ("nvidia.com/gpu", None),
        };
        // Names are reused, UIDs are not.
        let name = format!("p{}", self.random.below(12));
        let pod = Object {
            namespace,
            name,
            uid: format!("u{}", self.made),
            resource,
            count: 1 + u64::from(self.random.percent(25)),
            memory,
            node: None,
            finished: false,
        };
        if !self.api.pods.contains_key(&pod.key()) {
            self.note(|| {
                format!(
                    "pod {} {} is created: {} {:?} Gi",
                    pod.key(),
                    pod.uid,
                    pod.count,
                    pod.memory
                )
            });
            self.api.put(pod);
        }
    }

    /// A pod finishes, or is deleted.
    fn pod_ends(&mut self) {
        let keys: Vec<String> = self.api.pods.keys().cloned().collect();
        if keys.is_empty() {
            return;
        }
        let key = self.random.one_of(&keys).clone();
        let pod = self.api.pods[&key].clone();
        if pod.node.is_some() && !pod.finished && self.random.percent(50) {
            self.note(|| format!("pod {key} finishes"));
            self.api.put(Object { finished: true, ..pod });
        } else if pod.node.is_some() || self.random.percent(25) {
            self.note(|| format!("pod {key} is deleted"));
            self.api.delete(&key);
        }
    }

    fn policies_change(&mut self) {
        let mut next = guarantees::any(&mut self.random);
        guarantees::keep_assumptions(&mut next, &self.promises[0]);
        self.note(|| format!("policies change: {next:?}"));
        self.promises.push(next);
    }

    /// A scheduler filters and binds a waiting pod, usually through the leader. Sometimes two do so
    /// for one pod.
    fn schedule(&mut self, other: usize) -> Found {
        let now = self.now();
        let replica = [1 - other, other]
            .into_iter()
            .find(|replica| self.replicas[*replica].is_open(now))
            .filter(|_| !self.random.percent(self.behavior.wrong_replica))
            .unwrap_or(other);
        let waiting: Vec<Object> = self.api.waiting().into_iter().cloned().collect();
        if waiting.is_empty() {
            return Ok(());
        }
        let pod = self.random.one_of(&waiting).clone();
        let is_tried = self
            .replicas
            .iter()
            .any(|one| one.running.iter().any(|r| r.key == pod.key()));
        if is_tried && self.random.percent(90) {
            return Ok(());
        }
        let nodes: Vec<&str> = NODES
            .iter()
            .filter(|m| m.resource == pod.resource)
            .map(|m| m.name)
            .collect();
        let node = if self.random.percent(40) {
            let fitting = self.replicas[replica].filter(&pod, &nodes);
            if fitting.is_empty() {
                return Ok(());
            }
            self.random.one_of(&fitting).clone()
        } else {
            // As if the filter's answer were outdated. Prefer nodes with a binding in flight.
            let contested = self.calls.iter().find_map(|call| match &call.asked {
                ApiCall::Bind { node, .. } if call.is_in_flight() && nodes.contains(&&**node) => Some(node.clone()),
                _ => None,
            });
            let drawn = *self.random.one_of(&nodes);
            contested
                .filter(|_| self.random.percent(self.behavior.contests))
                .unwrap_or_else(|| drawn.to_owned())
        };
        self.note(|| format!("{} is asked to bind {} to {node}", NAMES[replica], pod.key()));
        self.replicas[replica].bind(&pod, &node);
        self.resume(replica)
    }

    /// A replica crashes and restarts under the same name. Its calls stay in flight.
    fn crash(&mut self, at: usize) {
        self.note(|| format!("{} crashes", NAMES[at]));
        self.statistics.crashes += 1;
        self.calls
            .retain(|call| call.replica != at || matches!(call.asked, ApiCall::Bind { .. }));
        for call in self.calls.iter_mut().filter(|call| call.replica == at) {
            call.is_awaited = false;
        }
        let last = self.promises.len() - 1;
        self.replicas[at] = Replica::start(NAMES[at], &self.clock, last, &self.promises[last]);
        if self.random.percent(self.behavior.quick) {
            self.replicas[at].deliver(&self.api, 0);
            self.replicas[at].publish();
        }
    }
}
