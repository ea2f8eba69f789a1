//! A certificate authority of our own.

use std::time::Duration;

use jiff::Timestamp;
use pem::{EncodeConfig, LineEnding};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _,
    date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::lifetimes::{Lifetimes, after};

/// The certificate of a CA, without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaCertificate {
    der: CertificateDer<'static>,
    not_before: Timestamp,
    not_after: Timestamp,
}

/// A CA with its key. Without `Debug`, so that the key is never logged.
#[derive(Clone)]
pub struct Ca {
    cert: CaCertificate,
    key_pem: String,
}

/// Why bytes are not a CA. The messages follow the name of a Secret key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CaError {
    #[error("is not a certificate in PEM ({0})")]
    Certificate(String),
    #[error("must have one certificate in PEM, but has {0}")]
    CertificateCount(usize),
    /// Such as a server certificate.
    #[error("is a certificate that may not sign others")]
    NotCa,
    #[error("is not a private key in PEM ({0})")]
    Key(rcgen::Error),
    #[error("does not belong to its certificate")]
    Mismatch,
}

impl CaCertificate {
    /// Parses every certificate in `pem`; each must be a CA.
    pub fn read_all(pem: &[u8]) -> Result<Vec<Self>, CaError> {
        CertificateDer::pem_slice_iter(pem)
            .map(|der| CaCertificate::read(der.map_err(|error| CaError::Certificate(error.to_string()))?))
            .collect()
    }

    fn read(der: CertificateDer<'static>) -> Result<Self, CaError> {
        let invalid = |reason: String| CaError::Certificate(reason);
        let (_, cert) = X509Certificate::from_der(&der).map_err(|error| invalid(error.to_string()))?;
        if !cert.is_ca() {
            return Err(CaError::NotCa);
        }
        let timestamp = |at: i64| Timestamp::from_second(at).map_err(|error| invalid(error.to_string()));
        let not_before = timestamp(cert.validity().not_before.timestamp())?;
        let not_after = timestamp(cert.validity().not_after.timestamp())?;
        Ok(CaCertificate {
            der,
            not_before,
            not_after,
        })
    }

    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The certificate as PEM, with LF line endings.
    pub fn to_pem(&self) -> String {
        let block = pem::Pem::new("CERTIFICATE", self.der.as_ref());
        pem::encode_config(&block, EncodeConfig::new().set_line_ending(LineEnding::LF))
    }

    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Whether a caller whose clock shows `now` accepts certificates of this CA.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    fn public_key(&self) -> Option<Vec<u8>> {
        let (_, cert) = X509Certificate::from_der(&self.der).ok()?;
        Some(cert.public_key().raw.to_owned())
    }
}

impl Ca {
    /// Creates a CA with an ECDSA P-256 key, whose handshakes cost a tenth of RSA's and which every
    /// caller supports. Its name contains the time, so that people can tell two CAs apart.
    pub fn create(now: Timestamp, lifetimes: &Lifetimes) -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        let name = format!("apportion authority of {now:.0}");
        params.distinguished_name.push(DnType::CommonName, name);
        // It signs only servers, never another CA.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        set_validity(&mut params, Lifetimes::begin(now), after(now, lifetimes.ca()));
        let key = KeyPair::generate()?;
        let der = params.self_signed(&key)?.der().clone();
        let cert = CaCertificate::read(der).map_err(|_| rcgen::Error::CouldNotParseCertificate)?;
        let key_pem = key.serialize_pem();
        Ok(Ca { cert, key_pem })
    }

    /// Parses what [`Ca::create`] created. An error names the invalid part.
    pub fn read(cert: &[u8], key: &[u8]) -> Result<Self, (Part, CaError)> {
        let in_cert = |error| (Part::Certificate, error);
        let [cert] = <[CaCertificate; 1]>::try_from(CaCertificate::read_all(cert).map_err(in_cert)?)
            .map_err(|found| in_cert(CaError::CertificateCount(found.len())))?;
        let key_pem = String::from_utf8_lossy(key).into_owned();
        let key = KeyPair::from_pem(&key_pem).map_err(|error| (Part::Key, CaError::Key(error)))?;
        if cert.public_key() != Some(key.subject_public_key_info()) {
            return Err((Part::Key, CaError::Mismatch));
        }
        Ok(Ca { cert, key_pem })
    }

    /// The certificate that callers must trust.
    pub fn cert(&self) -> &CaCertificate {
        &self.cert
    }

    /// The key, for the Secret only.
    pub(super) fn key_pem(&self) -> &str {
        &self.key_pem
    }

    pub(super) fn issuer(&self) -> Result<Issuer<'static, KeyPair>, rcgen::Error> {
        Issuer::from_ca_cert_der(self.cert.der(), KeyPair::from_pem(&self.key_pem)?)
    }
}

/// Sets the validity, in whole seconds; times before 1970 become 1970.
pub(super) fn set_validity(params: &mut CertificateParams, not_before: Timestamp, not_after: Timestamp) {
    let date = |at: Timestamp| {
        let since_1970 = u64::try_from(at.as_second()).unwrap_or_default();
        date_time_ymd(1970, 1, 1) + Duration::from_secs(since_1970)
    };
    params.not_before = date(not_before);
    params.not_after = date(not_after);
}

/// A part of a stored CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Certificate,
    Key,
}
