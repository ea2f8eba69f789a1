//! Sends the queries of an audit to Prometheus, in parts that the server can answer.

use std::collections::{BTreeMap, VecDeque};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use super::prometheus::{Client, ClientError, Series};
use super::query::{Query, QueryConfig, SeriesFeatures};
use super::samples::Samples;
use super::window::Window;

#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("Prometheus knows no DCGM metric from {0}: is dcgm-exporter scraped, and is --selector correct?")]
    NoMetrics(Window),
    #[error(transparent)]
    Client(#[from] ClientError),
}

pub struct Fetcher<'a> {
    pub client: &'a Client,
    pub config: &'a QueryConfig,
    /// Nodes per query.
    pub nodes_per_query: usize,
    /// Concurrent queries.
    pub parallel: usize,
}

/// A query for some nodes with equal features.
#[derive(Debug)]
struct Part {
    query: Query,
    features: SeriesFeatures,
    nodes: Vec<String>,
}

impl Fetcher<'_> {
    /// Runs all queries and reports progress as (finished, total). A query that is too large is
    /// split in two, which increases the total.
    pub async fn samples(&self, mut progress: impl FnMut(usize, usize)) -> Result<Samples, FetchError> {
        let groups = self.nodes_by_features().await?;
        if groups.is_empty() {
            return Err(FetchError::NoMetrics(self.config.window));
        }
        let mut pending: VecDeque<Part> = groups
            .iter()
            .flat_map(|(features, nodes)| nodes.chunks(self.nodes_per_query).map(move |nodes| (*features, nodes)))
            .flat_map(|(features, nodes)| {
                Query::ALL.map(|query| Part {
                    query,
                    features,
                    nodes: nodes.to_vec(),
                })
            })
            .collect();
        let (mut finished, mut total) = (0, pending.len());
        let mut samples = Samples::default();
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < self.parallel
                && let Some(part) = pending.pop_front()
            {
                running.push(async move {
                    let result = self.run(&part).await;
                    (part, result)
                });
            }
            let Some((part, result)) = running.next().await else {
                break;
            };
            match result {
                Ok(series) => {
                    samples.add(&self.config.window, part.query, series);
                    finished += 1;
                }
                Err(error) if error.is_too_large() && part.nodes.len() > 1 => {
                    let (front, back) = part.nodes.split_at(part.nodes.len() / 2);
                    pending.extend([front, back].map(|nodes| Part {
                        nodes: nodes.to_vec(),
                        ..part
                    }));
                    total += 1;
                }
                Err(error) => return Err(error.into()),
            }
            progress(finished, total);
        }
        samples.remove_pods_without_utilization();
        Ok(samples)
    }

    async fn nodes_by_features(&self) -> Result<BTreeMap<SeriesFeatures, Vec<String>>, ClientError> {
        let range = (self.config.window.start(), self.config.window.end());
        let mut features: BTreeMap<String, SeriesFeatures> = BTreeMap::new();
        for query in self.config.feature_queries() {
            let nodes = self.client.label_values(query.label, &query.selector, range).await?;
            for node in nodes.into_iter().filter(|node| !node.is_empty()) {
                (query.set)(features.entry(node).or_default());
            }
        }
        let mut groups: BTreeMap<SeriesFeatures, Vec<String>> = BTreeMap::new();
        for (node, features) in features {
            groups.entry(features).or_default().push(node);
        }
        Ok(groups)
    }

    async fn run(&self, part: &Part) -> Result<Vec<Series>, ClientError> {
        let window = &self.config.window;
        let Some(expression) = self.config.expression(part.query, part.features, &part.nodes) else {
            return Ok(Vec::new());
        };
        if part.query.is_timeline() {
            let range = (window.first_bucket_end(), window.end());
            self.client
                .query_range(&expression, range, window.bucket_seconds())
                .await
        } else {
            self.client.query(&expression, window.end()).await
        }
    }
}
