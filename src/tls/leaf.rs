//! The server's own certificate, signed by an authority that replicas share.
//!
//! Its key is made here and is written nowhere. Each replica has its own.

use jiff::Timestamp;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};

use super::ca::{Ca, Trusted, limit};
use super::lifetimes::{Lifetimes, after};
use super::material::{Material, MaterialError, NamedPem};

/// A certificate, its key, and who signed it.
#[derive(Clone, Debug)]
pub struct Leaf {
    material: Material,
    issuer: Trusted,
    renew_at: Timestamp,
}

/// Why no certificate could be signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LeafError {
    /// A name that a certificate cannot hold, or a key that could not be made.
    #[error("cannot sign a certificate for {names}: {source}; check --tls-service and POD_NAMESPACE")]
    Sign {
        /// The names asked for.
        names: String,
        /// What the issuer says.
        source: rcgen::Error,
    },
    /// What was signed cannot be served with.
    #[error(transparent)]
    Material(#[from] MaterialError),
}

impl Leaf {
    /// Signs a certificate for `names` (DNS names or IP addresses). It never outlives its authority.
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

    /// Whether another should take its place: two thirds of its life are over, or another authority signs now. Not
    /// when another of the same authority would end no later, at the end of the authority itself.
    pub fn is_due(&self, ca: &Ca, now: Timestamp, lifetimes: &Lifetimes) -> bool {
        self.issuer != *ca.cert() || now >= self.renew_at && end(ca, now, lifetimes) > self.material.not_after()
    }

    /// What listeners serve with.
    pub fn material(&self) -> &Material {
        &self.material
    }

    /// The authority that signed it.
    pub fn issuer(&self) -> &Trusted {
        &self.issuer
    }
}

/// To the second, as certificates have it.
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
    limit(&mut params, Lifetimes::begin(now), not_after);
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
    fn renewal_is_due_when_it_gains_something() {
        let made: Timestamp = "2026-03-01T12:00:00.7Z".parse().unwrap();
        let lifetimes = Lifetimes::default();
        let [ca, other] = [(); 2].map(|()| Ca::make(made, &lifetimes).unwrap());
        let names = ["localhost".to_owned()];
        let sign = |at| Leaf::sign(&ca, &names, at, &lifetimes).unwrap();
        for (case, signed, looked, by, due) in [
            ("new", 0, 0, &ca, false),
            ("a day before two thirds", 0, 19, &ca, false),
            ("at two thirds", 0, 20, &ca, true),
            ("ended", 0, 40, &ca, true),
            ("another authority", 0, 0, &other, true),
            ("cut short by its authority's end", 350, 364, &ca, false),
            ("the authority has ended", 350, 370, &ca, false),
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
    fn a_name_that_no_certificate_can_hold_is_said() {
        let (now, lifetimes) = (Timestamp::now(), Lifetimes::default());
        let ca = Ca::make(now, &lifetimes).unwrap();
        let error = Leaf::sign(&ca, &["bad\u{e9}name".to_owned()], now, &lifetimes).unwrap_err();
        assert!(error.to_string().contains("for bad\u{e9}name: "), "{error}");
    }
}
