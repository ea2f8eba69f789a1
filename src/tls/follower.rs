//! Keeping what is shown to clients up to date with files that are renewed.
//!
//! Secret volumes replace a directory symlink, so the inode under a watched file never changes and inotify on it stays
//! silent; what the files hold is compared instead. A pair that cannot be served never replaces one that can.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::files::{Pair, PairError, PairFiles};
use super::material::Material;
use super::resolver::Resolver;

/// How often renewed files are looked for. The kubelet itself takes up to a minute to refresh a Secret volume, and
/// certificates are renewed days before they end, so looking more often would gain nothing.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);

/// Follows a pair of files and keeps a [`Resolver`] up to date with them.
pub struct Follower {
    files: PairFiles,
    resolver: Arc<Resolver>,
    /// What the resolver shows.
    shown: Pair,
    material: Material,
    /// What was said about files that could not be used, so that it is said once and not every ten seconds.
    trouble: Option<String>,
    warned_of_expiry: bool,
}

impl Follower {
    /// Reads the files for the first time. Without a pair that can be served there is nothing to start with, so every
    /// fault is an error here; only a date is a warning, as clients may not check it or clocks may be wrong.
    pub fn start(files: PairFiles) -> Result<Self, PairError> {
        let shown = files.read()?;
        let material = files.parse(&shown)?;
        if !material.is_valid_at(Timestamp::now()) {
            let (file, from, to) = (files.cert.display(), material.not_before(), material.not_after());
            tracing::warn!(%file, %from, %to, "the certificate is not valid now: clients will refuse it; renew it");
        }
        Ok(Follower {
            files,
            resolver: Resolver::new(material.clone()),
            material,
            shown,
            trouble: None,
            warned_of_expiry: false,
        })
    }

    /// Until when what is shown is valid.
    pub fn not_after(&self) -> Timestamp {
        self.material.not_after()
    }

    /// What listeners serve with.
    pub fn resolver(&self) -> Arc<Resolver> {
        Arc::clone(&self.resolver)
    }

    /// Looks at the files `every` so often, for ever. `on_reload` hears of each change once: the new end of validity,
    /// or why the pair that is shown was kept.
    pub async fn follow(mut self, every: Duration, on_reload: impl Fn(Result<Timestamp, &PairError>)) {
        loop {
            tokio::time::sleep(every).await;
            // A file system that hangs must not hang the thread that answers requests.
            let looked = tokio::task::spawn_blocking(move || {
                let outcome = self.look(Timestamp::now());
                (self, outcome)
            });
            let Ok((back, outcome)) = looked.await else { return };
            self = back;
            match &outcome {
                None => {}
                Some(Ok(not_after)) => {
                    let file = self.files.cert.display();
                    tracing::info!(%file, %not_after, "serving with the certificate in the files");
                    on_reload(Ok(*not_after));
                }
                Some(Err(error)) => {
                    tracing::error!(%error, "the renewed certificate cannot be used; the one before stays");
                    on_reload(Err(error));
                }
            }
        }
    }

    /// Looks once. Nothing to say when all is as it was the last time.
    fn look(&mut self, now: Timestamp) -> Option<Result<Timestamp, PairError>> {
        let renewed = match self.files.read() {
            Ok(pair) if pair == self.shown => Ok(None),
            Ok(pair) => self.replacement(&pair, now).map(|material| Some((pair, material))),
            Err(error) => Err(error),
        };
        match renewed {
            Ok(Some((pair, material))) => {
                self.shown = pair;
                self.trouble = None;
                self.warned_of_expiry = false;
                self.resolver.replace(material.clone());
                self.material = material;
                Some(Ok(self.material.not_after()))
            }
            Ok(None) => {
                self.warn_of_expiry(now);
                self.trouble.take().map(|_| Ok(self.material.not_after()))
            }
            Err(error) => {
                self.warn_of_expiry(now);
                let said = error.to_string();
                let news = self.trouble.as_ref() != Some(&said);
                self.trouble = Some(said);
                news.then_some(Err(error))
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
            tracing::error!(%file, %not_after, "the certificate has expired: clients refuse it; renew it");
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
    fn a_missing_file_is_named_with_its_flag() {
        let files = PairFiles {
            cert: "/nonexistent/tls.crt".into(),
            key: "/nonexistent/tls.key".into(),
        };
        let error = Follower::start(files).err().unwrap().to_string();
        assert!(error.starts_with("cannot read /nonexistent/tls.crt: "), "{error}");
        assert!(error.ends_with("; check --tls-cert"), "{error}");
    }

    #[test]
    fn a_broken_pair_is_reported_once_and_never_shown() {
        let (_dir, mut follower) = started();
        let now = Timestamp::now();
        let before = follower.resolver.current().unwrap();
        assert!(follower.look(now).is_none());
        let good = fs::read(&follower.files.key).unwrap();
        fs::write(&follower.files.key, "garbage").unwrap();
        assert!(matches!(
            follower.look(now),
            Some(Err(PairError::Material(MaterialError::NoKey { .. })))
        ));
        assert!(follower.look(now).is_none());
        fs::remove_file(&follower.files.key).unwrap();
        assert!(matches!(follower.look(now), Some(Err(PairError::Read { .. }))));
        assert!(Arc::ptr_eq(&before, &follower.resolver.current().unwrap()));
        fs::write(&follower.files.key, good).unwrap();
        assert_eq!(follower.look(now).unwrap().unwrap(), before.not_after());
        assert!(follower.look(now).is_none());
    }

    #[test]
    fn a_renewed_pair_is_shown() {
        let (_dir, mut follower) = started();
        let before = follower.resolver.current().unwrap();
        write(&follower.files);
        assert!(follower.look(Timestamp::now()).unwrap().is_ok());
        assert_ne!(
            before.certified_key().cert,
            follower.resolver.current().unwrap().certified_key().cert
        );
    }

    #[test]
    fn a_certificate_out_of_its_time_does_not_replace_a_valid_one() {
        let (_dir, mut follower) = started();
        let now = Timestamp::now();
        let old = SelfSigned::issue(&[], now - jiff::SignedDuration::from_hours(24 * 60)).unwrap();
        fs::write(&follower.files.cert, &old.cert_pem).unwrap();
        fs::write(&follower.files.key, &old.key_pem).unwrap();
        let error = follower.look(now).unwrap().unwrap_err();
        assert!(matches!(error, PairError::NotValidNow { .. }), "{error}");
        assert!(follower.look(now).is_none());
    }
}
