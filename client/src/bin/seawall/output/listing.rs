//! Lists, printed as a table that fits the terminal, as CSV or TSV, or as names alone.

use seawall_api::units::HumanBytes;
use serde::Serialize;

use super::screen::{Screen, shorten_digests};
use super::{Style, answer, moment, print, table, write};
use crate::args::{ListFormat, Listing};
use crate::failure::{Failure, plain};
use crate::suggest;

/// The width in characters below which no column is cut.
const CUT_MIN: usize = 8;

/// A column of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// The name for `--columns`; the heading is the name in capitals, with spaces.
    pub(crate) key: &'static str,
    /// The order of removal on a narrow terminal, highest first; 0 is never removed.
    pub(crate) rank: u8,
}

impl Column {
    fn heading(self) -> String {
        self.key.to_uppercase().replace('-', " ")
    }
}

/// Returns a column; shorthand for the definitions of lists.
pub(crate) const fn column(key: &'static str, rank: u8) -> Column {
    Column { key, rank }
}

/// The value of a row in a column.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Cell {
    Text(String),
    Number(u64),
    Bytes(u64),
    /// Seconds since 1970.
    Moment(u64),
    Nothing,
}

impl<T: std::fmt::Display> From<&T> for Cell {
    fn from(value: &T) -> Self {
        Self::Text(value.to_string())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        if text.is_empty() { Self::Nothing } else { Self::Text(text) }
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Nothing, Into::into)
    }
}

impl Cell {
    /// Formats the cell for people.
    fn text(&self) -> String {
        match self {
            Self::Text(text) => plain(text).replace('\n', " "),
            Self::Number(number) => number.to_string(),
            Self::Bytes(bytes) => HumanBytes(*bytes).to_string(),
            Self::Moment(secs) => moment(*secs),
            Self::Nothing => "-".to_owned(),
        }
    }

    /// Formats the cell for programs: bytes as a number, moments in RFC 3339, no value as an empty
    /// string.
    fn raw(&self) -> String {
        match self {
            Self::Bytes(bytes) => bytes.to_string(),
            Self::Moment(secs) => seawall_api::moment::rfc3339(*secs),
            Self::Nothing => String::new(),
            Self::Text(text) => plain(text).replace('\n', " "),
            Self::Number(number) => number.to_string(),
        }
    }
}

/// A list: columns, rows, and the text above and below the table.
#[derive(Debug)]
pub(crate) struct List<'a> {
    pub(crate) columns: &'a [Column],
    pub(crate) rows: Vec<Vec<Cell>>,
    /// The text above the table; printed alone if there are no rows.
    pub(crate) above: String,
    pub(crate) below: String,
}

/// Prints a value as JSON or as a list.
pub(crate) fn answer_list<T: Serialize>(
    style: Style,
    value: &T,
    list: impl FnOnce(&T) -> List<'static>,
) -> Result<(), Failure> {
    let screen = Screen::get();
    match style {
        Style::Json(_) => answer(style, value, |_| String::new()),
        Style::Text => {
            let list = list(value);
            let format = screen.listing.format.unwrap_or(ListFormat::Table);
            let text = list.print(format, &screen)?;
            if format == ListFormat::Table { print(&text) } else { write(&text) }
        }
    }
}

