//! Reloading changed files while serving.
//!
//! Files are read again and compared by content: a mounted `ConfigMap` changes by swapping a
//! symlink, which a watch on the file itself does not see. Invalid files never replace the running
//! configuration.

use std::sync::Arc;
use std::time::Duration;

use super::metrics::Metrics;

/// Files and what they are parsed into.
pub trait Source: Send + 'static {
    type Parsed: Send;
    /// The contents of all files, by name.
    fn read(&self) -> anyhow::Result<Vec<(String, String)>>;
    /// Parses these contents.
    fn parse(&self, texts: &[(String, String)]) -> anyhow::Result<Self::Parsed>;
}

/// Reloads a source when its content changes.
pub struct Reloader<S> {
    source: S,
    metrics: Arc<Metrics>,
    loaded: Vec<(String, String)>,
    /// The error that was logged last, so that each is logged once.
    last_error: Option<String>,
}

impl<S: Source> Reloader<S> {
    /// Loads the source for the first time. The caller reports errors.
    pub fn start(source: S, metrics: Arc<Metrics>) -> anyhow::Result<(Self, S::Parsed)> {
        let loaded = source.read()?;
        let parsed = source.parse(&loaded)?;
        metrics.reloaded(true);
        Ok((
            Reloader {
                source,
                metrics,
                loaded,
                last_error: None,
            },
            parsed,
        ))
    }

    /// Reads the files once. Returns what they parse into if they changed and are valid.
    pub fn poll(&mut self) -> Option<S::Parsed> {
        let parsed = self.source.read().and_then(|texts| {
            if texts == self.loaded {
                return Ok(None);
            }
            let parsed = self.source.parse(&texts)?;
            self.loaded = texts;
            Ok(Some(parsed))
        });
        match parsed {
            Ok(None) => {
                // The files are back to what is in use: nothing to apply, but nothing is wrong any
                // more.
                if self.last_error.take().is_some() {
                    tracing::info!("the files match the current configuration again");
                    self.metrics.reload_recovered();
                }
                None
            }
            Ok(Some(parsed)) => {
                tracing::info!("reloaded changed files");
                self.metrics.reloaded(true);
                self.last_error = None;
                Some(parsed)
            }
            Err(error) => {
                self.report(&error);
                None
            }
        }
    }

    /// Polls the source every `interval` and passes on each new result. Never returns, except after
    /// a panic in the source.
    pub async fn run(mut self, interval: Duration, mut apply: impl AsyncFnMut(S::Parsed)) {
        loop {
            tokio::time::sleep(interval).await;
            // Reading blocks, and parsing a large cluster file takes a while.
            let polled = tokio::task::spawn_blocking(move || {
                let parsed = self.poll();
                (self, parsed)
            });
            let Ok((reloader, parsed)) = polled.await else {
                tracing::error!("reloading stopped after a panic; keeping the current configuration");
                return;
            };
            self = reloader;
            if let Some(parsed) = parsed {
                apply(parsed).await;
            }
        }
    }

    /// Logs each different error once: files stay invalid until someone fixes them.
    fn report(&mut self, error: &anyhow::Error) {
        let text = format!("{error:#}");
        if self.last_error.as_ref() != Some(&text) {
            self.metrics.reloaded(false);
            tracing::error!("reload failed; keeping the previous configuration: {text}");
            self.last_error = Some(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::service::State;

    /// A file whose only invalid content is `broken`.
    #[derive(Clone, Default)]
    struct File(Arc<Mutex<String>>);

    impl File {
        fn write(&self, text: &str) {
            text.clone_into(&mut self.0.lock().unwrap());
        }
    }

    impl Source for File {
        type Parsed = String;

        fn read(&self) -> anyhow::Result<Vec<(String, String)>> {
            Ok(vec![("file".to_owned(), self.0.lock().unwrap().clone())])
        }

        fn parse(&self, texts: &[(String, String)]) -> anyhow::Result<String> {
            anyhow::ensure!(texts[0].1 != "broken", "broken");
            Ok(texts[0].1.clone())
        }
    }

    #[test]
    fn restoring_the_previous_content_ends_a_failed_reload() {
        let (file, metrics) = (File::default(), Arc::new(Metrics::default()));
        let is_current = || {
            let text = metrics.encode(&State::default());
            let line = text
                .lines()
                .find(|line| line.starts_with("apportion_last_reload_successful "));
            line.unwrap().ends_with(" 1")
        };
        let (mut reloader, _) = Reloader::start(file.clone(), Arc::clone(&metrics)).unwrap();
        assert!(is_current());
        file.write("broken");
        assert_eq!(reloader.poll(), None);
        assert!(!is_current());
        file.write("");
        assert_eq!(reloader.poll(), None);
        assert!(is_current());
        // The same error again is a new failure.
        file.write("broken");
        assert_eq!(reloader.poll(), None);
        assert!(!is_current());
        file.write("new");
        assert_eq!(reloader.poll().as_deref(), Some("new"));
        assert!(is_current());
    }
}
