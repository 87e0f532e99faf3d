//! The command line: texts in, a flow, an answer and an exit code out.
//!
//! A composition root: the only place that reads the environment, names adapters and hosts a
//! registry. `args` (raw) → `command` (proven) → `commands` (one file each, over a flow).

mod args;
mod command;
mod commands;
mod complete;
mod config;
mod connect;
mod contract;
mod generate;
#[cfg(feature = "server")]
mod hosted;
mod output;
mod progress;
mod report;
mod signal;
mod size;
mod suggest;

use std::mem::ManuallyDrop;
use std::process::ExitCode;

use seawall_store::unfinished;

use args::{Cli, Global, RawCommand, definition};
use command::Command;
use config::Environment;
use report::Failure;
use signal::Aftermath;

fn main() -> ExitCode {
    if let Some(shell) = variable(complete::VARIABLE) {
        complete::answer(shell.as_ref(), std::env::args_os());
        return ExitCode::SUCCESS;
    }
    if std::env::args_os().len() < 2 {
        // As git does: nothing was asked for, so what there is to ask for is shown.
        let _ = definition::command().print_help();
        return ExitCode::SUCCESS;
    }
    let cli = match definition::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() && wants_json() => {
            let text = error.render().to_string();
            let what = text.trim_start_matches("error: ").trim_end();
            return tell(&Failure::usage(what, "`seawall help COMMAND` lists what it takes"), true);
        }
        Err(error) => {
            // Help goes to standard output, whose reader may be gone: nothing to be done then.
            let _ = error.print();
            return u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    let is_json = cli.global.json || cli.command.listing().is_json();
    run(cli).unwrap_or_else(|failure| tell(&failure, is_json))
}

/// Tells why a command failed, on standard error.
fn tell(failure: &Failure, is_json: bool) -> ExitCode {
    progress::clear();
    // Without a word where the reader of a pipe went away.
    if failure.what().is_empty() {
        return ExitCode::from(failure.exit_code());
    }
    if is_json {
        // A line of its own: what was logged before stays readable.
        output::tell(contract::error(failure));
    } else {
        let text = failure.to_string();
        let is_short = output::Screen::get().is_short_on_errors;
        let text = if is_short { output::shorten_digests(&text) } else { text };
        output::tell(output::paint_error(text.trim_end_matches('\n')));
    }
    ExitCode::from(failure.exit_code())
}

/// Whether a command line that cannot be read asks for JSON.
fn wants_json() -> bool {
    std::env::args_os().take_while(|word| word != "--").any(|word| word == "--json")
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    output::Screen::look(cli.global.digests, cli.command.listing());
    let done = |()| ExitCode::SUCCESS;
    match cli.command {
        RawCommand::Completions { shell } => generate::completions(shell).map(done),
        RawCommand::Man { dir } => generate::man(dir.as_deref()).map(done),
        #[cfg(feature = "server")]
        RawCommand::Serve(args) => {
            keep_private();
            runtime()?.block_on(commands::serve::serve(args, cli.global.verbose)).map(done)
        }
        command => {
            log_to_stderr(&cli.global);
            let command = Command::prove(command)?;
            if command.writes_registry() {
                keep_private();
            }
            let aftermath = Aftermath::of(&command);
            // Never shut down: a thread that outlives the command may wait for an answer in it, and
            // would panic. It ends with the process, and what it was making is removed before.
            let runtime = ManuallyDrop::new(runtime()?);
            let work = commands::run(command, cli.global);
            let outcome = runtime.block_on(signal::until_signal(work, &aftermath));
            unfinished::remove_all();
            outcome
        }
    }
}

/// Makes what this process writes its user's alone: a registry's store has every disk, its catalog
/// the secrets of webhooks.
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
        // What goes wrong below reaches the user as an error of ours, or not at all; that holds for
        // a registry in this process, too.
        0 => "seawall=error,seawall_server=off,seawall_store=error",
        1 => "seawall=info,seawall_store=info,warn",
        _ => "seawall=trace,seawall_store=trace,seawall_server=debug,hyper_util=debug,info",
    };
    // A second subscriber cannot be set; nobody else sets one.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Else a line that cannot be written is a panic.
        .log_internal_errors(false)
        .with_ansi(false)
        .try_init();
}

/// Reads what `clap` does not: a token is never a flag, as every user sees those, and its file is
/// for another registry when a variable names it than when a flag does.
#[allow(clippy::disallowed_methods)] // this is the composition root
fn environment() -> Environment {
    Environment {
        token: variable("SEAWALL_TOKEN"),
        token_file: std::env::var_os("SEAWALL_TOKEN_FILE").map(Into::into),
    }
}

/// A variable of the environment; one that is set to nothing is not set.
#[allow(clippy::disallowed_methods)] // this is the composition root
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The time as file systems count it, to tell whether a file has settled.
#[allow(clippy::disallowed_methods)] // this is the composition root
fn now() -> std::time::SystemTime {
    std::time::SystemTime::now()
}
