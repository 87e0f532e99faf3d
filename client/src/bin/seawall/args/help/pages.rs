//! Man pages: the output of `clap_mangen`, with sections for examples, files, the environment and
//! exit statuses.

use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::{EXIT_STATUS, REFERENCES, definition, examples};

/// The files of the FILES section: name and purpose.
const FILES: &[(&str, &str)] = &[
    (
        "$XDG_CONFIG_HOME/seawall/config.toml",
        "The configuration file: registry and token_file. In ~/.config if the variable is not set.",
    ),
    (
        "$XDG_STATE_HOME/seawall/",
        "The state of scans and pulls on this host; may be deleted at any time. In ~/.local/state \
         if the variable is not set.",
    ),
    ("DIR/seawall.lock", "The lockfile of a pulled release."),
    ("DIR/.seawall/", "The origin of a pulled release, and the journal of a running patch."),
];

/// The variables of the ENVIRONMENT section: name and purpose.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("SEAWALL_REGISTRY", "The registry, as --registry."),
    ("SEAWALL_TOKEN", "The token to send; --token-file takes precedence."),
    ("SEAWALL_TOKEN_FILE", "A file that holds the token to send, as --token-file."),
    ("SEAWALL_CONFIG", "The configuration file, as --config."),
    ("SEAWALL_STATE", "The folder for the state of scans and pulls, as --state."),
    ("NO_COLOR", "Print no colours if set and not empty."),
    ("CLICOLOR_FORCE", "Print colours even without a terminal, if set and not 0."),
];

/// A page: file name and text.
pub(crate) struct Page {
    pub(crate) file: String,
    pub(crate) text: Vec<u8>,
}

/// Returns a page for `seawall` and for each command at any depth.
///
/// # Errors
/// If a page cannot be written, which does not happen in memory.
pub(crate) fn all() -> io::Result<Vec<Page>> {
    let mut root = definition::command().disable_help_subcommand(true);
    root.build();
    let mut pages = Vec::new();
    add(&root, "", &mut pages)?;
    Ok(pages)
}

fn add(command: &Command, path: &str, pages: &mut Vec<Page>) -> io::Result<()> {
    pages.push(page(command, path)?);
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        add(sub, format!("{path} {}", sub.get_name()).trim_start(), pages)?;
    }
    Ok(())
}

fn page(command: &Command, path: &str) -> io::Result<Page> {
    let name = format!("seawall {path}").trim_end().replace(' ', "-");
    // Examples have their own section.
    let command = command.clone().after_help("").display_name(name.clone());
    let man = Man::new(command.clone()).title(name.clone()).section("1");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    let mut roff = Roff::new();
    if path.is_empty() {
        roff.control("SH", ["REFERENCES"]);
        roff.text([roman(REFERENCES)]);
    }
    roff.control("SH", ["EXAMPLES"]);
    for example in examples::of(path) {
        roff.control("TP", []);
        roff.text([roman(example.does)]);
        roff.text([bold(example.line)]);
    }
    list(&mut roff, "FILES", FILES);
    list(&mut roff, "ENVIRONMENT", ENVIRONMENT);
    roff.control("SH", ["EXIT STATUS"]);
    for (status, meaning) in statuses() {
        roff.control("TP", ["5"]);
        roff.text([bold(status)]);
        roff.text([roman(meaning)]);
    }
    roff.to_writer(&mut text)?;
    Ok(Page { file: format!("{name}.1"), text })
}

fn list(roff: &mut Roff, title: &str, entries: &[(&str, &str)]) {
    roff.control("SH", [title]);
    for (name, purpose) in entries {
        roff.control("TP", []);
        roff.text([bold(*name)]);
        let purpose: [Inline; 1] = [roman(*purpose)];
        roff.text(purpose);
    }
}

/// Parses [`EXIT_STATUS`] into statuses and one-line meanings.
fn statuses() -> Vec<(String, String)> {
    let mut statuses: Vec<(String, String)> = Vec::new();
    for line in EXIT_STATUS.lines() {
        let (number, meaning) = line.trim().split_once("  ").unwrap_or(("", line.trim()));
        match statuses.last_mut() {
            Some((_, before)) if number.is_empty() => {
                before.push(' ');
                before.push_str(meaning);
            }
            _ => statuses.push((number.to_owned(), meaning.trim().to_owned())),
        }
    }
    statuses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_has_examples_files_environment_and_exit_status() {
        let pages = all().unwrap();
        assert!(pages.len() > 35, "{}", pages.len());
        for page in pages {
            let text = String::from_utf8(page.text).unwrap();
            for section in ["NAME", "SYNOPSIS", "EXAMPLES", "FILES", "ENVIRONMENT", "EXIT STATUS"] {
                assert!(text.contains(section), "{section} in {}\n{text}", page.file);
            }
            assert!(text.contains("SEAWALL_REGISTRY") && text.contains("NO_COLOR"));
        }
    }

    #[test]
    fn every_exit_status_has_its_meaning_on_one_line() {
        let statuses = statuses();
        let numbers: Vec<_> = statuses.iter().map(|(number, _)| number.as_str()).collect();
        assert_eq!(
            numbers,
            ["0", "1", "2", "3", "4", "5", "6", "7", "8", "129", "130", "141", "143"]
        );
        assert!(statuses[4].1.ends_with("in use or modified by a guest"), "{:?}", statuses[4]);
    }
}
