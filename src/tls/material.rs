//! A certificate chain with its key, checked before it is used.
//!
//! rustls-pki-types parses the PEM text; it needs no parser of ours.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;
use rustls::{Error as TlsError, InconsistentKeys};
use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

/// PEM text with a name for errors.
#[derive(Clone, Copy, Debug)]
pub struct NamedPem<'a> {
    /// A path or a description.
    pub name: &'a str,
    pub pem: &'a [u8],
}

/// A certificate chain and the key of its first certificate.
#[derive(Clone, Debug)]
pub struct Material {
    key: Arc<CertifiedKey>,
    not_before: Timestamp,
    not_after: Timestamp,
}

/// Why PEM text cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MaterialError {
    #[error("{file} is not PEM: {source:?}; it must contain base64 between BEGIN and END lines")]
    Pem { file: String, source: PemError },
    #[error(
        "{file} holds no certificate; it must contain BEGIN CERTIFICATE, first for the server, then for its issuers"
    )]
    NoCertificate { file: String },
    #[error("the first certificate in {file} cannot be read ({reason}); issue it again")]
    Certificate { file: String, reason: String },
    #[error(
        "{file} holds no private key; it must contain BEGIN PRIVATE KEY, BEGIN EC PRIVATE KEY or BEGIN RSA PRIVATE KEY"
    )]
    NoKey { file: String },
    #[error("the private key in {file} is encrypted; remove the passphrase: openssl pkey -in {file} -out PLAIN")]
    EncryptedKey { file: String },
    /// The key type or size cannot sign for TLS.
    #[error(
        "the private key in {file} cannot be used ({source}); use ECDSA P-256, Ed25519 or RSA of 2048 bits or more"
    )]
    Key { file: String, source: TlsError },
    #[error(
        "the key in {key} does not belong to the first certificate in {cert}; \
         use a key and a certificate that were issued together, with the server certificate first"
    )]
    Mismatch { cert: String, key: String },
}

impl Material {
    /// Parses a chain (the server certificate first) and a key (PKCS#8, SEC1 or PKCS#1), and checks
    /// that they belong together. Validity is not checked: an expired certificate is better than no
    /// start.
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

    pub fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }

    /// The start of the server certificate's validity.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// When the server certificate expires.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Whether a client whose clock shows `now` accepts the server certificate.
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

/// rustls-pki-types skips encrypted keys, so it cannot tell them from a missing key.
fn is_encrypted(text: &[u8]) -> bool {
    pem::parse_many(text).is_ok_and(|blocks| blocks.iter().any(|block| block.tag() == "ENCRYPTED PRIVATE KEY"))
}

fn validity(file: &str, leaf: &CertificateDer<'_>) -> Result<(Timestamp, Timestamp), MaterialError> {
    let invalid = |reason: String| MaterialError::Certificate {
        file: file.to_owned(),
        reason,
    };
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|error| invalid(error.to_string()))?;
    let timestamp = |at: i64| Timestamp::from_second(at).map_err(|error| invalid(error.to_string()));
    let validity = leaf.validity();
    Ok((
        timestamp(validity.not_before.timestamp())?,
        timestamp(validity.not_after.timestamp())?,
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
    fn validity_is_that_of_the_first_certificate_of_the_chain() {
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
    fn each_error_names_the_file_and_the_fix() {
        let (cert, key) = pair();
        let (_, other_key) = pair();
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        for (cert, key, message) in [
            (
                key.as_str(),
                key.as_str(),
                "tls.crt holds no certificate; it must contain BEGIN CERTIFICATE",
            ),
            ("", key.as_str(), "tls.crt holds no certificate"),
            (
                cert.as_str(),
                cert.as_str(),
                "tls.key holds no private key; it must contain BEGIN PRIVATE KEY",
            ),
            (cert.as_str(), encrypted, "tls.key is encrypted; remove the passphrase"),
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
            assert!(error.contains(message), "{error:?} does not contain {message:?}");
        }
    }
}
