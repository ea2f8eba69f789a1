//! `KubeSchedulerConfiguration` of the scheduler that asks Apportion's extender: what the chart installs, too.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::scalar::scalar;
use super::{Rendered, header};
use crate::plan::model::{Plan, Pool};
use apportion_core::gpu::GpuResource;
use apportion_mig::geometry::MODELS;
use apportion_mig::profile::MigProfile;

pub(super) const NAME: &str = "kube-scheduler-config.yaml";

pub(super) fn render(plan: &Plan) -> Rendered {
    let about = "For a kube-scheduler in one pod with `apportion serve`. Apportion's chart brings the same.";
    let mut text = header(plan, about);
    let name = scalar(&plan.scheduler);
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
         # In the same pod, so neither TLS nor a name to resolve.\n\
         - urlPrefix: http://127.0.0.1:8444\n  \
           filterVerb: filter\n  \
           httpTimeout: 2s\n  \
           # Names of nodes instead of nodes: with whole nodes kube-scheduler scores every node as if it were empty.\n  \
           nodeCacheCapable: true\n  \
           # Without an answer a GPU pod waits. The opposite would place it on any node.\n  \
           ignorable: false\n  \
           # kube-scheduler takes no wildcards, and a name that is missing goes past the extender: these are all that are known.\n  \
           managedResources:\n",
        scalar(&plan.scheduler_namespace)
    );
    for resource in managed(plan) {
        let _ = writeln!(text, "  - name: {resource}");
    }
    Rendered {
        name: NAME,
        purpose: "kube-scheduler's configuration, with Apportion's extender",
        text,
    }
}

/// Every resource that a GPU, a MIG device or a share of one can have on a product that is known, and those of the plan.
fn managed(plan: &Plan) -> Vec<GpuResource> {
    let known = MODELS
        .iter()
        .flat_map(|model| model.rows)
        .filter_map(|row| row.profile.parse::<MigProfile>().ok());
    let planned = plan
        .pools
        .iter()
        .flat_map(Pool::resources)
        .filter_map(GpuResource::profile);
    // As people list them: by compute slices, then memory.
    let profiles: BTreeMap<(u8, u16, String), MigProfile> = known
        .chain(planned)
        .map(|profile| ((profile.compute(), profile.nominal_gb(), profile.to_string()), profile))
        .collect();
    let mut found = vec![GpuResource::Gpu, GpuResource::GpuShared];
    for profile in profiles.into_values() {
        found.extend([GpuResource::Mig(profile), GpuResource::MigShared(profile)]);
    }
    found
}
