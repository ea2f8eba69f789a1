//! The answers to all questions, by device and by who held it.

use std::collections::BTreeMap;

use super::device::{Activity, DeviceKey, DeviceReading, HolderKey};
use super::question::Topic;
use super::window::Window;
use crate::dcgm::{HOST_NEW, HOST_OLD, INSTANCE, MODEL, PROFILE, UUID, VIRTUAL};
use apportion_mig::product::Product;

/// One series of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Seconds since 1970, and the value then.
    pub points: Vec<(i64, f64)>,
}

impl Series {
    fn label(&self, name: &str) -> Box<str> {
        self.first(&[name])
    }

    /// The first of these labels that it has.
    fn first(&self, names: &[&str]) -> Box<str> {
        let found = names.iter().find_map(|name| self.labels.get(*name));
        found.map_or("", String::as_str).into()
    }
}

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Readings {
    /// Every device that was seen.
    pub devices: BTreeMap<DeviceKey, DeviceReading>,
    /// Who held it, as far as the exporter says.
    pub holders: BTreeMap<DeviceKey, BTreeMap<HolderKey, Activity>>,
}

impl Readings {
    /// Takes an answer. Values that are no numbers (a quantile of nothing) are passed over.
    pub fn take(&mut self, window: &Window, topic: Topic, answer: Vec<Series>) {
        for series in answer {
            let key = DeviceKey {
                node: series.first(&[HOST_NEW, HOST_OLD]),
                uuid: series.label(UUID),
                instance: series.label(INSTANCE),
                profile: series.label(PROFILE),
            };
            for (at, value) in series.points.iter().copied().filter(|(_, value)| value.is_finite()) {
                match topic {
                    Topic::HolderSteps
                    | Topic::HolderMean
                    | Topic::HolderP95
                    | Topic::HolderIdle
                    | Topic::HolderMemoryPeak
                    | Topic::HolderTrend => {
                        let holder = HolderKey {
                            namespace: series.first(&["exported_namespace", "namespace"]),
                            pod: series.first(&["exported_pod", "pod"]),
                            replica: series.label(VIRTUAL),
                            exported: series.labels.contains_key("exported_pod"),
                        };
                        let holders = self.holders.entry(key.clone()).or_default();
                        put(holders.entry(holder).or_default(), window, topic, at, value);
                    }
                    _ => {
                        let device = self.devices.entry(key.clone()).or_default();
                        match topic {
                            Topic::MemoryMean => device.memory_mean = Some(value),
                            Topic::MemoryTotal => device.memory_total = Some(value),
                            Topic::Beside => device.beside_steps = value,
                            _ => put(&mut device.activity, window, topic, at, value),
                        }
                        let model = series.label(MODEL);
                        if !model.is_empty() {
                            device.product = Some(Product::from(&*model.replace(' ', "-")));
                        }
                    }
                }
            }
        }
    }

    /// Drops what bore a pod's name without any value of utilization: it can not be reckoned with.
    pub fn settle(&mut self) {
        for holders in self.holders.values_mut() {
            holders.retain(|_, activity| activity.steps > 0.0);
        }
        self.holders.retain(|_, holders| !holders.is_empty());
    }
}

fn put(activity: &mut Activity, window: &Window, topic: Topic, at: i64, value: f64) {
    match topic {
        Topic::Steps | Topic::HolderSteps => activity.steps = value,
        Topic::Mean | Topic::HolderMean => activity.mean = value,
        Topic::P95 | Topic::HolderP95 => activity.p95 = value,
        Topic::Idle | Topic::HolderIdle => activity.idle_steps = value,
        // A product's name can change with a driver: then the peak comes once for each.
        Topic::MemoryPeak | Topic::HolderMemoryPeak => {
            activity.memory_peak = Some(activity.memory_peak.map_or(value, |peak| peak.max(value)));
        }
        Topic::Trend | Topic::HolderTrend => activity.trend.put(window, at, value),
        Topic::MemoryMean | Topic::MemoryTotal | Topic::Beside => {}
    }
}
