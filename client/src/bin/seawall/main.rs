//! The command line: texts in, a flow, an answer and an exit code out.
//!
//! A composition root: the only place that reads the environment, names adapters and hosts a
//! registry. `args` (raw) → `command` (proven) → `commands` (one file each, over a flow).

mod args;
mod command;
mod commands;
mod config;
mod connect;
mod generate;
#[cfg(feature = "server")]
mod hosted;
mod output;
mod progress;
mod report;
mod size;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use seawall::directory::is_between_releases;

use args::{Cli, Global, RawCommand};
use command::Command;
use config::Environment;
use report::Failure;

/// What a shell reports for a program that a signal ended: 128 and the signal's number.
const EXIT_SIGINT: u8 = 130;
const EXIT_SIGTERM: u8 = 143;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to standard output, whose reader may be gone: nothing to be done then.
            let _ = error.print();
            return u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    match run(cli) {
        Ok(code) => code,
        Err(failure) => {
            anstream::eprint!("{failure}");
            failure.into()
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let done = |()| ExitCode::SUCCESS;
    match cli.command {
        RawCommand::Completions { shell } => generate::completions(shell).map(done),
        RawCommand::Man { dir } => generate::man(dir.as_deref()).map(done),
        #[cfg(feature = "server")]
        RawCommand::Serve(args) => {
            runtime()?.block_on(commands::serve::serve(args, cli.global.verbose)).map(done)
        }
        command => {
            log_to_stderr(&cli.global);
            let command = Command::prove(command)?;
            let patched = match &command {
                Command::Patch(_, patch) => Some(patch.dir.clone()),
                _ => None,
            };
            let runtime = runtime()?;
            let work = commands::run(command, &cli.global);
            let outcome = runtime.block_on(until_signal(work, patched.as_deref()));
            // Threads that still read or hash are not waited for: what they do is thrown away.
            runtime.shutdown_background();
            outcome
        }
    }
}

/// Runs a command until it ends or a signal asks for its end. What a flow leaves when it is
/// dropped is what a crash leaves, which every flow survives. Of a directory that is `patched` it
/// is told if that is neither release.
async fn until_signal(
    command: impl Future<Output = Result<(), Failure>>,
    patched: Option<&Path>,
) -> Result<ExitCode, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let cannot = |error| Failure::io("cannot listen for signals", &error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let (name, code) = tokio::select! {
        outcome = command => return outcome.map(|()| ExitCode::SUCCESS),
        _ = interrupt.recv() => ("interrupted", EXIT_SIGINT),
        _ = terminate.recv() => ("terminated", EXIT_SIGTERM),
    };
    match patched.filter(|dir| is_between_releases(dir)) {
        Some(dir) => {
            let dir = report::plain(&dir.display().to_string());
            anstream::eprintln!(
                "{name}: the disks in {dir} are between two releases; run `seawall patch` again to \
                 finish them, before anything runs on them"
            );
        }
        None => anstream::eprintln!(
            "{name}: nothing is half done; the same command goes on where this ended"
        ),
    }
    Ok(ExitCode::from(code))
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("cannot start threads", &error))
}

fn log_to_stderr(global: &Global) {
    let filter = match global.verbose {
        0 => "error",
        1 => "seawall=info,seawall_store=info,warn",
        _ => "seawall=trace,seawall_store=trace,seawall_server=debug,hyper_util=debug,info",
    };
    // A second subscriber cannot be set; nobody else sets one.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .try_init();
}

/// Reads what `clap` does not: a token is never a flag, as every user sees those.
#[allow(clippy::disallowed_methods)] // this is the composition root
fn environment() -> Environment {
    Environment { token: std::env::var("SEAWALL_TOKEN").ok() }
}

/// The time as file systems count it, to tell whether a file has settled.
#[allow(clippy::disallowed_methods)] // this is the composition root
fn now() -> std::time::SystemTime {
    std::time::SystemTime::now()
}
