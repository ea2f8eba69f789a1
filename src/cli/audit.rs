//! `apportion audit`: GPU use and waste from DCGM metrics in Prometheus, with recommendations.

mod progress;
mod text;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use apportion_audit::fetch::Fetcher;
use apportion_audit::prometheus::{Client, Credentials, Endpoint};
use apportion_audit::render::html::html;
use apportion_audit::render::markdown::markdown;
use apportion_audit::{PriceList, QueryConfig, ReportInput, Window, build_report};
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use self::progress::Progress;
use super::exit::Exit;
use super::input;
use super::output::{self, Color};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The Prometheus server, or a compatible one, such as `http://prometheus.monitoring:9090`
    #[arg(long, value_name = "URL", env = "APPORTION_PROMETHEUS")]
    prometheus: String,
    /// The cluster, as printed by `kubectl get nodes,namespaces,pods -A -o json`. Default: the live cluster of the kubeconfig
    #[arg(long, value_name = "FILE")]
    cluster: Option<PathBuf>,
    /// The policies. Default with --cluster: ./policies. On a live cluster they are added to its own
    #[arg(long, value_name = "DIR", env = "APPORTION_POLICIES")]
    policies: Option<PathBuf>,
    /// How far back to look: 7d, 36h
    #[arg(long, default_value = "7d", value_parser = seconds)]
    window: u64,
    /// The resolution: one sample per step counts. At least the scrape interval
    #[arg(long, default_value = "5m", value_parser = seconds)]
    step: u64,
    /// The end of the window, such as 2026-11-20T00:00:00Z. Default: now
    #[arg(long, value_name = "TIME")]
    end: Option<Timestamp>,
    /// A GPU is idle while its utilization, in percent, is below this
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, value_parser = percent)]
    idle_below: f64,
    /// Prices of a GPU hour: a YAML file with `currency`, `prices` by product, and `default`
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// Label matchers for every series, such as cluster="eu" if the server has several clusters
    #[arg(long, value_name = "MATCHERS")]
    selector: Option<String>,
    /// The names of exporter pods. A series that names one does not name the pod that holds the GPU
    #[arg(long, value_name = "REGEX", default_value = ".*dcgm.*exporter.*")]
    exporter_pods: String,
    /// A file with a bearer token for the server
    #[arg(long, value_name = "FILE", conflicts_with = "username")]
    token_file: Option<PathBuf>,
    /// A user name for the server, with --password-file
    #[arg(long, value_name = "NAME", requires = "password_file")]
    username: Option<String>,
    /// A file with the password of --username
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
    /// PEM certificates of trusted CAs for https. Default: those of the system
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Accept any server certificate. An attacker on the network can then read the credentials and change the numbers
    #[arg(long, conflicts_with = "ca_file")]
    insecure_skip_tls_verify: bool,
    /// The time limit for one query
    #[arg(long, default_value = "2m", value_parser = seconds)]
    timeout: u64,
    /// Nodes per query. A query that is too large for the server is split
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    nodes_per_query: u16,
    /// Concurrent queries
    #[arg(long, value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    parallel: u8,
    /// The output format
    #[arg(long, value_enum, default_value_t)]
    output: Format,
    /// When to use colors. `auto`: on a terminal, unless `NO_COLOR` is set
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// For issues and chats.
    Markdown,
    /// A single file for a browser.
    Html,
}

pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let end = args.end.unwrap_or_else(Timestamp::now);
    let selector = args.selector.as_deref().unwrap_or_default();
    let config = QueryConfig {
        window: Window::before(end, args.window, args.step)?,
        idle_below: args.idle_below,
        selector: selector.trim().trim_matches(',').to_owned(),
        // The expression becomes part of a PromQL string.
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
    let samples = runtime.block_on(async {
        let fetcher = Fetcher {
            client: &Client::new(endpoint)?,
            config: &config,
            nodes_per_query: args.nodes_per_query.into(),
            parallel: args.parallel.into(),
        };
        let mut progress = Progress::on_terminal();
        anyhow::Ok(
            fetcher
                .samples(|finished, total| progress.update(finished, total))
                .await?,
        )
    })?;
    let report = build_report(
        &samples,
        &ReportInput {
            config: &config,
            cluster: &cluster,
            policies: &policies,
            prices: prices.as_ref(),
        },
    );
    match args.output {
        Format::Text => output::print(&text::text(&report), args.color)?,
        Format::Json => output::print_json(&report)?,
        Format::Markdown => output::print(&markdown(&report), Color::Never)?,
        Format::Html => output::print(&html(&report), Color::Never)?,
    }
    Ok(if report.workloads.iter().any(|row| row.recommendation.change) {
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
    let credentials = match (&args.token_file, &args.username, &args.password_file) {
        (Some(file), ..) => Credentials::Token(secret(file)?),
        (None, Some(username), Some(file)) => Credentials::Basic {
            username: username.clone(),
            password: secret(file)?,
        },
        _ => Credentials::None,
    };
    if credentials != Credentials::None && args.prometheus.starts_with("http://") && !is_loopback(&args.prometheus) {
        bail!("credentials would cross the network in the clear: use https://, or forward a port to localhost");
    }
    Ok(Endpoint {
        url: args.prometheus.clone(),
        credentials,
        certificate_authorities: args.ca_file.as_deref().map(certificate_authorities).transpose()?,
        insecure: args.insecure_skip_tls_verify,
        timeout: Duration::from_secs(args.timeout.max(1)),
    })
}

fn is_loopback(url: &str) -> bool {
    let uri: Option<http::Uri> = url.parse().ok();
    let Some(host) = uri.as_ref().and_then(http::Uri::host) else {
        return false;
    };
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    host == "localhost" || address.is_some_and(|address| address.is_loopback())
}

/// Reads PEM certificates and returns them in DER.
fn certificate_authorities(file: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let text = input::text(file)?;
    let certificates = CertificateDer::pem_slice_iter(text.as_bytes())
        .map(|certificate| certificate.map(|certificate| certificate.to_vec()))
        .collect::<Result<Vec<_>, _>>()
        .with_context(|| format!("{} is not a file of PEM certificates", file.display()))?;
    if certificates.is_empty() {
        bail!("{} has no PEM certificate", file.display());
    }
    Ok(certificates)
}

/// Why the value of a flag is invalid.
#[derive(Debug, thiserror::Error)]
enum FlagError {
    #[error("`{0}` is not a duration; write one such as 90s, 5m, 36h or 7d")]
    Duration(String),
    #[error("`{0}` is not a utilization; write a percentage from 0 to 100")]
    Percentage(String),
}

/// Parses `90s`, `5m`, `36h`, `7d` or `2w`.
fn seconds(text: &str) -> Result<u64, FlagError> {
    let parse = || {
        let unit = text.chars().last()?;
        let seconds_per_unit = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        let number: u64 = text[..text.len() - 1].parse().ok()?;
        number.checked_mul(seconds_per_unit).filter(|seconds| *seconds > 0)
    };
    parse().ok_or_else(|| FlagError::Duration(text.to_owned()))
}

fn percent(text: &str) -> Result<f64, FlagError> {
    let number: Option<f64> = text.parse().ok();
    number
        .filter(|number| (0.0..=100.0).contains(number))
        .ok_or_else(|| FlagError::Percentage(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
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
    fn loopback_urls_are_recognized() {
        for (url, expected) in [
            ("http://127.0.0.1:9090", true),
            ("http://localhost:9090/p", true),
            ("http://[::1]:9090", true),
            ("http://prometheus:9090", false),
            ("http://localhost.example:9090", false),
            ("http://127.example:9090", false),
        ] {
            assert_eq!(is_loopback(url), expected, "{url}");
        }
    }
}
