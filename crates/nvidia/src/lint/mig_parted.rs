//! Checks mig-parted's configuration for what mig-parted rejects and for MIG devices that fit on no
//! GPU.
//!
//! Rules: mig-parted v0.15.0, `api/spec/v1/spec.go` and `pkg/types`. One invalid configuration
//! makes mig-parted reject the whole file on every node.

use super::config_map::Configuration;
use super::unknown_keys::unknown_keys;
use crate::file_keys::{VERSION, mig_parted as keys};
use crate::plan::mig_fit;
use crate::schema::MIG_PARTED;
use crate::yaml::LocatedValue;
use apportion_core::diagnostics::{Finding, Location};
use apportion_mig::profile::MigProfile;
use apportion_mig::{MODELS, Model};

/// Checks one configuration file on its own.
pub(super) fn lint(configuration: &Configuration) -> Vec<Finding> {
    let mut linter = Linter {
        configuration,
        findings: Vec::new(),
    };
    linter.check();
    linter.findings
}

/// The names under `mig-configs`.
pub(super) fn config_names(configuration: &Configuration) -> impl Iterator<Item = &str> {
    configuration
        .root
        .get(keys::CONFIGS)
        .into_iter()
        .flat_map(LocatedValue::entries)
        .map(|(key, _)| key.text.as_str())
}

/// The MIG devices of one item of a configuration; `None` if one is invalid.
pub(super) fn mig_devices(item: &LocatedValue) -> Option<Vec<(MigProfile, u64)>> {
    let entries = item.get(keys::MIG_DEVICES)?.entries();
    entries
        .iter()
        .map(|(profile, count)| Some((profile.text.parse().ok()?, u64::try_from(count.as_i64()?).ok()?)))
        .collect()
}

struct Linter<'c> {
    configuration: &'c Configuration,
    findings: Vec<Finding>,
}

impl Linter<'_> {
    fn error(&mut self, at: &Location, path: &str, message: impl Into<String>) {
        let field = self.configuration.field(path);
        self.findings.push(Finding::error(at.clone(), field, message));
    }

    fn check(&mut self) {
        let root = &self.configuration.root;
        match root.get("version") {
            None => self.error(
                &root.location,
                "version",
                format!("mig-parted requires a version; write version: {VERSION}"),
            ),
            Some(version) if version.as_str() != Some(VERSION) => {
                let message = format!("mig-parted rejects version {}; write {VERSION}", version.quoted());
                self.error(&version.location, "version", message);
            }
            Some(_) => {}
        }
        for key in unknown_keys(root, &MIG_PARTED) {
            let message = format!(
                "mig-parted rejects the whole file because of this unknown key; {}",
                key.help
            );
            self.error(&key.location, &key.path, message);
        }
        let Some((key, configs)) = root.entry(keys::CONFIGS) else {
            return;
        };
        if configs.entries().is_empty() {
            self.error(
                &key.location,
                keys::CONFIGS,
                "mig-parted requires at least one configuration",
            );
        }
        for (name, entry) in configs.entries() {
            let path = format!("{}.{}", keys::CONFIGS, name.text);
            if entry.items().is_empty() {
                self.error(
                    &name.location,
                    &path,
                    "mig-parted requires at least one item, such as {devices: all, mig-enabled: false}",
                );
            }
            for (at, item) in entry.items().iter().enumerate() {
                self.check_item(item, &format!("{path}[{at}]"));
            }
        }
    }

    fn check_item(&mut self, item: &LocatedValue, path: &str) {
        match item.get(keys::DEVICES) {
            None => self.error(
                &item.location,
                path,
                "mig-parted requires devices; write devices: all, or a list of GPU indices",
            ),
            Some(devices) => {
                let all = devices.as_str() == Some("all");
                let indices = !devices.items().is_empty()
                    && devices
                        .items()
                        .iter()
                        .all(|index| index.as_i64().is_some_and(|index| index >= 0));
                if !all && !indices {
                    let message = format!(
                        "mig-parted rejects {}; write all, or a list of GPU indices such as [0, 1]",
                        devices.quoted()
                    );
                    self.error(&devices.location, &format!("{path}.devices"), message);
                }
            }
        }
        let enabled = match item.get(keys::MIG_ENABLED) {
            None => {
                self.error(
                    &item.location,
                    path,
                    "mig-parted requires mig-enabled; write mig-enabled: true or false",
                );
                return;
            }
            Some(value) => {
                let Some(enabled) = value.as_bool() else {
                    let message = format!("mig-parted rejects {}; write true or false", value.quoted());
                    self.error(&value.location, &format!("{path}.mig-enabled"), message);
                    return;
                };
                enabled
            }
        };
        let field = format!("{path}.mig-devices");
        match item.entry(keys::MIG_DEVICES) {
            None if enabled => {
                self.error(&item.location, &field, "with mig-enabled: true mig-parted requires mig-devices; write the number of devices of each profile, or {}");
            }
            Some((key, devices)) if !enabled && !devices.entries().is_empty() => {
                self.error(
                    &key.location,
                    &field,
                    "with mig-enabled: false mig-parted rejects devices; write true, or remove them",
                );
            }
            Some((key, _)) if enabled => self.check_devices(item, &key.location, &field),
            _ => {}
        }
    }

    fn check_devices(&mut self, item: &LocatedValue, at: &Location, field: &str) {
        let before = self.findings.len();
        let entries = item.get(keys::MIG_DEVICES).map_or(&[][..], LocatedValue::entries);
        for (profile, count) in entries {
            // mig-parted accepts a compute instance smaller than its GPU instance, but Kubernetes
            // has no resource for it.
            if let Err(error) = profile.text.parse::<MigProfile>() {
                let is_compute_instance = profile
                    .text
                    .split_once("c.")
                    .is_some_and(|(_, gpu_instance)| gpu_instance.parse::<MigProfile>().is_ok());
                let message = if is_compute_instance {
                    format!(
                        "the device plugin has no resource for `{}`, so no pod can request it; write a profile without c",
                        profile.text
                    )
                } else {
                    error.to_string()
                };
                self.error(&profile.location, field, message);
            }
            if count.as_i64().is_none_or(|count| count < 0) {
                self.error(
                    &count.location,
                    field,
                    format!("{} is not a number of devices", count.quoted()),
                );
            }
        }
        if !entries.is_empty() && entries.iter().all(|(_, count)| count.as_i64() == Some(0)) {
            self.error(
                at,
                field,
                "mig-parted rejects numbers that are all 0; write {} to enable MIG without devices",
            );
        }
        if self.findings.len() > before {
            return;
        }
        if let Some(devices) = mig_devices(item)
            && let Some(message) = unfit_message(&devices)
        {
            self.error(at, field, message);
        }
    }
}

