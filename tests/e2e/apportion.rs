//! The real `apportion` process and its registration with a control plane.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, WebhookClientConfig};
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

use crate::cluster::until;
use crate::control_plane::ControlPlane;
use crate::kubectl::Kubectl;
use crate::pki::{Authority, Pair};
use crate::process::{Process, free_ports};

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/policies");

/// The resources that the extender manages: those that users request and those that policies give.
const MANAGED: [&str; 5] = ["gpu", "gpu.shared", "mig-1g.10gb", "mig-2g.20gb", "mig-2g.12gb"];

/// The program, its files and ports. Ports and certificates stay the same when it restarts.
pub(crate) struct Apportion {
    process: RefCell<Option<Process>>,
    dir: PathBuf,
    args: Vec<String>,
    kubeconfig: PathBuf,
    authority: Authority,
    scheduler: Pair,
    webhook: u16,
    extender: u16,
    admin: u16,
    http: reqwest::Client,
}

impl Apportion {
    /// Starts `apportion serve` for this control plane, and waits until it is ready.
    pub(crate) async fn start(plane: &ControlPlane, kubectl: &Kubectl) -> Self {
        let dir = plane.dir().to_owned();
        let policies = dir.join("policies");
        std::fs::create_dir(&policies).unwrap();
        for file in std::fs::read_dir(SHIPPED).unwrap() {
            let file = file.unwrap();
            // The directory of policies also has the cases of `apportion test`.
            if file.file_type().unwrap().is_dir() {
                continue;
            }
            std::fs::copy(file.path(), policies.join(file.file_name())).unwrap();
        }
        let authority = Authority::new(&dir.join("apportion-pki"), "apportion authority");
        let (server, scheduler) = (authority.server("apportion"), authority.client("kube-scheduler", None));
        let [webhook, extender, admin] = free_ports();
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([reqwest::Certificate::from_pem(authority.pem().as_bytes()).unwrap()])
            .identity(identity(&scheduler))
            .timeout(Duration::from_secs(5))
            .build()
            .unwrap();
        let args = vec![
            "serve".to_owned(),
            format!("--policies={}", policies.display()),
            format!("--webhook-listen=127.0.0.1:{webhook}"),
            format!("--extender-listen=127.0.0.1:{extender}"),
            format!("--admin-listen=127.0.0.1:{admin}"),
            format!("--tls-cert={}", server.cert.display()),
            format!("--tls-key={}", server.key.display()),
            format!("--extender-client-ca={}", authority.file().display()),
            "--reload-interval=1".to_owned(),
            "--drain-delay=1".to_owned(),
            "--own-namespace=apportion-system".to_owned(),
        ];
        // With the permissions of its service account only.
        let token = ["-n", "apportion-system", "create", "token", "apportion"];
        let token = kubectl.run(&token).await.fine();
        let apportion = Apportion {
            process: RefCell::new(None),
            kubeconfig: plane.token_kubeconfig("apportion", token.out.trim()),
            dir,
            args,
            authority,
            scheduler,
            webhook,
            extender,
            admin,
            http,
        };
        apportion.run();
        apportion.ready().await;
        apportion
    }

    /// Starts the process, which must not be running.
    pub(crate) fn run(&self) {
        self.run_with(self.args.clone());
    }

    /// Starts it with more flags.
    pub(crate) fn run_also(&self, flags: &[&str]) {
        let mut args = self.args.clone();
        args.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self.run_with(args);
    }

    /// Starts it as the chart does in a scheduler's pod: the extender listens on loopback without
    /// TLS.
    pub(crate) fn run_next_to_the_scheduler(&self, flags: &[&str]) {
        let mut args = self.args.clone();
        args.retain(|arg| !arg.starts_with("--extender-client-ca"));
        args.push("--extender-plain-http".to_owned());
        args.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self.run_with(args);
    }

    /// Starts it so that it binds and evicts pods.
    pub(crate) fn run_evicting(&self) {
        let mut args = self.args.clone();
        args.extend(["--bind".to_owned(), "--preempt".to_owned()]);
        self.run_with(args);
    }

    /// Starts it with managed certificates that are valid for this many seconds.
    pub(crate) fn run_managed(&self, authority: u32, leaf: u32) {
        let mut args = self.args.clone();
        args.retain(|arg| !arg.starts_with("--tls-") && !arg.starts_with("--extender-client-ca"));
        args.extend(["--tls-managed".to_owned(), "--no-extender".to_owned()]);
        args.retain(|arg| !arg.starts_with("--extender-listen"));
        args.push(format!("--tls-managed-ca-seconds={authority}"));
        args.push(format!("--tls-managed-leaf-seconds={leaf}"));
        self.run_with(args);
    }

    fn run_with(&self, serve: Vec<String>) {
        let mut args = vec![format!("KUBECONFIG={}", self.kubeconfig.display())];
        // To measure a release build.
        let built = env!("CARGO_BIN_EXE_apportion").to_owned();
        args.push(std::env::var("APPORTION_BINARY").unwrap_or(built));
        args.extend(serve);
        let process = Process::start("apportion", Path::new("/usr/bin/env"), &args, &self.dir);
        *self.process.borrow_mut() = Some(process);
    }

