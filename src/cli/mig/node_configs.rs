//! mig-parted configurations for planned GPUs.

use super::geometry;
use apportion_core::diagnostics::counted;
use apportion_mig::Batch;
use apportion_nvidia::mig_parted::{self, GpuGroup, NodeConfig};

/// One configuration for each geometry.
pub(super) fn by_geometry(batches: &[Batch]) -> Vec<NodeConfig> {
    let config = |batch: &Batch| NodeConfig {
        comment: Some(format!("for {}", counted(batch.gpus, "GPU"))),
        ..geometry::config(&batch.geometry)
    };
    batches.iter().map(config).collect()
}

/// Nodes with equal GPUs.
struct NodeGroup {
    nodes: u64,
    gpu_groups: Vec<GpuGroup>,
}

/// One configuration for each kind of node, for nodes with `per_node` GPUs.
pub(super) fn by_node(batches: &[Batch], per_node: u64) -> Vec<NodeConfig> {
    let mut groups = node_groups(batches, per_node);
    let configs = groups.drain(..).enumerate().map(|(index, group)| {
        let NodeGroup { nodes, gpu_groups } = group;
        let used: usize = gpu_groups.iter().map(|part| part.devices.len()).sum();
        let unused = match usize::try_from(per_node) {
            Ok(per_node) if used > 0 && used < per_node => {
                format!("; its other {} are unchanged", counted(per_node - used, "GPU"))
            }
            _ => String::new(),
        };
        let name = match gpu_groups.as_slice() {
            [part] if part.devices.is_empty() => mig_parted::geometry_name(&part.geometry),
            _ => format!("planned-{}", index + 1),
        };
        NodeConfig {
            name,
            comment: Some(format!("for {}{unused}", counted(nodes, "node"))),
            gpu_groups,
        }
    });
    configs.collect()
}

/// Nodes that one geometry fills come first. The remaining GPUs of each geometry then fill nodes
/// one by one.
fn node_groups(batches: &[Batch], per_node: u64) -> Vec<NodeGroup> {
    let mut groups: Vec<NodeGroup> = Vec::new();
    for batch in batches.iter().filter(|batch| batch.gpus >= per_node) {
        groups.push(NodeGroup {
            nodes: batch.gpus / per_node,
            gpu_groups: vec![GpuGroup {
                devices: Vec::new(),
                geometry: batch.geometry.clone(),
            }],
        });
    }
    let mut gpu_groups: Vec<GpuGroup> = Vec::new();
    let mut device = 0;
    for batch in batches {
        for _ in 0..batch.gpus % per_node {
            match gpu_groups.last_mut() {
                Some(part) if part.geometry == batch.geometry => part.devices.push(device),
                _ => gpu_groups.push(GpuGroup {
                    devices: vec![device],
                    geometry: batch.geometry.clone(),
                }),
            }
            device += 1;
            if device == per_node {
                let gpu_groups = std::mem::take(&mut gpu_groups);
                groups.push(NodeGroup { nodes: 1, gpu_groups });
                device = 0;
            }
        }
    }
    if !gpu_groups.is_empty() {
        groups.push(NodeGroup { nodes: 1, gpu_groups });
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use apportion_mig::find_model;

    #[test]
    fn full_nodes_share_a_configuration_and_the_rest_fill_nodes_in_order() {
        let demand = [("3g.20gb".parse().unwrap(), 9), ("7g.40gb".parse().unwrap(), 3)];
        let batches = find_model("A100-40GB").unwrap().pack(&demand).unwrap();
        let configs = by_node(&batches, 2);
        let shown: Vec<_> = configs
            .iter()
            .map(|config| {
                let devices = config.gpu_groups.iter().map(|part| &*part.devices);
                (&*config.name, config.comment.as_deref(), devices.collect::<Vec<_>>())
            })
            .collect();
        let all: &[u64] = &[];
        assert_eq!(
            shown,
            [
                ("7g.40gb", Some("for 1 node"), vec![all]),
                ("2x3g.20gb", Some("for 2 nodes"), vec![all]),
                ("planned-3", Some("for 1 node"), vec![&[0][..], &[1][..]]),
            ]
        );
    }
}
