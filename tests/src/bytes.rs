//! Bytes: generated from a seed, compared by independent tools, and damaged on purpose.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::tool::tool;

/// A source of pseudorandom bytes, the same for the same seed.
#[derive(Debug)]
pub struct Noise(blake3::OutputReader);

impl Noise {
    /// Creates the source for a seed.
    #[must_use]
    pub fn new(seed: impl AsRef<[u8]>) -> Self {
        Self(blake3::Hasher::new().update(seed.as_ref()).finalize_xof())
    }

    /// Returns the next bytes.
    pub fn bytes(&mut self, len: u64) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(len).unwrap()];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Returns bytes that compress about four to one, as text and programs do.
    pub fn text(&mut self, len: u64) -> Vec<u8> {
        let digits = self.bytes(len.div_ceil(4));
        let line = digits.iter().flat_map(|byte| [b'a' + byte % 16, b'e', b' ', b'\n']);
        line.take(usize::try_from(len).unwrap()).collect()
    }

    /// Returns a number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        let mut word = [0; 8];
        self.0.read_exact(&mut word).unwrap();
        u64::from_le_bytes(word) % end
    }
}

/// Asserts that two files have the same bytes, by `cmp`.
#[track_caller]
pub fn same_bytes(one: impl AsRef<Path>, other: impl AsRef<Path>) {
    tool("cmp", [one.as_ref(), other.as_ref()]);
}

/// Returns whether two files have the same bytes.
pub fn holds_bytes(one: impl AsRef<Path>, other: impl AsRef<Path>) -> bool {
    let mut cmp = std::process::Command::new("cmp");
    cmp.arg("-s").args([one.as_ref(), other.as_ref()]).status().unwrap().success()
}

/// Returns a file's digest from `b3sum`, in Seawall's notation.
pub fn b3sum(path: impl AsRef<Path>) -> String {
    // With mmap, b3sum dies of SIGBUS at a hole on a full file system.
    let options = ["--no-names", "--no-mmap"].map(AsRef::as_ref);
    let hex = tool("b3sum", options.into_iter().chain([path.as_ref().as_os_str()]));
    format!("blake3:{}", hex.trim())
}

/// Flips one bit of a file.
pub fn flip_bit(path: impl AsRef<Path>, offset: u64) {
    let file = open(path.as_ref());
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

/// Truncates a file.
pub fn truncate(path: impl AsRef<Path>, len: u64) {
    open(path.as_ref()).set_len(len).unwrap();
}

fn open(path: &Path) -> File {
    let file = OpenOptions::new().read(true).write(true).open(path);
    file.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
