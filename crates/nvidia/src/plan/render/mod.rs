//! Renders a plan into files for NVIDIA's components, kube-scheduler and `kubectl`.

mod device_plugin;
mod exporter;
mod labels;
mod mig_parted;
mod operator;
mod quoting;
mod scheduler;

use super::model::Plan;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    pub name: &'static str,
    /// For listings: a phrase.
    pub purpose: &'static str,
    pub text: String,
}

/// The names of all files that a plan can render to, in the order in which they are applied.
pub const NAMES: [&str; 7] = [
    device_plugin::NAME,
    mig_parted::NAME,
    operator::NAME,
    labels::COMMANDS,
    labels::FEATURES,
    scheduler::NAME,
    exporter::NAME,
];

/// The files of a plan, in the order in which they are applied.
pub fn render(plan: &Plan) -> Vec<Rendered> {
    [
        Some(device_plugin::render(plan)),
        mig_parted::render(plan),
        Some(operator::render(plan)),
        labels::commands(plan),
        labels::features(plan),
        Some(scheduler::render(plan)),
        Some(exporter::render(plan)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The comment at the start of every file.
fn header(plan: &Plan, about: &str) -> String {
    let about: String = about
        .lines()
        .fold(String::new(), |text, line| format!("{text}# {line}\n"));
    format!(
        "# Rendered by `apportion render` from the plan `{}`; edit the plan instead.\n{about}",
        plan.name
    )
}
