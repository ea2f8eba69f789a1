//! What a person sees.

use std::path::Path;

use anstream::println;
use anstyle::{AnsiColor, Style};
use apportion_core::gpu::Counts;
use apportion_core::inventory::Inventory;

use crate::client::Told;
use crate::pods::Pod;
use crate::server::Server;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GREEN: Style = AnsiColor::Green.on_default();
const RED: Style = AnsiColor::Red.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
/// Columns of a terminal that the lines are kept within.
const WIDTH: usize = 110;

pub(crate) fn head(cluster: &Inventory) {
    let gpu_nodes = cluster.nodes().filter(|node| !node.offers.offers.is_empty()).count();
    println!();
    println!(
        "{BOLD}Apportion on the example cluster{BOLD:#}: {} nodes, {gpu_nodes} of them with GPUs to offer",
        cluster.node_count()
    );
    println!(
        "{DIM}Each pod goes to POST /mutate as kube-apiserver sends it, and what comes back to POST /filter.{DIM:#}"
    );
    println!();
    println!("{BOLD}{:<38} {:<26} GOT{BOLD:#}", "POD", "ASKED");
}

pub(crate) fn row(pod: &Pod, told: &Told) {
    let name = clip(&told.pod, 38);
    let asked = clip(&short(&told.asked), 26);
    match &told.got {
        Err(_) => println!("{name:<38} {asked:<26} {RED}denied{RED:#}"),
        Ok(got) if told.strategy.is_empty() => {
            println!("{name:<38} {asked:<26} {DIM}{}, not governed{DIM:#}", short(got));
        }
        Ok(got) => {
            let style = if told.fits.is_empty() { YELLOW } else { GREEN };
            println!(
                "{name:<38} {asked:<26} {style}{}{style:#}  {}",
                short(got),
                told.strategy
            );
        }
    }
    let why = match &told.got {
        Err(message) => message.clone(),
        Ok(_) if told.why.is_empty() => format!("no policy governs namespace {}", pod.namespace),
        Ok(_) => told.why.clone(),
    };
    line("why", &why);
    for warning in &told.warnings {
        line("warning", warning);
    }
    if told.got.is_ok() {
        let fits = if told.fits.is_empty() {
            "none now: the pod waits".to_owned()
        } else {
            told.fits.join(", ")
        };
        line("fits", &fits);
        let mut not: Vec<(&String, &usize)> = told.not.iter().collect();
        not.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let not: Vec<String> = not
            .into_iter()
            .map(|(reason, count)| format!("{reason} ({count})"))
            .collect();
        line("others", &not.join("; "));
    }
    println!();
}

pub(crate) fn legend() {
    println!(
        "{DIM}got: {DIM:#}{GREEN}fits somewhere{GREEN:#}{DIM}, {DIM:#}{YELLOW}waits{YELLOW:#}{DIM}, {DIM:#}{RED}denied{RED:#}"
    );
}

pub(crate) fn curl_lines(server: &Server, work: &Path, pod: &Pod) {
    let (authority, work) = (server.authority.display(), work.display());
    let port = server.webhook.port();
    println!();
    println!("{BOLD}Still serving{BOLD:#}; try ({} again):", pod.source);
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
    println!("{DIM}The log is {}. Ctrl-C ends it.{DIM:#}", server.log.display());
}

/// Resource names as people say them.
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

/// A labelled line, broken at words.
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
