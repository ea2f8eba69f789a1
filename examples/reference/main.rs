//! Writes what is made from the command line's own description: `docs/cli.md`, man pages and completion scripts.
//!
//! ```text
//! cargo run --example reference               write them
//! cargo run --example reference -- --check    write nothing; name what is out of date, and exit 1
//! ```

#![allow(clippy::print_stdout, reason = "a program for people who build this one")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use apportion::cli::Args;
use clap::{Arg, ArgAction, Command, CommandFactory as _};
use clap_complete::Shell;

/// Directories that hold generated files alone.
const OWN: [&str; 2] = ["dist/man", "dist/completions"];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let check = match env::args().skip(1).collect::<Vec<_>>().as_slice() {
        [] => false,
        [flag] if flag == "--check" => true,
        other => return Err(format!("unknown arguments {other:?}; --check is the only one").into()),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = files()?;
    let mut stale: BTreeSet<PathBuf> = OWN
        .iter()
        .flat_map(|own| fs::read_dir(root.join(own)).into_iter().flatten())
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| !files.keys().any(|file| root.join(file) == *path))
        .collect();
    for (file, text) in &files {
        let path = root.join(file);
        if fs::read(&path).ok().as_ref() == Some(text) {
            continue;
        }
        if !check {
            fs::create_dir_all(path.parent().unwrap_or(root))?;
            fs::write(&path, text)?;
        }
        stale.insert(path);
    }
    for path in &stale {
        let shown = path.strip_prefix(root)?.display();
        if check {
            println!("{shown} is out of date; run `make generate`");
        } else {
            if !files.keys().any(|file| root.join(file) == *path) {
                fs::remove_file(path)?;
            }
            println!("{shown}");
        }
    }
    Ok(ExitCode::from(u8::from(check && !stale.is_empty())))
}

/// Every generated file with what belongs in it.
fn files() -> Result<BTreeMap<String, Vec<u8>>, io::Error> {
    let mut command = Args::command();
    command.build();
    let mut files = BTreeMap::from([("docs/cli.md".to_owned(), markdown(&command).into_bytes())]);
    pages(&command, "apportion", &mut files)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Args::command(), "apportion", &mut script);
        // The names under which the shells look for them.
        let name = match shell {
            Shell::Zsh => "_apportion".to_owned(),
            Shell::Bash => "apportion.bash".to_owned(),
            shell => format!("apportion.{shell}"),
        };
        files.insert(format!("dist/completions/{name}"), script);
    }
    Ok(files)
}

/// The man page of a command, and those of its verbs.
fn pages(command: &Command, name: &str, files: &mut BTreeMap<String, Vec<u8>>) -> Result<(), io::Error> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone().display_name(name))
        .title(name)
        .source(concat!("apportion ", env!("CARGO_PKG_VERSION")))
        .render(&mut page)?;
    // mangen ends some lines in a space, which git complains of.
    let text = String::from_utf8_lossy(&page);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    files.insert(format!("dist/man/{name}.1"), (lines.join("\n") + "\n").into_bytes());
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        pages(verb, &format!("{name}-{}", verb.get_name()), files)?;
    }
    Ok(())
}

/// The reference in Markdown.
fn markdown(command: &Command) -> String {
    let mut text = "# Command line\n\nMade from the program's own description by `make generate`. `apportion --help` and `apportion VERB --help` \
                    say the same. Exit status of\na verb: 0 fine, 1 findings, 2 bad input. As a plugin of kubectl, `apportion` reads `kubectl apportion` \
                    ([dist](../dist/README.md)).\n"
        .to_owned();
    describe(command, "apportion", 2, &mut text);
    text
}

fn describe(command: &Command, name: &str, depth: usize, text: &mut String) {
    let heading = "#".repeat(depth);
    let _ = write!(text, "\n{heading} `{name}`\n");
    if let Some(about) = command.get_long_about().or(command.get_about()) {
        let _ = write!(text, "\n{about}\n");
    }
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let _ = write!(text, "\n    {usage}\n");
    let args: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| {
            !arg.is_hide_set()
                && !matches!(
                    arg.get_action(),
                    ArgAction::Help | ArgAction::HelpLong | ArgAction::HelpShort
                )
        })
        .filter(|arg| !matches!(arg.get_action(), ArgAction::Version))
        .collect();
    if !args.is_empty() {
        text.push_str("\n| argument | what it is |\n|---|---|\n");
        for arg in args {
            let _ = writeln!(text, "| {} | {} |", spelled(arg), explained(arg));
        }
    }
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        describe(verb, &format!("{name} {}", verb.get_name()), (depth + 1).min(4), text);
    }
}

/// `-f`, `--filename FILE`.
fn spelled(arg: &Arg) -> String {
    let value = arg
        .get_value_names()
        .map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    let value = value.filter(|_| arg.get_action().takes_values()).unwrap_or_default();
    let short = arg.get_short().map(|short| format!("`-{short}`, ")).unwrap_or_default();
    match arg.get_long() {
        Some(long) => format!("{short}`{}`", format!("--{long} {value}").trim_end()),
        None => format!("{short}`{value}`"),
    }
}

/// The help, the values there are, the default, the variable.
fn explained(arg: &Arg) -> String {
    let help = arg
        .get_long_help()
        .or(arg.get_help())
        .map(ToString::to_string)
        .unwrap_or_default();
    let mut text = help.split_whitespace().collect::<Vec<_>>().join(" ");
    // clap's convention leaves out the last full stop; here something may follow.
    if !text.is_empty() && !text.ends_with('.') {
        text.push('.');
    }
    let values = arg.get_possible_values();
    if arg.get_action().takes_values() && !values.is_empty() {
        let each = values
            .iter()
            .filter(|value| !value.is_hide_set())
            .map(|value| format!("`{}`", value.get_name()));
        let _ = write!(text, " One of {}.", each.collect::<Vec<_>>().join(", "));
    }
    let defaults = arg.get_default_values();
    if arg.get_action().takes_values() && !defaults.is_empty() {
        let each = defaults.iter().map(|value| format!("`{}`", value.to_string_lossy()));
        let _ = write!(text, " Default: {}.", each.collect::<Vec<_>>().join(", "));
    }
    if let Some(variable) = arg.get_env() {
        let _ = write!(text, " Environment: `{}`.", variable.to_string_lossy());
    }
    text.replace('|', "\\|")
}
