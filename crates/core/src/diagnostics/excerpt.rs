//! Values in messages, cut to a bounded length.

use std::borrow::Cow;

/// How many characters of a value a message quotes. A field of a pod can be as long as a request,
/// and a message about it goes to logs, events and the answers for thousands of nodes.
pub const MAX_QUOTED: usize = 256;

/// `value`, or its first [`MAX_QUOTED`] characters followed by `...`.
pub fn excerpt(value: &str) -> Cow<'_, str> {
    match value.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{}...", &value[..end]).into(),
        None => value.into(),
    }
}
