//! What can be typed. Each verb's own flags stand beside its code.

use clap::{Parser, Subcommand};

use super::{audit, completion, explain, lint, map, mig, node_groups, render, replay, serve, test};

/// Decides how each pod of a Kubernetes cluster may share GPUs.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, disable_help_subcommand = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Serve the admission webhook and the scheduler extender.
    Serve(Box<serve::Args>),
    /// Show, step by step, what would become of pods, and where they would fit.
    Explain(explain::Args),
    /// Find what is wrong or doubtful in policies, plans, and the files of NVIDIA's components.
    Lint(lint::Args),
    /// Turn a sharing plan into the configuration of NVIDIA's components and the scheduler.
    Render(render::Args),
    /// Report how GPUs were used and wasted, by DCGM metrics in Prometheus, and which way of sharing would waste less.
    Audit(Box<audit::Args>),
    /// Show what MIG profiles products have, check geometries, and plan them for a demand.
    Mig(mig::Args),
    /// Print the labels that node groups must carry for autoscalers to start nodes for the policies' pods.
    NodeGroups(node_groups::Args),
    /// Draw who shares which GPU node with whom.
    Map(map::Args),
    /// Find what a change of policies would change for the pods of a cluster, and whether they would still fit.
    Replay(replay::Args),
    /// Hold policies against expected outcomes.
    Test(test::Args),
    /// Print a completion script for a shell.
    Completion(completion::Args),
}
