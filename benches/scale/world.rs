//! The programs under measurement, their files and ports.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustls::ClientConfig;
use tempfile::TempDir;

use crate::Scale;
use crate::calls::{Connection, Target, get, trusting};
use crate::process::{Process, ask_from_one_core};

/// The timeout of the startup.
const PATIENCE: Duration = Duration::from_mins(3);

/// The directory and programs.
pub(crate) struct World {
    pub(crate) scale: Scale,
    /// The program that is measured.
    binary: PathBuf,
    files: TempDir,
    client: Arc<ClientConfig>,
}

/// A fake API server and a kubeconfig for it.
pub(crate) struct Api {
    pub(crate) target: Target,
    kubeconfig: PathBuf,
    _process: Process,
}

/// A baseline server.
pub(crate) struct Floor {
    pub(crate) process: Process,
    pub(crate) secure: Target,
    pub(crate) plain: Target,
}

/// Apportion, ready.
pub(crate) struct Apportion {
    pub(crate) process: Process,
    pub(crate) webhook: Target,
    pub(crate) extender: Target,
    pub(crate) admin: Target,
    /// Time from the start to the first 200 of `/readyz`.
    pub(crate) ready_after: Duration,
}

impl World {
    pub(crate) fn new(scale: Scale, binary: PathBuf) -> anyhow::Result<Self> {
        let files = tempfile::tempdir()?;
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()])?.self_signed(&key)?;
        fs::write(files.path().join("tls.crt"), certificate.pem())?;
        fs::write(files.path().join("tls.key"), key.serialize_pem())?;
        Ok(World {
            scale,
            binary,
            client: trusting(certificate.der().clone())?,
            files,
        })
    }

    /// The machine, in one line.
    pub(crate) fn describe(&self) -> String {
        let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let model = model.map_or("unknown CPU", |(_, model)| model);
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let day = jiff::Zoned::now().date();
        format!(
            "apportion {}, {day}: {cores} cores of {model}, Linux {}, {} rounds, {}",
            env!("CARGO_PKG_VERSION"),
            kernel.trim(),
            self.scale.rounds,
            if std::thread::scope(|scope| scope.spawn(ask_from_one_core).join().unwrap_or(false)) {
                "the servers on one core"
            } else {
                "the servers where the kernel puts them (there is no taskset)"
            }
        )
    }

    /// The program that is measured.
    pub(crate) fn binary(&self) -> &Path {
        &self.binary
    }

    fn file(&self, name: &str) -> String {
        self.files.path().join(name).display().to_string()
    }

    pub(crate) fn api(&self, nodes: u32, pods: u32) -> anyhow::Result<Api> {
        let flags = [format!("--nodes={nodes}"), format!("--pods={pods}")];
        let (process, addresses) = Process::start_role("api", &flags)?;
        let address = *addresses.first().context("no address")?;
        let kubeconfig = self.files.path().join(format!("kubeconfig-{}", address.port()));
        let cluster = format!(r#"{{"name":"bench","cluster":{{"server":"http://{address}"}}}}"#);
        let context = r#"{"name":"bench","context":{"cluster":"bench","user":"bench"}}"#;
        fs::write(
            &kubeconfig,
            format!(
                r#"{{"apiVersion":"v1","kind":"Config","current-context":"bench","clusters":[{cluster}],"contexts":[{context}],"users":[{{"name":"bench","user":{{}}}}]}}"#
            ),
        )?;
        Ok(Api {
            target: Target { address, tls: None },
            kubeconfig,
            _process: process,
        })
    }

    pub(crate) fn floor(&self, nodes: u32, most: Option<u32>) -> anyhow::Result<Floor> {
        let mut flags = vec![
            format!("--nodes={nodes}"),
            format!("--cert={}", self.file("tls.crt")),
            format!("--key={}", self.file("tls.key")),
        ];
        flags.extend(most.map(|most| format!("--most={most}")));
        let (process, addresses) = Process::start_role("floor", &flags)?;
        process.keep_on_one_core();
        let (secure, plain) = (
            *addresses.first().context("no address")?,
            *addresses.get(1).context("no address")?,
        );
        Ok(Floor {
            process,
            secure: Target {
                address: secure,
                tls: Some(Arc::clone(&self.client)),
            },
            plain: Target {
                address: plain,
                tls: None,
            },
        })
    }

    /// Starts Apportion on a cluster and waits until it is ready.
    pub(crate) fn apportion(&self, api: &Api, more: &[&str]) -> anyhow::Result<Apportion> {
        self.apportion_build(&self.binary, api, more)
    }

    /// Starts a certain build of Apportion.
    pub(crate) fn apportion_build(&self, binary: &Path, api: &Api, more: &[&str]) -> anyhow::Result<Apportion> {
        let [webhook, extender, admin] = [free_port()?, free_port()?, free_port()?];
        let log = fs::File::create(self.files.path().join("apportion.log"))?;
        let mut command = Command::new(binary);
        command
            .args(["serve", "--policies", concat!(env!("CARGO_MANIFEST_DIR"), "/policies")])
            .args(["--tls-cert", &self.file("tls.crt"), "--tls-key", &self.file("tls.key")])
            .args([
                "--webhook-listen",
                &webhook.to_string(),
                "--admin-listen",
                &admin.to_string(),
            ])
            .args(["--extender-listen", &extender.to_string(), "--extender-plain-http"])
            .args(more)
            .env("KUBECONFIG", &api.kubeconfig)
            .stdout(Stdio::null())
            .stderr(log);
        let started = Instant::now();
        let mut process = Process::start(&mut command)?;
        let admin = Target {
            address: admin,
            tls: None,
        };
        self.await_ready(&mut process, &admin)?;
        let ready_after = started.elapsed();
        process.keep_on_one_core();
        Ok(Apportion {
            process,
            webhook: Target {
                address: webhook,
                tls: Some(Arc::clone(&self.client)),
            },
            extender: Target {
                address: extender,
                tls: None,
            },
            admin,
            ready_after,
        })
    }

    fn await_ready(&self, process: &mut Process, admin: &Target) -> anyhow::Result<()> {
        let started = Instant::now();
        let mut last = String::new();
        while started.elapsed() < PATIENCE {
            process.expect_alive().with_context(|| self.log())?;
            if let Ok(mut connection) = Connection::open(admin)
                && let Ok(answer) = connection.call(&get("/readyz"))
            {
                if answer.status == 200 {
                    return Ok(());
                }
                last = String::from_utf8_lossy(answer.body).into_owned();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!("not ready after {PATIENCE:?}: {last}\n{}", self.log())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.files.path().join("apportion.log")).unwrap_or_default()
    }
}

fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