    /// Waits until it is ready.
    pub(crate) async fn ready(&self) {
        until("apportion to be ready", async || {
            if let Some(end) = self.process.borrow_mut().as_mut().and_then(Process::ended) {
                panic!("apportion ended: {end}");
            }
            let url = format!("http://127.0.0.1:{}/readyz", self.admin);
            let answer = self.http.get(url).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    /// CPU time since the start.
    pub(crate) fn cpu(&self) -> Duration {
        self.process.borrow().as_ref().map(Process::cpu).unwrap_or_default()
    }

    /// SIGKILL.
    pub(crate) fn kill(&self) {
        *self.process.borrow_mut() = None;
    }

    /// Sends SIGTERM and returns the time until it exits.
    pub(crate) async fn terminate(&self) -> Duration {
        let mut process = self.process.borrow_mut().take().unwrap();
        process.terminate().await
    }

    /// Writes or replaces a policy file.
    pub(crate) fn write_policy(&self, file: &str, text: &str) {
        std::fs::write(self.dir.join("policies").join(file), text).unwrap();
    }

    /// Waits until the metrics have a line.
    pub(crate) async fn metric(&self, line: &str) {
        until(&format!("the metric `{line}`"), async || {
            let metrics = self.metrics().await?;
            metrics.lines().any(|one| one == line).then_some(())
        })
        .await;
    }

    /// The metrics, if it answers.
    pub(crate) async fn metrics(&self) -> Option<String> {
        let url = format!("http://127.0.0.1:{}/metrics", self.admin);
        self.http.get(url).send().await.ok()?.text().await.ok()
    }

    /// Calls the webhook or the extender as the API server or the scheduler would.
    pub(crate) async fn post(&self, path: &str, body: String) -> (Duration, Value) {
        let port = if path == "/mutate" { self.webhook } else { self.extender };
        let start = Instant::now();
        let call = self.http.post(format!("https://127.0.0.1:{port}{path}")).body(body);
        let answer = call.send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        let answer = answer.json().await.unwrap();
        (start.elapsed(), answer)
    }

    /// Why the extender leaves the node out for this pod; `None` if it fits.
    pub(crate) async fn refusal(&self, pod: &Value, node: &str) -> Option<String> {
        let question = json!({"Pod": pod, "Nodes": null, "NodeNames": [node]});
        let (_, answer) = self.post("/filter", question.to_string()).await;
        assert_eq!(answer["Error"], "");
        ["FailedNodes", "FailedAndUnresolvableNodes"]
            .iter()
            .find_map(|list| Some(answer[*list][node].as_str()?.to_owned()))
    }

    /// The same as in the chart, for a scheduler that calls over loopback.
    pub(crate) fn loopback_extenders(&self) -> Value {
        let mut extenders = self.extenders();
        let one = extenders[0].as_object_mut().unwrap();
        one.insert(
            "urlPrefix".to_owned(),
            json!(format!("http://127.0.0.1:{}", self.extender)),
        );
        one.retain(|key, _| !["enableHTTPS", "tlsConfig"].contains(&key.as_str()));
        extenders
    }

    /// The scheduler configuration for the extender, over TLS with client certificates.
    pub(crate) fn extenders(&self) -> Value {
        let managed: Vec<Value> = MANAGED
            .iter()
            .map(|name| json!({"name": format!("nvidia.com/{name}"), "ignoredByScheduler": false}))
            .collect();
        json!([{
            "urlPrefix": format!("https://127.0.0.1:{}", self.extender),
            "filterVerb": "filter",
            "enableHTTPS": true,
            "tlsConfig": {
                "caFile": self.authority.file(),
                "certFile": self.scheduler.cert,
                "keyFile": self.scheduler.key,
            },
            "httpTimeout": "5s",
            "nodeCacheCapable": true,
            "managedResources": managed,
        }])
    }

    /// Makes the registration of `deploy/manifests` call this process instead of a Service.
    pub(crate) async fn register(&self, client: &Client, failure_policy: &str) {
        let bundle = ByteString(self.authority.pem().into_bytes());
        self.register_at("127.0.0.1", Some(bundle), client, failure_policy)
            .await;
    }

    /// The same, and leaves the `caBundle` to the process, which signs for `localhost`.
    pub(crate) async fn register_managed(&self, client: &Client) {
        self.register_at("localhost", None, client, "Fail").await;
    }

    async fn register_at(&self, host: &str, bundle: Option<ByteString>, client: &Client, failure_policy: &str) {
        let all: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
        let mut configuration = all.get("apportion").await.unwrap();
        for webhook in configuration.webhooks.iter_mut().flatten() {
            webhook.client_config = WebhookClientConfig {
                url: Some(format!("https://{host}:{}/mutate", self.webhook)),
                ca_bundle: bundle.clone(),
                service: None,
            };
            if ["pods.apportion.dev", "isolation.apportion.dev"].contains(&webhook.name.as_str()) {
                webhook.failure_policy = Some(failure_policy.to_owned());
            }
        }
        let params = PostParams::default();
        all.replace("apportion", &params, &configuration).await.unwrap();
    }
}

fn identity(pair: &Pair) -> reqwest::Identity {
    let mut pem = std::fs::read(&pair.cert).unwrap();
    pem.extend(std::fs::read(&pair.key).unwrap());
    reqwest::Identity::from_pem(&pem).unwrap()
}
