//! The manifest: a digest for each file of a package.
//!
//! Not a proof of origin: whoever changes a file can write a new manifest. It tells damage.

use std::fmt::Write as _;

use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};

use super::OvfError;

/// The longest manifest that is read, in bytes: the most files with the longest names.
pub const MANIFEST_LEN_MAX: u64 = 8 << 20;

/// How a manifest names files' bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    /// OVF 1.0 knows this one only.
    Sha1,
    /// The usual one.
    Sha256,
    /// What OVF 2 asks for, and OVF 1.1 allows.
    Sha512,
}

impl Algorithm {
    /// Its name in a manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }

    /// Hexadecimal digits of a digest.
    fn digits(self) -> usize {
        match self {
            Self::Sha1 => 40,
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        // OpenSSL's names: `SHA256` once, `SHA2-256` since version 3.
        match text {
            "SHA1" => Some(Self::Sha1),
            "SHA256" | "SHA2-256" => Some(Self::Sha256),
            "SHA512" | "SHA2-512" => Some(Self::Sha512),
            _ => None,
        }
    }
}

/// A line of a manifest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// How the digest is made.
    pub algorithm: Algorithm,
    /// The file's name in the package.
    pub file: String,
    /// The digest in lower-case hexadecimal.
    pub digest: String,
}

/// Reads a manifest: lines of `SHA256(name)= digest`.
///
/// # Errors
/// The first line that is none.
pub fn parse(text: &str) -> Result<Vec<Line>, OvfError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, line)| parse_line(line).map_err(|why| OvfError::Manifest { line: at + 1, why }))
        .collect()
}

fn parse_line(line: &str) -> Result<Line, &'static str> {
    const FORM: &str = "does not read `ALGORITHM(file)= digest`";
    let (algorithm, rest) = line.split_once('(').ok_or(FORM)?;
    // A name may have brackets of its own; a digest has none.
    let (file, digest) = rest.rsplit_once(')').ok_or(FORM)?;
    let digest = digest.trim_start().strip_prefix('=').ok_or(FORM)?.trim().to_ascii_lowercase();
    let algorithm = Algorithm::parse(algorithm.trim());
    let algorithm = algorithm.ok_or("has an algorithm that is not SHA1, SHA256 or SHA512")?;
    if digest.len() != algorithm.digits() || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("has a digest of the wrong length, or one that is not hexadecimal");
    }
    if file.is_empty() {
        return Err("names no file");
    }
    Ok(Line { algorithm, file: file.to_owned(), digest })
}

/// Writes a manifest of SHA-256 digests.
#[must_use]
pub fn write<'a>(lines: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (file, digest) in lines {
        // To a string: this cannot fail.
        let _ = writeln!(text, "SHA256({file})= {digest}");
    }
    text
}

/// Hashes bytes as a manifest does.
#[derive(Clone, Debug)]
pub enum Hasher {
    /// SHA-1.
    Sha1(Sha1),
    /// SHA-256.
    Sha256(Sha256),
    /// SHA-512.
    Sha512(Sha512),
}

impl Hasher {
    /// A hasher of no bytes yet.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha1 => Self::Sha1(Sha1::new()),
            Algorithm::Sha256 => Self::Sha256(Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(Sha512::new()),
        }
    }

    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// The digest in lower-case hexadecimal.
    #[must_use]
    pub fn finish(self) -> String {
        match self {
            Self::Sha1(hasher) => hex(&hasher.finalize()),
            Self::Sha256(hasher) => hex(&hasher.finalize()),
            Self::Sha512(hasher) => hex(&hasher.finalize()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // To a string: this cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(algorithm: Algorithm, bytes: &[u8]) -> String {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    #[test]
    fn digests_are_those_of_the_standards() {
        let abc = |algorithm| digest(algorithm, b"abc");
        assert_eq!(abc(Algorithm::Sha1), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert!(abc(Algorithm::Sha256).starts_with("ba7816bf8f01cfea414140de5dae2223"));
        assert!(abc(Algorithm::Sha512).starts_with("ddaf35a193617abacc417349ae204131"));
    }

    #[test]
    fn lines_are_read_as_tools_write_them() {
        let one = "a9993e364706816aba3e25717850c26c9cd0d89d";
        let two = "b".repeat(64);
        let text = format!(
            "SHA1(web.ovf)= {one}\r\nSHA256 (disk (1).vmdk) = {}\n\nSHA2-256(x)={two}\n",
            two.to_uppercase()
        );
        let lines = parse(&text).unwrap();
        let files: Vec<_> = lines.iter().map(|line| &*line.file).collect();
        assert_eq!(files, ["web.ovf", "disk (1).vmdk", "x"]);
        assert_eq!(
            lines[0],
            Line { algorithm: Algorithm::Sha1, file: "web.ovf".to_owned(), digest: one.to_owned() }
        );
        assert_eq!(lines[1].digest, two);
        let again = write(lines[1..].iter().map(|line| (&*line.file, &*line.digest)));
        assert_eq!(parse(&again).unwrap(), lines[1..]);
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for text in [
            "x",
            "SHA1(a)",
            "SHA1(a)=",
            "MD5(a)= 00",
            "SHA1(a)= 00",
            "SHA1()= 00",
            "SHA1(a)= g9993e364706816aba3e25717850c26c9cd0d89d",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
