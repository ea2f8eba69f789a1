//! From the entry of a pool to a pool: its shares, its partitions.

use serde_saphyr::Spanned;

use super::document::{Geometry, Mig as MigEntry, Pool as PoolEntry};
use super::layout::{self, Devices};
use super::model::{Layout, Mig, MigStrategy, Pool, Sharing};
use super::parse::{object_name, one_of};
use crate::file_keys::plugin;
use apportion_core::diagnostics::reader::Reader;
use apportion_core::gpu::Strategy;
use apportion_core::gpu::replicas::{
    FEWEST_REPLICAS, MOST_MPS_REPLICAS, MOST_MPS_REPLICAS_BEFORE_TURING, most_mps_replicas,
};
use apportion_mig::product::ProductPattern;
use apportion_mig::profile::MigProfile;

/// Reads a pool; its mistakes are the reader's findings. `None` where not even its strategy can be read.
pub(super) fn pool(reader: &mut Reader, entry: &Spanned<PoolEntry>, field: &str) -> Option<Pool> {
    let given = &entry.value;
    let name = object_name(reader, &given.name, &format!("{field}.name"), 63);
    let product = given.product.as_ref().and_then(|text| {
        ProductPattern::parse(&text.value)
            .map_err(|error| reader.error(text, &format!("{field}.product"), error.to_string()))
            .ok()
    });
    for (at, node) in given.nodes.iter().enumerate() {
        node_name(reader, node, &format!("{field}.nodes[{at}]"));
    }
    let selector = given
        .node_selector
        .as_ref()
        .map(|selector| reader.selector(&selector.value, &format!("{field}.nodeSelector")));
    if let Some(policy) = &given.device_plugin.shared_devices_allocation_policy {
        let field = format!("{field}.devicePlugin.sharedDevicesAllocationPolicy");
        one_of(reader, policy, &field, &plugin::ALLOCATION_POLICIES);
    }
    let strategy = given
        .strategy
        .value
        .parse::<Strategy>()
        .map_err(|error| reader.error(&given.strategy, &format!("{field}.strategy"), error.to_string()))
        .ok()?;
    Some(Pool {
        sharing: sharing(reader, given, strategy, product.as_ref(), field),
        mig: partition(reader, given, strategy, product.as_ref(), field),
        name,
        product,
        strategy,
        nodes: given.nodes.iter().map(|node| node.value.clone()).collect(),
        selector,
        allocation: given
            .device_plugin
            .shared_devices_allocation_policy
            .as_ref()
            .map(|policy| policy.value.clone()),
        location: reader.at(&given.name),
    })
}

fn node_name(reader: &mut Reader, text: &Spanned<String>, field: &str) {
    let name = text.value.as_str();
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    if bytes.len() > 253 || !edge(bytes.first()) || !edge(bytes.last()) || !bytes.iter().all(|b| inner(*b)) {
        let message = format!("`{name}` can not be the name of a node; write it as kubectl get nodes does");
        reader.error(text, field, message);
    }
}

