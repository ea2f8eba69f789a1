//! Strings in YAML and in shell commands.

/// Formats a string as a YAML scalar that YAML 1.1 and 1.2 parsers read as this string.
// serde_saphyr quotes by other rules: it leaves `4090-pool` and `a,b` plain, for example, so rendered
// files that users keep in repositories would change.
pub(super) fn yaml_scalar(text: &str) -> String {
    const RESERVED: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/'))
        && !RESERVED.iter().any(|word| word.eq_ignore_ascii_case(text));
    if is_plain {
        text.to_owned()
    } else {
        // A JSON string is a double-quoted YAML scalar.
        serde_json::Value::from(text).to_string()
    }
}

/// Formats a string as one word of a POSIX shell command.
pub(super) fn shell_word(text: &str) -> String {
    let is_plain = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/' | b'=' | b',' | b':'));
    if is_plain && !text.is_empty() {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_scalars_are_read_back_as_the_same_string() {
        for text in [
            "plain", "a.b-c/d", "on", "No", "1", "1e3", "0x10", "null", "a: b", "#", "", "it's", "-", "a b",
        ] {
            let read: String = serde_saphyr::from_str(&yaml_scalar(text)).unwrap();
            assert_eq!(read, text);
        }
    }

    #[test]
    fn only_ambiguous_strings_are_quoted() {
        assert_eq!(yaml_scalar("t4"), "t4");
        assert_eq!(yaml_scalar("on"), "\"on\"");
        assert_eq!(yaml_scalar("12"), "\"12\"");
        assert_eq!(shell_word("a=b"), "a=b");
        assert_eq!(shell_word("it's"), "'it'\\''s'");
    }
}
