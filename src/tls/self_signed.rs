//! A CA and a certificate for one run (`--tls-self-signed`), for trials without any setup.
//!
//! The CA's key is dropped when the certificate is signed, so it can never sign another. The pair
//! cannot be renewed either: restart the process before it expires.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

use super::material::{Material, MaterialError, NamedPem};

/// The lifetime of the pair. Short, because it cannot be revoked and is for trials.
pub const VALID_DAYS: i8 = 30;

/// The names that local clients use.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// A certificate whose CA key no longer exists.
#[derive(Debug)]
pub struct SelfSigned {
    /// The CA that clients must trust: a webhook configuration's `caBundle`, an extender's
    /// `caFile`.
    pub ca_pem: String,
    pub cert_pem: String,
    /// The key, which is not written to disk.
    pub key_pem: String,
    /// Certificate and key, ready to use.
    pub material: Material,
}

/// Why a certificate could not be issued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelfSignedError {
    /// An invalid name, or a key that could not be created.
    #[error("cannot issue a certificate for {names} (--tls-self-signed): {source}")]
    Issue { names: String, source: rcgen::Error },
    /// The clock is at the limit of the calendar.
    #[error("cannot issue a certificate for the time {now} (--tls-self-signed); set the clock")]
    Clock { now: Timestamp },
    #[error(transparent)]
    Material(#[from] MaterialError),
}

impl SelfSigned {
    /// Creates a CA and signs a certificate for `localhost`, `127.0.0.1`, `::1` and `names` (DNS
    /// names or IP addresses). Both have ECDSA P-256 keys, whose handshakes cost a tenth of RSA's,
    /// and are valid for [`VALID_DAYS`] days from the day before `now`, because clocks differ.
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
    fn the_pair_is_valid_now_and_expires_soon() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let issued = SelfSigned::issue(&["apportion.apportion-system.svc".to_owned()], now).unwrap();
        assert!(issued.material.is_valid_at(now));
        assert_eq!(issued.material.not_before().to_string(), "2026-02-28T00:00:00Z");
        assert_eq!(issued.material.not_after().to_string(), "2026-03-30T00:00:00Z");
        assert!(issued.ca_pem.contains("BEGIN CERTIFICATE") && !issued.ca_pem.contains("PRIVATE"));
    }

    #[test]
    fn an_invalid_name_is_reported() {
        let error = SelfSigned::issue(&["bad\u{e9}name".to_owned()], Timestamp::now())
            .unwrap_err()
            .to_string();
        assert!(error.contains("bad\u{e9}name (--tls-self-signed)"), "{error}");
    }
}
