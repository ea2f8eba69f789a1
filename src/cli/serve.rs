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
use crate::cluster::bindings;
use crate::cluster::evictions;
use crate::cluster::lease::LeaseConfig;
use crate::cluster::periodic_tasks::PeriodicTasks;
use crate::cluster::status_publisher::StatusPublisher;
use crate::cluster::watches::Watches;
use crate::cluster::writer::Writer;
use crate::server::drain::DrainTimes;
use crate::server::limits::{ByteCount, Limits};
use crate::server::listener::{Listener, Transport};
use crate::server::role::Role;
use crate::server::run::run as serve_until;
use crate::service::reload::{Reloader, Source};
use crate::service::telemetry::{self, LogFormat};
use crate::service::{App, Metrics, Settings, State};
use crate::tls::config::ServerTls;
use crate::tls::resolver::Resolver;
use apportion_core::extender::AnswerSize;
use apportion_core::policy::governance::OnUnknown;
use apportion_core::policy::{Policy, PolicySet};

/// Flags of `serve`.
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch on the command line")]
pub struct Args {
    /// Directory of policies (*.yaml, *.yml, *.json); changes are taken over while running. With --cluster, ./policies by
    /// default; without it, they stand beside the cluster's own and win over those of the same name
    #[arg(long, value_name = "DIR", env = "APPORTION_POLICIES")]
    policies: Option<PathBuf>,
    /// Serve this dump of a cluster: what `kubectl get nodes,namespaces,pods -A -o json` prints. Without it, the live cluster
    /// of the kubeconfig or the service account
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
    /// Serve no webhook
    #[arg(long, help_heading = "Listeners")]
    no_webhook: bool,
    /// Serve no extender
    #[arg(long, conflicts_with = "no_webhook", help_heading = "Listeners")]
    no_extender: bool,
    /// Serve the extender without TLS, for a scheduler in the same pod; on a loopback address only
    #[arg(long, help_heading = "Listeners")]
    extender_plain_http: bool,

    #[command(flatten)]
    certificate: CertificateArgs,
    /// Take extender calls only from clients with a certificate of these authorities (PEM)
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    extender_client_ca: Option<PathBuf>,

    /// What to do with GPU pods whose namespace is not known yet, or names a policy that does not exist
    #[arg(long, value_enum, default_value_t = Unknown::Refuse, help_heading = "Decisions")]
    on_unknown: Unknown,
    /// How many nodes a filter call answers: at most a number, and of these only the best; or `all`
    #[arg(long, value_name = "N", default_value = "20", value_parser = answer_size, help_heading = "Decisions")]
    filter_answer_size: AnswerSize,
    /// Our own namespace, whose pods pass untouched
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE", help_heading = "Decisions")]
    own_namespace: Option<String>,

    /// The Lease in our own namespace that one replica holds at a time: the one that writes Events and statuses of policies
    #[arg(
        long,
        value_name = "NAME",
        default_value = "apportion-leader",
        help_heading = "Replicas"
    )]
    lease_name: String,
    /// Bind pods, as the extender's bindVerb asks: of several replicas the one that holds the Lease NAME-bind
    #[arg(long, conflicts_with_all = ["cluster", "no_extender"], help_heading = "Replicas")]
    bind: bool,
    /// Evict pods of lower priority for one that in-tree filters let in somewhere and only a policy's limits keep out, unless its
    /// preemptionPolicy is Never; who holds the Lease NAME-bind does
    #[arg(long, conflicts_with_all = ["cluster", "no_extender"], help_heading = "Replicas")]
    preempt: bool,
    /// What this replica calls itself in the Lease
    #[arg(long, value_name = "NAME", env = "POD_NAME", help_heading = "Replicas")]
    pod_name: Option<String>,

    /// The scheduler that governed GPU pods are given to; without it theirs stays
    #[arg(long, value_name = "NAME", help_heading = "Decisions")]
    scheduler_name: Option<String>,

    /// The largest extender body, in MiB; full nodes (nodeCacheCapable: false) need about 14 KiB each
    #[arg(long, value_name = "MIB", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Limits")]
    extender_body_limit: u16,
    /// Seconds for which requests are still taken after SIGTERM
    #[arg(long, value_name = "SECONDS", default_value_t = 10, help_heading = "Limits")]
    drain_delay: u16,

    /// Seconds between looks at the files of policies and cluster
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
    /// How log lines look
    #[arg(long, value_enum, default_value_t, help_heading = "Logs")]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Unknown {
    /// Turn them away; controllers try again
    Refuse,
    /// Let them pass as they are
    Admit,
}

impl Args {
    /// A scheduler's own extender on loopback needs none.
    fn needs_certificate(&self) -> bool {
        !self.no_webhook || !self.no_extender && !self.extender_plain_http
    }

