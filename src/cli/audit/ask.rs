//! All questions of an audit, in parts that the server can bear.

use std::collections::{BTreeMap, VecDeque};

use anyhow::bail;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use super::progress::Progress;
use apportion_audit::prometheus::{Client, ClientError};
use apportion_audit::{Asking, Readings, Series, Topic, Traits};

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
        let groups = self.groups().await?;
        if groups.is_empty() {
            bail!(
                "Prometheus knows no DCGM metric between {}: is dcgm-exporter scraped, and is --selector right?",
                self.asking.window
            );
        }
        let mut open: VecDeque<DecisionInput> = groups
            .iter()
            .flat_map(|(traits, nodes)| nodes.chunks(self.nodes_per_query).map(move |nodes| (*traits, nodes)))
            .flat_map(|(traits, nodes)| {
                Topic::ALL.map(|topic| DecisionInput {
                    topic,
                    traits,
                    nodes: nodes.to_vec(),
                })
            })
            .collect();
        let (mut done, mut all) = (0, open.len());
        let mut readings = Readings::default();
        let mut running = FuturesUnordered::new();
        let outcome = loop {
            while running.len() < self.parallel
                && let Some(question) = open.pop_front()
            {
                running.push(async move {
                    let answer = self.ask(&question).await;
                    (question, answer)
                });
            }
            let Some((question, answer)) = running.next().await else {
                break Ok(readings);
            };
            match answer {
                Ok(series) => {
                    readings.take(&self.asking.window, question.topic, series);
                    done += 1;
                }
                Err(error) if error.is_too_much() && question.nodes.len() > 1 => {
                    let (front, back) = question.nodes.split_at(question.nodes.len() / 2);
                    open.extend([front, back].map(|nodes| DecisionInput {
                        nodes: nodes.to_vec(),
                        ..question
                    }));
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

    /// The nodes, with those that are alike.
    async fn groups(&self) -> Result<BTreeMap<Traits, Vec<String>>, ClientError> {
        let window = &self.asking.window;
        let mut nodes: BTreeMap<String, Traits> = BTreeMap::new();
        for question in self.asking.trait_questions() {
            let span = (window.start(), window.end());
            let named = self
                .client
                .label_values(question.label, &question.matching, span)
                .await?;
            for node in named.into_iter().filter(|node| !node.is_empty()) {
                (question.mark)(nodes.entry(node).or_default());
            }
        }
        let mut groups: BTreeMap<Traits, Vec<String>> = BTreeMap::new();
        for (node, traits) in nodes {
            groups.entry(traits).or_default().push(node);
        }
        Ok(groups)
    }

    async fn ask(&self, question: &DecisionInput) -> Result<Vec<Series>, ClientError> {
        let window = &self.asking.window;
        let Some(expression) = self.asking.expression(question.topic, question.traits, &question.nodes) else {
            return Ok(Vec::new());
        };
        if question.topic.is_trend() {
            let span = (window.first_bucket_end(), window.end());
            self.client
                .before_each(&expression, span, window.bucket_seconds())
                .await
        } else {
            self.client.before(&expression, window.end()).await
        }
    }
}

/// A topic, for some nodes that are alike.
#[derive(Debug)]
struct DecisionInput {
    topic: Topic,
    traits: Traits,
    nodes: Vec<String>,
}
