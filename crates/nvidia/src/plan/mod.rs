//! Sharing plans: pools of nodes, each with a strategy, and the configuration of NVIDIA's components that makes it so.
//!
//! Documents become [`Plan`]s that NVIDIA's components take and obey, or findings that say where and why not. Pure: texts come in,
//! texts go out; who reads and writes files is somebody else.

pub mod check;
pub mod document;
pub mod layout;
pub mod model;
pub mod parse;
pub mod policies;
mod pool;
pub mod render;

pub use model::{Plan, Pool, Sharing};
pub use parse::parse;
pub use render::{Rendered, render};
