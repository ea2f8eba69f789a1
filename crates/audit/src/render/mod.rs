//! The report as HTML and Markdown.

pub mod format;
pub mod html;
pub mod markdown;
