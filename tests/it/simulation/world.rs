//! All of it together, and who moves next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use apportion::cluster::bindings::PATIENCE;
use apportion::cluster::lease::{self, Attempt, Move};
use apportion::service::bind::{BindError, Looked};
use jiff::Timestamp;

use super::api::{Api, Bound, Object};
use super::dice::Dice;
use super::promises::{self, MACHINES, Promises, SPACES};
use super::replica::{Asked, Replica, Stage, millis, rest};

/// Moves in one run, before all comes to rest.
const MOVES: u64 = 160;
/// All of that takes less than a reservation lasts: whoever's watch is silent for longer has been told that it is broken.
const LONGEST_PAUSE: u64 = 1200;
const NAMES: [&str; 2] = ["a", "b"];

/// How this run differs from others, in times of a hundred: what is rare in one is common in another.
struct Habits {
    /// A watch brings nothing although there is something.
    lazy: u64,
    /// A scheduler asks the replica that can not bind.
    astray: u64,
    /// A request or an answer about the Lease gets lost.
    loses: u64,
    /// The task behind the Lease and the seat gets to run.
    busy: u64,
    /// A replica begins to reach the Lease no more, for a while.
    cut: u64,
    /// Milliseconds between two moves, at most.
    pace: u64,
}

/// A request that the API server has, or will have.
struct Call {
    asked: Asked,
    replica: usize,
    sent: u64,
    /// What became of it, once it was applied.
    applied: Option<Bound>,
    /// Whether somebody waits for the answer.
    is_awaited: bool,
}

/// What happened in all runs together.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    bound: u64,
    refused: u64,
    lost: u64,
    crashes: u64,
    terms: u64,
    waiting: u64,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.bound += other.bound;
        self.refused += other.refused;
        self.lost += other.lost;
        self.crashes += other.crashes;
        self.terms += other.terms;
        self.waiting += other.waiting;
    }

    pub fn is_rich(&self) -> bool {
        [
            self.bound,
            self.refused,
            self.lost,
            self.crashes,
            self.terms,
            self.waiting,
        ]
        .iter()
        .all(|count| *count > 50)
    }
}

pub struct World {
    seed: u64,
    dice: Dice,
    clock: Arc<AtomicU64>,
    api: Api,
    replicas: Vec<Replica>,
    calls: Vec<Call>,
    promises: Vec<Promises>,
    made: u64,
    tally: Tally,
    habits: Habits,
    /// Until when each replica does not reach the Lease.
    cut: [u64; 2],
    diary: Option<Vec<String>>,
}

type Found = Result<(), String>;

