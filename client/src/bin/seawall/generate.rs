//! Completions and man pages, made from the very definition that parses the command line.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::output;
use crate::report::Failure;

/// Prints the completions for a shell.
pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    output::write(&completions_text(shell)?)
}

fn completions_text(shell: Shell) -> Result<String, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "seawall", &mut script);
    text(script)
}

/// Prints the man page, or writes one for each command into a directory.
pub(crate) fn man(dir: Option<&Path>) -> Result<(), Failure> {
    let Some(dir) = dir else { return output::write(&man_text()?) };
    let cannot =
        |error| Failure::io(&format!("cannot write man pages to {}", dir.display()), &error);
    std::fs::create_dir_all(dir).map_err(cannot)?;
    clap_mangen::generate_to(Cli::command(), dir).map_err(cannot)
}

fn man_text() -> Result<String, Failure> {
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
    rendered.map_err(|error| Failure::io("cannot write the man page", &error))?;
    text(page)
}

fn text(bytes: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|error| Failure::internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_and_man_page_document_every_command_and_the_exit_status() {
        let help = Cli::command().render_long_help().to_string();
        let man = man_text().unwrap();
        for command in Cli::command().get_subcommands() {
            assert!(help.contains(command.get_name()), "{}", command.get_name());
            assert!(man.contains(command.get_name()), "{}", command.get_name());
        }
        for text in ["Exit status", "no space left", "130", "SEAWALL_REGISTRY"] {
            assert!(help.contains(text), "{text} in\n{help}");
            assert!(man.contains(text), "{text} in\n{man}");
        }
    }

    #[test]
    fn every_shell_has_completions_and_every_command_a_man_page() {
        for shell in Shell::value_variants() {
            assert!(completions_text(*shell).unwrap().contains("promote"), "{shell}");
        }
        let dir = tempfile::tempdir().unwrap();
        man(Some(&dir.path().join("man1"))).unwrap();
        assert!(dir.path().join("man1/seawall-push.1").exists());
    }
}
