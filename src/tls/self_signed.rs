//! A certificate authority and a certificate for one run (`--tls-self-signed`), to try things out without any setup.
//!
//! The authority's key is dropped as soon as the certificate is signed: nobody, this process included, can sign
//! another with it. So the pair cannot be renewed either; a process that runs longer than it must be started again.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::material::{Material, MaterialError, NamedPem};

/// How long the pair is valid. Short, as nothing can revoke it and nobody should come to rely on it.
pub const VALID_DAYS: i8 = 30;

/// Names that a client on the same machine uses.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A certificate of an authority that is no more.
#[derive(Debug)]
pub struct SelfSigned {
    /// What clients must trust: a webhook configuration's `caBundle`, an extender's `caFile`.
    pub ca_pem: String,
    /// The server's certificate.
    pub cert_pem: String,
    /// Its key. Written nowhere.
    pub key_pem: String,
    /// Certificate and key, ready to serve with.
    pub material: Material,
}

/// Why no certificate could be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelfSignedError {
    /// A name that a certificate cannot hold, or a key that could not be made.
    #[error("cannot make a certificate for {names} (--tls-self-signed): {source}")]
    Issue {
        /// The names asked for.
        names: String,
        /// What the issuer says.
        source: rcgen::Error,
    },
    /// The clock shows a day that has no neighbours.
    #[error("cannot make a certificate for the time {now} (--tls-self-signed); set the clock")]
    Clock {
        /// What the clock shows.
        now: Timestamp,
    },
    /// What was made cannot be served with.
    #[error(transparent)]
    Material(#[from] MaterialError),
}

impl SelfSigned {
    /// Makes an authority and, signed by it, a certificate for `localhost`, `127.0.0.1`, `::1` and `names` (DNS names
    /// or IP addresses). Both are ECDSA P-256, which costs a server a tenth of the CPU of RSA for each handshake, and
    /// are valid from the day before `now`, as clocks differ, for [`VALID_DAYS`] days.
    pub fn issue(names: &[String], now: Timestamp) -> Result<Self, SelfSignedError> {
        let mut all: Vec<String> = LOCAL_NAMES.map(str::to_owned).into();
        all.extend(
            names
                .iter()
                .filter(|name| !LOCAL_NAMES.contains(&name.as_str()))
                .cloned(),
        );
        let days = Days::around(now).ok_or(SelfSignedError::Clock { now })?;
        let (ca_pem, cert_pem, key_pem) = sign(&all, days).map_err(|source| SelfSignedError::Issue {
            names: all.join(", "),
            source,
        })?;
        let material = Material::from_pem(
            NamedPem {
                name: "the self-signed certificate",
                pem: cert_pem.as_bytes(),
            },
            NamedPem {
                name: "the self-signed key",
                pem: key_pem.as_bytes(),
            },
        )?;
        Ok(SelfSigned {
            ca_pem,
            cert_pem,
            key_pem,
            material,
        })
    }
}

#[derive(Clone, Copy)]
struct Days {
    first: Date,
    last: Date,
}

impl Days {
    fn around(now: Timestamp) -> Option<Self> {
        let first = now.to_zoned(TimeZone::UTC).date().yesterday().ok()?;
        let last = first.checked_add(Span::new().days(VALID_DAYS)).ok()?;
        Some(Days { first, last })
    }

    fn limit(self, params: &mut CertificateParams) {
        let midnight = |date: Date| {
            date_time_ymd(
                date.year().into(),
                date.month().unsigned_abs(),
                date.day().unsigned_abs(),
            )
        };
        params.not_before = midnight(self.first);
        params.not_after = midnight(self.last);
    }
}

fn sign(names: &[String], days: Days) -> Result<(String, String, String), rcgen::Error> {
    let mut ca = CertificateParams::default();
    ca.distinguished_name
        .push(DnType::CommonName, "apportion throw-away authority");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    days.limit(&mut ca);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;

    let mut leaf = CertificateParams::new(names)?;
    leaf.distinguished_name.push(DnType::CommonName, "apportion");
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    days.limit(&mut leaf);
    let key = KeyPair::generate()?;
    let leaf = leaf.signed_by(&key, &ca)?;
    Ok((ca.pem(), leaf.pem(), key.serialize_pem()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pair_is_short_lived_and_valid_now() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let issued = SelfSigned::issue(&["apportion.apportion-system.svc".to_owned()], now).unwrap();
        assert!(issued.material.is_valid_at(now));
        assert_eq!(issued.material.not_before().to_string(), "2026-02-28T00:00:00Z");
        assert_eq!(issued.material.not_after().to_string(), "2026-03-30T00:00:00Z");
        assert!(issued.ca_pem.contains("BEGIN CERTIFICATE") && !issued.ca_pem.contains("PRIVATE"));
    }

    #[test]
    fn a_name_that_no_certificate_can_hold_is_said() {
        let error = SelfSigned::issue(&["bad\u{e9}name".to_owned()], Timestamp::now())
            .unwrap_err()
            .to_string();
        assert!(error.contains("bad\u{e9}name (--tls-self-signed)"), "{error}");
    }
}
