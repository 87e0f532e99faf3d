//! Completions and man pages, generated from the definition that also parses the command line.

use std::io::Write;
use std::path::Path;

use clap_complete::Shell;
use seawall::convert::ConvertFailure;
use seawall_store::new_file::{NewFile, Overwrite};

use crate::args::help::pages;
use crate::failure::Failure;
use crate::output;
use crate::shell::complete;

/// Prints the completions for a shell.
pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    output::write(&complete::function(shell)?)
}

/// Prints the man page of `seawall`, or writes a page per command into a directory.
pub(crate) fn man(dir: Option<&Path>) -> Result<(), Failure> {
    let Some(dir) = dir else { return output::write(&man_text()?) };
    let cannot =
        |error| Failure::io(&format!("cannot write man pages to {}", dir.display()), &error);
    std::fs::create_dir_all(dir).map_err(cannot)?;
    for page in pages::all().map_err(cannot)? {
        // Never through a symbolic link at that path.
        let path = dir.join(&page.file);
        let new = NewFile::create(&path, Overwrite::Replace).map_err(ConvertFailure::from)?;
        new.file().write_all(&page.text).map_err(cannot)?;
        new.commit().map_err(ConvertFailure::from)?;
    }
    Ok(())
}

fn man_text() -> Result<String, Failure> {
    let pages = pages::all();
    let pages = pages.map_err(|error| Failure::io("cannot write the man page", &error))?;
    let first = pages.into_iter().next().ok_or_else(|| Failure::internal("no man page"))?;
    text(first.text)
}

fn text(bytes: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|error| Failure::internal(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::help::definition;

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        definition::command().debug_assert();
    }

    #[test]
    fn help_and_man_page_document_every_command_and_the_exit_status() {
        let help = definition::command().render_long_help().to_string();
        let man = man_text().unwrap();
        for command in definition::command().get_subcommands() {
            assert!(help.contains(command.get_name()), "{}", command.get_name());
            assert!(man.contains(command.get_name()), "{}", command.get_name());
        }
        for text in ["Exit status", "no space left", "130", "SEAWALL_REGISTRY"] {
            assert!(help.contains(text), "{text} in\n{help}");
            let man = man.to_lowercase();
            assert!(man.contains(&text.to_lowercase()), "{text} in\n{man}");
        }
    }

    #[test]
    fn every_command_has_a_man_page() {
        let dir = tempfile::tempdir().unwrap();
        man(Some(&dir.path().join("man1"))).unwrap();
        for page in ["seawall.1", "seawall-push.1", "seawall-retention-set.1"] {
            assert!(dir.path().join("man1").join(page).exists(), "{page}");
        }
    }
}
