//! The end of a run.

use super::api::Object;
use super::promises::{self, MACHINES};
use super::replica::Replica;
use super::world::{Found, World};

impl World {
    /// Nothing breaks any more; what is under way ends, and what fits is bound.
    pub(super) fn come_to_rest(&mut self) -> Found {
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
                // Others are refused, which is not looked at every time.
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
