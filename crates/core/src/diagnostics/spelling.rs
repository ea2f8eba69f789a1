//! What somebody may have meant by a word that is not known.

/// The candidate that is the fewest typing errors away, if these are few for the length of the word. Case does not count.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let word = word.to_ascii_lowercase();
    // A third of a word may be wrong; of a short one, a letter. More finds a "suggestion" for anything.
    let most = (word.len() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (distance(&word, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= most && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, substitutions and swaps of neighbours that make one text of the other
/// (Damerau-Levenshtein, optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let differs = usize::from(a[i - 1] != b[j - 1]);
            let mut fewest = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + differs);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                fewest = fewest.min(before_last[j - 2] + 1);
            }
            row.push(fewest);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("a100", "a100", 0),
            ("a100", "a10", 1),
            ("a010", "a100", 1),
            ("trainning", "training", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!((distance(a, b), distance(b, a)), (expected, expected), "{a} {b}");
        }
    }

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        let policies = ["training", "inference", "multi-tenant"];
        for (word, expected) in [
            ("trainning", Some("training")),
            ("Training", Some("training")),
            ("infrence", Some("inference")),
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