impl World {
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let clock = Arc::new(AtomicU64::new(1000));
        let promises = vec![promises::any(&mut dice)];
        let habits = Habits {
            lazy: *dice.one_of(&[0, 50, 90]),
            astray: *dice.one_of(&[5, 15, 50]),
            loses: *dice.one_of(&[1, 6, 25]),
            busy: *dice.one_of(&[15, 40, 70]),
            cut: *dice.one_of(&[0, 1, 4]),
            pace: *dice.one_of(&[120, 400, 1400]),
        };
        let replicas = NAMES.map(|name| Replica::start(name, &clock, 0, &promises[0])).into();
        World {
            seed,
            dice,
            clock,
            api: Api::default(),
            replicas,
            calls: Vec::new(),
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

    fn now(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
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
        for _ in 0..MOVES {
            self.make_a_move()?;
        }
        self.come_to_rest()?;
        Ok(self.tally.clone())
    }

    fn make_a_move(&mut self) -> Found {
        let (replica, now) = (self.dice.place(2), self.now());
        match self.dice.below(100) {
            0..14 => self.make_pod(),
            14..40 => self.schedule(replica)?,
            40..55 => self.api_moves()?,
            55..65 if self.dice.percent(self.habits.lazy) => {}
            55..65 => {
                let most = self.dice.place(4) + 1;
                self.replicas[replica].deliver(&self.api, most);
            }
            65..72 => self.replicas[replica].publish(),
            72..82 => drop(self.lease(replica, true)),
            82..86 => drop(self.replicas[replica].open(&self.api, now)),
            86..91 => self.pod_ends(),
            91 => self.crash(replica),
            92..94 => {
                self.note(|| format!("the watch of {} breaks", NAMES[replica]));
                self.replicas[replica].break_watch();
            }
            94 if self.dice.percent(30) => self.policies_change(),
            95 => self.replicas[replica].tick(),
            96 => {
                let last = self.promises.len() - 1;
                self.replicas[replica].learn(last, &self.promises[last]);
            }
            _ => {
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
        let now = self.now();
        for replica in 0..2 {
            if self.dice.percent(self.habits.busy) {
                self.lease(replica, true);
                self.replicas[replica].open(&self.api, now);
            }
        }
        Ok(())
    }

    /// Time passes, and calls that it has run out for end.
    fn pass(&mut self, time: u64) -> Found {
        self.clock.fetch_add(time, Ordering::Relaxed);
        let now = self.now();
        let (over, left): (Vec<Call>, Vec<Call>) = std::mem::take(&mut self.calls)
            .into_iter()
            .partition(|call| now >= call.sent + millis(PATIENCE));
        self.calls = left;
        for call in over.into_iter().filter(|call| call.is_awaited) {
            self.tally.lost += 1;
            let silent = "the API server does not answer".to_owned();
            match call.asked {
                Asked::Look { reply, .. } => drop(reply.send(Err(silent))),
                Asked::Bind { reply, key, .. } => {
                    let _ = reply.send(Err(BindError::Unknown(silent)));
                    self.note(|| format!("no answer for the binding of {key}"));
                }
            }
        }
        self.go_on(0)?;
        self.go_on(1)
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
            // As if the answer of a filter were old.
            (*self.dice.one_of(&nodes)).to_owned()
        };
        self.note(|| format!("{} is asked to bind {} to {node}", NAMES[replica], pod.key()));
        self.replicas[replica].bind(&pod, &node);
        self.go_on(replica)
    }

    /// Bindings of a replica go on; what they ask of the API server is on its way from now.
    fn go_on(&mut self, replica: usize) -> Found {
        let (asked, ended) = self.replicas[replica].go_on();
        for (key, error) in ended {
            self.tally.refused += u64::from(!error.is_empty());
            self.note(|| format!("{} answers for {key}: {error:?}", NAMES[replica]));
        }
        for asked in asked {
            if let Asked::Bind { key, node, uid, .. } = &asked {
                let (key, node, uid) = (key.clone(), node.clone(), uid.clone());
                self.note(|| format!("{} sends the binding of {key} to {node}", NAMES[replica]));
                self.check_sent(replica, &key, &uid, &node)?;
            }
            self.calls.push(Call {
                asked,
                replica,
                sent: self.now(),
                applied: None,
                is_awaited: true,
            });
        }
        Ok(())
    }

    /// A binding may be sent only where nothing is broken with all that is bound and all that is on its way.
    fn check_sent(&self, replica: usize, key: &str, uid: &str, node: &str) -> Found {
        let on_its_way = self
            .calls
            .iter()
            .filter(|call| call.applied.is_none())
            .filter_map(|call| match &call.asked {
                Asked::Bind { key, uid, node: at, .. } if at == node => Some((key.as_str(), uid.as_str())),
                _ => None,
            });
        let mut coming: BTreeMap<&str, &Object> = BTreeMap::new();
        for (key, uid) in on_its_way.chain([(key, uid)]) {
            if let Some(pod) = self
                .api
                .pods
                .get(key)
                .filter(|pod| pod.uid == uid && pod.node.is_none())
            {
                coming.insert(key, pod);
            }
        }
        if !coming.contains_key(key) {
            // The API server will say no.
            return Ok(());
        }
        let mut together = self.api.on(node);
        together.extend(coming.values());
        let view = &self.promises[self.replicas[replica].view];
        let machine = MACHINES.iter().find(|machine| machine.name == node).unwrap();
        match promises::broken(view, machine, &together) {
            Some(why) => Err(format!(
                "{} sends {key} to {node} at {} ms: {why}",
                NAMES[replica],
                self.now()
            )),
            None => Ok(()),
        }
    }

    /// The API server has one of the calls, answers one, or loses one.
    fn api_moves(&mut self) -> Found {
        if self.calls.is_empty() {
            return Ok(());
        }
        let at = self.dice.place(self.calls.len());
        let replica = self.calls[at].replica;
        if self.calls[at].applied.is_none() && matches!(self.calls[at].asked, Asked::Bind { .. }) {
            if self.dice.percent(12) {
                // It never arrives; whoever waits, waits until patience ends.
                return Ok(());
            }
            return self.apply(at);
        }
        if self.dice.percent(15) {
            // The answer is on its way for longer.
            return Ok(());
        }
        self.answer(at);
        self.go_on(replica)
    }

    fn apply(&mut self, at: usize) -> Found {
        let Asked::Bind { key, uid, node, .. } = &self.calls[at].asked else {
            return Ok(());
        };
        let (key, node) = (key.clone(), node.clone());
        let bound = self.api.bind(&key, uid, &node);
        self.note(|| format!("the API server binds {key} to {node}: {bound:?}"));
        self.calls[at].applied = Some(bound.clone());
        if bound == Bound::Done {
            self.tally.bound += 1;
            if let ([promises], Some(machine)) = (&*self.promises, MACHINES.iter().find(|m| m.name == node))
                && let Some(why) = promises::broken(promises, machine, &self.api.on(&node))
            {
                return Err(format!("{key} was bound at {} ms: {why}", self.now()));
            }
        }
        Ok(())
    }

    fn answer(&mut self, at: usize) {
        let call = self.calls.swap_remove(at);
        if !call.is_awaited {
            return;
        }
        match call.asked {
            Asked::Look { key, reply } => {
                let looked = self.api.pods.get(&key).map(|pod| Looked {
                    uid: pod.uid.clone(),
                    record: pod.record().map(Box::new),
                });
                let _ = reply.send(Ok(looked));
            }
            Asked::Bind { reply, .. } => {
                let answer = match call.applied.expect("it was applied") {
                    Bound::Done => Ok(()),
                    Bound::Conflict(why) => Err(BindError::Conflict(why)),
                    Bound::NotFound => Err(BindError::Refused("not found".to_owned())),
                };
                let _ = reply.send(answer);
            }
        }
    }

    /// The next step of the task that holds the Lease. Requests and answers may get lost where `loses`. Returns whether there was one.
    fn lease(&mut self, at: usize, loses: bool) -> bool {
        let now = self.now();
        let lost = loses && (self.dice.percent(self.habits.loses) || now < self.cut[at]);
        let replica = &mut self.replicas[at];
        let stage = std::mem::replace(&mut replica.stage, rest(now));
        let limit = millis(lease::PATIENCE);
        let begun_at = match &stage {
            Stage::Look { begun }
            | Stage::Write { begun, .. }
            | Stage::Answer { begun, .. }
            | Stage::Leave { begun }
            | Stage::LeaveWrite { begun, .. } => Some(*begun),
            Stage::Rest { .. } | Stage::Notice { .. } => None,
        };
        if begun_at.is_some_and(|begun| now > begun + limit) {
            // No answer in time; it rests.
            return true;
        }
        replica.stage = match stage {
            Stage::Rest { until } if now < until => {
                replica.stage = Stage::Rest { until };
                return false;
            }
            Stage::Notice { until, leave } if now < until => {
                replica.stage = Stage::Notice { until, leave };
                return false;
            }
            Stage::Rest { .. } => Stage::Look { begun: now },
            Stage::Notice { leave: false, .. } => rest(now),
            Stage::Notice { leave: true, .. } => Stage::Leave { begun: now },
            Stage::Look { begun } if lost => Stage::Look { begun },
            Stage::Look { begun } => {
                let stamp = Timestamp::from_millisecond(i64::try_from(now).unwrap()).unwrap();
                let wants = replica.is_wanted();
                let time = std::time::Duration::from_millis(now);
                match replica.holder.look(self.api.lease(), wants, time, stamp) {
                    Move::Rest(became) => Stage::Answer { begun, became },
                    Move::Write(lease, became) => Stage::Write { begun, lease, became },
                }
            }
            Stage::Write { begun, .. } if lost && self.dice.percent(50) => Stage::Look { begun },
            Stage::Write { begun, lease, became } => {
                let written = self.api.write_lease(*lease);
                let became = if written { became } else { Attempt::Elsewhere };
                if lost {
                    // Written, and nobody hears of it.
                    rest(begun + limit)
                } else {
                    Stage::Answer { begun, became }
                }
            }
            Stage::Answer { begun, became } => {
                replica.conclude(became, begun, now);
                if matches!(became, Attempt::Taken | Attempt::Resumed) {
                    self.tally.terms += 1;
                }
                if !matches!(became, Attempt::Elsewhere | Attempt::Renewed) {
                    self.note(|| format!("{}: the lease is {became:?}", NAMES[at]));
                }
                return true;
            }
            Stage::Leave { begun } => match self.api.lease().and_then(|lease| replica.holder.leave(lease)) {
                Some(lease) => Stage::LeaveWrite {
                    begun,
                    lease: Box::new(lease),
                },
                None => rest(now),
            },
            Stage::LeaveWrite { lease, .. } => {
                if !lost {
                    self.api.write_lease(*lease);
                }
                rest(now)
            }
        };
        true
    }

    fn crash(&mut self, at: usize) {
        self.note(|| format!("{} crashes", NAMES[at]));
        self.tally.crashes += 1;
        self.calls
            .retain(|call| call.replica != at || matches!(call.asked, Asked::Bind { .. }));
        for call in self.calls.iter_mut().filter(|call| call.replica == at) {
            call.is_awaited = false;
        }
        let last = self.promises.len() - 1;
        self.replicas[at] = Replica::start(NAMES[at], &self.clock, last, &self.promises[last]);
    }

    /// Nothing breaks any more; what is under way ends, and what fits is bound.
    fn come_to_rest(&mut self) -> Found {
        self.note(|| "everything works from here".to_owned());
        let last = self.promises.len() - 1;
        for replica in 0..2 {
            self.replicas[replica].learn(last, &self.promises[last]);
        }
        // Calls that nobody knows the end of count for minutes; then whatever is still free is given.
        for round in 0..60 {
            if round == 12 {
                self.pass(400_000)?;
            }
            for _ in 0..2 {
                self.pass(1100)?;
                for replica in 0..2 {
                    while self.lease(replica, false) {}
                    let now = self.now();
                    while self.replicas[replica].open(&self.api, now) {}
                    self.replicas[replica].deliver(&self.api, usize::MAX);
                    self.replicas[replica].publish();
                    self.replicas[replica].tick();
                }
            }
            let waiting: Vec<Object> = self.api.waiting().into_iter().cloned().collect();
            let fits = waiting.iter().any(|pod| self.place_for(pod).is_some());
            let under_way = !self.calls.is_empty();
            let reserved: usize = self.replicas.iter().map(Replica::reserved).sum();
            if !fits && !under_way && reserved == 0 {
                self.tally.waiting += waiting.len() as u64;
                return Ok(());
            }
            for pod in waiting {
                self.place(&pod)?;
            }
        }
        let left = self
            .api
            .waiting()
            .into_iter()
            .find_map(|pod| Some((pod.key(), self.place_for(pod)?)));
        let reserved: Vec<usize> = self.replicas.iter().map(Replica::reserved).collect();
        Err(format!(
            "all is quiet: {left:?} would fit, {reserved:?} reservations are left"
        ))
    }

    fn place(&mut self, pod: &Object) -> Found {
        let now = self.now();
        let replica = (0..2).find(|replica| self.replicas[*replica].is_open(now)).unwrap_or(0);
        if self.replicas[replica]
            .running
            .iter()
            .any(|running| running.key == pod.key())
        {
            return Ok(());
        }
        let nodes: Vec<&str> = MACHINES
            .iter()
            .filter(|m| m.resource == pod.resource)
            .map(|m| m.name)
            .collect();
        let Some(node) = self.replicas[replica].filter(pod, &nodes).into_iter().next() else {
            return Ok(());
        };
        self.replicas[replica].bind(pod, &node);
        self.go_on(replica)?;
        while !self.calls.is_empty() {
            let replica = self.calls[0].replica;
            if self.calls[0].applied.is_none() {
                self.apply(0)?;
            }
            self.answer(0);
            self.go_on(replica)?;
        }
        for replica in 0..2 {
            self.replicas[replica].deliver(&self.api, usize::MAX);
            self.replicas[replica].publish();
        }
        Ok(())
    }

    fn place_for(&self, pod: &Object) -> Option<&'static str> {
        let last = &self.promises[self.promises.len() - 1];
        let machine = MACHINES
            .iter()
            .find(|machine| promises::could_take(last, machine, &self.api.on(machine.name), pod))?;
        Some(machine.name)
    }
}
