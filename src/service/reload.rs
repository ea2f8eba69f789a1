//! Taking over changed files while running.
//!
//! Files are read again and compared by content: a mounted `ConfigMap` changes by swapping a symlink, which watchers of the file itself
//! do not see. What can not be used never replaces what runs.

use std::sync::Arc;
use std::time::Duration;

use super::app::App;
use super::state::State;
use crate::inventory::Inventory;
use crate::policy::PolicySet;

/// Where policies and cluster come from: texts, and what they mean.
pub trait Source: Send + 'static {
    /// All that the state depends on, as text.
    fn texts(&self) -> anyhow::Result<Vec<(String, String)>>;
    /// The policies of these texts.
    fn policies(&self, texts: &[(String, String)]) -> anyhow::Result<PolicySet>;
    /// The cluster of these texts; `None` when it comes from elsewhere.
    fn inventory(&self, texts: &[(String, String)]) -> anyhow::Result<Option<Inventory>>;
}

/// Follows a source.
pub struct Reloader<S> {
    source: S,
    seen: Vec<(String, String)>,
    complained: String,
}

impl<S: Source> Reloader<S> {
    /// Reads the source for the first time; what is wrong with it now is the caller's to report.
    pub fn start(source: S) -> anyhow::Result<(Self, State)> {
        let seen = source.texts()?;
        let state = State {
            policies: Arc::new(source.policies(&seen)?),
            inventory: source.inventory(&seen)?.map(Arc::new),
        };
        Ok((
            Reloader {
                source,
                seen,
                complained: String::new(),
            },
            state,
        ))
    }

    /// Looks once, and takes over what has changed. Returns whether something did.
    pub fn look(&mut self, app: &App) -> bool {
        let texts = match self.source.texts() {
            Ok(texts) if texts == self.seen => return false,
            Ok(texts) => texts,
            Err(error) => {
                self.complain(app, &error);
                return false;
            }
        };
        let made = self
            .source
            .policies(&texts)
            .and_then(|policies| Ok((policies, self.source.inventory(&texts)?)));
        match made {
            Ok((policies, inventory)) => {
                let inventory = inventory.map(Arc::new).or_else(|| app.state().inventory.clone());
                tracing::info!(policies = policies.len(), "took over changed files");
                app.replace(State {
                    policies: Arc::new(policies),
                    inventory,
                });
                app.metrics_registry().reloaded(true);
                self.seen = texts;
                self.complained.clear();
                true
            }
            Err(error) => {
                self.complain(app, &error);
                false
            }
        }
    }

    /// Follows the source for ever.
    pub async fn follow(mut self, app: Arc<App>, interval: Duration) {
        loop {
            tokio::time::sleep(interval).await;
            let looked = Arc::clone(&app);
            // Files and parsing block; and a large cluster file takes a while.
            let Ok(back) = tokio::task::spawn_blocking(move || {
                self.look(&looked);
                self
            })
            .await
            else {
                tracing::error!("reloading stopped after a panic; what runs goes on as it is");
                return;
            };
            self = back;
        }
    }

    /// Once for each different complaint: the files stay wrong until somebody mends them.
    fn complain(&mut self, app: &App, error: &anyhow::Error) {
        let text = format!("{error:#}");
        if text != self.complained {
            app.metrics_registry().reloaded(false);
            tracing::error!("changed files can not be used, what runs goes on as it was: {text}");
            self.complained = text;
        }
    }
}
