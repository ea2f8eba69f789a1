//! The verbs. Each verb's flags are in its module.

use clap::{Parser, Subcommand};

use super::{audit, completion, explain, lint, map, mig, node_groups, render, replay, serve, test};

/// Decides how each pod of a Kubernetes cluster may share GPUs.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, disable_help_subcommand = true)]
pub struct Args {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Serve the admission webhook and the scheduler extender.
    Serve(Box<serve::Args>),
    /// Explain, step by step, which GPUs pods would get, and on which nodes they would fit.
    Explain(explain::Args),
    /// Find errors and questionable settings in policies, plans, and the files of NVIDIA's components.
    Lint(lint::Args),
    /// Turn a sharing plan into the configuration of NVIDIA's components and the scheduler.
    Render(render::Args),
    /// Report from DCGM metrics in Prometheus how GPUs were used, and which way of sharing would
    /// waste less.
    Audit(Box<audit::Args>),
    /// Show the MIG profiles of GPU products, check geometries, and plan them for a demand.
    Mig(mig::Args),
    /// Print the labels that node groups need so that autoscalers add nodes for governed pods.
    NodeGroups(node_groups::Args),
    /// Show which pods share which GPUs.
    Map(map::Args),
    /// Show how changed policies would affect the pods of a cluster, and whether they would still
    /// fit.
    Replay(replay::Args),
    /// Test policies against expected results.
    Test(test::Args),
    /// Print a completion script for a shell.
    Completion(completion::Args),
}
