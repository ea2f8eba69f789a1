//! The server certificate, signed by a CA that replicas share.
//!
//! Its key stays in memory; each replica has its own.

use jiff::Timestamp;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};

use super::ca::{Ca, CaCertificate, set_validity};
use super::lifetimes::{Lifetimes, after};
use super::material::{Material, MaterialError, NamedPem};

/// A certificate, its key and its issuer.
#[derive(Clone, Debug)]
pub struct Leaf {
    material: Material,
    issuer: CaCertificate,
    renew_at: Timestamp,
}

/// Why a certificate could not be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeafError {
    /// An invalid name, or a key that could not be created.
    #[error("cannot sign a certificate for {names}: {source}; check --tls-service and POD_NAMESPACE")]
    Sign { names: String, source: rcgen::Error },
    #[error(transparent)]
    Material(#[from] MaterialError),
}

impl Leaf {
    /// Signs a certificate for `names` (DNS names or IP addresses). It never outlives its CA.
    pub fn sign(ca: &Ca, names: &[String], now: Timestamp, lifetimes: &Lifetimes) -> Result<Self, LeafError> {
        let not_after = end(ca, now, lifetimes);
        let (cert, key) = pems(ca, names, now, not_after).map_err(|source| LeafError::Sign {
            names: names.join(", "),
            source,
        })?;
        let pem = |name, pem| NamedPem { name, pem };
        let material = Material::from_pem(
            pem("the managed certificate", cert.as_bytes()),
            pem("the managed key", key.as_bytes()),
        )?;
        let life = not_after.duration_since(now);
        Ok(Leaf {
            material,
            issuer: ca.cert().clone(),
            renew_at: now.checked_add(life / 3 * 2).unwrap_or(now),
        })
    }

    /// Whether to renew: after two thirds of its lifetime, or when another CA signs. Not if a new
    /// certificate would expire no later, because the CA itself expires.
    pub fn is_due(&self, ca: &Ca, now: Timestamp, lifetimes: &Lifetimes) -> bool {
        self.issuer != *ca.cert() || now >= self.renew_at && end(ca, now, lifetimes) > self.material.not_after()
    }

    pub fn material(&self) -> &Material {
        &self.material
    }

    /// The CA that signed it.
    pub fn issuer(&self) -> &CaCertificate {
        &self.issuer
    }
}

/// In whole seconds, the resolution of certificates.
fn end(ca: &Ca, now: Timestamp, lifetimes: &Lifetimes) -> Timestamp {
    let end = after(now, lifetimes.leaf()).min(ca.cert().not_after());
    Timestamp::from_second(end.as_second()).unwrap_or(end)
}

fn pems(ca: &Ca, names: &[String], now: Timestamp, not_after: Timestamp) -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "apportion");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, Lifetimes::begin(now), not_after);
    let key = KeyPair::generate()?;
    let cert = params.signed_by(&key, &ca.issuer()?)?;
    Ok((cert.pem(), key.serialize_pem()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn renewal_is_due_when_it_extends_the_lifetime() {
        let made: Timestamp = "2026-03-01T12:00:00.7Z".parse().unwrap();
        let lifetimes = Lifetimes::default();
        let [ca, other] = [(); 2].map(|()| Ca::create(made, &lifetimes).unwrap());
        let names = ["localhost".to_owned()];
        let sign = |at| Leaf::sign(&ca, &names, at, &lifetimes).unwrap();
        for (case, signed, looked, by, due) in [
            ("new", 0, 0, &ca, false),
            ("a day before two thirds", 0, 19, &ca, false),
            ("at two thirds", 0, 20, &ca, true),
            ("expired", 0, 40, &ca, true),
            ("another CA", 0, 0, &other, true),
            ("expires with its CA", 350, 364, &ca, false),
            ("the CA has expired", 350, 370, &ca, false),
        ] {
            let leaf = sign(after(made, signed * DAY));
            let now = after(made, looked * DAY);
            assert_eq!(leaf.is_due(by, now, &lifetimes), due, "{case}");
        }
        assert_eq!(
            sign(after(made, 350 * DAY)).material().not_after(),
            ca.cert().not_after()
        );
        let leaf = sign(made);
        assert_eq!(leaf.material().not_before().to_string(), "2026-03-01T11:00:00Z");
        assert_eq!(leaf.material().not_after().to_string(), "2026-03-31T12:00:00Z");
    }

    #[test]
    fn an_invalid_name_is_reported() {
        let (now, lifetimes) = (Timestamp::now(), Lifetimes::default());
        let ca = Ca::create(now, &lifetimes).unwrap();
        let error = Leaf::sign(&ca, &["bad\u{e9}name".to_owned()], now, &lifetimes).unwrap_err();
        assert!(error.to_string().contains("for bad\u{e9}name: "), "{error}");
    }
}
