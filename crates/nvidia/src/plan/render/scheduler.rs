//! The `KubeSchedulerConfiguration` of the scheduler that calls Apportion's extender. The chart
//! installs the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::quoting::yaml_scalar;
use super::{Rendered, header};
use crate::plan::model::{Plan, Pool};
use apportion_core::gpu::GpuResource;
use apportion_mig::MODELS;
use apportion_mig::profile::MigProfile;

pub(super) const NAME: &str = "kube-scheduler-config.yaml";

pub(super) fn render(plan: &Plan) -> Rendered {
    let about = "For a kube-scheduler in the same pod as `apportion serve`. Apportion's chart installs the same.";
    let mut text = header(plan, about);
    let name = yaml_scalar(&plan.scheduler);
    let _ = write!(
        text,
        "apiVersion: kubescheduler.config.k8s.io/v1\n\
         kind: KubeSchedulerConfiguration\n\
         leaderElection:\n  \
           leaderElect: true\n  \
           resourceLock: leases\n  \
           resourceName: {name}\n  \
           resourceNamespace: {}\n\
         profiles:\n\
         - schedulerName: {name}\n\
         extenders:\n\
         # In the same pod, so TLS and DNS are not needed.\n\
         - urlPrefix: http://127.0.0.1:8444\n  \
           filterVerb: filter\n  \
           httpTimeout: 2s\n  \
           # Exchange only names: with node objects kube-scheduler scores every node as if it were empty.\n  \
           nodeCacheCapable: true\n  \
           # If the extender does not answer, GPU pods wait. With `true` they would be placed on any node.\n  \
           ignorable: false\n  \
           # All known names: kube-scheduler supports no wildcards, and pods that request only other names\n  \
           # bypass the extender.\n  \
           managedResources:\n",
        yaml_scalar(&plan.scheduler_namespace)
    );
    for resource in managed_resources(plan) {
        let _ = writeln!(text, "  - name: {resource}");
    }
    Rendered {
        name: NAME,
        purpose: "kube-scheduler's configuration, with Apportion's extender",
        text,
    }
}

/// The resource names of GPUs, MIG devices and their shares on all known products, and those of the
/// plan.
fn managed_resources(plan: &Plan) -> Vec<GpuResource> {
    let known = MODELS
        .iter()
        .flat_map(|model| model.profiles)
        .filter_map(|row| row.name.parse::<MigProfile>().ok());
    let in_plan = plan
        .pools
        .iter()
        .flat_map(Pool::resources)
        .filter_map(GpuResource::profile);
    // In the usual order: by compute slices, then memory.
    let profiles: BTreeMap<(u8, u16, String), MigProfile> = known
        .chain(in_plan)
        .map(|profile| ((profile.compute(), profile.nominal_gb(), profile.to_string()), profile))
        .collect();
    let mut resources = vec![GpuResource::Gpu, GpuResource::GpuShared];
    for profile in profiles.into_values() {
        resources.extend([GpuResource::Mig(profile), GpuResource::MigShared(profile)]);
    }
    resources
}
