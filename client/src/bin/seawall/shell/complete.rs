//! Shell completion of commands and options from the definition, and of names from the registry and
//! this host.
//!
//! A shell's function (`seawall completions SHELL`) runs `seawall` with `SEAWALL_COMPLETE` set. As
//! a person is typing, errors are silent, nothing is created, and a slow registry is abandoned
//! after `PATIENCE`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Command;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, PathCompleter};
use clap_complete::env::Shells;
use clap_complete::{Shell, engine::ValueCompleter as _};
use seawall::directory::{LOCKFILE, Lockfile, Origin};
use seawall::progress::{Progress, Silent};
use seawall::registry::Registry;
use seawall::resolve::document;
use seawall_api::audit::{Action, EVENTS};
use seawall_api::names::ApplicationName;
use seawall_api::reference::{Reference, Selector};

use crate::args::help::definition;
use crate::args::{Credentials, Global};
use crate::command::{Named, Reach};
use crate::config::{Keyring, Settings};
use crate::connect::{Connection, Missing};
use crate::failure::Failure;

/// The variable in which a shell's function passes the name of the shell.
pub(crate) const VARIABLE: &str = "SEAWALL_COMPLETE";

/// The time limit for an answer of the registry.
const PATIENCE: Duration = Duration::from_millis(1500);

/// The function for bash. The one in `clap_complete` uses the words as bash splits them, at `:` and
/// `@`, and references contain both.
const BASH: &str = include_str!("complete.bash");

/// Returns the function for a shell to source.
pub(crate) fn function(shell: Shell) -> Result<String, Failure> {
    if shell == Shell::Bash {
        return Ok(BASH.to_owned());
    }
    let name = shell.to_string();
    let mut script = Vec::new();
    let shells = Shells::builtins();
    let completer = shells.completer(&name).ok_or_else(|| {
        Failure::usage(format!("{name} has no completions"), "name another shell")
    })?;
    completer
        .write_registration(VARIABLE, "seawall", "seawall", "seawall", &mut script)
        .map_err(|error| Failure::io("cannot write completions", &error))?;
    String::from_utf8(script).map_err(|error| Failure::internal(error.to_string()))
}

/// Prints the completions for a shell's function; `args` has the words of the line after `--`.
pub(crate) fn answer(shell: &OsStr, args: impl Iterator<Item = OsString>) {
    let words: Vec<OsString> = args.skip_while(|word| word != "--").skip(1).collect();
    let shells = Shells::builtins();
    let Some(completer) = shell.to_str().and_then(|name| shells.completer(name)) else { return };
    let mut command = with_names(definition::command(), &Arc::new(Line::of(&words)));
    let mut answer = Vec::new();
    let here = std::env::current_dir().ok();
    if completer.write_complete(&mut command, words, here.as_deref(), &mut answer).is_ok() {
        // No one reads an error here.
        let _ = std::io::Write::write_all(&mut std::io::stdout(), &answer);
    }
}

/// The command line being completed.
#[derive(Debug)]
struct Line {
    words: Vec<String>,
    global: Global,
}

impl Line {
    fn of(words: &[OsString]) -> Self {
        let words: Vec<String> =
            words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let option = |name: &str| {
            words.iter().enumerate().find_map(|(at, word)| match word.strip_prefix(name)? {
                "" => words.get(at + 1).cloned(),
                value => value.strip_prefix('=').map(str::to_owned),
            })
        };
        let path = |name: &str| option(name).map(PathBuf::from);
        let variable = |name: &str| crate::variable(name);
        let environment = Global {
            registry: variable("SEAWALL_REGISTRY"),
            token_file: variable("SEAWALL_TOKEN_FILE").map(PathBuf::from),
            config: variable("SEAWALL_CONFIG").map(PathBuf::from),
            state: variable("SEAWALL_STATE").map(PathBuf::from),
            ..Global::default()
        };
        let typed = Credentials {
            registry: option("--registry"),
            token_file: path("--token-file"),
            config: path("--config"),
            state: path("--state"),
        };
        let global = environment.with(&typed);
        Self { words, global }
    }

    /// Asks the registry; returns `None` if it fails or is too slow.
    fn ask<T, F>(
        &self,
        host: impl Into<Where>,
        question: impl FnOnce(Arc<dyn Registry>) -> F,
    ) -> Option<T>
    where
        F: Future<Output = Option<T>>,
    {
        let Where(host) = host.into();
        let reach = Reach { host, credentials: Credentials::default() };
        let runtime = crate::runtime().ok()?;
        let answer = runtime.block_on(async {
            let silent: Arc<dyn Progress> = Arc::new(Silent);
            let asking = async {
                let keyring = Keyring::read(&self.global, crate::environment()).ok()?;
                let settings = Settings::find(&self.global, &reach, &keyring).ok()?;
                let connection = Connection::open(settings, Missing::Refuse, &silent).await.ok()?;
                let answer = question(connection.registry()).await;
                connection.close().await;
                answer
            };
            tokio::time::timeout(PATIENCE, asking).await.ok()?
        });
        runtime.shutdown_background();
        answer
    }

