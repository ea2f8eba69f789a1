//! The certificates of a control plane: one CA and the certificates that it signs.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// A CA in a directory of PEM files.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: PathBuf,
}

/// The files of a certificate and its key.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    pub(crate) fn new(dir: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::create_dir_all(dir).unwrap();
        let authority = Authority {
            issuer,
            dir: dir.to_owned(),
        };
        std::fs::write(authority.file(), authority.pem()).unwrap();
        authority
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for a server at 127.0.0.1 and `localhost`.
    pub(crate) fn server(&self, name: &str) -> Pair {
        let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(str::to_owned);
        self.issue(name, None, &names, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate for a client: the user `name`, of `group`.
    pub(crate) fn client(&self, name: &str, group: Option<&str>) -> Pair {
        self.issue(name, group, &[], ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(&self, name: &str, group: Option<&str>, sans: &[String], usage: ExtendedKeyUsagePurpose) -> Pair {
        let mut params = CertificateParams::new(sans).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let stem = name.replace(':', "-");
        let pair = Pair {
            cert: self.dir.join(format!("{stem}.crt")),
            key: self.dir.join(format!("{stem}.key")),
        };
        std::fs::write(&pair.cert, cert.pem()).unwrap();
        std::fs::write(&pair.key, key.serialize_pem()).unwrap();
        pair
    }
}

/// The keys that sign and check service account tokens.
pub(crate) fn service_account_keys(dir: &Path) -> Pair {
    let key = KeyPair::generate().unwrap();
    let pair = Pair {
        cert: dir.join("sa.pub"),
        key: dir.join("sa.key"),
    };
    std::fs::write(&pair.cert, key.public_key_pem()).unwrap();
    std::fs::write(&pair.key, key.serialize_pem()).unwrap();
    pair
}
