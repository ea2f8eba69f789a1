//! Tests policies: admits the pods of a test file and compares the results with its expectations.
//!
//! [`test_file`] is the file as users write it, [`run`](fn@run) runs one of its cases.

pub mod run;
pub mod test_file;

pub use run::{CaseError, CaseResult, run};
pub use test_file::{TestCase, TestFile, TestFileError};
