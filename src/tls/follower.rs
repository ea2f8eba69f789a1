//! Follows certificate files that are renewed while the server runs.
//!
//! Secret volumes replace a directory symlink, so the inode of a watched file never changes and
//! inotify stays silent; the contents are compared instead. An invalid pair never replaces a valid
//! one.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::files::{Pair, PairError, PairFiles};
use super::material::Material;
use super::resolver::Resolver;

/// How often the files are read. The kubelet takes up to a minute to refresh a Secret volume, and
/// certificates are renewed days before they expire.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);

/// Keeps a [`Resolver`] up to date with a pair of files.
pub struct Follower {
    files: PairFiles,
    resolver: Arc<Resolver>,
    /// The pair in use.
    current: Pair,
    material: Material,
    /// The error that was reported last, so that each is reported once.
    last_error: Option<String>,
    warned_of_expiry: bool,
}

impl Follower {
    /// Reads the files for the first time. An invalid pair is an error, because there is no other
    /// to serve with. An expired one is a warning: clients may not check it, or clocks may be
    /// wrong.
    pub fn start(files: PairFiles) -> Result<Self, PairError> {
        let current = files.read()?;
        let material = files.parse(&current)?;
        if !material.is_valid_at(Timestamp::now()) {
            let (file, from, to) = (files.cert.display(), material.not_before(), material.not_after());
            tracing::warn!(%file, %from, %to, "the certificate is not valid now: clients reject it; renew it");
        }
        Ok(Follower {
            files,
            resolver: Resolver::new(material.clone()),
            material,
            current,
            last_error: None,
            warned_of_expiry: false,
        })
    }

    /// When the certificate in use expires.
    pub fn not_after(&self) -> Timestamp {
        self.material.not_after()
    }

    /// The certificate of the listeners.
    pub fn resolver(&self) -> Arc<Resolver> {
        Arc::clone(&self.resolver)
    }

    /// Reads the files every `interval`, until the task is aborted. `on_reload` is called once for
    /// each change, with the new expiry or the reason why the pair in use was kept.
    pub async fn run(mut self, interval: Duration, on_reload: impl Fn(Result<Timestamp, &PairError>)) {
        loop {
            tokio::time::sleep(interval).await;
            // A file system that hangs must not block a thread that answers requests.
            let polled = tokio::task::spawn_blocking(move || {
                let outcome = self.poll(Timestamp::now());
                (self, outcome)
            });
            let Ok((follower, outcome)) = polled.await else { return };
            self = follower;
            match &outcome {
                None => {}
                Some(Ok(not_after)) => {
                    let file = self.files.cert.display();
                    tracing::info!(%file, %not_after, "reloaded the certificate");
                    on_reload(Ok(*not_after));
                }
                Some(Err(error)) => {
                    tracing::error!(%error, "the renewed certificate cannot be used; keeping the previous one");
                    on_reload(Err(error));
                }
            }
        }
    }

    /// Reads the files once. Returns `None` if nothing changed.
    fn poll(&mut self, now: Timestamp) -> Option<Result<Timestamp, PairError>> {
        let renewed = match self.files.read() {
            Ok(pair) if pair == self.current => Ok(None),
            Ok(pair) => self.replacement(&pair, now).map(|material| Some((pair, material))),
            Err(error) => Err(error),
        };
        match renewed {
            Ok(Some((pair, material))) => {
                self.current = pair;
                self.last_error = None;
                self.warned_of_expiry = false;
                self.resolver.replace(material.clone());
                self.material = material;
                Some(Ok(self.material.not_after()))
            }
            Ok(None) => {
                self.warn_of_expiry(now);
                self.last_error.take().map(|_| Ok(self.material.not_after()))
            }
            Err(error) => {
                self.warn_of_expiry(now);
                let message = error.to_string();
                let is_new = self.last_error.as_ref() != Some(&message);
                self.last_error = Some(message);
                is_new.then_some(Err(error))
            }
        }
    }