fn sharing(
    reader: &mut Reader,
    given: &PoolEntry,
    strategy: Strategy,
    product: Option<&ProductPattern>,
    field: &str,
) -> Option<Sharing> {
    if !matches!(strategy, Strategy::Mps | Strategy::TimeSlicing) {
        let why = format!("{strategy} cuts no GPU into shares; remove it, or write strategy: time-slicing or mps");
        if let Some(replicas) = &given.replicas {
            reader.error(replicas, &format!("{field}.replicas"), why.clone());
        }
        for (name, flag) in [
            ("rename", &given.rename),
            ("failRequestsGreaterThanOne", &given.fail_requests_greater_than_one),
        ] {
            if let Some(flag) = flag {
                reader.error(flag, &format!("{field}.{name}"), why.clone());
            }
        }
        return None;
    }
    let Some(replicas) = &given.replicas else {
        let message = format!("{strategy} needs replicas, the number of shares of each GPU; such as replicas: 4");
        reader.error(&given.strategy, &format!("{field}.replicas"), message);
        return None;
    };
    let count = replicas.value;
    let field = format!("{field}.replicas");
    if count < FEWEST_REPLICAS {
        let message = format!(
            "{count}: the device plugin refuses less than {FEWEST_REPLICAS}; write {FEWEST_REPLICAS} or more, or strategy: exclusive"
        );
        reader.error(replicas, &field, message);
    }
    if strategy == Strategy::Mps {
        let most = product.map_or(MOST_MPS_REPLICAS, |product| most_mps_replicas(&product.as_str().into()));
        if count > most {
            let whose = match product {
                Some(product) => format!("of a {product}"),
                None => "of any GPU".to_owned(),
            };
            let message = format!(
                "{count}: the MPS daemon takes at most {most} shares {whose} and stops at more; write replicas: {most}"
            );
            reader.error(replicas, &field, message);
        } else if product.is_none() && count > MOST_MPS_REPLICAS_BEFORE_TURING {
            let message = format!(
                "{count}: on V100 and older the MPS daemon stops at more than {MOST_MPS_REPLICAS_BEFORE_TURING}; name the pool's product"
            );
            reader.warning(replicas, &field, message);
        }
    }
    Some(Sharing {
        replicas: u32::try_from(count.max(FEWEST_REPLICAS))
            .map_err(|_| reader.error(replicas, &field, format!("{count} is no number of shares")))
            .ok()?,
        rename: given.rename.as_ref().is_none_or(|rename| rename.value),
        fail_above_one: given.fail_requests_greater_than_one.as_ref().map(|flag| flag.value),
    })
}

fn partition(
    reader: &mut Reader,
    given: &PoolEntry,
    strategy: Strategy,
    product: Option<&ProductPattern>,
    field: &str,
) -> Option<Mig> {
    let Some(mig) = &given.mig else {
        if strategy == Strategy::Mig {
            let message = "mig needs a geometry, such as mig: {geometry: {1g.10gb: 7}}";
            reader.error(&given.strategy, &format!("{field}.mig"), message);
        }
        return None;
    };
    let field = format!("{field}.mig");
    match strategy {
        Strategy::Mps => {
            let message = "the device plugin does not start with MPS where a GPU is partitioned, nor with MIG strategy mixed; remove mig, or write strategy: mig, or time-slicing, which can share MIG devices";
            reader.error(mig, &field, message);
            return None;
        }
        Strategy::Exclusive => {
            reader.error(
                mig,
                &field,
                "exclusive gives whole GPUs; remove mig, or write strategy: mig",
            );
            return None;
        }
        Strategy::Mig | Strategy::TimeSlicing => {}
    }
    let names = match &mig.value.strategy {
        None => MigStrategy::Mixed,
        Some(text) => {
            let known = [MigStrategy::Single.as_str(), MigStrategy::Mixed.as_str()];
            one_of(reader, text, &format!("{field}.strategy"), &known);
            MigStrategy::parse(&text.value).unwrap_or(MigStrategy::Mixed)
        }
    };
    let layouts = layouts(reader, mig, product, &field);
    if product.is_none() {
        let message = "name the pool's product: what fits depends on it, since 1g.10gb is a seventh of an A100-80GB and a quarter of an A100-40GB";
        reader.error(mig, &field, message);
    }
    let uniform = layouts.len() == 1 && layouts[0].indices.is_none() && layouts[0].devices.len() == 1;
    if names == MigStrategy::Single && !layouts.is_empty() && !uniform {
        let message = "under MIG strategy single every GPU of a node must hold devices of one and the same profile, or the device plugin stops; write strategy: mixed, or one profile";
        reader.error(mig, &field, message);
    }
    Some(Mig {
        strategy: names,
        layouts,
    })
}

