//! What a report could not see, so that nobody reads its silence as a zero.

use std::fmt;

use serde::Serialize;

/// Names that are listed at most.
const NAMES: usize = 8;

/// Something that the numbers do not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Unseen {
    /// What it is, for programs.
    pub kind: Gap,
    /// How many.
    pub count: usize,
    /// Who: the first few.
    pub names: Vec<String>,
    /// What that means, and what to do.
    pub note: String,
}

/// Kinds of gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Gap {
    /// Nodes with GPUs in the cluster, of which no metric speaks.
    NodesWithoutMetrics,
    /// Nodes in the metrics that the cluster does not have.
    NodesNotInCluster,
    /// Nodes whose labels leave open what their GPUs are.
    NodesInDoubt,
    /// Devices that were not seen for a part of the window.
    DevicesWithHoles,
    /// Devices with memory, but without utilization.
    DevicesWithoutUtilization,
    /// MIG devices whose part of a GPU is not known.
    DevicesOfUnknownSize,
    /// Pods whose values are those of a device that they share, or of all devices that could be theirs.
    PodsBehindSharedDevices,
    /// Pods that an exporter named on a shared device, one for several.
    PodsNamedForOthers,
    /// Pods that hold devices of which no metric speaks.
    PodsWithoutMetrics,
    /// Pods whose start is not known.
    PodsWithoutStart,
    /// Namespaces in the metrics that the cluster does not have.
    NamespacesNotInCluster,
    /// Products without a price.
    ProductsWithoutPrice,
}

impl Gap {
    fn note(self) -> &'static str {
        match self {
            Gap::NodesWithoutMetrics => {
                "Nodes have GPUs, and no metric of them was found: run dcgm-exporter there and have it scraped"
            }
            Gap::NodesNotInCluster => {
                "Nodes have metrics, and the cluster does not know them: gone since, or of another cluster (--selector tells clusters apart). How their GPUs were shared is not known"
            }
            Gap::NodesInDoubt => {
                "Nodes have labels that leave open what their GPUs are; `apportion lint --cluster` says why"
            }
            Gap::DevicesWithHoles => {
                "Devices have no samples for a part of the window; hours without a sample are in no sum"
            }
            Gap::DevicesWithoutUtilization => {
                "Devices have memory and no utilization; on MIG, let dcgm-exporter collect the profiling metrics (DCGM_FI_PROF_GR_ENGINE_ACTIVE)"
            }
            Gap::DevicesOfUnknownSize => {
                "MIG devices are of a profile whose part of a GPU is not known; they are in no sum"
            }
            Gap::PodsBehindSharedDevices => {
                "Pods can not be told apart by the metrics, since they share devices or no device bears their name: their values are those of the device or of the node's devices, not their own. dcgm-exporter with KUBERNETES_VIRTUAL_GPUS=true tells sharers apart. Such pods that are gone are not known"
            }
            Gap::PodsNamedForOthers => {
                "Pods were named by the exporter on devices that several share; it names the last one, so the name was not used"
            }
            Gap::PodsWithoutMetrics => "Pods hold GPUs of which no metric speaks",
            Gap::PodsWithoutStart => {
                "Pods hold devices since a time that their status does not tell; their hours are in no sum"
            }
            Gap::NamespacesNotInCluster => {
                "Namespaces held GPUs and are gone, or of another cluster; which policy governed them is not known"
            }
            Gap::ProductsWithoutPrice => {
                "Products have no price in the list; what they cost is in no sum. Add them, or `default`"
            }
        }
    }

    /// The gap with those it concerns; nothing when these are none.
    pub fn of(self, names: impl IntoIterator<Item = String>) -> Option<Unseen> {
        let mut names: Vec<String> = names.into_iter().collect();
        names.sort();
        names.dedup();
        let count = names.len();
        names.truncate(NAMES);
        (count > 0).then(|| Unseen {
            kind: self,
            count,
            names,
            note: self.note().to_owned(),
        })
    }
}

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = match self.count.saturating_sub(self.names.len()) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        write!(f, "{}. {}: {}{more}", self.note, self.count, self.names.join(", "))
    }
}
