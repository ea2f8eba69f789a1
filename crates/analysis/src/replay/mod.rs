//!

pub mod play;
pub mod report;
pub mod restored;
