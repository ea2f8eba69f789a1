//! A certificate and a key in files, read as a pair.
//!
//! What is shown to clients is not decided here: see [`super::follower`].

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::material::{Material, MaterialError, NamedPem};

/// Far above any chain; a path to something else entirely must not be read into memory every ten seconds.
const LARGEST_FILE: u64 = 1024 * 1024;

/// How often a pair is read again at once when it changed while it was read.
const READS: usize = 3;

/// Where a certificate and its key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairFiles {
    /// PEM: the server's own certificate, then its issuers (`--tls-cert`).
    pub cert: PathBuf,
    /// PEM: the key (`--tls-key`).
    pub key: PathBuf,
}

/// Why the files cannot be served with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PairError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}; check {flag}", file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// The flag that named it.
        flag: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// A file is too large to be what it should be.
    #[error("{} is larger than 1 MiB and so no certificate or key; check {flag}", file.display())]
    TooLarge {
        /// Which file.
        file: PathBuf,
        /// The flag that named it.
        flag: &'static str,
    },
    /// What they hold cannot be served with.
    #[error(transparent)]
    Material(#[from] MaterialError),
    /// A renewed certificate that clients would refuse, in place of one that they take.
    #[error(
        "the renewed certificate in {} is valid from {not_before} to {not_after}, not now; issue it again",
        file.display()
    )]
    NotValidNow {
        /// Which file.
        file: PathBuf,
        /// Its first moment.
        not_before: Timestamp,
        /// Its last moment.
        not_after: Timestamp,
    },
}

/// What the files held, unchecked.
#[derive(PartialEq, Eq)]
pub(super) struct Pair {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl PairFiles {
    /// Reads both. When the certificate changed in between, the key may be the new one's and the certificate the old
    /// one, or the other way round: read again rather than report a pair that nobody wrote.
    pub(super) fn read(&self) -> Result<Pair, PairError> {
        let mut cert = read(&self.cert, "--tls-cert")?;
        let mut key = read(&self.key, "--tls-key")?;
        for _ in 1..READS {
            let again = read(&self.cert, "--tls-cert")?;
            if again == cert {
                break;
            }
            cert = again;
            key = read(&self.key, "--tls-key")?;
        }
        Ok(Pair { cert, key })
    }

    /// Checks what was read.
    pub(super) fn parse(&self, pair: &Pair) -> Result<Material, PairError> {
        let (cert_name, key_name) = (self.cert.display().to_string(), self.key.display().to_string());
        let cert = NamedPem {
            name: &cert_name,
            pem: &pair.cert,
        };
        Ok(Material::from_pem(
            cert,
            NamedPem {
                name: &key_name,
                pem: &pair.key,
            },
        )?)
    }
}

fn read(file: &Path, flag: &'static str) -> Result<Vec<u8>, PairError> {
    let mut bytes = Vec::new();
    File::open(file)
        .and_then(|open| open.take(LARGEST_FILE + 1).read_to_end(&mut bytes))
        .map_err(|source| PairError::Read {
            file: file.to_owned(),
            flag,
            source,
        })?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(PairError::TooLarge {
            file: file.to_owned(),
            flag,
        });
    }
    Ok(bytes)
}