fn layouts(reader: &mut Reader, mig: &Spanned<MigEntry>, product: Option<&ProductPattern>, field: &str) -> Vec<Layout> {
    let given = &mig.value;
    let mut layouts: Vec<Layout> = Vec::new();
    match (&given.geometry, given.gpus.is_empty()) {
        (Some(_), false) => reader.error(mig, field, "has both geometry and gpus; write one of them"),
        (None, true) => reader.error(mig, field, "needs geometry, such as {1g.10gb: 7}, or gpus"),
        (Some(geometry), true) => {
            let field = format!("{field}.geometry");
            if geometry.value.is_empty() {
                let message = "holds no MIG device; write profiles and their number, such as {1g.10gb: 7}";
                reader.error(geometry, &field, message);
            }
            layouts.push(Layout {
                indices: None,
                devices: devices(reader, geometry, product, &field),
            });
        }
        (None, false) => {
            for (at, entry) in given.gpus.iter().enumerate() {
                let field = format!("{field}.gpus[{at}]");
                let indices = &entry.value.indices;
                let seen = |index: &u32| {
                    layouts
                        .iter()
                        .any(|l| l.indices.as_ref().is_some_and(|i| i.contains(index)))
                };
                if indices.value.is_empty() {
                    reader.error(indices, &format!("{field}.indices"), "names no GPU, such as [0, 1]");
                } else if let Some(twice) = indices.value.iter().find(|index| seen(index)) {
                    let message = format!("GPU {twice} has a geometry already; name each once");
                    reader.error(indices, &format!("{field}.indices"), message);
                }
                layouts.push(Layout {
                    devices: devices(reader, &entry.value.geometry, product, &format!("{field}.geometry")),
                    indices: Some(indices.value.clone()),
                });
            }
            if layouts.iter().all(|layout| layout.devices.is_empty()) {
                reader.error(
                    mig,
                    field,
                    "no GPU of it holds a MIG device; write strategy: exclusive instead",
                );
            }
        }
    }
    layouts
}

fn devices(
    reader: &mut Reader,
    geometry: &Spanned<Geometry>,
    product: Option<&ProductPattern>,
    field: &str,
) -> Vec<(MigProfile, u64)> {
    let mut devices: Vec<(MigProfile, u64)> = Vec::new();
    let mut whole = true;
    for (profile, count) in &geometry.value {
        let field = format!("{field}[{profile}]");
        match (profile.parse::<MigProfile>(), u64::try_from(count.value)) {
            (Ok(profile), Ok(number)) if number > 0 => devices.push((profile, number)),
            (Err(error), _) => {
                whole = false;
                reader.error(count, &field, error.to_string());
            }
            (Ok(_), _) => {
                whole = false;
                reader.error(
                    count,
                    &field,
                    format!("{}: write 1 or more, or leave it out", count.value),
                );
            }
        }
    }
    devices.sort_unstable();
    if whole && let Some(product) = product {
        fit(reader, geometry, product, &devices, field);
    }
    devices
}

fn fit(reader: &mut Reader, place: &Spanned<Geometry>, product: &ProductPattern, devices: &Devices, field: &str) {
    let models = layout::models(product);
    if models.is_empty() {
        if layout::is_without_mig(product) {
            let message = format!("{product} has no MIG; write strategy: mps or time-slicing");
            reader.error(place, field, message);
        } else {
            let message = format!("{product} is not known here, so nobody checked that this fits on it");
            reader.warning(place, field, message);
        }
        return;
    }
    let objections: Vec<String> = models
        .iter()
        .filter_map(|model| layout::objection(model, devices))
        .collect();
    let fitting: Vec<&str> = models
        .iter()
        .filter(|model| model.fits(devices))
        .map(|model| model.name)
        .collect();
    match (objections.first(), &fitting[..]) {
        (None, _) => {}
        (Some(objection), []) => reader.error(place, field, objection.clone()),
        (Some(objection), [only, ..]) => {
            let message =
                format!("write product: {only} if that is what it is; {product} can be another, too: {objection}");
            reader.error(place, field, message);
        }
    }
}
