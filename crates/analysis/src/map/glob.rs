//! Names with wildcards.

use std::convert::Infallible;
use std::str::FromStr;

/// A name in which `*` stands for any text and `?` for one character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Vec<char>);

impl FromStr for Glob {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Glob(text.chars().collect()))
    }
}

impl Glob {
    /// Whether it stands for `name`.
    pub fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        let (mut at, mut seen) = (0, 0);
        // Where to go on when what follows the last star does not fit: behind the star, one character further in the name.
        let mut retry: Option<(usize, usize)> = None;
        while seen < name.len() {
            match self.0.get(at) {
                Some('*') => {
                    retry = Some((at + 1, seen));
                    at += 1;
                }
                Some(c) if *c == '?' || *c == name[seen] => (at, seen) = (at + 1, seen + 1),
                _ => match retry {
                    Some((behind, from)) => {
                        retry = Some((behind, from + 1));
                        (at, seen) = (behind, from + 1);
                    }
                    None => return false,
                },
            }
        }
        self.0[at..].iter().all(|c| *c == '*')
    }

    /// Whether one of `globs` stands for `name`; an empty list stands for all.
    pub fn any(globs: &[Glob], name: &str) -> bool {
        globs.is_empty() || globs.iter().any(|glob| glob.matches(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_stand_for_others() {
        for (glob, name, expected) in [
            ("a100-1", "a100-1", true),
            ("a100-1", "a100-10", false),
            ("a100-*", "a100-", true),
            ("*-1", "a-1-1", true),
            ("*-1", "a-1-2", false),
            ("a?00*", "a100-mig", true),
            ("a*b*c", "axxbxxbc", true),
            ("a*b*c", "axxcxxb", false),
            ("", "", true),
            ("", "a", false),
            ("**", "", true),
        ] {
            let glob: Glob = glob.parse().unwrap();
            assert_eq!(glob.matches(name), expected, "{glob:?} {name}");
        }
        assert!(Glob::any(&[], "x"));
    }
}
