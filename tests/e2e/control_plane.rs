//! A real control plane on loopback: etcd, kube-apiserver, kube-controller-manager, kube-scheduler.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kube::config::{KubeConfigOptions, Kubeconfig};
use tempfile::TempDir;

use crate::binaries::Binaries;
use crate::pki::{Authority, Pair, service_account_keys};
use crate::process::{Process, Startable, free_ports};

/// The processes and their directory.
pub(crate) struct ControlPlane {
    // Dropped in this order: clients first, then etcd, then the directory.
    scheduler: RefCell<Option<Process>>,
    _controller_manager: Process,
    apiserver: RefCell<Process>,
    etcd: Process,
    apiserver_args: Vec<String>,
    url: String,
    authority_file: PathBuf,
    binaries: Binaries,
    dir: Option<TempDir>,
}

impl ControlPlane {
    /// Starts all but the scheduler, and waits until the API server is ready.
    pub(crate) async fn start(binaries: Binaries) -> Self {
        let temp = tempfile::Builder::new().prefix("apportion-e2e-").tempdir().unwrap();
        let dir = temp.path();
        let [etcd_client, etcd_peer, api, manager] = free_ports();
        let url = format!("https://127.0.0.1:{api}");
        let authority = Authority::new(&dir.join("pki"), "end-to-end authority");
        let server = authority.server("kube-apiserver");
        let keys = service_account_keys(&dir.join("pki"));

        let peer = format!("http://127.0.0.1:{etcd_peer}");
        let store = format!("http://127.0.0.1:{etcd_client}");
        let etcd = flags(&[
            ("data-dir", &dir.join("etcd").display()),
            ("unsafe-no-fsync", &true),
            ("log-level", &"warn"),
            ("listen-client-urls", &store),
            ("advertise-client-urls", &store),
            ("listen-peer-urls", &peer),
            ("initial-advertise-peer-urls", &peer),
            ("initial-cluster", &format!("default={peer}")),
        ]);
        let etcd = Process::start("etcd", &binaries.path("etcd"), &etcd, dir);
        let apiserver_args = flags(&[
            ("etcd-servers", &store),
            ("bind-address", &"127.0.0.1"),
            ("advertise-address", &"127.0.0.1"),
            ("endpoint-reconciler-type", &"none"),
            ("secure-port", &api),
            ("cert-dir", &dir.join("run").display()),
            ("tls-cert-file", &server.cert.display()),
            ("tls-private-key-file", &server.key.display()),
            ("client-ca-file", &authority.file().display()),
            ("service-account-issuer", &url),
            ("service-account-key-file", &keys.cert.display()),
            ("service-account-signing-key-file", &keys.key.display()),
            ("service-cluster-ip-range", &"10.0.0.0/24"),
            ("authorization-mode", &"RBAC"),
            ("allow-privileged", &true),
        ]);
        let apiserver = Process::start("kube-apiserver", &binaries.path("kube-apiserver"), &apiserver_args, dir);
        let config = |user: &str, pair: &Pair| {
            let pair = serde_json::json!({"client-certificate": pair.cert, "client-key": pair.key});
            kubeconfig(dir, &url, &authority.file(), user, &pair)
        };
        config("admin", &authority.client("admin", Some("system:masters")));
        let name = "system:kube-controller-manager";
        let manager_config = config("kube-controller-manager", &authority.client(name, None));
        config("kube-scheduler", &authority.client("system:kube-scheduler", None));
        let manager_args = flags(&[
            ("kubeconfig", &manager_config.display()),
            ("authentication-kubeconfig", &manager_config.display()),
            ("authorization-kubeconfig", &manager_config.display()),
            ("bind-address", &"127.0.0.1"),
            ("secure-port", &manager),
            ("cert-dir", &dir.join("run").display()),
            ("leader-elect", &false),
            ("service-account-private-key-file", &keys.key.display()),
            ("root-ca-file", &authority.file().display()),
            ("use-service-account-credentials", &true),
            // Nodes without kubelets have no leases, so this controller would evict their pods.
            ("controllers", &"*,-node-lifecycle-controller"),
            // Admission and scheduling should limit bursts, not the client-side rate limit of the
            // controller.
            ("kube-api-qps", &1000),
            ("kube-api-burst", &2000),
        ]);
        ready(dir).await;
        let manager = Process::start(
            "kube-controller-manager",
            &binaries.path("kube-controller-manager"),
            &manager_args,
            dir,
        );
        ControlPlane {
            scheduler: RefCell::new(None),
            _controller_manager: manager,
            apiserver: RefCell::new(apiserver),
            etcd,
            apiserver_args,
            url,
            authority_file: authority.file(),
            binaries,
            dir: Some(temp),
        }
    }

