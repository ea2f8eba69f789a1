//! Label selectors in documents.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::reader::Reader;
use crate::k8s::{LabelSelector, Operator, Requirement};

/// A `metav1.LabelSelector` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SelectorDocument {
    #[serde(default)]
    pub match_labels: BTreeMap<String, Spanned<String>>,
    #[serde(default)]
    pub match_expressions: Vec<Spanned<ExpressionDocument>>,
}

/// A `metav1.LabelSelectorRequirement` as it is written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpressionDocument {
    pub key: Spanned<String>,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: Spanned<String>,
    #[serde(default)]
    pub values: Vec<Spanned<String>>,
}

impl Reader {
    /// Validates a label selector. Requirements with errors are left out or incomplete, and have
    /// findings.
    pub fn selector(&mut self, selector: &SelectorDocument, field: &str) -> LabelSelector {
        let mut requirements = Vec::new();
        for (key, value) in &selector.match_labels {
            let field = format!("{field}.matchLabels[{key}]");
            self.label_key(key, value, &field);
            self.label_value(value, &field);
            requirements.push(Requirement::new(key, Operator::In, [&value.value]));
        }
        for (at, expression) in selector.match_expressions.iter().enumerate() {
            let field = format!("{field}.matchExpressions[{at}]");
            let Spanned { value: parts, .. } = expression;
            self.label_key(&parts.key.value, &parts.key, &format!("{field}.key"));
            for value in &parts.values {
                self.label_value(value, &format!("{field}.values"));
            }
            let operator = match Operator::parse(&parts.operator.value) {
                Some(operator) if !matches!(operator, Operator::Gt | Operator::Lt) => operator,
                _ => {
                    let message = format!(
                        "`{}` is not an operator of a label selector; use In, NotIn, Exists or DoesNotExist",
                        parts.operator.value
                    );
                    self.error(&parts.operator, &format!("{field}.operator"), message);
                    continue;
                }
            };
            let takes_values = matches!(operator, Operator::In | Operator::NotIn);
            if takes_values && parts.values.is_empty() {
                self.error(expression, &field, format!("{} needs values", operator.as_str()));
            } else if !takes_values && !parts.values.is_empty() {
                self.error(expression, &field, format!("{} takes no values", operator.as_str()));
            }
            requirements.push(Requirement::new(
                &parts.key.value,
                operator,
                parts.values.iter().map(|value| &value.value),
            ));
        }
        LabelSelector { requirements }
    }

    /// Adds an error at `place` if `key` is not a valid label key.
    pub fn label_key(&mut self, key: &str, place: &Spanned<String>, field: &str) {
        let (prefix, name) = match key.split_once('/') {
            Some((prefix, name)) => (Some(prefix), name),
            None => (None, key),
        };
        let is_valid_prefix = prefix.is_none_or(|prefix| {
            prefix.len() <= 253
                && prefix.split('.').all(|part| {
                    !part.is_empty()
                        && part
                            .bytes()
                            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                })
        });
        if !is_valid_prefix || name.is_empty() || !is_label_text(name) {
            self.error(
                place,
                field,
                format!(
                    "`{key}` is not a valid label key; use letters, digits, `-`, `_` and `.`, optionally after a DNS name and `/`"
                ),
            );
        }
    }

    fn label_value(&mut self, value: &Spanned<String>, field: &str) {
        if !is_label_text(&value.value) {
            let message = format!(
                "`{}` is not a valid label value; use at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends",
                value.value
            );
            self.error(value, field, message);
        }
    }
}

/// Whether a text is a valid label value: `validation.IsValidLabelValue` of k8s.io/apimachinery.
pub fn is_label_text(text: &str) -> bool {
    let is_edge = |b: Option<&u8>| b.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && is_edge(bytes.first())
        && is_edge(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}
