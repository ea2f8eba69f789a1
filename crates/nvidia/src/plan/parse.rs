//! From text to a plan, or to findings that say where and why not.

use serde_saphyr::Spanned;

use super::check;
use super::document::{DevicePlugin, Document, Spec};
use super::model::{KIND, MigStrategy, Plan};
use super::pool::pool;
use crate::file_keys::plugin;
use apportion_core::diagnostics::reader::{Reader, is_label_text};
use apportion_core::diagnostics::{Finding, Severity};
use apportion_core::policy::model::API_VERSION;

/// Reads a plan. Beside one that can be used there may be warnings.
pub fn parse(file: &str, text: &str) -> Result<(Plan, Vec<Finding>), Vec<Finding>> {
    let mut reader = Reader::of(file);
    let documents: Vec<Document> = reader.documents(text, KIND)?;
    let [document] = &documents[..] else {
        let second = &documents[1].kind;
        reader.error(second, "", format!("a second {KIND}; give each a file of its own"));
        return Err(reader.findings);
    };
    let plan = read(&mut reader, document);
    check::whole(&mut reader, document, &plan);
    let mut findings = reader.findings;
    findings.sort_by(|a, b| a.location.cmp(&b.location));
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        Err(findings)
    } else {
        Ok((plan, findings))
    }
}

/// A plan whose mistakes are the reader's findings; of what is wrong in it, something stands there that is not.
fn read(reader: &mut Reader, document: &Document) -> Plan {
    if document.api_version.value != API_VERSION {
        let message = format!("`{}` is not known; write {API_VERSION}", document.api_version.value);
        reader.error(&document.api_version, "apiVersion", message);
    }
    if document.kind.value != KIND {
        let message = format!("`{}` is not known; write {KIND}", document.kind.value);
        reader.error(&document.kind, "kind", message);
    }
    let spec = &document.spec;
    let name = object_name(reader, &document.metadata.name, "metadata.name", 40);
    let named = |reader: &mut Reader, given: &Option<Spanned<String>>, field: &str, default: &str| match given {
        Some(text) => object_name(reader, text, field, 63),
        None => default.to_owned(),
    };
    let config_map = named(
        reader,
        &spec.device_plugin.config_map.name,
        "spec.devicePlugin.configMap.name",
        &format!("{name}-device-plugin"),
    );
    Plan {
        operator_namespace: named(
            reader,
            &spec.operator.namespace,
            "spec.operator.namespace",
            "gpu-operator",
        ),
        operator_mig_strategy: operator_mig_strategy(reader, spec),
        config_map,
        default: spec.device_plugin.default.as_ref().map(|text| text.value.clone()),
        plugin_environment: plugin_environment(reader, &spec.device_plugin),
        scheduler: named(
            reader,
            &spec.scheduler.name,
            "spec.scheduler.name",
            "apportion-scheduler",
        ),
        scheduler_namespace: named(
            reader,
            &spec.scheduler.namespace,
            "spec.scheduler.namespace",
            "apportion-system",
        ),
        pools: spec
            .pools
            .value
            .iter()
            .enumerate()
            .filter_map(|(at, entry)| pool(reader, entry, &format!("spec.pools[{at}]")))
            .collect(),
        name,
    }
}

/// A name that can be one of a Kubernetes object, a key of a `ConfigMap` and the value of a label.
pub(super) fn object_name(reader: &mut Reader, text: &Spanned<String>, field: &str, longest: usize) -> String {
    let lower = text
        .value
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'));
    if text.value.is_empty() || text.value.len() > longest || !lower || !is_label_text(&text.value) {
        let message = format!(
            "`{}` can not be a name here: use at most {longest} lower-case letters, digits, `-` and `.`, with a letter or digit at both ends",
            text.value
        );
        reader.error(text, field, message);
    }
    text.value.clone()
}

pub(super) fn one_of(reader: &mut Reader, text: &Spanned<String>, field: &str, known: &[&str]) {
    if !known.contains(&text.value.as_str()) {
        reader.error(
            text,
            field,
            format!("`{}` is not known; use {}", text.value, known.join(" or ")),
        );
    }
}

fn operator_mig_strategy(reader: &mut Reader, spec: &Spec) -> Option<MigStrategy> {
    let text = spec
        .operator
        .mig_strategy
        .as_ref()
        .filter(|text| !text.value.is_empty())?;
    let known = MigStrategy::ALL.map(MigStrategy::as_str);
    one_of(reader, text, "spec.operator.migStrategy", &known);
    MigStrategy::parse(&text.value)
}

fn plugin_environment(reader: &mut Reader, given: &DevicePlugin) -> Vec<(&'static str, String)> {
    let field = |name: &str| format!("spec.devicePlugin.{name}");
    let mut environment = Vec::new();
    if let Some(text) = &given.device_list_strategy {
        for part in text.value.split(',') {
            let part = Spanned::new(part.to_owned(), text.referenced, text.defined);
            one_of(
                reader,
                &part,
                &field("deviceListStrategy"),
                &plugin::DEVICE_LIST_STRATEGIES,
            );
        }
        environment.push(("DEVICE_LIST_STRATEGY", text.value.clone()));
    }
    if let Some(text) = &given.device_id_strategy {
        one_of(reader, text, &field("deviceIDStrategy"), &plugin::DEVICE_ID_STRATEGIES);
        environment.push(("DEVICE_ID_STRATEGY", text.value.clone()));
    }
    if let Some(pass) = given.pass_device_specs {
        environment.push(("PASS_DEVICE_SPECS", pass.to_string()));
    }
    if let Some(fail) = given.fail_on_init_error {
        environment.push(("FAIL_ON_INIT_ERROR", fail.to_string()));
    }
    environment
}
