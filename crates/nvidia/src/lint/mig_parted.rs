//! mig-parted's configuration: what it refuses, and what no GPU can hold.
//!
//! Its rules: mig-parted v0.15.0, `api/spec/v1/spec.go` and `pkg/types`. It is strict: one entry that it refuses, and none is
//! applied on any node.

use super::keys;
use super::source::Configuration;
use super::tree::Value;
use crate::file_keys::{MIG_PARTED, VERSION, mig_parted as known};
use crate::plan::layout;
use apportion_core::diagnostics::{Finding, Location};
use apportion_mig::geometry::{MODELS, Model};
use apportion_mig::profile::MigProfile;

/// What is wrong in a configuration, alone.
pub fn lint(configuration: &Configuration) -> Vec<Finding> {
    let mut lint = Lint {
        configuration,
        findings: Vec::new(),
    };
    lint.whole();
    lint.findings
}

/// The names of its entries.
pub fn names(configuration: &Configuration) -> impl Iterator<Item = &str> {
    let configs = configuration.root.get(known::CONFIGS);
    configs
        .into_iter()
        .flat_map(Value::entries)
        .map(|(key, _)| key.text.as_str())
}

/// The devices of one item of an entry; `None` where one can not be read.
pub fn devices(item: &Value) -> Option<Vec<(MigProfile, u64)>> {
    let entries = item.get(known::MIG_DEVICES)?.entries();
    entries
        .iter()
        .map(|(profile, count)| Some((profile.text.parse().ok()?, u64::try_from(count.whole()?).ok()?)))
        .collect()
}

struct Lint<'c> {
    configuration: &'c Configuration,
    findings: Vec<Finding>,
}

impl Lint<'_> {
    fn error(&mut self, at: &Location, path: &str, message: impl Into<String>) {
        let field = self.configuration.field(path);
        self.findings.push(Finding::error(at.clone(), field, message));
    }

    fn whole(&mut self) {
        let root = &self.configuration.root;
        match root.get("version") {
            None => self.error(
                &root.location,
                "version",
                format!("mig-parted refuses it without a version; write version: {VERSION}"),
            ),
            Some(version) if version.text() != Some(VERSION) => {
                let message = format!(
                    "{} is no version that mig-parted reads; write {VERSION}",
                    version.quoted()
                );
                self.error(&version.location, "version", message);
            }
            Some(_) => {}
        }
        for key in keys::unknown(root, &MIG_PARTED) {
            let message = format!(
                "mig-parted refuses the whole file for a key that it does not know; {}",
                key.help
            );
            self.error(&key.location, &key.path, message);
        }
        let Some((key, configs)) = root.entry(known::CONFIGS) else {
            return;
        };
        if configs.entries().is_empty() {
            self.error(&key.location, known::CONFIGS, "mig-parted refuses it without an entry");
        }
        for (name, entry) in configs.entries() {
            let path = format!("{}.{}", known::CONFIGS, name.text);
            if entry.items().is_empty() {
                self.error(
                    &name.location,
                    &path,
                    "mig-parted refuses it without an item, such as {devices: all, mig-enabled: false}",
                );
            }
            for (at, item) in entry.items().iter().enumerate() {
                self.item(item, &format!("{path}[{at}]"));
            }
        }
    }

    fn item(&mut self, item: &Value, path: &str) {
        match item.get(known::DEVICES) {
            None => self.error(
                &item.location,
                path,
                "mig-parted refuses it without devices; write devices: all, or a list of indices",
            ),
            Some(devices) => {
                let all = devices.text() == Some("all");
                let indices = !devices.items().is_empty()
                    && devices
                        .items()
                        .iter()
                        .all(|index| index.whole().is_some_and(|index| index >= 0));
                if !all && !indices {
                    let message = format!(
                        "{} is refused; write all, or a list of indices such as [0, 1]",
                        devices.quoted()
                    );
                    self.error(&devices.location, &format!("{path}.devices"), message);
                }
            }
        }
        let enabled = match item.get(known::ENABLED) {
            None => {
                self.error(
                    &item.location,
                    path,
                    "mig-parted refuses it without mig-enabled; write mig-enabled: true or false",
                );
                return;
            }
            Some(value) => {
                let Some(enabled) = value.flag() else {
                    let message = format!("{} is refused; write true or false", value.quoted());
                    self.error(&value.location, &format!("{path}.mig-enabled"), message);
                    return;
                };
                enabled
            }
        };
        let field = format!("{path}.mig-devices");
        match item.entry(known::MIG_DEVICES) {
            None if enabled => {
                self.error(&item.location, &field, "mig-parted refuses mig-enabled: true without mig-devices; name profiles and their number, or write {}");
            }
            Some((key, devices)) if !enabled && !devices.entries().is_empty() => {
                self.error(
                    &key.location,
                    &field,
                    "mig-parted refuses devices with mig-enabled: false; write true, or remove them",
                );
            }
            Some((key, _)) if enabled => self.devices(item, &key.location, &field),
            _ => {}
        }
    }

    fn devices(&mut self, item: &Value, at: &Location, field: &str) {
        let before = self.findings.len();
        let entries = item.get(known::MIG_DEVICES).map_or(&[][..], Value::entries);
        for (profile, count) in entries {
            // A compute instance smaller than its GPU instance is good for mig-parted and has no resource in Kubernetes.
            if let Err(error) = profile.text.parse::<MigProfile>() {
                let smaller = profile
                    .text
                    .split_once("c.")
                    .is_some_and(|(_, whole)| whole.parse::<MigProfile>().is_ok());
                let message = if smaller {
                    format!(
                        "the device plugin gives `{}` no resource, so no pod can ask for it; write a profile without c",
                        profile.text
                    )
                } else {
                    error.to_string()
                };
                self.error(&profile.location, field, message);
            }
            if count.whole().is_none_or(|count| count < 0) {
                self.error(
                    &count.location,
                    field,
                    format!("{} is no number of devices", count.quoted()),
                );
            }
        }
        if !entries.is_empty() && entries.iter().all(|(_, count)| count.whole() == Some(0)) {
            self.error(
                at,
                field,
                "mig-parted refuses it when every number is 0; write {} to have MIG on without devices",
            );
        }
        if self.findings.len() > before {
            return;
        }
        if let Some(devices) = devices(item)
            && let Some(objection) = nowhere(&devices)
        {
            self.error(at, field, objection);
        }
    }
}

