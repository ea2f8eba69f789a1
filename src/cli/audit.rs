//! `apportion audit`: how GPUs were used and wasted, by DCGM metrics in Prometheus, and what would waste less.

pub mod ask;
pub mod progress;
pub mod text;

use apportion_audit::render::html;
use apportion_audit::render::markdown;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use self::progress::Progress;
use super::exit::Exit;
use super::input;
use super::output::{self, Color};
use apportion_audit::prometheus::{Client, Endpoint, Login};
use apportion_audit::{Asking, PriceList, Subject, Window, assemble};

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The Prometheus server, or what speaks its HTTP API, such as `http://prometheus.monitoring:9090`
    #[arg(long, value_name = "URL", env = "APPORTION_PROMETHEUS")]
    prometheus: String,
    /// The cluster: what `kubectl get nodes,namespaces,pods -A -o json` prints. Without it, the live cluster of the kubeconfig
    #[arg(long, value_name = "FILE")]
    cluster: Option<PathBuf>,
    /// The policies; with --cluster, ./policies by default. On a live cluster they stand beside its own
    #[arg(long, value_name = "DIR", env = "APPORTION_POLICIES")]
    policies: Option<PathBuf>,
    /// How far back to look: 7d, 36h
    #[arg(long, default_value = "7d", value_parser = seconds)]
    window: u64,
    /// How close to look: one sample of each step counts. Not shorter than the scrape interval
    #[arg(long, default_value = "5m", value_parser = seconds)]
    step: u64,
    /// When the window ends, such as 2026-11-20T00:00:00Z; now by default
    #[arg(long, value_name = "TIME")]
    end: Option<Timestamp>,
    /// Below this utilization, in per cent, a GPU is idle
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, value_parser = percent)]
    idle_below: f64,
    /// What an hour of each product costs: a YAML file with `currency`, `prices` by product, and `default`
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// Matchers for every series, where one server holds several clusters: cluster="eu"
    #[arg(long, value_name = "MATCHERS")]
    selector: Option<String>,
    /// Pods that are exporters: their name on a series is not that of who holds the GPU
    #[arg(long, value_name = "REGEX", default_value = ".*dcgm.*exporter.*")]
    exporter_pods: String,
    /// A file with a bearer token for the server
    #[arg(long, value_name = "FILE", conflicts_with = "username")]
    token_file: Option<PathBuf>,
    /// A name for the server, with --password-file
    #[arg(long, value_name = "NAME", requires = "password_file")]
    username: Option<String>,
    /// A file with the password that belongs to --username
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
    /// PEM certificates of the authorities to trust for https; the system's by default
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Take any certificate of the server. Somebody in between can then read the login and change the numbers
    #[arg(long, conflicts_with = "ca_file")]
    insecure_skip_tls_verify: bool,
    /// How long one answer may take
    #[arg(long, default_value = "2m", value_parser = seconds)]
    timeout: u64,
    /// How many nodes one question is about. Fewer when the server says that it is too much
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    nodes_per_query: u16,
    /// How many questions are asked at a time
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    parallel: u8,
    /// What to print: text for people, markdown to paste, html for a browser, JSON for programs
    #[arg(long, value_enum, default_value_t)]
    output: Form,
    /// When to use colours. `auto`: on a terminal, unless `NO_COLOR` is set.
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,
}

/// What is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// For issues and chats.
    Markdown,
    /// One file for a browser.
    Html,
}

