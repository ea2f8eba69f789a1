//! Calls in flight to the API server and back.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use apportion::cluster::lease::CALL_TIMEOUT;
use apportion::service::bind::{BindError, CallError, LivePod};

use super::api_server::{Bound, Object};
use super::guarantees::{self, NODES};
use super::replica::{ApiCall, millis};
use super::world::{Found, NAMES, World};

/// A request that the API server has received or may still receive.
pub struct Call {
    pub asked: ApiCall,
    pub replica: usize,
    pub sent: u64,
    /// The result, once it is applied.
    pub applied: Option<Bound>,
    /// Whether a replica waits for the answer.
    pub is_awaited: bool,
}

impl Call {
    /// Whether it binds a pod and is not applied yet.
    pub fn is_in_flight(&self) -> bool {
        self.applied.is_none() && matches!(self.asked, ApiCall::Bind { .. })
    }
}

impl World {
    /// Lets time pass, and ends calls that time out.
    pub(super) fn pass(&mut self, time: u64) -> Found {
        self.clock.fetch_add(time, Ordering::Relaxed);
        let now = self.now();
        let (over, left): (Vec<Call>, Vec<Call>) = std::mem::take(&mut self.calls)
            .into_iter()
            .partition(|call| now >= call.sent + millis(CALL_TIMEOUT));
        self.calls = left;
        for call in over.into_iter().filter(|call| call.is_awaited) {
            self.statistics.lost += 1;
            let timeout = "the API server does not answer".to_owned();
            match call.asked {
                ApiCall::Look { reply, .. } => drop(reply.send(Err(CallError::Timeout))),
                ApiCall::Bind { reply, key, .. } => {
                    let _ = reply.send(Err(BindError::Unknown(timeout)));
                    self.note(|| format!("no answer for the binding of {key}"));
                }
            }
        }
        self.resume(0)?;
        self.resume(1)
    }

    /// Resumes the bindings of a replica and sends their calls to the API server.
    pub(super) fn resume(&mut self, replica: usize) -> Found {
        let (asked, ended) = self.replicas[replica].resume();
        for (key, error) in ended {
            self.statistics.refused += u64::from(!error.is_empty());
            self.note(|| format!("{} answers for {key}: {error:?}", NAMES[replica]));
        }
        for asked in asked {
            if let ApiCall::Bind { key, node, uid, .. } = &asked {
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

    /// Checks that a binding breaks no guarantee together with all bound pods and all calls in
    /// flight.
    fn check_sent(&self, replica: usize, key: &str, uid: &str, node: &str) -> Found {
        let in_flight = self
            .calls
            .iter()
            .filter(|call| call.applied.is_none())
            .filter_map(|call| match &call.asked {
                ApiCall::Bind { key, uid, node: at, .. } if at == node => Some((key.as_str(), uid.as_str())),
                _ => None,
            });
        let mut coming: BTreeMap<&str, &Object> = BTreeMap::new();
        for (key, uid) in in_flight.chain([(key, uid)]) {
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
            // The API server will refuse.
            return Ok(());
        }
        let mut together = self.api.on(node);
        together.extend(coming.values());
        let view = &self.promises[self.replicas[replica].view];
        let machine = NODES.iter().find(|machine| machine.name == node).unwrap();
        match guarantees::broken(view, machine, &together) {
            Some(why) => Err(format!(
                "{} sends {key} to {node} at {} ms: {why}",
                NAMES[replica],
                self.now()
            )),
            None => Ok(()),
        }
    }

    /// The API server applies, answers or delays one call.
    pub(super) fn api_moves(&mut self) -> Found {
        if self.calls.is_empty() {
            return Ok(());
        }
        let at = self.random.index(self.calls.len());
        let replica = self.calls[at].replica;
        if self.calls[at].is_in_flight() {
            if self.random.percent(self.behavior.slow) {
                // It arrives later or never; its sender waits for the timeout.
                return Ok(());
            }
            return self.apply(at);
        }
        if self.random.percent(self.behavior.slow) {
            // The answer is delayed.
            return Ok(());
        }
        self.answer(at);
        self.resume(replica)
    }

    pub(super) fn apply(&mut self, at: usize) -> Found {
        let ApiCall::Bind { key, uid, node, .. } = &self.calls[at].asked else {
            return Ok(());
        };
        let (key, node) = (key.clone(), node.clone());
        let bound = self.api.bind(&key, uid, &node);
        self.note(|| format!("the API server binds {key} to {node}: {bound:?}"));
        let is_doubled = bound == Bound::Done && self.random.percent(self.behavior.doubled);
        self.calls[at].applied = Some(if is_doubled {
            self.note(|| "it arrives a second time".to_owned());
            self.statistics.doubled += 1;
            let ApiCall::Bind { key, uid, node, .. } = &self.calls[at].asked else {
                return Ok(());
            };
            self.api.bind(key, uid, node)
        } else {
            bound.clone()
        });
        if bound == Bound::Done {
            self.statistics.bound += 1;
            self.statistics.orphaned += u64::from(!self.calls[at].is_awaited);
            if let ([promises], Some(machine)) = (&*self.promises, NODES.iter().find(|m| m.name == node))
                && let Some(why) = guarantees::broken(promises, machine, &self.api.on(&node))
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
            ApiCall::Look { key, reply } => {
                let looked = self.api.pods.get(&key).map(|pod| LivePod {
                    uid: pod.uid.clone(),
                    record: pod.record().map(Box::new),
                });
                let _ = reply.send(Ok(looked));
            }
            ApiCall::Bind { reply, .. } => {
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
