//! End-to-end tests: the real `apportion` with a real etcd, kube-apiserver, kube-controller-manager
//! and kube-scheduler.
//!
//! Nodes are objects without machines, GPUs are numbers in their status, and a task acts as the
//! kubelets. All else is as in a cluster. The scenarios of a test share a control plane and run in
//! order. Without the binaries of a control plane, every test prints SKIPPED and passes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr
)]

mod apportion;
mod binaries;
mod burst;
mod certificates;
mod changes;
mod checker;
mod cluster;
mod control_plane;
mod dra;
mod isolation;
mod kubectl;
mod kubelet;
mod live_cluster;
mod messages;
mod outages;
mod pki;
mod policies;
mod preemption;
mod process;
mod prometheus;
mod quota_warnings;
mod race;
mod replica;
mod resource;
mod throughput;
mod untouched;
mod verbs;
mod workloads;
mod world;

use std::time::Duration;

use binaries::Binaries;
use tokio::task::LocalSet;
use world::{Run, World};

/// Runs a test on this thread, because child processes die with it and the kubelet is a local task.
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

#[test]
fn pods_are_rewritten_whatever_creates_them() {
    in_a_world(async |world, run| {
        run.scenario("Deployment", workloads::deployment(world)).await;
        run.scenario("StatefulSet", workloads::stateful_set(world)).await;
        run.scenario("Job, to its end", workloads::job(world)).await;
        let sidecar = workloads::sidecar_and_init_container(world);
        run.scenario("sidecar and init container", sidecar).await;
        run.scenario("generateName", workloads::generate_name(world)).await;
        run.scenario(
            "server-side dry run: answered, nothing taken",
            workloads::dry_run(world),
        )
        .await;
        run.scenario(
            "LimitRange default: only the rewritten name remains",
            quota_warnings::limit_range_default(world),
        )
        .await;
        run.scenario(
            "LimitRange max: refused by the API server with a message",
            quota_warnings::limit_range_max(world),
        )
        .await;
        run.scenario("ResourceQuota counts the rewritten name", quota_warnings::quota(world))
            .await;
        run.scenario("pods/resize untouched", untouched::resize(world)).await;
        run.scenario("ephemeral containers untouched", untouched::debug(world))
            .await;
        run.scenario("updates untouched", untouched::update(world)).await;
        run.scenario("eviction untouched", untouched::eviction(world)).await;
        run.scenario("binding untouched", untouched::binding(world)).await;
        run.scenario("denial in kubectl", messages::denied(world)).await;
        run.scenario("warning in kubectl", messages::warned(world)).await;
        run.scenario("waiting pod says why", messages::waiting(world)).await;
    });
}

#[test]
fn tenants_cannot_bypass_gpu_requests() {
    in_a_world(async |world, run| {
        run.scenario("isolation: denied with a message", isolation::refusals(world))
            .await;
        run.scenario("isolation: ordinary pods pass", isolation::ordinary(world))
            .await;
        run.scenario(
            "isolation: ephemeral containers and updates",
            isolation::ephemeral(world),
        )
        .await;
        run.scenario("isolation: policy without it", isolation::not_asked_for(world))
            .await;
    });
}

#[test]
fn whole_gpus_are_left_to_dra_and_mig_devices_are_not() {
    in_a_world(async |world, run| {
        run.scenario(
            "DRA: whole GPUs are left to it, partitions are not",
            dra::whole_gpus_and_partitions(world),
        )
        .await;
    });
}

#[test]
fn commands_agree_with_a_live_cluster() {
    in_a_world(async |world, run| {
        live_cluster::prepare(world).await;
        run.scenario("live: map", live_cluster::map(world)).await;
        run.scenario("live: explain and lint", live_cluster::explain_and_lint(world))
            .await;
        run.scenario("live: audit, with a real Prometheus", live_cluster::audit(world))
            .await;
        run.scenario("live: access with read permissions", live_cluster::access(world))
            .await;
        run.scenario("live: the forecast of replay is right", live_cluster::replay(world))
            .await;
    });
}

