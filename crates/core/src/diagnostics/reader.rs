//! Reads documents that know their places: what a mistake in one is told with.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_saphyr::Spanned;

use super::finding::{Finding, Location};
use crate::k8s::{LabelSelector, Operator, Requirement};
use crate::policy::document::Selector;

/// A file that is being read, and what was found in it so far.
pub struct Reader {
    file: Arc<str>,
    /// What was found.
    pub findings: Vec<Finding>,
}

impl Reader {
    /// A reader of the file of this name.
    pub fn of(file: &str) -> Self {
        Reader {
            file: file.into(),
            findings: Vec::new(),
        }
    }

    /// All documents of the file's text; none is a mistake, too. `kind` is what they should be.
    pub fn documents<T: DeserializeOwned>(&self, text: &str, kind: &str) -> Result<Vec<T>, Vec<Finding>> {
        let documents: Vec<T> = serde_saphyr::from_multiple(text).map_err(|error| vec![self.unreadable(&error)])?;
        if documents.is_empty() {
            return Err(vec![Finding::error(
                Location::file(&self.file),
                "",
                format!("holds no {kind}"),
            )]);
        }
        Ok(documents)
    }

    /// Why the text is no such document.
    pub fn unreadable(&self, error: &serde_saphyr::Error) -> Finding {
        let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
        // The library ends its text with the place, which the finding names in front.
        let message = error.without_snippet().to_string();
        let message = message.split(" at line ").next().unwrap_or(&message);
        // A message of several clauses gives the remedy last, and here it would name a setting of the library.
        let message = message.split(", set DuplicateKeyPolicy").next().unwrap_or(message);
        let location = Location {
            file: Arc::clone(&self.file),
            line,
            column,
        };
        Finding::error(location, "", message)
    }

    /// Where a value stands.
    pub fn at<T>(&self, value: &Spanned<T>) -> Location {
        Location {
            file: Arc::clone(&self.file),
            line: value.referenced.line(),
            column: value.referenced.column(),
        }
    }

    /// A value that can not be used.
    pub fn error<T>(&mut self, value: &Spanned<T>, field: &str, message: impl Into<String>) {
        let at = self.at(value);
        self.findings.push(Finding::error(at, field, message));
    }

    /// A value that does not do what it seems to.
    pub fn warning<T>(&mut self, value: &Spanned<T>, field: &str, message: impl Into<String>) {
        let at = self.at(value);
        self.findings.push(Finding::warning(at, field, message));
    }

    /// A label selector; its mistakes are found.
    pub fn selector(&mut self, selector: &Selector, field: &str) -> LabelSelector {
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
            let wants_values = matches!(operator, Operator::In | Operator::NotIn);
            if wants_values && parts.values.is_empty() {
                self.error(expression, &field, format!("{} needs values", operator.as_str()));
            } else if !wants_values && !parts.values.is_empty() {
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

    /// Whether a text can be a label's key; if not, that is found.
    pub fn label_key(&mut self, key: &str, place: &Spanned<String>, field: &str) {
        let (prefix, name) = match key.split_once('/') {
            Some((prefix, name)) => (Some(prefix), name),
            None => (None, key),
        };
        let good_prefix = prefix.is_none_or(|prefix| {
            prefix.len() <= 253
                && prefix.split('.').all(|part| {
                    !part.is_empty()
                        && part
                            .bytes()
                            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                })
        });
        if !good_prefix || name.is_empty() || !is_label_text(name) {
            self.error(place, field, format!("`{key}` can not be the key of a label"));
        }
    }

    fn label_value(&mut self, value: &Spanned<String>, field: &str) {
        if !is_label_text(&value.value) {
            let message = format!(
                "`{}` can not be the value of a label: use at most 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends",
                value.value
            );
            self.error(value, field, message);
        }
    }
}

/// Whether a text can be a value of a label: `validation.IsValidLabelValue` of k8s.io/apimachinery.
pub fn is_label_text(text: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}
