//! The report as HTML and Markdown.

pub mod chart;
pub mod figure;
pub mod html;
pub mod markdown;
mod style;
mod table;