    /// Finds the first reference on the line before the word being completed.
    fn application(&self) -> Option<Reference> {
        let words = self.words.iter().skip(2).rev().skip(1).rev();
        words.filter(|word| !word.starts_with('-')).find_map(|word| {
            let bare = word.split(['@']).next()?;
            bare.parse::<Reference>().ok()
        })
    }
}

/// The registry named on the line other than by options.
struct Where(Option<Named>);

impl From<Option<String>> for Where {
    fn from(host: Option<String>) -> Self {
        Self(host.map(Named::Host))
    }
}

/// Adds completers to the arguments that take names.
fn with_names(command: Command, line: &Arc<Line>) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|it| it.get_name().to_owned()).collect();
    let mut command = command;
    for name in names {
        command = command.mut_subcommand(&name, |sub| with_names(sub, line));
    }
    let of_command = command.get_name().to_owned();
    // Changed in place: an argument removed and added again becomes the last positional one.
    command.mut_args(|arg| match completer(&of_command, arg.get_id().as_str(), line) {
        Some(completer) => arg.add(completer),
        None => arg,
    })
}

/// Returns the completer of a command's argument; `None` where the default applies.
fn completer(command: &str, id: &str, line: &Arc<Line>) -> Option<ArgValueCompleter> {
    let line = Arc::clone(line);
    Some(match (command, id) {
        ("push", "reference") => ArgValueCompleter::new(move |text: &OsStr| {
            let Some(text) = text.to_str() else { return Vec::new() };
            if text.contains(':') { Vec::new() } else { applications(&line, text, ":") }
        }),
        ("patch" | "diff", "to") => ArgValueCompleter::new(move |text: &OsStr| {
            let mut found = relative(&line, text);
            found.extend(references(&line, text));
            found
        }),
        ("hosts", "forget") => ArgValueCompleter::new(move |text: &OsStr| hosts(&line, text)),
        ("audit", "action") => ArgValueCompleter::new(move |text: &OsStr| {
            let names = Action::ALL.map(|action| action.as_str().to_owned());
            matching(names, &text.to_string_lossy())
        }),
        ("add", "events") => ArgValueCompleter::new(move |text: &OsStr| {
            let names = EVENTS.map(|event| event.as_str().to_owned());
            matching(names, &text.to_string_lossy())
        }),
        (_, "reference" | "from" | "to") if command != "repair" && command != "convert" => {
            ArgValueCompleter::new(move |text: &OsStr| references(&line, text))
        }
        ("repair", "reference") => {
            ArgValueCompleter::new(move |text: &OsStr| references(&line, text))
        }
        (_, "application") => ArgValueCompleter::new(move |text: &OsStr| {
            text.to_str().map_or_else(Vec::new, |text| applications(&line, text, ""))
        }),
        (_, "channel") => ArgValueCompleter::new(move |text: &OsStr| channels(&line, text)),
        ("pull", "machines") => ArgValueCompleter::new(move |text: &OsStr| machines(&line, text)),
        ("verify", "target") => ArgValueCompleter::new(move |text: &OsStr| {
            let mut found = folders(&line, text);
            found.extend(references(&line, text));
            found
        }),
        (_, "dir" | "dirs") if command != "man" => {
            ArgValueCompleter::new(move |text: &OsStr| folders(&line, text))
        }
        _ => return None,
    })
}

fn matching(names: impl IntoIterator<Item = String>, typed: &str) -> Vec<CompletionCandidate> {
    let names = names.into_iter().filter(|name| name.starts_with(typed));
    names.map(CompletionCandidate::new).collect()
}

fn applications(line: &Line, typed: &str, end: &str) -> Vec<CompletionCandidate> {
    let found = line.ask(Where(None), async |registry| {
        let page = registry.applications(None).await.ok()?;
        Some(page.applications.iter().map(|it| format!("{}{end}", it.name)).collect::<Vec<_>>())
    });
    matching(found.unwrap_or_default(), typed)
}

/// Completes versions and channels of the application of the folder or release on the line.
fn relative(line: &Line, text: &OsStr) -> Vec<CompletionCandidate> {
    let Some(typed) = text.to_str().filter(|typed| !typed.contains([':', '@', '/'])) else {
        return Vec::new();
    };
    let named = line.words.iter().skip(2).rev().skip(1).rev().filter(|word| !word.starts_with('-'));
    let folder = named.map(Path::new).find_map(|dir| {
        let lock = Lockfile::read(&dir.join(LOCKFILE)).ok()?;
        Some((lock.application, Origin::of_directory(dir).registry.map(Named::Origin)))
    });
    let release = || {
        let named = line.application().filter(|named| named.selector.is_some())?;
        Some((named.application, named.host.map(Named::Host)))
    };
    let Some((application, named)) = folder.or_else(release) else { return Vec::new() };
    let found =
        line.ask(Where(named), async |registry| selectors(registry.as_ref(), &application).await);
    matching(found.unwrap_or_default(), typed)
}

