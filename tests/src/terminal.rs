//! A run of `seawall` on a terminal of a given size, replayed through a terminal emulator.

use std::process::{Command, Stdio};

use crate::run::Run;

/// What a run drew.
#[derive(Debug)]
pub struct Drawn {
    bytes: Vec<u8>,
    columns: u16,
    rows: u16,
    /// The exit status of the run.
    pub code: Option<i32>,
}

impl Run {
    /// Runs a command to its end on a terminal of this many columns, made by `script`.
    #[must_use]
    pub fn on_terminal(self, columns: u16) -> Drawn {
        const ROWS: u16 = 50;
        let command = self.into_command();
        let mut line = format!("stty cols {columns} rows {ROWS}; exec ");
        line += &quoted(&command.get_program().to_string_lossy());
        for arg in command.get_args() {
            line += " ";
            line += &quoted(&arg.to_string_lossy());
        }
        let mut script = Command::new("script");
        script.args(["-qefc", &line, "/dev/null"]).stdin(Stdio::null()).env_clear();
        script.env("TERM", "xterm-256color");
        for (key, value) in command.get_envs() {
            if let Some(value) = value {
                script.env(key, value);
            }
        }
        if let Some(dir) = command.get_current_dir() {
            script.current_dir(dir);
        }
        let output = script.output().unwrap_or_else(|error| panic!("cannot run script: {error}"));
        Drawn { bytes: output.stdout, columns, rows: ROWS, code: output.status.code() }
    }
}

/// Quotes a word for the shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

impl Drawn {
    fn emulator(&self) -> vt100::Parser {
        vt100::Parser::new(self.rows, self.columns, 0)
    }

    /// Returns the bytes as text.
    #[must_use]
    pub fn raw(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Returns the final screen, a string for each line that is not empty.
    #[must_use]
    pub fn screen(&self) -> Vec<String> {
        let mut emulator = self.emulator();
        emulator.process(&self.bytes);
        let rows = emulator.screen().rows(0, self.columns).map(|row| row.trim_end().to_owned());
        rows.filter(|row| !row.is_empty()).collect()
    }

    /// Returns each text of the cursor's line just before the line was left or redrawn, and whether
    /// the text had wrapped.
    #[must_use]
    pub fn lines_ever(&self) -> Vec<(String, bool)> {
        let mut emulator = self.emulator();
        let mut lines: Vec<(String, bool)> = Vec::new();
        for byte in &self.bytes {
            if matches!(byte, b'\r' | b'\n' | 0x1b) {
                let screen = emulator.screen();
                let (row, _) = screen.cursor_position();
                let wrapped = row > 0 && screen.row_wrapped(row - 1);
                let first = if wrapped { row - 1 } else { row };
                let text: String = screen
                    .rows(0, self.columns)
                    .skip(first.into())
                    .take(usize::from(row - first) + 1)
                    .collect();
                let line = (text.trim_end().to_owned(), wrapped);
                if !line.0.is_empty() && lines.last() != Some(&line) {
                    lines.push(line);
                }
            }
            emulator.process(std::slice::from_ref(byte));
        }
        lines
    }
}
