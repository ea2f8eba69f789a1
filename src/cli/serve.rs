//! `apportion serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::ValueEnum;

use super::certificate::CertificateArgs;
use super::exit::Exit;
use super::input;
use crate::decision::OnUnknown;
use crate::extender::AnswerSize;
use crate::inventory::Inventory;
use crate::policy::PolicySet;
use crate::server::drain::DrainTimes;
use crate::server::limits::{ByteCount, Limits};
use crate::server::listener::{Listener, Transport};
use crate::server::role::Role;
use crate::server::run::run as serve_until;
use crate::service::reload::{Reloader, Source};
use crate::service::telemetry::{self, LogFormat};
use crate::service::{App, Metrics, Settings};
use crate::tls::config::ServerTls;
use crate::tls::resolver::Resolver;

/// Flags of `serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory of policies (*.yaml, *.yml, *.json); changes are taken over while running
    #[arg(long, value_name = "DIR", env = "APPORTION_POLICIES", default_value = "policies")]
    policies: PathBuf,
    /// Serve this dump of a cluster: what `kubectl get nodes,namespaces,pods -A -o json` prints
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
    /// Address of /livez, /readyz and /metrics (HTTP)
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8080",
        help_heading = "Listeners"
    )]
    admin_listen: SocketAddr,
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
    /// How many nodes a filter call answers, best first: a number, or `all`
    #[arg(long, value_name = "N", default_value = "20", value_parser = answer_size, help_heading = "Decisions")]
    filter_answer_size: AnswerSize,
    /// Our own namespace, whose pods pass untouched
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE", help_heading = "Decisions")]
    own_namespace: Option<String>,

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
    fn texts(&self) -> anyhow::Result<Vec<(String, String)>> {
        let mut texts = input::policy_texts(&self.policies)?;
        texts.push((self.cluster.display().to_string(), input::text(&self.cluster)?));
        Ok(texts)
    }

    fn policies(&self, texts: &[(String, String)]) -> anyhow::Result<PolicySet> {
        input::policy_set_of(&self.policies, texts.split_last().map_or(&[], |(_, policies)| policies))
    }

    fn inventory(&self, texts: &[(String, String)]) -> anyhow::Result<Option<Inventory>> {
        let (file, text) = texts.last().context("no cluster file")?;
        input::cluster_of(file, text).map(Some)
    }
}

/// Runs `serve`, until SIGTERM or SIGINT.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    telemetry::start(args.log_format, &args.log).map_err(anyhow::Error::msg)?;
    let Some(cluster) = args.cluster.clone() else {
        bail!(
            "give a cluster with --cluster FILE; make one with `{}`",
            crate::inventory::dump::COMMAND
        );
    };
    let (reloader, state) = Reloader::start(Files {
        policies: args.policies.clone(),
        cluster,
    })?;
    let metrics = Arc::new(Metrics::default());
    metrics.reloaded(true);
    let settings = Settings {
        on_unknown: match args.on_unknown {
            Unknown::Refuse => OnUnknown::Refuse,
            Unknown::Admit => OnUnknown::Admit,
        },
        answer_size: args.filter_answer_size,
        own_namespace: args.own_namespace.clone(),
    };
    let app = Arc::new(App::new(state, settings, Arc::clone(&metrics)));

    let runtime = tokio::runtime::Runtime::new().context("cannot start threads")?;
    runtime.block_on(async {
        let certificate = args.certificate.start(args.own_namespace.as_deref(), &metrics).await?;
        app.wait_for(Arc::clone(&certificate.resolver));
        let listeners = listeners(args, &certificate.resolver)?;
        // Before anything is served: a signal that comes now must not be lost.
        let shutdown = shutdown().context("cannot listen for signals")?;
        let reloads = tokio::spawn(reloader.follow(Arc::clone(&app), Duration::from_secs(args.reload_interval.into())));
        let times = DrainTimes {
            delay: Duration::from_secs(args.drain_delay.into()),
            ..DrainTimes::default()
        };
        let served = serve_until(listeners, app, metrics, times, shutdown).await;
        reloads.abort();
        if let Some(renewals) = certificate.renewals {
            renewals.abort();
        }
        served.map(|()| Exit::Fine).map_err(anyhow::Error::from)
    })
}

/// All of them bound before any is served: a server with half of its ports is worse than none.
fn listeners(args: &Args, resolver: &Arc<Resolver>) -> anyhow::Result<Vec<Listener>> {
    let any_client = || ServerTls::for_any_client(Arc::clone(resolver));
    let extender = match &args.extender_client_ca {
        Some(_) if args.extender_plain_http => {
            bail!("--extender-client-ca needs TLS; leave out --extender-plain-http")
        }
        Some(authorities) => Transport::Tls(ServerTls::for_clients_of(Arc::clone(resolver), authorities)?),
        None if args.extender_plain_http => Transport::Plain,
        None => Transport::Tls(any_client()?),
    };
    let body = ByteCount::mib(args.extender_body_limit.into());
    let bind = |role, address, transport, limits| Listener::bind(role, address, transport, limits);
    Ok(vec![
        bind(
            Role::Webhook,
            args.webhook_listen,
            Transport::Tls(any_client()?),
            Limits::for_role(Role::Webhook),
        )?,
        bind(
            Role::Extender,
            args.extender_listen,
            extender,
            Limits::for_role(Role::Extender).with_body(body),
        )?,
        bind(
            Role::Admin,
            args.admin_listen,
            Transport::Plain,
            Limits::for_role(Role::Admin),
        )?,
    ])
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
