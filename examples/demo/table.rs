//! Prints the results.

use std::path::Path;

use anstream::println;
use anstyle::{AnsiColor, Style};
use apportion_core::gpu::Counts;
use apportion_core::inventory::Inventory;

use crate::client::PodResult;
use crate::pods::Pod;
use crate::server::Server;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GREEN: Style = AnsiColor::Green.on_default();
const RED: Style = AnsiColor::Red.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
/// The width of the output in columns.
const WIDTH: usize = 110;

pub(crate) fn header(cluster: &Inventory) {
    let gpu_nodes = cluster.nodes().filter(|node| !node.offers.offers.is_empty()).count();
    println!();
    println!(
        "{BOLD}Apportion on the example cluster{BOLD:#}: {} nodes, {gpu_nodes} of them offer GPUs",
        cluster.node_count()
    );
    println!(
        "{DIM}Each pod is sent to POST /mutate, as by kube-apiserver, and the rewritten pod to POST /filter.{DIM:#}"
    );
    println!();
    println!("{BOLD}{:<38} {:<26} REWRITTEN TO{BOLD:#}", "POD", "REQUESTED");
}

pub(crate) fn row(pod: &Pod, result: &PodResult) {
    let name = clip(&result.pod, 38);
    let requested = clip(&short(&result.requested), 26);
    match &result.rewritten {
        Err(_) => println!("{name:<38} {requested:<26} {RED}denied{RED:#}"),
        Ok(rewritten) if result.strategy.is_empty() => {
            println!(
                "{name:<38} {requested:<26} {DIM}{}, not governed{DIM:#}",
                short(rewritten)
            );
        }
        Ok(rewritten) => {
            let style = if result.fitting_nodes.is_empty() { YELLOW } else { GREEN };
            println!(
                "{name:<38} {requested:<26} {style}{}{style:#}  {}",
                short(rewritten),
                result.strategy
            );
        }
    }
    let reason = match &result.rewritten {
        Err(message) => message.clone(),
        Ok(_) if result.reason.is_empty() => format!("no policy governs namespace {}", pod.namespace),
        Ok(_) => result.reason.clone(),
    };
    line("reason", &reason);
    for warning in &result.warnings {
        line("warning", warning);
    }
    if result.rewritten.is_ok() {
        let nodes = if result.fitting_nodes.is_empty() {
            "none now; the pod waits".to_owned()
        } else {
            result.fitting_nodes.join(", ")
        };
        line("fits", &nodes);
        let mut unfit: Vec<(&String, &usize)> = result.unfit_nodes.iter().collect();
        unfit.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let unfit: Vec<String> = unfit
            .into_iter()
            .map(|(reason, count)| format!("{reason} ({count})"))
            .collect();
        line("others", &unfit.join("; "));
    }
    println!();
}

pub(crate) fn legend() {
    println!(
        "{DIM}colors: {DIM:#}{GREEN}fits somewhere{GREEN:#}{DIM}, {DIM:#}{YELLOW}waits{YELLOW:#}{DIM}, {DIM:#}{RED}denied{RED:#}"
    );
}

pub(crate) fn curl_lines(server: &Server, work: &Path, pod: &Pod) {
    let (authority, work) = (server.authority.display(), work.display());
    let port = server.webhook.port();
    println!();
    println!("{BOLD}Still serving{BOLD:#}. To send {} again:", pod.source);
    println!("  curl --cacert {authority} https://localhost:{port}/mutate -d @{work}/review.json");
    println!(
        "  curl --cacert {authority} https://localhost:{}/filter -d @{work}/filter.json",
        server.extender.port()
    );
    println!("  curl http://localhost:{}/metrics", server.admin.port());
    println!(
        "  target/debug/apportion explain --cluster {} -f examples/pods/{}.yaml",
        crate::CLUSTER,
        pod.source
    );
    println!("{DIM}The log is {}. Press Ctrl-C to stop.{DIM:#}", server.log.display());
}

/// Counts with short resource names.
fn short(counts: &Counts) -> String {
    if counts.is_empty() {
        return "no GPU".to_owned();
    }
    counts
        .iter()
        .map(|(resource, count)| format!("{} {count}", resource.short_name()))
        .collect::<Vec<_>>()
        .join(" + ")
}

/// Prints a label and wrapped text.
fn line(label: &str, text: &str) {
    let mut rest = String::new();
    let mut first = true;
    let mut flush = |rest: &mut String| {
        let label = if first { label } else { "" };
        println!("  {DIM}{label:>8}{DIM:#}  {rest}");
        first = false;
        rest.clear();
    };
    for word in text.split_whitespace() {
        if !rest.is_empty() && rest.chars().count() + word.chars().count() + 13 > WIDTH {
            flush(&mut rest);
        }
        if !rest.is_empty() {
            rest.push(' ');
        }
        rest.push_str(word);
    }
    if !rest.is_empty() {
        flush(&mut rest);
    }
}

fn clip(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        text.to_owned()
    } else {
        text.chars().take(width - 1).chain(['…']).collect()
    }
}
