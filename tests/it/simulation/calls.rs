//! Calls on their way to the API server and back.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use apportion::cluster::bindings::PATIENCE;
use apportion::service::bind::{BindError, Looked};

use super::api::{Bound, Object};
use super::promises::{self, MACHINES};
use super::replica::{NodeQuery, millis};
use super::world::{Found, NAMES, World};

/// A request that the API server has, or will have.
pub struct Call {
    pub asked: NodeQuery,
    pub replica: usize,
    pub sent: u64,
    /// What became of it, once it was applied.
    pub applied: Option<Bound>,
    /// Whether somebody waits for the answer.
    pub is_awaited: bool,
}

impl Call {
    /// Whether it binds a pod, and the API server does not have it yet.
    pub fn is_on_its_way(&self) -> bool {
        self.applied.is_none() && matches!(self.asked, NodeQuery::Bind { .. })
    }
}

impl World {
    /// Time passes, and calls that it has run out for end.
    pub(super) fn pass(&mut self, time: u64) -> Found {
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
                NodeQuery::Look { reply, .. } => drop(reply.send(Err(silent))),
                NodeQuery::Bind { reply, key, .. } => {
                    let _ = reply.send(Err(BindError::Unknown(silent)));
                    self.note(|| format!("no answer for the binding of {key}"));
                }
            }
        }
        self.go_on(0)?;
        self.go_on(1)
    }

    /// Bindings of a replica go on; what they ask of the API server is on its way from now.
    pub(super) fn go_on(&mut self, replica: usize) -> Found {
        let (asked, ended) = self.replicas[replica].go_on();
        for (key, error) in ended {
            self.tally.refused += u64::from(!error.is_empty());
            self.note(|| format!("{} answers for {key}: {error:?}", NAMES[replica]));
        }
        for asked in asked {
            if let NodeQuery::Bind { key, node, uid, .. } = &asked {
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
                NodeQuery::Bind { key, uid, node: at, .. } if at == node => Some((key.as_str(), uid.as_str())),
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
    pub(super) fn api_moves(&mut self) -> Found {
        if self.calls.is_empty() {
            return Ok(());
        }
        let at = self.dice.place(self.calls.len());
        let replica = self.calls[at].replica;
        if self.calls[at].is_on_its_way() {
            if self.dice.percent(self.habits.slow) {
                // It arrives later or never; whoever waits, waits until patience ends.
                return Ok(());
            }
            return self.apply(at);
        }
        if self.dice.percent(self.habits.slow) {
            // The answer is on its way for longer.
            return Ok(());
        }
        self.answer(at);
        self.go_on(replica)
    }

    pub(super) fn apply(&mut self, at: usize) -> Found {
        let NodeQuery::Bind { key, uid, node, .. } = &self.calls[at].asked else {
            return Ok(());
        };
        let (key, node) = (key.clone(), node.clone());
        let bound = self.api.bind(&key, uid, &node);
        self.note(|| format!("the API server binds {key} to {node}: {bound:?}"));
        let is_doubled = bound == Bound::Done && self.dice.percent(self.habits.doubled);
        self.calls[at].applied = Some(if is_doubled {
            self.note(|| "it arrives a second time".to_owned());
            self.tally.doubled += 1;
            let NodeQuery::Bind { key, uid, node, .. } = &self.calls[at].asked else {
                return Ok(());
            };
            self.api.bind(key, uid, node)
        } else {
            bound.clone()
        });
        if bound == Bound::Done {
            self.tally.bound += 1;
            self.tally.orphaned += u64::from(!self.calls[at].is_awaited);
            if let ([promises], Some(machine)) = (&*self.promises, MACHINES.iter().find(|m| m.name == node))
                && let Some(why) = promises::broken(promises, machine, &self.api.on(&node))
            {
                return Err(format!("{key} was bound at {} ms: {why}", self.now()));
            }
        }
        Ok(())
    }

    pub(super) fn answer(&mut self, at: usize) {
        let call = self.calls.swap_remove(at);
        if !call.is_awaited {
            return;
        }
        match call.asked {
            NodeQuery::Look { key, reply } => {
                let looked = self.api.pods.get(&key).map(|pod| Looked {
                    uid: pod.uid.clone(),
                    record: pod.record().map(Box::new),
                });
                let _ = reply.send(Ok(looked));
            }
            NodeQuery::Bind { reply, .. } => {
                let answer = match call.applied.expect("it was applied") {
                    Bound::Done => Ok(()),
                    Bound::Conflict(why) => Err(BindError::Conflict(why)),
                    Bound::NotFound => Err(BindError::Refused("not found".to_owned())),
                };
                let _ = reply.send(answer);
            }
        }
    }
}