impl List<'_> {
    /// Returns the list as a table, as a file or a pipe gets it.
    #[cfg(test)]
    pub(crate) fn text(&self) -> String {
        self.print(ListFormat::Table, &Screen::default()).unwrap()
    }

    fn print(&self, format: ListFormat, screen: &Screen) -> Result<String, Failure> {
        let chosen = self.chosen(&screen.listing)?;
        let all = || (0..self.columns.len()).collect::<Vec<_>>();
        let digests = |text: String| match screen.is_short {
            true => shorten_digests(&text),
            false => text,
        };
        Ok(match format {
            ListFormat::Json => String::new(),
            ListFormat::Names => {
                let first = chosen.as_ref().and_then(|chosen| chosen.first()).copied();
                let names = self.rows.iter().map(|row| row[first.unwrap_or(0)].raw() + "\n");
                let mut names: Vec<String> = names.collect();
                // A host with several directories has several rows.
                names.dedup();
                names.concat()
            }
            ListFormat::Csv => self.separated(&chosen.unwrap_or_else(all), csv, ","),
            ListFormat::Tsv => self.separated(&chosen.unwrap_or_else(all), tsv, "\t"),
            ListFormat::Table if self.rows.is_empty() && !self.above.is_empty() => {
                self.above.clone()
            }
            ListFormat::Table => {
                let may_drop = chosen.is_none();
                let columns = chosen.unwrap_or_else(all);
                let cells = |row: &Vec<Cell>| -> Vec<String> {
                    columns.iter().map(|at| digests(row[*at].text())).collect()
                };
                let heads = columns.iter().map(|at| self.columns[*at].heading()).collect();
                let ranks = columns.iter().map(|at| self.columns[*at].rank).collect();
                let mut grid = Grid { heads, ranks, rows: self.rows.iter().map(cells).collect() };
                if let Some(width) = screen.width {
                    grid.fit(width, may_drop);
                }
                let heads: Vec<&str> = grid.heads.iter().map(String::as_str).collect();
                format!("{}{}{}", self.above, table(&heads, grid.rows), self.below)
            }
        })
    }

    /// Returns the positions of the columns of `--columns`; `None` without the option.
    fn chosen(&self, listing: &Listing) -> Result<Option<Vec<usize>>, Failure> {
        if listing.columns.is_empty() {
            return Ok(None);
        }
        let mut chosen = Vec::new();
        for name in &listing.columns {
            let key = name.trim().to_lowercase().replace([' ', '_'], "-");
            if key == "all" {
                chosen.extend(0..self.columns.len());
                continue;
            }
            let at = self.columns.iter().position(|column| column.key == key);
            chosen.push(at.ok_or_else(|| {
                let keys: Vec<&str> = self.columns.iter().map(|column| column.key).collect();
                let name = name.escape_debug();
                Failure::usage(
                    format!("this list has no column `{name}`"),
                    suggest::among("columns", &name.to_string(), &keys),
                )
            })?);
        }
        Ok(Some(chosen))
    }

    fn separated(&self, columns: &[usize], field: fn(&str) -> String, between: &str) -> String {
        let heads = columns.iter().map(|at| self.columns[*at].key.to_owned()).collect();
        let rows = self.rows.iter();
        let rows = rows.map(|row| columns.iter().map(|at| field(&row[*at].raw())).collect());
        let line = |fields: Vec<String>| fields.join(between) + "\n";
        std::iter::once(heads).chain(rows).map(line).collect()
    }
}

