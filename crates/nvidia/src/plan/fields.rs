//! Checks of single fields.

use serde_saphyr::Spanned;

use apportion_core::diagnostics::{Reader, selector::is_label_text};

/// Checks a name that serves as the name of an object, a key of a `ConfigMap` or the value of a
/// label.
pub(super) fn object_name(reader: &mut Reader, text: &Spanned<String>, field: &str, max_length: usize) -> String {
    let is_lowercase = text.value.bytes().all(is_name_byte);
    if text.value.is_empty() || text.value.len() > max_length || !is_lowercase || !is_label_text(&text.value) {
        let message = format!(
            "`{}` is not a valid name; use at most {max_length} lower-case letters, digits, `-` and `.`, and start and end with a letter or digit",
            text.value
        );
        reader.error(text, field, message);
    }
    text.value.clone()
}

pub(super) fn node_name(reader: &mut Reader, text: &Spanned<String>, field: &str) {
    let name = text.value.as_bytes();
    let is_end = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    if name.len() > 253 || !is_end(name.first()) || !is_end(name.last()) || !name.iter().all(|b| is_name_byte(*b)) {
        let message = format!(
            "`{}` is not a valid node name; write it as kubectl get nodes shows it",
            text.value
        );
        reader.error(text, field, message);
    }
}

fn is_name_byte(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.')
}

pub(super) fn one_of(reader: &mut Reader, text: &Spanned<String>, field: &str, known: &[&str]) {
    if !known.contains(&text.value.as_str()) {
        let message = format!("`{}` is not known; use {}", text.value, known.join(" or "));
        reader.error(text, field, message);
    }
}
