//! Reads a pool: its sharing and its MIG layout.

use serde_saphyr::Spanned;

use super::document::{Geometry, Mig as MigEntry, Pool as PoolEntry};
use super::fields::{node_name, object_name, one_of};
use super::mig_fit::{self, MigDevices};
use super::model::{Layout, Mig, MigStrategy, Pool, Sharing};
use crate::file_keys::device_plugin as keys;
use apportion_core::diagnostics::reader::Reader;
use apportion_core::gpu::Strategy;
use apportion_core::gpu::strategy::{MAX_MPS_REPLICAS, MAX_MPS_REPLICAS_PRE_TURING, MIN_REPLICAS, max_mps_replicas};
use apportion_mig::product::ProductPattern;
use apportion_mig::profile::MigProfile;

/// Reads a pool and reports its mistakes to the reader. `None` if the strategy is invalid.
pub(super) fn read_pool(reader: &mut Reader, entry: &Spanned<PoolEntry>, field: &str) -> Option<Pool> {
    let given = &entry.value;
    let name = object_name(reader, &given.name, &format!("{field}.name"), 63);
    let product = given.product.as_ref().and_then(|text| {
        ProductPattern::parse(&text.value)
            .map_err(|error| reader.error(text, &format!("{field}.product"), error.to_string()))
            .ok()
    });
    for (index, node) in given.nodes.iter().enumerate() {
        node_name(reader, node, &format!("{field}.nodes[{index}]"));
    }
    let selector = given
        .node_selector
        .as_ref()
        .map(|selector| reader.selector(&selector.value, &format!("{field}.nodeSelector")));
    if let Some(policy) = &given.device_plugin.shared_devices_allocation_policy {
        let field = format!("{field}.devicePlugin.sharedDevicesAllocationPolicy");
        one_of(reader, policy, &field, &keys::ALLOCATION_POLICIES);
    }
    let strategy = given
        .strategy
        .value
        .parse::<Strategy>()
        .map_err(|error| reader.error(&given.strategy, &format!("{field}.strategy"), error.to_string()))
        .ok()?;
    Some(Pool {
        sharing: read_sharing(reader, given, strategy, product.as_ref(), field),
        mig: read_mig(reader, given, strategy, product.as_ref(), field),
        name,
        product,
        strategy,
        nodes: given.nodes.iter().map(|node| node.value.clone()).collect(),
        selector,
        allocation_policy: given
            .device_plugin
            .shared_devices_allocation_policy
            .as_ref()
            .map(|policy| policy.value.clone()),
        location: reader.at(&given.name),
    })
}

fn read_sharing(
    reader: &mut Reader,
    given: &PoolEntry,
    strategy: Strategy,
    product: Option<&ProductPattern>,
    field: &str,
) -> Option<Sharing> {
    if !matches!(strategy, Strategy::Mps | Strategy::TimeSlicing) {
        let message = format!("{strategy} does not share GPUs; remove it, or write strategy: time-slicing or mps");
        if let Some(replicas) = &given.replicas {
            reader.error(replicas, &format!("{field}.replicas"), message.clone());
        }
        for (name, flag) in [
            ("rename", &given.rename),
            ("failRequestsGreaterThanOne", &given.fail_requests_greater_than_one),
        ] {
            if let Some(flag) = flag {
                reader.error(flag, &format!("{field}.{name}"), message.clone());
            }
        }
        return None;
    }
    let Some(replicas) = &given.replicas else {
        let message =
            format!("{strategy} requires replicas, the number of shares of each GPU; write it, such as replicas: 4");
        reader.error(&given.strategy, &format!("{field}.replicas"), message);
        return None;
    };
    let count = replicas.value;
    let field = format!("{field}.replicas");
    if count < MIN_REPLICAS {
        let message = format!(
            "{count} is too few: the device plugin requires at least {MIN_REPLICAS}; write {MIN_REPLICAS} or more, or strategy: exclusive"
        );
        reader.error(replicas, &field, message);
    }
    if strategy == Strategy::Mps {
        let max = product.map_or(MAX_MPS_REPLICAS, |product| max_mps_replicas(&product.as_str().into()));
        if count > max {
            let gpu = match product {
                Some(product) => format!("of a {product}"),
                None => "of any GPU".to_owned(),
            };
            let message = format!(
                "{count} is too many: the MPS daemon supports at most {max} shares {gpu} and exits if there are more; write replicas: {max}"
            );
            reader.error(replicas, &field, message);
        } else if product.is_none() && count > MAX_MPS_REPLICAS_PRE_TURING {
            let message = format!(
                "{count} is too many for V100 and older GPUs: their MPS daemon exits at more than {MAX_MPS_REPLICAS_PRE_TURING} shares; set the pool's product"
            );
            reader.warning(replicas, &field, message);
        }
    }
    Some(Sharing {
        replicas: u32::try_from(count.max(MIN_REPLICAS))
            .map_err(|_| reader.error(replicas, &field, format!("{count} is too many; write a smaller number")))
            .ok()?,
        rename: given.rename.as_ref().is_none_or(|rename| rename.value),
        fail_requests_greater_than_one: given.fail_requests_greater_than_one.as_ref().map(|flag| flag.value),
    })
}

