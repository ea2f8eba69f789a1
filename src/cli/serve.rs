//! `apportion serve`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use tokio::task::JoinSet;

use super::certificate::CertificateArgs;
use super::exit::Exit;
use super::input;
use crate::cluster::api::connect;
use crate::cluster::bindings::{ApiBinder, BindLease};
use crate::cluster::evictions::ApiEvictor;
use crate::cluster::lease::LeaseConfig;
use crate::cluster::periodic_tasks::{PeriodicTasks, StatusPublisher};
use crate::cluster::watches::Watches;
use crate::cluster::writer::Writer;
use crate::server::limits::{ByteCount, Limits};
use crate::server::listener::{Listener, Transport};
use crate::server::route::Role;
use crate::server::run::{DrainTimes, run as serve_until};
use crate::service::bind::Binding;
use crate::service::evict::Evictions;
use crate::service::logging::{self, LogFormat};
use crate::service::reload::{Reloader, Source};
use crate::service::{App, Handlers, Metrics, Settings, State};
use crate::tls::config::ServerTls;
use crate::tls::resolver::Resolver;
use apportion_core::extender::AnswerSize;
use apportion_core::policy::OnUnknown;
use apportion_core::policy::{Policy, PolicySet};

/// Flags of `serve`.
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch on the command line")]
pub struct Args {
    /// Directory of policies (*.yaml, *.yml, *.json), reloaded when they change. With --cluster,
    /// the default is ./policies; without it, they are added to the policies of the cluster and win
    /// over those of the same name
    #[arg(long, value_name = "DIR", env = "APPORTION_POLICIES")]
    policies: Option<PathBuf>,
    /// Serve from this dump of a cluster, the output of `kubectl get nodes,namespaces,pods -A -o
    /// json` (default: the live cluster of the kubeconfig or the service account)
    #[arg(long, value_name = "FILE")]
    cluster: Option<PathBuf>,

    /// Address of the webhook (HTTPS)
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8443",
        help_heading = "Listeners"
    )]
    webhook_listen: SocketAddr,
    /// Address of the scheduler extender (HTTPS)
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8444",
        help_heading = "Listeners"
    )]
    extender_listen: SocketAddr,
    /// Address of /livez, /readyz, /metrics and /breaches (HTTP)
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8080",
        help_heading = "Listeners"
    )]
    admin_listen: SocketAddr,
    /// Do not serve the webhook
    #[arg(long, help_heading = "Listeners")]
    no_webhook: bool,
    /// Do not serve the extender
    #[arg(long, conflicts_with = "no_webhook", help_heading = "Listeners")]
    no_extender: bool,
    /// Serve the extender without TLS, for a scheduler in the same pod; only on a loopback address
    #[arg(long, help_heading = "Listeners")]
    extender_plain_http: bool,

    #[command(flatten)]
    certificate: CertificateArgs,
    /// Accept extender calls only from clients with a certificate signed by these CAs (PEM)
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    extender_client_ca: Option<PathBuf>,

    /// What to do with GPU pods whose namespace is not known yet or names a policy that does not
    /// exist
    #[arg(long, value_enum, default_value_t = Unknown::Refuse, help_heading = "Decisions")]
    on_unknown: Unknown,
    /// How many nodes a filter call returns: the best, at most this many; or `all`
    #[arg(long, value_name = "N", default_value = "20", value_parser = answer_size, help_heading = "Decisions")]
    filter_answer_size: AnswerSize,
    /// The namespace of this process, whose pods are never changed
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE", help_heading = "Decisions")]
    own_namespace: Option<String>,

    /// The Lease of the replica that writes Events and policy statuses, in the namespace of this
    /// process
    #[arg(
        long,
        value_name = "NAME",
        default_value = "apportion-leader",
        help_heading = "Replicas"
    )]
    lease_name: String,
    /// Bind pods for the extender's bindVerb; with several replicas, the holder of the Lease
    /// NAME-bind does
    #[arg(long, conflicts_with_all = ["cluster", "no_extender"], help_heading = "Replicas")]
    bind: bool,
    /// Preempt lower-priority pods when only Apportion's limits block a pod, unless its
    /// preemptionPolicy is Never; with several replicas, the holder of the Lease NAME-bind does
    #[arg(long, conflicts_with_all = ["cluster", "no_extender"], help_heading = "Replicas")]
    preempt: bool,
    /// The identity of this replica in Leases (default: apportion-PID)
    #[arg(long, value_name = "NAME", env = "POD_NAME", help_heading = "Replicas")]
    pod_name: Option<String>,

    /// Set `spec.schedulerName` on governed GPU pods (default: unchanged)
    #[arg(long, value_name = "NAME", help_heading = "Decisions")]
    scheduler_name: Option<String>,

    /// The largest extender request, in MiB; full nodes (nodeCacheCapable: false) need about 14 KiB
    /// each
    #[arg(long, value_name = "MIB", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Limits")]
    extender_body_limit: u16,
    /// Seconds for which requests are still accepted after SIGTERM
    #[arg(long, value_name = "SECONDS", default_value_t = 10, help_heading = "Limits")]
    drain_delay: u16,

    /// Seconds between checks of the policy files and the cluster file for changes
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Limits")]
    reload_interval: u16,

    /// What to log: off, error, warn, info, debug, trace, or a filter such as apportion=debug
    #[arg(
        long,
        value_name = "FILTER",
        env = "APPORTION_LOG",
        default_value = "info",
        help_heading = "Logs"
    )]
    log: String,
    /// Format of log lines
    #[arg(long, value_enum, default_value_t, help_heading = "Logs")]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Unknown {
    /// Reject them; controllers try again
    Refuse,
    /// Admit them unchanged
    Admit,
}