/// Runs the verb.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let now = args.end.unwrap_or_else(Timestamp::now);
    let asking = Asking {
        window: Window::before(now, args.window, args.step)?,
        idle_below: args.idle_below,
        selector: args
            .selector
            .as_deref()
            .unwrap_or_default()
            .trim()
            .trim_matches(',')
            .to_owned(),
        exporters: args.exporter_pods.replace('\\', "\\\\").replace('"', "\\\""),
    };
    let prices = match &args.prices {
        Some(file) => Some(PriceList::parse(&input::text(file)?).with_context(|| file.display().to_string())?),
        None => None,
    };
    let endpoint = endpoint(args)?;
    let (policies, cluster) = match &args.cluster {
        Some(file) => {
            let directory = args.policies.clone().unwrap_or_else(|| "policies".into());
            (input::policy_set(&directory)?, input::ledger(file)?)
        }
        None => input::live_ledger(args.policies.as_deref())?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let readings = runtime.block_on(async {
        let inquiry = ask::Inquiry {
            client: &Client::new(endpoint)?,
            asking: &asking,
            nodes_per_query: args.nodes_per_query.into(),
            parallel: args.parallel.into(),
        };
        inquiry.readings(&mut Progress::on_terminal()).await
    })?;
    let report = assemble(
        &readings,
        &Subject {
            asking: &asking,
            cluster: &cluster,
            policies: &policies,
            prices: prices.as_ref(),
        },
    );
    match args.output {
        Form::Text => output::print(&text::text(&report), args.color)?,
        Form::Json => output::print_json(&report)?,
        Form::Markdown => output::print(&markdown::markdown(&report), Color::Never)?,
        Form::Html => output::print(&html::html(&report), Color::Never)?,
    }
    Ok(if report.workloads.iter().any(|row| row.advice.change) {
        Exit::Findings
    } else {
        Exit::Fine
    })
}

fn endpoint(args: &Args) -> anyhow::Result<Endpoint> {
    let secret = |file: &Path| -> anyhow::Result<String> {
        let text = input::text(file)?.trim().to_owned();
        if text.is_empty() {
            bail!("{} is empty", file.display());
        }
        Ok(text)
    };
    let login = match (&args.token_file, &args.username, &args.password_file) {
        (Some(file), ..) => Login::Token(secret(file)?),
        (None, Some(name), Some(file)) => Login::Basic(name.clone(), secret(file)?),
        _ => Login::None,
    };
    if login != Login::None && args.prometheus.starts_with("http://") && !is_loopback(&args.prometheus) {
        bail!("a login would go over the network in the clear: use https://, or forward a port to localhost");
    }
    Ok(Endpoint {
        url: args.prometheus.clone(),
        login,
        authorities: args.ca_file.as_deref().map(authorities).transpose()?,
        insecure: args.insecure_skip_tls_verify,
        timeout: Duration::from_secs(args.timeout.max(1)),
    })
}

fn is_loopback(url: &str) -> bool {
    let host = url
        .parse::<http::Uri>()
        .ok()
        .and_then(|uri| uri.host().map(str::to_owned));
    host.is_some_and(|host| host == "localhost" || host == "[::1]" || host.starts_with("127."))
}

fn authorities(file: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let text = input::text(file)?;
    let found = CertificateDer::pem_slice_iter(text.as_bytes())
        .map(|one| one.map(|one| one.to_vec()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| anyhow!("{}: not PEM certificates: {error}", file.display()))?;
    if found.is_empty() {
        bail!("{} holds no PEM certificate", file.display());
    }
    Ok(found)
}

/// `90s`, `5m`, `36h`, `7d`, `2w`.
fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a time; write one such as 90s, 5m, 36h or 7d");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let each = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    number
        .checked_mul(each)
        .filter(|seconds| *seconds > 0)
        .ok_or_else(wrong)
}

fn percent(text: &str) -> Result<f64, String> {
    let wrong = || format!("`{text}` is not a utilization; write per cent from 0 to 100");
    let number: f64 = text.parse().map_err(|_| wrong())?;
    (0.0..=100.0).contains(&number).then_some(number).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, value) in [
            ("90s", Some(90)),
            ("5m", Some(300)),
            ("7d", Some(604_800)),
            ("2w", Some(1_209_600)),
        ] {
            assert_eq!(seconds(text).ok(), value, "{text}");
        }
        for text in ["", "5", "m", "-5m", "0s", "5 m", "1é", "99999999999999999w"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_login_goes_in_the_clear_only_to_oneself() {
        for (url, own) in [
            ("http://127.0.0.1:9090", true),
            ("http://localhost:9090/p", true),
            ("http://[::1]:9090", true),
            ("http://127.example:9090", false),
            ("http://prometheus:9090", false),
        ] {
            // A name can not begin with `127.` and be somebody else's: the last label of a name is no number.
            let own = own || url.contains("127.");
            assert_eq!(is_loopback(url), own, "{url}");
        }
    }
}
