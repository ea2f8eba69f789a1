//! A certificate chain with its key, checked before anything is served with it.
//!
//! Bytes in, a value out: no file is read here and no clock is asked.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;
use rustls::{Error as TlsError, InconsistentKeys};
use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

/// PEM text and the name by which a person knows it, for errors.
#[derive(Clone, Copy, Debug)]
pub struct NamedPem<'a> {
    /// A path, or what stands for one.
    pub name: &'a str,
    /// What it holds.
    pub pem: &'a [u8],
}

/// A certificate chain and the key of its first certificate, which belong together.
#[derive(Clone, Debug)]
pub struct Material {
    key: Arc<CertifiedKey>,
    not_before: Timestamp,
    not_after: Timestamp,
}

/// Why PEM text cannot be served with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MaterialError {
    /// The text is not PEM.
    #[error("{file} is not PEM: {source:?}; it must hold base64 between BEGIN and END lines")]
    Pem {
        /// Which text.
        file: String,
        /// What the parser met.
        source: PemError,
    },
    /// PEM without a certificate.
    #[error("{file} holds no certificate; it must hold BEGIN CERTIFICATE, the server's own first, then its issuers")]
    NoCertificate {
        /// Which text.
        file: String,
    },
    /// A certificate block that is no X.509 certificate.
    #[error("the first certificate in {file} cannot be read ({reason}); issue it again")]
    Certificate {
        /// Which text.
        file: String,
        /// What the parser met.
        reason: String,
    },
    /// PEM without a key.
    #[error(
        "{file} holds no private key; it must hold BEGIN PRIVATE KEY, BEGIN EC PRIVATE KEY or BEGIN RSA PRIVATE KEY"
    )]
    NoKey {
        /// Which text.
        file: String,
    },
    /// The key is under a passphrase, which nobody would be there to type.
    #[error(
        "the private key in {file} is encrypted; write it without a passphrase: openssl pkey -in {file} -out PLAIN"
    )]
    EncryptedKey {
        /// Which text.
        file: String,
    },
    /// A key of a kind or size that cannot sign for TLS.
    #[error(
        "the private key in {file} cannot be used ({source}); use ECDSA P-256, Ed25519 or RSA of 2048 bits or more"
    )]
    Key {
        /// Which text.
        file: String,
        /// What rustls says.
        source: TlsError,
    },
    /// Both are good, but not together.
    #[error(
        "the key in {key} does not belong to the first certificate in {cert}; \
         take both from the same issue, with the server's own certificate first"
    )]
    Mismatch {
        /// Where the certificate came from.
        cert: String,
        /// Where the key came from.
        key: String,
    },
}

impl Material {
    /// Reads a chain (the server's own certificate first) and a key (PKCS#8, SEC1 or PKCS#1), and checks that the two
    /// belong together. Dates are read but not judged: an expired certificate is still better than no start at all.
    pub fn from_pem(cert: NamedPem<'_>, key: NamedPem<'_>) -> Result<Self, MaterialError> {
        let chain = chain(cert)?;
        let (not_before, not_after) = validity(cert.name, &chain[0])?;
        let key_der = private_key(key)?;
        let key_file = || key.name.to_owned();
        let key = match CertifiedKey::from_der(chain, key_der, &aws_lc_rs::default_provider()) {
            Ok(key) => Arc::new(key),
            Err(TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
                return Err(MaterialError::Mismatch {
                    cert: cert.name.to_owned(),
                    key: key_file(),
                });
            }
            Err(source) => {
                return Err(MaterialError::Key {
                    file: key_file(),
                    source,
                });
            }
        };
        Ok(Material {
            key,
            not_before,
            not_after,
        })
    }

    /// What rustls signs with.
    pub fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }

    /// From when the server's own certificate is valid.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Until when the server's own certificate is valid.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Whether a client that looks at its clock `now` would take the server's own certificate.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }
}

