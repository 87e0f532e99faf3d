//! The definition of the command line: the derive of `clap` over `args`, with examples, groups of
//! commands, and usage errors without misleading tips.

use std::ffi::OsString;
use std::fmt::Write as _;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue};
use clap::{Command, CommandFactory, Error, FromArgMatches};

use super::examples::{self, Example};
use super::groups::GROUPS;
use super::{EXIT_STATUS, REFERENCES};
use crate::args::Cli;

/// Returns the whole definition.
pub(crate) fn command() -> Command {
    let root = with_examples(Cli::command(), "");
    let help = root_help(&root);
    root.override_help(help)
}

/// Parses a command line.
///
/// # Errors
/// The errors of `clap`, without misleading tips and formatted for the command.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, Error> {
    let mut command = command();
    let parsed = command
        .try_get_matches_from_mut(args)
        .and_then(|mut matches| Cli::from_arg_matches_mut(&mut matches));
    parsed.map_err(|error| plain(error.format(&mut command)))
}

/// Removes the tip to pass an option as a value, since no argument takes such values.
fn plain(mut error: Error) -> Error {
    if let Some(ContextValue::StyledStrs(tips)) = error.remove(ContextKind::Suggested) {
        let tips: Vec<_> =
            tips.into_iter().filter(|tip| !tip.to_string().contains("as a value")).collect();
        if !tips.is_empty() {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
        }
    }
    error
}

/// Adds the examples of every command to its help.
fn with_examples(command: Command, path: &str) -> Command {
    let of_command = examples::of(path);
    let mut command = command;
    if !of_command.is_empty() && !path.is_empty() {
        command = command.after_help(examples_text(of_command));
    }
    let names: Vec<String> =
        command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names {
        let path = format!("{path} {name}").trim_start().to_owned();
        command = command.mut_subcommand(&name, |sub| with_examples(sub, &path));
    }
    command
}

fn heading(text: &str) -> String {
    let style = *clap::builder::Styles::default().get_header();
    format!("{style}{text}:{style:#}")
}

fn examples_text(examples: &[Example]) -> StyledStr {
    let mut text = heading("Examples");
    for Example { line, does } in examples {
        let _ = write!(text, "\n  # {does}\n  {line}");
    }
    text.into()
}

