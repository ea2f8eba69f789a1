//! mig-parted's configuration: an entry for each pool that is partitioned.

use std::fmt::Write as _;

use super::scalar::scalar;
use super::{Rendered, header};
use crate::file_keys::{VERSION, mig_parted as keys};
use crate::plan::model::{Layout, Plan};

pub(super) const NAME: &str = "mig-parted-configmap.yaml";

/// The `ConfigMap`'s name.
pub(super) fn config_map(plan: &Plan) -> String {
    format!("{}-mig-parted", plan.name)
}

pub(super) fn render(plan: &Plan) -> Option<Rendered> {
    if plan.pools.iter().all(|pool| pool.mig.is_none()) {
        return None;
    }
    let about = format!(
        "An entry for each partitioned pool, and `{}` for the others. It takes the place of the configuration that the MIG manager\n\
         makes from the hardware it finds, so only these entries can be chosen.",
        keys::ALL_DISABLED
    );
    let mut text = header(plan, &about);
    let _ = write!(
        text,
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {}\n  namespace: {}\ndata:\n  {}: |\n    version: {VERSION}\n    {}:\n",
        scalar(&config_map(plan)),
        scalar(&plan.operator_namespace),
        keys::FILE,
        keys::CONFIGS
    );
    let off = Layout {
        indices: None,
        devices: Vec::new(),
    };
    entry(&mut text, keys::ALL_DISABLED, &[off]);
    for pool in &plan.pools {
        if let Some(mig) = &pool.mig {
            entry(&mut text, &pool.name, &mig.layouts);
        }
    }
    Some(Rendered {
        name: NAME,
        purpose: "what the MIG manager partitions GPUs into",
        text,
    })
}

fn entry(text: &mut String, name: &str, layouts: &[Layout]) {
    let _ = writeln!(text, "      {}:", scalar(name));
    for layout in layouts {
        let devices = match &layout.indices {
            None => "all".to_owned(),
            Some(indices) => format!("{indices:?}"),
        };
        let on = !layout.devices.is_empty();
        let _ = write!(
            text,
            "      - {}: {devices}\n        {}: {on}\n",
            keys::DEVICES,
            keys::ENABLED
        );
        if on {
            let _ = writeln!(text, "        {}:", keys::MIG_DEVICES);
            for (profile, count) in &layout.devices {
                let _ = writeln!(text, "          \"{profile}\": {count}");
            }
        }
    }
}
