//! Findings in documents that users write: severity, file, line, column, field, message.

pub mod count;
pub mod finding;
pub mod reader;
pub mod spelling;

pub use count::counted;
pub use finding::{Finding, Location, Severity};
pub use reader::Reader;
