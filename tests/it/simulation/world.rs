//! All of it together, and who moves next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use k8s_openapi::api::coordination::v1::Lease;

use super::api::{Api, Object};
use super::calls::Call;
use super::dice::Dice;
use super::habits::{Action, Habits};
use super::promises::{self, MACHINES, Promises, SPACES};
use super::replica::{NodeQuery, Replica};
use super::tally::Tally;

const LONGEST_PAUSE: u64 = 1200;
pub(super) const NAMES: [&str; 2] = ["a", "b"];

pub struct World {
    seed: u64,
    pub(super) dice: Dice,
    pub(super) clock: Arc<AtomicU64>,
    pub(super) api: Api,
    pub(super) replicas: Vec<Replica>,
    pub(super) calls: Vec<Call>,
    /// Writes of the Lease whose sender has given up on them, and until when they may arrive.
    pub(super) late_leases: Vec<(u64, Lease)>,
    pub(super) promises: Vec<Promises>,
    made: u64,
    pub(super) tally: Tally,
    pub(super) habits: Habits,
    /// Until when each replica does not reach the Lease.
    pub(super) cut: [u64; 2],
    diary: Option<Vec<String>>,
}

pub(super) type Found = Result<(), String>;

impl World {
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let clock = Arc::new(AtomicU64::new(1000));
        let promises = vec![promises::any(&mut dice)];
        let habits = Habits::draw(&mut dice);
        let replicas = NAMES.map(|name| Replica::start(name, &clock, 0, &promises[0])).into();
        World {
            seed,
            dice,
            clock,
            api: Api::default(),
            replicas,
            calls: Vec::new(),
            late_leases: Vec::new(),
            promises,
            made: 0,
            tally: Tally::default(),
            habits,
            cut: [0; 2],
            diary: None,
        }
    }

    /// What happened, in order: the run is made once more to write it down.
    pub fn diary(&self) -> Vec<String> {
        let mut again = World::new(self.seed);
        again.diary = Some(Vec::new());
        let _ = again.run();
        again.diary.unwrap_or_default()
    }

    pub(super) fn now(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    pub(super) fn note(&mut self, what: impl FnOnce() -> String) {
        let now = self.now();
        if let Some(diary) = &mut self.diary {
            diary.push(format!(
                "{:>7.3} s  {}",
                f64::from(u32::try_from(now).unwrap()) / 1000.0,
                what()
            ));
        }
    }

    /// Runs to rest, and says what was seen on the way; or which promise was broken.
    pub fn run(&mut self) -> Result<Tally, String> {
        for replica in &mut self.replicas {
            replica.deliver(&self.api, 0);
            replica.publish();
        }
        for _ in 0..self.habits.moves {
            self.make_a_move()?;
        }
        self.come_to_rest()?;
        Ok(self.tally.clone())
    }

    fn make_a_move(&mut self) -> Found {
        let (replica, now) = (self.dice.place(2), self.now());
        match self.habits.action(&mut self.dice) {
            Action::MakePod => self.make_pod(),
            Action::Schedule => self.schedule(replica)?,
            Action::Api => self.api_moves()?,
            Action::Deliver if self.dice.percent(self.habits.lazy) => {}
            Action::Deliver => {
                let most = self.dice.place(4) + 1;
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
            Action::ReconfigurationState => {
                let pause = self.dice.below(LONGEST_PAUSE);
                self.pass(pause)?;
            }
        }
        // Leases and lists go on by themselves, or nobody would ever be the one who binds.
        let little = self.dice.below(self.habits.pace);
        if self.dice.percent(self.habits.cut) {
            self.cut[replica] = now + 5000 + self.dice.below(25_000);
            self.note(|| format!("{} does not reach the Lease for a while", NAMES[replica]));
        }
        self.pass(little)?;
        self.late_leases();
        let mut on_its_way = self.calls.iter().filter(|call| call.is_on_its_way() && call.is_awaited);
        if let Some(sender) = on_its_way.next().map(|call| call.replica)
            && self.dice.percent(self.habits.dies)
        {
            self.crash(sender);
        }
        let now = self.now();
        for replica in 0..2 {
            if self.habits.busy == 100 {
                while self.lease(replica, true) || self.replicas[replica].open(&self.api, now) {}
            } else if self.dice.percent(self.habits.busy) {
                self.lease(replica, true);
                self.replicas[replica].open(&self.api, now);
            }
        }
        Ok(())
    }

    fn make_pod(&mut self) {
        self.made += 1;
        let (namespace, policy, _) = *self.dice.one_of(&SPACES);
        let (resource, memory) = match policy {
            "slices" => (
                "nvidia.com/gpu.shared",
                *self.dice.one_of(&[None, Some(3), Some(6), Some(12)]),
            ),
            "mps" => ("nvidia.com/gpu.shared", *self.dice.one_of(&[None, Some(2)])),
            _ => ("nvidia.com/gpu", None),
        };
        // Names come again, UIDs do not.
        let name = format!("p{}", self.dice.below(12));
        let pod = Object {
            namespace,
            name,
            uid: format!("u{}", self.made),
            resource,
            count: 1 + u64::from(self.dice.percent(25)),
            memory,
            node: None,
            finished: false,
        };
        if !self.api.pods.contains_key(&pod.key()) {
            self.note(|| {
                format!(
                    "pod {} {} is made: {} {:?} Gi",
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
        let key = self.dice.one_of(&keys).clone();
        let pod = self.api.pods[&key].clone();
        if pod.node.is_some() && !pod.finished && self.dice.percent(50) {
            self.note(|| format!("pod {key} finishes"));
            self.api.put(Object { finished: true, ..pod });
        } else if pod.node.is_some() || self.dice.percent(25) {
            self.note(|| format!("pod {key} is deleted"));
            self.api.delete(&key);
        }
    }

    fn policies_change(&mut self) {
        let mut next = promises::any(&mut self.dice);
        promises::keep_assumptions(&mut next, &self.promises[0]);
        self.note(|| format!("policies change: {next:?}"));
        self.promises.push(next);
    }

    /// A scheduler asks a replica about a waiting pod, and has it bound. Mostly the one that can; at times two for one pod.
    fn schedule(&mut self, other: usize) -> Found {
        let now = self.now();
        let replica = [1 - other, other]
            .into_iter()
            .find(|replica| self.replicas[*replica].is_open(now))
            .filter(|_| !self.dice.percent(self.habits.astray))
            .unwrap_or(other);
        let waiting: Vec<Object> = self.api.waiting().into_iter().cloned().collect();
        if waiting.is_empty() {
            return Ok(());
        }
        let pod = self.dice.one_of(&waiting).clone();
        let is_tried = self
            .replicas
            .iter()
            .any(|one| one.running.iter().any(|r| r.key == pod.key()));
        if is_tried && self.dice.percent(90) {
            return Ok(());
        }
        let nodes: Vec<&str> = MACHINES
            .iter()
            .filter(|m| m.resource == pod.resource)
            .map(|m| m.name)
            .collect();
        let node = if self.dice.percent(40) {
            let fitting = self.replicas[replica].filter(&pod, &nodes);
            if fitting.is_empty() {
                return Ok(());
            }
            self.dice.one_of(&fitting).clone()
        } else {
            // As if the answer of a filter were old. Where something is on its way already is where it is decided.
            let contested = self.calls.iter().find_map(|call| match &call.asked {
                NodeQuery::Bind { node, .. } if call.is_on_its_way() && nodes.contains(&&**node) => Some(node.clone()),
                _ => None,
            });
            let drawn = *self.dice.one_of(&nodes);
            contested
                .filter(|_| self.dice.percent(self.habits.contests))
                .unwrap_or_else(|| drawn.to_owned())
        };
        self.note(|| format!("{} is asked to bind {} to {node}", NAMES[replica], pod.key()));
        self.replicas[replica].bind(&pod, &node);
        self.go_on(replica)
    }

    /// A replica is gone, and another process takes its place under its name. What it had sent goes its way.
    fn crash(&mut self, at: usize) {
        self.note(|| format!("{} crashes", NAMES[at]));
        self.tally.crashes += 1;
        self.calls
            .retain(|call| call.replica != at || matches!(call.asked, NodeQuery::Bind { .. }));
        for call in self.calls.iter_mut().filter(|call| call.replica == at) {
            call.is_awaited = false;
        }
        let last = self.promises.len() - 1;
        self.replicas[at] = Replica::start(NAMES[at], &self.clock, last, &self.promises[last]);
        if self.dice.percent(self.habits.quick) {
            self.replicas[at].deliver(&self.api, 0);
            self.replicas[at].publish();
        }
    }
}
