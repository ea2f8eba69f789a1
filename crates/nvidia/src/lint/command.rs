//! Helm commands that install the GPU Operator, in scripts and in texts that show them.

/// A release that a command makes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Release {
    /// Its namespace, where the command names one.
    pub namespace: Option<String>,
    /// What stands behind each `--set`.
    pub settings: Vec<Word>,
}

/// A word of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Without its quotes.
    pub text: String,
    /// Counted from 1.
    pub line: u64,
    /// Counted from 1, in characters.
    pub column: u64,
}

/// The releases of the operator that the commands in a text make.
pub fn releases(text: &str) -> Vec<Release> {
    commands(text).iter().filter_map(|words| release(words)).collect()
}

fn release(words: &[Word]) -> Option<Release> {
    let start = words.iter().position(|word| word.text == "helm")?;
    let words = &words[start + 1..];
    let verb = words
        .iter()
        .any(|word| matches!(word.text.as_str(), "install" | "upgrade"));
    let chart = words
        .iter()
        .any(|word| word.text.ends_with("/gpu-operator") || word.text.contains("/gpu-operator-"));
    if !verb || !chart {
        return None;
    }
    let mut release = Release::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (flag, value) = match word.text.split_once('=').filter(|_| word.text.starts_with('-')) {
            Some((flag, value)) => {
                let before = u64::try_from(flag.chars().count() + 1).unwrap_or_default();
                let value = Word {
                    text: value.to_owned(),
                    line: word.line,
                    column: word.column + before,
                };
                (flag, Some(value))
            }
            None => (word.text.as_str(), None),
        };
        match flag {
            "--set" | "--set-string" => release.settings.extend(value.or_else(|| words.next().cloned())),
            "-n" | "--namespace" => release.namespace = value.or_else(|| words.next().cloned()).map(|word| word.text),
            _ => {}
        }
    }
    Some(release)
}

/// The commands of a shell script, in words: as much of the shell's grammar as such commands use.
fn commands(text: &str) -> Vec<Vec<Word>> {
    let mut found: Vec<Vec<Word>> = vec![Vec::new()];
    let mut word: Option<Word> = None;
    let mut quote: Option<char> = None;
    let (mut line, mut column) = (1, 0);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        column += 1;
        let at = (line, column);
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => {
                push(&mut word, at, None);
                quote = Some(c);
            }
            (None | Some('"'), '\\') => match characters.next() {
                Some('\n') => (line, column) = (line + 1, 0),
                Some(next) => {
                    // The shell takes the backslash; helm's own, in front of a dot, is written twice or in quotes.
                    if quote.is_some() && !matches!(next, '"' | '\\' | '$' | '`') {
                        push(&mut word, at, Some('\\'));
                    }
                    push(&mut word, at, Some(next));
                    column += 1;
                }
                None => {}
            },
            (None, '#') if word.is_none() => while characters.next_if(|c| *c != '\n').is_some() {},
            (None, '\n' | ';' | '&' | '|') => {
                let last = found.last_mut();
                if let Some(words) = last {
                    words.extend(word.take());
                }
                found.push(Vec::new());
            }
            (None, c) if c.is_whitespace() => {
                if let Some(words) = found.last_mut() {
                    words.extend(word.take());
                }
            }
            _ => push(&mut word, at, Some(c)),
        }
        if c == '\n' {
            (line, column) = (line + 1, 0);
        }
    }
    if let Some(words) = found.last_mut() {
        words.extend(word);
    }
    found
}

/// Adds a character to the word, which begins here if there is none yet; nothing is added where a quote opens.
fn push(word: &mut Option<Word>, (line, column): (u64, u64), c: Option<char>) {
    let word = word.get_or_insert(Word {
        text: String::new(),
        line,
        column,
    });
    word.text.extend(c);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_and_namespace_are_read_with_their_places() {
        let text = "#!/bin/sh\n# helm install nvidia/gpu-operator --set no=1\nset -e; helm upgrade --install op nvidia/gpu-operator \\\n  -n gpus --set mig.strategy=mixed \\\n  --set='driver.enabled=true' --set \"a.b\\.c=d e\" && echo done\nhelm install other/chart --set x=y\n";
        let [release] = &releases(text)[..] else {
            panic!("not one release")
        };
        assert_eq!(release.namespace.as_deref(), Some("gpus"));
        let settings: Vec<(&str, u64, u64)> = release
            .settings
            .iter()
            .map(|word| (word.text.as_str(), word.line, word.column))
            .collect();
        assert_eq!(
            settings,
            [
                ("mig.strategy=mixed", 4, 17),
                ("driver.enabled=true", 5, 9),
                ("a.b\\.c=d e", 5, 37)
            ]
        );
        assert!(releases("kubectl get pods\n").is_empty());
        assert!(releases("helm repo add nvidia https://x/gpu-operator").is_empty());
    }
}
