//! Reads documents whose values know their location, so that findings can name line and column.

use std::borrow::Cow;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_saphyr::{Error, Localizer, MessageFormatter, Spanned, UserMessageFormatter};

use super::finding::{Finding, Location};

/// Reads one file, and collects findings.
pub struct Reader {
    file: Arc<str>,
    pub findings: Vec<Finding>,
}

impl Reader {
    /// A reader for the file of this name.
    pub fn new(file: &str) -> Self {
        Reader {
            file: file.into(),
            findings: Vec::new(),
        }
    }

    /// Parses all documents of a file. A file without documents is an error too; its message names
    /// `kind`.
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

    /// A finding for a text that cannot be parsed.
    pub fn unreadable(&self, error: &Error) -> Finding {
        let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
        let location = Location {
            file: Arc::clone(&self.file),
            line,
            column,
        };
        let message = error.without_snippet().render_with_formatter(&ParseErrorFormatter);
        Finding::error(location, "", message)
    }

    /// The location of a value.
    pub fn at<T>(&self, value: &Spanned<T>) -> Location {
        Location {
            file: Arc::clone(&self.file),
            line: value.referenced.line(),
            column: value.referenced.column(),
        }
    }

    /// Adds an error about a value.
    pub fn error<T>(&mut self, value: &Spanned<T>, field: &str, message: impl Into<String>) {
        let at = self.at(value);
        self.findings.push(Finding::error(at, field, message));
    }

    /// Adds a warning about a value.
    pub fn warning<T>(&mut self, value: &Spanned<T>, field: &str, message: impl Into<String>) {
        let at = self.at(value);
        self.findings.push(Finding::warning(at, field, message));
    }
}

/// Renders parser errors for users: without settings of the parser, and without the location, which
/// the finding has.
struct ParseErrorFormatter;

impl MessageFormatter for ParseErrorFormatter {
    fn localizer(&self) -> &dyn Localizer {
        &WithoutLocation
    }

    fn format_message<'a>(&self, error: &'a Error) -> Cow<'a, str> {
        match error {
            Error::DuplicateMappingKey { key: Some(key), .. } => format!("duplicate mapping key: {key}").into(),
            Error::DuplicateMappingKey { key: None, .. } => "duplicate mapping key".into(),
            _ => UserMessageFormatter.format_message(error),
        }
    }
}

struct WithoutLocation;

impl Localizer for WithoutLocation {
    fn attach_location<'a>(&self, base: Cow<'a, str>, _: serde_saphyr::Location) -> Cow<'a, str> {
        base
    }

    fn alias_defined_at(&self, _: serde_saphyr::Location) -> String {
        String::new()
    }

    fn alias_used_at(&self, _: serde_saphyr::Location) -> String {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Document {
        #[serde(rename = "list")]
        _list: Vec<String>,
        #[serde(default, rename = "text")]
        _text: String,
    }

    #[test]
    fn parse_errors_name_no_parser_settings_and_no_second_location() {
        for (text, expected) in [
            ("list: []\nlist: []\n", "f:2:1: error: duplicate mapping key: list"),
            ("list: [x\n", "unclosed bracket"),
            ("list: *x\n", "unknown"),
            ("list: &x [y]\ntext: *x\n", "expected"),
            ("lists: []\n", "f:1:1: error: unknown field `lists`"),
        ] {
            let error = Reader::new("f").documents::<Document>(text, "Document").unwrap_err()[0].to_string();
            assert!(error.starts_with("f:") && error.contains(expected), "{text}: {error}");
            for leaked in [" at line ", "line 1", "line 2", "Policy", "Options"] {
                assert!(!error.contains(leaked), "{text}: {error}");
            }
        }
    }
}
