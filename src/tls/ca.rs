//! One certificate authority of our own making.

use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _,
    date_time_ymd,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::lifetimes::{Lifetimes, after};

/// An authority's certificate, as callers hold it: without its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trusted {
    der: CertificateDer<'static>,
    not_before: Timestamp,
    not_after: Timestamp,
}

/// An authority: its certificate and the key that signs. Deliberately without `Debug`.
#[derive(Clone)]
pub struct Ca {
    cert: Trusted,
    key_pem: String,
}

/// What is wrong with bytes that should be an authority.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CaError {
    /// Not a certificate.
    #[error("is not a certificate in PEM ({0})")]
    Certificate(String),
    /// A server's certificate, say.
    #[error("is a certificate that may not sign others")]
    NoAuthority,
    /// Not a key.
    #[error("is not a private key in PEM ({0})")]
    Key(rcgen::Error),
    /// A key of something else.
    #[error("does not belong to its certificate")]
    Mismatch,
}

impl Trusted {
    /// Reads every certificate in `pem`; each must be an authority.
    pub fn read_all(pem: &[u8]) -> Result<Vec<Self>, CaError> {
        CertificateDer::pem_slice_iter(pem)
            .map(|der| Trusted::read(der.map_err(|error| CaError::Certificate(error.to_string()))?))
            .collect()
    }

    fn read(der: CertificateDer<'static>) -> Result<Self, CaError> {
        let unreadable = |reason: String| CaError::Certificate(reason);
        let (_, cert) = X509Certificate::from_der(&der).map_err(|error| unreadable(error.to_string()))?;
        if !cert.is_ca() {
            return Err(CaError::NoAuthority);
        }
        let second = |at: i64| Timestamp::from_second(at).map_err(|error| unreadable(error.to_string()));
        let not_before = second(cert.validity().not_before.timestamp())?;
        let not_after = second(cert.validity().not_after.timestamp())?;
        Ok(Trusted {
            der,
            not_before,
            not_after,
        })
    }

    /// The certificate.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The certificate as PEM.
    pub fn pem(&self) -> String {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(&self.der);
        let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
        for line in text.as_bytes().chunks(64) {
            pem.extend(line.iter().copied().map(char::from));
            pem.push('\n');
        }
        pem + "-----END CERTIFICATE-----\n"
    }

    /// Its first moment.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Its last moment.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Whether a caller that looks at its clock `now` would take what this has signed.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    fn public_key(&self) -> Option<Vec<u8>> {
        let (_, cert) = X509Certificate::from_der(&self.der).ok()?;
        Some(cert.public_key().raw.to_owned())
    }
}

impl Ca {
    /// Makes an authority: ECDSA P-256, whose handshakes cost a tenth of RSA's and which every caller speaks. Its name
    /// holds the moment, so that a person who sees two of them side by side can tell them apart.
    pub fn make(now: Timestamp, lifetimes: &Lifetimes) -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::default();
        let name = format!("apportion authority of {now:.0}");
        params.distinguished_name.push(DnType::CommonName, name);
        // Signs servers alone, never another authority.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        limit(&mut params, Lifetimes::begin(now), after(now, lifetimes.ca()));
        let key = KeyPair::generate()?;
        let der = params.self_signed(&key)?.der().clone();
        let cert = Trusted::read(der).map_err(|_| rcgen::Error::CouldNotParseCertificate)?;
        let key_pem = key.serialize_pem();
        Ok(Ca { cert, key_pem })
    }

    /// Reads what [`Ca::make`] made; the second of the results tells which part is wrong.
    pub fn read(cert: &[u8], key: &[u8]) -> Result<Self, (Part, CaError)> {
        let in_cert = |error| (Part::Certificate, error);
        let [cert] = <[Trusted; 1]>::try_from(Trusted::read_all(cert).map_err(in_cert)?)
            .map_err(|found| in_cert(CaError::Certificate(format!("{} of them, not 1", found.len()))))?;
        let key_pem = String::from_utf8_lossy(key).into_owned();
        let key = KeyPair::from_pem(&key_pem).map_err(|error| (Part::Key, CaError::Key(error)))?;
        if cert.public_key() != Some(key.subject_public_key_info()) {
            return Err((Part::Key, CaError::Mismatch));
        }
        Ok(Ca { cert, key_pem })
    }

    /// What callers must trust.
    pub fn cert(&self) -> &Trusted {
        &self.cert
    }

    /// The key, for the Secret alone.
    pub(super) fn key_pem(&self) -> &str {
        &self.key_pem
    }

    pub(super) fn issuer(&self) -> Result<Issuer<'static, KeyPair>, rcgen::Error> {
        Issuer::from_ca_cert_der(self.cert.der(), KeyPair::from_pem(&self.key_pem)?)
    }
}

/// Makes what `params` describe valid between these moments, to the second. No clock that anyone runs shows a moment before 1970.
pub(super) fn limit(params: &mut CertificateParams, not_before: Timestamp, not_after: Timestamp) {
    let moment = |at: Timestamp| {
        let since_1970 = u64::try_from(at.as_second()).unwrap_or_default();
        date_time_ymd(1970, 1, 1) + Duration::from_secs(since_1970)
    };
    params.not_before = moment(not_before);
    params.not_after = moment(not_after);
}

/// The halves of an authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The certificate.
    Certificate,
    /// The key.
    Key,
}
