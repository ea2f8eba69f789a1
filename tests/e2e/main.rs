//! End to end: the real `apportion` beside a real etcd, kube-apiserver, kube-controller-manager and kube-scheduler.
//!
//! Nodes are objects without machines, GPUs are numbers in their status, and a task says what kubelets would. All else is
//! what a cluster runs. Scenarios of one test share a control plane and run in order.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr
)]

mod apportion;
mod binaries;
mod cluster;
mod control_plane;
mod kubectl;
mod kubelet;
mod pki;
mod policies;
mod process;
mod world;

use binaries::Binaries;
use tokio::task::LocalSet;
use world::{Run, World};

/// Runs on this thread, where children are leashed and the kubelet is a local task.
fn in_a_world(test: impl AsyncFnOnce(&World, &mut Run)) {
    let Some(binaries) = Binaries::find() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        let world = World::start(binaries).await;
        let mut run = Run::new();
        test(&world, &mut run).await;
        run.end();
    });
}

#[test]
fn pods_get_what_their_policy_says() {
    in_a_world(async |world, run| {
        run.scenario("policy training: whole GPUs", policies::training(world))
            .await;
        run.scenario("policy multi-tenant: MIG devices", policies::multi_tenant(world))
            .await;
        run.scenario("policy development: time slices", policies::development(world))
            .await;
        run.scenario("policy inference: MIG, and MPS without it", policies::inference(world))
            .await;
        run.scenario("no policy: nothing changes", policies::ungoverned(world))
            .await;
    });
}