fn read_mig(
    reader: &mut Reader,
    given: &PoolEntry,
    strategy: Strategy,
    product: Option<&ProductPattern>,
    field: &str,
) -> Option<Mig> {
    let Some(mig) = &given.mig else {
        if strategy == Strategy::Mig {
            let message = "strategy mig requires a geometry; write it, such as mig: {geometry: {1g.10gb: 7}}";
            reader.error(&given.strategy, &format!("{field}.mig"), message);
        }
        return None;
    };
    let field = format!("{field}.mig");
    match strategy {
        Strategy::Mps => {
            let message = "the device plugin does not start with MPS if a GPU is partitioned or the MIG strategy is mixed; remove mig, or write strategy: mig, or time-slicing, which can share MIG devices";
            reader.error(mig, &field, message);
            return None;
        }
        Strategy::Exclusive => {
            reader.error(
                mig,
                &field,
                "exclusive offers whole GPUs; remove mig, or write strategy: mig",
            );
            return None;
        }
        Strategy::Mig | Strategy::TimeSlicing => {}
    }
    let mig_strategy = match &mig.value.strategy {
        None => MigStrategy::Mixed,
        Some(text) => {
            let known = [MigStrategy::Single.as_str(), MigStrategy::Mixed.as_str()];
            one_of(reader, text, &format!("{field}.strategy"), &known);
            MigStrategy::parse(&text.value).unwrap_or(MigStrategy::Mixed)
        }
    };
    let layouts = read_layouts(reader, mig, product, &field);
    if product.is_none() {
        let message = "set the pool's product: which devices fit depends on it, since 1g.10gb is a seventh of an A100-80GB and a quarter of an A100-40GB";
        reader.error(mig, &field, message);
    }
    let is_uniform = layouts.len() == 1 && layouts[0].indices.is_none() && layouts[0].devices.len() == 1;
    if mig_strategy == MigStrategy::Single && !layouts.is_empty() && !is_uniform {
        let message = "with MIG strategy single all devices of a node must have the same profile, or the device plugin exits; write strategy: mixed, or use one profile";
        reader.error(mig, &field, message);
    }
    Some(Mig {
        strategy: mig_strategy,
        layouts,
    })
}

