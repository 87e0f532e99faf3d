//! `seawall export`, and `seawall pull --as ova`.

use std::io::{self, IsTerminal};

use seawall::export::{self, ExportError, Output};

use crate::command::{Export, Package};
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::answer;

pub(crate) async fn export(context: Context, command: Export) -> Result<(), Failure> {
    let Export { target, machine, disk, format, round, output, threads } = command;
    let Context { registry, progress, style, state, .. } = context;
    let is_pipe = output.is_none();
    let output = match output {
        Some(path) => Output::File(path),
        None if io::stdout().is_terminal() => {
            return Err(Failure::usage(
                "a disk is not written to a terminal",
                "send it to a program or a file, or give `-o FILE`",
            ));
        }
        None => Output::Pipe(Box::new(io::stdout())),
    };
    let order = export::Export {
        registry,
        application: target.application,
        selector: target.selector,
        machine,
        disk,
        format,
        round,
        output,
        state,
        progress,
        threads,
    };
    let report = match export::export(order).await {
        Err(ExportError::Convert(error)) if is_pipe && error.is_broken_pipe() => {
            return Err(Failure::reader_gone());
        }
        done => done?,
    };
    if is_pipe {
        // Standard output is the disk.
        return Ok(());
    }
    answer(style, &report, |report| format!("{report}\n"))
}

pub(crate) async fn package(context: Context, command: Package) -> Result<(), Failure> {
    let Package { target, into, kind, machines, threads } = command;
    let Context { registry, progress, style, state, .. } = context;
    let order = export::WritePackage {
        registry,
        application: target.application,
        selector: target.selector,
        machines,
        kind,
        into,
        state,
        progress,
        threads,
    };
    let report = export::write_package(order).await?;
    answer(style, &report, |report| format!("{report}\n"))
}