fn hosts(line: &Line, text: &OsStr) -> Vec<CompletionCandidate> {
    let found = line.ask(Where(None), async |registry| {
        let page = registry.hosts(None, None).await.ok()?;
        let mut names: Vec<_> = page.hosts.iter().map(|run| run.host.to_string()).collect();
        names.dedup();
        Some(names)
    });
    matching(found.unwrap_or_default(), &text.to_string_lossy())
}

/// Completes a reference step by step: `shop` → `shop:`; `shop:` → versions and channels;
/// `shop:1.0/` → machines; then disks.
fn references(line: &Line, text: &OsStr) -> Vec<CompletionCandidate> {
    let Some(typed) = text.to_str() else { return Vec::new() };
    let Some((before, after)) = typed.rsplit_once(':').filter(|(_, after)| !is_port(after)) else {
        return applications(line, typed, ":");
    };
    let Ok(reference) = before.parse::<Reference>() else { return Vec::new() };
    let (application, host) = (reference.application, reference.host);
    if !after.contains('/') {
        let names =
            line.ask(host, async |registry| selectors(registry.as_ref(), &application).await);
        let names = names.unwrap_or_default().into_iter().map(|name| format!("{before}:{name}"));
        return matching(names, typed);
    }
    let (stem, _) = typed.rsplit_once('/').unwrap_or((typed, ""));
    let Ok(reference) = stem.parse::<Reference>() else { return Vec::new() };
    let found = line.ask(host, async |registry| {
        let release = document(registry.as_ref(), &application, &reference.selector?).await.ok()?;
        Some(match &reference.machine {
            None => release.machines().iter().map(|it| it.name.to_string()).collect::<Vec<_>>(),
            Some(name) => {
                release.machine(name)?.disks.iter().map(|disk| disk.name.to_string()).collect()
            }
        })
    });
    matching(found.unwrap_or_default().into_iter().map(|name| format!("{stem}/{name}")), typed)
}

fn is_port(text: &str) -> bool {
    // In `host:7440/shop` the number is a port; in `shop:7440` a version.
    text.split_once('/').is_some_and(|(port, rest)| {
        !rest.is_empty() && port.len() >= 2 && port.bytes().all(|byte| byte.is_ascii_digit())
    })
}

async fn selectors(registry: &dyn Registry, application: &ApplicationName) -> Option<Vec<String>> {
    let releases = registry.releases(application, None).await.ok()?.releases;
    let channels = registry.channels(application).await.unwrap_or_default();
    let versions = releases.iter().map(|release| release.version.to_string());
    Some(versions.chain(channels.iter().map(|channel| channel.name.to_string())).collect())
}

fn channels(line: &Line, text: &OsStr) -> Vec<CompletionCandidate> {
    let (Some(typed), Some(named)) = (text.to_str(), line.application()) else { return Vec::new() };
    let found = line.ask(named.host, async |registry| {
        let channels = registry.channels(&named.application).await.ok()?;
        Some(channels.iter().map(|channel| channel.name.to_string()).collect::<Vec<_>>())
    });
    matching(found.unwrap_or_default(), typed)
}

fn machines(line: &Line, text: &OsStr) -> Vec<CompletionCandidate> {
    let (Some(typed), Some(named)) = (text.to_str(), line.application()) else { return Vec::new() };
    let Some(selector): Option<Selector> = named.selector else { return Vec::new() };
    let found = line.ask(named.host, async |registry| {
        let release = document(registry.as_ref(), &named.application, &selector).await.ok()?;
        Some(release.machines().iter().map(|it| it.name.to_string()).collect::<Vec<_>>())
    });
    matching(found.unwrap_or_default(), typed)
}

/// Completes the folders this host pulled into, then all other folders.
fn folders(line: &Line, text: &OsStr) -> Vec<CompletionCandidate> {
    let typed = text.to_string_lossy();
    let here = std::env::current_dir().unwrap_or_default();
    let shown = |dir: &Path| match dir.strip_prefix(&here) {
        Ok(below) if !below.as_os_str().is_empty() && !typed.starts_with('/') => {
            let dot = if typed.starts_with("./") { "./" } else { "" };
            format!("{dot}{}", below.display())
        }
        _ => dir.display().to_string(),
    };
    let holdings = crate::commands::host_state(&line.global).map(|state| state.all_holdings());
    let holdings = holdings.unwrap_or_default().into_iter();
    let held = holdings.map(|it| it.directory).filter(|dir| dir.is_dir()).map(|dir| shown(&dir));
    let mut found = matching(held, &typed);
    found.extend(PathCompleter::dir().complete(text));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_has_a_function_that_calls_back() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::Elvish, Shell::PowerShell] {
            let text = function(shell).unwrap();
            assert!(text.contains(VARIABLE) && text.contains("seawall"), "{shell}\n{text}");
        }
    }

    #[test]
    fn a_line_tells_the_registry_and_the_application() {
        let words = ["seawall", "promote", "shop:1.0", "--registry=./r", ""].map(OsString::from);
        let line = Line::of(&words);
        assert_eq!(line.global.registry.as_deref(), Some("./r"));
        assert_eq!(line.application().unwrap().application.as_str(), "shop");
    }
}
