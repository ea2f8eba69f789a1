//! mig-parted's `ConfigMap`, with a configuration for each pool that uses MIG.

use std::fmt::Write as _;

use super::quoting::yaml_scalar;
use super::{Rendered, header};
use crate::file_keys::{VERSION, mig_parted as keys};
use crate::plan::model::{Layout, Plan};

pub(super) const NAME: &str = "mig-parted-configmap.yaml";

pub(super) fn config_map_name(plan: &Plan) -> String {
    format!("{}-mig-parted", plan.name)
}

pub(super) fn render(plan: &Plan) -> Option<Rendered> {
    if plan.pools.iter().all(|pool| pool.mig.is_none()) {
        return None;
    }
    let about = format!(
        "A configuration for each pool with MIG, and `{}` for the others. It replaces the\n\
         configuration that the MIG manager generates from the hardware, so labels can select only these.",
        keys::ALL_DISABLED
    );
    let mut text = header(plan, &about);
    let _ = write!(
        text,
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {}\n  namespace: {}\ndata:\n  {}: |\n    version: {VERSION}\n    {}:\n",
        yaml_scalar(&config_map_name(plan)),
        yaml_scalar(&plan.operator_namespace),
        keys::CONFIG_MAP_KEY,
        keys::CONFIGS
    );
    let disabled = Layout {
        indices: None,
        devices: Vec::new(),
    };
    entry(&mut text, keys::ALL_DISABLED, &[disabled]);
    for pool in &plan.pools {
        if let Some(mig) = &pool.mig {
            entry(&mut text, &pool.name, &mig.layouts);
        }
    }
    Some(Rendered {
        name: NAME,
        purpose: "the MIG manager's configuration",
        text,
    })
}

fn entry(text: &mut String, name: &str, layouts: &[Layout]) {
    let _ = writeln!(text, "      {}:", yaml_scalar(name));
    for layout in layouts {
        let devices = match &layout.indices {
            None => "all".to_owned(),
            Some(indices) => format!("{indices:?}"),
        };
        let is_enabled = !layout.devices.is_empty();
        let _ = write!(
            text,
            "      - {}: {devices}\n        {}: {is_enabled}\n",
            keys::DEVICES,
            keys::MIG_ENABLED
        );
        if is_enabled {
            let _ = writeln!(text, "        {}:", keys::MIG_DEVICES);
            for (profile, count) in &layout.devices {
                let _ = writeln!(text, "          \"{profile}\": {count}");
            }
        }
    }
}
