//! All questions of an audit, in parts that the server can bear.

use std::collections::{BTreeSet, VecDeque};

use anyhow::bail;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use super::progress::Progress;
use crate::audit::{Asking, Readings, Series, Topic};
use crate::prometheus::{Client, ClientError};

/// Who is asked, and how.
pub struct Inquiry<'a> {
    /// The server.
    pub client: &'a Client,
    /// What.
    pub asking: &'a Asking,
    /// Nodes in one question.
    pub nodes_per_query: usize,
    /// Questions at a time.
    pub parallel: usize,
}

impl Inquiry<'_> {
    /// Asks everything.
    pub async fn readings(&self, progress: &mut Progress) -> anyhow::Result<Readings> {
        let nodes = self.nodes().await?;
        if nodes.is_empty() {
            bail!(
                "Prometheus knows no DCGM metric between {}: is dcgm-exporter scraped, and is --selector right?",
                self.asking.window
            );
        }
        let mut open: VecDeque<(Topic, Vec<String>)> = nodes
            .chunks(self.nodes_per_query)
            .flat_map(|part| Topic::ALL.map(|topic| (topic, part.to_vec())))
            .collect();
        let (mut done, mut all) = (0, open.len());
        let mut readings = Readings::default();
        let mut running = FuturesUnordered::new();
        let outcome = loop {
            while running.len() < self.parallel
                && let Some((topic, part)) = open.pop_front()
            {
                running.push(async move {
                    let answer = self.ask(topic, &part).await;
                    (topic, part, answer)
                });
            }
            let Some((topic, part, answer)) = running.next().await else {
                break Ok(readings);
            };
            match answer {
                Ok(series) => {
                    readings.take(&self.asking.window, topic, series);
                    done += 1;
                }
                Err(error) if error.is_too_much() && part.len() > 1 => {
                    let (front, back) = part.split_at(part.len() / 2);
                    open.extend([(topic, front.to_vec()), (topic, back.to_vec())]);
                    all += 1;
                }
                Err(error) => break Err(error.into()),
            }
            progress.at(done, all);
        };
        progress.clear();
        outcome.map(|mut readings: Readings| {
            readings.settle();
            readings
        })
    }

    async fn nodes(&self) -> Result<Vec<String>, ClientError> {
        let mut names = BTreeSet::new();
        let window = &self.asking.window;
        for (label, matching) in self.asking.node_labels() {
            let span = (window.start(), window.end());
            names.extend(self.client.label_values(label, &matching, span).await?);
        }
        names.remove("");
        Ok(names.into_iter().collect())
    }

    async fn ask(&self, topic: Topic, nodes: &[String]) -> Result<Vec<Series>, ClientError> {
        let window = &self.asking.window;
        let expression = self.asking.expression(topic, nodes);
        if topic.is_trend() {
            let span = (window.first_bucket_at(), window.asked_at());
            self.client.between(&expression, span, window.bucket_seconds()).await
        } else {
            self.client.at(&expression, window.asked_at()).await
        }
    }
}
