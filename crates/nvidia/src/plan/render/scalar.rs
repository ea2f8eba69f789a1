//! Texts in YAML.

/// A text as a YAML scalar that every version of YAML reads as this text.
pub(super) fn scalar(text: &str) -> String {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/'))
        && !WORDS.iter().any(|word| word.eq_ignore_ascii_case(text));
    if plain {
        text.to_owned()
    } else {
        // What JSON reads, YAML reads.
        serde_json::Value::from(text).to_string()
    }
}

/// A text in a shell command.
pub(super) fn argument(text: &str) -> String {
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/' | b'=' | b',' | b':'));
    if plain && !text.is_empty() {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_something_else() {
        for text in [
            "plain", "a.b-c/d", "on", "No", "1", "1e3", "0x10", "null", "a: b", "#", "", "it's", "-", "a b",
        ] {
            let read: String = serde_saphyr::from_str(&scalar(text)).unwrap();
            assert_eq!(read, text);
        }
        assert_eq!(
            (scalar("t4"), scalar("on"), scalar("12")),
            ("t4".into(), "\"on\"".into(), "\"12\"".into())
        );
        assert_eq!((argument("a=b"), argument("it's")), ("a=b".into(), "'it'\\''s'".into()));
    }
}
