//! The format of the Secret that holds the CAs.
//!
//! | key | holds |
//! |---|---|
//! | `tls.crt`, `tls.key` | the CA that signs |
//! | `tls.since` | since when it signs (RFC 3339) |
//! | `next.crt`, `next.key` | the CA that signs next, during a rotation |
//! | `next.since` | since when it is published |
//! | `ca.crt` | the CAs that callers must trust |
//!
//! The names are those of Secrets of type `kubernetes.io/tls`; clients use `ca.crt`.

use std::collections::BTreeMap;
use std::str::FromStr as _;
use std::sync::Arc;

use jiff::Timestamp;

use super::authority::{Authority, Next};
use super::ca::{Ca, CaCertificate, CaError, Part};

/// The data of a Secret.
pub type Data = BTreeMap<String, Vec<u8>>;

/// The keys of the Secret that are ours.
pub const KEYS: [&str; 7] = [
    TRUSTED,
    SIGNING.cert,
    SIGNING.key,
    SIGNING.since,
    NEXT.cert,
    NEXT.key,
    NEXT.since,
];

const TRUSTED: &str = "ca.crt";
const SIGNING: Keys = Keys {
    cert: "tls.crt",
    key: "tls.key",
    since: "tls.since",
};
const NEXT: Keys = Keys {
    cert: "next.crt",
    key: "next.key",
    since: "next.since",
};

/// The Secret keys of one CA.
struct Keys {
    cert: &'static str,
    key: &'static str,
    since: &'static str,
}