impl Args {
    /// An extender without TLS needs none.
    fn needs_certificate(&self) -> bool {
        !self.no_webhook || !self.no_extender && !self.extender_plain_http
    }

    /// `None` outside a cluster: there is no namespace for a Lease, and there are no other
    /// replicas.
    fn lease(&self, name: &str) -> Option<LeaseConfig> {
        let namespace = self.own_namespace.clone()?;
        Some(LeaseConfig {
            namespace,
            name: name.to_owned(),
            holder: self
                .pod_name
                .clone()
                .unwrap_or_else(|| format!("apportion-{}", std::process::id())),
        })
    }

    fn reload_interval(&self) -> Duration {
        Duration::from_secs(self.reload_interval.into())
    }
}

fn answer_size(text: &str) -> Result<AnswerSize, String> {
    match text.parse::<usize>() {
        _ if text == "all" => Ok(AnswerSize::All),
        Ok(most) if most > 0 => Ok(AnswerSize::Best(most)),
        _ => Err("write a number above 0, or all".to_owned()),
    }
}

/// Policies in a directory, a cluster in a file.
struct Files {
    policies: PathBuf,
    cluster: PathBuf,
}

impl Source for Files {
    type Parsed = State;

    fn read(&self) -> anyhow::Result<Vec<(String, String)>> {
        let mut texts = input::policy_texts(&self.policies)?;
        texts.push((self.cluster.display().to_string(), input::text(&self.cluster)?));
        Ok(texts)
    }

    fn parse(&self, texts: &[(String, String)]) -> anyhow::Result<State> {
        let ((file, text), policies) = texts.split_last().context("no cluster file")?;
        let policies = PolicySet::new(input::checked_policies(&self.policies, policies)?);
        let inventory = input::cluster_of(file, text, &policies)?;
        Ok(State {
            policies: Arc::new(policies),
            inventory: Some(Arc::new(inventory)),
            unlisted: None,
            violations: None,
        })
    }
}

/// Policies in a directory, for a live cluster.
struct PolicyFiles(PathBuf);

impl Source for PolicyFiles {
    type Parsed = Vec<Policy>;

    fn read(&self) -> anyhow::Result<Vec<(String, String)>> {
        input::policy_texts(&self.0)
    }

    fn parse(&self, texts: &[(String, String)]) -> anyhow::Result<Vec<Policy>> {
        input::checked_policies(&self.0, texts)
    }
}

/// Runs `serve` until SIGTERM or SIGINT.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    logging::start(args.log_format, &args.log)?;
    let metrics = Arc::new(Metrics::default());
    let settings = Settings {
        on_unknown: match args.on_unknown {
            Unknown::Refuse => OnUnknown::Refuse,
            Unknown::Admit => OnUnknown::Admit,
        },
        answer_size: args.filter_answer_size,
        own_namespace: args.own_namespace.clone(),
        scheduler_name: args.scheduler_name.clone(),
    };
    let runtime = tokio::runtime::Runtime::new().context("cannot start threads")?;
    runtime.block_on(async {
        // All of these end with this block.
        let mut tasks = JoinSet::new();
        let handlers = if let Some(cluster) = &args.cluster {
            let (reloader, state) = load_files(args, cluster, &metrics)?;
            let app = Arc::new(App::new(state, settings, Arc::clone(&metrics)));
            let target = Arc::clone(&app);
            tasks.spawn(reloader.run(args.reload_interval(), async move |state| target.replace(state)));
            Handlers::new(app)
        } else {
            let app = Arc::new(App::new(State::default(), settings, Arc::clone(&metrics)));
            follow_cluster(args, app, &mut tasks).await?
        };
        let certificate = if args.needs_certificate() {
            let namespace = args.own_namespace.as_deref();
            Some(args.certificate.start(namespace, &metrics, &mut tasks).await?)
        } else {
            None
        };
        let listeners = listeners(args, certificate.as_ref())?;
        // Before anything is served, so that no signal is lost.
        let shutdown = shutdown().context("cannot listen for signals")?;
        let times = DrainTimes {
            delay: Duration::from_secs(args.drain_delay.into()),
            ..DrainTimes::default()
        };
        let handlers = Arc::new(Handlers {
            certificate,
            ..handlers
        });
        let served = serve_until(listeners, handlers, metrics, times, shutdown).await;
        served.map(|()| Exit::Fine).map_err(anyhow::Error::from)
    })
}

