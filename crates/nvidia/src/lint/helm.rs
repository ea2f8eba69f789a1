//! Helm commands that install the GPU Operator, and the syntax of `--set`.

use super::shell::Word;
use crate::yaml::{LocatedKey, LocatedValue, Value};
use apportion_core::diagnostics::Location;

/// What a `helm install` or `helm upgrade` of the GPU Operator sets.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Release {
    pub(super) namespace: Option<String>,
    /// The argument of each `--set` and `--set-string`.
    pub(super) set: Vec<Word>,
}

/// An argument of `--set` that helm does not accept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    #[error("`{0}` has no `=`; write KEY=VALUE as for helm --set, such as mig.strategy=mixed")]
    NoValue(String),
}

/// The releases of the GPU Operator that these commands install or upgrade.
pub(super) fn releases(commands: &[Vec<Word>]) -> Vec<Release> {
    commands.iter().filter_map(|words| release(words)).collect()
}

fn release(words: &[Word]) -> Option<Release> {
    let start = words.iter().position(|word| word.text == "helm")?;
    let words = &words[start + 1..];
    let installs = words
        .iter()
        .any(|word| matches!(word.text.as_str(), "install" | "upgrade"));
    let is_operator = words
        .iter()
        .any(|word| word.text.ends_with("/gpu-operator") || word.text.contains("/gpu-operator-"));
    if !installs || !is_operator {
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
            "--set" | "--set-string" => release.set.extend(value.or_else(|| words.next().cloned())),
            "-n" | "--namespace" => release.namespace = value.or_else(|| words.next().cloned()).map(|word| word.text),
            _ => {}
        }
    }
    Some(release)
}

/// Parses an argument of `--set`, such as `a.b=c,d=e`, into one document for each setting.
/// `location` gives the location of a setting.
pub(super) fn parse_set(argument: &str, location: impl Fn(&str) -> Location) -> Result<Vec<LocatedValue>, SetError> {
    split(argument, ',')
        .iter()
        .map(|setting| {
            let (path, text) = setting
                .split_once('=')
                .ok_or_else(|| SetError::NoValue(setting.clone()))?;
            Ok(document(path, text, &location(setting)))
        })
        .collect()
}

fn document(path: &str, text: &str, location: &Location) -> LocatedValue {
    let located = |value| LocatedValue {
        location: location.clone(),
        value,
    };
    let value = match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "null" => Value::Null,
        text => text.parse().map_or_else(|_| Value::String(unescape(text)), Value::Int),
    };
    split(path, '.').iter().rev().fold(located(value), |value, key| {
        let key = LocatedKey {
            text: unescape(key),
            location: location.clone(),
        };
        located(Value::Map(vec![(key, value)]))
    })
}

/// Splits at every separator that is not escaped by a backslash.
fn split(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == separator && !escaped {
            parts.push(String::new());
        } else if let Some(last) = parts.last_mut() {
            last.push(c);
        }
        escaped = c == '\\' && !escaped;
    }
    parts
}

fn unescape(text: &str) -> String {
    text.replace('\\', "")
}

#[cfg(test)]
mod tests {
    use super::super::shell::{markdown_commands, script_commands};
    use super::*;

    #[test]
    fn settings_and_namespace_of_a_command_are_read() {
        let text = "#!/bin/sh\n# helm install nvidia/gpu-operator --set no=1\nset -e; helm upgrade --install op nvidia/gpu-operator \\\n  -n gpus --set mig.strategy=mixed \\\n  --set='driver.enabled=true' --set \"a.b\\.c=d e\" && echo done\nhelm install other/chart --set x=y\n";
        let [release] = &releases(&script_commands(text))[..] else {
            panic!("expected one release")
        };
        assert_eq!(release.namespace.as_deref(), Some("gpus"));
        let settings: Vec<(&str, u64, u64)> = release
            .set
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
    }

    #[test]
    fn commands_that_install_something_else_are_skipped() {
        for text in [
            "kubectl get pods\n",
            "helm repo add nvidia https://x/gpu-operator",
            "helm install other/chart --set x=y",
        ] {
            assert_eq!(releases(&script_commands(text)), [], "{text}");
        }
    }

    #[test]
    fn settings_in_markdown_prose_are_not_read() {
        let command = "helm install op nvidia/gpu-operator --set mig.strategy=mixed\n";
        assert_eq!(releases(&markdown_commands(command)), []);
        let [release] = &releases(&markdown_commands(&format!("{command}\n```sh\n{command}```\n")))[..] else {
            panic!("expected one release")
        };
        let setting = &release.set[0];
        assert_eq!(
            (setting.text.as_str(), setting.line, setting.column),
            ("mig.strategy=mixed", 4, 43)
        );
    }
}