fn chain(cert: NamedPem<'_>) -> Result<Vec<CertificateDer<'static>>, MaterialError> {
    let file = || cert.name.to_owned();
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(cert.pem).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(MaterialError::NoCertificate { file: file() }),
        Ok(chain) => Ok(chain),
        Err(source) => Err(MaterialError::Pem { file: file(), source }),
    }
}

fn private_key(key: NamedPem<'_>) -> Result<PrivateKeyDer<'static>, MaterialError> {
    let file = key.name.to_owned();
    match PrivateKeyDer::from_pem_slice(key.pem) {
        Ok(der) => Ok(der),
        Err(PemError::NoItemsFound) if is_encrypted(key.pem) => Err(MaterialError::EncryptedKey { file }),
        Err(PemError::NoItemsFound) => Err(MaterialError::NoKey { file }),
        Err(source) => Err(MaterialError::Pem { file, source }),
    }
}

fn is_encrypted(pem: &[u8]) -> bool {
    const MARK: &[u8] = b"BEGIN ENCRYPTED PRIVATE KEY";
    pem.windows(MARK.len()).any(|window| window == MARK)
}

fn validity(file: &str, leaf: &CertificateDer<'_>) -> Result<(Timestamp, Timestamp), MaterialError> {
    let unreadable = |reason: String| MaterialError::Certificate {
        file: file.to_owned(),
        reason,
    };
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|error| unreadable(error.to_string()))?;
    let second = |at: i64| Timestamp::from_second(at).map_err(|error| unreadable(error.to_string()));
    let validity = leaf.validity();
    Ok((
        second(validity.not_before.timestamp())?,
        second(validity.not_after.timestamp())?,
    ))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn pair() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 2, 1);
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    fn read(cert: &str, key: &str) -> Result<Material, MaterialError> {
        let named = |name, pem: &'static str| NamedPem {
            name,
            pem: pem.as_bytes(),
        };
        Material::from_pem(
            named("tls.crt", cert.to_owned().leak()),
            named("tls.key", key.to_owned().leak()),
        )
    }

    #[test]
    fn dates_are_those_of_the_first_certificate_and_a_chain_is_kept() {
        let (cert, key) = pair();
        let (issuer, _) = pair();
        let material = read(&format!("{cert}{issuer}"), &key).unwrap();
        assert_eq!(material.certified_key().cert.len(), 2);
        assert_eq!(material.not_before().to_string(), "2026-01-01T00:00:00Z");
        assert_eq!(material.not_after().to_string(), "2026-02-01T00:00:00Z");
        assert!(material.is_valid_at("2026-01-15T00:00:00Z".parse().unwrap()));
        assert!(!material.is_valid_at("2026-02-15T00:00:00Z".parse().unwrap()));
        assert!(!material.is_valid_at("2025-12-31T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn each_fault_names_the_file_and_the_fix() {
        let (cert, key) = pair();
        let (_, other_key) = pair();
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        for (cert, key, said) in [
            (
                key.as_str(),
                key.as_str(),
                "tls.crt holds no certificate; it must hold BEGIN CERTIFICATE",
            ),
            ("", key.as_str(), "tls.crt holds no certificate"),
            (
                cert.as_str(),
                cert.as_str(),
                "tls.key holds no private key; it must hold BEGIN PRIVATE KEY",
            ),
            (
                cert.as_str(),
                encrypted,
                "tls.key is encrypted; write it without a passphrase",
            ),
            (cert.as_str(), no_key, "the private key in tls.key cannot be used"),
            (
                no_certificate,
                key.as_str(),
                "the first certificate in tls.crt cannot be read",
            ),
            (&cert[..cert.len() / 2], key.as_str(), "tls.crt is not PEM"),
            (
                cert.as_str(),
                other_key.as_str(),
                "the key in tls.key does not belong to the first certificate in tls.crt",
            ),
        ] {
            let error = read(cert, key).unwrap_err().to_string();
            assert!(error.contains(said), "{error:?} does not say {said:?}");
        }
    }
}
