//! The end of a run: all faults stop, and the cluster must settle.

use super::api_server::Object;
use super::guarantees::{self, NODES};
use super::replica::Replica;
use super::world::{Found, World};

impl World {
    /// Stops all faults, ends calls in flight and binds all pods that fit.
    pub(super) fn settle(&mut self) -> Found {
        self.note(|| "all faults end".to_owned());
        let last = self.promises.len() - 1;
        for replica in 0..2 {
            self.replicas[replica].learn(last, &self.promises[last]);
        }
        // Calls with unknown results count for minutes; after that, all free shares are given.
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
            let in_flight = !self.calls.is_empty();
            let reserved: usize = self.replicas.iter().map(Replica::reserved).sum();
            if !fits && !in_flight && reserved == 0 {
                self.statistics.waiting += waiting.len() as u64;
                return Ok(());
            }
            for pod in waiting {
                // Pods that do not fit are refused; it is enough to try them now and then.
                if round % 4 == 0 || self.place_for(&pod).is_some() {
                    self.place(&pod)?;
                }
            }
        }
        let left = self
            .api
            .waiting()
            .into_iter()
            .find_map(|pod| Some((pod.key(), self.place_for(pod)?)));
        let reserved: Vec<usize> = self.replicas.iter().map(Replica::reserved).collect();
        Err(format!(
            "after settling: {left:?} would fit, {reserved:?} reservations are left"
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
        let nodes: Vec<&str> = NODES
            .iter()
            .filter(|m| m.resource == pod.resource)
            .map(|m| m.name)
            .collect();
        let Some(node) = self.replicas[replica].filter(pod, &nodes).into_iter().next() else {
            return Ok(());
        };
        self.replicas[replica].bind(pod, &node);
        self.resume(replica)?;
        while !self.calls.is_empty() {
            let replica = self.calls[0].replica;
            if self.calls[0].applied.is_none() {
                self.apply(0)?;
            }
            self.answer(0);
            self.resume(replica)?;
        }
        for replica in 0..2 {
            self.replicas[replica].deliver(&self.api, usize::MAX);
            self.replicas[replica].publish();
        }
        Ok(())
    }

    fn place_for(&self, pod: &Object) -> Option<&'static str> {
        let last = &self.promises[self.promises.len() - 1];
        let machine = NODES
            .iter()
            .find(|machine| guarantees::could_take(last, machine, &self.api.on(machine.name), pod))?;
        Some(machine.name)
    }
}
