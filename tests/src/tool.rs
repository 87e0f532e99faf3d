//! Other people's programs.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

/// Runs a program, asserts success, and returns its output.
pub fn tool<A: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = A>) -> String {
    let mut command = Command::new(program);
    // Debian installs mke2fs and sfdisk outside a plain user's PATH.
    let path = std::env::var("PATH").unwrap_or_default();
    command.args(args).env("PATH", format!("{path}:/usr/sbin:/sbin")).stdin(Stdio::null());
    // Makes file systems reproducible: the same tree gives the same bytes.
    command.env("E2FSPROGS_FAKE_TIME", "1700000000").env("LC_ALL", "C");
    let output = command.output().unwrap_or_else(|error| {
        panic!("cannot run {program}: {error}; `./dev needs` installs what the tests start")
    });
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?} failed ({})\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// Returns whether a program is installed.
#[must_use]
pub fn exists(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", "command -v \"$0\"", program]).output();
    found.is_ok_and(|output| output.status.success())
}