fn read_layouts(
    reader: &mut Reader,
    mig: &Spanned<MigEntry>,
    product: Option<&ProductPattern>,
    field: &str,
) -> Vec<Layout> {
    let given = &mig.value;
    let mut layouts: Vec<Layout> = Vec::new();
    match (&given.geometry, given.gpus.is_empty()) {
        (Some(_), false) => reader.error(mig, field, "has both geometry and gpus; remove one of them"),
        (None, true) => reader.error(
            mig,
            field,
            "has no geometry; write it, such as geometry: {1g.10gb: 7}, or write gpus",
        ),
        (Some(geometry), true) => {
            let field = format!("{field}.geometry");
            if geometry.value.is_empty() {
                let message = "has no MIG device; write the number of devices of each profile, such as {1g.10gb: 7}";
                reader.error(geometry, &field, message);
            }
            layouts.push(Layout {
                indices: None,
                devices: read_geometry(reader, geometry, product, &field),
            });
        }
        (None, false) => {
            for (index, entry) in given.gpus.iter().enumerate() {
                let field = format!("{field}.gpus[{index}]");
                let indices = &entry.value.indices;
                let is_listed = |index: &u32| {
                    layouts
                        .iter()
                        .any(|layout| layout.indices.as_ref().is_some_and(|listed| listed.contains(index)))
                };
                if indices.value.is_empty() {
                    reader.error(
                        indices,
                        &format!("{field}.indices"),
                        "is empty; list GPU indices, such as [0, 1]",
                    );
                } else if let Some(duplicate) = indices.value.iter().find(|index| is_listed(index)) {
                    let message = format!("GPU {duplicate} already has a geometry; list each GPU once");
                    reader.error(indices, &format!("{field}.indices"), message);
                }
                layouts.push(Layout {
                    devices: read_geometry(reader, &entry.value.geometry, product, &format!("{field}.geometry")),
                    indices: Some(indices.value.clone()),
                });
            }
            if layouts.iter().all(|layout| layout.devices.is_empty()) {
                reader.error(mig, field, "no GPU has a MIG device; write strategy: exclusive instead");
            }
        }
    }
    layouts
}

fn read_geometry(
    reader: &mut Reader,
    geometry: &Spanned<Geometry>,
    product: Option<&ProductPattern>,
    field: &str,
) -> Vec<(MigProfile, u64)> {
    let mut devices: Vec<(MigProfile, u64)> = Vec::new();
    let mut is_valid = true;
    for (profile, count) in &geometry.value {
        let field = format!("{field}[{profile}]");
        match (profile.parse::<MigProfile>(), u64::try_from(count.value)) {
            (Ok(profile), Ok(number)) if number > 0 => devices.push((profile, number)),
            (Err(error), _) => {
                is_valid = false;
                reader.error(count, &field, error.to_string());
            }
            (Ok(_), _) => {
                is_valid = false;
                reader.error(
                    count,
                    &field,
                    format!(
                        "{} is not a number of devices; write 1 or more, or remove it",
                        count.value
                    ),
                );
            }
        }
    }
    devices.sort_unstable();
    if is_valid && let Some(product) = product {
        check_fit(reader, geometry, product, &devices, field);
    }
    devices
}

fn check_fit(
    reader: &mut Reader,
    geometry: &Spanned<Geometry>,
    product: &ProductPattern,
    devices: &MigDevices,
    field: &str,
) {
    let models = mig_fit::models_of(product);
    if models.is_empty() {
        if mig_fit::is_without_mig(product) {
            let message = format!("{product} does not support MIG; write strategy: mps or time-slicing");
            reader.error(geometry, field, message);
        } else {
            let message = format!("{product} is not a known product, so it is not checked whether this fits");
            reader.warning(geometry, field, message);
        }
        return;
    }
    let messages: Vec<String> = models
        .iter()
        .filter_map(|model| mig_fit::unfit_message(model, devices))
        .collect();
    let fitting: Vec<&str> = models
        .iter()
        .filter(|model| model.fits(devices))
        .map(|model| model.name)
        .collect();
    match (messages.first(), &fitting[..]) {
        (None, _) => {}
        (Some(message), []) => reader.error(geometry, field, message.clone()),
        (Some(message), [only, ..]) => {
            let message = format!(
                "{product} can mean a product that cannot hold this: {message}; or write product: {only} if that is what you have"
            );
            reader.error(geometry, field, message);
        }
    }
}
