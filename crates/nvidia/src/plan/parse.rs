//! Parses a plan.

use serde_saphyr::Spanned;

use super::check;
use super::document::{DevicePlugin, Document, Spec};
use super::fields::{object_name, one_of};
use super::model::{KIND, MigStrategy, Plan};
use super::pool::read_pool;
use crate::file_keys::device_plugin as keys;
use crate::yaml::{self, LocatedValue};
use apportion_core::diagnostics::reader::Reader;
use apportion_core::diagnostics::{Finding, Severity};
use apportion_core::policy::model::API_VERSION;

/// Whether a text is a `GpuSharingPlan`, valid or not.
pub fn is_plan(text: &str) -> bool {
    yaml::parse("", text).is_ok_and(|documents| {
        documents
            .iter()
            .any(|document| document.get("kind").and_then(LocatedValue::as_str) == Some(KIND))
    })
}

/// Parses a plan. A valid plan can come with warnings; if there is an error, all findings are
/// returned without a plan.
pub fn parse(file: &str, text: &str) -> Result<(Plan, Vec<Finding>), Vec<Finding>> {
    let mut reader = Reader::new(file);
    let documents: Vec<Document> = reader.documents(text, KIND)?;
    let [document] = &documents[..] else {
        let second = &documents[1].kind;
        reader.error(second, "", format!("a second {KIND}; write one plan per file"));
        return Err(reader.findings);
    };
    let plan = read_plan(&mut reader, document);
    check::check_plan(&mut reader, document, &plan);
    let mut findings = reader.findings;
    findings.sort_by(|a, b| a.location.cmp(&b.location));
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        Err(findings)
    } else {
        Ok((plan, findings))
    }
}

/// Reads a plan and reports its mistakes to the reader. A wrong value is replaced by a valid one,
/// so that the checks continue.
fn read_plan(reader: &mut Reader, document: &Document) -> Plan {
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
    let name_or_default = |reader: &mut Reader, given: &Option<Spanned<String>>, field: &str, default: &str| match given
    {
        Some(text) => object_name(reader, text, field, 63),
        None => default.to_owned(),
    };
    let config_map = name_or_default(
        reader,
        &spec.device_plugin.config_map.name,
        "spec.devicePlugin.configMap.name",
        &format!("{name}-device-plugin"),
    );
    Plan {
        operator_namespace: name_or_default(
            reader,
            &spec.operator.namespace,
            "spec.operator.namespace",
            "gpu-operator",
        ),
        operator_mig_strategy: read_operator_mig_strategy(reader, spec),
        config_map,
        default: spec.device_plugin.default.as_ref().map(|text| text.value.clone()),
        plugin_environment: read_plugin_environment(reader, &spec.device_plugin),
        scheduler: name_or_default(
            reader,
            &spec.scheduler.name,
            "spec.scheduler.name",
            "apportion-scheduler",
        ),
        scheduler_namespace: name_or_default(
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
            .filter_map(|(index, entry)| read_pool(reader, entry, &format!("spec.pools[{index}]")))
            .collect(),
        name,
    }
}

fn read_operator_mig_strategy(reader: &mut Reader, spec: &Spec) -> Option<MigStrategy> {
    let text = spec
        .operator
        .mig_strategy
        .as_ref()
        .filter(|text| !text.value.is_empty())?;
    let known = MigStrategy::ALL.map(MigStrategy::as_str);
    one_of(reader, text, "spec.operator.migStrategy", &known);
    MigStrategy::parse(&text.value)
}

fn read_plugin_environment(reader: &mut Reader, given: &DevicePlugin) -> Vec<(&'static str, String)> {
    let field = |name: &str| format!("spec.devicePlugin.{name}");
    let mut environment = Vec::new();
    if let Some(text) = &given.device_list_strategy {
        for part in text.value.split(',') {
            let part = Spanned::new(part.to_owned(), text.referenced, text.defined);
            one_of(
                reader,
                &part,
                &field("deviceListStrategy"),
                &keys::DEVICE_LIST_STRATEGIES,
            );
        }
        environment.push(("DEVICE_LIST_STRATEGY", text.value.clone()));
    }
    if let Some(text) = &given.device_id_strategy {
        one_of(reader, text, &field("deviceIDStrategy"), &keys::DEVICE_ID_STRATEGIES);
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