/// Why the data of a Secret is not ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoredError {
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{key} {source}")]
    Ca { key: &'static str, source: CaError },
    #[error("{0} is not a time such as 2026-03-01T12:00:00Z")]
    Since(&'static str),
}

/// Parses what [`write()`] wrote; `None` if none of it is there, as in a Secret that was created
/// empty. Partial data is an error and never replaced: it may belong to another program, or be in
/// use.
pub fn read(data: &Data) -> Result<Option<Authority>, StoredError> {
    if KEYS.iter().all(|key| data.get(*key).is_none_or(Vec::is_empty)) {
        return Ok(None);
    }
    let (signing, signing_since) = SIGNING.read(data)?;
    let next = if data.contains_key(NEXT.cert) {
        let (ca, published) = NEXT.read(data)?;
        Some(Next { ca, published })
    } else {
        None
    };
    let trusted =
        CaCertificate::read_all(bytes(data, TRUSTED)?).map_err(|source| StoredError::Ca { key: TRUSTED, source })?;
    let active =
        |cert: &CaCertificate| cert == signing.cert() || next.as_ref().is_some_and(|next| cert == next.ca.cert());
    let previous = trusted.into_iter().filter(|cert| !active(cert)).collect();
    Ok(Some(Authority {
        signing,
        signing_since,
        next,
        previous,
    }))
}

pub fn write(authority: &Authority) -> Data {
    let mut data = Data::new();
    SIGNING.write(&mut data, &authority.signing, authority.signing_since);
    if let Some(next) = &authority.next {
        NEXT.write(&mut data, &next.ca, next.published);
    }
    let trusted: String = authority.all().map(CaCertificate::to_pem).collect();
    data.insert(TRUSTED.to_owned(), trusted.into_bytes());
    data
}

impl Keys {
    fn read(&self, data: &Data) -> Result<(Arc<Ca>, Timestamp), StoredError> {
        let (cert, key) = (bytes(data, self.cert)?, bytes(data, self.key)?);
        let ca = Ca::read(cert, key).map_err(|(part, source)| StoredError::Ca {
            key: match part {
                Part::Certificate => self.cert,
                Part::Key => self.key,
            },
            source,
        })?;
        let since = std::str::from_utf8(bytes(data, self.since)?)
            .ok()
            .and_then(|text| Timestamp::from_str(text.trim()).ok())
            .ok_or(StoredError::Since(self.since))?;
        Ok((Arc::new(ca), since))
    }

    fn write(&self, data: &mut Data, ca: &Ca, since: Timestamp) {
        let mut put = |key: &str, text: String| data.insert(key.to_owned(), text.into_bytes());
        put(self.cert, ca.cert().to_pem());
        put(self.key, ca.key_pem().to_owned());
        put(self.since, since.to_string());
    }
}

fn bytes<'a>(data: &'a Data, key: &'static str) -> Result<&'a [u8], StoredError> {
    data.get(key).map(Vec::as_slice).ok_or(StoredError::Missing(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::authority::Plan;
    use crate::tls::lifetimes::Lifetimes;

    /// CAs with a next and a previous one.
    fn full() -> Authority {
        let (now, lifetimes) = ("2026-03-01T12:00:00.5Z".parse().unwrap(), Lifetimes::default());
        let mut authority = None;
        for plan in [Plan::Create, Plan::Publish, Plan::Switch, Plan::Publish] {
            authority = Some(plan.apply(authority.as_ref(), now, &lifetimes).unwrap());
        }
        authority.unwrap()
    }

    #[test]
    fn written_data_is_read_back() {
        let written = write(&full());
        assert_eq!(written.keys().map(String::as_str).collect::<Vec<_>>(), {
            let mut keys = KEYS;
            keys.sort_unstable();
            keys
        });
        let read = read(&written).unwrap().unwrap();
        assert_eq!(write(&read), written);
        assert_eq!((read.previous.len(), read.all().count()), (1, 3));
        let text = String::from_utf8(written["ca.crt"].clone()).unwrap();
        assert_eq!(text.matches("BEGIN CERTIFICATE").count(), 3);
        assert!(!text.contains("PRIVATE"), "a private key in ca.crt");
    }

    #[test]
    fn an_empty_secret_has_no_ca() {
        let blank = Data::from([("tls.crt".to_owned(), Vec::new()), ("tls.key".to_owned(), Vec::new())]);
        assert!(read(&Data::new()).unwrap().is_none());
        assert!(read(&blank).unwrap().is_none());
        let foreign = Data::from([("password".to_owned(), b"x".to_vec())]);
        assert!(read(&foreign).unwrap().is_none());
    }

    #[test]
    fn each_error_names_its_key() {
        let good = write(&full());
        let leaf = crate::tls::self_signed::SelfSigned::issue(&[], Timestamp::now()).unwrap();
        let with = |key: &str, value: &[u8]| {
            let mut data = good.clone();
            data.insert(key.to_owned(), value.to_vec());
            data
        };
        let without = |key: &str| {
            let mut data = good.clone();
            data.remove(key);
            data
        };
        for (data, message) in [
            (without("tls.key"), "tls.key is missing"),
            (without("ca.crt"), "ca.crt is missing"),
            (without("next.since"), "next.since is missing"),
            (with("tls.since", b"soon"), "tls.since is not a time such as"),
            (with("tls.since", b"\xff"), "tls.since is not a time such as"),
            (with("tls.key", b"x"), "tls.key is not a private key in PEM"),
            (
                with("tls.key", &good["next.key"]),
                "tls.key does not belong to its certificate",
            ),
            (
                with("tls.crt", b"x"),
                "tls.crt must have one certificate in PEM, but has 0",
            ),
            (
                with("next.crt", &good["ca.crt"]),
                "next.crt must have one certificate in PEM, but has 3",
            ),
            (
                with("tls.crt", leaf.cert_pem.as_bytes()),
                "tls.crt is a certificate that may not sign others",
            ),
            (
                with("ca.crt", leaf.cert_pem.as_bytes()),
                "ca.crt is a certificate that may not sign others",
            ),
        ] {
            let error = read(&data).err().expect(message).to_string();
            assert!(error.starts_with(message), "{error:?} does not start with {message:?}");
        }
    }
}