/// Why devices fit on no product that is known.
fn nowhere(devices: &[(MigProfile, u64)]) -> Option<String> {
    let has = |model: &&'static Model| devices.iter().all(|(profile, _)| model.row(*profile).is_some());
    let having: Vec<&'static Model> = MODELS.iter().filter(has).collect();
    if having.iter().any(|model| model.fits(devices)) {
        return None;
    }
    let Some(model) = having.first() else {
        let names: Vec<String> = devices.iter().map(|(profile, _)| profile.to_string()).collect();
        return Some(format!("no product that is known has {}", names.join(" and ")));
    };
    layout::objection(model, devices)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::source::Sources;

    fn found(text: &str) -> Vec<String> {
        let mut sources = Sources::default();
        sources.add("m.yaml", text).unwrap();
        let configurations = sources.config_maps.iter().flat_map(|map| &map.mig_parted);
        configurations
            .flat_map(lint)
            .map(|finding| finding.to_string())
            .collect()
    }

    #[test]
    fn good_ones_are_left_alone() {
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
    fn each_mistake_is_named_with_its_place_and_its_remedy() {
        let item = |item: &str| format!("version: v1\nmig-configs:\n  a:\n  - {item}\n");
        for (text, place, words) in [
            (
                "mig-configs: {a: [{devices: all, mig-enabled: false}]}\n".to_owned(),
                "m.yaml:1:1",
                "write version: v1",
            ),
            (
                "version: v1\nmig-configs: {}\n".to_owned(),
                "m.yaml:2:1",
                "without an entry",
            ),
            (
                item("{device: all, mig-enabled: false}"),
                "m.yaml:4:6",
                "did you mean devices?",
            ),
            (
                item("{device: all, mig-enabled: false}"),
                "m.yaml:4:5",
                "without devices",
            ),
            (
                item("{devices: some, mig-enabled: false}"),
                "m.yaml:4:15",
                "write all, or a list",
            ),
            (item("{devices: all}"), "m.yaml:4:5", "without mig-enabled"),
            (
                item("{devices: all, mig-enabled: yes please}"),
                "m.yaml:4:33",
                "write true or false",
            ),
            (
                item("{devices: all, mig-enabled: true}"),
                "m.yaml:4:5",
                "without mig-devices",
            ),
            (
                item("{devices: all, mig-enabled: false, mig-devices: {1g.5gb: 7}}"),
                "m.yaml:4:40",
                "with mig-enabled: false",
            ),
            (
                item("{devices: all, mig-enabled: true, mig-devices: {1g.5gb: 0}}"),
                "m.yaml:4:39",
                "every number is 0",
            ),
            (
                item("{devices: all, mig-enabled: true, mig-devices: {1g5gb: 1}}"),
                "m.yaml:4:53",
                "is not a MIG profile",
            ),
            (
                item("{devices: all, mig-enabled: true, mig-devices: {1c.3g.20gb: 1}}"),
                "m.yaml:4:53",
                "no resource, so no pod",
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
                "no product that is known has 9g.99gb",
            ),
        ] {
            let found = found(&text);
            let hit = |line: &&String| line.starts_with(&format!("{place}: error: ")) && line.contains(words);
            assert!(found.iter().any(|line| hit(&line)), "{text}\n{found:#?}");
        }
    }
}