/// Why no known product can hold the devices.
fn unfit_message(devices: &[(MigProfile, u64)]) -> Option<String> {
    let has_profiles = |model: &&'static Model| devices.iter().all(|(profile, _)| model.profile(*profile).is_some());
    let candidates: Vec<&'static Model> = MODELS.iter().filter(has_profiles).collect();
    if candidates.iter().any(|model| model.fits(devices)) {
        return None;
    }
    let Some(model) = candidates.first() else {
        let names: Vec<String> = devices.iter().map(|(profile, _)| profile.to_string()).collect();
        return Some(format!("no known product has {}", names.join(" and ")));
    };
    mig_fit::unfit_message(model, devices)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::sources::Sources;

    fn found(text: &str) -> Vec<String> {
        let mut sources = Sources::default();
        sources.add("m.yaml", text).unwrap();
        let configurations = sources.mig_parted_configs();
        configurations
            .flat_map(lint)
            .map(|finding| finding.to_string())
            .collect()
    }

    #[test]
    fn valid_configurations_have_no_findings() {
        for item in [
            "{devices: all, mig-enabled: false}",
            "{devices: all, mig-enabled: true, mig-devices: {}}",
            "{devices: [0, 1], device-filter: '0x20B010DE', mig-enabled: true, mig-devices: {1g.10gb: 7}}",
            "{devices: all, mig-enabled: true, mig-devices: {1g.10gb+me: 1, 1g.10gb: 6}}",
        ] {
            let text = format!("version: v1\nmig-configs:\n  a:\n  - {item}\n");
            assert_eq!(found(&text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn mistakes_are_located_with_a_fix() {
        let item = |item: &str| format!("version: v1\nmig-configs:\n  a:\n  - {item}\n");
        for (text, location, expected) in [
            (
                "mig-configs: {a: [{devices: all, mig-enabled: false}]}\n".to_owned(),
                "m.yaml:1:1",
                "write version: v1",
            ),
            (
                "version: v1\nmig-configs: {}\n".to_owned(),
                "m.yaml:2:1",
                "at least one configuration",
            ),
            (
                item("{device: all, mig-enabled: false}"),
                "m.yaml:4:6",
                "did you mean devices?",
            ),
            (
                item("{device: all, mig-enabled: false}"),
                "m.yaml:4:5",
                "requires devices",
            ),
            (
                item("{devices: some, mig-enabled: false}"),
                "m.yaml:4:15",
                "write all, or a list",
            ),
            (item("{devices: all}"), "m.yaml:4:5", "requires mig-enabled"),
            (
                item("{devices: all, mig-enabled: yes please}"),
                "m.yaml:4:33",
                "write true or false",
            ),
            (
                item("{devices: all, mig-enabled: true}"),
                "m.yaml:4:5",
                "requires mig-devices",
            ),
            (
                item("{devices: all, mig-enabled: false, mig-devices: {1g.5gb: 7}}"),
                "m.yaml:4:40",
                "with mig-enabled: false",
            ),
            (
                item("{devices: all, mig-enabled: true, mig-devices: {1g.5gb: 0}}"),
                "m.yaml:4:39",
                "all 0",
            ),
            (
                item("{devices: all, mig-enabled: true, mig-devices: {1g5gb: 1}}"),
                "m.yaml:4:53",
                "is not a MIG profile",
            ),
            (
                item("{devices: all, mig-enabled: true, mig-devices: {1c.3g.20gb: 1}}"),
                "m.yaml:4:53",
                "no resource for `1c.3g.20gb`",
            ),
            (
                item("{devices: all, mig-enabled: true, mig-devices: {1g.10gb: 8}}"),
                "m.yaml:4:39",
                "at most",
            ),
            (
                item("{devices: all, mig-enabled: true, mig-devices: {3g.40gb: 2, 1g.10gb: 1}}"),
                "m.yaml:4:39",
                "memory slots",
            ),
            (
                item("{devices: all, mig-enabled: true, mig-devices: {9g.99gb: 1}}"),
                "m.yaml:4:39",
                "no known product has 9g.99gb",
            ),
        ] {
            let found = found(&text);
            let hit = |line: &&String| line.starts_with(&format!("{location}: error: ")) && line.contains(expected);
            assert!(found.iter().any(|line| hit(&line)), "{text}\n{found:#?}");
        }
    }
}