    /// Outside a cluster there is no namespace to hold a Lease in, and nobody else to hold it against.
    fn seat(&self, name: &str) -> Option<LeaseConfig> {
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

    fn reload_every(&self) -> Duration {
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
    type Made = State;

    fn texts(&self) -> anyhow::Result<Vec<(String, String)>> {
        let mut texts = input::policy_texts(&self.policies)?;
        texts.push((self.cluster.display().to_string(), input::text(&self.cluster)?));
        Ok(texts)
    }

    fn make(&self, texts: &[(String, String)]) -> anyhow::Result<State> {
        let ((file, text), policies) = texts.split_last().context("no cluster file")?;
        let policies = PolicySet::new(input::checked_policies(&self.policies, policies)?);
        let inventory = input::cluster_of(file, text, &policies)?;
        Ok(State {
            policies: Arc::new(policies),
            inventory: Some(Arc::new(inventory)),
            waiting_for: String::new(),
            breaches: None,
        })
    }
}

/// Policies in a directory, for a live cluster.
struct PolicyFiles(PathBuf);

impl Source for PolicyFiles {
    type Made = Vec<Policy>;

    fn texts(&self) -> anyhow::Result<Vec<(String, String)>> {
        input::policy_texts(&self.0)
    }

    fn make(&self, texts: &[(String, String)]) -> anyhow::Result<Vec<Policy>> {
        input::checked_policies(&self.0, texts)
    }
}

/// Runs `serve`, until SIGTERM or SIGINT.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    telemetry::start(args.log_format, &args.log).map_err(anyhow::Error::msg)?;
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
    let app = Arc::new(App::new(State::default(), settings, Arc::clone(&metrics)));

    let runtime = tokio::runtime::Runtime::new().context("cannot start threads")?;
    runtime.block_on(async {
        // All of these end with this block.
        let mut tasks = JoinSet::new();
        match &args.cluster {
            Some(cluster) => follow_files(args, cluster, &app, &metrics, &mut tasks)?,
            None => follow_cluster(args, &app, &metrics, &mut tasks).await?,
        }
        let resolver = if args.needs_certificate() {
            let namespace = args.own_namespace.as_deref();
            Some(args.certificate.start(namespace, &metrics, &mut tasks).await?)
        } else {
            None
        };
        if let Some(resolver) = &resolver {
            app.wait_for(Arc::clone(resolver));
        }
        let listeners = listeners(args, resolver.as_ref())?;
        // Before anything is served: a signal that comes now must not be lost.
        let shutdown = shutdown().context("cannot listen for signals")?;
        let times = DrainTimes {
            delay: Duration::from_secs(args.drain_delay.into()),
            ..DrainTimes::default()
        };
        let served = serve_until(listeners, app, metrics, times, shutdown).await;
        served.map(|()| Exit::Fine).map_err(anyhow::Error::from)
    })
}

/// The cluster and the policies of files.
fn follow_files(
    args: &Args,
    cluster: &Path,
    app: &Arc<App>,
    metrics: &Arc<Metrics>,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    let policies = args.policies.clone().unwrap_or_else(|| "policies".into());
    let source = Files {
        policies,
        cluster: cluster.to_owned(),
    };
    let (reloader, state) = Reloader::start(source, Arc::clone(metrics))?;
    app.replace(state);
    let app = Arc::clone(app);
    tasks.spawn(reloader.follow(args.reload_every(), async move |state| app.replace(state)));
    Ok(())
}

/// The live cluster and its policies, and those of files beside them.
async fn follow_cluster(
    args: &Args,
    app: &Arc<App>,
    metrics: &Arc<Metrics>,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<()> {
    let (changed, files) = tokio::sync::mpsc::channel(1);
    let policies = match &args.policies {
        None => Vec::new(),
        Some(directory) => {
            let (reloader, policies) = Reloader::start(PolicyFiles(directory.clone()), Arc::clone(metrics))?;
            tasks.spawn(reloader.follow(args.reload_every(), async move |policies| {
                // Without a writer the process is about to end.
                let _ = changed.send(policies).await;
            }));
            policies
        }
    };
    let client = crate::cluster::client::connect().await?;
    let feed = Watches::start(&client, true, !args.no_webhook);
    // A scheduler's extender writes nothing: the webhook's process does.
    let desk = (!args.no_webhook).then(|| StatusPublisher::open(&client, args.seat(&args.lease_name), tasks));
    if args.bind || args.preempt {
        let seat = args
            .seat(&format!("{}-bind", args.lease_name))
            .context("--bind and --preempt need the namespace of their Lease; set --own-namespace")?;
        let instance = seat.holder.clone();
        let seat = bindings::seat(&client, app, seat, tasks);
        if args.bind {
            bindings::start(&client, app, seat.clone());
        }
        if args.preempt {
            evictions::start(&client, app, seat, instance, tasks);
        }
    }
    let rounds = PeriodicTasks::new(args.own_namespace.clone(), desk);
    let writer = Writer::new(Arc::clone(app), policies, rounds);
    tasks.spawn(writer.run(feed, files));
    Ok(())
}

/// All of them bound before any is served: a server with half of its ports is worse than none.
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
