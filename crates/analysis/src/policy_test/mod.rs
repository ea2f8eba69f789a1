//!

pub mod case;
pub mod document;
