//! A replica as the chart deploys it: kube-scheduler and the extender in one pod, with the
//! permissions of its service account.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::cluster::until;
use crate::process::{Process, Startable, free_ports};
use crate::world::World;

/// A scheduler and its command.
struct Running {
    command: Startable,
    process: Process,
}

/// The name that the chart gives its scheduler.
pub(crate) const SCHEDULER: &str = "apportion-scheduler";

/// One replica. Its ports and name survive restarts, like those of a pod.
pub(crate) struct Replica {
    pub(crate) name: String,
    extender: RefCell<Option<Process>>,
    schedulers: Rc<RefCell<Vec<Running>>>,
    tending: RefCell<Option<JoinHandle<()>>>,
    args: Vec<String>,
    kubeconfig: PathBuf,
    dir: PathBuf,
    port: u16,
    admin: u16,
    binds: bool,
    http: reqwest::Client,
}

impl Replica {
    /// Prepares a replica without starting it.
    pub(crate) async fn new(world: &World, name: &str, binds: bool) -> Self {
        let token = ["-n", "apportion-system", "create", "token", "apportion-scheduler"];
        let token = world.kubectl.run(&token).await.fine();
        let [port, admin] = free_ports();
        let mut args: Vec<String> = [
            "serve",
            "--no-webhook",
            "--extender-plain-http",
            "--drain-delay=0",
            "--own-namespace=apportion-system",
            "--lease-name=apportion-scheduler",
        ]
        .map(str::to_owned)
        .to_vec();
        args.push(format!("--extender-listen=127.0.0.1:{port}"));
        args.push(format!("--admin-listen=127.0.0.1:{admin}"));
        args.push(format!("--pod-name={name}"));
        if binds {
            args.push("--bind".to_owned());
        }
        Replica {
            name: name.to_owned(),
            extender: RefCell::new(None),
            schedulers: Rc::default(),
            tending: RefCell::default(),
            args,
            kubeconfig: world.plane.token_kubeconfig(name, token.out.trim()),
            dir: world.plane.dir().to_owned(),
            port,
            admin,
            binds,
            http: reqwest::Client::builder()
                .no_proxy()
                .timeout(Duration::from_secs(10))
                .build()
                .unwrap(),
        }
    }

    /// Starts the extender, and waits until it is ready.
    pub(crate) async fn extend(&self) {
        let mut args = vec![format!("KUBECONFIG={}", self.kubeconfig.display())];
        args.push(env!("CARGO_BIN_EXE_apportion").to_owned());
        args.extend(self.args.clone());
        let process = Process::start(&self.name, Path::new("/usr/bin/env"), &args, &self.dir);
        *self.extender.borrow_mut() = Some(process);
        until("the extender to be ready", async || {
            let url = format!("http://127.0.0.1:{}/readyz", self.admin);
            let answer = self.http.get(url).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    /// Starts the chart's scheduler. Another replica's may be the leader.
    pub(crate) fn schedule(&self, world: &World) {
        self.start_scheduler(world, SCHEDULER, true);
    }

    /// Starts a scheduler for the pods that name it.
    pub(crate) fn schedule_for(&self, world: &World, scheduler: &str) {
        self.start_scheduler(world, scheduler, false);
    }

    fn start_scheduler(&self, world: &World, scheduler: &str, elects: bool) {
        let name = format!("{}-{scheduler}", self.name);
        let extenders = self.configuration();
        let command = world
            .plane
            .another_scheduler(&name, scheduler, &self.kubeconfig, elects, &extenders);
        let process = command.start();
        self.schedulers.borrow_mut().push(Running { command, process });
        // A scheduler that loses its lease exits, and a kubelet restarts it.
        let schedulers = Rc::clone(&self.schedulers);
        let tend = tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(500)).await;
                for running in schedulers.borrow_mut().iter_mut() {
                    if running.process.ended().is_some() {
                        running.process = running.command.start();
                    }
                }
            }
        });
        if let Some(before) = self.tending.replace(Some(tend)) {
            before.abort();
        }
    }

    /// Sends SIGKILL to the extender.
    pub(crate) fn kill_extender(&self) {
        *self.extender.borrow_mut() = None;
    }

    /// Sends SIGKILL to all processes, as if the node were gone.
    pub(crate) fn kill(&self) {
        self.kill_extender();
        if let Some(tending) = self.tending.take() {
            tending.abort();
        }
        self.schedulers.borrow_mut().clear();
    }

    /// The value of the metric whose line has this prefix.
    pub(crate) async fn metric(&self, beginning: &str) -> Option<f64> {
        let url = format!("http://127.0.0.1:{}/metrics", self.admin);
        let text = self.http.get(url).send().await.ok()?.text().await.ok()?;
        let line = text.lines().find(|line| line.starts_with(beginning))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// Calls the extender as a scheduler does.
    pub(crate) async fn post(&self, verb: &str, body: Value) -> Value {
        let call = self.http.post(format!("http://127.0.0.1:{}/{verb}", self.port));
        let answer = call.body(body.to_string()).send().await.unwrap();
        assert!(answer.status().is_success(), "{verb}: {}", answer.status());
        answer.json().await.unwrap()
    }

    /// The extender in the chart's scheduler configuration.
    fn configuration(&self) -> Value {
        let managed: Vec<Value> = ["gpu", "gpu.shared", "mig-1g.10gb"]
            .iter()
            .map(|name| json!({"name": format!("nvidia.com/{name}"), "ignoredByScheduler": false}))
            .collect();
        let mut extender = json!({
            "urlPrefix": format!("http://127.0.0.1:{}", self.port),
            "filterVerb": "filter",
            "httpTimeout": "10s",
            "nodeCacheCapable": true,
            "ignorable": false,
            "managedResources": managed,
        });
        if self.binds {
            extender["bindVerb"] = json!("bind");
        }
        json!([extender])
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.kill();
    }
}
