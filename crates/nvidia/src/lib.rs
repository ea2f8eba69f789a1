//! The configuration of NVIDIA's components: sharing plans, the files that they render to, and a linter for such files.

pub mod file_keys;
pub mod lint;
pub mod mig_parted;
pub mod plan;