    /// (Re)starts kube-scheduler; `extenders` is that part of its configuration, in JSON.
    pub(crate) fn schedule(&self, extenders: &serde_json::Value) {
        self.stop_scheduler();
        let [port] = free_ports();
        let own = self.kubeconfig("kube-scheduler");
        let config = serde_json::json!({
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "clientConnection": {"kubeconfig": own, "qps": 1000, "burst": 2000},
            "leaderElection": {"leaderElect": false},
            "extenders": extenders,
        });
        let file = self.dir().join("kube-scheduler.json");
        std::fs::write(&file, config.to_string()).unwrap();
        let args = flags(&[
            ("config", &file.display()),
            ("authentication-kubeconfig", &own.display()),
            ("authorization-kubeconfig", &own.display()),
            ("bind-address", &"127.0.0.1"),
            ("secure-port", &port),
            ("cert-dir", &self.dir().join("run").display()),
        ]);
        let program = self.binaries.path("kube-scheduler");
        *self.scheduler.borrow_mut() = Some(Process::start("kube-scheduler", &program, &args, self.dir()));
    }

    /// Another kube-scheduler for pods with this `schedulerName`, with the permissions of `own`.
    /// With leader election, a successor takes over after some seconds.
    pub(crate) fn another_scheduler(
        &self,
        name: &str,
        scheduler: &str,
        own: &Path,
        elects: bool,
        extenders: &serde_json::Value,
    ) -> Startable {
        let [port] = free_ports();
        let config = serde_json::json!({
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "clientConnection": {"kubeconfig": own, "qps": 1000, "burst": 2000},
            "leaderElection": {
                "leaderElect": elects,
                "resourceName": "apportion-scheduler",
                "resourceNamespace": "apportion-system",
            },
            "profiles": [{"schedulerName": scheduler}],
            "extenders": extenders,
        });
        let file = self.dir().join(format!("{name}.json"));
        std::fs::write(&file, config.to_string()).unwrap();
        let args = flags(&[
            ("config", &file.display()),
            ("authentication-kubeconfig", &own.display()),
            ("authorization-kubeconfig", &own.display()),
            ("bind-address", &"127.0.0.1"),
            ("secure-port", &port),
            ("cert-dir", &self.dir().join("run").display()),
        ]);
        Startable {
            name: name.to_owned(),
            program: self.binaries.path("kube-scheduler"),
            args,
            dir: self.dir().to_owned(),
        }
    }

    /// CPU time so far of the scheduler, the API server and etcd.
    pub(crate) fn cpu(&self) -> [Duration; 3] {
        let scheduler = self.scheduler.borrow();
        [
            scheduler.as_ref().map(Process::cpu).unwrap_or_default(),
            self.apiserver.borrow().cpu(),
            self.etcd.cpu(),
        ]
    }

    pub(crate) fn stop_scheduler(&self) {
        *self.scheduler.borrow_mut() = None;
    }

    /// Kills the API server with SIGKILL.
    pub(crate) fn kill_apiserver(&self) {
        self.apiserver.borrow_mut().kill();
    }

    /// Restarts it with the same port and etcd.
    pub(crate) async fn restart_apiserver(&self) {
        let program = self.binaries.path("kube-apiserver");
        *self.apiserver.borrow_mut() = Process::start("kube-apiserver", &program, &self.apiserver_args, self.dir());
        ready(self.dir()).await;
    }

    /// An admin client.
    pub(crate) async fn client(&self) -> kube::Client {
        client(self.dir()).await
    }

    /// The kubeconfig of a component or of `admin`.
    pub(crate) fn kubeconfig(&self, user: &str) -> PathBuf {
        self.dir().join(format!("{user}.kubeconfig"))
    }

    /// A kubeconfig with a token.
    pub(crate) fn token_kubeconfig(&self, user: &str, token: &str) -> PathBuf {
        let user_of = serde_json::json!({"token": token});
        kubeconfig(self.dir(), &self.url, &self.authority_file, user, &user_of)
    }

    /// A kubeconfig for another server.
    pub(crate) fn kubeconfig_elsewhere(&self, url: &str) -> PathBuf {
        let user = serde_json::json!({"token": "none"});
        kubeconfig(self.dir(), url, &self.authority_file, "elsewhere", &user)
    }

    pub(crate) fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.as_ref().unwrap().path()
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        // The logs tell what went wrong.
        if std::thread::panicking()
            && let Some(dir) = self.dir.take()
        {
            println!("the logs of this run are in {}", dir.keep().display());
        }
    }
}

fn flags(flags: &[(&str, &dyn std::fmt::Display)]) -> Vec<String> {
    flags.iter().map(|(name, value)| format!("--{name}={value}")).collect()
}

fn kubeconfig(dir: &Path, url: &str, ca: &Path, user: &str, credentials: &serde_json::Value) -> PathBuf {
    let file = dir.join(format!("{user}.kubeconfig"));
    let config = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "e2e", "cluster": {"server": url, "certificate-authority": ca}}],
        "users": [{"name": user, "user": credentials}],
        "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": user}}],
        "current-context": "e2e",
    });
    std::fs::write(&file, config.to_string()).unwrap();
    file
}

async fn client(dir: &Path) -> kube::Client {
    let file = Kubeconfig::read_from(dir.join("admin.kubeconfig")).unwrap();
    let config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .unwrap();
    kube::Client::try_from(config).unwrap()
}

async fn ready(dir: &Path) {
    let deadline = Instant::now() + Duration::from_secs(90);
    let client = client(dir).await;
    loop {
        let request = http::Request::get("/readyz").body(Vec::new()).unwrap();
        match client.request_text(request).await {
            Ok(_) => return,
            Err(error) => assert!(Instant::now() < deadline, "kube-apiserver is not ready: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