/// Returns the help of `seawall` itself: the commands in groups, then the options.
fn root_help(root: &Command) -> StyledStr {
    let about = |name: &str| {
        let command = root.find_subcommand(name)?;
        Some(command.get_about().map_or_else(String::new, ToString::to_string))
    };
    let literal = *clap::builder::Styles::default().get_literal();
    let usage = heading("Usage");
    let mut text = format!("{}\n\n", root.get_about().cloned().unwrap_or_default());
    let _ = write!(text, "{usage} {literal}seawall{literal:#} [OPTIONS] COMMAND …\n\n");
    for (title, names) in GROUPS {
        let _ = writeln!(text, "{}", heading(title));
        for name in *names {
            // Builds without the server have fewer commands.
            if let Some(about) = about(name) {
                let _ = writeln!(text, "  {literal}{name:<12}{literal:#} {about}");
            }
        }
        text.push('\n');
    }
    let options = Command::new("seawall")
        .disable_help_flag(true)
        .args(root.get_arguments().cloned())
        .help_template("{all-args}")
        .render_help();
    let _ = writeln!(text, "{}\n", options.ansi().to_string().trim_end());
    let _ = writeln!(text, "{}", examples_text(examples::of("")).ansi());
    let _ = writeln!(text, "\n{}\n{EXIT_STATUS}\n\n{REFERENCES}\n", heading("Exit status"));
    let _ = writeln!(
        text,
        "`seawall COMMAND --help` explains a command; `seawall man DIR` writes man pages."
    );
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Collects every command with its path.
    fn all(command: &Command, path: &str, found: &mut Vec<(String, Command)>) {
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            let path = format!("{path} {}", sub.get_name()).trim_start().to_owned();
            all(sub, &path, found);
            found.push((path, sub.clone()));
        }
    }

    fn commands() -> Vec<(String, Command)> {
        let mut found = Vec::new();
        all(&command(), "", &mut found);
        assert!(found.len() > 30, "{}", found.len());
        found
    }

    /// Returns the help of a command on a terminal of 100 columns.
    fn help(path: &str) -> String {
        let words = std::iter::once("seawall").chain(path.split_whitespace()).chain(["--help"]);
        let error = command().term_width(100).try_get_matches_from(words).unwrap_err();
        error.render().to_string()
    }

    #[test]
    fn every_command_has_two_examples_that_the_parser_takes() {
        for (path, _) in commands() {
            let examples = examples::of(&path);
            assert!(examples.len() >= 2, "{path} has {} examples", examples.len());
            let help = help(&path);
            for Example { line, does } in examples {
                assert!(help.contains(line), "{line} is in\n{help}");
                assert!(!does.is_empty() && !does.ends_with('.'), "{does}");
                let own = line.split(" | ").find(|part| part.contains("seawall ")).unwrap();
                let own = &own[own.find("seawall ").unwrap()..];
                let own = own.split(" > ").next().unwrap().trim_end_matches(')');
                let words = shlex::split(own).unwrap();
                let parsed = parse(words.into_iter().map(OsString::from));
                assert!(parsed.is_ok(), "{line}\n{}", parsed.unwrap_err());
                assert!(line.contains(&format!("seawall {path}")), "{line} is of {path}");
            }
        }
    }

    #[test]
    fn every_command_stands_in_one_group() {
        for command in command().get_subcommands().filter(|sub| sub.get_name() != "help") {
            let name = command.get_name();
            let groups = GROUPS.iter().filter(|(_, names)| names.contains(&name));
            assert_eq!(groups.count(), usize::from(!command.is_hide_set()), "{name}");
        }
    }

    #[test]
    fn the_list_of_commands_fits_80_columns() {
        let help = root_help(&Cli::command()).to_string();
        for line in help.lines().take_while(|line| *line != "Global options:") {
            assert!(line.starts_with("  status") || line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn no_help_is_wider_than_100_columns() {
        let paths = commands().into_iter().map(|(path, _)| path).chain([String::new()]);
        for path in paths {
            for line in help(&path).lines() {
                assert!(line.chars().count() <= 100, "{path}: {line}");
            }
        }
    }

    #[test]
    fn a_commands_own_options_stand_before_the_global_ones() {
        for (path, command) in commands() {
            let help = help(&path);
            let global = help.find("Global options:").expect("every command has them");
            let own = command.get_arguments().filter(|arg| arg.get_help_heading().is_none());
            for arg in own.filter(|arg| !arg.is_hide_set() && arg.get_id() != "help") {
                let name = arg.get_long().map(|long| format!("--{long}"));
                let name = name.unwrap_or_else(|| arg.get_value_names().unwrap()[0].to_string());
                let at = help.find(&name).expect("it is shown");
                assert!(at < global, "{path}: {name} after the global options\n{help}");
            }
            let after = &help[global..];
            assert!(after.contains("--quiet") && after.contains("--help"), "{path}");
        }
    }

    #[test]
    fn commands_without_a_registry_offer_none() {
        let alone = [
            "convert",
            "inspect",
            "describe",
            "completions",
            "man",
            "recover",
            "drill",
            "relocate",
            "bundle verify",
        ];
        for (path, command) in commands() {
            if command.has_subcommands() {
                continue;
            }
            let help = help(&path);
            let is_alone = alone.contains(&path.as_str()) || path == "serve";
            assert_eq!(help.contains("--registry"), !is_alone, "{path}\n{help}");
            let takes_token = help.contains("--token-file");
            assert_eq!(takes_token, !is_alone || path == "serve", "{path}\n{help}");
        }
        assert!(help("serve").contains("--token-file <TOKENS>"));
        assert!(help("list").contains("--token-file <FILE>"));
    }

    #[test]
    fn the_later_option_wins_over_the_earlier() {
        let args = "seawall --registry a --json list --registry b -q".split(' ');
        let cli = parse(args.map(OsString::from)).unwrap();
        let crate::args::RawCommand::List(list) = cli.command else { panic!("{cli:?}") };
        let global = cli.global.with(&list.credentials);
        assert_eq!(global.registry.as_deref(), Some("b"));
        assert!(global.json && global.quiet);
    }

    #[test]
    fn a_usage_error_has_no_tip_that_misleads() {
        let args = ["seawall", "list", "--dry-run"].map(OsString::from);
        let error = parse(args).unwrap_err().to_string();
        assert!(error.contains("--dry-run") && !error.contains("as a value"), "{error}");
        let args = ["seawall", "pull", "shop:1", "--dry-rum"].map(OsString::from);
        let error = parse(args).unwrap_err().to_string();
        assert!(error.contains("--dry-run"), "{error}");
    }
}
