//! Completion: scripts for shells, and answers for kubectl.
//!
//! kubectl asks a plugin's `kubectl_complete-apportion` on the path, which calls `apportion __complete` with the words typed so far.
//! The answer has a line for each candidate, with a tab before its description, and at last a colon and a number that says what the
//! shell is to do besides (kubectl `pkg/cmd/plugin/plugin_completion.go`, cobra `completions.go`).

use std::ffi::OsString;

use clap::{Arg, Command, CommandFactory as _};
use clap_complete::Shell;

use super::args;
use super::exit::Exit;
use super::output::{self, Color};

/// The word by which the answer is asked for; it is no verb, so that no help shows it.
const ASK: &str = "__complete";
/// Names of files may stand here too.
const FILES_TOO: u8 = 0;
/// Nothing but the candidates can stand here.
const NOTHING_ELSE: u8 = 4;

/// Flags.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs the verb.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::Args::command(), "apportion", &mut script);
    output::print(&String::from_utf8(script)?, Color::Never)?;
    Ok(Exit::Fine)
}

/// The words to complete, if that is what the process was asked for.
pub fn asked(words: &[OsString]) -> Option<Vec<String>> {
    let (ask, rest) = words.get(1..)?.split_first()?;
    (ask == ASK).then(|| rest.iter().map(|word| word.to_string_lossy().into_owned()).collect())
}

/// Prints how the last of the words can go on.
pub fn answer(command: &mut Command, words: &[String]) -> anyhow::Result<Exit> {
    command.build();
    let (candidates, besides) = candidates(command, words);
    let lines: String = candidates
        .into_iter()
        .map(|(word, about)| {
            if about.is_empty() {
                format!("{word}\n")
            } else {
                format!("{word}\t{about}\n")
            }
        })
        .collect::<Vec<_>>()
        .concat();
    output::print(&format!("{lines}:{besides}\n"), Color::Never)?;
    Ok(Exit::Fine)
}

/// What the last of the words can become, each with what it is; and what the shell may offer besides.
fn candidates(command: &Command, words: &[String]) -> (Vec<(String, String)>, u8) {
    let Some((last, before)) = words.split_last() else {
        return (Vec::new(), NOTHING_ELSE);
    };
    let mut command = command;
    // The flag whose value comes next.
    let mut open: Option<&Arg> = None;
    for word in before {
        if open.take().is_some() {
            continue;
        }
        if word.starts_with('-') {
            open = flag(command, word).filter(|flag| flag.get_action().takes_values() && !word.contains('='));
        } else if let Some(verb) = command.find_subcommand(word) {
            command = verb;
        }
    }
    let (mut found, besides) = if let Some(flag) = open {
        values(flag, "")
    } else if let Some((name, _)) = last.split_once('=').filter(|_| last.starts_with("--")) {
        let Some(flag) = flag(command, name) else {
            return (Vec::new(), NOTHING_ELSE);
        };
        values(flag, &format!("{name}="))
    } else if last.starts_with('-') {
        let flags = command.get_arguments().filter(|flag| !flag.is_hide_set());
        let named = flags.filter_map(|flag| Some((format!("--{}", flag.get_long()?), about(flag.get_help()))));
        (named.collect(), NOTHING_ELSE)
    } else if command.has_subcommands() {
        let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
        (
            verbs
                .map(|verb| (verb.get_name().to_owned(), about(verb.get_about())))
                .collect(),
            NOTHING_ELSE,
        )
    } else {
        command
            .get_positionals()
            .next()
            .map_or((Vec::new(), NOTHING_ELSE), |word| values(word, ""))
    };
    found.retain(|(word, _)| word.starts_with(last.as_str()));
    (found, besides)
}

/// The flag of a word: `--output`, `--output=json` or `-f`.
fn flag<'c>(command: &'c Command, word: &str) -> Option<&'c Arg> {
    let name = word.split('=').next().unwrap_or_default();
    command.get_arguments().find(|flag| {
        flag.get_long()
            .is_some_and(|long| name.strip_prefix("--") == Some(long))
            || flag.get_short().is_some_and(|short| name == format!("-{short}"))
    })
}

/// The values that a flag or a word can have; files where it does not say.
fn values(arg: &Arg, prefix: &str) -> (Vec<(String, String)>, u8) {
    let values: Vec<_> = arg
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| (format!("{prefix}{}", value.get_name()), about(value.get_help())))
        .collect();
    let besides = if values.is_empty() { FILES_TOO } else { NOTHING_ELSE };
    (values, besides)
}

/// The first line of a help.
fn about(help: Option<&clap::builder::StyledStr>) -> String {
    help.map(ToString::to_string)
        .unwrap_or_default()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_on_as_the_command_line_allows() {
        let mut command = args::Args::command();
        command.build();
        for (words, has, has_not, besides) in [
            (&[""][..], &["explain", "mig"][..], &["--output"][..], NOTHING_ELSE),
            (&["m"], &["mig"], &["lint"], NOTHING_ELSE),
            (&["mig", ""], &["show", "check", "plan"], &["mig"], NOTHING_ELSE),
            (&["mig", "check", "--p"], &["--product"], &["--output"], NOTHING_ELSE),
            (
                &["mig", "check", "--output", ""],
                &["json", "mig-parted"],
                &["--output"],
                NOTHING_ELSE,
            ),
            (
                &["mig", "check", "--output=j"],
                &["--output=json"],
                &["--output=text"],
                NOTHING_ELSE,
            ),
            (&["lint", "--cluster", ""], &[], &["json"], FILES_TOO),
            (&["mig", "check", "--product", "mig", ""], &[], &["show"], FILES_TOO),
            (&["completion", ""], &["bash", "zsh", "fish"], &[], NOTHING_ELSE),
            (&["lint", "--no-such="], &[], &[], NOTHING_ELSE),
            (&[], &[], &[], NOTHING_ELSE),
        ] {
            let typed: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let (found, also) = candidates(&command, &typed);
            let found: Vec<&str> = found.iter().map(|(word, _)| word.as_str()).collect();
            assert_eq!(also, besides, "{words:?}");
            assert!(has.iter().all(|word| found.contains(word)), "{words:?}: {found:?}");
            assert!(!has_not.iter().any(|word| found.contains(word)), "{words:?}: {found:?}");
        }
    }
}