    fn replacement(&self, pair: &Pair, now: Timestamp) -> Result<Material, PairError> {
        let material = self.files.parse(pair)?;
        if !material.is_valid_at(now) && self.material.is_valid_at(now) {
            let (not_before, not_after) = (material.not_before(), material.not_after());
            return Err(PairError::NotValidNow {
                file: self.files.cert.clone(),
                not_before,
                not_after,
            });
        }
        Ok(material)
    }

    fn warn_of_expiry(&mut self, now: Timestamp) {
        if !self.warned_of_expiry && now > self.material.not_after() {
            self.warned_of_expiry = true;
            let (file, not_after) = (self.files.cert.display(), self.material.not_after());
            tracing::error!(%file, %not_after, "the certificate has expired: clients reject it; renew it");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::tls::material::MaterialError;
    use crate::tls::self_signed::SelfSigned;

    fn write(files: &PairFiles) {
        let issued = SelfSigned::issue(&[], Timestamp::now()).unwrap();
        fs::write(&files.cert, &issued.cert_pem).unwrap();
        fs::write(&files.key, &issued.key_pem).unwrap();
    }

    fn started() -> (tempfile::TempDir, Follower) {
        let dir = tempfile::tempdir().unwrap();
        let files = PairFiles {
            cert: dir.path().join("tls.crt"),
            key: dir.path().join("tls.key"),
        };
        write(&files);
        (dir, Follower::start(files).unwrap())
    }

    #[test]
    fn the_error_for_a_missing_file_names_its_flag() {
        let files = PairFiles {
            cert: "/nonexistent/tls.crt".into(),
            key: "/nonexistent/tls.key".into(),
        };
        let error = Follower::start(files).err().unwrap().to_string();
        assert!(error.starts_with("cannot read /nonexistent/tls.crt: "), "{error}");
        assert!(error.ends_with("; check --tls-cert"), "{error}");
    }

    #[test]
    fn an_invalid_pair_is_reported_once_and_never_served() {
        let (_dir, mut follower) = started();
        let now = Timestamp::now();
        let before = follower.resolver.current().unwrap();
        assert!(follower.poll(now).is_none());
        let good = fs::read(&follower.files.key).unwrap();
        fs::write(&follower.files.key, "garbage").unwrap();
        assert!(matches!(
            follower.poll(now),
            Some(Err(PairError::Material(MaterialError::NoKey { .. })))
        ));
        assert!(follower.poll(now).is_none());
        fs::remove_file(&follower.files.key).unwrap();
        assert!(matches!(follower.poll(now), Some(Err(PairError::Read { .. }))));
        assert!(Arc::ptr_eq(&before, &follower.resolver.current().unwrap()));
        fs::write(&follower.files.key, good).unwrap();
        assert_eq!(follower.poll(now).unwrap().unwrap(), before.not_after());
        assert!(follower.poll(now).is_none());
    }

    #[test]
    fn a_renewed_pair_is_served() {
        let (_dir, mut follower) = started();
        let before = follower.resolver.current().unwrap();
        write(&follower.files);
        assert!(follower.poll(Timestamp::now()).unwrap().is_ok());
        assert_ne!(
            before.certified_key().cert,
            follower.resolver.current().unwrap().certified_key().cert
        );
    }

    #[test]
    fn an_expired_certificate_does_not_replace_a_valid_one() {
        let (_dir, mut follower) = started();
        let now = Timestamp::now();
        let old = SelfSigned::issue(&[], now - jiff::SignedDuration::from_hours(24 * 60)).unwrap();
        fs::write(&follower.files.cert, &old.cert_pem).unwrap();
        fs::write(&follower.files.key, &old.key_pem).unwrap();
        let error = follower.poll(now).unwrap().unwrap_err();
        assert!(matches!(error, PairError::NotValidNow { .. }), "{error}");
        assert!(follower.poll(now).is_none());
    }
}
