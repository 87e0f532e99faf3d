//! The `seawall` program: parses arguments, runs a command, prints the answer and sets the exit
//! code.
//!
//! This is the composition root, the only code that reads the environment, names adapters and hosts
//! a registry. `args` holds raw arguments, `command` validates them, and `commands` runs the result
//! (one file per command).

mod args;
mod command;
mod commands;
mod config;
mod connect;
mod failure;
mod output;
mod progress;
mod shell;
mod signal;
mod size;
mod suggest;

use std::mem::ManuallyDrop;
use std::process::ExitCode;

use seawall_store::unfinished;

use args::help::definition;
use args::{Cli, Global, RawCommand};
use command::Command;
use config::Environment;
use failure::Failure;
use signal::Aftermath;

fn main() -> ExitCode {
    if let Some(shell) = variable(shell::complete::VARIABLE) {
        shell::complete::answer(shell.as_ref(), std::env::args_os());
        return ExitCode::SUCCESS;
    }
    if std::env::args_os().len() < 2 {
        // As git does without arguments: show the help.
        let _ = definition::command().print_help();
        return ExitCode::SUCCESS;
    }
    let cli = match definition::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && wants_json() => {
            let text = error.render().to_string();
            let what = text.trim_start_matches("error: ").trim_end();
            return tell(
                &Failure::usage(what, "`seawall help COMMAND` lists its arguments and options"),
                true,
            );
        }
        Err(error) => {
            // Help goes to standard output; nothing can be done if its reader is gone.
            let _ = error.print();
            return u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    let is_json = cli.global.json || cli.command.listing().is_json();
    run(cli).unwrap_or_else(|failure| tell(&failure, is_json))
}

/// Prints the failure to standard error and returns its exit code.
fn tell(failure: &Failure, is_json: bool) -> ExitCode {
    progress::clear();
    // A closed pipe is not reported (`Failure::reader_gone`).
    if failure.what().is_empty() {
        return ExitCode::from(failure.exit_code());
    }
    if is_json {
        // On a line of its own, so that log lines above stay readable.
        output::tell(output::contract::error(failure));
    } else {
        let text = failure.to_string();
        let is_short = output::Screen::get().is_short_on_errors;
        let text = if is_short { output::shorten_digests(&text) } else { text };
        output::tell(output::paint_error(text.trim_end_matches('\n')));
    }
    ExitCode::from(failure.exit_code())
}

/// Returns true if a command line that does not parse contains `--json`.
fn wants_json() -> bool {
    std::env::args_os().take_while(|word| word != "--").any(|word| word == "--json")
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    output::Screen::look(cli.global.digests, cli.command.listing());
    let done = |()| ExitCode::SUCCESS;
    match cli.command {
        RawCommand::Completions { shell } => shell::generate::completions(shell).map(done),
        RawCommand::Man { dir } => shell::generate::man(dir.as_deref()).map(done),
        #[cfg(feature = "server")]
        RawCommand::Serve(args) => {
            keep_private();
            runtime()?.block_on(commands::maintenance::serve::serve(args, &cli.global)).map(done)
        }
        command => {
            log_to_stderr(&cli.global);
            let command = Command::prove(command)?;
            if command.writes_registry() {
                keep_private();
            }
            let aftermath = Aftermath::of(&command);
            // The runtime is never shut down: a thread that outlives the command may still wait for
            // an answer from the runtime, and would panic. Such threads end with the process;
            // unfinished files are removed below.
            let runtime = ManuallyDrop::new(runtime()?);
            let work = commands::run(command, cli.global);
            let outcome = runtime.block_on(signal::until_signal(work, &aftermath));
            unfinished::remove_all();
            outcome
        }
    }
}

/// Sets the umask so that new files are readable by their owner only: a registry's store holds
/// every disk, its catalog the secrets of webhooks.
fn keep_private() {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("cannot start threads", &error))
}

fn log_to_stderr(global: &Global) {
    let filter = match global.verbose {
        // Errors of the layers below reach the user as a `Failure` or not at all. The same holds
        // for a registry hosted in this process.
        0 => "seawall=error,seawall_server=off,seawall_store=error",
        1 => "seawall=info,seawall_store=info,warn",
        _ => "seawall=trace,seawall_store=trace,seawall_server=debug,hyper_util=debug,info",
    };
    // Setting a subscriber fails only if one is set already, and no other code sets one.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Otherwise a line that cannot be written causes a panic.
        .log_internal_errors(false)
        .with_ansi(false)
        .try_init();
}

/// Reads the variables that `clap` does not. There is no flag for a token, because any user can
/// read another process's arguments. `SEAWALL_TOKEN_FILE` is for a different registry than
/// `--token-file` (`config/keyring.rs`).
#[allow(clippy::disallowed_methods)] // this is the composition root
fn environment() -> Environment {
    Environment {
        token: variable("SEAWALL_TOKEN"),
        token_file: std::env::var_os("SEAWALL_TOKEN_FILE").map(Into::into),
    }
}

/// Returns the variables that AWS's tools take settings and credentials from.
#[allow(clippy::disallowed_methods)] // this is the composition root
fn aws_environment() -> seawall_store::backend::s3::Environment {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    seawall_store::backend::s3::Environment::of(std::env::vars_os().filter_map(text))
}

/// Returns the same variables for the present home of a registry that is moved: `FROM_AWS_…` wins
/// over `AWS_…`.
#[cfg(feature = "server")]
#[allow(clippy::disallowed_methods)] // this is the composition root
fn aws_environment_of_source() -> seawall_store::backend::s3::Environment {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let all = || std::env::vars_os().filter_map(text);
    let of_source = all().filter_map(|(name, value)| {
        let name = name.strip_prefix("FROM_").filter(|name| name.starts_with("AWS_"))?;
        Some((name.to_owned(), value))
    });
    seawall_store::backend::s3::Environment::of(all().chain(of_source))
}

/// Returns an environment variable, or `None` if the variable is unset or empty.
#[allow(clippy::disallowed_methods)] // this is the composition root
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns the system's wall-clock time.
#[allow(clippy::disallowed_methods)] // this is the composition root
fn now() -> std::time::SystemTime {
    std::time::SystemTime::now()
}
