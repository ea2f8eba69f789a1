//!

pub mod glob;
pub mod html;
pub mod picture;
pub mod svg;
pub mod waiting;
