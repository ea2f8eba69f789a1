//! Findings in documents that users write: severity, file, line, column, field, message.

use std::fmt;

pub mod excerpt;
pub mod finding;
pub mod reader;
pub mod selector;
pub mod spelling;

pub use excerpt::excerpt;
pub use finding::{Finding, Location, Severity};
pub use reader::Reader;
pub use selector::SelectorDocument;

/// A count with its noun, for messages: `1 pod`, `2 pods`.
pub fn counted<N: Copy + fmt::Display + PartialEq + From<u8>>(count: N, noun: &str) -> String {
    format!("{count} {noun}{}", if count == N::from(1) { "" } else { "s" })
}