#[test]
fn changes_and_outages_are_survived() {
    in_a_world(async |world, run| {
        let relabelled = changes::namespace_relabelled(world);
        run.scenario("namespace relabelled while running", relabelled).await;
        run.scenario(
            "policy resource: invalid ones are refused with a message",
            resource::bad_ones_refused(world),
        )
        .await;
        run.scenario("policy resource: created, changed, deleted", resource::followed(world))
            .await;
        run.scenario("policy file changed, broken, fixed", changes::policy_file(world))
            .await;
        run.scenario(
            "MIG change under way between admission and scheduling",
            changes::mig_reconfigured(world),
        )
        .await;
        run.scenario("node labels contradict allocatable", changes::node_relabelled(world))
            .await;
        run.scenario("API server killed and restarted", outages::api_server(world))
            .await;
        run.scenario(
            "apportion killed and restarted while a Job creates pods",
            outages::apportion(world),
        )
        .await;
        run.scenario(
            "certificates and authority rotated under load",
            certificates::rotation(world),
        )
        .await;
        run.scenario("extender down while a pod is scheduled", outages::extender(world))
            .await;
    });
}

#[test]
fn bursts_of_pods_are_placed() {
    in_a_world(async |world, run| {
        run.scenario("100 pods of four policies at once", burst::four_policies(world))
            .await;
        run.scenario("60 pods for 32 slices", burst::more_than_there_are(world))
            .await;
        run.scenario(
            "100 pods of a Job, with the extender and without",
            burst::hundred(world),
        )
        .await;
    });
}

#[test]
fn pods_that_bypassed_the_webhook_are_reported() {
    in_a_world(async |world, run| {
        run.scenario(
            "failurePolicy Ignore: pods are found and reported",
            outages::bypass(world),
        )
        .await;
    });
}

#[test]
fn pods_of_higher_priority_preempt() {
    in_a_world(async |world, run| {
        preemption::prepare(world).await;
        run.scenario(
            "preemption: inference preempts development",
            preemption::inference_evicts_development(world),
        )
        .await;
        run.scenario(
            "preemption: tenants apart need more victims",
            preemption::tenants_apart_need_more_victims(world),
        )
        .await;
        run.scenario("preemption: own limits alone", preemption::own_limits(world))
            .await;
        run.scenario(
            "preemption: Never, and disruption budgets",
            preemption::nothing_is_preempted(world),
        )
        .await;
        run.scenario(
            "preemption: a pod waits for its victims",
            preemption::waits_for_its_victims(world),
        )
        .await;
    });
}

#[test]
fn throughput_of_a_large_cluster() {
    if throughput::nodes().is_none() {
        println!(
            "SKIPPED: throughput: set APPORTION_NODES=5000 to measure how many pods a second are bound; it takes minutes"
        );
        return;
    }
    in_a_world(async |world, run| {
        preemption::prepare(world).await;
        run.scenario_within(
            Duration::from_mins(25),
            "throughput of a large cluster",
            throughput::measure(world),
        )
        .await;
    });
}

#[test]
fn no_guarantee_is_broken_in_a_race() {
    in_a_world(async |world, run| {
        let limit = Duration::from_mins(5);
        race::prepare(world).await;
        run.scenario("32 filters and bindings at once for 8 shares", race::by_hand(world))
            .await;
        run.scenario("two kube-schedulers at once for 8 shares", race::two_schedulers(world))
            .await;
        run.scenario_within(
            limit,
            "2,000 pods of three tenants, bound by apportion, killed twice meanwhile",
            race::bound_by_apportion(world),
        )
        .await;
        run.scenario_within(
            limit,
            "the same, bound by kube-scheduler: broken guarantees are counted",
            race::bound_by_the_scheduler(world),
        )
        .await;
    });
}
