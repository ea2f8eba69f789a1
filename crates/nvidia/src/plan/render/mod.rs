//! What a plan becomes: the files that NVIDIA's components, kube-scheduler and people take.

mod device_plugin;
mod exporter;
mod labels;
mod mig_parted;
mod operator;
mod scalar;
mod scheduler;

use super::model::Plan;

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Its name.
    pub name: &'static str,
    /// What it is for, in a few words.
    pub purpose: &'static str,
    /// What it holds.
    pub text: String,
}

/// The names of all files that any plan can become, in the order in which they are applied.
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

/// The first lines of every file.
fn header(plan: &Plan, about: &str) -> String {
    let about: String = about
        .lines()
        .fold(String::new(), |text, line| format!("{text}# {line}\n"));
    format!(
        "# Rendered by `apportion render` from the plan `{}`; change it there.\n{about}",
        plan.name
    )
}
