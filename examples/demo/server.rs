//! Runs the real server as a child process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::process::{Child, Command};

pub(crate) struct Server {
    child: Child,
    /// The file of the certificate authority that clients must trust.
    pub(crate) authority: PathBuf,
    /// The file of its log.
    pub(crate) log: PathBuf,
    pub(crate) webhook: SocketAddr,
    pub(crate) extender: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Server {
    pub(crate) async fn start(work: &Path, cluster: &str, policies: &str, any_port: bool) -> anyhow::Result<Self> {
        let (authority, log) = (work.join("ca.pem"), work.join("serve.log"));
        let port = |default: u16| if any_port { free_port() } else { Ok(default) };
        let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let (webhook, extender, admin) = (address(port(8443)?), address(port(8444)?), address(port(8080)?));
        let binary = binary()?;
        let child = Command::new(&binary)
            .args([
                "serve",
                "--cluster",
                cluster,
                "--policies",
                policies,
                "--tls-self-signed",
                "--tls-self-signed-ca",
            ])
            .arg(&authority)
            .args(["--filter-answer-size", "all", "--drain-delay", "0"])
            .args([
                "--webhook-listen",
                &webhook.to_string(),
                "--extender-listen",
                &extender.to_string(),
            ])
            .args(["--admin-listen", &admin.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).context("cannot write the server's log")?)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let mut server = Server {
            child,
            authority,
            log,
            webhook,
            extender,
            admin,
        };
        server.ready().await?;
        Ok(server)
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let url = format!("http://{}/readyz", self.admin);
        let client = reqwest::Client::builder().no_proxy().build()?;
        for _ in 0..100 {
            if let Some(status) = self.child.try_wait()? {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                bail!("the server exited ({status}):\n{}", log.trim_end());
            }
            if client
                .get(&url)
                .send()
                .await
                .is_ok_and(|response| response.status().is_success())
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("the server was not ready within 5 s; its log is {}", self.log.display())
    }

    /// Waits until Ctrl-C. The terminal also sends the interrupt to the server.
    pub(crate) async fn wait(mut self) -> anyhow::Result<()> {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            status = self.child.wait() => bail!("the server exited unexpectedly ({})", status?),
        }
        self.stop().await
    }

    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        if let Some(id) = self.child.id() {
            // SIGTERM, as from Kubernetes. The standard library can only send SIGKILL.
            let _ = std::process::Command::new("kill")
                .args(["-TERM", &id.to_string()])
                .status();
        }
        tokio::time::timeout(Duration::from_secs(10), self.child.wait())
            .await
            .context("the server did not stop")??;
        Ok(())
    }
}

/// The binary of the same build: `target/debug/apportion` for `target/debug/examples/demo`.
fn binary() -> anyhow::Result<PathBuf> {
    let demo = std::env::current_exe().context("cannot find this program")?;
    let binary = demo
        .ancestors()
        .nth(2)
        .map(|dir| dir.join("apportion"))
        .context("cannot find the target directory")?;
    if binary.exists() {
        Ok(binary)
    } else {
        bail!("{} is not built; run `make run`", binary.display())
    }
}

fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
