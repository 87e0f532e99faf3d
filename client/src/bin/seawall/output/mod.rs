//! Answers on standard output (text, tables, JSON) and messages on standard error. A reader that
//! goes away (`| head`) is not an error; a message that cannot be written is dropped.

use std::fmt::Display;
use std::io::{self, Write};

use comfy_table::{ContentArrangement, Table, presets};
use seawall_api::units::Counted;
use serde::Serialize;

use crate::failure::{Failure, plain};

pub(crate) mod contract;
mod listing;
mod screen;

pub(crate) use listing::{Cell, Column, List, answer_list, column};
pub(crate) use screen::{Screen, paint_error, shorten_digests};

/// The form of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    /// Text for people.
    Text,
    /// JSON for programs, with the name of its schema.
    Json(&'static str),
}

/// Prints a value as JSON, or as text made by `text`.
pub(crate) fn answer<T: Serialize>(
    style: Style,
    value: &T,
    text: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    match style {
        Style::Text => print(&text(value)),
        Style::Json(schema) => write(&format!("{:#}\n", contract::shaped(schema, value)?)),
    }
}

/// Prints text with control characters escaped. A terminal gets short digests and coloured status
/// words.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let text = plain(text);
    let text = if Screen::get().is_short { shorten_digests(&text) } else { text };
    print_painted(&screen::paint(&text))
}

/// Prints text with digests in full, for values that the user has to record.
pub(crate) fn print_in_full(text: &str) -> Result<(), Failure> {
    print_painted(&screen::paint(&plain(text)))
}

fn print_painted(text: &str) -> Result<(), Failure> {
    crate::progress::clear();
    written(text, &mut anstream::stdout().lock())
}

/// Prints text unchanged.
pub(crate) fn write(text: &str) -> Result<(), Failure> {
    crate::progress::clear();
    written(text, &mut io::stdout().lock())
}

/// Writes a line to standard error. Errors are ignored: the work continues, and the exit status
/// reports the outcome.
pub(crate) fn tell(line: impl Display) {
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}

fn written(text: &str, out: &mut dyn Write) -> Result<(), Failure> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::io("cannot write to standard output", &error)),
        Ok(()) => Ok(()),
    }
}

/// Returns a table of rows under headings, without lines. Cells are folded only on a terminal, so
/// that `grep` and `awk` work on a file or a pipe.
pub(crate) fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let screen = Screen::get();
    match screen.width.and_then(|width| u16::try_from(width).ok()) {
        Some(width) => {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            table.set_width(width);
        }
        None => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    let shown = |cell: &String| {
        let cell = plain(cell).replace('\n', " ");
        if screen.is_short { shorten_digests(&cell) } else { cell }
    };
    table.set_header(headings.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(shown));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Formats a moment in UTC, as in `2026-11-22 04:07:00Z`.
pub(crate) fn moment(secs: u64) -> String {
    seawall_api::moment::rfc3339(secs).replace('T', " ")
}

/// Formats a number and a noun: `1 chunk`, `2 chunks`, `2 entries`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    Counted(number, noun).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_dates_in_utc() {
        let cases = [
            (0, "1970-01-01 00:00:00Z"),
            (951_782_400, "2000-02-29 00:00:00Z"),
            (1_795_320_420, "2026-11-22 04:07:00Z"),
            (4_107_542_399, "2100-02-28 23:59:59Z"),
        ];
        for (secs, text) in cases {
            assert_eq!(moment(secs), text);
        }
    }

    #[test]
    fn a_table_has_no_lines_and_no_trailing_space() {
        let rows = [vec!["web".into(), "1.0".into()], vec!["a\x1b\nb".into(), "10".into()]];
        let text = table(&["NAME", "V"], rows);
        assert_eq!(text, "NAME       V\nweb        1.0\na\\u{1b} b  10\n");
    }
}
