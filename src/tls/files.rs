//! A certificate and a key in files, read as a pair.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::material::{Material, MaterialError, NamedPem};

/// In bytes. Far above any chain; a wrong path must not be read into memory every ten seconds.
const MAX_FILE_SIZE: u64 = 1024 * 1024;

/// Attempts to read a pair that changes while it is read.
const READ_ATTEMPTS: usize = 3;

/// The paths of a certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairFiles {
    /// PEM: the server certificate, then its issuers (`--tls-cert`).
    pub cert: PathBuf,
    /// PEM: the key (`--tls-key`).
    pub key: PathBuf,
}

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PairError {
    #[error("cannot read {}: {source}; check {flag}", file.display())]
    Read {
        file: PathBuf,
        /// The flag that sets the path.
        flag: &'static str,
        source: io::Error,
    },
    #[error("{} is larger than 1 MiB, so it is not a certificate or key; check {flag}", file.display())]
    TooLarge {
        file: PathBuf,
        /// The flag that sets the path.
        flag: &'static str,
    },
    #[error(transparent)]
    Material(#[from] MaterialError),
    /// Clients would reject the renewed certificate but accept the current one.
    #[error(
        "the renewed certificate in {} is valid from {not_before} to {not_after}, not now; issue it again",
        file.display()
    )]
    NotValidNow {
        file: PathBuf,
        not_before: Timestamp,
        not_after: Timestamp,
    },
}

/// The unchecked contents of the files.
#[derive(PartialEq, Eq)]
pub(super) struct Pair {
    cert: Vec<u8>,
    key: Vec<u8>,
}

impl PairFiles {
    /// Reads both files. If the certificate changed in between, they may not belong together, so
    /// they are read again.
    pub(super) fn read(&self) -> Result<Pair, PairError> {
        let mut cert = read(&self.cert, "--tls-cert")?;
        let mut key = read(&self.key, "--tls-key")?;
        for _ in 1..READ_ATTEMPTS {
            let again = read(&self.cert, "--tls-cert")?;
            if again == cert {
                break;
            }
            cert = again;
            key = read(&self.key, "--tls-key")?;
        }
        Ok(Pair { cert, key })
    }

    /// Parses and checks what was read.
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
        .and_then(|open| open.take(MAX_FILE_SIZE + 1).read_to_end(&mut bytes))
        .map_err(|source| PairError::Read {
            file: file.to_owned(),
            flag,
            source,
        })?;
    if bytes.len() as u64 > MAX_FILE_SIZE {
        return Err(PairError::TooLarge {
            file: file.to_owned(),
            flag,
        });
    }
    Ok(bytes)
}