/// Loads the cluster and the policies from files.
fn load_files(args: &Args, cluster: &Path, metrics: &Arc<Metrics>) -> anyhow::Result<(Reloader<Files>, State)> {
    let source = Files {
        policies: args.policies.clone().unwrap_or_else(|| "policies".into()),
        cluster: cluster.to_owned(),
    };
    Reloader::start(source, Arc::clone(metrics))
}

/// Watches the live cluster, and the policies of files if there are any.
async fn follow_cluster(args: &Args, app: Arc<App>, tasks: &mut JoinSet<()>) -> anyhow::Result<Handlers> {
    let (changed, files) = tokio::sync::mpsc::channel(1);
    let policies = match &args.policies {
        None => Vec::new(),
        Some(directory) => {
            let source = PolicyFiles(directory.clone());
            let (reloader, policies) = Reloader::start(source, Arc::clone(app.metrics()))?;
            tasks.spawn(reloader.run(args.reload_interval(), async move |policies| {
                // Fails only when the writer has stopped, at shutdown.
                let _ = changed.send(policies).await;
            }));
            policies
        }
    };
    let client = connect().await?;
    // A scheduler's sidecar only serves the extender; the webhook's process needs quotas and writes
    // statuses.
    let (watches, events) = Watches::start(&client, !args.no_webhook);
    let publisher = (!args.no_webhook).then(|| StatusPublisher::start(&client, args.lease(&args.lease_name), tasks));
    let mut handlers = Handlers::new(Arc::clone(&app));
    if args.bind || args.preempt {
        let config = args
            .lease(&format!("{}-bind", args.lease_name))
            .context("--bind and --preempt need the namespace of their Lease; set --own-namespace")?;
        let instance = config.holder.clone();
        let lease = BindLease::new(config);
        let leadership = lease.leadership();
        lease.hold(&client, &app, tasks);
        if args.bind {
            handlers.binding = Some(Binding {
                binder: Arc::new(ApiBinder::new(client.clone())),
                leadership: leadership.clone(),
            });
        }
        if args.preempt {
            let (evictions, requests) = Evictions::new();
            handlers.evictions = Some(evictions.clone());
            let evictor = Arc::new(ApiEvictor::new(client.clone(), instance));
            tasks.spawn(evictions.run(Arc::clone(&app), evictor, leadership, requests));
        }
    }
    let periodic = PeriodicTasks::new(args.own_namespace.clone(), publisher);
    let writer = Writer::new(app, policies, periodic);
    tasks.spawn(async move {
        let _watches = watches;
        writer.run(events, files).await;
    });
    Ok(handlers)
}

/// Binds all listeners before any is served: a server with half of its ports is worse than none.
fn listeners(args: &Args, resolver: Option<&Arc<Resolver>>) -> anyhow::Result<Vec<Listener>> {
    let resolver = || resolver.map(Arc::clone).context("no certificate");
    let any_client = || anyhow::Ok(ServerTls::for_any_client(resolver()?)?);
    let extender = || match &args.extender_client_ca {
        Some(_) if args.extender_plain_http => {
            bail!("--extender-client-ca needs TLS; leave out --extender-plain-http")
        }
        Some(authorities) => Ok(Transport::Tls(ServerTls::for_clients_of(resolver()?, authorities)?)),
        None if args.extender_plain_http => Ok(Transport::Plain),
        None => Ok(Transport::Tls(any_client()?)),
    };
    let body = ByteCount::mib(args.extender_body_limit.into());
    let mut listeners = Vec::new();
    if !args.no_webhook {
        let tls = Transport::Tls(any_client()?);
        listeners.push(Listener::bind(
            Role::Webhook,
            args.webhook_listen,
            tls,
            Limits::for_role(Role::Webhook),
        )?);
    }
    if !args.no_extender {
        let limits = Limits::for_role(Role::Extender).with_body(body);
        listeners.push(Listener::bind(
            Role::Extender,
            args.extender_listen,
            extender()?,
            limits,
        )?);
    }
    let limits = Limits::for_role(Role::Admin);
    listeners.push(Listener::bind(
        Role::Admin,
        args.admin_listen,
        Transport::Plain,
        limits,
    )?);
    Ok(listeners)
}

fn shutdown() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