/// Quotes a field of CSV (RFC 4180).
fn csv(field: &str) -> String {
    if field.contains([',', '"', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

fn tsv(field: &str) -> String {
    field.replace('\t', " ")
}

/// A table to be fitted to a width.
struct Grid {
    heads: Vec<String>,
    ranks: Vec<u8>,
    rows: Vec<Vec<String>>,
}

impl Grid {
    fn widths(&self) -> Vec<usize> {
        let width = |text: &String| text.chars().count();
        (0..self.heads.len())
            .map(|at| {
                let cells = self.rows.iter().map(|row| width(&row[at]));
                cells.max().unwrap_or(0).max(width(&self.heads[at]))
            })
            .collect()
    }

    fn excess(&self, width: usize) -> usize {
        let widths = self.widths();
        let total = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
        total.saturating_sub(width)
    }

    /// Narrows the table to `width`: moments lose their seconds, then the columns of highest rank
    /// are removed, then the widest cells are cut.
    fn fit(&mut self, width: usize, may_drop: bool) {
        if self.excess(width) > 0 {
            for cell in self.rows.iter_mut().flatten().filter(|cell| is_moment(cell)) {
                cell.truncate("2026-11-22 04:07".len());
            }
        }
        while may_drop && self.excess(width) > 0 {
            let last = (0..self.ranks.len()).max_by_key(|at| self.ranks[*at]);
            let Some(at) = last.filter(|at| self.ranks[*at] > 0) else { break };
            self.heads.remove(at);
            self.ranks.remove(at);
            for row in &mut self.rows {
                row.remove(at);
            }
        }
        while self.excess(width) > 0 {
            let widths = self.widths();
            let Some(at) = (0..widths.len()).max_by_key(|at| widths[*at]) else { break };
            let limit = widths[at].saturating_sub(self.excess(width)).max(CUT_MIN);
            if limit >= widths[at] {
                break;
            }
            let cells = self.rows.iter_mut().map(|row| &mut row[at]).chain([&mut self.heads[at]]);
            for cell in cells.filter(|cell| cell.chars().count() > limit) {
                *cell = cell.chars().take(limit - 1).chain(['…']).collect();
            }
        }
    }
}

/// Returns true if a cell has the format of [`moment`].
fn is_moment(cell: &str) -> bool {
    let form = "dddd-dd-dd dd:dd:ddZ";
    cell.len() == form.len()
        && cell.bytes().zip(form.bytes()).all(|(byte, form)| match form {
            b'd' => byte.is_ascii_digit(),
            other => byte == other,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        column("version", 0),
        column("held-by", 3),
        column("published", 1),
        column("data", 2),
        column("digest", 1),
    ];

    fn list() -> List<'static> {
        let row = |version: &str| {
            vec![
                Cell::Text(version.to_owned()),
                Cell::Text("pin a, \"b\"".to_owned()),
                Cell::Moment(1_795_320_420),
                Cell::Bytes(3 << 20),
                Cell::Text(format!("blake3:{}", "ab".repeat(32))),
            ]
        };
        let rows = vec![row("1.0"), row("1.1"), vec![Cell::Nothing; 5]];
        List { columns: COLUMNS, rows, above: String::new(), below: String::new() }
    }

    fn screen(width: Option<usize>, columns: &[&str]) -> Screen {
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        let listing = Listing { format: None, columns };
        Screen { width, is_short: width.is_some(), is_short_on_errors: false, listing }
    }

    #[test]
    fn a_terminal_of_any_width_holds_the_table() {
        for width in 8..200 {
            let text = list().print(ListFormat::Table, &screen(Some(width), &[])).unwrap();
            for line in text.lines() {
                assert!(line.chars().count() <= width, "{width}\n{text}");
            }
            assert!(text.starts_with("VERSION"), "{width}\n{text}");
        }
        let text = list().print(ListFormat::Table, &screen(Some(60), &[])).unwrap();
        assert!(text.contains("blake3:abababababab\n") && !text.contains("HELD"), "{text}");
        assert!(text.contains("2026-11-22 04:07 "), "without seconds\n{text}");
    }

    #[test]
    fn a_pipe_gets_every_column_and_every_digit() {
        let text = list().text();
        assert!(text.contains(&"ab".repeat(32)) && text.contains("HELD BY"), "{text}");
        assert!(text.contains("2026-11-22 04:07:00Z"), "{text}");
    }

    #[test]
    fn columns_are_chosen_by_name_in_any_spelling() {
        let chosen = screen(None, &["data", "Held By"]);
        let text = list().print(ListFormat::Table, &chosen).unwrap();
        assert!(text.starts_with("DATA     HELD BY\n3.0 MiB  pin a"), "{text}");
        let failure = list().print(ListFormat::Table, &screen(None, &["digets"])).unwrap_err();
        let text = failure.to_string();
        assert!(text.contains("`digets`") && text.contains("did you mean `digest`?"), "{text}");
        assert!(text.contains("held-by") && failure.exit_code() == 2, "{text}");
    }

    #[test]
    fn programs_get_plain_numbers_moments_and_names() {
        let screen = screen(None, &[]);
        let csv = list().print(ListFormat::Csv, &screen).unwrap();
        let digest = format!("blake3:{}", "ab".repeat(32));
        assert_eq!(
            csv,
            format!(
                "version,held-by,published,data,digest\n\
                 1.0,\"pin a, \"\"b\"\"\",2026-11-22T04:07:00Z,3145728,{digest}\n\
                 1.1,\"pin a, \"\"b\"\"\",2026-11-22T04:07:00Z,3145728,{digest}\n,,,,\n"
            )
        );
        let tsv = list().print(ListFormat::Tsv, &screen).unwrap();
        assert!(tsv.starts_with("version\theld-by\t"), "{tsv}");
        assert_eq!(list().print(ListFormat::Names, &screen).unwrap(), "1.0\n1.1\n\n");
    }
}
