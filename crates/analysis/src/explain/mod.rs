//!

pub mod diff;
pub mod governance;
pub mod inquiry;
pub mod nodes;
pub mod report;
pub mod workload;
