//! Configuration of NVIDIA's components: sharing plans, the files rendered from them, and a linter
//! for such files.

pub mod file_keys;
pub mod lint;
pub mod mig_parted;
pub mod plan;
pub mod schema;
pub mod yaml;
