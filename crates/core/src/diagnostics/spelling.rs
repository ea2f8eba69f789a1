//! Suggestions for misspelt words.

/// The candidate closest to the word, if few typing errors lie between them. Ignores case.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word = word.to_ascii_lowercase();
    // A third of the word may be wrong, or one letter of a short one. With more, unrelated words
    // match.
    let max_errors = (word.len() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| {
            let errors = strsim::osa_distance(&word, &candidate.to_ascii_lowercase());
            (errors, candidate)
        })
        .filter(|(errors, candidate)| *errors <= max_errors && *errors < candidate.len())
        .min_by_key(|(errors, _)| *errors)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_words_are_suggested_and_others_are_not() {
        let policies = ["training", "inference", "multi-tenant"];
        for (word, expected) in [
            ("trainning", Some("training")),
            ("Training", Some("training")),
            ("infrence", Some("inference")),
            ("ifnerence", Some("inference")),
            ("multitenant", Some("multi-tenant")),
            ("production", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, policies), expected, "{word}");
        }
        assert_eq!(nearest("A1000", ["A100", "H100"]), Some("A100"));
        assert_eq!(nearest("RTX-4090", ["A100", "T4"]), None);
    }
}
