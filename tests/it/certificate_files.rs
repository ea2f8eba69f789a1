//! Certificates from files: which clients are accepted, and how a running server reloads them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use apportion::tls::config::ServerTls;
use apportion::tls::files::PairFiles;
use apportion::tls::follower::Follower;
use apportion::tls::resolver::Resolver;
use apportion::tls::self_signed::SelfSigned;
use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use reqwest::Identity;

use crate::test_server::{ServerConfig, TestServer, client};

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key as one PEM text, for reqwest.
fn identity(authority: &CertifiedIssuer<'_, KeyPair>, usage: ExtendedKeyUsagePurpose) -> Identity {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.extended_key_usages = vec![usage];
    let certificate = params.signed_by(&key, authority).unwrap();
    Identity::from_pem(format!("{}{}", certificate.pem(), key.serialize_pem()).as_bytes()).unwrap()
}

#[tokio::test]
async fn the_extender_accepts_only_clients_of_its_ca() {
    let issued = SelfSigned::issue(&[], Timestamp::now()).unwrap();
    let clients = authority();
    let dir = tempfile::tempdir().unwrap();
    let authorities = dir.path().join("clients.crt");
    fs::write(&authorities, clients.pem()).unwrap();
    let tls = ServerTls::for_clients_of(Resolver::new(issued.material), &authorities).unwrap();
    let server = TestServer::start(ServerConfig {
        extender: Some(tls),
        ..ServerConfig::default()
    });
    let ask = async |identity: Option<Identity>| {
        let client = identity
            .into_iter()
            .fold(client(&issued.ca_pem), reqwest::ClientBuilder::identity);
        client
            .build()
            .unwrap()
            .post(format!("https://{}/filter", server.extender))
            .body("{}")
            .send()
            .await
    };
    let known = identity(&clients, ExtendedKeyUsagePurpose::ClientAuth);
    assert_eq!(ask(Some(known)).await.unwrap().status(), 200);
    for unknown in [
        None,
        Some(identity(&authority(), ExtendedKeyUsagePurpose::ClientAuth)),
        Some(identity(&clients, ExtendedKeyUsagePurpose::ServerAuth)),
    ] {
        let error = ask(unknown).await.unwrap_err();
        assert!(!error.is_status() && !error.is_timeout(), "{error:?}");
    }
    assert_eq!(server.events.handshakes.load(Ordering::Relaxed), 3);
    assert_eq!(server.events.answered.lock().unwrap().len(), 1);
}

/// Updates a Secret volume as the kubelet does: it writes a new directory, then moves a link to it.
fn mount(volume: &Path, revision: &str, cert: &str, key: &str) {
    fs::create_dir(volume.join(revision)).unwrap();
    fs::write(volume.join(revision).join("tls.crt"), cert).unwrap();
    fs::write(volume.join(revision).join("tls.key"), key).unwrap();
    symlink(revision, volume.join("..data_tmp")).unwrap();
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    for file in ["tls.crt", "tls.key"] {
        let _ = symlink(Path::new("..data").join(file), volume.join(file));
    }
}

#[tokio::test]
async fn a_renewed_secret_is_served_and_an_invalid_one_is_not() {
    const RETRY_PERIOD: Duration = Duration::from_millis(20);
    let volume = tempfile::tempdir().unwrap();
    let issue = || SelfSigned::issue(&[], Timestamp::now()).unwrap();
    let [first, second, third] = [issue(), issue(), issue()];
    mount(volume.path(), "..2026_1", &first.cert_pem, &first.key_pem);
    let files = PairFiles {
        cert: volume.path().join("tls.crt"),
        key: volume.path().join("tls.key"),
    };
    let follower = Follower::start(files).unwrap();
    let tls = ServerTls::for_any_client(follower.resolver()).unwrap();
    let server = TestServer::start(ServerConfig {
        webhook: Some(tls),
        ..ServerConfig::default()
    });
    let (reloads, faults) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (Arc::clone(&reloads), Arc::clone(&faults));
    let following = tokio::spawn(follower.run(RETRY_PERIOD, move |outcome| {
        let (reloads, faults) = &counts;
        if outcome.is_ok() { reloads } else { faults }.fetch_add(1, Ordering::Relaxed);
    }));

    // Each client trusts one CA only, so an answer tells which certificate the server used.
    let shown = async |issued: &SelfSigned| {
        let client = client(&issued.ca_pem).build().unwrap();
        client
            .post(format!("https://{}/mutate", server.webhook))
            .body("{}")
            .send()
            .await
            .is_ok()
    };
    let count = async |counter: &AtomicUsize, to: usize| {
        while counter.load(Ordering::Relaxed) < to {
            tokio::time::sleep(RETRY_PERIOD / 4).await;
        }
    };
    assert!(shown(&first).await);
    let kept = client(&first.ca_pem).build().unwrap();
    let keep = async || {
        kept.post(format!("https://{}/mutate", server.webhook))
            .body("{}")
            .send()
            .await
            .unwrap()
    };
    keep().await;

    mount(volume.path(), "..2026_2", &second.cert_pem, &second.key_pem);
    count(&reloads, 1).await;
    assert!(shown(&second).await && !shown(&first).await);
    assert_eq!(keep().await.status(), 200);

    mount(volume.path(), "..2026_3", &third.cert_pem, &second.key_pem);
    count(&faults, 1).await;
    assert!(shown(&second).await && !shown(&third).await);

    mount(volume.path(), "..2026_4", &third.cert_pem, &third.key_pem);
    count(&reloads, 2).await;
    assert!(shown(&third).await);
    assert_eq!(
        (reloads.load(Ordering::Relaxed), faults.load(Ordering::Relaxed)),
        (2, 1)
    );
    following.abort();
}

#[tokio::test]
async fn certificates_from_make_sh_work() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("SKIPPED: certs/make.sh is not tested: openssl is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let run = || {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/certs/make.sh");
        Command::new("sh")
            .arg(script)
            .arg(&out)
            .args(["apportion.example", "192.0.2.7"])
            .output()
            .unwrap()
    };
    let first = run();
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    assert!(String::from_utf8_lossy(&first.stdout).contains("Next, either on this machine:"));
    let again = run();
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("ca.crt exists; choose another directory"));

    let read = |file: &str| fs::read_to_string(out.join(file)).unwrap();
    let follower = Follower::start(PairFiles {
        cert: out.join("tls.crt"),
        key: out.join("tls.key"),
    })
    .unwrap();
    let webhook = ServerTls::for_any_client(follower.resolver()).unwrap();
    let extender = ServerTls::for_clients_of(follower.resolver(), &out.join("ca.crt")).unwrap();
    let server = TestServer::start(ServerConfig {
        webhook: Some(webhook),
        extender: Some(extender),
        ..ServerConfig::default()
    });
    let scheduler = Identity::from_pem((read("client.crt") + &read("client.key")).as_bytes()).unwrap();
    let builder = client(&read("ca.crt")).identity(scheduler);
    let client = builder
        .resolve("apportion.apportion-system.svc", server.webhook)
        .build()
        .unwrap();
    for url in [
        format!(
            "https://apportion.apportion-system.svc:{}/mutate",
            server.webhook.port()
        ),
        format!("https://localhost:{}/mutate", server.webhook.port()),
        format!("https://127.0.0.1:{}/filter", server.extender.port()),
    ] {
        assert_eq!(
            client.post(&url).body("{}").send().await.unwrap().status(),
            200,
            "{url}"
        );
    }
}
