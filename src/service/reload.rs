//! Taking over changed files while running.
//!
//! Files are read again and compared by content: a mounted `ConfigMap` changes by swapping a symlink, which watchers of the file itself
//! do not see. What can not be used never replaces what runs.

use std::sync::Arc;
use std::time::Duration;

use super::metrics::Metrics;

/// Files, and what is made of them.
pub trait Source: Send + 'static {
    /// What is made of them.
    type Made: Send;
    /// All of them, by name.
    fn texts(&self) -> anyhow::Result<Vec<(String, String)>>;
    /// What these texts make.
    fn make(&self, texts: &[(String, String)]) -> anyhow::Result<Self::Made>;
}

/// Follows a source.
pub struct Reloader<S> {
    source: S,
    metrics: Arc<Metrics>,
    seen: Vec<(String, String)>,
    complained: String,
}

impl<S: Source> Reloader<S> {
    /// Reads the source for the first time; what is wrong with it now is the caller's to report.
    pub fn start(source: S, metrics: Arc<Metrics>) -> anyhow::Result<(Self, S::Made)> {
        let seen = source.texts()?;
        let made = source.make(&seen)?;
        metrics.reloaded(true);
        Ok((
            Reloader {
                source,
                metrics,
                seen,
                complained: String::new(),
            },
            made,
        ))
    }

    /// Looks once: what the files make now, if they have changed and can be used.
    pub fn look(&mut self) -> Option<S::Made> {
        let made = self.source.texts().and_then(|texts| {
            if texts == self.seen {
                return Ok(None);
            }
            let made = self.source.make(&texts)?;
            self.seen = texts;
            Ok(Some(made))
        });
        match made {
            Ok(None) => None,
            Ok(Some(made)) => {
                tracing::info!("took over changed files");
                self.metrics.reloaded(true);
                self.complained.clear();
                Some(made)
            }
            Err(error) => {
                self.complain(&error);
                None
            }
        }
    }

    /// Follows the source for ever, and hands over what it makes.
    pub async fn follow(mut self, every: Duration, mut take: impl AsyncFnMut(S::Made)) {
        loop {
            tokio::time::sleep(every).await;
            // Files and parsing block; and a large cluster file takes a while.
            let looked = tokio::task::spawn_blocking(move || {
                let made = self.look();
                (self, made)
            });
            let Ok((back, made)) = looked.await else {
                tracing::error!("following files stopped after a panic; what runs goes on as it is");
                return;
            };
            self = back;
            if let Some(made) = made {
                take(made).await;
            }
        }
    }

    /// Once for each different complaint: the files stay wrong until somebody mends them.
    fn complain(&mut self, error: &anyhow::Error) {
        let text = format!("{error:#}");
        if text != self.complained {
            self.metrics.reloaded(false);
            tracing::error!("changed files can not be used, what runs goes on as it was: {text}");
            self.complained = text;
        }
    }
}
